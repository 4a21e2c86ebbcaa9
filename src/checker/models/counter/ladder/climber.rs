//! The attempts on their way from one event to the next.
//!
//! Only a return makes an attempt do anything: it is led on until the operation that
//! returns is explained, over every open read on the way. Does not know where a
//! history is cut off, nor what a dead end means.

use rustc_hash::FxHashSet;

use super::choose::Sums;
use super::frontier::{Attempt, Frontier};
use super::{Event, History, Rule};
use crate::checker::linearizability::Stop;
use crate::checker::linearizability::budget::Meter;

/// The search under way.
pub(super) struct Climber<'a> {
    history: &'a History<'a>,
    rule: Rule,
    held: usize,
    /// Open additions, the one that returns first first.
    open: Vec<u32>,
    /// Reads that are open, by what they saw.
    rungs: Vec<(i128, u32)>,
    /// How many indeterminate additions of each addend were invoked.
    invoked: Vec<u32>,
    pub frontier: Frontier,
    /// Whether attempts were left out.
    pub left_out: bool,
}

impl<'a> Climber<'a> {
    pub fn new(history: &'a History<'a>, rule: Rule) -> Self {
        let invoked = vec![0; history.addends.len()];
        let start = Attempt::new(history.initial, if rule.relaxed() { 0 } else { invoked.len() });
        Self {
            history,
            rule,
            held: history.bytes(),
            open: Vec::new(),
            rungs: Vec::new(),
            invoked,
            frontier: Frontier::new(start),
            left_out: false,
        }
    }

    pub fn take_in(&mut self, event: Event, meter: &mut Meter) -> Result<(), Stop> {
        meter.unit = size_of::<Attempt>() + 4 * self.invoked.len() + 64;
        meter.held = self.held + self.frontier.orders.bytes();
        meter.tick(self.frontier.len())?;
        if self.frontier.orders.full() {
            return Err(Stop::Memory);
        }
        match event {
            Event::Add(number) => {
                let returns = |&number: &u32| self.history.returns(number);
                let place = self.open.partition_point(|open| returns(open) < returns(&number));
                self.open.insert(place, number);
            }
            Event::Perhaps(class) => self.invoked[class] += 1,
            Event::Added(number) => {
                self.lead_on(Goal::Added(number), meter)?;
                self.open.retain(|&open| open != number);
                self.frontier.forget(self.history.slot(number));
            }
            Event::Read(number) => {
                let seen = self.history.seen(number);
                self.frontier.retain(|attempt| attempt.sum <= seen);
                let place = self.rungs.partition_point(|&rung| rung < (seen, number));
                self.rungs.insert(place, (seen, number));
            }
            Event::Saw(number) => {
                let seen = self.history.seen(number);
                if self.frontier.any(|attempt| attempt.sum < seen) {
                    self.lead_on(Goal::Saw(seen), meter)?;
                }
                self.rungs.retain(|&(_, rung)| rung != number);
            }
        }
        Ok(())
    }

    /// Leads every attempt on until it has reached the goal.
    fn lead_on(&mut self, goal: Goal, meter: &mut Meter) -> Result<(), Stop> {
        let addends = &self.history.addends;
        let (mut work, mut seen) = (self.frontier.take(), FxHashSet::default());
        while let Some(attempt) = work.pop() {
            meter.tick(self.frontier.len() + work.len() + seen.len())?;
            if !work.is_empty() && !seen.insert((attempt.fired, attempt.sum, attempt.used.clone())) {
                continue;
            }
            // The next read that is not explained; what the sum has passed, is.
            let above = self.rungs.partition_point(|&(seen, _)| seen <= attempt.sum);
            let rung = self.rungs.get(above).map(|&(seen, _)| seen);
            match goal {
                Goal::Saw(seen) if attempt.sum >= seen => self.frontier.keep(attempt, addends),
                Goal::Saw(seen) => self.climb_to(&attempt, rung.unwrap_or(seen), None, &mut work, meter)?,
                Goal::Added(number) if attempt.fired & self.history.slot(number) != 0 => {
                    self.frontier.keep(attempt, addends);
                }
                Goal::Added(number) => {
                    let addend = self.history.addend(number);
                    if rung.is_none_or(|rung| attempt.sum + addend <= rung) {
                        let mut child = attempt.clone();
                        child.sum += addend;
                        child.fired |= self.history.slot(number);
                        child.tip = self.frontier.orders.then(child.tip, number);
                        self.frontier.keep(child, addends);
                    }
                    if let Some(rung) = rung {
                        self.climb_to(&attempt, rung, Some(addend), &mut work, meter)?;
                    }
                }
            }
        }
        let (Rule::Exact(width) | Rule::Relaxed(width)) = self.rule;
        self.left_out |= self.frontier.narrow(width);
        Ok(())
    }

    /// All ways to come from an attempt to exactly this sum, without additions of `but`.
    fn climb_to(
        &mut self,
        attempt: &Attempt,
        sum: i128,
        but: Option<i128>,
        work: &mut Vec<Attempt>,
        meter: &mut Meter,
    ) -> Result<(), Stop> {
        let open = self.open.iter().copied();
        let sums = Sums {
            history: self.history,
            relaxed: self.rule.relaxed(),
            open: open.filter(|&open| attempt.fired & self.history.slot(open) == 0).collect(),
            invoked: &self.invoked,
            but,
        };
        self.left_out |= sums.reach(attempt, sum, &mut self.frontier.orders, work, meter)?;
        Ok(())
    }
}

/// What every attempt has to come to.
#[derive(Clone, Copy)]
enum Goal {
    Added(u32),
    Saw(i128),
}
