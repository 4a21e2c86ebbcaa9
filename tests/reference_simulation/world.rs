//! The simulated world: time, network, processes, and a fate that is unkind to all of them.
//!
//! One queue of happenings in the order of their times; whoever handles one may add more. It must
//! not judge: that is the witness's part.

mod fate;
mod network;
mod processes;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::time::Duration;

use crate::chance::Chance;
use crate::memory::Mount;
use crate::replica::{Limits, Replica};
use crate::sequencer::{Reply, Sequencer, Settings};
use crate::witness::Witness;

/// In microseconds, as all times here.
const FAULTS_END: u64 = 1_500_000;
const PATIENCE: u64 = 3_000_000;

/// What happens next somewhere.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Happening {
    Tick { life: u64 },
    Dial { life: u64, replica: usize },
    ToReplica { connection: u64, line: String },
    ToCoordinator { connection: u64, line: String },
    CoordinatorLearnsLoss { connection: u64 },
    Turn { replica: usize, life: u64 },
    Publish { replica: usize, life: u64 },
    Start { replica: usize },
    StartCoordinator,
    Request,
    Fate,
    Heal { replica: usize },
}

#[derive(Debug)]
struct Connection {
    replica: usize,
    coordinator_life: u64,
    replica_life: u64,
    /// The time of the last line in each direction; the next comes later.
    last: [u64; 2],
    /// A direction that lost a line delivers no more.
    dead: [bool; 2],
}

#[derive(Default)]
struct Node {
    disk: Mount,
    process: Option<Replica<Mount>>,
    life: u64,
    inbox: Vec<(u64, String)>,
    cut_off: bool,
    /// What it had synced was damaged, and it has not been in step with the others since.
    damaged: bool,
}

/// How a world went; equal for equal seeds.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Tally {
    pub acknowledged: u64,
    pub refused: u64,
    pub unknown: u64,
    pub entries: u64,
    pub ended: u64,
    pub damages: u64,
}

/// One world.
pub struct World {
    chance: Chance,
    now: u64,
    counter: u64,
    queue: BinaryHeap<Reverse<(u64, u64, Happening)>>,
    nodes: Vec<Node>,
    coordinator: Option<Sequencer>,
    coordinator_life: u64,
    coordinator_started: u64,
    connections: BTreeMap<u64, Connection>,
    witness: Witness,
    settings: Settings,
    limits: Limits,
    slow: u64,
    restless: bool,
    tally: Tally,
}

impl World {
    pub fn new(seed: u64) -> Self {
        let mut chance = Chance::seeded(seed);
        let replicas = if chance.one_in(4) { 5 } else { 3 };
        let settings = Settings {
            heartbeat: Duration::from_millis(40),
            commit_delay: Duration::from_millis(5),
            silence: Duration::from_millis(chance.between(20, 200)),
            give_up: Duration::from_millis(chance.between(200, 500)),
            wait: Duration::from_millis(chance.between(20, 300)),
            deadline: Duration::from_millis(chance.between(50, 600)),
            backoff: (Duration::from_millis(5), Duration::from_millis(100)),
            batch: chance.between(1, 8) as usize,
            window: chance.between(1, 4) as usize,
            keep: chance.between(2, 50),
        };
        let limits = Limits {
            compact_bytes: if chance.one_in(3) { 1 << 20 } else { chance.between(100, 3000) },
            fetch_entries: chance.between(1, 10) as usize,
        };
        let slow = chance.between(2, 40);
        // Many short-lived coordinators, each with another pair of replicas, one entry at a time:
        // the world of figure 8 in the Raft paper.
        let restless = chance.one_in(3);
        let settings = if restless { Settings { batch: 1, ..settings } } else { settings };
        let mut world = Self {
            chance,
            now: 0,
            counter: 0,
            queue: BinaryHeap::new(),
            nodes: (0..replicas).map(|_| Node::default()).collect(),
            coordinator: None,
            coordinator_life: 0,
            coordinator_started: 0,
            connections: BTreeMap::new(),
            witness: Witness::default(),
            settings,
            limits,
            slow,
            restless,
            tally: Tally::default(),
        };
        (0..replicas).for_each(|replica| world.soon(5_000, Happening::Start { replica }));
        world.soon(5_000, Happening::StartCoordinator);
        world.soon(20_000, Happening::Request);
        world.soon(50_000, Happening::Fate);
        world
    }

    /// Faults, then peace; then everything must come right by itself.
    pub fn run(mut self) -> Tally {
        while self.now < FAULTS_END {
            self.step();
        }
        self.make_peace();
        let give_up = self.now + PATIENCE;
        while !self.is_settled() {
            self.step();
            assert!(self.now < give_up, "not settled {PATIENCE} us after the last fault: {}", self.status());
        }
        let files: Vec<String> = (0..self.nodes.len()).filter_map(|replica| self.file(replica)).collect();
        self.witness.judge(&files);
        self.finish_tally();
        self.tally
    }

    fn finish_tally(&mut self) {
        for asked in self.witness.asked.values() {
            match asked.ended {
                Some((_, Reply::Done(_))) => self.tally.acknowledged += 1,
                Some((_, Reply::Refused(_))) => self.tally.refused += 1,
                _ => self.tally.unknown += 1,
            }
        }
        self.tally.ended = self.now;
    }

    fn step(&mut self) {
        let Reverse((at, _, happening)) = self.queue.pop().expect("ticks never end");
        self.now = at;
        match happening {
            Happening::Tick { life } if life == self.coordinator_life => self.tick(),
            Happening::Dial { life, replica } if life == self.coordinator_life => self.dial(replica),
            Happening::ToReplica { connection, line } => self.reach_replica(connection, line),
            Happening::ToCoordinator { connection, line } => self.reach_coordinator(connection, line),
            Happening::CoordinatorLearnsLoss { connection } => self.learn_loss(connection),
            Happening::Turn { replica, life } if life == self.nodes[replica].life => self.turn(replica),
            Happening::Publish { replica, life } if life == self.nodes[replica].life => {
                self.publish(replica);
            }
            Happening::Start { replica } => self.start(replica),
            Happening::StartCoordinator => self.start_coordinator(),
            Happening::Request => self.request(),
            Happening::Fate => self.fate(),
            Happening::Heal { replica } => self.nodes[replica].cut_off = false,
            _ => {}
        }
    }

    fn at(&mut self, time: u64, happening: Happening) {
        self.counter += 1;
        self.queue.push(Reverse((time, self.counter, happening)));
    }

    /// Within so many microseconds.
    fn soon(&mut self, within: u64, happening: Happening) {
        let time = self.now + 1 + self.chance.below(within);
        self.at(time, happening);
    }

    fn make_peace(&mut self) {
        self.slow = u64::MAX;
        for replica in 0..self.nodes.len() {
            self.nodes[replica].cut_off = false;
            self.nodes[replica].disk.0.borrow_mut().operations_left = None;
            self.soon(1_000, Happening::Start { replica });
        }
        self.soon(1_000, Happening::StartCoordinator);
    }

    fn status(&self) -> String {
        let node = |node: &Node| node.process.as_ref().map(|p| (p.position(), p.is_stale()));
        let nodes: Vec<_> = self.nodes.iter().map(node).collect();
        format!("log {:?}, replicas {nodes:?}, coordinator {:?}", self.witness.latest, self.coordinator)
    }

    /// Everybody lives, has applied the whole log, and shows it.
    fn is_settled(&self) -> bool {
        let (last, commit) = self.witness.latest;
        let current = |node: &Node| {
            let settled = |p: &Replica<Mount>| p.position() == (commit, commit) && !p.is_stale();
            node.process.as_ref().is_some_and(settled)
        };
        let quiet = self.now > FAULTS_END + 1_000_000 && self.coordinator.is_some();
        quiet && last.index == commit && self.nodes.iter().all(current)
    }
}
