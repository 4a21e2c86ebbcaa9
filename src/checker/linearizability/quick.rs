//! A quick look at one operation that returns, before a search proper.
//!
//! Most operations have one way to be completed, at once and in place. Decides only
//! where no other open operation can matter; must not leave a way out.

use super::batch::Search;
use super::config::{Config, Step};
use super::pending::Entry;
use super::problem::Op;

/// What the quick look found.
pub enum Quick {
    /// The configuration was completed in place; it was the only way.
    Done,
    /// There is no way.
    Dead,
    /// Look properly.
    Unclear,
}

impl Search<'_> {
    /// Completes `target` in place when no other open operation can matter.
    pub fn quick(&mut self, config: &mut Config, target: u32) -> Quick {
        self.target = Some(target);
        let pending = self.pending;
        let (layout, op) = (self.layout, pending.op(target));
        if layout.moved(&config.key, target) {
            return Quick::Done;
        }
        let stayed = layout.stayed(&config.key, target);
        if op.blind.is_some() || !self.alone(&config.key, target, op, stayed) {
            return Quick::Unclear;
        }
        if op.before.is_some() && self.holds(&config.key, &op.needs().unwrap_or_default()) {
            if stayed {
                return Quick::Unclear;
            }
            config.trail = self.trail.push(config.trail, Step::Moved(op.number));
            self.leave(&mut config.key, op);
            config.trail = self.mark_stays(&mut config.key, config.trail, op.nodes(), None);
            return Quick::Done;
        }
        if stayed {
            return Quick::Done;
        }
        if op.can_stay && self.holds(&config.key, op.nodes()) {
            config.trail = self.trail.push(config.trail, Step::Stayed(op.number));
            return Quick::Done;
        }
        Quick::Dead
    }

    /// Whether no open operation can lead to what `op` needs, or would miss
    /// something that `op` changes.
    fn alone(&self, key: &[u64], target: u32, op: &Op, stayed: bool) -> bool {
        if self.pending.any_blind() {
            return false;
        }
        let open = |slot: u32| slot != target && !self.layout.moved(key, slot);
        // Held now, or left by something that could still move.
        let possible = |&(account, value): &(u32, i64)| {
            let made = |entry: &Entry| entry.mover && entry.seen == value && open(entry.slot);
            self.layout.balance(key, account) == value || self.pending.at(account).iter().any(made)
        };
        let leads = |&(account, value): &(u32, i64)| {
            self.pending.at(account).iter().any(|entry| {
                let needs = || self.pending.op(entry.slot).needs().is_some_and(|n| n.iter().all(possible));
                entry.mover && entry.seen == value && open(entry.slot) && needs()
            })
        };
        let misses = |&(account, value): &(u32, i64)| {
            self.pending.at(account).iter().any(|entry| {
                let unexplained = || open(entry.slot) && !self.layout.stayed(key, entry.slot);
                let sees = || self.pending.op(entry.slot).nodes().iter().all(possible);
                entry.stay && entry.seen == value && unexplained() && sees()
            })
        };
        if op.can_stay && !stayed && op.nodes().iter().any(leads) {
            return false;
        }
        op.needs().is_none_or(|needs| !needs.iter().any(|node| leads(node) || misses(node)))
    }
}
