//! The network between coordinators and replicas: late, lossy, never out of order.
//!
//! Within one connection lines arrive in order; a connection that lost a line delivers none after
//! it; lines of a connection that its coordinator has given up, or of a dead coordinator, may still
//! arrive. It must not read the lines.

use super::{Connection, Happening, World};
use crate::sequencer::Event;

impl World {
    /// Mostly quick, sometimes very late; never overtaking within a connection.
    pub(super) fn send(
        &mut self,
        id: u64,
        direction: usize,
        as_event: impl Fn(String) -> Happening,
        line: String,
    ) {
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
    pub(super) fn dial(&mut self, replica: usize) {
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

    pub(super) fn reach_replica(&mut self, id: u64, line: String) {
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

    pub(super) fn reach_coordinator(&mut self, id: u64, text: String) {
        let Some(connection) = self.connections.get(&id) else { return };
        if !connection.dead[1] && connection.coordinator_life == self.coordinator_life {
            let replica = connection.replica;
            self.tell_coordinator(Event::Line { replica, connection: id, text });
        }
    }

    pub(super) fn learn_loss(&mut self, id: u64) {
        let Some(connection) = self.connections.get_mut(&id) else { return };
        connection.dead[1] = true;
        let (replica, life) = (connection.replica, connection.coordinator_life);
        if life == self.coordinator_life {
            self.tell_coordinator(Event::Lost { replica, connection: id });
            self.soon(30_000, Happening::Dial { life, replica });
        }
    }

    /// The coordinator gives a connection up. What it sent on it may still arrive.
    pub(super) fn hang_up(&mut self, id: u64) {
        let Some(connection) = self.connections.get_mut(&id) else { return };
        connection.dead[1] = true;
        let (replica, life) = (connection.replica, connection.coordinator_life);
        self.soon(30_000, Happening::Dial { life, replica });
    }

    /// A connection breaks: each direction loses what is under way on it, or delivers it late.
    pub(super) fn sever(&mut self, replica: usize) {
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
}
