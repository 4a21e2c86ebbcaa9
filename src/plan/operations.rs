//! Which operations each client invokes, drawn from the seed alone.

use super::rng::{Purpose, Rng};
use crate::op::Transfer;
use crate::workload::{Amounts, Clients, Workload};

/// The operations of one client, in order; endless unless scripted.
#[derive(Debug, Clone)]
pub struct Operations {
    rng: Rng,
    source: Source,
}

#[derive(Debug, Clone)]
enum Source {
    Drawn(Box<Draw>),
    Scripted(std::vec::IntoIter<Transfer>),
}

#[derive(Debug, Clone)]
struct Draw {
    accounts: Vec<String>,
    weights: Vec<u64>,
    amounts: Amounts,
    mix: [u64; 2],
}

impl Operations {
    /// The operations of client `number` of `workload`.
    pub fn new(workload: &Workload, seed: u64, number: u32) -> Self {
        let rng = Rng::new(seed, Purpose::Operations(number));
        if workload.script.is_empty() {
            return Self { rng, source: Source::Drawn(Box::new(Draw::new(&workload.clients))) };
        }
        let own = workload.script.iter().filter(|operation| operation.client == number);
        let transfers: Vec<Transfer> = own
            .map(|operation| Transfer::request(&operation.from, &operation.to, operation.amount))
            .collect();
        Self { rng, source: Source::Scripted(transfers.into_iter()) }
    }
}

impl Iterator for Operations {
    type Item = Transfer;

    fn next(&mut self) -> Option<Transfer> {
        match &mut self.source {
            Source::Drawn(draw) => Some(draw.next(&mut self.rng)),
            Source::Scripted(transfers) => transfers.next(),
        }
    }
}

impl Draw {
    fn new(clients: &Clients) -> Self {
        let accounts = clients.accounts.names();
        Self {
            weights: zipf(accounts.len(), clients.skew),
            accounts,
            amounts: clients.amounts,
            mix: [u64::from(clients.mix.transfer), u64::from(clients.mix.read)],
        }
    }

    fn next(&self, rng: &mut Rng) -> Transfer {
        let is_transfer = rng.weighted(&self.mix) == 0;
        let from = rng.weighted(&self.weights);
        let to = self.other(from, rng);
        let drawn = rng.between(self.amounts.min, self.amounts.max);
        let amount = if is_transfer { drawn } else { 0 };
        Transfer::request(&self.accounts[from], &self.accounts[to], amount)
    }

    /// An account other than `from`: a transfer to oneself shows nothing.
    fn other(&self, from: usize, rng: &mut Rng) -> usize {
        let mut weights = self.weights.clone();
        weights[from] = 0;
        rng.weighted(&weights)
    }
}

/// Weights of Zipf's law with the exponent `skew`, in millionths and never 0, so
/// that a last bit of a floating-point power never changes a plan.
fn zipf(count: usize, skew: f64) -> Vec<u64> {
    (1..=count).map(|rank| ((1e6 / (rank as f64).powf(skew)).round() as u64).max(1)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workload::parse;

    fn workload(clients: &str) -> Workload {
        parse("w.json", &format!(r#"{{"name":"x","duration":"1s","clients":{clients}}}"#)).unwrap()
    }

    #[test]
    fn the_same_seed_draws_the_same_operations() {
        let workload = workload("{}");
        let draw = |seed, client| Operations::new(&workload, seed, client).take(50).collect::<Vec<_>>();
        assert_eq!(draw(1, 0), draw(1, 0));
        assert_ne!(draw(1, 0), draw(1, 1));
        assert_ne!(draw(1, 0), draw(2, 0));
    }

    #[test]
    fn nobody_transfers_to_himself() {
        let workload = workload(r#"{"accounts":2,"skew":2.0}"#);
        assert!(Operations::new(&workload, 1, 0).take(500).all(|transfer| transfer.from != transfer.to));
    }

    #[test]
    fn a_script_is_worked_off_by_the_client_it_names() {
        let text = r#"{"name":"x","script":[{"client":0,"from":"a","to":"b","amount":1},
            {"client":1,"from":"b","to":"a","amount":2},{"client":0,"from":"a","to":"b","amount":3}]}"#;
        let workload = parse("w.json", text).unwrap();
        let amounts: Vec<i64> = Operations::new(&workload, 1, 0).map(|transfer| transfer.amount).collect();
        assert_eq!(amounts, [1, 3]);
    }

    /// The share of transfers that the guard refuses, worked off one by one.
    fn refused_share(workload: &Workload, seed: u64) -> f64 {
        let mut balances = std::collections::BTreeMap::new();
        let (mut refused, mut asked) = (0, 0);
        for transfer in Operations::new(workload, seed, 0).take(20_000).filter(|transfer| transfer.amount > 0)
        {
            asked += 1;
            let from = *balances.entry(transfer.from.clone()).or_insert(100);
            if from <= transfer.amount {
                refused += 1;
                continue;
            }
            *balances.entry(transfer.from).or_insert(100) -= transfer.amount;
            *balances.entry(transfer.to).or_insert(100) += transfer.amount;
        }
        f64::from(refused) / f64::from(asked)
    }

    #[test]
    fn by_default_the_guard_refuses_a_fifth_to_a_half() {
        for clients in ["{}", r#"{"skew":1.0}"#, r#"{"accounts":20}"#] {
            let share = refused_share(&workload(clients), 3);
            assert!((0.2..=0.5).contains(&share), "{clients}: {share}");
        }
    }
}
