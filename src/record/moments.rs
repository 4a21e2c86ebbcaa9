//! Where in a run each violation is: a moment, the operations and nodes that its
//! words name, and what went on there.
//!
//! Nearness in time is not cause: the sentences say "during" and "n ms after", and
//! nothing more. The checks name operations as `#INDEX` of their invocation line, and
//! nodes by name; this is read off their words, so that a reader finds what was said
//! in the timeline. Judges nothing.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Judged;
use crate::checker::count;
use crate::checker::node_life::{down, phase_begin, seconds};
use crate::fault::Node;
use crate::history::{ClusterWhat, FaultSpan, History, Operation, Phase};
use crate::op::Outcome;
use crate::recorded::Recorded;
use crate::verdict::{CheckName, CheckResult, Verdict};

/// Operations of one moment; more are left to the words.
const OPERATIONS: usize = 200;
/// A fault that ended at most so long before is mentioned.
const LATELY: u64 = 5_000_000_000;
/// Sentences about what went on.
const SENTENCES: usize = 8;

/// Where a violation is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Moment {
    /// Which check found it.
    pub check: CheckName,
    /// When, nanoseconds since the run began.
    pub time: u64,
    /// `index` of the invocations of the operations concerned, as the check names them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub operations: Vec<u64>,
    /// The nodes concerned.
    #[schemars(with = "Vec<String>")]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub nodes: Vec<Node>,
    /// What went on at that moment, in sentences.
    pub around: Vec<String>,
}

/// One for each violation, in the order of the checks.
pub fn of(judged: &Judged, recorded: &Recorded) -> Vec<Moment> {
    let wrong = judged.checks.iter().filter(|check| check.verdict == Some(Verdict::Violation));
    wrong.map(|check| moment(check, judged, &recorded.history)).collect()
}

fn moment(check: &CheckResult, judged: &Judged, history: &History) -> Moment {
    let words = || std::iter::once(&check.message).chain(&check.details);
    let mut operations: Vec<&Operation> = Vec::new();
    for index in words().flat_map(|text| numbers(text)) {
        let found = history.operations.binary_search_by_key(&index, |operation| operation.invoke);
        let found = found.ok().map(|at| &history.operations[at]);
        if let Some(operation) = found.filter(|_| operations.len() < OPERATIONS)
            && operations.iter().all(|known| known.invoke != operation.invoke)
        {
            operations.push(operation);
        }
    }
    let mut nodes: Vec<Node> = Vec::new();
    for node in
        nodes_in(&check.message).into_iter().chain(check.details.iter().flat_map(|text| nodes_in(text)))
    {
        if !nodes.contains(&node) {
            nodes.push(node);
        }
    }
    let time = time(check, judged, history, operations.first().copied(), &nodes);
    let around = around(history, time, &nodes);
    let operations = operations.iter().map(|operation| operation.invoke).collect();
    Moment { check: check.name, time, operations, nodes, around }
}

/// The return of the operation that nothing explains; an end that nobody asked for;
/// the first operation that is named; the last end of the first node that is named;
/// the end of the run.
fn time(
    check: &CheckResult,
    judged: &Judged,
    history: &History,
    named: Option<&Operation>,
    nodes: &[Node],
) -> u64 {
    let fails = judged.order.as_ref().and_then(|order| order.fails_at);
    let failing = fails.and_then(|at| history.operations.get(at as usize));
    let exits = |asked_too: bool| {
        history.cluster.iter().filter_map(move |event| match &event.what {
            ClusterWhat::Exit { node, asked, .. } if asked_too || !asked => Some((*node, event.time)),
            _ => None,
        })
    };
    let collected = phase_begin(history, Phase::Collect).unwrap_or(history.end);
    let exit_of = |node: &Node| exits(true).rfind(|exit| exit.0 == *node && exit.1 < collected);
    let told = match check.name {
        CheckName::Linearizable => {
            failing.map(|operation| operation.completion.as_ref().map_or(operation.invoked, |end| end.time))
        }
        CheckName::UnrequestedExit => exits(false).next().map(|exit| exit.1),
        _ => None,
    };
    told.or(named.map(|operation| operation.invoked))
        .or_else(|| nodes.iter().find_map(exit_of).map(|exit| exit.1))
        .unwrap_or(collected)
}

/// What follows each `#` of a text, if it is a number.
fn numbers(text: &str) -> Vec<u64> {
    let after = text.split('#').skip(1);
    after
        .filter_map(|rest| {
            let end = rest.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(rest.len());
            rest[..end].parse().ok()
        })
        .collect()
}

fn nodes_in(text: &str) -> Vec<Node> {
    let words = text.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '-');
    words.filter_map(|word| word.parse().ok()).collect()
}

fn around(history: &History, time: u64, nodes: &[Node]) -> Vec<String> {
    let ends = |fault: &FaultSpan| fault.end.unwrap_or(u64::MAX);
    let during = history.faults.iter().filter(|fault| fault.begin <= time && time <= ends(fault));
    let mut said: Vec<String> = during.take(SENTENCES / 2).map(|fault| within(fault, time)).collect();
    if said.is_empty() {
        let ended = history.faults.iter().filter(|fault| ends(fault) < time && time - ends(fault) <= LATELY);
        said.extend(
            ended.max_by_key(|fault| fault.end).map(|fault| {
                format!("{} ms after the end of the {}", millis(time - ends(fault)), named(fault))
            }),
        );
    }
    said.extend(nodes.iter().filter_map(|&node| not_up(history, node, time)));
    said.extend(open(history, time));
    said.truncate(SENTENCES);
    said
}

fn within(fault: &FaultSpan, time: u64) -> String {
    let until =
        fault.end.map_or(" that never ended".into(), |end| format!(", which ended at {}", seconds(end)));
    format!("during the {}, {} ms after it began{until}", named(fault), millis(time - fault.begin))
}

fn named(fault: &FaultSpan) -> String {
    let nodes: Vec<String> = fault.nodes.iter().map(Node::to_string).collect();
    match nodes.as_slice() {
        [] => fault.kind.to_string(),
        names => format!("{} of {}", fault.kind, names.join(", ")),
    }
}

fn millis(nanos: u64) -> String {
    if nanos < 10_000_000 { format!("{:.1}", nanos as f64 / 1e6) } else { (nanos / 1_000_000).to_string() }
}

fn not_up(history: &History, node: Node, time: u64) -> Option<String> {
    let spans = down(history, node);
    let span = spans.iter().find(|span| (span.begin..span.end).contains(&time))?;
    Some(format!("{node} was not up, since {}", seconds(span.begin)))
}

fn open(history: &History, time: u64) -> Option<String> {
    let until = history.operations.partition_point(|operation| operation.invoked <= time);
    let begun = &history.operations[..until];
    let over = |operation: &&Operation| operation.completion.as_ref().is_some_and(|end| end.time < time);
    let open = begun.iter().filter(|operation| !over(operation)).count() as u64;
    let unknown = begun.iter().filter(over).filter(|operation| operation.outcome() == Outcome::Info).count();
    let said = format!("{} under way", count(open, "operation"));
    let unknown = match unknown {
        0 => String::new(),
        some => format!("; of {} before it nobody knows the outcome", count(some as u64, "operation")),
    };
    (!begun.is_empty()).then(|| said + &unknown)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checker::testing::*;
    use crate::checker::{BankEngine, judge};
    use crate::fault::FaultKind;

    fn moments(recorded: &Recorded) -> Vec<Moment> {
        of(&Judged::from(&judge(recorded, &BankEngine::new(recorded))), recorded)
    }

    #[test]
    fn a_stale_read_is_found_at_its_return_with_what_went_on_there() {
        let build = Build::new()
            .ok((S, 2 * S), ("a", "b", 5), [95, 105])
            .fault(3 * S, Some(5 * S), FaultKind::Pause, &[Node::Srv(2)])
            .read((3 * S, 4 * S), &[("a", 100)]);
        let moments = moments(&build.recorded(PLAIN, &[]));
        let moment = moments.iter().find(|moment| moment.check == CheckName::Linearizable).unwrap();
        assert_eq!((moment.time, moment.operations.contains(&3)), (4 * S, true), "{moment:?}");
        let during = "during the pause of srv-2, 1000 ms after it began, which ended at 5.00 s";
        assert_eq!(moment.around[0], during);
    }

    #[test]
    fn an_end_that_nobody_asked_for_is_the_moment_itself() {
        let build = Build::new()
            .phase(S, Phase::Faulty)
            .fault(S, Some(2 * S), FaultKind::Kill, &[Node::Srv(1)])
            .exit(2 * S + 7_000_000, Node::Coord, false, "exit status 1");
        let moments = moments(&build.recorded(PLAIN, &[]));
        let moment = moments.iter().find(|moment| moment.check == CheckName::UnrequestedExit).unwrap();
        assert_eq!((moment.time, &moment.nodes[..1]), (2 * S + 7_000_000, &[Node::Coord][..]));
        assert_eq!(moment.around[0], "7.0 ms after the end of the kill of srv-1");
    }

    #[test]
    fn only_what_is_an_operation_is_taken_for_one() {
        assert_eq!(numbers("#12 (a -> b 5), #x and #7"), [12, 7]);
        assert_eq!(nodes_in("srv-2's file lacks it; coord, srv-0"), [Node::Srv(2), Node::Coord]);
    }
}
