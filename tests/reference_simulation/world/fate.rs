//! What goes wrong, and when.
//!
//! Every fault heals by itself after a while. It must not look at what the processes are doing.

use super::{FAULTS_END, Happening, World};

impl World {
    pub(super) fn fate(&mut self) {
        if self.now >= FAULTS_END {
            return;
        }
        let replica = self.chance.below(self.nodes.len() as u64) as usize;
        if self.chance.one_in(8) {
            self.damage(replica);
        }
        if self.restless {
            self.soon(30_000, Happening::Fate);
            return match self.chance.below(20) {
                0 => self.die(replica),
                1..=9 => self.kill_coordinator(),
                _ => self.cut_off(replica),
            };
        }
        self.soon(120_000, Happening::Fate);
        match self.chance.below(10) {
            0 | 1 => self.die(replica),
            2..=4 => {
                let left = self.chance.below(12);
                self.nodes[replica].disk.0.borrow_mut().operations_left = Some(left);
            }
            5 => {
                let power_fails = !self.chance.one_in(3);
                (0..self.nodes.len()).for_each(|replica| self.end(replica, power_fails));
                self.kill_coordinator();
            }
            6 => self.kill_coordinator(),
            7 | 8 => self.cut_off(replica),
            _ => self.sever(replica),
        }
    }

    /// Either told at once, or a hole that swallows everything in silence.
    pub(super) fn cut_off(&mut self, replica: usize) {
        self.nodes[replica].cut_off = true;
        if self.chance.one_in(2) {
            self.sever(replica);
        }
        self.soon(if self.restless { 40_000 } else { 400_000 }, Happening::Heal { replica });
    }

    /// What a replica had synced is lost or spoilt: of a minority, and not again before it is in
    /// step. Everything else may go wrong at the same time.
    fn damage(&mut self, replica: usize) {
        let damaged = self.nodes.iter().filter(|node| node.damaged).count();
        let node = &self.nodes[replica];
        if node.process.is_none() || node.damaged || damaged >= (self.nodes.len() - 1) / 2 {
            return;
        }
        self.end(replica, false);
        self.nodes[replica].damaged = true;
        self.tally.damages += 1;
        let mut disk = self.nodes[replica].disk.0.borrow_mut();
        match self.chance.below(4) {
            0 | 1 => disk.wipe(),
            2 => disk.cut_off_end(&mut self.chance),
            _ => disk.flip_a_bit(&mut self.chance),
        }
        drop(disk);
        // At once: with the power it could lose the note of how long its log was, and then nobody
        // can tell that synced data is missing (docs/PROTOCOL.md, "A wrong disk").
        self.start(replica);
    }
}
