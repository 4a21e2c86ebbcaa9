//! Coverage: which faults met which role in which phase, how often, how long, and how
//! many operations of clients went on meanwhile.
//!
//! Read off the history alone, so that `check` and `report` tell the same as the run.
//! Counts, without an opinion on how much is enough; must not know how it is drawn.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::checker::node_life::{Interval, merged, of_operation};
use crate::fault::{Family, FaultKind, Node};
use crate::history::{ClusterWhat, FaultSpan, History, Phase};
use crate::workload::Workload;

/// What was covered, and what was asked for and never was.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Coverage {
    /// By fault, then phase, then role; what never met is no row.
    pub rows: Vec<Covered>,
    /// Kinds of faults that the workload asks for and that never took hold.
    pub never: Vec<FaultKind>,
}

/// One kind of fault at one role in one phase.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Covered {
    /// What was done.
    pub fault: FaultKind,
    /// While the run was in this phase.
    pub phase: Phase,
    /// To whom.
    pub role: Role,
    /// Faults that were on in this phase, at least for an instant.
    pub begun: u64,
    /// Those of them that were seen to take hold.
    pub held: u64,
    /// How long at least one that held was on within this phase, in nanoseconds.
    pub nanos: u64,
    /// Client operations that overlapped that time, each counted once.
    pub operations: u64,
}

/// What a fault got at: a node by what it does, or for network faults a kind of link.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// The coordinator.
    Coord,
    /// A replica.
    Srv,
    /// The link from the clients to the coordinator.
    ClientsCoord,
    /// A link from the coordinator to a replica.
    CoordSrv,
}

impl Role {
    /// Every role, in the order of reports.
    pub const ALL: [Self; 4] = [Self::Coord, Self::Srv, Self::ClientsCoord, Self::CoordSrv];

    /// The word of reports and of `run.json`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Coord => "coord",
            Self::Srv => "srv",
            Self::ClientsCoord => "clients-coord",
            Self::CoordSrv => "coord-srv",
        }
    }

    fn of(kind: FaultKind, node: Node) -> Self {
        match (kind.family() == Family::Network, node) {
            (false, Node::Coord) => Self::Coord,
            (false, Node::Srv(_)) => Self::Srv,
            (true, Node::Coord) => Self::ClientsCoord,
            (true, Node::Srv(_)) => Self::CoordSrv,
        }
    }
}

/// Of which something is counted.
type Cell = (FaultKind, Phase, Role);

#[derive(Default)]
struct Counted {
    begun: u64,
    held: u64,
    spans: Vec<Interval>,
}

/// Counts what a history covers of what its workload asks for.
pub fn of(history: &History, workload: &Workload) -> Coverage {
    let phases = phases(history);
    let mut cells: BTreeMap<Cell, Counted> = BTreeMap::new();
    for fault in &history.faults {
        for (cell, span) in met(history, &phases, fault) {
            let counted = cells.entry(cell).or_default();
            counted.begun += 1;
            counted.held += u64::from(fault.held);
            counted.spans.extend(fault.held.then_some(span));
        }
    }
    let operations: Vec<Interval> =
        history.operations.iter().map(|operation| of_operation(history, operation)).collect();
    let rows = cells.into_iter().map(|(cell, counted)| row(cell, counted, &operations)).collect();
    Coverage { rows, never: never(history, workload) }
}

/// The phases and when they were; a history from elsewhere is one faulty phase.
fn phases(history: &History) -> Vec<(Phase, Interval)> {
    let mut phases: Vec<(Phase, Interval)> = Vec::new();
    for event in &history.cluster {
        let ClusterWhat::Phase(phase) = event.what else { continue };
        if let Some((_, last)) = phases.last_mut() {
            last.end = event.time;
        }
        phases.push((phase, Interval { begin: event.time, end: history.end.max(event.time) }));
    }
    if phases.is_empty() {
        phases.push((Phase::Faulty, Interval { begin: 0, end: history.end }));
    }
    phases
}

/// The cells that a fault meets, with the time that it was on in each.
fn met(history: &History, phases: &[(Phase, Interval)], fault: &FaultSpan) -> BTreeMap<Cell, Interval> {
    let on = Interval { begin: fault.begin, end: fault.end.unwrap_or(history.end).max(fault.begin) };
    let roles: BTreeSet<Role> = fault.nodes.iter().map(|node| Role::of(fault.kind, *node)).collect();
    let within = phases.iter().filter_map(|(phase, span)| {
        let both = Interval { begin: on.begin.max(span.begin), end: on.end.min(span.end) };
        // A phase ends where the next begins: an instant at the border is in one of them.
        let lasting = both.begin < both.end || (on.begin == on.end && both.begin == both.end);
        lasting.then_some((*phase, both))
    });
    within
        .flat_map(|(phase, both)| roles.iter().map(move |role| ((fault.kind, phase, *role), both)))
        .collect()
}

fn row((fault, phase, role): Cell, counted: Counted, operations: &[Interval]) -> Covered {
    let Counted { begun, held, mut spans } = counted;
    spans.sort_unstable();
    let spans = merged(spans);
    let nanos = spans.iter().map(|span| span.end - span.begin).sum();
    let overlapped = operations.iter().filter(|operation| meets_any(&spans, **operation)).count() as u64;
    Covered { fault, phase, role, begun, held, nanos, operations: overlapped }
}

/// Whether an interval meets one of these, which are in order and apart.
fn meets_any(spans: &[Interval], found: Interval) -> bool {
    let first = spans.partition_point(|span| span.end < found.begin);
    spans.get(first).is_some_and(|span| span.meets(found))
}

fn never(history: &History, workload: &Workload) -> Vec<FaultKind> {
    let asked: BTreeSet<FaultKind> = workload.rules().iter().map(|rule| rule.fault).collect();
    let held = |kind: &FaultKind| history.faults.iter().any(|fault| fault.held && fault.kind == *kind);
    asked.into_iter().filter(|kind| !held(kind)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checker::testing::{Build, PLAIN};
    use crate::workload::parse;

    fn plain() -> Workload {
        parse("w.json", PLAIN).unwrap()
    }

    fn phased() -> Build {
        Build::new().phase(0, Phase::Setup).phase(10, Phase::Faulty).phase(100, Phase::Heal)
    }

    #[test]
    fn a_fault_that_outlasts_its_phase_counts_in_both() {
        let history = phased()
            .fault(90, Some(130), FaultKind::Pause, &[Node::Coord])
            .ok((50, 89), ("a", "b", 0), [100, 100])
            .ok((60, 95), ("a", "b", 0), [100, 100])
            .ok((98, 105), ("a", "b", 0), [100, 100])
            .ok((131, 140), ("a", "b", 0), [100, 100])
            .history();
        let covered = |phase, nanos, operations| Covered {
            fault: FaultKind::Pause,
            phase,
            role: Role::Coord,
            begun: 1,
            held: 1,
            nanos,
            operations,
        };
        let rows = of(&history, &plain()).rows;
        assert_eq!(rows, [covered(Phase::Faulty, 10, 2), covered(Phase::Heal, 30, 1)]);
    }

    #[test]
    fn overlapping_faults_of_a_kind_are_two_and_their_time_and_operations_count_once() {
        let history = phased()
            .fault(20, Some(40), FaultKind::Kill, &[Node::Srv(1), Node::Srv(2)])
            .fault(30, Some(50), FaultKind::Kill, &[Node::Srv(3)])
            .fault(60, Some(70), FaultKind::Kill, &[Node::Srv(3), Node::Coord])
            .ok((35, 65), ("a", "b", 0), [100, 100])
            .ok((52, 58), ("a", "b", 0), [100, 100])
            .history();
        let rows = of(&history, &plain()).rows;
        let told: Vec<_> =
            rows.iter().map(|row| (row.role, row.begun, row.held, row.nanos, row.operations)).collect();
        assert_eq!(told, [(Role::Coord, 1, 1, 10, 1), (Role::Srv, 3, 3, 40, 1)]);
    }

    #[test]
    fn what_did_not_take_hold_covers_nothing_and_network_faults_are_told_by_link() {
        let workload = r#"{"name":"x","duration":"1s","nemesis":[
            {"fault":"reset","target":"one","every":"1s"},{"fault":"drop","target":"coord","every":"1s"}]}"#;
        let mut history = phased()
            .fault(20, Some(40), FaultKind::Drop, &[Node::Coord, Node::Srv(2)])
            .fault(50, None, FaultKind::Reset, &[Node::Srv(1)])
            .ok((55, 150), ("a", "b", 0), [100, 100])
            .history();
        history.faults[1].held = false;
        let coverage = of(&history, &parse("w.json", workload).unwrap());
        let told = |row: &Covered| (row.fault, row.phase, row.role, row.held, row.nanos, row.operations);
        assert_eq!(
            coverage.rows.iter().map(told).collect::<Vec<_>>(),
            [
                (FaultKind::Drop, Phase::Faulty, Role::ClientsCoord, 1, 20, 0),
                (FaultKind::Drop, Phase::Faulty, Role::CoordSrv, 1, 20, 0),
                (FaultKind::Reset, Phase::Faulty, Role::CoordSrv, 0, 0, 0),
                (FaultKind::Reset, Phase::Heal, Role::CoordSrv, 0, 0, 0),
            ]
        );
        assert_eq!(coverage.never, [FaultKind::Reset]);
    }

    #[test]
    fn names_of_roles_are_those_of_run_json() {
        for role in Role::ALL {
            assert_eq!(serde_json::to_value(role).unwrap(), role.name());
        }
    }
}
