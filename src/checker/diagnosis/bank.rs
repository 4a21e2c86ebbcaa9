//! The bank as a diagnosis sees it: results that clients were told, without time.

use super::decide::Subject;
use super::rules::Fact;
use super::search::Machine;
use crate::checker::bank::BankModel;
use crate::checker::verify;
use crate::history::{Call, History, Observed, Operation};
use crate::op::Outcome as End;

/// The bank with the results that clients were told.
pub(super) struct Bank<'a> {
    pub history: &'a History,
    pub model: &'a BankModel,
}

impl Machine for Bank<'_> {
    type State = Vec<i64>;

    fn initial(&self) -> Self::State {
        vec![self.model.initial; self.history.accounts.len()]
    }

    fn apply(&self, state: &Self::State, operation: usize) -> Option<Self::State> {
        let operation = self.history.operations.get(operation)?;
        let mut after = state.clone();
        if let Call::Transfer { from, to, amount } = operation.call
            && from != to
            && let Some([debited, credited]) =
                self.model.transfer(*state.get(from.0 as usize)?, *state.get(to.0 as usize)?, amount)
        {
            (after[from.0 as usize], after[to.0 as usize]) = (debited, credited);
        }
        told(operation, &after).then_some(after)
    }

    fn observes(&self, operation: usize) -> bool {
        match self.history.operations.get(operation).map(|operation| &operation.call) {
            Some(&Call::Transfer { from, to, amount }) => from == to || !self.model.effective(amount),
            _ => true,
        }
    }

    fn weight(&self, state: &Self::State) -> usize {
        8 * state.len()
    }
}

impl Subject for Bank<'_> {
    fn facts(&self) -> Vec<Fact> {
        let happened = |&(_, operation): &(usize, &Operation)| operation.outcome() != End::Fail;
        let fact = |(at, operation): (usize, &Operation)| Fact {
            operation: at,
            process: operation.process,
            returns: operation.completion.as_ref().filter(|_| known(operation)).map(|ended| ended.index),
            writes: !self.observes(at),
            tells: observed(operation).is_some_and(|observed| *observed != Observed::Nothing),
        };
        self.history.operations.iter().enumerate().filter(happened).map(fact).collect()
    }

    /// Asks the verifier, with a history in which everything happened at once.
    fn replays(&self, order: &[usize]) -> bool {
        let mut timeless = self.history.clone();
        for operation in &mut timeless.operations {
            operation.invoke = 0;
            operation.completion.iter_mut().for_each(|completion| completion.index = u64::MAX);
        }
        let numbers: Vec<u32> = order.iter().filter_map(|&at| u32::try_from(at).ok()).collect();
        verify::witness(&timeless, self.model, &[], &numbers).is_ok()
    }

    fn words(&self, operation: usize) -> String {
        let Some(operation) = self.history.operations.get(operation) else { return "?".into() };
        let name = |account: u32| self.history.accounts.get(account as usize).map_or("?", String::as_str);
        let told: Vec<String> = match (&operation.call, observed(operation)) {
            (Call::Transfer { from, to, .. }, Some(Observed::Pair(pair))) => {
                let accounts = [from.0, to.0].into_iter().zip(pair);
                accounts.map(|(account, value)| format!("{} = {value}", name(account))).collect()
            }
            (_, Some(Observed::Balances(seen))) => {
                seen.iter().take(8).map(|(account, value)| format!("{} = {value}", name(account.0))).collect()
            }
            _ => Vec::new(),
        };
        let asked = match &operation.call {
            Call::Transfer { from, to, amount } => {
                format!("transfer of {amount} from {} to {}", name(from.0), name(to.0))
            }
            _ => "read".into(),
        };
        let saw = if told.is_empty() { String::new() } else { format!(" that saw {}", told.join(", ")) };
        format!("#{} {asked}{saw}", operation.invoke)
    }
}

fn known(operation: &Operation) -> bool {
    operation.outcome() == End::Ok
}

/// What a client was told, if it was told.
fn observed(operation: &Operation) -> Option<&Observed> {
    operation.completion.as_ref().filter(|_| known(operation)).map(|completion| &completion.observed)
}

/// Whether these balances are what a client was told, if it was told.
fn told(operation: &Operation, balances: &[i64]) -> bool {
    let holds = |account: u32, value: i64| balances.get(account as usize) == Some(&value);
    match (&operation.call, observed(operation)) {
        (Call::Transfer { from, to, .. }, Some(Observed::Pair(pair))) => {
            holds(from.0, pair[0]) && holds(to.0, pair[1])
        }
        (_, Some(Observed::Balances(seen))) => seen.iter().all(|&(account, value)| holds(account.0, value)),
        _ => true,
    }
}
