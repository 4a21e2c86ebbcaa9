//! What goes wrong, and when.
//!
//! Every fault heals by itself after a while. It must not look at what the processes are doing.

use super::{FAULTS_END, Happening, REPLICAS, World};

impl World {
    pub(super) fn fate(&mut self) {
        if self.now >= FAULTS_END {
            return;
        }
        let replica = self.chance.below(REPLICAS as u64) as usize;
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
                (0..REPLICAS).for_each(|replica| self.end(replica, power_fails));
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
}
