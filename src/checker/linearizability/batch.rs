//! All ways to complete one operation from one configuration.
//!
//! Only a return does work (just-in-time linearization, Lowe 2017): if the
//! operation has not taken effect yet, every batch of open operations that ends in
//! it is found, in normal form. Operations that change nothing never branch: they
//! are marked as explained wherever the state matches, revocably. Knows nothing of
//! events or of other configurations.

use rustc_hash::FxHashSet;

use super::budget::{Meter, Stop};
use super::config::{Config, Layout, Step, Trail, Uses, bits};
use super::graph::Graph;
use super::pending::Pending;
use super::perhaps::{Classes, Limits, fixes};
use super::problem::{Effect, Op};
use super::relevant::{narrow, relevant};
use crate::checker::bank::BankModel;

/// What a search may look at and add to.
pub struct Search<'a> {
    pub pending: &'a Pending,
    pub classes: &'a Classes,
    pub layout: Layout,
    pub model: &'a BankModel,
    /// Guards of indeterminate and blind transfers are taken as they stand; else
    /// they are ignored, which only adds explanations.
    pub guarded: bool,
    pub limits: Limits,
    /// The operation that returns; it is completed, never marked.
    pub target: Option<u32>,
    /// Keys that were passed, when someone wants to know.
    pub watch: Option<Vec<Box<[u64]>>>,
    pub trail: &'a mut Trail,
    pub uses: &'a mut Uses,
    pub graph: &'a mut Graph,
    pub meter: &'a mut Meter,
}

/// Later operations that make one as unlikely as one more operation does.
const AGE: u32 = 16;

/// Words of a configuration, or of a mask.
pub type Key = Box<[u64]>;

/// A configuration in the middle of a batch.
#[derive(Clone)]
pub struct Work {
    pub key: Key,
    /// Slots used in the batch that nothing later in it depends on yet.
    pub loose: Key,
    /// Last step of the order so far.
    pub trail: u32,
    /// How unlikely it looks.
    pub cost: u32,
    /// How many more operations may call for indeterminate ones.
    pub fixes: u32,
}

impl Search<'_> {
    /// Every way to complete `target`, appended to `out`.
    ///
    /// `fixes`: how many operations of the batch may call for indeterminate ones;
    /// `wide`: assume that those may matter anywhere (an exact search must).
    pub fn complete(
        &mut self,
        config: &Config,
        target: u32,
        fixes: u32,
        wide: bool,
        out: &mut Vec<Config>,
    ) -> Result<(), Stop> {
        self.target = Some(target);
        let pending = self.pending;
        let op = pending.op(target);
        if self.layout.moved(&config.key, target) || (self.layout.stayed(&config.key, target) && !movable(op))
        {
            out.push(config.clone());
            return Ok(());
        }
        if self.layout.stayed(&config.key, target) {
            out.push(config.clone());
        }
        if fixes == 0 && !self.pending.any_blind() {
            self.graph.update(self.pending);
            return self.complete_known(config, target, out);
        }
        let wider = if fixes > 0 { Some(relevant(self, &config.key, target, wide)) } else { None };
        let loose = vec![0; self.layout.words].into();
        let Config { key, trail, cost } = config.clone();
        let mut stack = vec![Work { key, loose, trail, cost, fixes }];
        if self.limits.bursts {
            stack = self.bursts(&stack[0])?;
        }
        let mut seen: FxHashSet<(Key, Key)> = FxHashSet::default();
        while let Some(work) = stack.pop() {
            self.meter.tick(out.len() + stack.len() + 2 * seen.len())?;
            if let Some(watch) = &mut self.watch {
                watch.push(work.key.clone());
            }
            self.finish(&work, target, out)?;
            // Where only known results count, every step narrows what still matters.
            let narrowed = match &wider {
                Some(_) if work.fixes > 0 => None,
                _ => Some(narrow(self, &work.key, target)),
            };
            let Some(relevant) = narrowed.as_ref().or(wider.as_ref()) else { continue };
            if relevant.movers.is_empty() && (relevant.stayers.is_empty() || work.fixes == 0) {
                continue;
            }
            if !seen.insert((work.key.clone(), work.loose.clone())) {
                continue;
            }
            for &slot in &relevant.movers {
                if !self.layout.moved(&work.key, slot) {
                    self.advance(&work, slot, &mut stack)?;
                }
            }
            for &slot in if work.fixes > 0 { relevant.stayers.as_slice() } else { &[] } {
                if !self.layout.moved(&work.key, slot) && !self.layout.stayed(&work.key, slot) {
                    self.observe(&work, slot, &mut stack)?;
                }
            }
        }
        Ok(())
    }

    /// Ends the batch with the target, if it can.
    pub fn finish(&mut self, work: &Work, target: u32, out: &mut Vec<Config>) -> Result<(), Stop> {
        let pending = self.pending;
        let op = pending.op(target);
        let stayed = self.layout.stayed(&work.key, target);
        if let Some(amount) = op.blind {
            return self.finish_blind(work, op, amount, stayed, out);
        }
        if op.can_stay && !stayed {
            for mut next in self.reach(work, op.nodes())? {
                next.trail = self.trail.push(next.trail, Step::Stayed(op.number));
                self.emit(next, op, out);
            }
        }
        if let Some(needs) = op.needs() {
            for mut next in self.reach(work, &needs)? {
                next.trail = self.trail.push(next.trail, Step::Moved(op.number));
                self.leave(&mut next.key, op);
                next.trail = self.mark_stays(&mut next.key, next.trail, op.nodes(), Some(&mut next.loose));
                self.emit(next, op, out);
            }
        }
        Ok(())
    }

    fn finish_blind(
        &mut self,
        work: &Work,
        op: &Op,
        amount: i64,
        stayed: bool,
        out: &mut Vec<Config>,
    ) -> Result<(), Stop> {
        if !stayed && self.may_stay(&work.key, op) {
            let mut next = work.clone();
            next.trail = self.trail.push(next.trail, Step::Stayed(op.number));
            self.emit(next, op, out);
        }
        if let Some(mut next) = self.move_blindly(work, op, amount) {
            next.trail = self.mark_stays(&mut next.key, next.trail, op.nodes(), Some(&mut next.loose));
            self.emit(next, op, out);
        }
        Ok(())
    }

    /// Keeps a finished batch if it is in normal form.
    fn emit(&mut self, mut work: Work, op: &Op, out: &mut Vec<Config>) {
        self.tie(&mut work.loose, op.nodes());
        if work.loose.iter().all(|&word| word == 0) {
            out.push(Config { key: work.key, trail: work.trail, cost: work.cost });
        }
    }

    /// Lets another open operation move.
    pub fn advance(&mut self, work: &Work, slot: u32, stack: &mut Vec<Work>) -> Result<(), Stop> {
        let pending = self.pending;
        let op = pending.op(slot);
        let ready = match (op.blind, op.needs()) {
            (Some(amount), _) => self.move_blindly(work, op, amount).into_iter().collect(),
            (None, Some(needs)) => self.reach(work, &needs)?,
            (None, None) => Vec::new(),
        };
        for mut next in ready {
            if op.blind.is_none() {
                next.trail = self.trail.push(next.trail, Step::Moved(op.number));
                self.leave(&mut next.key, op);
            }
            self.tie(&mut next.loose, op.nodes());
            self.layout.set_moved(&mut next.key, slot);
            next.loose[slot as usize / 64] |= 1 << (slot % 64);
            next.trail = self.mark_stays(&mut next.key, next.trail, op.nodes(), Some(&mut next.loose));
            stack.push(next);
        }
        Ok(())
    }

    /// Makes an observation true by indeterminate operations.
    fn observe(&mut self, work: &Work, slot: u32, stack: &mut Vec<Work>) -> Result<(), Stop> {
        let pending = self.pending;
        let op = pending.op(slot);
        for mut next in self.reach(work, op.nodes())? {
            if !self.layout.stayed(&next.key, slot) {
                next.trail = self.trail.push(next.trail, Step::Stayed(op.number));
                self.layout.set_stayed(&mut next.key, slot);
            }
            self.tie(&mut next.loose, op.nodes());
            next.loose[slot as usize / 64] |= 1 << (slot % 64);
            stack.push(next);
        }
        Ok(())
    }

    /// States in which the nodes hold: this one, or those that indeterminate
    /// operations lead to.
    fn reach(&mut self, work: &Work, nodes: &[(u32, i64)]) -> Result<Vec<Work>, Stop> {
        if self.holds(&work.key, nodes) {
            return Ok(vec![work.clone()]);
        }
        if work.fixes == 0 || self.classes.is_empty() {
            return Ok(Vec::new());
        }
        let change = |&(account, value): &(u32, i64)| {
            (account, value.wrapping_sub(self.layout.balance(&work.key, account)))
        };
        let wanted: Vec<_> = nodes.iter().map(change).collect();
        let wrong = wanted.iter().filter(|(_, change)| *change != 0).count() as u32;
        let used = self.layout.uses(&work.key);
        let found = fixes(self.classes, self.uses, used, &wanted, self.limits, self.meter)?;
        let mut reached = if self.limits.runs > 0 { self.runs(work, nodes)? } else { Vec::new() };
        if self.limits.swaps {
            reached.extend(self.overtaken_runs(work, nodes)?);
        }
        reached.extend(found.into_iter().filter_map(|fix| self.apply(work, fix, wrong)));
        Ok(reached)
    }

    /// One indeterminate operation takes effect.
    pub fn fire(&mut self, work: &mut Work, class: u32) {
        let effect = self.classes.class(class).effect;
        self.take_effect(&mut work.key, effect);
        work.trail = self.trail.push(work.trail, Step::Used(class));
        let nodes = [(effect.from, 0), (effect.to, 0)];
        self.tie(&mut work.loose, &nodes);
        work.trail = self.mark_stays(&mut work.key, work.trail, &nodes, Some(&mut work.loose));
    }

    /// Lets indeterminate operations take effect; `None` if guards forbid it and
    /// guards count.
    pub fn apply(&mut self, work: &Work, mut fix: Vec<u32>, wrong: u32) -> Option<Work> {
        let mut next = work.clone();
        let uses = self.uses.add(self.layout.uses(&next.key), &fix);
        self.layout.set_uses(&mut next.key, uses);
        let age = |&class: &u32| self.classes.age(class) as u32 / AGE;
        next.cost += 2 * wrong + fix.len() as u32 + fix.iter().map(age).sum::<u32>();
        next.fixes = next.fixes.saturating_sub(1);
        while !fix.is_empty() {
            let ready =
                fix.iter().position(|&class| self.allowed(&next.key, self.classes.class(class).effect));
            if ready.is_none() && self.guarded {
                return None;
            }
            let class = fix.swap_remove(ready.unwrap_or(0));
            self.fire(&mut next, class);
        }
        Some(next)
    }

    pub fn allowed(&self, key: &[u64], effect: Effect) -> bool {
        let (from, to) = (self.layout.balance(key, effect.from), self.layout.balance(key, effect.to));
        self.model.transfer(from, to, effect.amount).is_some()
    }

    pub fn take_effect(&self, key: &mut [u64], effect: Effect) {
        let (from, to) = (self.layout.balance(key, effect.from), self.layout.balance(key, effect.to));
        self.layout.set_balance(key, effect.from, from.wrapping_sub(effect.amount));
        self.layout.set_balance(key, effect.to, to.wrapping_add(effect.amount));
    }

    fn move_blindly(&mut self, work: &Work, op: &Op, amount: i64) -> Option<Work> {
        let effect = Effect { from: op.nodes()[0].0, to: op.nodes()[1].0, amount };
        if !self.allowed(&work.key, effect) && !self.uncertain(op) {
            return None;
        }
        let mut next = work.clone();
        self.take_effect(&mut next.key, effect);
        next.trail = self.trail.push(next.trail, Step::Moved(op.number));
        Some(next)
    }

    /// Whether indeterminate operations that came earlier than this search puts
    /// them could turn the guard.
    fn uncertain(&self, op: &Op) -> bool {
        !self.guarded && op.nodes().iter().any(|&(account, _)| !self.classes.touching(account).is_empty())
    }

    #[inline]
    pub fn holds(&self, key: &[u64], nodes: &[(u32, i64)]) -> bool {
        nodes.iter().all(|&(account, value)| self.layout.balance(key, account) == value)
    }

    #[inline]
    pub fn leave(&self, key: &mut [u64], op: &Op) {
        op.nodes().iter().for_each(|&(account, value)| self.layout.set_balance(key, account, value));
    }

    /// Whether an open operation can be explained here as one that changed nothing.
    pub fn may_stay(&self, key: &[u64], op: &Op) -> bool {
        match op.blind {
            Some(amount) => {
                let effect = Effect { from: op.nodes()[0].0, to: op.nodes()[1].0, amount };
                !self.allowed(key, effect) || self.uncertain(op)
            }
            None => op.can_stay && self.holds(key, op.nodes()),
        }
    }

    /// Marks every open operation that can be explained here as one that changed
    /// nothing, among those that touch the accounts of `nodes`.
    pub fn mark_stays(
        &mut self,
        key: &mut [u64],
        mut trail: u32,
        nodes: &[(u32, i64)],
        mut loose: Option<&mut Box<[u64]>>,
    ) -> u32 {
        let pending = self.pending;
        for &(account, _) in nodes {
            let now = self.layout.balance(key, account);
            for entry in pending.at(account) {
                let candidate = (entry.stay && entry.seen == now) || entry.blind;
                let explained = self.layout.moved(key, entry.slot) || self.layout.stayed(key, entry.slot);
                if !candidate || explained || self.target == Some(entry.slot) {
                    continue;
                }
                let op = pending.op(entry.slot);
                if self.may_stay(key, op) {
                    self.layout.set_stayed(key, entry.slot);
                    trail = self.trail.push(trail, Step::Stayed(op.number));
                    if let Some(loose) = &mut loose {
                        self.tie(loose, op.nodes());
                    }
                }
            }
        }
        trail
    }

    /// Something now depends on what touched these accounts before.
    fn tie(&self, loose: &mut [u64], nodes: &[(u32, i64)]) {
        if loose.iter().all(|&word| word == 0) {
            return;
        }
        let touched = |slot: u32| nodes.iter().any(|&(account, _)| self.pending.op(slot).touches(account));
        let tied: Vec<u32> = bits(loose).filter(|&slot| touched(slot)).collect();
        tied.iter().for_each(|&slot| loose[slot as usize / 64] &= !(1 << (slot % 64)));
    }
}

fn movable(op: &Op) -> bool {
    op.before.is_some() || op.blind.is_some()
}
