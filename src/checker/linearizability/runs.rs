//! Guesses for beams: indeterminate operations that took effect in a row.
//!
//! A server that was paused works off its queue when it wakes, one that was killed
//! got some way through it; either way the likeliest explanation of a burst is a
//! run of its operations in the order of invocation, guards obeyed. A guess can
//! only help to accept; nothing is ever refuted by it.

use rustc_hash::FxHashSet;

use super::batch::{Key, Search, Work};
use super::budget::Stop;

/// Bursts of indeterminate operations that are tried with one overtaken.
const BURSTS: usize = 3;
/// Operations of a burst that are looked at.
const LONGEST_RUN: usize = 256;
/// How far into a burst its run may begin.
const STARTS: usize = 4;
/// By how many others one may have been overtaken.
const PLACES: usize = 4;
/// How many may have been overtaken.
const OVERTAKINGS: usize = 2;
/// Orders that are varied further.
const MOST_ORDERS: usize = 128;

impl Search<'_> {
    /// States in which the nodes hold after a run of indeterminate operations in
    /// the order of their invocation, guards obeyed: what a server does that was
    /// paused, or killed in the middle of its queue. A guess, for beams.
    pub fn runs(&mut self, work: &Work, nodes: &[(u32, i64)]) -> Result<Vec<Work>, Stop> {
        let classes = self.classes;
        let mut reached = Vec::new();
        for start in classes.order.len().saturating_sub(self.limits.runs)..classes.order.len() {
            if let (Some(taken), _) = self.try_run(work, &classes.order[start..], nodes)? {
                reached.push(self.run(work, &taken));
            }
        }
        Ok(reached)
    }

    /// Like [`runs`](Search::runs) from near the start of a recent burst, but one
    /// or two operations came a few places later: arrival and invocation differ a
    /// little, which shows where it turns a guard.
    pub fn overtaken_runs(&mut self, work: &Work, nodes: &[(u32, i64)]) -> Result<Vec<Work>, Stop> {
        let classes = self.classes;
        let mut reached = Vec::new();
        let starts =
            classes.bursts.iter().rev().take(BURSTS).flat_map(|&burst| (0..STARTS).map(move |at| burst + at));
        for start in starts.filter(|&start| start < classes.order.len()) {
            let order = &classes.order[start..classes.order.len().min(start + LONGEST_RUN)];
            let mut ends: FxHashSet<Key> = FxHashSet::default();
            let mut orders = vec![order.to_vec()];
            for _ in 0..OVERTAKINGS {
                let before = std::mem::take(&mut orders);
                for mut order in before.into_iter().take(MOST_ORDERS) {
                    self.overtake(work, &mut order, nodes, &mut ends, &mut orders, &mut reached)?;
                }
            }
        }
        Ok(reached)
    }

    /// Every order with one more operation overtaken that ends in a new state.
    fn overtake(
        &mut self,
        work: &Work,
        order: &mut [u32],
        nodes: &[(u32, i64)],
        ends: &mut FxHashSet<Key>,
        orders: &mut Vec<Vec<u32>>,
        reached: &mut Vec<Work>,
    ) -> Result<(), Stop> {
        for late in 0..order.len() {
            for places in 1..=PLACES.min(order.len() - 1 - late) {
                order[late..=late + places].rotate_left(1);
                self.vary(work, order, nodes, ends, orders, reached)?;
                order[late..=late + places].rotate_right(1);
            }
            // It may also have been lost on its way.
            let rest: Vec<u32> = order[..late].iter().chain(&order[late + 1..]).copied().collect();
            self.vary(work, &rest, nodes, ends, &mut Vec::new(), reached)?;
        }
        Ok(())
    }

    /// One order of a run, kept if it ends in a new state.
    fn vary(
        &mut self,
        work: &Work,
        order: &[u32],
        nodes: &[(u32, i64)],
        ends: &mut FxHashSet<Key>,
        orders: &mut Vec<Vec<u32>>,
        reached: &mut Vec<Work>,
    ) -> Result<(), Stop> {
        let (taken, end) = self.try_run(work, order, nodes)?;
        if ends.insert(end) {
            orders.push(order.to_vec());
            if let Some(taken) = taken {
                reached.push(self.run(work, &taken));
            }
        }
        Ok(())
    }

    /// The longest part of a run, guards obeyed, after which the nodes hold; and the
    /// state after all of it.
    fn try_run(
        &mut self,
        work: &Work,
        order: &[u32],
        nodes: &[(u32, i64)],
    ) -> Result<(Option<Vec<u32>>, Key), Stop> {
        let mut key = work.key.clone();
        let uses = self.layout.uses(&key);
        let (mut taken, mut held): (Vec<u32>, Option<usize>) = (Vec::new(), None);
        for &class in order {
            let effect = self.classes.class(class).effect;
            self.meter.tick(0)?;
            if !self.allowed(&key, effect) {
                continue;
            }
            let left = self.classes.left(self.uses, uses, class) as usize;
            if left == 0 || left <= taken.iter().filter(|&&other| other == class).count() {
                continue;
            }
            self.take_effect(&mut key, effect);
            taken.push(class);
            if self.holds(&key, nodes) {
                held = Some(taken.len());
            }
        }
        let taken = held.map(|length| {
            taken.truncate(length);
            taken
        });
        Ok((taken, key))
    }

    /// Lets indeterminate operations take effect in the given order.
    fn run(&mut self, work: &Work, taken: &[u32]) -> Work {
        let mut next = work.clone();
        let uses = self.uses.add(self.layout.uses(&next.key), taken);
        self.layout.set_uses(&mut next.key, uses);
        next.cost += 2;
        next.fixes = next.fixes.saturating_sub(1);
        taken.iter().for_each(|&class| self.fire(&mut next, class));
        next
    }
}
