//! When which fault hits whom, drawn from the seed before anything starts.
//!
//! What the cluster is doing at that moment is not known here: an action that
//! turns out not to apply is skipped by the nemesis, with a reason.

use std::time::Duration;

use serde::Serialize;

use super::quiet;
use super::rhythm::Rhythm;
use super::rng::{Purpose, Rng};
use super::scenes::Scenes;
use crate::fault::clock::ClockFault;
use crate::fault::disk::DiskAct;
use crate::fault::network::{Directions, NetworkPlan, Reach};
use crate::fault::process::ProcessPlan;
use crate::fault::{Family, FaultKind, Link, Node};
use crate::workload::{Event, FaultRule, Span, Target, Way, Workload, cut_links};

/// Where the rhythm of a run without a duration ends: nothing is drawn beyond.
const HORIZON: Duration = Duration::from_secs(60);

/// One planned action of the nemesis.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PlannedFault {
    /// Number within the run.
    pub id: u64,
    /// The rule of the workload that it comes from, from 0.
    pub rule: usize,
    /// What is done.
    pub fault: FaultKind,
    /// To whom; for a link fault the nodes at the far ends.
    pub nodes: Vec<Node>,
    /// When it begins.
    #[serde(flatten)]
    pub begins: Begins,
    /// How long it lasts, in nanoseconds.
    pub lasts_ns: u64,
    /// How it is done, where the kind leaves a choice.
    #[serde(rename = "how", skip_serializing_if = "Parameters::is_none")]
    pub parameters: Parameters,
}

impl PlannedFault {
    /// What is done to links, if it is a network fault.
    pub fn network(&self) -> Option<&NetworkPlan> {
        match &self.parameters {
            Parameters::Network(plan) => Some(plan),
            _ => None,
        }
    }

    /// What is done to clocks, if it is a clock fault.
    pub fn clock(&self) -> Option<ClockFault> {
        match &self.parameters {
            Parameters::Clock(fault) => Some(*fault),
            _ => None,
        }
    }

    /// What is done to disks, if it is a disk fault.
    pub fn disk(&self) -> Option<&DiskAct> {
        match &self.parameters {
            Parameters::Disk(act) => Some(act),
            _ => None,
        }
    }

    /// What is done to processes, if the kind leaves a choice.
    pub fn process(&self) -> Option<ProcessPlan> {
        if let Parameters::Process(plan) = self.parameters { Some(plan) } else { None }
    }
}

/// The parameters of a planned action, one variant for each family that has some.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Parameters {
    /// The kind says all.
    None,
    /// What is done to processes.
    Process(ProcessPlan),
    /// What is done to which links.
    Network(NetworkPlan),
    /// What is done to clocks.
    Clock(ClockFault),
    /// What is done to the disk of each node.
    Disk(DiskAct),
}

impl Parameters {
    fn is_none(&self) -> bool {
        *self == Self::None
    }
}

/// The trigger of a planned action.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub enum Begins {
    /// So many nanoseconds after the clients began.
    #[serde(rename = "at_ns")]
    At(u64),
    /// When so many operations were acknowledged.
    #[serde(rename = "acknowledged")]
    Acknowledged(u64),
    /// When so many operations more were acknowledged than there were at a time.
    #[serde(rename = "since")]
    Since {
        /// In nanoseconds after the clients began.
        at_ns: u64,
        /// So many more.
        acknowledged: u64,
    },
    /// When a link has carried so many messages.
    #[serde(rename = "message")]
    Message {
        /// Which link.
        link: Link,
        /// Both ways, since the run began.
        count: u64,
    },
    /// When a node has synced so often.
    #[serde(rename = "fsync")]
    Fsync {
        /// Which node.
        node: Node,
        /// Since the run began.
        count: u64,
    },
    /// After everything was healed, when nothing else is done any more.
    #[serde(rename = "after_heal")]
    AfterHeal(bool),
    /// When a node prints such a line.
    #[serde(rename = "log")]
    Log {
        /// Which node.
        node: Node,
        /// A regular expression.
        pattern: String,
    },
}

/// Draws every action of the run; timed ones in order of their time, then those
/// that wait for an event.
pub fn draw(workload: &Workload, seed: u64) -> Vec<PlannedFault> {
    let mixed = workload.nemesis.intensity().is_some();
    let mut planned = all_rules(workload, seed, !mixed);
    let scenes = Scenes::draw(workload, seed, horizon(workload));
    scenes.make_room(&mut planned);
    if planned.is_empty() && scenes.faults.is_empty() && mixed {
        planned = all_rules(workload, seed, true);
        planned.truncate(1);
    }
    if mixed && !workload.beyond_budget {
        quiet::clear(&mut planned);
    }
    planned.extend(scenes.faults);
    planned.sort_by_key(|fault| (order(&fault.begins), fault.rule));
    planned.extend(workload.has_latecomer().then(|| latecomer(workload, seed)));
    for (id, fault) in planned.iter_mut().enumerate() {
        fault.id = id as u64;
    }
    planned
}

/// How long the last replica stays away: beyond the grain of the time line.
const LATE: Duration = Duration::from_millis(1100);

/// A replica that is away when the last operation is acknowledged. Whatever it makes up
/// for, nobody asks any more, so nothing covers up what it gets wrong.
fn latecomer(workload: &Workload, seed: u64) -> PlannedFault {
    let replica = 1 + Rng::new(seed, Purpose::Latecomer).below(u64::from(workload.cluster.replicas)) as u16;
    PlannedFault {
        id: 0,
        rule: workload.rules().len(),
        fault: FaultKind::Kill,
        nodes: vec![Node::Srv(replica)],
        begins: Begins::AfterHeal(true),
        lasts_ns: LATE.as_nanos() as u64,
        parameters: Parameters::None,
    }
}

/// In order; each rule draws from a stream of its own.
fn all_rules(workload: &Workload, seed: u64, at_least_one: bool) -> Vec<PlannedFault> {
    let mut planned: Vec<PlannedFault> = Vec::new();
    for (number, rule) in workload.rules().iter().enumerate() {
        let mut rng = Rng::new(seed, Purpose::Fault(number as u32));
        let times = begins(workload, rule, at_least_one, &mut rng);
        planned.extend(times.into_iter().map(|begins| plan_one(workload, rule, number, begins, &mut rng)));
    }
    planned.sort_by_key(|fault| (order(&fault.begins), fault.rule));
    planned
}

/// Timed ones by their time, before all others.
pub(super) fn order(begins: &Begins) -> (bool, u64) {
    match begins {
        Begins::At(time) | Begins::Since { at_ns: time, .. } => (false, *time),
        Begins::Acknowledged(count) | Begins::Message { count, .. } | Begins::Fsync { count, .. } => {
            (true, *count)
        }
        Begins::Log { .. } | Begins::AfterHeal(_) => (true, u64::MAX),
    }
}

fn at_event(event: &Event) -> Begins {
    match event {
        Event::Acknowledged(count) => Begins::Acknowledged(*count),
        Event::Message { link, count } => Begins::Message { link: *link, count: *count },
        Event::Fsync { node, count } => Begins::Fsync { node: *node, count: *count },
        Event::Log { node, pattern } => Begins::Log { node: *node, pattern: pattern.clone() },
    }
}

fn horizon(workload: &Workload) -> Duration {
    workload.duration.map_or(HORIZON, |span| span.0)
}

fn begins(workload: &Workload, rule: &FaultRule, at_least_one: bool, rng: &mut Rng) -> Vec<Begins> {
    if let Some(event) = &rule.when {
        return vec![at_event(event)];
    }
    if let Some(at) = rule.at {
        return vec![Begins::At(at.nanos())];
    }
    let horizon = horizon(workload).as_nanos() as u64;
    let rhythm = Rhythm {
        every: rule.every.map_or(HORIZON, |span| span.0).as_nanos() as u64,
        spread: rule.spread.unwrap_or_default(),
        lasts: rule.lasts.nanos(),
        from: rule.from.map_or(0, Span::nanos),
        until: rule.until.map_or(horizon, |until| until.nanos().min(horizon)),
        at_least_one,
    };
    rhythm.times(rng).into_iter().map(Begins::At).collect()
}

fn plan_one(
    workload: &Workload,
    rule: &FaultRule,
    number: usize,
    begins: Begins,
    rng: &mut Rng,
) -> PlannedFault {
    let nodes = nodes(workload, rule, rng);
    let parameters = match rule.fault.family() {
        Family::Network => network(rule, &nodes, rng).map_or(Parameters::None, Parameters::Network),
        Family::Clock => clock(rule, rng).map_or(Parameters::None, Parameters::Clock),
        Family::Disk => rule.disk_act().map_or(Parameters::None, Parameters::Disk),
        Family::Process => {
            rule.process_fault(workload.budgets.stop).map_or(Parameters::None, Parameters::Process)
        }
    };
    PlannedFault {
        id: 0,
        rule: number,
        fault: rule.fault,
        nodes,
        begins,
        lasts_ns: rule.lasts.nanos(),
        parameters,
    }
}

fn nodes(workload: &Workload, rule: &FaultRule, rng: &mut Rng) -> Vec<Node> {
    let replicas = workload.cluster.replicas;
    match (&rule.target, &rule.groups) {
        (Some(target), _) => hit(target, replicas, rng),
        (None, Some(groups)) => cut_links(groups, replicas).into_iter().map(Link::server).collect(),
        (None, None) => Vec::new(),
    }
}

/// What is done to the links that lead to these nodes.
fn network(rule: &FaultRule, nodes: &[Node], rng: &mut Rng) -> Option<NetworkPlan> {
    let act = rule.link_fault()?;
    let usual = if rule.fault == FaultKind::Duplicate { Directions::ToServer } else { Directions::Both };
    let way = rule.direction.map_or(Some(usual), Way::directions);
    let direction =
        way.unwrap_or_else(|| if rng.below(2) == 0 { Directions::ToServer } else { Directions::ToClient });
    let whole = |node: &Node| Reach { link: Link::to(*node), direction, from_ns: 0, until_ns: None };
    let mut links: Vec<Reach> = nodes.iter().map(whole).collect();
    if rule.fault == FaultKind::Clog {
        clog(&mut links, rule.lasts.nanos(), rng);
    }
    Some(NetworkPlan { act, links, flap_ns: rule.flap.map(Span::nanos) })
}

/// What is done to clocks; the ranges of what is not said are Jepsen's. Whole numbers
/// throughout, so that every machine draws the same.
fn clock(rule: &FaultRule, rng: &mut Rng) -> Option<ClockFault> {
    const MILLISECOND: i64 = 1_000_000;
    let asked = rule.by.map(|by| by.nanos);
    let signed = |nanos: i64, rng: &mut Rng| if rng.below(2) == 0 { nanos } else { -nanos };
    match rule.fault {
        FaultKind::ClockJump => {
            // 1.5 to the power of 6 to 31 milliseconds: 11 ms to 287 s, evenly by order.
            let power = 6 + rng.below(26) as u32;
            let nanos = (i128::from(MILLISECOND) * 3i128.pow(power)) >> power;
            let drawn = signed(nanos as i64, rng);
            Some(ClockFault::Jump { by_ns: asked.unwrap_or(drawn) })
        }
        FaultKind::ClockRate => {
            let drawn = (400 + rng.below(2_101)) as f64 / 1000.0;
            Some(ClockFault::Rate { rate: rule.rate.unwrap_or(drawn) })
        }
        FaultKind::ClockStrobe => {
            let drawn = signed(MILLISECOND << (2 + rng.below(17)), rng);
            let period = (MILLISECOND as u64) << rng.below(11);
            let period_ns = rule.period.map_or(period, Span::nanos);
            Some(ClockFault::Strobe { by_ns: asked.unwrap_or(drawn), period_ns })
        }
        _ => None,
    }
}

/// In the first half of the time one link after the other is held, in the second
/// half one after the other is released, in another order.
fn clog(links: &mut [Reach], lasts: u64, rng: &mut Rng) {
    let step = lasts / 2 / (links.len() as u64).max(1);
    let order = |rng: &mut Rng| {
        let mut left: Vec<usize> = (0..links.len()).collect();
        let mut order = Vec::new();
        while !left.is_empty() {
            order.push(left.remove(rng.below(left.len() as u64) as usize));
        }
        order
    };
    let (held, released) = (order(rng), order(rng));
    for (turn, (into, out)) in (0u64..).zip(held.into_iter().zip(released)) {
        links[into].from_ns = turn * step;
        links[out].until_ns = Some(lasts / 2 + (turn + 1) * step);
    }
}

/// The nodes that a target means this time.
fn hit(target: &Target, replicas: u16, rng: &mut Rng) -> Vec<Node> {
    let all: Vec<Node> = (1..=replicas).map(Node::Srv).collect();
    let count = all.len();
    match target {
        Target::Named(nodes) => nodes.clone(),
        Target::One => rng.choose(&all, 1),
        Target::Minority => rng.choose(&all, ((count - 1) / 2).max(1)),
        Target::Majority => rng.choose(&all, count / 2 + 1),
        Target::All => all,
        Target::Random => {
            let some = 1 + rng.below(count as u64) as usize;
            rng.choose(&all, some)
        }
        Target::Any => {
            let nodes: Vec<Node> = std::iter::once(Node::Coord).chain(all).collect();
            rng.choose(&nodes, 1)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workload::parse;

    fn drawn(nemesis: &str, seed: u64) -> Vec<PlannedFault> {
        let text = format!(r#"{{"name":"x","duration":"20s","nemesis":[{nemesis}]}}"#);
        draw(&parse("w.json", &text).unwrap(), seed)
    }

    #[test]
    fn every_rhythm_comes_at_least_once_and_ends_in_time() {
        for seed in 0..200 {
            for rule in [
                r#"{"fault":"kill","target":"one","every":"3s","for":"500ms"}"#,
                r#"{"fault":"kill","target":"one","every":"1h","for":"500ms"}"#,
            ] {
                let faults = drawn(rule, seed);
                assert!(!faults.is_empty());
                for fault in faults {
                    let Begins::At(time) = fault.begins else { panic!("a rhythm is timed") };
                    assert!(time + fault.lasts_ns <= 20_000_000_000, "{fault:?}");
                }
            }
        }
    }

    #[test]
    fn with_everything_a_replica_comes_late_unless_there_is_no_majority_without_it() {
        let late = |text: &str| {
            let faults = draw(&parse("w.json", text).unwrap(), 1);
            faults.into_iter().filter(|fault| fault.begins == Begins::AfterHeal(true)).collect::<Vec<_>>()
        };
        let faults = late(r#"{"name":"x","duration":"20s","nemesis":"all"}"#);
        assert!(matches!(faults[..], [PlannedFault { fault: FaultKind::Kill, .. }]), "{faults:?}");
        for text in [
            r#"{"name":"x","duration":"20s","nemesis":"all","latecomer":false}"#,
            r#"{"name":"x","duration":"20s","nemesis":"all","cluster":{"replicas":2}}"#,
            r#"{"name":"x","duration":"20s","nemesis":{"all":{"without":["process"]}}}"#,
            r#"{"name":"x","duration":"20s"}"#,
        ] {
            assert_eq!(late(text), [], "{text}");
        }
        assert_eq!(late(r#"{"name":"x","duration":"20s","latecomer":true}"#).len(), 1);
    }

    #[test]
    fn a_family_that_is_left_out_of_everything_never_comes() {
        let text = r#"{"name":"x","duration":"60s","nemesis":{"all":{"intensity":"hostile","without":["network"]}}}"#;
        let faults = draw(&parse("w.json", text).unwrap(), 1);
        assert!(faults.iter().any(|fault| fault.fault.family() == Family::Process));
        assert!(faults.iter().all(|fault| fault.fault.family() != Family::Network));
    }

    #[test]
    fn a_minority_of_three_is_one_and_a_majority_two() {
        let mut rng = Rng::new(1, Purpose::Fault(0));
        assert_eq!(hit(&Target::Minority, 3, &mut rng).len(), 1);
        assert_eq!(hit(&Target::Majority, 3, &mut rng).len(), 2);
        assert_eq!(hit(&Target::Minority, 5, &mut rng).len(), 2);
        assert_eq!(hit(&Target::All, 5, &mut rng).len(), 5);
        for _ in 0..100 {
            assert!(!hit(&Target::Random, 3, &mut rng).is_empty());
        }
    }

    #[test]
    fn a_clog_holds_link_after_link_and_releases_each_after_all_are_held() {
        let orders: std::collections::BTreeSet<Vec<u64>> = (0..50)
            .map(|seed| {
                let faults = drawn(r#"{"fault":"clog","target":"all","at":"1s","for":"6s"}"#, seed);
                let links = &faults[0].network().unwrap().links;
                let mut from: Vec<u64> = links.iter().map(|link| link.from_ns).collect();
                let mut until: Vec<u64> = links.iter().map(|link| link.until_ns.unwrap()).collect();
                let order = until.clone();
                from.sort_unstable();
                until.sort_unstable();
                assert_eq!(from, [0, 1_000_000_000, 2_000_000_000]);
                assert_eq!(until, [4_000_000_000, 5_000_000_000, 6_000_000_000]);
                order
            })
            .collect();
        assert!(orders.len() > 3, "the order of release is drawn");
    }

    #[test]
    fn a_partition_names_the_links_that_it_cuts_and_one_way_is_drawn() {
        let groups =
            r#"{"fault":"partition","groups":[["clients","srv-2"],["coord"]],"at":"1s","how":"refuse"}"#;
        let fault = &drawn(groups, 1)[0];
        assert_eq!(fault.nodes, [Node::Coord, Node::Srv(2)]);
        let json = serde_json::to_string(fault).unwrap();
        assert!(json.contains(r#""how":{"act":"refuse","drop_established":true,"links":[{"link":"clients-coord","direction":"both"}"#), "{json}");
        let ways: std::collections::BTreeSet<Directions> = (0..50)
            .map(|seed| {
                let rule = r#"{"fault":"partition","target":"minority","direction":"one-way","at":"1s"}"#;
                drawn(rule, seed)[0].network().unwrap().links[0].direction
            })
            .collect();
        assert_eq!(ways.into_iter().collect::<Vec<_>>(), [Directions::ToServer, Directions::ToClient]);
    }

    #[test]
    fn jumps_of_clocks_that_nobody_asked_for_lie_in_jepsens_range_and_go_both_ways() {
        let jump = |seed| match drawn(r#"{"fault":"clock-jump","target":"one","at":"1s"}"#, seed)[0].clock() {
            Some(ClockFault::Jump { by_ns }) => by_ns,
            other => panic!("{other:?}"),
        };
        let jumps: Vec<i64> = (0..300).map(jump).collect();
        assert!(jumps.iter().all(|by| (11_000_000..=290_000_000_000).contains(&by.abs())));
        assert!(jumps.iter().any(|by| *by < 0) && jumps.iter().any(|by| *by > 100_000_000_000));
        let asked = r#"{"fault":"clock-jump","target":"one","at":"1s","by":"-3s"}"#;
        assert_eq!(drawn(asked, 1)[0].clock(), Some(ClockFault::Jump { by_ns: -3_000_000_000 }));
        let json = serde_json::to_string(&drawn(asked, 1)[0]).unwrap();
        assert!(json.contains(r#""how":{"act":"jump","by_ns":-3000000000}"#), "{json}");
    }

    #[test]
    fn one_rule_more_leaves_the_draws_of_the_others_alone() {
        let kill = r#"{"fault":"kill","target":"one","every":"3s","for":"500ms"}"#;
        let pause = r#"{"fault":"pause","target":"one","every":"4s","for":"1s"}"#;
        let times = |faults: Vec<PlannedFault>| -> Vec<Begins> {
            faults.into_iter().filter(|fault| fault.rule == 0).map(|fault| fault.begins).collect()
        };
        assert_eq!(times(drawn(kill, 9)), times(drawn(&format!("{kill},{pause}"), 9)));
    }
}
