//! Disk faults as a workload asks for them: what they take, and what it must be.
//!
//! The fields stand flat in [`FaultRule`]; here is what they mean together. Must not
//! know whether this machine can mount a disk.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::validate::{Rule, refuse, within};
use super::{FaultRule, Span, Target, Workload};
use crate::fault::disk::{DiskAct, Durability, Request};
use crate::fault::{FaultKind, Node};

/// The disks of the replicas. Where a fault needs one, or this is given, each replica's
/// private directory is a disk of the harness.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Disks {
    /// What a power failure leaves: `journal` (default) or `strict`.
    pub durability: Durability,
}

/// The longest that one request may be made to wait: a killed process waits it out.
const SLOWEST: Span = Span::seconds(10);

/// The fields of a rule that this kind takes, beside those of every rule.
pub(super) fn fields(kind: FaultKind) -> &'static [&'static str] {
    match kind {
        FaultKind::PowerFailure => &["target", "leaves"],
        FaultKind::DiskErrors => &["target", "on", "probability"],
        FaultKind::DiskFull => &["target", "bytes"],
        FaultKind::DiskSlow => &["target", "write", "fsync"],
        FaultKind::BitFlip => &["target", "bits", "file"],
        FaultKind::TruncateFile => &["target", "bytes", "file"],
        _ => &["target"],
    }
}

/// Whether the fields that a disk fault takes are there and make sense.
pub(super) fn validate(rule: &FaultRule, field: &str) -> Rule {
    replicas_only(rule, field)?;
    match rule.fault {
        FaultKind::DiskErrors => errors(rule, field),
        FaultKind::DiskFull => within(&format!("{field}.bytes"), rule.bytes.unwrap_or(0), 0, 1 << 40),
        FaultKind::DiskSlow => slow(rule, field),
        FaultKind::BitFlip => within(&format!("{field}.bits"), rule.bits.unwrap_or(1), 1, 1_000_000),
        FaultKind::TruncateFile => within(&format!("{field}.bytes"), rule.bytes.unwrap_or(1), 1, 1 << 40),
        _ => Ok(()),
    }
}

/// The coordinator keeps nothing on a disk.
fn replicas_only(rule: &FaultRule, field: &str) -> Rule {
    let coord = match &rule.target {
        Some(Target::Any) => true,
        Some(Target::Named(nodes)) => nodes.contains(&Node::Coord),
        _ => false,
    };
    if !coord {
        return Ok(());
    }
    let message = format!(
        "a `{}` needs a disk, and coord has none; accepted: replicas, such as `one` or `srv-1` (a `kill` of \
         coord at the same time is its part of a power failure)",
        rule.fault
    );
    refuse(format!("{field}.target"), message)
}

fn errors(rule: &FaultRule, field: &str) -> Rule {
    match &rule.on {
        Some(on) if on.is_empty() => {
            return refuse(format!("{field}.on"), "found nothing; accepted: some of reads, writes, fsyncs");
        }
        None => {
            let message = "a `disk-errors` needs `on`, such as [\"fsyncs\"]; accepted: reads, writes, fsyncs";
            return refuse(field, message);
        }
        Some(_) => {}
    }
    let probability = rule.probability.unwrap_or(1.0);
    if !(probability > 0.0 && probability <= 1.0) {
        let message = format!("found {probability}; accepted: above 0, at most 1");
        return refuse(format!("{field}.probability"), message);
    }
    Ok(())
}

fn slow(rule: &FaultRule, field: &str) -> Rule {
    if rule.write.is_none() && rule.fsync.is_none() {
        return refuse(field, "a `disk-slow` needs `write`, `fsync` or both, such as \"50ms\"");
    }
    let least = Span(Duration::from_micros(100));
    for (name, span) in [("write", rule.write), ("fsync", rule.fsync)] {
        span.map_or(Ok(()), |span| within(&format!("{field}.{name}"), span, least, SLOWEST))?;
    }
    Ok(())
}

impl FaultRule {
    /// What is done to each disk; `None` for faults of other families.
    pub fn disk_act(&self) -> Option<DiskAct> {
        let nanos = |span: Option<Span>| span.map_or(0, Span::nanos);
        let file = self.file.unwrap_or_default();
        Some(match self.fault {
            FaultKind::PowerFailure => DiskAct::PowerFailure { leaves: self.leaves.unwrap_or_default() },
            FaultKind::DiskErrors => DiskAct::Errors {
                on: self.on.clone().unwrap_or_else(|| vec![Request::Fsyncs]),
                per_million: (self.probability.unwrap_or(1.0) * 1e6).ceil() as u32,
            },
            FaultKind::DiskFull => DiskAct::Full { bytes: self.bytes.unwrap_or(0) },
            FaultKind::DiskSlow => DiskAct::Slow { write_ns: nanos(self.write), fsync_ns: nanos(self.fsync) },
            FaultKind::DiskReadOnly => DiskAct::ReadOnly,
            FaultKind::BitFlip => DiskAct::BitFlip { bits: self.bits.unwrap_or(1), file },
            FaultKind::TruncateFile => DiskAct::TruncateFile { bytes: self.bytes.unwrap_or(1), file },
            FaultKind::OldCopy => DiskAct::OldCopy,
            _ => return None,
        })
    }
}

impl Workload {
    /// How the disks of the replicas keep what is written, if they need one.
    pub fn disks(&self) -> Option<Durability> {
        let needs = |rule: &FaultRule| rule.fault.needs_disk() || rule.waits_for_sync();
        let needed = self.disk.is_some() || self.rules().iter().any(needs);
        needed.then(|| self.disk.unwrap_or_default().durability)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fault::Family;
    use crate::workload::parse;

    fn read(rule: &str) -> Result<Workload, String> {
        let text = format!(
            "{{\"name\":\"x\",\"duration\":\"9s\",\n\"nemesis\":[{{{rule},\"target\":\"one\",\"every\":\"1s\"}}]}}"
        );
        parse("w.json", &text).map_err(|error| error.to_string())
    }

    #[track_caller]
    fn refused(rule: &str, expected: &[&str]) {
        let error = read(rule).expect_err("should be refused");
        for part in ["w.json:2"].iter().chain(expected) {
            assert!(error.contains(part), "`{part}` is not in:\n{error}");
        }
    }

    #[test]
    fn what_no_disk_can_do_is_refused_with_file_line_and_field() {
        refused(r#""fault":"disk-errors""#, &["nemesis[0]", "`on`", "fsyncs"]);
        refused(r#""fault":"disk-errors","on":[]"#, &["nemesis[0].on", "accepted"]);
        refused(r#""fault":"disk-errors","on":["fsyncs"],"probability":3"#, &["found 3", "at most 1"]);
        refused(r#""fault":"disk-slow""#, &["nemesis[0]", "`fsync`"]);
        refused(r#""fault":"disk-slow","fsync":"1h""#, &["nemesis[0].fsync", "10s"]);
        refused(r#""fault":"bit-flip","bits":0"#, &["nemesis[0].bits", "found 0"]);
        refused(r#""fault":"power-failure","bytes":1"#, &["nemesis[0].bytes", "no meaning", "leaves"]);
        refused(r#""fault":"kill","leaves":"some""#, &["nemesis[0].leaves", "`kill`"]);
    }

    #[test]
    fn the_coordinator_has_no_disk_to_fail() {
        for target in ["coord", "any"] {
            let text = format!(
                r#"{{"name":"x","duration":"9s","nemesis":[{{"fault":"power-failure","target":"{target}","at":"1s"}}]}}"#
            );
            let error = parse("w.json", &text).unwrap_err().to_string();
            assert!(error.contains("nemesis[0].target") && error.contains("coord has none"), "{error}");
        }
    }

    #[test]
    fn disks_are_mounted_for_what_needs_them_and_for_who_asks() {
        assert_eq!(read(r#""fault":"kill""#).unwrap().disks(), None);
        assert_eq!(read(r#""fault":"bit-flip""#).unwrap().disks(), None);
        assert_eq!(read(r#""fault":"power-failure""#).unwrap().disks(), Some(Durability::Journal));
        let counted = r#""fault":"kill","when":{"fsync":{"node":"srv-1","count":40}}"#;
        let counted = format!(r#"{{"name":"x","duration":"1s","nemesis":[{{{counted},"target":"one"}}]}}"#);
        let counted = parse("w.json", &counted).unwrap();
        assert_eq!(counted.disks(), Some(Durability::Journal), "only a disk of the harness counts syncs");
        assert_eq!(counted.families(), [Family::Process, Family::Disk]);
        let strict = r#"{"name":"x","duration":"1s","disk":{"durability":"strict"}}"#;
        assert_eq!(parse("w.json", strict).unwrap().disks(), Some(Durability::Strict));
    }
}
