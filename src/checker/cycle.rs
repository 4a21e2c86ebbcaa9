//! A proof in words that no order exists, where the order is forced: a cycle of
//! operations of which each must precede the next.
//!
//! In the manner of Elle (Kingsbury and Alvaro, VLDB 2020): not a search, but
//! edges that hold in every order, and a cycle among them. An edge rests on real
//! time, or on a value that an account takes exactly once:
//!
//! - whoever found the value comes after the one operation that left it there;
//! - whoever found the value comes before the one that took the account from it.
//!
//! Verifies nothing beyond that: without a cycle there may still be no order. An
//! account that an operation of unknown outcome may have changed forces nothing.
//! Must not know the search for an order.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use petgraph::algo::{kosaraju_scc, tarjan_scc};
use petgraph::graph::{DiGraph, NodeIndex};
use petgraph::visit::EdgeRef;
use rustc_hash::{FxHashMap, FxHashSet};

use super::bank::BankModel;
use super::linearizability::Final;
use crate::history::{AccountId, Call, History, Observed, Operation};
use crate::op::Outcome;
use crate::verdict::{Arrow, Picture, Shape};

/// The steps of a cycle, a sentence each, the last one naming the contradiction;
/// `None` where no cycle is forced.
pub fn explain(history: &History, model: &BankModel, finals: &[Final]) -> Option<Vec<String>> {
    find(history, model, finals).map(|cycle| cycle.sentences)
}

/// A cycle, told and drawn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cycle {
    /// Its steps, a sentence each, the last one naming the contradiction.
    pub sentences: Vec<String>,
    /// The same as a graph.
    pub picture: Picture,
}

/// As [`explain`], with a picture.
pub fn find(history: &History, model: &BankModel, finals: &[Final]) -> Option<Cycle> {
    let steps = steps(history, model, finals);
    let unclear = unclear(history, model);
    let mut graph = Order::of(&steps);
    for (account, uses) in by_account(&steps) {
        if !unclear.contains(&account) {
            graph.force(account, &uses, model.initial);
        }
    }
    let cycle = graph.named(&graph.shortest_cycle()?);
    Some(Cycle { sentences: in_words(&cycle, history, &steps), picture: picture(&cycle, history, &steps) })
}

/// One operation, as far as it is certain.
struct Step {
    name: String,
    /// Line of the invocation and of the completion.
    lines: (u64, u64),
    /// Per account: what it held before and after.
    seen: Vec<(AccountId, Change)>,
}

/// What an operation tells of one account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Change {
    /// What the account held before, where the reply leaves no doubt.
    before: Option<i64>,
    /// What it held afterwards.
    after: i64,
    /// It may have changed the account.
    may_change: bool,
}

impl Change {
    fn unchanged(value: i64) -> Self {
        Self { before: Some(value), after: value, may_change: false }
    }
}

/// A final file is a read after everything else.
const AFTER_ALL: (u64, u64) = (u64::MAX, u64::MAX);

fn steps(history: &History, model: &BankModel, finals: &[Final]) -> Vec<Step> {
    let acknowledged = history.operations.iter().filter(|operation| operation.outcome() == Outcome::Ok);
    let mut steps: Vec<Step> = acknowledged.filter_map(|operation| step(history, model, operation)).collect();
    steps.extend(finals.iter().map(|last| Step {
        name: format!("the final file of {}", last.node),
        lines: AFTER_ALL,
        seen: final_balances(history, model, last),
    }));
    steps
}

/// What a file does not name holds what it held at the beginning.
fn final_balances(history: &History, model: &BankModel, last: &Final) -> Vec<(AccountId, Change)> {
    let named: BTreeMap<&str, i64> =
        last.file.balances.iter().map(|(name, balance)| (name.as_str(), *balance)).collect();
    let all = (0u32..).zip(&history.accounts);
    let balance = |name: &String| named.get(name.as_str()).copied().unwrap_or(model.initial);
    all.map(|(id, name)| (AccountId(id), Change::unchanged(balance(name)))).collect()
}

fn step(history: &History, model: &BankModel, operation: &Operation) -> Option<Step> {
    let completion = operation.completion.as_ref()?;
    let seen = match (&operation.call, &completion.observed) {
        (Call::Transfer { from, to, amount }, Observed::Pair(after)) => {
            changes(model, (*from, *to), *amount, *after)?
        }
        (Call::Read, Observed::Balances(seen)) => {
            seen.iter().map(|&(account, value)| (account, Change::unchanged(value))).collect()
        }
        _ => return None,
    };
    let name = format!("#{} ({})", operation.invoke, describe(history, operation));
    Some(Step { name, lines: (operation.invoke, completion.index), seen })
}

fn describe(history: &History, operation: &Operation) -> String {
    match &operation.call {
        Call::Read => "read".into(),
        Call::Transfer { from, to, amount } => {
            format!("{} -> {} {amount}", history.account(*from), history.account(*to))
        }
    }
}

/// What a transfer's reply says of both accounts. Moved or refused, or not known
/// which: the rules of the bank decide. `None` if they allow neither: then nobody
/// knows what was done.
fn changes(
    model: &BankModel,
    (from, to): (AccountId, AccountId),
    amount: i64,
    after: [i64; 2],
) -> Option<Vec<(AccountId, Change)>> {
    if from == to {
        return (after[0] == after[1]).then(|| vec![(from, Change::unchanged(after[0]))]);
    }
    let before = after[0].checked_add(amount).zip(after[1].checked_sub(amount));
    let before = before.filter(|&(from, to)| model.transfer(from, to, amount) == Some(after));
    let moved = before.is_some() && amount != 0;
    let stayed = amount == 0 || model.transfer(after[0], after[1], amount).is_none();
    let change = |before: Option<i64>, after: i64| match (moved, stayed) {
        (true, true) => Change { before: None, after, may_change: true },
        (true, false) => Change { before, after, may_change: true },
        (false, _) => Change::unchanged(after),
    };
    (moved || stayed).then(|| {
        vec![
            (from, change(before.map(|pair| pair.0), after[0])),
            (to, change(before.map(|pair| pair.1), after[1])),
        ]
    })
}

/// Accounts that something of unknown outcome, or with a result that is unknown or
/// impossible, may have changed.
fn unclear(history: &History, model: &BankModel) -> BTreeSet<AccountId> {
    let mut unclear = BTreeSet::new();
    for operation in &history.operations {
        let Call::Transfer { from, to, amount } = operation.call else { continue };
        let certain = match operation.outcome() {
            Outcome::Ok => step(history, model, operation).is_some(),
            Outcome::Fail => true,
            Outcome::Info => from == to || !model.effective(amount),
        };
        if !certain {
            unclear.extend([from, to]);
        }
    }
    unclear
}

fn by_account(steps: &[Step]) -> BTreeMap<AccountId, Vec<(usize, Change)>> {
    let mut accounts: BTreeMap<AccountId, Vec<(usize, Change)>> = BTreeMap::new();
    for (number, step) in steps.iter().enumerate() {
        for &(account, change) in &step.seen {
            accounts.entry(account).or_default().push((number, change));
        }
    }
    accounts
}

/// Steps by a value that each tells of the account.
fn index<'a>(
    uses: impl Iterator<Item = &'a (usize, Change)>,
    value: impl Fn(&Change) -> Option<i64>,
) -> BTreeMap<i64, Vec<usize>> {
    let mut steps: BTreeMap<i64, Vec<usize>> = BTreeMap::new();
    for (number, change) in uses {
        if let Some(value) = value(change) {
            steps.entry(value).or_default().push(*number);
        }
    }
    steps
}

/// Why one operation must precede another.
#[derive(Debug, Clone, Copy)]
enum Because {
    /// Towards, along or from the line of time.
    Time,
    /// The second found the value that only the first left.
    Left(AccountId, i64),
    /// The second took the account from the value that the first found.
    Took(AccountId, i64),
}

/// What must precede what. Beside a node for each step stands one for each moment
/// at which a step returned: they chain real time with few edges.
struct Order {
    graph: DiGraph<Option<usize>, Because>,
    steps: Vec<NodeIndex>,
}

impl Order {
    fn of(steps: &[Step]) -> Self {
        let mut graph = DiGraph::new();
        let nodes: Vec<NodeIndex> = (0..steps.len()).map(|number| graph.add_node(Some(number))).collect();
        let mut returns: Vec<(u64, usize)> =
            (0..steps.len()).map(|number| (steps[number].lines.1, number)).collect();
        returns.sort_unstable();
        let moments: Vec<NodeIndex> = returns.iter().map(|_| graph.add_node(None)).collect();
        for pair in moments.windows(2) {
            graph.add_edge(pair[0], pair[1], Because::Time);
        }
        for (&(_, number), &moment) in returns.iter().zip(&moments) {
            graph.add_edge(nodes[number], moment, Because::Time);
        }
        for (number, step) in steps.iter().enumerate() {
            let before = returns.partition_point(|&(line, _)| line < step.lines.0);
            if before > 0 {
                graph.add_edge(moments[before - 1], nodes[number], Because::Time);
            }
        }
        Self { graph, steps: nodes }
    }

    /// Adds what the values of one account force. `uses`: every step that tells of it.
    fn force(&mut self, account: AccountId, uses: &[(usize, Change)], initial: i64) {
        let leavers = index(uses.iter().filter(|(_, change)| change.may_change), |change| Some(change.after));
        let takers = index(uses.iter(), |change| change.before.filter(|&before| before != change.after));
        for (number, change) in uses {
            let Some(value) = change.before else { continue };
            match (leavers.get(&value).map(Vec::as_slice), value == initial) {
                (Some([only]), false) if only != number => {
                    self.add(*only, *number, Because::Left(account, value));
                }
                (None, true) => {}
                // It may have held this value more than once, or never.
                _ => continue,
            }
            // Two that took it contradict each other already: more add nothing.
            let takers = takers.get(&value).into_iter().flatten().filter(|taker| *taker != number);
            for taker in takers.take(2) {
                self.add(*number, *taker, Because::Took(account, value));
            }
        }
    }

    fn add(&mut self, first: usize, second: usize, because: Because) {
        self.graph.add_edge(self.steps[first], self.steps[second], because);
    }

    /// A cycle of as few steps as any through the starting points that are tried.
    fn shortest_cycle(&self) -> Option<Vec<(NodeIndex, Because)>> {
        /// Enough for a short proof, cheap enough for a long history.
        const STARTS: usize = 64;
        /// Nodes, for which the smallest usual stack suffices.
        const RECURSIVE: usize = 4000;
        // Tarjan's is recursive here, a frame for each node of a path: a history of a
        // hundred thousand operations, one after the other, would overflow the stack.
        let deep = self.graph.node_count() > RECURSIVE;
        let knots = if deep { kosaraju_scc(&self.graph) } else { tarjan_scc(&self.graph) };
        let knot = knots.into_iter().filter(|knot| knot.len() > 1).min_by_key(Vec::len)?;
        let members: FxHashSet<NodeIndex> = knot.iter().copied().collect();
        let starts = knot.iter().filter(|&&node| self.graph[node].is_some()).take(STARTS);
        let cycles = starts.filter_map(|&start| self.cycle_through(start, &members));
        cycles.min_by_key(|cycle| cycle.iter().filter(|(node, _)| self.graph[*node].is_some()).count())
    }

    /// Breadth first from a node back to itself; moments of time cost nothing.
    fn cycle_through(
        &self,
        start: NodeIndex,
        knot: &FxHashSet<NodeIndex>,
    ) -> Option<Vec<(NodeIndex, Because)>> {
        let mut came: FxHashMap<NodeIndex, (NodeIndex, Because)> = FxHashMap::default();
        let mut left: FxHashSet<NodeIndex> = FxHashSet::default();
        let mut queue = VecDeque::from([start]);
        while let Some(node) = queue.pop_front() {
            if !left.insert(node) {
                continue;
            }
            for edge in self.graph.edges(node).filter(|edge| knot.contains(&edge.target())) {
                let target = edge.target();
                if target == start {
                    return Some(path(&came, start, (node, *edge.weight())));
                }
                if left.contains(&target) {
                    continue;
                }
                if self.graph[target].is_none() {
                    came.insert(target, (node, *edge.weight()));
                    queue.push_front(target);
                } else {
                    came.entry(target).or_insert((node, *edge.weight()));
                    queue.push_back(target);
                }
            }
        }
        None
    }

    /// The steps of a cycle. Moments of time are left out: what leads from step to step
    /// over them is "returned before".
    fn named(&self, cycle: &[(NodeIndex, Because)]) -> Vec<(usize, Because)> {
        cycle.iter().filter_map(|&(node, because)| Some((self.graph[node]?, because))).collect()
    }
}

fn in_words(cycle: &[(usize, Because)], history: &History, steps: &[Step]) -> Vec<String> {
    let next = cycle.iter().cycle().skip(1);
    let pairs = cycle.iter().zip(next);
    let mut lines: Vec<String> = pairs
        .map(|(&(first, because), &(second, _))| sentence(history, &steps[first], &steps[second], because))
        .collect();
    if let Some(last) = lines.last_mut() {
        last.push_str(": a contradiction");
    }
    lines
}

fn picture(cycle: &[(usize, Because)], history: &History, steps: &[Step]) -> Picture {
    let length = cycle.len();
    let arrow = |(at, &(_, because)): (usize, &(usize, Because))| Arrow {
        from: at,
        to: (at + 1) % length,
        why: label(history, because),
    };
    Picture {
        shape: Shape::Cycle,
        boxes: cycle.iter().map(|&(step, _)| vec![steps[step].name.clone()]).collect(),
        arrows: cycle.iter().enumerate().map(arrow).collect(),
    }
}

/// A few words beside an arrow.
fn label(history: &History, because: Because) -> String {
    match because {
        Because::Time => "returned before the next was invoked".into(),
        Because::Left(account, value) => {
            format!("left {} = {value}, which the next found", history.account(account))
        }
        Because::Took(account, value) => {
            format!("found {0} = {value}, from which the next took {0}", history.account(account))
        }
    }
}

fn path(
    came: &FxHashMap<NodeIndex, (NodeIndex, Because)>,
    start: NodeIndex,
    last: (NodeIndex, Because),
) -> Vec<(NodeIndex, Because)> {
    let mut edges = vec![last];
    let mut node = last.0;
    while node != start {
        let (before, because) = came[&node];
        edges.push((before, because));
        node = before;
    }
    edges.reverse();
    edges
}

fn sentence(history: &History, first: &Step, second: &Step, because: Because) -> String {
    let reason = match because {
        Because::Time => "it returned before the other was invoked".into(),
        Because::Left(account, value) => {
            format!(
                "the latter found {} at {value}, which only the former left there",
                history.account(account)
            )
        }
        Because::Took(account, value) => format!(
            "the former found {0} at {value}, the latter took {0} from {value}, and it is {value} only once",
            history.account(account)
        ),
    };
    format!("{} must precede {}, because {reason}", first.name, second.name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checker::testing::Build;
    use crate::op::Outcome;

    fn explained(build: Build) -> Option<Vec<String>> {
        explain(&build.history(), &BankModel::default(), &[])
    }

    #[test]
    fn a_stale_read_is_a_cycle_of_three_told_in_words() {
        let stale = Build::new()
            .ok((0, 10), ("a", "b", 5), [95, 105])
            .ok((20, 30), ("a", "c", 5), [90, 105])
            .read((40, 50), &[("a", 95)]);
        let lines = explained(stale).expect("a cycle");
        assert_eq!(
            lines,
            [
                "#2 (a -> c 5) must precede #4 (read), because it returned before the other was invoked",
                "#4 (read) must precede #2 (a -> c 5), because the former found a at 95, the latter took a from 95, and it is 95 only once: a contradiction",
            ]
        );
    }

    #[test]
    fn a_long_history_does_not_exhaust_the_stack() {
        let turn = |build: Build, at: u64| {
            let (from, to, left) =
                if at.is_multiple_of(2) { ("a", "b", [99, 101]) } else { ("b", "a", [100, 100]) };
            build.ok((at * 20, at * 20 + 10), (from, to, 1), left)
        };
        let long = (0..100_000).fold(Build::new(), turn);
        assert_eq!(explained(long), None);
    }

    #[test]
    fn two_transfers_that_took_the_same_money_contradict_each_other() {
        let lost_update =
            Build::new().ok((0, 100), ("a", "b", 5), [95, 105]).ok((1, 101), ("a", "c", 4), [96, 104]);
        let lines = explained(lost_update).expect("a cycle");
        assert_eq!(lines.len(), 2, "{lines:#?}");
        assert!(lines.iter().all(|line| line.contains("a from 100")), "{lines:#?}");
    }

    #[test]
    fn an_operation_of_unknown_outcome_forces_nothing_about_its_accounts() {
        let build = Build::new()
            .ok((0, 10), ("a", "b", 5), [95, 105])
            .ok((20, 30), ("a", "c", 5), [90, 105])
            .lost((31, 39), ("b", "a", 5), Outcome::Info)
            .read((40, 50), &[("a", 95)]);
        assert_eq!(explained(build), None);
    }

    #[test]
    fn what_one_order_explains_has_no_cycle() {
        let build = Build::new()
            .ok((0, 100), ("a", "b", 5), [95, 105])
            .ok((1, 90), ("a", "b", 5), [90, 110])
            .ok((95, 120), ("b", "a", 10), [100, 100]);
        assert_eq!(explained(build), None);
    }
}
