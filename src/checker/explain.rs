//! Words about one replica whose file stands apart: what happened to it during
//! the run, and whether its file is what the operations after its restart alone
//! would leave.
//!
//! Verifies nothing: it explains a difference that `replicas` found. Nearness in
//! time is not cause, so it says "during" and "after"; the one claim about
//! content is checked by replaying.

use std::collections::BTreeMap;

use super::bank::BankModel;
use super::count;
use super::node_life::{acknowledged_until, of_operation, seconds};
use crate::fault::Node;
use crate::history::data_file::DataFile;
use crate::history::{AccountId, Call, ClusterWhat, History, Observed, Operation};
use crate::op::Outcome;
use crate::recorded::Recorded;

/// The latest time that a node ended and was started again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Restart {
    /// When its process ended, nanoseconds since the run began.
    pub ended: u64,
    /// When it was started again.
    pub started: u64,
    /// How many restarts there were.
    pub number: u64,
}

/// The latest restart of a node, if there was one.
pub fn last_restart(history: &History, node: Node) -> Option<Restart> {
    let (mut ended, mut number, mut last) = (None, 0, None);
    for event in &history.cluster {
        match &event.what {
            ClusterWhat::Exit { node: of, .. } if *of == node => ended = Some(event.time),
            ClusterWhat::Start(of) if *of == node => {
                number += u64::from(ended.is_some());
                let restart = |ended| Restart { ended, started: event.time, number };
                last = ended.take().map(restart).or(last);
            }
            _ => {}
        }
    }
    last
}

/// `srv-2 was killed at 3.20 s (after 120 acknowledged operations) and started
/// again at 4.00 s`.
pub fn restarted(history: &History, node: Node, restart: Restart) -> String {
    let killed = history.faults.iter().any(|fault| {
        let covers = fault.begin <= restart.ended && fault.end.is_none_or(|end| restart.ended <= end);
        let ends = fault.kind.ends_process() || fault.kind == crate::fault::FaultKind::PowerFailure;
        ends && fault.nodes.contains(&node) && covers
    });
    let how = if killed { "was killed" } else { "ended" };
    let often =
        if restart.number > 1 { format!(", its restart number {}", restart.number) } else { String::new() };
    format!(
        "{node} {how} at {} (after {}) and started again at {}{often}",
        seconds(restart.ended),
        count(acknowledged_until(history, restart.ended), "acknowledged operation"),
        seconds(restart.started),
    )
}

/// A replay is tried from at most this many places around a restart.
const PLACES: usize = 200;

/// Whether `file` holds exactly what the operations after `restart` leave when
/// they begin from the initial state; if so, how many transfers these are.
///
/// `order` explains the history (positions in its operations); without it the
/// order of acknowledgements stands in, which is exact for a coordinator that
/// serves one client at a time and otherwise a guess that the replay must confirm.
pub fn only_since(
    recorded: &Recorded,
    file: &DataFile,
    restart: Restart,
    order: Option<&[usize]>,
) -> Option<usize> {
    let history = &recorded.history;
    let model = recorded.workload.model.parse::<BankModel>().ok()?;
    let order = order.map_or_else(|| acknowledged_order(history), <[usize]>::to_vec);
    let operations: Vec<&Operation> = order.iter().filter_map(|&at| history.operations.get(at)).collect();
    let wanted: BTreeMap<&str, i64> =
        file.balances.iter().map(|(name, balance)| (name.as_str(), *balance)).collect();
    let after = |operation: &&Operation| of_operation(history, operation).end >= restart.ended;
    let first = operations.iter().position(after).unwrap_or(operations.len());
    let mut places = first..=operations.len().min(first + PLACES);
    places.find_map(|place| {
        let left = replay(history, &operations[place..], model);
        agrees(history, left, &wanted, model, restart).then_some(operations.len() - place)
    })
}

/// The replayed state itself, or with one more operation whose outcome nobody
/// knows: a coordinator that dies in mid-request leaves such a one.
fn agrees(
    history: &History,
    left: State,
    wanted: &BTreeMap<&str, i64>,
    model: BankModel,
    restart: Restart,
) -> bool {
    let same = |state: &State| {
        state.len() == wanted.len()
            && state.iter().all(|(&id, balance)| wanted.get(history.account(id)) == Some(balance))
    };
    let unknown = |operation: &&Operation| {
        operation.outcome() == Outcome::Info && of_operation(history, operation).end >= restart.ended
    };
    let with_one_more = |operation: &Operation| {
        let mut state = left.clone();
        apply(&mut state, operation, model);
        same(&state)
    };
    same(&left) || history.operations.iter().filter(unknown).take(64).any(with_one_more)
}

/// Positions of operations that ended `ok`, in the order of their replies.
pub(super) fn acknowledged_order(history: &History) -> Vec<usize> {
    let operations = history.operations.iter().enumerate();
    let mut ended: Vec<(u64, usize)> = operations
        .filter(|(_, operation)| operation.outcome() == Outcome::Ok)
        .filter_map(|(at, operation)| Some((operation.completion.as_ref()?.index, at)))
        .collect();
    ended.sort_unstable();
    ended.into_iter().map(|(_, at)| at).collect()
}

type State = BTreeMap<AccountId, i64>;

fn replay(history: &History, operations: &[&Operation], model: BankModel) -> State {
    let mut state = vec![None; history.accounts.len()];
    for operation in operations {
        let Call::Transfer { from, to, amount } = operation.call else { continue };
        let [from, to] = [from.0 as usize, to.0 as usize];
        let debited = *state[from].get_or_insert(model.initial);
        let credited = *state[to].get_or_insert(model.initial);
        if let Some([debited, credited]) = model.transfer(debited, credited, amount).filter(|_| from != to) {
            (state[from], state[to]) = (Some(debited), Some(credited));
        }
    }
    let named = (0..).map(AccountId).zip(state);
    named.filter_map(|(id, balance)| Some((id, balance?))).collect()
}

fn apply(state: &mut State, operation: &Operation, model: BankModel) {
    let Call::Transfer { from, to, amount } = operation.call else { return };
    let debited = *state.entry(from).or_insert(model.initial);
    let credited = *state.entry(to).or_insert(model.initial);
    if let Some([debited, credited]) = model.transfer(debited, credited, amount).filter(|_| from != to) {
        state.insert(from, debited);
        state.insert(to, credited);
    }
}

/// A balance that every order must end with, and the line that told of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Forced {
    /// Money units.
    pub balance: i64,
    /// Index of the completion line.
    pub line: u64,
}

/// For each account whose last reply was asked for after everything else on that
/// account had been acknowledged: its final balance, beyond doubt.
///
/// An operation of unknown outcome on the account leaves it in doubt.
pub fn forced_balances(history: &History) -> BTreeMap<AccountId, Forced> {
    let mut touches: BTreeMap<AccountId, Vec<&Operation>> = BTreeMap::new();
    for operation in history.operations.iter().filter(|operation| operation.outcome() != Outcome::Fail) {
        if let Call::Transfer { from, to, .. } = operation.call {
            touches.entry(from).or_default().push(operation);
            touches.entry(to).or_default().push(operation);
        }
    }
    touches.into_iter().filter_map(|(id, operations)| Some((id, forced(id, &operations)?))).collect()
}

fn forced(id: AccountId, operations: &[&Operation]) -> Option<Forced> {
    let last = operations.iter().max_by_key(|operation| operation.invoke)?;
    let before = |other: &&Operation| {
        let ended = other.completion.as_ref().is_some_and(|ended| ended.index < last.invoke);
        let harmless = matches!(other.call, Call::Transfer { from, to, amount } if from == to || amount == 0);
        other.invoke == last.invoke || harmless || (other.outcome() == Outcome::Ok && ended)
    };
    let completion = last.completion.as_ref()?;
    let (Call::Transfer { from, .. }, Observed::Pair(pair)) = (&last.call, &completion.observed) else {
        return None;
    };
    let balance = if *from == id { pair[0] } else { pair[1] };
    operations.iter().all(before).then_some(Forced { balance, line: completion.index })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checker::testing::*;
    use crate::history::data_file::parse_data_file;

    #[test]
    fn a_probe_after_everything_else_forces_the_balances_that_it_read() {
        let quiet =
            Build::new().ok((0, 1), ("a", "b", 5), [95, 105]).ok((2, 3), ("b", "a", 0), [105, 95]).history();
        let forced = forced_balances(&quiet);
        assert_eq!(forced[&AccountId(0)], Forced { balance: 95, line: 3 });
        assert_eq!(forced[&AccountId(1)], Forced { balance: 105, line: 3 });
    }

    #[test]
    fn concurrency_or_an_unknown_outcome_leaves_balances_in_doubt() {
        let both = Build::new().ok((0, 9), ("a", "b", 5), [95, 105]).ok((2, 3), ("b", "a", 0), [100, 100]);
        let mut late = both.history();
        late.operations[0].completion.as_mut().unwrap().index = 99;
        assert!(forced_balances(&late).is_empty());
        let unknown =
            Build::new().lost((0, 1), ("a", "c", 5), Outcome::Info).ok((2, 3), ("b", "a", 0), [100, 95]);
        assert_eq!(forced_balances(&unknown.history()).len(), 1, "b alone is certain");
    }

    #[test]
    fn a_file_that_forgot_what_came_before_a_restart_is_recognised() {
        let recorded = Build::new()
            .ok((0, 10), ("a", "b", 90), [10, 190])
            .exit(20, Node::Srv(2), true, "")
            .started(30, Node::Srv(2))
            .ok((40, 50), ("a", "c", 20), [10, 100])
            .recorded(PLAIN, &[]);
        let restart = last_restart(&recorded.history, Node::Srv(2)).unwrap();
        assert_eq!(restart, Restart { ended: 20, started: 30, number: 1 });
        let holds =
            |text: &str| only_since(&recorded, &parse_data_file(text.as_bytes()).unwrap(), restart, None);
        assert_eq!(holds("# t\na 80\nc 120\n"), Some(1), "its own guard lets the money go");
        assert_eq!(holds("# t\na 10\nb 190\nc 100\n"), None);
    }
}
