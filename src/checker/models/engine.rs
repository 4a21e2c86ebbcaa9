//! Just-in-time linearization of one part (Lowe, 2017): only a return does work.
//!
//! An attempt is what was done with the open operations and the state that it came
//! to; nothing in it grows with the history. When an operation returns, every attempt
//! must have explained it: those that did not are led on, by every order of open
//! operations that can matter ([`super::relevance`]), until it is. Operations that
//! change nothing where an attempt stands are explained without being ordered. What is
//! tried and what need not be is told by [`choices`]. Attempts
//! that another covers are dropped; whether others are, and what running out of them
//! proves, is the [`Stage`]'s. Every loop is metered.

mod choices;

use std::collections::BTreeMap;

use rustc_hash::FxHashMap;

use super::Model;
use super::antichain::{Antichain, Attempt};
use super::bits::{Bits, Slots};
use super::orders::{EMPTY, Orders, Tip};
use super::problem::{Event, Operations, Part};
use super::relevance::step;
use super::stage::{Halt, Stage};
use crate::checker::linearizability::Stop;
use crate::checker::linearizability::budget::Meter;

/// How a part ended.
pub(super) enum Found<S> {
    /// This order explains it.
    Order(Vec<u32>),
    /// No order does.
    Dead { operation: u32, concurrent: Vec<u32>, states: Vec<S>, prefix: Vec<u32>, explained: usize },
    /// A budget ran out.
    Stopped { stop: Stop, explained: usize },
    /// This stage cannot tell.
    Open,
}

/// Indeterminate operations with equal inputs: the one invoked first is used first.
struct Class {
    members: Vec<u32>,
}

/// The search over one part.
pub(super) struct Engine<'a, M: Model, const N: usize> {
    stage: Stage,
    model: &'a M,
    operations: &'a Operations<M>,
    slots: &'a [u32],
    part: &'a Part,
    /// Operations that are open and will return.
    open: Vec<u32>,
    /// Their slots, and those of the ones among them that overwrite.
    in_use: Slots<N>,
    overwriting: Slots<N>,
    /// The operation that holds each slot, of those that return.
    holds: Vec<u32>,
    classes: Vec<Class>,
    class_of: FxHashMap<&'a M::Input, usize>,
    perhaps: [u64; N],
    frontier: Antichain<M::State, N>,
    next: Antichain<M::State, N>,
    visited: Antichain<M::State, N>,
    /// Attempts that used more than those visited so far (relaxed only).
    dearer: BTreeMap<u32, Vec<Attempt<M::State, N>>>,
    orders: Orders,
    explained: usize,
}

impl<'a, M: Model, const N: usize> Engine<'a, M, N> {
    /// `N` words must hold the part's slots, or without those of indeterminate
    /// operations if the stage is relaxed.
    pub fn new(
        stage: Stage,
        model: &'a M,
        operations: &'a Operations<M>,
        slots: &'a [u32],
        part: &'a Part,
    ) -> Self {
        let mut perhaps = [0; N];
        let all = if stage.relaxed() { part.definite } else { part.slots };
        (part.definite..all).for_each(|slot| perhaps[slot / 64] |= 1 << (slot % 64));
        let mut frontier = Antichain::default();
        let start = Attempt { bits: Bits::default(), state: model.initial(), tip: EMPTY, used: 0 };
        frontier.insert(start, &perhaps);
        Self {
            stage,
            model,
            operations,
            slots,
            part,
            open: Vec::new(),
            in_use: Slots::none(),
            overwriting: Slots::none(),
            holds: vec![0; part.definite],
            classes: Vec::new(),
            class_of: FxHashMap::default(),
            perhaps,
            frontier,
            next: Antichain::default(),
            visited: Antichain::default(),
            dearer: BTreeMap::new(),
            orders: Orders::default(),
            explained: 0,
        }
    }

    /// Takes in all events.
    pub fn run(mut self, meter: &mut Meter) -> Found<M::State> {
        for &event in &self.part.events {
            match event {
                Event::Invoke(number) => self.invoke(number),
                Event::Return(number) => {
                    match self.returns(number, meter) {
                        Ok(()) => {}
                        Err(Halt::Crowded) => return Found::Open,
                        Err(Halt::Stop(stop)) => return Found::Stopped { stop, explained: self.explained },
                    }
                    if self.next.len() == 0 {
                        return if self.stage.refutes() { self.dead(number) } else { Found::Open };
                    }
                    self.step_on(number);
                }
            }
        }
        Found::Order(self.order(self.frontier.get(0).tip))
    }

    fn invoke(&mut self, number: u32) {
        let operation = &self.operations[number as usize];
        if operation.returns.is_some() {
            return self.open(number);
        }
        let next = self.classes.len();
        let class = *self.class_of.entry(&operation.input).or_insert(next);
        if class == next {
            self.classes.push(Class { members: Vec::new() });
        }
        self.classes[class].members.push(number);
    }

    fn open(&mut self, number: u32) {
        let slot = self.slot(number);
        self.open.push(number);
        self.holds[slot] = number;
        self.in_use.add(slot);
        if self.model.overwrites(&self.operations[number as usize].input) {
            self.overwriting.add(slot);
        }
    }

    /// Every attempt explains the operation; those that can are in `next` then.
    fn returns(&mut self, number: u32, meter: &mut Meter) -> Result<(), Halt> {
        self.measure(meter);
        let slot = self.slot(number);
        let observes = self.model.observes(&self.operations[number as usize].input);
        self.visited.clear();
        // A narrow search may have left some behind, which do not explain what returned.
        self.dearer.clear();
        let done = |attempt: &Attempt<M::State, N>| {
            attempt.bits.fired(slot) || attempt.bits.explained(slot) && observes
        };
        let mut starts = Vec::new();
        for at in 0..self.frontier.len() {
            self.tick(meter)?;
            let mut attempt = self.frontier.get(at).clone();
            if !attempt.bits.explained(slot) {
                self.settle(&mut attempt);
            }
            if done(&attempt) && !self.stage.relaxed() {
                self.explain(attempt, slot);
            } else {
                starts.push(attempt);
            }
        }
        if starts.iter().all(done) {
            starts.into_iter().for_each(|attempt| self.explain(attempt, slot));
            return Ok(());
        }
        starts.iter_mut().for_each(|attempt| self.settle(attempt));
        self.lead_on(number, observes, starts, meter)
    }

    /// Leads on attempts, and those that they lead to.
    fn lead_on(
        &mut self,
        number: u32,
        observes: bool,
        starts: Vec<Attempt<M::State, N>>,
        meter: &mut Meter,
    ) -> Result<(), Halt> {
        let slot = self.slot(number);
        let goal = self.goal(number, &starts);
        starts.into_iter().for_each(|start| self.reach(start));
        let (mut at, enough) = (0, self.stage.width().saturating_mul(8));
        while (at < self.visited.len() || self.next_dearer()) && self.next.len() < enough {
            self.tick(meter)?;
            let Some(attempt) = self.visited.at(at) else { continue };
            at += 1;
            if attempt.bits.explained(slot) {
                self.explain(attempt.clone(), slot);
                if observes || attempt.bits.fired(slot) {
                    continue;
                }
            }
            if !observes && let Some(child) = self.fire(&attempt, number) {
                self.explain(child, slot);
            }
            self.try_all(&attempt, &goal, meter)?;
        }
        Ok(())
    }

    /// An attempt is to be led on; in a relaxed search those that used fewer come first.
    fn reach(&mut self, attempt: Attempt<M::State, N>) {
        let there = self.part.slots - self.part.definite;
        if matches!(self.stage, Stage::Narrow(_)) && attempt.used as usize > there {
            // The replay would not find so many. A queue would grow for ever.
            return;
        }
        if self.stage.relaxed() {
            self.dearer.entry(attempt.used).or_default().push(attempt);
        } else {
            self.visited.insert(attempt, &self.perhaps);
        }
    }

    /// Goes on to the attempts that used the fewest of those that are left.
    fn next_dearer(&mut self) -> bool {
        let Some((_, attempts)) = self.dearer.pop_first() else { return false };
        for attempt in attempts {
            self.visited.insert(attempt, &self.perhaps);
        }
        true
    }

    /// An operation that can take effect does so; `state` is the one after it.
    fn visit(
        &mut self,
        attempt: &Attempt<M::State, N>,
        number: u32,
        state: M::State,
        meter: &mut Meter,
    ) -> Result<(), Halt> {
        self.tick(meter)?;
        let mut child = self.after(attempt, number, state);
        // What changes nothing is free already, or not needed; unless it hides others.
        if child.state != attempt.state || child.bits.frees_more(&attempt.bits) {
            self.settle(&mut child);
            self.reach(child);
        }
        Ok(())
    }

    /// Explains every open operation whose result holds here and that changes nothing.
    fn settle(&mut self, attempt: &mut Attempt<M::State, N>) {
        let mut left = self.in_use.unexplained(&attempt.bits);
        while let Some(slot) = left.pop() {
            let number = self.holds[slot];
            let (input, output) = step::<M>(self.operations, number);
            let after = self.model.apply(&attempt.state, input, output);
            if after.is_some_and(|after| after == attempt.state) {
                attempt.bits.set_free(slot);
                attempt.tip = self.orders.then(attempt.tip, number);
            }
        }
    }

    /// The attempt after an operation took effect, if it can here.
    fn fire(&mut self, attempt: &Attempt<M::State, N>, number: u32) -> Option<Attempt<M::State, N>> {
        let state = self.applied(attempt, number)?;
        Some(self.after(attempt, number, state))
    }

    /// The state after an operation took effect, if it can here.
    #[inline]
    fn applied(&self, attempt: &Attempt<M::State, N>, number: u32) -> Option<M::State> {
        let (input, output) = step::<M>(self.operations, number);
        self.model.apply(&attempt.state, input, output)
    }

    /// The attempt after an operation took effect that leaves `state`. If it overwrites
    /// everything, others that overwrite may have come directly before it.
    fn after(
        &mut self,
        attempt: &Attempt<M::State, N>,
        number: u32,
        state: M::State,
    ) -> Attempt<M::State, N> {
        let input = &self.operations[number as usize].input;
        let perhaps = self.operations[number as usize].returns.is_none();
        let used = attempt.used + u32::from(perhaps);
        let mut child = Attempt { bits: attempt.bits.clone(), state, tip: attempt.tip, used };
        if self.model.overwrites(input) {
            let mut hidden = self.overwriting.unexplained(&child.bits);
            while let Some(slot) = hidden.pop() {
                let other = self.holds[slot];
                if other != number {
                    child.bits.set_free(slot);
                    child.tip = self.orders.then(child.tip, other);
                }
            }
        }
        if !(perhaps && self.stage.relaxed()) {
            child.bits.fire(self.slot(number));
        }
        child.tip = self.orders.then(child.tip, number);
        child
    }

    fn explain(&mut self, mut attempt: Attempt<M::State, N>, slot: usize) {
        attempt.bits.clear(slot);
        self.next.insert(attempt, &self.perhaps);
    }

    /// The operation has returned in every attempt.
    fn step_on(&mut self, number: u32) {
        self.open.retain(|&open| open != number);
        let slot = self.slot(number);
        self.in_use.remove(slot);
        self.overwriting.remove(slot);
        self.next.narrow(self.stage.width());
        std::mem::swap(&mut self.frontier, &mut self.next);
        self.next.clear();
        self.explained += 1;
        self.orders.sweep(self.frontier.tips());
    }

    fn dead(&mut self, number: u32) -> Found<M::State> {
        let perhaps = self.classes.iter().flat_map(|class| &class.members);
        let mut concurrent: Vec<u32> = self.open.iter().chain(perhaps).copied().collect();
        concurrent.retain(|&open| open != number);
        concurrent.sort_unstable();
        let prefix = self.frontier.drain().into_iter().map(|attempt| self.order(attempt.tip));
        let prefix = prefix.take(16).max_by_key(Vec::len).unwrap_or_default();
        let states = self.visited.drain().into_iter().map(|attempt| attempt.state).collect();
        Found::Dead { operation: number, concurrent, states, prefix, explained: self.explained }
    }

    /// The order that ends here. A relaxed search used one of each class over and over:
    /// the members take its places, the one invoked first the first; what is left over
    /// is used twice, which the replay finds.
    fn order(&self, tip: Tip) -> Vec<u32> {
        if !self.stage.relaxed() {
            return self.orders.list(tip);
        }
        let perhaps = |number: u32| self.operations[number as usize].returns.is_none();
        let mut order = self.orders.list_with_repeats(tip, perhaps);
        let mut taken = vec![0; self.classes.len()];
        for number in order.iter_mut().filter(|number| perhaps(**number)) {
            let class = self.class_of[&self.operations[*number as usize].input];
            let member = self.classes[class].members.get(taken[class]);
            taken[class] += 1;
            *number = member.copied().unwrap_or(*number);
        }
        order
    }

    #[inline]
    fn slot(&self, number: u32) -> usize {
        self.slots[number as usize] as usize
    }

    /// What an attempt weighs, about, with its places in the tables.
    fn measure(&self, meter: &mut Meter) {
        let state = self.model.weight(&self.frontier.get(0).state);
        meter.unit = 2 * (size_of::<Attempt<M::State, N>>() + size_of::<Bits<N>>() + 16) + state;
    }

    #[inline]
    fn tick(&self, meter: &mut Meter) -> Result<(), Halt> {
        if self.orders.full() {
            return Err(Halt::Stop(Stop::Memory));
        }
        meter.held = self.orders.bytes();
        let attempts = self.frontier.len() + self.visited.len() + self.next.len();
        meter.tick(attempts)?;
        if attempts > self.stage.most() { Err(Halt::Crowded) } else { Ok(()) }
    }
}
