//! Situations of a mix that faults drawn one by one hardly ever come to.
//!
//! What brings down replicated systems is seldom one fault: it is the second one before the
//! first is over. So a mix of everything plays scenes between its single faults: faults
//! whose times and targets belong together. Each is one that systems are known to have
//! failed in, and one that a right system comes through; which comes when, and who is hit,
//! is drawn. They come from a deck that is dealt out before it is shuffled anew, so that a
//! run that is long enough has seen every one. While a scene is on nothing else begins, or
//! it would be another one.
//!
//! What a scene's faults do to whom is not known here, as ever in a plan.

use std::time::Duration;

use super::rng::{Purpose, Rng};
use super::schedule::{Begins, Parameters, PlannedFault};
use crate::fault::clock::ClockFault;
use crate::fault::disk::{DiskAct, Leaves, Request};
use crate::fault::network::{Directions, LinkFault, NetworkPlan, Reach};
use crate::fault::{FaultKind, Link, Node};
use crate::workload::{Intensity, QUIET, Workload};

/// What comes before everything loses its power.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Prelude {
    /// Nothing: in the midst of work.
    Work,
    /// The coordinator's clock goes wrong and is set right again.
    Clock,
    /// Fsyncs fail on every disk.
    FailingSyncs,
    /// Every disk is full.
    FullDisks,
}

/// One situation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scene {
    /// The power of every node fails at once, the coordinator's too.
    Blackout(Prelude),
    /// The coordinator is cut off from all replicas but one, then dies; its successor is
    /// followed by those others, and dies after its first words; the next one is followed
    /// by the first replica and one of them. So each majority knows what the others missed.
    Relay,
    /// A majority is silent for longer than anybody waits, and then goes on.
    Silence,
    /// A relay while the coordinator's clock is ahead; then the clock is set right, as it is
    /// on machines that ask for the time only after their start.
    EarlyRelay,
}

/// What is dealt out, the first one first. [`Scene::EarlyRelay`] comes last in a run, so that
/// nothing makes up for what it has done: neither a next coordinator nor a state that a
/// replica is given as a whole. [`Scene::Silence`]
/// comes before the others: what it shows is an answer that no order explains, which is
/// found while few operations of unknown outcome could explain it after all.
const DECK: [Scene; 6] = [
    Scene::Silence,
    Scene::Blackout(Prelude::Work),
    Scene::Blackout(Prelude::Clock),
    Scene::Blackout(Prelude::FailingSyncs),
    Scene::Blackout(Prelude::FullDisks),
    Scene::Relay,
];

/// A run must be so many times as long as its last scene for it to be played.
const SHARE: u64 = 3;
/// A disk that failed a node waits so long for the node's last words.
const REPAIR: u64 = 1_200 * MS;
/// Between two scenes, from the least to the greatest, where they are densest.
const GAPS: (u64, u64) = (700 * MS, 1_100 * MS);
/// No scene comes before clients have found the system, at the latest so soon.
const START: u64 = 600 * MS;
/// Between two decks, for single faults and for what damages synced data.
const INTERVAL: u64 = 20_000 * MS;

const MS: u64 = 1_000_000;

/// One scene's part of the run: nothing else begins or lasts in it.
#[derive(Debug, Clone, Copy)]
struct Room {
    begin: u64,
    end: u64,
}

/// The scenes of a run, in order of time.
#[derive(Debug, Default)]
pub(super) struct Scenes {
    /// What they consist of.
    pub(super) faults: Vec<PlannedFault>,
    rooms: Vec<Room>,
}

impl Scenes {
    /// Draws them; none where a mix keeps to one node at a time, and none for fewer than 3
    /// replicas, of which no majority is left without one.
    pub(super) fn draw(workload: &Workload, seed: u64, horizon: Duration) -> Self {
        let pace = match workload.nemesis.intensity() {
            Some(Intensity::Hostile) => 1,
            Some(Intensity::Rough) => 5,
            Some(Intensity::Calm) | None => return Self::default(),
        };
        if workload.cluster.replicas < 3 {
            return Self::default();
        }
        let stage = Stage { replicas: workload.cluster.replicas, rule: workload.rules().len() };
        let mut scenes = Self::default();
        scenes.deal(&stage, pace, horizon.as_nanos() as u64, &mut Rng::new(seed, Purpose::Scenes));
        let left_out = workload.nemesis.without();
        let missing = |fault: &PlannedFault| left_out.contains(&fault.fault.family());
        scenes.leave_out(missing);
        scenes
    }

    fn deal(&mut self, stage: &Stage, pace: u64, horizon: u64, rng: &mut Rng) {
        let last = Scene::EarlyRelay;
        let until = if last.lasts() * SHARE <= horizon { horizon - last.lasts() } else { horizon };
        let deck: u64 = DECK.iter().map(|scene| scene.lasts() + GAPS.1 * pace).sum();
        // Somewhere, if it fits; else at once.
        let slack = until.saturating_sub(deck + START).min(INTERVAL * pace);
        let mut time = START / 2 + rng.below(START / 2) + rng.below(slack + 1);
        'run: loop {
            for scene in dealt(until.saturating_sub(time) >= deck, rng) {
                if time + scene.lasts() > until {
                    break 'run;
                }
                self.play(scene, time, stage, rng);
                time += scene.lasts() + (GAPS.0 + rng.below(GAPS.1 - GAPS.0)) * pace;
            }
            time += INTERVAL * pace;
        }
        if until < horizon {
            self.play(last, until, stage, rng);
        }
    }

    fn play(&mut self, scene: Scene, at: u64, stage: &Stage, rng: &mut Rng) {
        self.rooms.push(Room { begin: at, end: at + scene.lasts() });
        let mut faults = scene.faults(at, stage, rng);
        faults.sort_by_key(|fault| super::schedule::order(&fault.begins));
        self.faults.extend(faults);
    }

    /// A scene of which a part is missing is none.
    fn leave_out(&mut self, missing: impl Fn(&PlannedFault) -> bool) {
        let lost: Vec<Room> = self
            .rooms
            .iter()
            .copied()
            .filter(|room| self.faults.iter().any(|fault| room.holds(fault) && missing(fault)))
            .collect();
        self.faults.retain(|fault| !lost.iter().any(|room| room.holds(fault)));
        self.rooms.retain(|room| !lost.iter().any(|other| other.begin == room.begin));
    }

    /// Takes out of a plan what would begin or last while a scene is on.
    pub(super) fn make_room(&self, planned: &mut Vec<PlannedFault>) {
        planned.retain(|fault| {
            let (begin, end) = super::quiet::span(fault);
            let quiet = QUIET.as_nanos() as u64;
            let (before, after) = match fault.fault {
                kind if kind.damages_synced() => (quiet, quiet),
                kind if kind.takes_process() => (0, REPAIR),
                _ => (0, 100 * MS),
            };
            let taken = (begin.saturating_sub(before), end + after);
            self.rooms.iter().all(|room| taken.1 < room.begin || room.end < taken.0)
        });
    }
}

impl Room {
    fn holds(&self, fault: &PlannedFault) -> bool {
        (self.begin..=self.end).contains(&super::schedule::order(&fault.begins).1)
    }
}

/// In a run too short for all of them any may come first, or it would always be the same.
fn dealt(whole: bool, rng: &mut Rng) -> Vec<Scene> {
    let mut left = DECK.to_vec();
    let mut drawn: Vec<Scene> = left.drain(..usize::from(whole)).collect();
    while !left.is_empty() {
        drawn.push(left.remove(rng.below(left.len() as u64) as usize));
    }
    drawn
}

impl Scene {
    /// In nanoseconds, from its first fault to the service after it.
    fn lasts(self) -> u64 {
        MS * match self {
            Self::Blackout(Prelude::Work) => 600,
            Self::Blackout(Prelude::Clock) => 1_300,
            Self::Blackout(Prelude::FailingSyncs | Prelude::FullDisks) => 2_400,
            Self::Relay => 2_300,
            Self::Silence => 2_100,
            Self::EarlyRelay => 2_300,
        }
    }

    fn faults(self, at: u64, stage: &Stage, rng: &mut Rng) -> Vec<PlannedFault> {
        match self {
            Self::Blackout(prelude) => stage.blackout(prelude, at, rng),
            Self::Relay => stage.relay(at, rng),
            Self::Silence => stage.silence(at, rng),
            Self::EarlyRelay => stage.early_relay(at, rng),
        }
    }
}

/// Who plays.
struct Stage {
    replicas: u16,
    rule: usize,
}

impl Stage {
    fn everybody(&self) -> Vec<Node> {
        (1..=self.replicas).map(Node::Srv).collect()
    }

    fn shuffled(&self, rng: &mut Rng) -> Vec<Node> {
        let all = self.everybody();
        rng.choose(&all, all.len())
    }

    fn fault(&self, kind: FaultKind, nodes: &[Node], (begins, lasts): (Begins, u64)) -> PlannedFault {
        PlannedFault {
            id: 0,
            rule: self.rule,
            fault: kind,
            nodes: nodes.to_vec(),
            begins,
            lasts_ns: lasts,
            parameters: Parameters::None,
        }
    }

    fn kill(&self, nodes: &[Node], when: (Begins, u64)) -> PlannedFault {
        self.fault(FaultKind::Kill, nodes, when)
    }

    fn disk(&self, kind: FaultKind, act: DiskAct, (at, lasts): (u64, u64)) -> PlannedFault {
        let fault = self.fault(kind, &self.everybody(), (Begins::At(at), lasts));
        PlannedFault { parameters: Parameters::Disk(act), ..fault }
    }

    fn links(&self, nodes: &[Node], act: LinkFault, (at, lasts): (u64, u64)) -> PlannedFault {
        let mut nodes = nodes.to_vec();
        nodes.sort_unstable();
        let whole = |node: &Node| Reach {
            link: Link::to(*node),
            direction: Directions::Both,
            from_ns: 0,
            until_ns: None,
        };
        let plan = NetworkPlan { act, links: nodes.iter().map(whole).collect(), flap_ns: None };
        let fault = self.fault(FaultKind::Partition, &nodes, (Begins::At(at), lasts));
        PlannedFault { parameters: Parameters::Network(plan), ..fault }
    }

    fn clock(&self, by_ns: i64, (at, lasts): (u64, u64)) -> PlannedFault {
        let fault = self.fault(FaultKind::ClockJump, &[Node::Coord], (Begins::At(at), lasts));
        PlannedFault { parameters: Parameters::Clock(ClockFault::Jump { by_ns }), ..fault }
    }

    fn blackout(&self, prelude: Prelude, at: u64, rng: &mut Rng) -> Vec<PlannedFault> {
        let (mut faults, mut leaves) = (Vec::new(), Leaves::Nothing);
        let dark = match prelude {
            Prelude::Work => at,
            Prelude::Clock => {
                let by = rng.between(2, 100) * 1_000 * MS as i64;
                faults.push(self.clock(if rng.below(2) == 0 { by } else { -by }, (at, 500 * MS)));
                at + (700 + rng.below(100)) * MS
            }
            Prelude::FailingSyncs => {
                let act = DiskAct::Errors { on: vec![Request::Fsyncs], per_million: 1_000_000 };
                faults.push(self.disk(FaultKind::DiskErrors, act, (at, 400 * MS)));
                at + 400 * MS + REPAIR + rng.below(200) * MS
            }
            Prelude::FullDisks => {
                // Less than a record takes: one is likely to be cut short at once.
                let act = DiskAct::Full { bytes: 1 + rng.below(60) };
                faults.push(self.disk(FaultKind::DiskFull, act, (at, 400 * MS)));
                leaves = if rng.below(2) == 0 { Leaves::Some } else { Leaves::Nothing };
                at + 400 * MS + REPAIR + rng.below(200) * MS
            }
        };
        faults.push(self.disk(FaultKind::PowerFailure, DiskAct::PowerFailure { leaves }, (dark, 250 * MS)));
        faults.push(self.kill(&[Node::Coord], (Begins::At(dark), 300 * MS)));
        faults
    }

    /// Whoever is cut off loses what is sent meanwhile: nobody else has it then.
    fn relay(&self, at: u64, rng: &mut Rng) -> Vec<PlannedFault> {
        let order = self.shuffled(rng);
        let minority = (order.len() - 1) / 2;
        let (first, others) = order.split_at(minority);
        let (second, _) = others.split_at(minority);
        let cut = (250 + rng.below(100)) * MS;
        let dies = at + cut;
        let words = 1 + rng.below(2);
        // The coordinator is dead by then, and what is acknowledged is its successor's.
        let after = || Begins::Since { at_ns: dies + 40 * MS, acknowledged: words };
        vec![
            self.links(others, LinkFault::Drop, (at, cut)),
            self.kill(first, (Begins::At(dies), 900 * MS)),
            self.kill(&[Node::Coord], (Begins::At(dies), 60 * MS)),
            self.kill(second, (after(), 1_300 * MS)),
            self.kill(&[Node::Coord], (after(), 60 * MS)),
        ]
    }

    fn silence(&self, at: u64, rng: &mut Rng) -> Vec<PlannedFault> {
        let order = self.shuffled(rng);
        let majority = order.len() / 2 + 1;
        vec![self.links(&order[..majority], LinkFault::Hold, (at, 1_900 * MS))]
    }

    fn early_relay(&self, at: u64, rng: &mut Rng) -> Vec<PlannedFault> {
        let ahead = rng.between(60, 290) * 1_000 * MS as i64;
        let mut faults = self.relay(at, rng);
        faults.push(self.clock(ahead, (at, 2_000 * MS)));
        faults
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fault::Family;
    use crate::workload::parse;

    fn workload(seconds: u32, nemesis: &str) -> Workload {
        parse("w.json", &format!(r#"{{"name":"x","duration":"{seconds}s","nemesis":{nemesis}}}"#)).unwrap()
    }

    fn drawn(seconds: u32, nemesis: &str, seed: u64) -> Scenes {
        Scenes::draw(&workload(seconds, nemesis), seed, Duration::from_secs(seconds.into()))
    }

    const HOSTILE: &str = r#"{"all":{"intensity":"hostile"}}"#;

    #[test]
    fn half_a_minute_sees_every_scene_and_no_two_of_them_meet() {
        for seed in 0..100 {
            let Scenes { faults, rooms } = drawn(22, HOSTILE, seed);
            assert_eq!(rooms.len(), DECK.len() + 1, "seed {seed}");
            let first = faults[0].network().map(|plan| plan.act);
            assert_eq!(first, Some(LinkFault::Hold), "a silence");
            assert!(rooms.windows(2).all(|pair| pair[0].end < pair[1].begin), "{rooms:?}");
            let count = |kind| faults.iter().filter(|fault| fault.fault == kind).count();
            assert_eq!(count(FaultKind::PowerFailure), 4);
            assert_eq!(count(FaultKind::Partition), 3);
            assert_eq!(count(FaultKind::ClockJump), 2);
            assert!(faults.iter().all(|fault| rooms.iter().any(|room| room.holds(fault))));
        }
    }

    #[test]
    fn single_faults_keep_out_of_the_way_and_damage_keeps_farther() {
        let mut damage = 0;
        for seed in 0..20 {
            let workload = workload(120, HOSTILE);
            let scenes = drawn(120, HOSTILE, seed);
            let planned = crate::plan::schedule::draw(&workload, seed);
            let (of_scenes, single): (Vec<_>, Vec<_>) =
                planned.iter().partition(|fault| fault.rule == workload.rules().len());
            assert!(of_scenes.len() >= scenes.faults.len());
            for fault in single {
                damage += usize::from(fault.fault.damages_synced());
                let (begin, end) = crate::plan::quiet::span(fault);
                let far = if fault.fault.damages_synced() { QUIET.as_nanos() as u64 } else { 0 };
                let meets = |room: &&Room| begin.saturating_sub(far) <= room.end && room.begin <= end + far;
                assert!(!scenes.rooms.iter().any(|room| meets(&room)), "{fault:?}");
            }
        }
        assert!(damage >= 20, "there is room for it: {damage}");
    }

    #[test]
    fn a_scene_of_which_a_family_is_left_out_is_not_played() {
        let without = |family: &str| {
            let nemesis = format!(r#"{{"all":{{"intensity":"hostile","without":["{family}"]}}}}"#);
            drawn(60, &nemesis, 1).faults
        };
        for (name, family) in [("disk", Family::Disk), ("process", Family::Process), ("clock", Family::Clock)]
        {
            let faults = without(name);
            assert!(faults.iter().all(|fault| fault.fault.family() != family), "{name}");
            assert!(!faults.is_empty(), "{name}");
        }
        let without_disks = without("disk");
        let kills = without_disks.iter().filter(|fault| fault.nodes == [Node::Coord]);
        assert!(kills.count() > 0, "the others are whole");
    }

    #[test]
    fn a_mix_that_keeps_to_one_node_at_a_time_plays_none() {
        assert!(drawn(60, r#"{"all":{"intensity":"calm"}}"#, 1).faults.is_empty());
        assert!(!drawn(60, r#""all""#, 1).faults.is_empty());
    }
}
