//! `assumptions`: the run proves something.
//!
//! Verifies that enough operations were acknowledged, that every kind of fault
//! that the workload names was seen to take hold and met at least one operation (of a
//! mix of everything: that enough faults did),
//! that what took hold was healed, that every replica's file was read, and that
//! the history reaches the end of the run. A broken assumption is `undecided`,
//! never a violation: it says nothing of the system under test.
//!
//! Does not verify how hard the run was: the share that the guard refused is a
//! note, and coverage of faults by role is another check's.

use std::collections::{BTreeMap, BTreeSet};

use super::node_life::{Interval, of_operation};
use super::{count, list};
use crate::fault::FaultKind;
use crate::history::{ClusterWhat, FaultSpan, History, Phase};
use crate::op::Outcome;
use crate::recorded::{Recorded, Rest, RunState};
use crate::verdict::{CheckName, CheckResult};
use crate::workload::FaultRule;

/// Checks what the other checks rest upon.
pub fn check(recorded: &Recorded) -> CheckResult {
    let name = CheckName::Assumptions;
    if recorded.state != RunState::Finished {
        return CheckResult::skipped(name, "the run did not finish");
    }
    let mut broken: Vec<String> = too_few(recorded).into_iter().collect();
    match recorded.workload.nemesis.intensity() {
        None => {
            broken.extend(kinds(recorded).into_iter().filter_map(|kind| vacuous(&recorded.history, kind)))
        }
        Some(_) => broken.extend(vacuous_mix(&recorded.history)),
    }
    broken.extend(recorded.history.faults.iter().filter_map(|fault| unhealed(&recorded.history, fault)));
    broken.extend(unread(recorded));
    broken.extend(cut_off(&recorded.history));
    match broken.first() {
        None => CheckResult::pass(name, passed(recorded)),
        Some(first) => CheckResult::undecided(name, first).with_details(broken.drain(1..)),
    }
}

fn acknowledged(history: &History) -> u64 {
    history.operations.iter().filter(|operation| operation.outcome() == Outcome::Ok).count() as u64
}

fn passed(recorded: &Recorded) -> String {
    let operations = count(acknowledged(&recorded.history), "operation");
    let faults = recorded.history.faults.iter().filter(|fault| fault.held).count() as u64;
    let damage = damage(recorded).map_or(String::new(), |damage| format!("; {damage}"));
    format!("{operations} acknowledged, {} took hold{damage}", count(faults, "fault"))
}

/// How much of the fault budget was used: `damaged synced data: 1 of 3 replicas at
/// most, 4 times`.
fn damage(recorded: &Recorded) -> Option<String> {
    let faults = recorded.history.faults.iter();
    let damaging: Vec<&FaultSpan> =
        faults.filter(|fault| fault.kind.damages_synced() && fault.held).collect();
    let at = |time: u64| {
        let there = |fault: &&&FaultSpan| fault.begin <= time && fault.end.is_none_or(|end| time <= end);
        let nodes = damaging.iter().filter(there).flat_map(|fault| &fault.nodes);
        nodes.collect::<BTreeSet<_>>().len()
    };
    let most = damaging.iter().map(|fault| at(fault.begin)).max()?;
    let (replicas, times) = (recorded.workload.cluster.replicas, damaging.len());
    let times = if times == 1 { "once".into() } else { format!("{times} times") };
    Some(format!("damaged synced data: {most} of {replicas} replicas at most, {times}"))
}

fn too_few(recorded: &Recorded) -> Option<String> {
    let (found, least) = (acknowledged(&recorded.history), recorded.workload.checks.minimum_acknowledged);
    (found < least).then(|| {
        format!(
            "only {} acknowledged, at least {least} are needed to prove anything{}",
            count(found, "operation"),
            most_frequent_end(&recorded.history)
        )
    })
}

/// Where somebody should begin to look: `; most frequent end: timeout (30 of 32)`.
fn most_frequent_end(history: &History) -> String {
    let mut ends: BTreeMap<&str, u64> = BTreeMap::new();
    for operation in &history.operations {
        let error = operation.completion.as_ref().and_then(|completion| completion.error.as_deref());
        // What was received differs from one to the next, what it is does not.
        let kind = error.map(|error| error.split(':').next().unwrap_or(error));
        kind.into_iter().for_each(|kind| *ends.entry(kind).or_default() += 1);
    }
    let most = ends.into_iter().max_by_key(|(_, times)| *times);
    let all = history.operations.len();
    most.map_or(String::new(), |(end, times)| format!("; most frequent end: {end} ({times} of {all})"))
}

/// A finished run has told of its last phase; a history from elsewhere tells of none.
fn cut_off(history: &History) -> Option<String> {
    let phases: Vec<Phase> = history
        .cluster
        .iter()
        .filter_map(|event| if let ClusterWhat::Phase(phase) = event.what { Some(phase) } else { None })
        .collect();
    let missing = !phases.is_empty() && !phases.contains(&Phase::Collect);
    missing.then(|| "the history ends before the run did: lines are missing at its end".into())
}

fn kinds(recorded: &Recorded) -> Vec<FaultKind> {
    let rules = recorded.workload.rules();
    let possible = |rule: &&FaultRule| !recorded.lacking.iter().any(|lacking| rule.needs(lacking.family));
    let demanded: BTreeSet<FaultKind> = rules.iter().filter(possible).map(|rule| rule.fault).collect();
    FaultKind::ALL.into_iter().filter(|kind| demanded.contains(kind)).collect()
}

/// Why the faults of a kind prove nothing.
fn vacuous(history: &History, kind: FaultKind) -> Option<String> {
    let begun: Vec<&FaultSpan> = history.faults.iter().filter(|fault| fault.kind == kind).collect();
    let held: Vec<&&FaultSpan> = begun.iter().filter(|fault| fault.held).collect();
    if begun.is_empty() {
        let skipped = history.skipped_faults.iter().filter(|skipped| skipped.kind == kind).count() as u64;
        return Some(format!("no `{kind}` was ever begun ({skipped} were due and skipped)"));
    }
    if held.is_empty() {
        return Some(format!("none of {} of kind `{kind}` took hold", count(begun.len() as u64, "fault")));
    }
    let met = held.iter().any(|fault| overlapped(history, fault) > 0);
    (!met).then(|| format!("no operation overlapped any `{kind}`"))
}

/// Why a mix of everything proves nothing. Not every kind need have come; but of
/// those that came a good part must have taken hold, and one met an operation.
fn vacuous_mix(history: &History) -> Option<String> {
    let begun = history.faults.len();
    let held: Vec<&FaultSpan> = history.faults.iter().filter(|fault| fault.held).collect();
    if begun == 0 {
        let skipped = history.skipped_faults.len();
        return Some(format!("no fault was ever begun ({skipped} were due and skipped)"));
    }
    if held.len() * LEAST_SHARE < begun {
        return Some(format!("only {} of {} took hold", held.len(), count(begun as u64, "fault")));
    }
    let met = held.iter().any(|fault| overlapped(history, fault) > 0);
    (!met).then(|| "no operation overlapped any fault".into())
}

/// One in so many faults of a mix must take hold. Those that find nothing to break,
/// such as a reset of a link that is idle because its node is down, are part of it.
const LEAST_SHARE: usize = 2;

/// A fault that the harness could not undo: what came after it was tested in a
/// cluster that nobody asked for. A node that ended by itself meanwhile is no
/// failure of the harness; `unrequested exit` has the word on that.
fn unhealed(history: &History, fault: &FaultSpan) -> Option<String> {
    let why = fault.error.as_ref().filter(|_| fault.held)?;
    let of_its_own = history.cluster.iter().any(|event| {
        let exit =
            matches!(&event.what, ClusterWhat::Exit { node, asked: false, .. } if fault.nodes.contains(node));
        exit && event.time >= fault.begin
    });
    (!of_its_own).then(|| format!("a `{}` of {} was not healed: {why}", fault.kind, list(&fault.nodes)))
}

/// How many operations overlapped a fault in time.
pub fn overlapped(history: &History, fault: &FaultSpan) -> u64 {
    let span = Interval { begin: fault.begin, end: fault.end.unwrap_or(history.end.max(fault.begin)) };
    let operations = history.operations.iter();
    operations.filter(|operation| of_operation(history, operation).meets(span)).count() as u64
}

fn unread(recorded: &Recorded) -> Option<String> {
    let unreadable = recorded.files.iter().find_map(|file| Some((file.node, file.unreadable.as_ref()?)));
    if let Some((node, why)) = unreadable {
        return Some(format!("the file of {node} could not be read: {why}"));
    }
    let (found, expected) = (recorded.files.len(), usize::from(recorded.workload.cluster.replicas));
    let bare = recorded.history.cluster.is_empty() && recorded.rest == Rest::NotReached;
    (found < expected && !bare).then(|| format!("only {found} of {expected} replicas' files were collected"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checker::testing::*;
    use crate::fault::Node;
    use crate::verdict::Verdict;

    const KILLS: &str = r#"{"name":"x","duration":"1s","checks":{"minimum_acknowledged":2},
        "nemesis":[{"fault":"kill","target":"one","every":"1s"}]}"#;
    const FILES: [Option<&str>; 3] = [None; 3];

    fn two() -> Build {
        Build::new().ok((10, 20), ("a", "b", 0), [100, 100]).ok((30, 40), ("a", "b", 0), [100, 100])
    }

    #[track_caller]
    fn undecided(recorded: &Recorded, part: &str) {
        let result = check(recorded);
        assert_eq!(result.verdict, Some(Verdict::Undecided), "{result:?}");
        assert!(result.message.contains(part), "{}", result.message);
    }

    #[test]
    fn a_run_with_too_few_operations_proves_nothing() {
        let one = Build::new().ok((10, 20), ("a", "b", 0), [100, 100]);
        undecided(&one.recorded(PLAIN, &FILES), "only 1 operation acknowledged, at least 10");
    }

    #[test]
    fn a_fault_must_begin_take_hold_and_meet_an_operation() {
        let kill = |begin, end| two().fault(begin, Some(end), FaultKind::Kill, &[Node::Srv(1)]);
        undecided(&two().recorded(KILLS, &FILES), "no `kill` was ever begun");
        undecided(&kill(50, 60).recorded(KILLS, &FILES), "no operation overlapped any `kill`");
        let mut missed = kill(35, 60).recorded(KILLS, &FILES);
        missed.history.faults[0].held = false;
        undecided(&missed, "none of 1 fault of kind `kill` took hold");
        assert_eq!(check(&kill(35, 60).recorded(KILLS, &FILES)).verdict, Some(Verdict::Pass));
    }

    #[test]
    fn of_a_mix_of_everything_half_must_take_hold_and_not_each_kind() {
        const ALL: &str =
            r#"{"name":"x","duration":"1s","checks":{"minimum_acknowledged":2},"nemesis":"all"}"#;
        let some = |held: &[bool]| {
            let mut build = two();
            for at in 0..held.len() as u64 {
                build = build.fault(12 + at, Some(18 + at), FaultKind::Kill, &[Node::Srv(1)]);
            }
            let mut recorded = build.recorded(ALL, &FILES);
            recorded.history.faults.iter_mut().zip(held).for_each(|(fault, held)| fault.held = *held);
            recorded
        };
        assert_eq!(check(&some(&[true, false])).verdict, Some(Verdict::Pass));
        undecided(&some(&[true, false, false]), "only 1 of 3 faults took hold");
        undecided(&some(&[]), "no fault was ever begun");
        let late = two().fault(50, Some(60), FaultKind::Kill, &[Node::Srv(1)]);
        undecided(&late.recorded(ALL, &FILES), "no operation overlapped any fault");
    }

    #[test]
    fn what_damaged_synced_data_is_told_with_its_greatest_extent() {
        let wiped = |build: Build, begin, node| {
            build.fault(begin, Some(begin + 5), FaultKind::Wipe, &[Node::Srv(node)])
        };
        let one_by_one = wiped(wiped(two(), 10, 1), 30, 2).recorded(PLAIN, &FILES);
        assert!(passed(&one_by_one).ends_with("damaged synced data: 1 of 3 replicas at most, 2 times"));
        let together = wiped(wiped(two(), 10, 1), 13, 2).recorded(PLAIN, &FILES);
        assert!(passed(&together).contains("2 of 3 replicas at most"));
    }

    #[test]
    fn a_fault_that_the_harness_could_not_undo_proves_nothing_about_what_came_after() {
        let killed = |build: Build| {
            let mut recorded = build.recorded(KILLS, &FILES);
            recorded.history.faults[0].error = Some("srv-1 cannot be started: no memory".into());
            recorded
        };
        let fault = || two().fault(35, Some(60), FaultKind::Kill, &[Node::Srv(1)]);
        undecided(&killed(fault()), "a `kill` of srv-1 was not healed: srv-1 cannot be started");
        let of_its_own = killed(fault().exit(50, Node::Srv(1), false, "exit status 1"));
        assert_eq!(check(&of_its_own).verdict, Some(Verdict::Pass), "another check's word");
    }

    #[test]
    fn every_file_must_have_been_read_though_it_may_be_missing() {
        let fault = || two().fault(35, Some(60), FaultKind::Kill, &[Node::Srv(1)]);
        undecided(&fault().recorded(KILLS, &FILES[..2]), "only 2 of 3 replicas' files");
        let mut denied = fault().recorded(KILLS, &FILES);
        denied.files[1].unreadable = Some("permission denied".into());
        undecided(&denied, "the file of srv-2 could not be read: permission denied");
    }
}
