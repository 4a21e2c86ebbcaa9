//! `unrequested exit`: no node ended without being asked.
//!
//! Verifies the exits that the history records, from the moment on when the
//! nodes had been started. Does not judge exits during start-up (that is
//! `infra`, decided by the runner), nor why a node ended: it quotes what the
//! node said last. A node that hangs is no exit; `available` sees that.
//!
//! Where the machine failed the run (its disk full, its directory gone), a node that
//! ended may have ended for the same reason: that is told and not blamed.
//!
//! An exit while the node's own disk refuses service, or while it finds its files
//! damaged, is what a careful system does: it is counted and not blamed.

use super::node_life::{acknowledged_until, phase_begin, seconds};
use crate::fault::Node;
use crate::history::{ClusterEvent, ClusterWhat, History, Phase};
use crate::recorded::{Recorded, RunState};
use crate::verdict::{CheckName, CheckResult};
use crate::workload::ExitPolicy;

/// Looks for exits that nobody asked for.
pub fn check(recorded: &Recorded) -> CheckResult {
    let name = CheckName::UnrequestedExit;
    let history = &recorded.history;
    if history.cluster.is_empty() {
        return CheckResult::skipped(name, "the history says nothing of nodes");
    }
    let exits: Vec<(String, Vec<String>)> = exits(history);
    let excused = unasked(history).filter(|(node, time)| excused(history, *node, *time)).count() as u64;
    let details = exits.iter().skip(1).map(|(sentence, _)| sentence.clone());
    let logs = exits.iter().flat_map(|(_, log)| log.clone());
    let details: Vec<String> = details.chain(logs).collect();
    if let Some((first, _)) = exits.first()
        && recorded.state == RunState::Infra
    {
        let why = format!("{first}; the machine failed the run too, so nobody is blamed");
        return CheckResult::skipped(name, why).with_details(details);
    }
    match (exits.first(), recorded.workload.checks.unrequested_exit) {
        (None, _) if excused > 0 => CheckResult::pass(
            name,
            format!("no node ended unasked but for {} of a failing disk", super::count(excused, "exit")),
        ),
        (None, _) => CheckResult::pass(name, "no node ended unasked"),
        (Some((first, _)), ExitPolicy::Violation) => {
            CheckResult::violation(name, first).with_details(details)
        }
        (Some((first, _)), ExitPolicy::Note) => {
            CheckResult::pass(name, format!("{first} (only noted, as the workload says)"))
                .with_details(details)
        }
    }
}

/// Signals with which the kernel, or the C library, ends a program that went wrong.
const CRASHES: [&str; 7] = ["SIGSEGV", "SIGABRT", "SIGBUS", "SIGILL", "SIGFPE", "SIGSYS", "SIGTRAP"];

/// A node that was asked to end and crashed over it: no exit to blame, and nothing
/// that its developer would want to miss.
pub fn crashes_when_asked(history: &History) -> Vec<String> {
    let crash = |event: &ClusterEvent| match &event.what {
        ClusterWhat::Exit { node, asked: true, status } => {
            let signal = status.strip_prefix("ended by ")?;
            let signal = CRASHES.into_iter().find(|name| signal.starts_with(name))?;
            Some(format!("{node} crashed with {signal} when it was asked to end, at {}", seconds(event.time)))
        }
        _ => None,
    };
    history.cluster.iter().filter_map(crash).collect()
}

/// A sentence and the last log lines for each exit.
fn exits(history: &History) -> Vec<(String, Vec<String>)> {
    let started = phase_begin(history, Phase::Faulty).unwrap_or(u64::MAX);
    let after_start = history.cluster.iter().filter(|event| event.time >= started);
    after_start.filter_map(|event| sentence(history, event)).collect()
}

/// Every exit that nobody asked for.
fn unasked(history: &History) -> impl Iterator<Item = (Node, u64)> + '_ {
    history.cluster.iter().filter_map(|event| match event.what {
        ClusterWhat::Exit { node, asked: false, .. } => Some((node, event.time)),
        _ => None,
    })
}

/// Whether a fault of the node's disk allowed it to end.
fn excused(history: &History, node: Node, time: u64) -> bool {
    history.faults.iter().any(|fault| {
        let on = fault.begin <= time && fault.end.is_none_or(|end| time <= end);
        on && fault.kind.excuses_exit() && fault.nodes.contains(&node)
    })
}

fn sentence(history: &History, event: &ClusterEvent) -> Option<(String, Vec<String>)> {
    let ClusterWhat::Exit { node, asked: false, status } = &event.what else { return None };
    if excused(history, *node, event.time) {
        return None;
    }
    let mut lines = status.lines().map(str::trim).filter(|line| !line.is_empty());
    let status = lines.next().unwrap_or("no status");
    let (at, acknowledged) = (seconds(event.time), acknowledged_until(history, event.time));
    let during = during(history, event.time);
    let sentence = format!(
        "{node} ended unasked at {at} ({status}), after {acknowledged} acknowledged operations{during}"
    );
    Some((sentence, lines.map(|line| format!("{node} log: {line}")).collect()))
}

/// Nearness is not cause: only what was going on is told.
fn during(history: &History, time: u64) -> String {
    let on =
        |fault: &&crate::history::FaultSpan| fault.begin <= time && fault.end.is_none_or(|end| time <= end);
    let faults: Vec<String> = history
        .faults
        .iter()
        .filter(on)
        .map(|fault| format!("a {} of {}", fault.kind, super::list(&fault.nodes)))
        .collect();
    if faults.is_empty() { String::new() } else { format!(", during {}", faults.join(" and ")) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checker::testing::*;
    use crate::fault::FaultKind;
    use crate::verdict::Verdict;

    fn dying_coord() -> Build {
        Build::new()
            .phase(S, Phase::Faulty)
            .ok((S, 2 * S), ("a", "b", 5), [95, 105])
            .fault(3 * S, Some(5 * S), FaultKind::Kill, &[Node::Srv(2)])
            .exit(3 * S, Node::Srv(2), true, "signal 9")
            .exit(4 * S, Node::Coord, false, "exit status 1\nTraceback\nConnectionRefusedError")
    }

    #[test]
    fn an_exit_that_nobody_asked_for_is_quoted_with_what_went_on() {
        let result = check(&dying_coord().recorded(PLAIN, &[]));
        assert_eq!(result.verdict, Some(Verdict::Violation));
        assert_eq!(
            result.message,
            "coord ended unasked at 4.00 s (exit status 1), after 1 acknowledged operations, during a kill of srv-2"
        );
        assert_eq!(result.details, ["coord log: Traceback", "coord log: ConnectionRefusedError"]);
    }

    #[test]
    fn a_crash_at_an_end_that_was_asked_for_is_told_and_a_kill_is_not() {
        let build = dying_coord().exit(6 * S, Node::Srv(1), true, "ended by SIGSEGV").exit(
            6 * S,
            Node::Srv(3),
            true,
            "ended by SIGTERM",
        );
        let told = crashes_when_asked(&build.recorded(PLAIN, &[]).history);
        assert_eq!(told, ["srv-1 crashed with SIGSEGV when it was asked to end, at 6.00 s"]);
    }

    #[test]
    fn a_workload_may_have_exits_noted_only() {
        let note = r#"{"name":"x","duration":"1s","checks":{"unrequested_exit":"note"}}"#;
        let result = check(&dying_coord().recorded(note, &[]));
        assert_eq!(result.verdict, Some(Verdict::Pass));
        assert!(result.message.contains("coord ended unasked"), "{}", result.message);
    }

    #[test]
    fn an_exit_is_excused_by_a_failing_disk_of_that_node_at_that_time_alone() {
        let exit = |kind, nodes: &[Node], at| {
            let build = Build::new().phase(S, Phase::Faulty).fault(3 * S, Some(5 * S), kind, nodes);
            check(&build.exit(at, Node::Srv(2), false, "exit status 1").recorded(PLAIN, &[])).verdict
        };
        let (own, other) = ([Node::Srv(2)], [Node::Srv(1)]);
        assert_eq!(exit(FaultKind::DiskErrors, &own, 4 * S), Some(Verdict::Pass));
        for (kind, nodes, at) in [
            (FaultKind::DiskErrors, &other, 4 * S),
            (FaultKind::DiskErrors, &own, 6 * S),
            (FaultKind::PowerFailure, &own, 4 * S),
            (FaultKind::DiskSlow, &own, 4 * S),
            (FaultKind::Pause, &own, 4 * S),
        ] {
            assert_eq!(exit(kind, nodes, at), Some(Verdict::Violation), "{kind}");
        }
    }

    #[test]
    fn where_the_machine_failed_the_run_an_exit_is_told_and_not_blamed() {
        let mut recorded = dying_coord().recorded(PLAIN, &[]);
        recorded.state = RunState::Infra;
        let result = check(&recorded);
        assert_eq!(result.verdict, None);
        assert!(result.message.contains("coord ended unasked at 4.00 s"), "{}", result.message);
    }

    #[test]
    fn an_exit_while_nodes_are_started_is_not_judged_here() {
        let build = Build::new().exit(1, Node::Coord, false, "exit status 2").phase(S, Phase::Faulty);
        assert_eq!(check(&build.recorded(PLAIN, &[])).verdict, Some(Verdict::Pass));
    }
}
