//! How service came back after each fault: figures, without an opinion.
//!
//! What a client could see: acknowledgements. Whether service was *owed* is the
//! business of the check `available`. Works on a history that ends anywhere.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::fault::Node;
use crate::history::{FaultSpan, History};
use crate::op::Outcome;

/// A gap between acknowledgements counts as an outage if it is so many times the
/// usual one, and at least [`LEAST`].
const TIMES: u64 = 10;
/// 50 ms.
const LEAST: u64 = 50_000_000;

/// Service around one fault. Times are nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Recovery {
    /// From its beginning to the first acknowledgement of an operation invoked after
    /// that; absent if none came.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_acknowledged: Option<u64>,
    /// Sum of the outages between its beginning and the first acknowledgement after
    /// its end: gaps between acknowledgements of more than `gap`.
    pub unavailable: u64,
    /// What counts as an outage in this run.
    pub gap: u64,
}

/// One for each fault, in their order.
pub fn of(history: &History) -> Vec<Recovery> {
    let mut ends: Vec<(u64, u64)> = acknowledged(history).collect();
    ends.sort_unstable();
    let gap = outage(&ends);
    let earliest = earliest(&ends);
    history.faults.iter().map(|fault| recovery(history, fault, &ends, &earliest, gap)).collect()
}

/// Completion and invocation of every acknowledged operation.
fn acknowledged(history: &History) -> impl Iterator<Item = (u64, u64)> + '_ {
    let operations = history.operations.iter().filter(|operation| operation.outcome() == Outcome::Ok);
    operations.filter_map(|operation| Some((operation.completion.as_ref()?.time, operation.invoked)))
}

fn outage(ends: &[(u64, u64)]) -> u64 {
    let mut gaps: Vec<u64> = ends.windows(2).map(|pair| pair[1].0 - pair[0].0).collect();
    gaps.sort_unstable();
    gaps.get(gaps.len() / 2).map_or(LEAST, |median| median.saturating_mul(TIMES).max(LEAST))
}

/// By invocation, descending: the earliest completion of what was invoked then or later.
fn earliest(ends: &[(u64, u64)]) -> Vec<(u64, u64)> {
    let mut invoked: Vec<(u64, u64)> = ends.iter().map(|&(end, invoked)| (invoked, end)).collect();
    invoked.sort_unstable();
    let mut least = u64::MAX;
    for pair in invoked.iter_mut().rev() {
        least = least.min(pair.1);
        pair.1 = least;
    }
    invoked
}

fn recovery(
    history: &History,
    fault: &FaultSpan,
    ends: &[(u64, u64)],
    earliest: &[(u64, u64)],
    gap: u64,
) -> Recovery {
    let after = earliest.partition_point(|&(invoked, _)| invoked < fault.begin);
    let next_acknowledged = earliest.get(after).map(|&(_, end)| end - fault.begin);
    let first = ends.partition_point(|&(end, _)| end <= fault.begin);
    let healed = fault.end.unwrap_or(history.end);
    let mut since = first.checked_sub(1).map_or(fault.begin, |at| ends[at].0);
    let mut unavailable = 0;
    for until in ends[first..].iter().map(|&(end, _)| end).chain([history.end]) {
        let silent = until.saturating_sub(since);
        if silent > gap {
            unavailable += until.saturating_sub(since.max(fault.begin));
        }
        since = until;
        if until >= healed {
            break;
        }
    }
    Recovery { next_acknowledged, unavailable, gap }
}

/// What a replica had reached of the common log, as seen on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    /// Which replica.
    pub node: Node,
    /// When it said so, nanoseconds since the run began.
    pub time: u64,
    /// The index that it named.
    pub index: u64,
}

/// From the end of a fault until its slowest replica had reached what the furthest
/// one had at that moment; `None` if the wire does not tell. `positions` are in the
/// order of time.
pub fn catch_up(fault: &FaultSpan, positions: &[Position]) -> Option<u64> {
    let healed = fault.end?;
    let goal = positions.iter().take_while(|at| at.time <= healed).map(|at| at.index).max()?;
    let replicas = fault.nodes.iter().filter(|node| **node != Node::Coord);
    let reached = |node: &Node| {
        let own = positions.iter().filter(|at| at.node == *node && at.index >= goal);
        own.map(|at| at.time.saturating_sub(healed)).min()
    };
    replicas.map(reached).collect::<Option<Vec<u64>>>()?.into_iter().max()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checker::testing::*;
    use crate::fault::FaultKind;

    const MS: u64 = 1_000_000;

    fn steady(build: Build, tens: std::ops::Range<u64>) -> Build {
        tens.fold(build, |build, at| {
            build.ok((at * 10 * MS, at * 10 * MS + 5 * MS), ("a", "b", 0), [100, 100])
        })
    }

    #[test]
    fn an_outage_is_measured_from_the_fault_on_and_a_steady_rate_is_none() {
        let build = steady(Build::new(), 0..100).fault(S, Some(2 * S), FaultKind::Kill, &[Node::Srv(1)]);
        let history = steady(build, 220..300).history();
        let recovery = of(&history)[0];
        assert_eq!(recovery.next_acknowledged, Some(1205 * MS));
        assert_eq!((recovery.unavailable, recovery.gap), (1205 * MS, 100 * MS));
        let calm = steady(Build::new().fault(S / 2, Some(S), FaultKind::Delay, &[Node::Srv(1)]), 0..300);
        assert_eq!(of(&calm.history())[0].unavailable, 0);
    }

    #[test]
    fn a_fault_after_which_nobody_was_served_has_no_next_operation() {
        let history = steady(Build::new(), 0..10)
            .fault(S, None, FaultKind::Kill, &[Node::Coord])
            .phase(3 * S, crate::history::Phase::Heal);
        let recovery = of(&history.history())[0];
        assert_eq!((recovery.next_acknowledged, recovery.unavailable), (None, 2 * S));
    }

    #[test]
    fn a_replica_has_caught_up_when_it_holds_what_the_furthest_one_held_at_the_healing() {
        let history = Build::new().fault(0, Some(10), FaultKind::Pause, &[Node::Srv(2)]).history();
        let at = |node: u16, time, index| Position { node: Node::Srv(node), time, index };
        let seen = [at(2, 1, 3), at(1, 5, 9), at(2, 12, 5), at(1, 14, 12), at(2, 17, 9)];
        assert_eq!(catch_up(&history.faults[0], &seen), Some(7));
        assert_eq!(catch_up(&history.faults[0], &seen[..3]), None);
    }
}
