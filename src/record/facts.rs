//! Counts for `run.json`: what a history holds, without an opinion.
//!
//! Must not know of checks or verdicts; works on a history that ends anywhere.

use super::coverage;
use super::{FaultRecord, Latency, Operations, PhaseSpan, RunRecord, SkippedRecord};
use crate::checker::assumptions::overlapped;
use crate::history::{ClusterWhat, FaultSpan, History, Operation};
use crate::op::Outcome;

/// Fills in everything that can be read off a history.
pub fn take(record: &mut RunRecord, history: &History) {
    record.phases = phases(history);
    record.faults = history.faults.iter().map(|fault| executed(history, fault)).collect();
    record.skipped_faults = skipped(history);
    record.recovery = super::recovery::of(history);
    record.coverage = coverage::of(history, &record.workload);
    record.operations = operations(history);
    record.latency = latency(history);
}

fn phases(history: &History) -> Vec<PhaseSpan> {
    let mut phases: Vec<PhaseSpan> = Vec::new();
    for event in &history.cluster {
        let ClusterWhat::Phase(phase) = event.what else { continue };
        if let Some(last) = phases.last_mut() {
            last.end = Some(event.time);
        }
        phases.push(PhaseSpan { phase, begin: event.time, end: None });
    }
    phases
}

fn executed(history: &History, fault: &FaultSpan) -> FaultRecord {
    FaultRecord {
        id: fault.id,
        kind: fault.kind,
        nodes: fault.nodes.clone(),
        begin: fault.begin,
        end: fault.end,
        held: fault.held,
        overlapped: overlapped(history, fault),
        acknowledged_before: fault.place.acknowledged,
        observed: fault.observed.clone(),
        error: fault.error.clone(),
    }
}

fn skipped(history: &History) -> Vec<SkippedRecord> {
    let record = |skipped: &crate::history::SkippedFault| SkippedRecord {
        kind: skipped.kind,
        nodes: skipped.nodes.clone(),
        time: skipped.time,
        reason: skipped.reason.clone(),
    };
    history.skipped_faults.iter().map(record).collect()
}

fn operations(history: &History) -> Operations {
    let mut counts = Operations::default();
    for operation in &history.operations {
        match operation.outcome() {
            Outcome::Ok => counts.ok += 1,
            Outcome::Fail => counts.fail += 1,
            Outcome::Info => counts.info += 1,
        }
    }
    counts
}

fn latency(history: &History) -> Option<Latency> {
    let acknowledged = history.operations.iter().filter(|operation| operation.outcome() == Outcome::Ok);
    let mut times: Vec<u64> = acknowledged.filter_map(duration).collect();
    times.sort_unstable();
    let max = *times.last()?;
    let quantile = |percent: usize| times[(times.len() - 1) * percent / 100];
    Some(Latency { p50: quantile(50), p99: quantile(99), max })
}

fn duration(operation: &Operation) -> Option<u64> {
    Some(operation.completion.as_ref()?.time.saturating_sub(operation.invoked))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checker::testing::*;
    use crate::fault::{FaultKind, Node};
    use crate::history::Phase;

    #[test]
    fn phases_end_where_the_next_begins_and_the_last_stays_open() {
        let history = Build::new().phase(1, Phase::Setup).phase(5, Phase::Faulty).history();
        let ends: Vec<_> = phases(&history).iter().map(|phase| (phase.begin, phase.end)).collect();
        assert_eq!(ends, [(1, Some(5)), (5, None)]);
    }

    #[test]
    fn operations_are_counted_by_what_is_known_of_them() {
        let build = Build::new().ok((0, 10), ("a", "b", 5), [95, 105]).pending(3, ("a", "b", 1));
        let history = build.lost((4, 5), ("a", "b", 1), Outcome::Fail).history();
        assert_eq!(operations(&history), Operations { ok: 1, fail: 1, info: 1 });
        assert_eq!(latency(&history), Some(Latency { p50: 10, p99: 10, max: 10 }));
    }

    #[test]
    fn a_fault_without_an_end_overlaps_what_came_after_it() {
        let build = Build::new().fault(5, None, FaultKind::Pause, &[Node::Srv(1)]);
        let history = build.ok((7, 8), ("a", "b", 0), [100, 100]).history();
        assert_eq!(executed(&history, &history.faults[0]).overlapped, 1);
    }
}
