//! The processes: what the event loops of `srv` and `coord` do around the pure cores.
//!
//! It must not decide when they die; that is fate.

use std::time::Duration;

use super::{FAULTS_END, Happening, World};
use crate::reference::transfer::Transfer;
use crate::replica::Replica;
use crate::replica::storage::Name;
use crate::sequencer::{Event, Moment, Output, Sequencer};
use crate::witness::Asked;

impl World {
    pub(super) fn start_coordinator(&mut self) {
        if self.coordinator.is_some() {
            return;
        }
        self.coordinator_life += 1;
        self.coordinator_started = self.now;
        self.coordinator = Some(Sequencer::new(self.nodes.len(), self.settings));
        let life = self.coordinator_life;
        self.soon(1_000, Happening::Tick { life });
        (0..self.nodes.len()).for_each(|replica| self.soon(3_000, Happening::Dial { life, replica }));
    }

    pub(super) fn kill_coordinator(&mut self) {
        self.coordinator = None;
        self.coordinator_life += 1;
        self.soon(if self.restless { 3_000 } else { 100_000 }, Happening::StartCoordinator);
    }

    pub(super) fn tell_coordinator(&mut self, event: Event) {
        let now = self.coordinator_time().elapsed;
        if let Some(coordinator) = &mut self.coordinator {
            coordinator.handle(event, now);
        }
        if self.chance.one_in(2) {
            self.flush();
        }
    }

    pub(super) fn tick(&mut self) {
        self.flush();
        let life = self.coordinator_life;
        self.at(self.now + 5_000, Happening::Tick { life });
    }

    /// Every coordinator has a clock of its own, and none is right.
    pub(super) fn coordinator_time(&self) -> Moment {
        let elapsed = Duration::from_micros(self.now - self.coordinator_started);
        let skew = (self.coordinator_life as i64 * 7919) % 1000 - 500;
        Moment { elapsed, unix_seconds: skew + (self.now / 10_000) as i64 }
    }

    pub(super) fn flush(&mut self) {
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

    pub(super) fn request(&mut self) {
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

    pub(super) fn start(&mut self, replica: usize) {
        let limits = self.limits;
        let node = &mut self.nodes[replica];
        if node.process.is_some() {
            return;
        }
        node.disk.0.borrow_mut().operations_left = None;
        node.life += 1;
        node.inbox.clear();
        self.counter += 1;
        let opened = Replica::open(node.disk.clone(), limits, self.counter);
        let (process, _) = opened.expect("every crash leaves a sound disk, and no damage is fatal");
        node.process = Some(process);
        self.watch_file(replica);
    }

    /// Takes what came as one group, as `srv` does.
    pub(super) fn turn(&mut self, replica: usize) {
        let node = &mut self.nodes[replica];
        let Some(process) = &mut node.process else { return };
        for (connection, line) in std::mem::take(&mut node.inbox) {
            process.handle(connection, &line).expect("no line contradicts what is committed");
        }
        let Ok(answers) = process.finish_group() else { return self.die(replica) };
        let (life, is_stale) = (node.life, process.is_stale());
        node.damaged &= !process.is_in_step();
        for answer in answers {
            let connection = answer.connection;
            self.send(connection, 1, |line| Happening::ToCoordinator { connection, line }, answer.line);
        }
        if is_stale {
            self.soon(30_000, Happening::Publish { replica, life });
        }
    }

    pub(super) fn publish(&mut self, replica: usize) {
        let Some(process) = &mut self.nodes[replica].process else { return };
        match process.publish() {
            Ok(()) => self.watch_file(replica),
            Err(_) => self.die(replica),
        }
    }

    pub(super) fn file(&self, replica: usize) -> Option<String> {
        let disk = self.nodes[replica].disk.0.borrow();
        disk.content(Name::Data).map(|bytes| String::from_utf8_lossy(bytes).into_owned())
    }

    pub(super) fn watch_file(&mut self, replica: usize) {
        // What fate did to the file, nobody shows for its own.
        if self.nodes[replica].damaged && self.nodes[replica].process.is_none() {
            return;
        }
        let file = self.file(replica);
        self.witness.files.extend(file);
    }

    /// The process is gone; in one of two cases the power as well.
    pub(super) fn die(&mut self, replica: usize) {
        let power_fails = self.chance.one_in(2);
        self.end(replica, power_fails);
    }

    pub(super) fn end(&mut self, replica: usize, power_fails: bool) {
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
}
