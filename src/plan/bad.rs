//! Requests that no server may carry out, drawn from the seed.
//!
//! None of them is a request of the protocol in any edition: amounts that no 64 bits
//! hold, too few or too many fields, bytes that are no text. Whoever carries one out
//! all the same moves money that no operation of the history accounts for. Must not
//! know how they are sent or what is answered.

use super::rng::{Purpose, Rng};
use crate::workload::Workload;

/// What one bad client sends, without end.
#[derive(Debug, Clone)]
pub struct BadRequests {
    rng: Rng,
    accounts: Vec<String>,
    most: i64,
}

impl BadRequests {
    /// Those of a run.
    pub fn new(workload: &Workload, seed: u64) -> Self {
        let (accounts, most) = (workload.clients.accounts.names(), workload.clients.amounts.max.max(1));
        Self { rng: Rng::new(seed, Purpose::Bad), accounts, most }
    }

    fn request(&mut self) -> Vec<u8> {
        let pair = self.rng.choose(&(0..self.accounts.len()).collect::<Vec<_>>(), 2);
        let (from, to) = (self.accounts[pair[0]].as_str(), self.accounts[pair[1]].as_str());
        let small = self.rng.between(1, self.most.min(1000));
        match self.rng.below(8) {
            // Beyond 64 bits by a little: what a wrapping parser makes of it is `small`.
            0..=2 => format!("{from} {to} {}\n", (1i128 << 64) + i128::from(small)).into(),
            3 => format!("{from} {to}\n").into(),
            4 => format!("{from} {to} {small} {small}\n").into(),
            5 => format!("{from} {to} {small}x\n").into(),
            6 => [format!("{from} {to} ").as_bytes(), b"\xff\xfe\0", b"\n"].concat(),
            _ => format!("{from} {to} {}.5\n", "9".repeat(300 + self.rng.below(3000) as usize)).into(),
        }
    }
}

impl Iterator for BadRequests {
    type Item = Vec<u8>;

    fn next(&mut self) -> Option<Vec<u8>> {
        Some(self.request())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workload::parse;

    fn drawn(seed: u64) -> Vec<Vec<u8>> {
        let workload = parse("w.json", r#"{"name":"x","duration":"1s"}"#).unwrap();
        BadRequests::new(&workload, seed).take(500).collect()
    }

    #[test]
    fn none_of_them_is_a_request_of_any_edition() {
        for request in drawn(1) {
            let text = String::from_utf8_lossy(&request).into_owned();
            let fields: Vec<&str> = text.split_whitespace().collect();
            let valid = fields.len() == 3 && fields[2].parse::<i64>().is_ok();
            assert!(!valid && text.ends_with('\n'), "{text:?}");
        }
    }

    #[test]
    fn the_seed_says_which_and_amounts_that_wrap_around_to_small_ones_are_among_them() {
        assert_eq!(drawn(3), drawn(3));
        assert_ne!(drawn(3), drawn(4));
        let wraps = |request: &Vec<u8>| {
            let text = String::from_utf8_lossy(request);
            let amount = text.split_whitespace().nth(2).and_then(|amount| amount.parse::<u128>().ok());
            amount.is_some_and(|amount| (1..=100).contains(&(amount as u64)))
        };
        assert!(drawn(3).iter().filter(|request| wraps(request)).count() > 100);
    }
}
