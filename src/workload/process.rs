//! Process faults and logical events as a workload asks for them: what they take,
//! and what it must be.

use std::time::Duration;

use super::validate::{Rule, refuse, within};
use super::{Event, FaultRule, Span, Target, Workload};
use crate::fault::process::ProcessPlan;
use crate::fault::{Family, FaultKind, Link, Node};

/// How long a node in a crash loop runs unless told otherwise: long enough for the
/// coordinator to find it.
const PERIOD: Span = Span(Duration::from_millis(200));

/// The fields of a rule that this kind takes, beside those of every rule.
pub(super) fn fields(kind: FaultKind) -> &'static [&'static str] {
    if kind == FaultKind::CrashLoop { &["target", "period"] } else { &["target"] }
}

/// Whether a process fault makes sense.
pub(super) fn validate(rule: &FaultRule, field: &str) -> Rule {
    if let Some(period) = rule.period {
        within(&format!("{field}.period"), period, Span(Duration::ZERO), rule.lasts)?;
    }
    let hits_coord = match &rule.target {
        Some(Target::Named(nodes)) => nodes.contains(&Node::Coord),
        target => *target == Some(Target::Any),
    };
    if rule.fault == FaultKind::Wipe && hits_coord {
        return refuse(
            format!("{field}.target"),
            "a `wipe` takes what a replica stored, and the coordinator stores nothing; accepted: replicas, such as \"one\"",
        );
    }
    Ok(())
}

/// Whether an event can come.
pub(super) fn event(workload: &Workload, event: &Event, field: &str) -> Rule {
    let replicas = workload.cluster.replicas;
    let known = |node: Node, name: &str| match node {
        Node::Srv(number) if number > replicas => refuse(
            format!("{field}.{name}"),
            format!("the cluster has {replicas} replicas; accepted: up to number {replicas}"),
        ),
        _ => Ok(()),
    };
    match event {
        Event::Acknowledged(0) => refuse(
            format!("{field}.acknowledged"),
            "found 0; accepted: at least 1, the first acknowledged operation",
        ),
        Event::Acknowledged(_) => Ok(()),
        Event::Message { link, count } => {
            known(Link::server(*link), "message.link")?;
            within(&format!("{field}.message.count"), *count, 1, u64::MAX)
        }
        Event::Fsync { node, count } => {
            known(*node, "fsync.node")?;
            if *node == Node::Coord {
                let message = format!(
                    "found coord, which has no disk on which syncs are counted; accepted: srv-1 to srv-{replicas}"
                );
                return refuse(format!("{field}.fsync.node"), message);
            }
            within(&format!("{field}.fsync.count"), *count, 1, u64::MAX)
        }
        Event::Log { node, pattern } => {
            known(*node, "log.node")?;
            match regex::Regex::new(pattern) {
                Ok(_) => Ok(()),
                Err(why) => {
                    refuse(format!("{field}.log.pattern"), format!("is no regular expression: {why}"))
                }
            }
        }
    }
}

/// Whether the window of a rhythm leaves room for a fault.
pub(super) fn window(workload: &Workload, rule: &FaultRule, field: &str) -> Rule {
    let given =
        [("spread", rule.spread.is_some()), ("from", rule.from.is_some()), ("until", rule.until.is_some())];
    if rule.every.is_none()
        && let Some((name, _)) = given.iter().find(|(_, given)| *given)
    {
        return refuse(format!("{field}.{name}"), "belongs to a rhythm; accepted: together with `every`");
    }
    let ends = [rule.until, workload.duration].into_iter().flatten().min();
    let from = rule.from.unwrap_or(Span(Duration::ZERO));
    match ends {
        Some(end) if rule.from.or(rule.until).is_some() && from.0 + rule.lasts.0 > end.0 => refuse(
            format!("{field}.{}", if rule.until.is_some() { "until" } else { "from" }),
            format!(
                "from {from} to {end} there is no room for a fault of {}; accepted: a longer window",
                rule.lasts
            ),
        ),
        _ => Ok(()),
    }
}

impl FaultRule {
    /// Whether it begins at a sync, which only disks of the harness count.
    pub(super) fn waits_for_sync(&self) -> bool {
        matches!(self.when, Some(Event::Fsync { .. }))
    }

    /// Whether it can be carried out only where faults of this family can.
    pub fn needs(&self, family: Family) -> bool {
        self.fault.family() == family || (family == Family::Disk && self.waits_for_sync())
    }

    /// What is done to processes, where the kind leaves a choice.
    pub fn process_fault(&self, stop: Span) -> Option<ProcessPlan> {
        match self.fault {
            FaultKind::Terminate => Some(ProcessPlan { grace_ns: Some(stop.nanos()), period_ns: None }),
            FaultKind::CrashLoop => {
                let period = self.period.unwrap_or(PERIOD.min(self.lasts));
                Some(ProcessPlan { grace_ns: None, period_ns: Some(period.nanos()) })
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::workload::parse;

    #[test]
    fn what_makes_no_sense_is_refused_with_file_line_and_field() {
        let kill = r#""fault":"kill","target":"one""#;
        for (rule, parts) in [
            (r#""fault":"wipe","target":"coord","at":"1s""#.into(), ["nemesis[0].target", "replicas"]),
            (r#""fault":"wipe","target":"any","at":"1s""#.into(), ["nemesis[0].target", "replicas"]),
            (format!(r#"{kill},"at":"1s","period":"1s""#), ["nemesis[0].period", "no meaning for `kill`"]),
            (
                r#""fault":"crash-loop","target":"one","at":"1s","period":"2s""#.into(),
                ["nemesis[0].period", "found 2s"],
            ),
            (
                format!(r#"{kill},"at":"1s","spread":"poisson""#),
                ["nemesis[0].spread", "together with `every`"],
            ),
            (format!(r#"{kill},"every":"1s","spread":"even""#), ["nemesis[0].spread", "`poisson`"]),
            (format!(r#"{kill},"every":"1s","from":"8s","until":"8500ms""#), ["nemesis[0].until", "no room"]),
            (format!(r#"{kill},"every":"1s","from":"10s""#), ["nemesis[0].from", "no room"]),
            (
                format!(r#"{kill},"when":{{"acknowledged":0}}"#),
                ["nemesis[0].when.acknowledged", "at least 1"],
            ),
            (
                format!(r#"{kill},"when":{{"message":{{"link":"coord-srv-4","count":1}}}}"#),
                ["nemesis[0].when.message.link", "3 replicas"],
            ),
            (
                format!(r#"{kill},"when":{{"message":{{"link":"coord-srv-1","count":0}}}}"#),
                ["nemesis[0].when.message.count", "found 0"],
            ),
            (
                format!(r#"{kill},"when":{{"log":{{"node":"coord","pattern":"("}}}}"#),
                ["nemesis[0].when.log.pattern", "no regular expression"],
            ),
            (
                format!(r#"{kill},"when":{{"fsync":{{"node":"coord","count":40}}}}"#),
                ["nemesis[0].when.fsync.node", "srv-1 to srv-3"],
            ),
            (
                format!(r#"{kill},"when":{{"fsync":{{"node":"srv-4","count":40}}}}"#),
                ["nemesis[0].when.fsync.node", "3 replicas"],
            ),
            (
                format!(r#"{kill},"when":{{"fsync":{{"node":"srv-1","count":0}}}}"#),
                ["nemesis[0].when.fsync.count", "found 0"],
            ),
            (
                format!(r#"{kill},"when":{{"fsync":{{"node":"srv-1","nth":40}}}}"#),
                ["nemesis[0].when.fsync", "unknown field `nth`"],
            ),
            (format!(r#"{kill},"when":{{"tick":4}}"#), ["nemesis[0].when", "unknown variant `tick`"]),
        ] {
            let text = format!("{{\"name\":\"x\",\"duration\":\"10s\",\n\"nemesis\":[{{{rule}}}]}}");
            let error = parse("w.json", &text).expect_err(&rule).to_string();
            for part in parts.into_iter().chain(["w.json:2"]) {
                assert!(error.contains(part), "`{part}` is not in:\n{error}");
            }
        }
    }
}
