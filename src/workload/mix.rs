//! What `"nemesis": "all"` stands for: a rule for every kind of fault, by weight.
//!
//! A function of the intensity and the number of replicas alone, so that a plan is
//! the same wherever it is drawn; what a machine cannot do is left out when it runs.
//! The weights follow TigerBeetle's Vortex (`supervisor.zig`): how often a kind comes
//! in relation to the others. The rate of all together is the intensity's.

use std::time::Duration;

use super::network::How;
use super::{FaultRule, Intensity, Span, Spread, Target, Way};
use crate::fault::disk::{Leaves, Request};
use crate::fault::{FaultKind, Node};

/// How long nothing else begins or ends before and after damage that goes unnoticed:
/// the nemesis lets none begin unless the replicas agree, and nothing else before that
/// replica has caught up.
pub const QUIET: Duration = Duration::from_secs(2);

/// Whom a row hits; how many depends on the intensity.
#[derive(Clone, Copy)]
enum Whom {
    Replicas,
    /// For a network fault: the link from the clients.
    Coord,
    /// At most as many as the fault budget has.
    Minority,
    /// Every replica at once.
    Everyone,
}

/// A kind of fault in the mix.
struct Row(FaultKind, Whom, u32, u64, fn(&mut FaultRule));

fn plain(_: &mut FaultRule) {}

/// Kind, whom, weight, milliseconds, parameters.
const ROWS: &[Row] = &[
    Row(FaultKind::Kill, Whom::Replicas, 3, 600, plain),
    Row(FaultKind::Kill, Whom::Coord, 1, 400, plain),
    Row(FaultKind::Terminate, Whom::Replicas, 2, 600, plain),
    Row(FaultKind::Terminate, Whom::Coord, 1, 400, plain),
    Row(FaultKind::CrashLoop, Whom::Replicas, 1, 1500, |rule| rule.period = Some(millis(150))),
    Row(FaultKind::Wipe, Whom::Minority, 1, 400, plain),
    Row(FaultKind::Pause, Whom::Replicas, 2, 800, plain),
    Row(FaultKind::Pause, Whom::Coord, 1, 500, plain),
    Row(FaultKind::Delay, Whom::Replicas, 2, 1500, delay),
    Row(FaultKind::Delay, Whom::Coord, 1, 1000, delay),
    Row(FaultKind::Bandwidth, Whom::Replicas, 1, 1500, |rule| rule.bytes_per_second = Some(20_000)),
    Row(FaultKind::Slice, Whom::Replicas, 1, 1500, slice),
    Row(FaultKind::Slice, Whom::Coord, 1, 1500, slice),
    Row(FaultKind::Drop, Whom::Replicas, 1, 800, one_way),
    Row(FaultKind::Drop, Whom::Coord, 1, 300, one_way),
    Row(FaultKind::Hold, Whom::Replicas, 1, 800, plain),
    Row(FaultKind::Cut, Whom::Replicas, 1, 150, plain),
    Row(FaultKind::Reset, Whom::Replicas, 1, 150, one_way),
    Row(FaultKind::Reset, Whom::Coord, 1, 150, plain),
    Row(FaultKind::Truncate, Whom::Replicas, 1, 500, |rule| rule.bytes = Some(40)),
    Row(FaultKind::SlowClose, Whom::Coord, 1, 500, |rule| rule.latency = Some(millis(50))),
    Row(FaultKind::Refuse, Whom::Replicas, 1, 800, plain),
    Row(FaultKind::Duplicate, Whom::Replicas, 1, 1500, |rule| rule.probability = Some(0.3)),
    Row(FaultKind::Partition, Whom::Replicas, 2, 1000, plain),
    Row(FaultKind::Partition, Whom::Replicas, 1, 1000, one_way),
    Row(FaultKind::Partition, Whom::Replicas, 1, 1000, |rule| rule.how = Some(How::Refuse)),
    Row(FaultKind::Clog, Whom::Replicas, 1, 1200, plain),
    Row(FaultKind::ClockJump, Whom::Replicas, 2, 1500, plain),
    Row(FaultKind::ClockJump, Whom::Coord, 1, 1500, plain),
    Row(FaultKind::ClockRate, Whom::Replicas, 1, 2000, plain),
    Row(FaultKind::ClockRate, Whom::Coord, 1, 2000, plain),
    Row(FaultKind::ClockStrobe, Whom::Replicas, 1, 1000, plain),
    Row(FaultKind::ClockStrobe, Whom::Coord, 1, 1000, plain),
    Row(FaultKind::PowerFailure, Whom::Replicas, 1, 600, plain),
    Row(FaultKind::PowerFailure, Whom::Replicas, 2, 600, |rule| rule.leaves = Some(Leaves::Some)),
    Row(FaultKind::PowerFailure, Whom::Everyone, 1, 400, |rule| rule.leaves = Some(Leaves::Some)),
    Row(FaultKind::DiskErrors, Whom::Replicas, 1, 500, |rule| rule.on = Some(vec![Request::Fsyncs])),
    Row(FaultKind::DiskErrors, Whom::Replicas, 1, 500, some_requests),
    Row(FaultKind::DiskFull, Whom::Replicas, 1, 600, |rule| rule.bytes = Some(5000)),
    Row(FaultKind::DiskSlow, Whom::Replicas, 2, 1000, slow),
    Row(FaultKind::DiskReadOnly, Whom::Replicas, 1, 500, plain),
    Row(FaultKind::BitFlip, Whom::Minority, 1, 400, plain),
    Row(FaultKind::TruncateFile, Whom::Minority, 1, 400, plain),
    Row(FaultKind::OldCopy, Whom::Minority, 1, 800, plain),
];

const fn millis(count: u64) -> Span {
    Span(Duration::from_millis(count))
}

fn delay(rule: &mut FaultRule) {
    rule.latency = Some(millis(20));
    rule.jitter = Some(millis(15));
}

fn slice(rule: &mut FaultRule) {
    rule.bytes = Some(3);
    rule.gap = Some(millis(1));
}

fn some_requests(rule: &mut FaultRule) {
    rule.on = Some(vec![Request::Reads, Request::Writes, Request::Fsyncs]);
    rule.probability = Some(0.2);
}

fn slow(rule: &mut FaultRule) {
    rule.write = Some(millis(2));
    rule.fsync = Some(millis(20));
}

fn one_way(rule: &mut FaultRule) {
    rule.direction = Some(Way::OneWay);
}

/// The rules that `all` stands for.
pub(super) fn rules(intensity: Intensity, replicas: u16) -> Vec<FaultRule> {
    let rows: Vec<&Row> = ROWS.iter().filter(|row| possible(row, replicas)).collect();
    let weights: u32 = rows.iter().map(|row| row.2).sum();
    let gap = gap(intensity, &rows, weights);
    rows.into_iter().map(|row| rule(row, intensity, replicas, gap * weights / row.2)).collect()
}

/// Two replicas have no minority that could lose what it synced.
fn possible(row: &Row, replicas: u16) -> bool {
    replicas >= 3 || !row.0.damages_synced()
}

/// The mean time between two faults, shorter by what the quiet times take away: the
/// rate as a whole stays what was asked.
fn gap(intensity: Intensity, rows: &[&Row], weights: u32) -> Duration {
    let mean = match intensity {
        Intensity::Calm => Duration::from_secs(10),
        Intensity::Rough => Duration::from_secs(3),
        Intensity::Hostile => Duration::from_secs(1),
    };
    let damaging = rows.iter().filter(|row| row.0.goes_unnoticed());
    let quiet: Duration = damaging.map(|row| (QUIET * 2 + Duration::from_millis(row.3)) * row.2).sum();
    let round = mean * weights;
    // A mix of old files alone is no mix: half of the time is left in any case.
    mean * (round.saturating_sub(quiet).max(round / 2).as_millis() as u32) / (round.as_millis() as u32)
}

fn rule(row: &Row, intensity: Intensity, replicas: u16, every: Duration) -> FaultRule {
    let minority = if replicas >= 3 { Target::Minority } else { Target::One };
    let target = match (row.1, intensity) {
        (Whom::Coord, _) => Target::Named(vec![Node::Coord]),
        (_, Intensity::Calm) => Target::One,
        (Whom::Everyone, _) => Target::All,
        (Whom::Minority, _) | (Whom::Replicas, Intensity::Rough) => minority,
        (Whom::Replicas, Intensity::Hostile) => Target::Random,
    };
    let mut rule = FaultRule {
        fault: row.0,
        target: Some(target),
        every: Some(Span(every)),
        spread: Some(Spread::Poisson),
        lasts: millis(row.3),
        ..FaultRule::default()
    };
    (row.4)(&mut rule);
    rule
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workload::parse;

    #[test]
    fn every_kind_of_fault_is_in_the_mix() {
        let rules = rules(Intensity::Hostile, 3);
        for kind in FaultKind::ALL {
            assert!(rules.iter().any(|rule| rule.fault == kind), "{kind}");
        }
    }

    #[test]
    fn what_all_stands_for_is_accepted_as_a_list_too() {
        for replicas in 1..=9 {
            for intensity in [Intensity::Calm, Intensity::Rough, Intensity::Hostile] {
                let list = serde_json::to_string(&rules(intensity, replicas)).unwrap();
                let text = format!(
                    r#"{{"name":"x","duration":"60s","cluster":{{"replicas":{replicas}}},"nemesis":{list}}}"#
                );
                parse("w.json", &text).unwrap_or_else(|error| panic!("{replicas}: {error}"));
            }
        }
    }

    #[test]
    fn a_word_or_an_intensity_asks_for_everything_and_anything_else_is_refused_with_its_place() {
        let parsed = |nemesis: &str| {
            let text = format!("{{\"name\":\"x\",\"duration\":\"60s\",\n\"nemesis\":{nemesis}}}");
            parse("w.json", &text).map_err(|error| error.to_string())
        };
        assert_eq!(parsed(r#""all""#).unwrap().nemesis.intensity(), Some(Intensity::Rough));
        let hostile = parsed(r#"{"all":{"intensity":"hostile"}}"#).unwrap();
        assert_eq!(hostile.nemesis.intensity(), Some(Intensity::Hostile));
        let again = serde_json::to_string(&hostile.nemesis).unwrap();
        assert_eq!(again, r#"{"all":{"intensity":"hostile"}}"#);
        for (wrong, parts) in [
            (r#""al""#, ["w.json:2", "nemesis", "\"al\"", "\"all\""]),
            ("7", ["w.json:2", "nemesis", "integer `7`", "a list of faults"]),
            (r#"{"all":{"intensity":"mild"}}"#, ["w.json:2", "nemesis.all.intensity", "`mild`", "`hostile`"]),
            (r#"{"every":{}}"#, ["w.json:2", "nemesis.every", "`every`", "`all`"]),
        ] {
            let error = parsed(wrong).unwrap_err();
            parts.iter().for_each(|part| assert!(error.contains(part), "`{part}` is not in:\n{error}"));
        }
    }
}
