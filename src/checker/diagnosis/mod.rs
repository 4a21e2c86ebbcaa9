//! What still holds of a history that is not linearizable: the diagnosis.
//!
//! Verifies sequential consistency as Lamport defines it (1979): one legal order of
//! all operations exists in which those of each process come in the order in which it
//! asked. Real time between processes does not count. An indeterminate operation may
//! be left out, or come anywhere after what its process asked before; what its process
//! asked afterwards does not wait for it. Final files are asked by no process and are
//! left out. An order that was found is replayed by `checker::verify`.
//!
//! Does not verify session guarantees. Says nothing where the budget did not suffice.

mod search;

use std::collections::BTreeMap;
use std::time::Duration;

use super::bank::BankModel;
use super::linearizability::{Budget, Outcome, budget::Meter, check};
use super::verify;
use crate::history::{Call, History, Observed, Operation};
use crate::op::Outcome as End;
use search::{Free, Machine, Task, search};

pub use search::Answer;

/// What a diagnosis may take, for each of its questions.
const TIME: Duration = Duration::from_secs(3);

/// Sentences for a report about a history that no order explains; none where nothing
/// was found out. `finals` tells whether final files were judged too.
pub fn explain(history: &History, model: &BankModel, finals: bool, budget: &Budget) -> Vec<String> {
    let budget = Budget { time: budget.time.min(TIME), memory: budget.memory / 4 };
    let alone = if finals { Some(check(history, model, &[], &budget)) } else { None };
    let told = match alone {
        Some(Outcome::Linearizable { .. }) => "is linearizable, only the final files do not fit",
        alone => match (sequentially_consistent(history, model, &budget), alone) {
            (Answer::Yes(_), Some(Outcome::Undecided { .. })) => {
                "is sequentially consistent (an order is known)"
            }
            (Answer::Yes(_), _) => {
                "is sequentially consistent (an order is known): only real time between processes is violated"
            }
            (Answer::No, _) => "is not even sequentially consistent",
            (Answer::Unknown, _) => return Vec::new(),
        },
    };
    vec![format!("diagnosis: what clients were told {told}")]
}

/// Whether some order is legal and keeps every process's own order; an order that is
/// told lists positions in the history's operations.
pub fn sequentially_consistent(history: &History, model: &BankModel, budget: &Budget) -> Answer {
    let bank = Bank { history, model };
    let task = processes(history);
    let mut meter = Meter::of(budget);
    let place = 16 * history.accounts.len() + 4 * task.chains.len() + task.free.len() / 8 + 160;
    meter.unit = 2 * place;
    match search(&bank, &task, |held| meter.tick(held).is_ok()) {
        Answer::Yes(order) if !replays(history, model, &task, &order) => Answer::Unknown,
        answer => answer,
    }
}

/// The operations of each process in the order in which it asked.
fn processes(history: &History) -> Task {
    let mut known: BTreeMap<u64, usize> = BTreeMap::new();
    let mut task = Task::default();
    for (at, operation) in history.operations.iter().enumerate() {
        let ended = operation.completion.as_ref().map_or(u64::MAX, |completion| completion.index);
        task.rank.push(ended);
        let chain = *known.entry(operation.process).or_insert_with(|| {
            task.chains.push(Vec::new());
            task.chains.len() - 1
        });
        match operation.outcome() {
            End::Ok => task.chains[chain].push(at),
            End::Info => {
                task.free.push(Free { operation: at, after: Some((chain, task.chains[chain].len())) })
            }
            End::Fail => {}
        }
    }
    task
}

/// Asks the verifier, with a history in which everything happened at once, and looks at
/// the order of each process.
fn replays(history: &History, model: &BankModel, task: &Task, order: &[usize]) -> bool {
    let mut timeless = history.clone();
    for operation in &mut timeless.operations {
        operation.invoke = 0;
        operation.completion.iter_mut().for_each(|completion| completion.index = u64::MAX);
    }
    let numbers: Vec<u32> = order.iter().filter_map(|&at| u32::try_from(at).ok()).collect();
    let mut place = vec![usize::MAX; history.operations.len()];
    order.iter().enumerate().for_each(|(at, &operation)| place[operation] = at);
    let ascending = task.chains.iter().all(|chain| chain.is_sorted_by_key(|&operation| place[operation]));
    let after = |free: &Free| match free.after {
        Some((chain, before)) if place[free.operation] != usize::MAX && before > 0 => {
            place[task.chains[chain][before - 1]] < place[free.operation]
        }
        _ => true,
    };
    ascending && task.free.iter().all(after) && verify::witness(&timeless, model, &[], &numbers).is_ok()
}

/// The bank with the results that clients were told.
struct Bank<'a> {
    history: &'a History,
    model: &'a BankModel,
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
}

/// Whether these balances are what a client was told, if it was told.
fn told(operation: &Operation, balances: &[i64]) -> bool {
    let known = operation.outcome() == End::Ok;
    let observed = operation.completion.as_ref().filter(|_| known).map(|completion| &completion.observed);
    let holds = |account: u32, value: i64| balances.get(account as usize) == Some(&value);
    match (&operation.call, observed) {
        (Call::Transfer { from, to, .. }, Some(Observed::Pair(pair))) => {
            holds(from.0, pair[0]) && holds(to.0, pair[1])
        }
        (_, Some(Observed::Balances(seen))) => seen.iter().all(|&(account, value)| holds(account.0, value)),
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checker::testing::Build;

    #[track_caller]
    fn diagnosed(history: &History, finals: bool, told: &str) {
        let said = explain(history, &BankModel::default(), finals, &Budget::default());
        assert_eq!(said, [format!("diagnosis: what clients were told {told}")]);
    }

    fn stale() -> History {
        Build::new().ok((0, 1), ("a", "b", 5), [95, 105]).read((2, 3), &[("a", 100)]).history()
    }

    #[test]
    fn a_stale_read_of_another_process_violates_real_time_alone() {
        let told =
            "is sequentially consistent (an order is known): only real time between processes is violated";
        diagnosed(&stale(), false, told);
        diagnosed(&stale(), true, told);
    }

    #[test]
    fn a_process_that_does_not_see_its_own_transfer_has_no_order_at_all() {
        let mut history = stale();
        history.operations[1].process = history.operations[0].process;
        diagnosed(&history, false, "is not even sequentially consistent");
    }

    #[test]
    fn files_that_do_not_fit_are_told_apart_from_what_clients_were_told() {
        let right = Build::new().ok((0, 1), ("a", "b", 5), [95, 105]).history();
        diagnosed(&right, true, "is linearizable, only the final files do not fit");
    }

    #[test]
    fn an_indeterminate_transfer_explains_only_what_its_process_did_before() {
        let lost = |own: bool| {
            let build = Build::new().read((0, 1), &[("a", 95)]).lost((2, 3), ("a", "b", 5), End::Info);
            let mut history = build.history();
            history.operations[1].process = if own { 0 } else { 1 };
            history
        };
        let order = |own| sequentially_consistent(&lost(own), &BankModel::default(), &Budget::default());
        assert_eq!(order(false), Answer::Yes(vec![1, 0]));
        assert_eq!(order(true), Answer::No);
    }
}
