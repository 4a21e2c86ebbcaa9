//! `protocol`: every reply that no fault touched could be read.
//!
//! Verifies that no reply was unparsable while the whole run was free of faults
//! and outages, from the operation's invocation to its completion. An unparsable
//! reply during any fault is only noted: a fault on one node may garble what
//! another says, and blame needs more than nearness in time.
//!
//! Does not verify that a parsable reply is right; the other checks do.

use super::node_life::{Interval, hindered, of_operation, seconds};
use crate::fault::Node;
use crate::history::{History, Operation};
use crate::op::UNPARSABLE;
use crate::recorded::Recorded;
use crate::verdict::{CheckName, CheckResult};

/// Looks for replies that could not be read.
pub fn check(recorded: &Recorded) -> CheckResult {
    let history = &recorded.history;
    let faults = all_hindrances(recorded);
    let bad = history.operations.iter().filter(|operation| error(operation).is_some());
    let (excused, wrong): (Vec<_>, Vec<_>) = bad.partition(|operation| {
        let lifetime = of_operation(history, operation);
        faults.iter().any(|fault| fault.meets(lifetime))
    });
    let noted =
        excused.iter().take(20).map(|operation| format!("during a fault: {}", sentence(history, operation)));
    let name = CheckName::Protocol;
    let result = match wrong.first() {
        Some(first) => CheckResult::violation(name, sentence(history, first))
            .with_details(wrong.iter().skip(1).take(20).map(|operation| sentence(history, operation))),
        None if excused.is_empty() => CheckResult::pass(name, "every reply could be read"),
        None => CheckResult::pass(
            name,
            format!("every reply outside of faults could be read; {} during faults could not", excused.len()),
        ),
    };
    result.with_details(noted)
}

fn all_hindrances(recorded: &Recorded) -> Vec<Interval> {
    let replicas = (1..=recorded.workload.cluster.replicas).map(Node::Srv);
    replicas.chain([Node::Coord]).flat_map(|node| hindered(&recorded.history, node)).collect()
}

fn error(operation: &Operation) -> Option<&str> {
    let error = operation.completion.as_ref()?.error.as_deref()?;
    error.starts_with(UNPARSABLE).then_some(error)
}

fn sentence(history: &History, operation: &Operation) -> String {
    let (at, error) = (of_operation(history, operation).end, error(operation).unwrap_or_default());
    format!("the operation of line {} got an {error} at {}", operation.invoke, seconds(at))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checker::testing::*;
    use crate::fault::FaultKind;
    use crate::op::Outcome;
    use crate::verdict::Verdict;

    fn garbled(at: (u64, u64)) -> Build {
        let fault = Build::new().fault(10, Some(20), FaultKind::Delay, &[Node::Srv(1)]);
        fault.lost(at, ("a", "b", 1), Outcome::Info).error("unparsable reply: 95;105")
    }

    #[test]
    fn an_unparsable_reply_counts_only_where_no_fault_overlapped_its_operation() {
        let cases = [((0, 9), Verdict::Violation), ((5, 10), Verdict::Pass), ((19, 30), Verdict::Pass)];
        for (at, verdict) in cases.into_iter().chain([((21, 30), Verdict::Violation)]) {
            let result = check(&garbled(at).recorded(PLAIN, &[]));
            assert_eq!(result.verdict, Some(verdict), "{at:?}: {result:?}");
        }
    }

    #[test]
    fn an_excused_reply_is_told_all_the_same() {
        let result = check(&garbled((12, 13)).recorded(PLAIN, &[]));
        assert!(result.message.contains("1 during faults could not"), "{}", result.message);
        assert!(result.details[0].contains("95;105"), "{:?}", result.details);
    }
}
