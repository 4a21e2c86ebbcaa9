//! When which fault hits whom, drawn from the seed before anything starts.
//!
//! What the cluster is doing at that moment is not known here: an action that
//! turns out not to apply is skipped by the nemesis, with a reason.

use std::time::Duration;

use serde::Serialize;

use super::rng::{Purpose, Rng};
use crate::fault::{FaultKind, Node};
use crate::workload::{FaultRule, Target, Workload};

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
    /// For a delay: latency and its variation.
    #[serde(flatten)]
    pub delay: Option<PlannedDelay>,
}

/// The trigger of a planned action.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum Begins {
    /// So many nanoseconds after the clients began.
    #[serde(rename = "at_ns")]
    At(u64),
    /// When so many operations were acknowledged.
    #[serde(rename = "acknowledged")]
    Acknowledged(u64),
}

/// How a link is slowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct PlannedDelay {
    /// Mean latency added to each chunk, in nanoseconds.
    pub latency_ns: u64,
    /// Greatest deviation from it, in nanoseconds.
    pub jitter_ns: u64,
}

/// Draws every action of the run; timed ones in order of their time, then those
/// that wait for an event.
pub fn draw(workload: &Workload, seed: u64) -> Vec<PlannedFault> {
    let mut planned: Vec<PlannedFault> = Vec::new();
    for (number, rule) in workload.nemesis.iter().enumerate() {
        let mut rng = Rng::new(seed, Purpose::Fault(number as u32));
        let times = begins(workload, rule, &mut rng);
        planned.extend(times.into_iter().map(|begins| plan_one(workload, rule, number, begins, &mut rng)));
    }
    planned.sort_by_key(|fault| (order(fault.begins), fault.rule));
    for (id, fault) in planned.iter_mut().enumerate() {
        fault.id = id as u64;
    }
    planned
}

fn order(begins: Begins) -> (bool, u64) {
    match begins {
        Begins::At(time) => (false, time),
        Begins::Acknowledged(count) => (true, count),
    }
}

fn begins(workload: &Workload, rule: &FaultRule, rng: &mut Rng) -> Vec<Begins> {
    if let Some(event) = rule.when {
        return vec![Begins::Acknowledged(event.acknowledged)];
    }
    if let Some(at) = rule.at {
        return vec![Begins::At(at.nanos())];
    }
    let every = rule.every.map_or(HORIZON, |span| span.0).as_nanos() as u64;
    let horizon = workload.duration.map_or(HORIZON, |span| span.0).as_nanos() as u64;
    rhythm(every, rule.lasts.nanos(), horizon, rng).into_iter().map(Begins::At).collect()
}

/// Gaps drawn uniformly from 0 to twice the mean, as Jepsen staggers them; a
/// fault of one rule never begins before the one before it has ended, and none
/// begins so late that it could not run its time.
///
/// A run too short for its rhythm still gets one fault: a kind that the workload
/// names and that never comes would make the whole run prove nothing.
fn rhythm(every: u64, lasts: u64, horizon: u64, rng: &mut Rng) -> Vec<u64> {
    let last = horizon.saturating_sub(lasts);
    let mut times = Vec::new();
    let mut time = rng.below(2 * every + 1);
    while time <= last {
        times.push(time);
        time += rng.below(2 * every + 1).max(lasts);
    }
    if times.is_empty() {
        times.push(rng.below(last + 1));
    }
    times
}

fn plan_one(
    workload: &Workload,
    rule: &FaultRule,
    number: usize,
    begins: Begins,
    rng: &mut Rng,
) -> PlannedFault {
    let delay = rule.latency.map(|latency| PlannedDelay {
        latency_ns: latency.nanos(),
        jitter_ns: rule.jitter.map_or(0, |jitter| jitter.nanos()),
    });
    PlannedFault {
        id: 0,
        rule: number,
        fault: rule.fault,
        nodes: hit(&rule.target, workload.cluster.replicas, rng),
        begins,
        lasts_ns: rule.lasts.nanos(),
        delay,
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
    fn one_rule_more_leaves_the_draws_of_the_others_alone() {
        let kill = r#"{"fault":"kill","target":"one","every":"3s","for":"500ms"}"#;
        let pause = r#"{"fault":"pause","target":"one","every":"4s","for":"1s"}"#;
        let times = |faults: Vec<PlannedFault>| -> Vec<Begins> {
            faults.into_iter().filter(|fault| fault.rule == 0).map(|fault| fault.begins).collect()
        };
        assert_eq!(times(drawn(kill, 9)), times(drawn(&format!("{kill},{pause}"), 9)));
    }
}
