//! When each node was up, down or under a fault, as the history tells it.
//!
//! Verifies nothing itself. Times are nanoseconds since the run began; intervals
//! are half open. A node of which the history says nothing counts as up.

use crate::fault::{Family, Node};
use crate::history::{ClusterEvent, ClusterWhat, FaultSpan, History, Operation, Phase};

/// A stretch of the run, from `begin` up to but not including `end`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Interval {
    /// First nanosecond.
    pub begin: u64,
    /// The nanosecond after the last.
    pub end: u64,
}

impl Interval {
    /// Whether the two overlap or touch.
    pub fn meets(self, other: Self) -> bool {
        self.begin <= other.end && other.begin <= self.end
    }
}

/// From invocation to completion, or to the end of the history.
pub fn of_operation(history: &History, operation: &Operation) -> Interval {
    let end = operation.completion.as_ref().map_or(history.end, |completion| completion.time);
    Interval { begin: operation.invoked, end: end.max(operation.invoked) }
}

/// When no process of the node was ready to serve, in order: from its start or
/// its exit until it printed its port.
pub fn down(history: &History, node: Node) -> Vec<Interval> {
    let mut spans = Vec::new();
    let mut since = None;
    for event in &history.cluster {
        match &event.what {
            ClusterWhat::Start(of) | ClusterWhat::Exit { node: of, .. } if *of == node => {
                since.get_or_insert(event.time);
            }
            ClusterWhat::Ready(of) if *of == node => {
                spans.extend(since.take().map(|begin| Interval { begin, end: event.time }));
            }
            _ => {}
        }
    }
    spans.extend(since.map(|begin| Interval { begin, end: u64::MAX }));
    spans
}

/// When the node was down or named by any fault: merged, in order.
pub fn hindered(history: &History, node: Node) -> Vec<Interval> {
    hindered_by(history, node, |_| true)
}

/// When the node was down or named by a fault that counts: merged, in order. A wrong
/// clock is no excuse.
pub fn hindered_by(history: &History, node: Node, counts: impl Fn(&FaultSpan) -> bool) -> Vec<Interval> {
    let faults = history
        .faults
        .iter()
        .filter(|fault| fault.nodes.contains(&node) && fault.kind.family() != Family::Clock && counts(fault));
    let mut spans: Vec<Interval> = faults
        .map(|fault| Interval { begin: fault.begin, end: fault.end.unwrap_or(u64::MAX) })
        .chain(down(history, node))
        .collect();
    spans.sort_unstable();
    merged(spans)
}

/// Overlapping intervals as one.
pub fn merged(sorted: Vec<Interval>) -> Vec<Interval> {
    let mut merged: Vec<Interval> = Vec::with_capacity(sorted.len());
    for span in sorted {
        match merged.last_mut() {
            Some(last) if span.begin <= last.end => last.end = last.end.max(span.end),
            _ => merged.push(span),
        }
    }
    merged
}

/// Whether the node's process was ready at `time`.
pub fn up_at(history: &History, node: Node, time: u64) -> bool {
    down(history, node).iter().all(|span| !(span.begin..span.end).contains(&time))
}

/// When a phase began, if the run came so far.
pub fn phase_begin(history: &History, phase: Phase) -> Option<u64> {
    let begins = |event: &&ClusterEvent| event.what == ClusterWhat::Phase(phase);
    history.cluster.iter().find(begins).map(|event| event.time)
}

/// Acknowledged operations up to and including `time`.
pub fn acknowledged_until(history: &History, time: u64) -> u64 {
    let completions = history.operations.iter().filter_map(|operation| operation.completion.as_ref());
    completions.filter(|end| end.outcome == crate::op::Outcome::Ok && end.time <= time).count() as u64
}

/// A time of the run for a sentence: `3.25 s`.
pub fn seconds(nanos: u64) -> String {
    format!("{:.2} s", nanos as f64 / 1e9)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checker::testing::*;

    #[test]
    fn a_node_is_down_from_its_exit_until_it_is_ready_again() {
        let history = Build::new()
            .started(0, Node::Srv(1))
            .ready(5, Node::Srv(1))
            .exit(20, Node::Srv(1), true, "")
            .started(25, Node::Srv(1))
            .ready(30, Node::Srv(1))
            .history();
        let down = down(&history, Node::Srv(1));
        assert_eq!(down, [Interval { begin: 0, end: 5 }, Interval { begin: 20, end: 30 }]);
        assert!(!up_at(&history, Node::Srv(1), 20) && up_at(&history, Node::Srv(1), 30));
        assert!(up_at(&history, Node::Srv(2), 20), "nothing is known of it");
    }

    #[test]
    fn a_fault_and_the_outage_within_it_are_one_hindrance() {
        let history = Build::new()
            .fault(10, Some(40), crate::fault::FaultKind::Kill, &[Node::Srv(1)])
            .exit(12, Node::Srv(1), true, "")
            .ready(35, Node::Srv(1))
            .history();
        assert_eq!(hindered(&history, Node::Srv(1)), [Interval { begin: 10, end: 40 }]);
    }
}
