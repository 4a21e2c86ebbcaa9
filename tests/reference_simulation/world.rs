//! The simulated world: time, network, processes, and a fate that is unkind to all of them.
//!
//! It plays the part of `srv`'s and `coord`'s event loops around the pure cores. Within one
//! connection lines arrive in order; a connection that lost a line delivers none after it; lines of
//! a connection that its coordinator has given up, or of a dead coordinator, may still arrive. It
//! must not judge: that is the witness's part.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::time::Duration;

use crate::chance::Chance;
use crate::memory::Mount;
use crate::reference::transfer::Transfer;
use crate::replica::storage::Name;
use crate::replica::{Limits, Replica};
use crate::sequencer::{Event, Moment, Output, Reply, Sequencer, Settings};
use crate::witness::{Asked, Witness};

const REPLICAS: usize = 3;
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
}

/// How a world went; equal for equal seeds.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Tally {
    pub acknowledged: u64,
    pub refused: u64,
    pub unknown: u64,
    pub entries: u64,
    pub ended: u64,
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
    tally: Tally,
}

impl World {
    pub fn new(seed: u64) -> Self {
        let mut chance = Chance::seeded(seed);
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
        let mut world = Self {
            chance,
            now: 0,
            counter: 0,
            queue: BinaryHeap::new(),
            nodes: (0..REPLICAS).map(|_| Node::default()).collect(),
            coordinator: None,
            coordinator_life: 0,
            coordinator_started: 0,
            connections: BTreeMap::new(),
            witness: Witness::default(),
            settings,
            limits,
            slow,
            tally: Tally::default(),
        };
        (0..REPLICAS).for_each(|replica| world.soon(5_000, Happening::Start { replica }));
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
        let files: Vec<String> = (0..REPLICAS).filter_map(|replica| self.file(replica)).collect();
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

    // The coordinator's process.

    fn start_coordinator(&mut self) {
        if self.coordinator.is_some() {
            return;
        }
        self.coordinator_life += 1;
        self.coordinator_started = self.now;
        self.coordinator = Some(Sequencer::new(REPLICAS, self.settings));
        let life = self.coordinator_life;
        self.soon(1_000, Happening::Tick { life });
        (0..REPLICAS).for_each(|replica| self.soon(3_000, Happening::Dial { life, replica }));
    }

    fn kill_coordinator(&mut self) {
        self.coordinator = None;
        self.coordinator_life += 1;
        self.soon(100_000, Happening::StartCoordinator);
    }

    fn tell_coordinator(&mut self, event: Event) {
        let now = self.coordinator_time().elapsed;
        if let Some(coordinator) = &mut self.coordinator {
            coordinator.handle(event, now);
        }
        if self.chance.one_in(2) {
            self.flush();
        }
    }

    fn tick(&mut self) {
        self.flush();
        let life = self.coordinator_life;
        self.at(self.now + 5_000, Happening::Tick { life });
    }

    /// Every coordinator has a clock of its own, and none is right.
    fn coordinator_time(&self) -> Moment {
        let elapsed = Duration::from_micros(self.now - self.coordinator_started);
        let skew = (self.coordinator_life as i64 * 7919) % 1000 - 500;
        Moment { elapsed, unix_seconds: skew + (self.now / 10_000) as i64 }
    }

    fn flush(&mut self) {
        let now = self.coordinator_time();
        let Some(coordinator) = &mut self.coordinator else { return };
        for output in coordinator.flush(now) {
            match output {
                Output::Send { replica, connection, line } => {
                    assert_eq!(self.connections[&connection].replica, replica);
                    self.witness.overhear(&line);
                    self.send(connection, 0, |line| Happening::ToReplica { connection, line }, line);
                }
                Output::Cut { replica, connection } => {
                    assert_eq!(self.connections[&connection].replica, replica);
                    self.hang_up(connection);
                }
                Output::Reply { client, reply } => {
                    let asked = self.witness.asked.get_mut(&client).expect("somebody asked");
                    assert!(asked.ended.replace((self.now, reply)).is_none(), "two replies to {client}");
                }
                Output::Note(text) => {
                    if std::env::var_os("NOTES").is_some() {
                        eprintln!("{:>9} coordinator {}: {text}", self.now, self.coordinator_life)
                    }
                }
            }
        }
    }

    fn request(&mut self) {
        if self.now < FAULTS_END {
            self.soon(8_000, Happening::Request);
        }
        if self.coordinator.is_none() {
            return;
        }
        let id = self.witness.asked.len() as u64 + 1;
        self.witness.asked.insert(id, Asked { invoked: self.now, ended: None });
        let (own, shared) = (format!("u{id}"), format!("s{}", self.chance.below(3)));
        let (from, to) = if self.chance.one_in(2) { (own, shared) } else { (shared, own) };
        let amount = self.chance.below(150) as i64;
        self.tell_coordinator(Event::Request { client: id, transfer: Transfer { from, to, amount } });
    }

    // The network.

    /// Mostly quick, sometimes very late; never overtaking within a connection.
    fn send(&mut self, id: u64, direction: usize, as_event: impl Fn(String) -> Happening, line: String) {
        let delay = match self.chance.below(self.slow) {
            0 => self.chance.between(1_000, 150_000),
            _ => self.chance.between(20, 1_500),
        };
        let Some(connection) = self.connections.get_mut(&id) else { return };
        connection.dead[direction] |= self.nodes[connection.replica].cut_off;
        if !connection.dead[direction] {
            let time = (self.now + delay).max(connection.last[direction] + 1);
            connection.last[direction] = time;
            self.at(time, as_event(line));
        }
    }

    /// A proxy may accept although nobody is there, and cut a moment later.
    fn dial(&mut self, replica: usize) {
        let life = self.coordinator_life;
        let node = &self.nodes[replica];
        let alive = node.process.is_some() && !node.cut_off;
        if !alive && !self.chance.one_in(3) {
            self.tell_coordinator(Event::Unreachable { replica });
            return self.soon(50_000, Happening::Dial { life, replica });
        }
        self.counter += 1;
        let id = self.counter;
        let replica_life = if alive { self.nodes[replica].life } else { u64::MAX };
        let connection = Connection {
            replica,
            coordinator_life: life,
            replica_life,
            last: [self.now; 2],
            dead: [!alive; 2],
        };
        self.connections.insert(id, connection);
        self.tell_coordinator(Event::Connected { replica, connection: id });
        if !alive {
            self.soon(5_000, Happening::CoordinatorLearnsLoss { connection: id });
        }
    }

    fn reach_replica(&mut self, id: u64, line: String) {
        let Some(connection) = self.connections.get(&id) else { return };
        let (replica, life) = (connection.replica, connection.replica_life);
        if connection.dead[0] || life != self.nodes[replica].life {
            return;
        }
        if self.nodes[replica].inbox.is_empty() {
            self.soon(1_500, Happening::Turn { replica, life });
        }
        self.nodes[replica].inbox.push((id, line));
    }

    fn reach_coordinator(&mut self, id: u64, text: String) {
        let Some(connection) = self.connections.get(&id) else { return };
        if !connection.dead[1] && connection.coordinator_life == self.coordinator_life {
            let replica = connection.replica;
            self.tell_coordinator(Event::Line { replica, connection: id, text });
        }
    }

    fn learn_loss(&mut self, id: u64) {
        let Some(connection) = self.connections.get_mut(&id) else { return };
        connection.dead[1] = true;
        let (replica, life) = (connection.replica, connection.coordinator_life);
        if life == self.coordinator_life {
            self.tell_coordinator(Event::Lost { replica, connection: id });
            self.soon(30_000, Happening::Dial { life, replica });
        }
    }

    /// The coordinator gives a connection up. What it sent on it may still arrive.
    fn hang_up(&mut self, id: u64) {
        let Some(connection) = self.connections.get_mut(&id) else { return };
        connection.dead[1] = true;
        let (replica, life) = (connection.replica, connection.coordinator_life);
        self.soon(30_000, Happening::Dial { life, replica });
    }

    /// A connection breaks: each direction loses what is under way on it, or delivers it late.
    fn sever(&mut self, replica: usize) {
        let ids: Vec<u64> =
            self.connections.iter().filter(|(_, c)| c.replica == replica).map(|(id, _)| *id).collect();
        for id in ids {
            let lossy = [self.chance.one_in(2), self.chance.one_in(2)];
            let Some(connection) = self.connections.get_mut(&id) else { continue };
            if connection.coordinator_life != self.coordinator_life || connection.dead[1] {
                continue;
            }
            connection.dead[0] |= lossy[0];
            connection.dead[1] |= lossy[1];
            self.soon(20_000, Happening::CoordinatorLearnsLoss { connection: id });
        }
    }

    // The replicas' processes.

    fn start(&mut self, replica: usize) {
        let limits = self.limits;
        let node = &mut self.nodes[replica];
        if node.process.is_some() {
            return;
        }
        node.disk.0.borrow_mut().operations_left = None;
        node.life += 1;
        node.inbox.clear();
        let (process, _) = Replica::open(node.disk.clone(), limits).expect("every crash leaves a sound disk");
        node.process = Some(process);
        self.watch_file(replica);
    }

    /// Takes what came as one group, as `srv` does.
    fn turn(&mut self, replica: usize) {
        let node = &mut self.nodes[replica];
        let Some(process) = &mut node.process else { return };
        for (connection, line) in std::mem::take(&mut node.inbox) {
            process.handle(connection, &line).expect("no line contradicts what is committed");
        }
        let Ok(answers) = process.finish_group() else { return self.die(replica) };
        let (life, is_stale) = (node.life, process.is_stale());
        for answer in answers {
            let connection = answer.connection;
            self.send(connection, 1, |line| Happening::ToCoordinator { connection, line }, answer.line);
        }
        if is_stale {
            self.soon(30_000, Happening::Publish { replica, life });
        }
    }

    fn publish(&mut self, replica: usize) {
        let Some(process) = &mut self.nodes[replica].process else { return };
        match process.publish() {
            Ok(()) => self.watch_file(replica),
            Err(_) => self.die(replica),
        }
    }

    fn file(&self, replica: usize) -> Option<String> {
        let disk = self.nodes[replica].disk.0.borrow();
        disk.content(Name::Data).map(|bytes| String::from_utf8_lossy(bytes).into_owned())
    }

    fn watch_file(&mut self, replica: usize) {
        let file = self.file(replica);
        self.witness.files.extend(file);
    }

    /// The process is gone; in one of two cases the power as well.
    fn die(&mut self, replica: usize) {
        let power_fails = self.chance.one_in(2);
        self.end(replica, power_fails);
    }

    fn end(&mut self, replica: usize, power_fails: bool) {
        let node = &mut self.nodes[replica];
        self.tally.entries += node.process.take().map_or(0, |process| process.figures().entries);
        node.life += 1;
        if power_fails {
            node.disk.0.borrow_mut().lose_power(&mut self.chance);
        }
        self.watch_file(replica);
        self.sever(replica);
        let quick = self.chance.one_in(2);
        self.soon(if quick { 5_000 } else { 150_000 }, Happening::Start { replica });
    }

    // Fate.

    fn fate(&mut self) {
        if self.now >= FAULTS_END {
            return;
        }
        self.soon(120_000, Happening::Fate);
        let replica = self.chance.below(REPLICAS as u64) as usize;
        match self.chance.below(10) {
            0 | 1 => self.die(replica),
            2..=4 => {
                let left = self.chance.below(12);
                self.nodes[replica].disk.0.borrow_mut().operations_left = Some(left);
            }
            5 => {
                let power_fails = !self.chance.one_in(3);
                (0..REPLICAS).for_each(|replica| self.end(replica, power_fails));
                self.kill_coordinator();
            }
            6 => self.kill_coordinator(),
            7 | 8 => self.cut_off(replica),
            _ => self.sever(replica),
        }
    }

    /// Either told at once, or a hole that swallows everything in silence.
    fn cut_off(&mut self, replica: usize) {
        self.nodes[replica].cut_off = true;
        if self.chance.one_in(2) {
            self.sever(replica);
        }
        self.soon(400_000, Happening::Heal { replica });
    }

    fn make_peace(&mut self) {
        self.slow = u64::MAX;
        for replica in 0..REPLICAS {
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
