//! `available`: service was given whenever it was possible.
//!
//! Verifies two things. First: within the faulty phase, there is no window (of
//! the workload's length, sliding, exact to the nanosecond) during which the
//! coordinator and one fixed majority of replicas ran unhindered, clients asked,
//! and nothing was acknowledged. Second: after the heal, a probe is acknowledged.
//!
//! What is fair, and therefore demanded:
//! - a node is unhindered from its `ready` until its exit, and under no fault of
//!   any kind but a bearable delay. A delay is bearable if [`CROSSINGS`] times the
//!   greatest latency that the workload's rules allow fits into both the clients'
//!   deadline and the window: a request crosses two links there and back, and a
//!   careful protocol may need a second round. A longer one hinders the node at
//!   the far end of its link. Under any other network fault, and for
//!   [`RECOVERY`] after its end, nothing is demanded: connections that it took stay
//!   dead until somebody's time-out, and those of one link are not those of another;
//! - the majority is the same throughout a window. Replicas that take turns in
//!   failing leave a majority up at every instant and yet allow no progress;
//! - the clock of a window starts when a client invokes something within it.
//!   Clients that still wait out a deadline from before, or back off, do not
//!   count against the system;
//! - somebody must have asked in vain in the second half of the window too
//!   (ended without `ok` there, or pending since the first half). A system that
//!   rightly refused one request just after a restart, and was asked no more, is
//!   not blamed for the silence.
//!
//! What a client could not send for want of a socket was not asked.
//!
//! Does not verify latency or throughput, nor service while a majority is
//! hindered, nor windows in which no client asked.

use std::time::Duration;

use super::node_life::{Interval, hindered_by, merged, phase_begin, seconds, up_at};
use super::{count, list};
use crate::fault::{Family, FaultKind, Node};
use crate::history::{FaultSpan, History, Operation, Phase};
use crate::op::{LOCAL, Outcome};
use crate::recorded::Recorded;
use crate::verdict::{CheckName, CheckResult};

/// How often a delay is paid for one request, at most, by a system that is right.
pub const CROSSINGS: u32 = 8;

/// So long after a network fault its connections may still be waited for, in
/// nanoseconds: three seconds of patience of a slow link and as much for a new start.
pub const RECOVERY: u64 = 6_000_000_000;

/// Looks for windows without service, and for the probe after the heal.
pub fn check(recorded: &Recorded) -> CheckResult {
    let name = CheckName::Available;
    let history = &recorded.history;
    let Some(faulty) = phase_begin(history, Phase::Faulty) else {
        return CheckResult::skipped(name, "clients never began");
    };
    let heal = phase_begin(history, Phase::Heal);
    let stretches = stretches(recorded, Interval { begin: faulty, end: heal.unwrap_or(history.end) });
    let window = recorded.workload.checks.available_window.nanos();
    let mut silent: Vec<String> =
        stretches.iter().flat_map(|stretch| silences(history, stretch, window)).collect();
    let probe =
        heal.map_or(Probe::NotDemanded("the run ended before the heal".into()), |at| probe(recorded, at));
    if let Probe::Unanswered(why) = &probe {
        silent.push(why.clone());
    }
    match silent.first() {
        Some(first) => CheckResult::violation(name, first).with_details(silent.drain(1..).take(20)),
        None => unblamed(&stretches, window, probe),
    }
}

/// No violation: a pass, if anything was demanded at all.
fn unblamed(stretches: &[Stretch], window: u64, probe: Probe) -> CheckResult {
    let name = CheckName::Available;
    let long = stretches.iter().filter(|stretch| stretch.span.end - stretch.span.begin >= window).count();
    let windows = match long {
        0 => format!("no stretch of {} was free of faults", seconds(window)),
        1 => "service throughout 1 stretch in which coord and a majority were free of faults".into(),
        long => {
            format!("service throughout {long} stretches in which coord and a majority were free of faults")
        }
    };
    match (probe, long) {
        (Probe::NotDemanded(why), 0) => CheckResult::skipped(name, format!("{windows}, and {why}")),
        (Probe::NotDemanded(why), _) => CheckResult::pass(name, format!("{windows}; no probe: {why}")),
        (_, 0) => CheckResult::pass(name, format!("the probe after the heal was acknowledged; {windows}"))
            .with_details([format!("{windows}, so only the probe was tested")]),
        (_, _) => CheckResult::pass(name, format!("{windows}; the probe after the heal was acknowledged")),
    }
}

/// A time during which the coordinator and a fixed majority were unhindered.
#[derive(Debug, PartialEq, Eq)]
struct Stretch {
    span: Interval,
    replicas: Vec<Node>,
}

/// Every maximal stretch within `bounds`. Each begins where a hindrance ends.
fn stretches(recorded: &Recorded, bounds: Interval) -> Vec<Stretch> {
    let replicas: Vec<Node> = (1..=recorded.workload.cluster.replicas).map(Node::Srv).collect();
    let counts: fn(&FaultSpan) -> bool = if bearable(recorded) { not_delay } else { |_| true };
    let of = |node: Node| (node, hindered_by(&recorded.history, node, counts));
    let lives: Vec<_> = replicas.into_iter().map(of).collect();
    let (_, mut coord) = of(Node::Coord);
    coord.extend(recovering(&recorded.history, counts));
    coord.sort_unstable();
    let coord = merged(coord);
    let ends = lives.iter().map(|(_, spans)| spans).chain([&coord]).flatten().map(|span| span.end);
    let mut begins: Vec<u64> = ends.filter(|&end| end > bounds.begin && end < bounds.end).collect();
    begins.push(bounds.begin);
    begins.sort_unstable();
    begins.dedup();
    begins.into_iter().filter_map(|begin| stretch_from(begin, bounds.end, &lives, &coord)).collect()
}

/// Network faults and the time after them.
fn recovering(history: &History, counts: fn(&FaultSpan) -> bool) -> impl Iterator<Item = Interval> {
    let faults = history.faults.iter();
    let network = faults
        .filter(move |fault| fault.kind.family() == Family::Network && not_delay(fault) && counts(fault));
    network.map(|fault| Interval {
        begin: fault.begin,
        end: fault.end.map_or(u64::MAX, |end| end.saturating_add(RECOVERY)),
    })
}

fn not_delay(fault: &FaultSpan) -> bool {
    fault.kind != FaultKind::Delay
}

/// Whether every delay of this workload is bearable.
fn bearable(recorded: &Recorded) -> bool {
    let workload = &recorded.workload;
    let least = workload.clients.deadline.0.min(workload.checks.available_window.0);
    let rules = workload.rules();
    let mut delays = rules.iter().filter(|rule| rule.fault == FaultKind::Delay);
    delays.all(|rule| {
        let worst: Duration = rule.longest_delay().unwrap_or(least);
        worst.saturating_mul(CROSSINGS) <= least
    })
}

fn stretch_from(
    begin: u64,
    bound: u64,
    lives: &[(Node, Vec<Interval>)],
    coord: &[Interval],
) -> Option<Stretch> {
    let mut free: Vec<(u64, Node)> =
        lives.iter().filter_map(|(node, spans)| Some((free_until(spans, begin)?, *node))).collect();
    free.sort_unstable_by(|a, b| b.cmp(a));
    let majority = lives.len() / 2 + 1;
    let replicas_until = free.get(majority - 1)?.0;
    let end = replicas_until.min(free_until(coord, begin)?).min(bound);
    let mut replicas: Vec<Node> = free.into_iter().take(majority).map(|(_, node)| node).collect();
    replicas.sort_unstable();
    (end > begin).then_some(Stretch { span: Interval { begin, end }, replicas })
}

/// Until when nothing hinders; `None` if something does at `time`.
fn free_until(spans: &[Interval], time: u64) -> Option<u64> {
    let next = spans.iter().find(|span| span.end > time);
    match next {
        Some(span) if span.begin <= time => None,
        Some(span) => Some(span.begin),
        None => Some(u64::MAX),
    }
}

/// Every gap between acknowledgements that lasted a window and was asked in vain.
fn silences(history: &History, stretch: &Stretch, window: u64) -> Vec<String> {
    let Interval { begin, end } = stretch.span;
    let mut marks: Vec<u64> = acknowledgements(history).filter(|time| (begin..end).contains(time)).collect();
    marks.sort_unstable();
    marks.insert(0, begin);
    marks.push(end);
    let gaps = marks.windows(2).map(|pair| Interval { begin: pair[0], end: pair[1] });
    let long = gaps.filter(|gap| gap.end - gap.begin >= window);
    long.filter_map(|gap| silence(history, stretch, gap, window)).collect()
}

fn acknowledgements(history: &History) -> impl Iterator<Item = u64> + '_ {
    let completions = history.operations.iter().filter_map(|operation| operation.completion.as_ref());
    completions.filter(|completion| completion.outcome == Outcome::Ok).map(|completion| completion.time)
}

fn silence(history: &History, stretch: &Stretch, gap: Interval, window: u64) -> Option<String> {
    let within =
        |operation: &&Operation| (gap.begin..gap.end).contains(&operation.invoked) && asked(operation);
    let asked: Vec<&Operation> = history.operations.iter().filter(within).collect();
    let first = asked.first()?.invoked;
    let half = first + window / 2;
    let in_vain = asked.iter().any(|operation| asked_in_vain(history, operation, half, gap.end, window));
    (gap.end - first >= window && in_vain).then(|| {
        format!(
            "nothing was acknowledged from {} to {}, although coord and {} ran unhindered and clients asked {}",
            seconds(first),
            seconds(gap.end),
            list(&stretch.replicas),
            count(asked.len() as u64, "time")
        )
    })
}

/// In the second half: it ended badly there, or had been pending since the first.
fn asked_in_vain(history: &History, operation: &Operation, half: u64, end: u64, window: u64) -> bool {
    let ended = operation.completion.as_ref().map_or(history.end.max(end), |completion| completion.time);
    let waited = ended >= end && end - operation.invoked >= window / 2;
    waited || (half..end).contains(&ended)
}

/// Whether the system can have heard of it: a client that could not even open a
/// socket (no descriptors, no ports) asked nobody.
fn asked(operation: &Operation) -> bool {
    let error = operation.completion.as_ref().and_then(|completion| completion.error.as_deref());
    !error.is_some_and(|error| error.starts_with(LOCAL))
}

enum Probe {
    Acknowledged,
    Unanswered(String),
    NotDemanded(String),
}

/// An operation invoked after the heal began must be acknowledged, if a majority
/// and the coordinator were up when the phase ended.
fn probe(recorded: &Recorded, heal: u64) -> Probe {
    let history = &recorded.history;
    let settle = phase_begin(history, Phase::Settle);
    let end = settle.unwrap_or(history.end);
    let probes: Vec<&Operation> =
        history.operations.iter().filter(|operation| operation.invoked >= heal && asked(operation)).collect();
    if probes.iter().any(|operation| operation.outcome() == Outcome::Ok) {
        return Probe::Acknowledged;
    }
    if let Some(why) = down_majority(recorded, end.saturating_sub(1)) {
        return Probe::NotDemanded(why);
    }
    if settle.is_none() {
        return Probe::NotDemanded("the run ended while it was still probing".into());
    }
    match probes.last() {
        None => Probe::NotDemanded("no probe was sent after the heal".into()),
        Some(last) => Probe::Unanswered(format!(
            "after the heal at {} none of {} was acknowledged until {}; the last one: {}",
            seconds(heal),
            count(probes.len() as u64, "probe"),
            seconds(end),
            last.completion.as_ref().and_then(|ended| ended.error.as_deref()).unwrap_or("no answer")
        )),
    }
}

fn down_majority(recorded: &Recorded, time: u64) -> Option<String> {
    let history = &recorded.history;
    let replicas = recorded.workload.cluster.replicas;
    let down = |node: &Node| !up_at(history, *node, time);
    let srv: Vec<Node> = (1..=replicas).map(Node::Srv).filter(down).collect();
    if down(&Node::Coord) {
        return Some("coord was down after the heal".into());
    }
    (srv.len() * 2 >= usize::from(replicas)).then(|| format!("{} were down after the heal", list(&srv)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checker::testing::*;
    use crate::verdict::Verdict;

    /// Acknowledged transfers of 0, a second each, at these seconds.
    fn served(mut build: Build, seconds: impl IntoIterator<Item = u64>) -> Build {
        for at in seconds {
            build = build.ok((at * S, at * S + 1), ("a", "b", 0), [100, 100]);
        }
        build
    }

    /// Refused transfers at these seconds.
    fn refused(mut build: Build, seconds: impl IntoIterator<Item = u64>) -> Build {
        for at in seconds {
            build = build.lost((at * S, at * S + 1), ("a", "b", 0), Outcome::Fail);
        }
        build
    }

    fn healed(build: Build) -> Build {
        served(build.phase(20 * S, Phase::Heal), [20]).phase(21 * S, Phase::Settle)
    }

    fn begin() -> Build {
        Build::new().phase(0, Phase::Faulty)
    }

    #[track_caller]
    fn judged(build: Build, verdict: Option<Verdict>, part: &str) {
        let result = check(&build.recorded(PLAIN, &[]));
        assert_eq!(result.verdict, verdict, "{result:?}");
        assert!(result.message.contains(part), "{}", result.message);
    }

    #[test]
    fn silence_for_a_window_while_asked_is_a_violation() {
        let silent = healed(served(refused(served(begin(), 1..4), 4..12), 12..20));
        judged(
            silent,
            Some(Verdict::Violation),
            "from 4.00 s to 12.00 s, although coord and srv-2 and srv-3 ran",
        );
        judged(healed(served(begin(), 1..20)), Some(Verdict::Pass), "throughout 1 stretch");
    }

    #[test]
    fn a_gap_shorter_than_the_window_is_none() {
        let short = healed(served(refused(served(begin(), 1..4), 4..8), 8..20));
        judged(short, Some(Verdict::Pass), "probe after the heal");
    }

    #[test]
    fn silence_that_nobody_broke_by_asking_is_nobodys_fault() {
        judged(healed(served(served(begin(), 1..4), 12..20)), Some(Verdict::Pass), "");
        judged(healed(served(refused(served(begin(), 1..4), [4]), 12..20)), Some(Verdict::Pass), "");
    }

    #[test]
    fn a_client_that_waits_in_vain_for_its_deadline_has_asked() {
        let waiting =
            healed(served(served(begin(), 1..4).lost((4 * S, 14 * S), ("a", "b", 1), Outcome::Info), 15..20));
        judged(waiting, Some(Verdict::Violation), "clients asked 2 times");
    }

    #[test]
    fn a_request_from_before_the_stretch_does_not_start_its_clock() {
        let fault = begin().fault(S, Some(6 * S), FaultKind::Pause, &[Node::Coord]);
        let stuck = fault.lost((2 * S, 9 * S), ("a", "b", 1), Outcome::Info);
        judged(healed(served(refused(stuck, 9..13), 13..20)), Some(Verdict::Pass), "");
    }

    #[test]
    fn no_service_is_demanded_while_a_majority_or_the_coordinator_is_hindered() {
        for nodes in [vec![Node::Coord], vec![Node::Srv(1), Node::Srv(3)]] {
            let fault = begin().fault(4 * S, Some(12 * S), FaultKind::Kill, &nodes);
            judged(healed(served(refused(served(fault, 1..4), 4..12), 12..20)), Some(Verdict::Pass), "");
        }
        let one = begin().fault(4 * S, Some(12 * S), FaultKind::Kill, &[Node::Srv(2)]);
        judged(
            healed(served(refused(served(one, 1..4), 4..12), 12..20)),
            Some(Verdict::Violation),
            "srv-1 and srv-3 ran unhindered",
        );
    }

    #[test]
    fn replicas_that_take_turns_in_failing_leave_no_fixed_majority() {
        let mut build = served(begin(), 1..4);
        for (node, at) in [(1, 4), (2, 7), (3, 10)] {
            build = build.fault(at * S, Some((at + 3) * S), FaultKind::Pause, &[Node::Srv(node)]);
        }
        judged(healed(served(refused(build, 4..13), 13..20)), Some(Verdict::Pass), "");
    }

    #[test]
    fn a_node_that_is_not_yet_ready_again_is_hindered_though_its_fault_ended() {
        let fault = begin().fault(4 * S, Some(5 * S), FaultKind::Kill, &[Node::Coord]);
        let slow =
            fault.exit(4 * S, Node::Coord, true, "").started(5 * S, Node::Coord).ready(12 * S, Node::Coord);
        judged(healed(served(refused(served(slow, 1..4), 4..12), 12..20)), Some(Verdict::Pass), "");
    }

    #[test]
    fn a_small_delay_is_no_excuse_and_a_great_one_is() {
        let of = |latency: &str| {
            let slow = served(begin(), 1..4).fault(4 * S, Some(12 * S), FaultKind::Delay, &[Node::Coord]);
            let rule = format!(r#"{{"fault":"delay","target":"coord","every":"1s","latency":"{latency}"}}"#);
            let text = format!(r#"{{"name":"x","duration":"20s","nemesis":[{rule}]}}"#);
            check(&healed(served(refused(slow, 4..12), 12..20)).recorded(&text, &[])).verdict
        };
        assert_eq!(of("250ms"), Some(Verdict::Violation), "eight times fit into the deadline of 2 s");
        assert_eq!(of("251ms"), Some(Verdict::Pass));
    }

    #[test]
    fn nothing_is_demanded_under_a_network_fault_nor_until_its_connections_can_be_replaced() {
        let cut_off = |end: u64, kind| {
            let build = served(begin(), 1..4).fault(4 * S, Some(end * S), kind, &[Node::Srv(2)]);
            check(&healed(served(refused(build, 4..17), 17..20)).recorded(PLAIN, &[])).verdict
        };
        assert_eq!(cut_off(7, FaultKind::Drop), Some(Verdict::Pass), "13 s to 17 s are no window");
        assert_eq!(cut_off(7, FaultKind::Partition), Some(Verdict::Pass));
        assert_eq!(cut_off(5, FaultKind::Drop), Some(Verdict::Violation), "11 s to 17 s are one");
        assert_eq!(cut_off(7, FaultKind::Pause), Some(Verdict::Violation), "the others ran");
    }

    #[test]
    fn the_probe_after_the_heal_must_be_acknowledged() {
        let deaf =
            refused(served(begin(), 1..20).phase(20 * S, Phase::Heal), 20..24).phase(25 * S, Phase::Settle);
        judged(deaf, Some(Verdict::Violation), "none of 4 probes was acknowledged until 25.00 s");
        let starved = begin().phase(20 * S, Phase::Heal).lost((20 * S, 21 * S), ("a", "b", 0), Outcome::Fail);
        let starved = starved.error("local: Too many open files").phase(25 * S, Phase::Settle);
        judged(starved, Some(Verdict::Pass), "no probe was sent");
        let gone = served(begin(), 1..4).exit(4 * S, Node::Coord, false, "").phase(5 * S, Phase::Heal);
        judged(refused(gone, 5..8), None, "coord was down after the heal");
    }

    #[test]
    fn a_probe_that_an_interruption_cut_short_blames_nobody() {
        let cut = served(begin(), 1..4).phase(4 * S, Phase::Heal).pending(4 * S, ("a", "b", 0));
        judged(cut.phase(5 * S, Phase::Collect), None, "while it was still probing");
    }
}
