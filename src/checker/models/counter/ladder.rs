//! Counters that only grow: reads are the rungs of a ladder.
//!
//! Where no addend is negative, reads stand in the order of what they saw, and
//! between two neighbours exactly that must be added by which they differ. So a search needs no
//! guess about reads: it goes from rung to rung, and only the choice of the additions
//! that make up the difference branches. An attempt is the set of open additions that
//! took effect, and how many indeterminate ones of each addend; its sum tells which reads it
//! explains, and one whose sum is above an open read that it did not explain is dropped.
//!
//! As in the general search only a return does work, additions take effect as late as
//! they may, of open ones with one addend the one that returns first goes first, and
//! before indeterminate ones. Counters that only shrink are the same the other way up.
//! Must not know of stages, nor how an order is told.

mod choose;
mod climber;
mod frontier;
mod order;

use super::{Add, CounterCall, Read};
use crate::checker::linearizability::Stop;
use crate::checker::linearizability::budget::Meter;
use crate::checker::models::{Direct, Operation};
use climber::Climber;

type Call = Operation<CounterCall, i64>;

/// Open additions that fit into an attempt.
const OPEN: usize = 128;
/// Attempts beyond which only the best are kept: then a search may only accept.
const WIDTHS: [usize; 2] = [64, 2048];

/// Decides the operations `part`, in the order of their invocations. `None` if addends
/// have both signs, or if this way is not good enough.
pub(super) fn decide(
    operations: &[Call],
    part: &[u32],
    initial: i64,
    meter: &mut Meter,
) -> Result<Option<Direct>, Stop> {
    let Some(history) = History::new(operations, part, initial) else { return Ok(None) };
    meter.held = history.bytes();
    meter.look(0)?;
    for width in WIDTHS {
        match history.climb(Rule::Exact(width), u64::MAX, meter)? {
            Climb::Explained(steps) => return Ok(Some(Direct::Order(order::of(&history, &steps, u64::MAX)))),
            Climb::Dead => return history.first_failure(Rule::Exact(width), meter),
            Climb::Unclear => {}
        }
    }
    match history.climb(Rule::Relaxed(WIDTHS[1]), u64::MAX, meter)? {
        Climb::Dead => history.first_failure(Rule::Relaxed(WIDTHS[1]), meter),
        Climb::Explained(_) | Climb::Unclear => Ok(None),
    }
}

/// How indeterminate additions count; both keep so many attempts at most.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Rule {
    /// Each once.
    Exact(usize),
    /// Together they may add whatever some of them, used over and over, come to, but not
    /// more than all of them: may only refute.
    Relaxed(usize),
}

impl Rule {
    fn relaxed(self) -> bool {
        matches!(self, Self::Relaxed(_))
    }
}

enum Climb {
    /// Additions in the order in which they took effect.
    Explained(Vec<u32>),
    Dead,
    /// Something was left out on the way.
    Unclear,
}

#[derive(Clone, Copy)]
enum Event {
    Add(u32),
    Perhaps(usize),
    Added(u32),
    Read(u32),
    Saw(u32),
}

/// A part, upright: addends are positive.
struct History<'a> {
    operations: &'a [Call],
    part: &'a [u32],
    /// 1, or -1 if all addends are negative.
    sign: i128,
    initial: i128,
    events: Vec<(u64, Event)>,
    /// The slot of each open addition, by operation.
    slots: Vec<u8>,
    /// The different addends of indeterminate additions, greatest first.
    addends: Vec<i128>,
    /// The indeterminate additions of each addend, by invocation.
    members: Vec<Vec<u32>>,
}

impl<'a> History<'a> {
    fn new(operations: &'a [Call], part: &'a [u32], initial: i64) -> Option<Self> {
        let addend = |number: &u32| match operations[*number as usize].input {
            Add(addend) => addend,
            Read => 0,
        };
        let negative = part.iter().any(|number| addend(number) < 0);
        if negative && part.iter().any(|number| addend(number) > 0) {
            return None;
        }
        let sign = if negative { -1 } else { 1 };
        let mut history = Self {
            operations,
            part,
            sign,
            initial: sign * i128::from(initial),
            events: Vec::with_capacity(2 * part.len()),
            slots: vec![0; operations.len()],
            addends: Vec::new(),
            members: Vec::new(),
        };
        history.addends = part
            .iter()
            .filter(|&&number| operations[number as usize].returns.is_none() && addend(&number) != 0)
            .map(|&number| history.addend(number))
            .collect();
        history.addends.sort_unstable_by_key(|&addend| std::cmp::Reverse(addend));
        history.addends.dedup();
        history.members = vec![Vec::new(); history.addends.len()];
        part.iter().for_each(|&number| history.list(number));
        history.events.sort_unstable_by_key(|&(at, _)| at);
        history.give_slots().then_some(history)
    }

    fn list(&mut self, number: u32) {
        let operation = &self.operations[number as usize];
        match (operation.input, operation.returns, operation.output) {
            (Add(0), ..) | (Read, None, _) | (Read, _, None) => {}
            (Add(_), Some(returns), _) => {
                self.events.push((operation.invoke, Event::Add(number)));
                self.events.push((returns, Event::Added(number)));
            }
            (Add(_), None, _) => {
                let addend = self.addend(number);
                let class = self.addends.partition_point(|&other| other > addend);
                self.members[class].push(number);
                self.events.push((operation.invoke, Event::Perhaps(class)));
            }
            (Read, Some(returns), Some(_)) => {
                self.events.push((operation.invoke, Event::Read(number)));
                self.events.push((returns, Event::Saw(number)));
            }
        }
    }

    /// A slot for each addition while it is open; false if there are too few.
    fn give_slots(&mut self) -> bool {
        let mut unused: Vec<u8> = (0..OPEN as u8).rev().collect();
        for &(_, event) in &self.events {
            match event {
                Event::Add(number) => match unused.pop() {
                    Some(slot) => self.slots[number as usize] = slot,
                    None => return false,
                },
                Event::Added(number) => unused.push(self.slots[number as usize]),
                _ => {}
            }
        }
        true
    }

    fn bytes(&self) -> usize {
        self.events.capacity() * size_of::<(u64, Event)>() + self.slots.len()
    }

    /// What an addition adds.
    fn addend(&self, number: u32) -> i128 {
        match self.operations[number as usize].input {
            Add(addend) => self.sign * i128::from(addend),
            Read => 0,
        }
    }

    /// What a read saw; one that told nothing is never asked.
    fn seen(&self, number: u32) -> i128 {
        self.sign * i128::from(self.operations[number as usize].output.unwrap_or_default())
    }

    fn returns(&self, number: u32) -> Option<u64> {
        self.operations[number as usize].returns
    }

    fn slot(&self, number: u32) -> u128 {
        1 << self.slots[number as usize]
    }

    /// Whether all that returned up to `until`, and of the rest perhaps some additions,
    /// can be explained; events after it do not count.
    fn climb(&self, rule: Rule, until: u64, meter: &mut Meter) -> Result<Climb, Stop> {
        let mut climber = Climber::new(self, rule);
        for &(at, event) in &self.events {
            if at > until {
                break;
            }
            if matches!(event, Event::Read(number) if self.returns(number) > Some(until)) {
                continue;
            }
            climber.take_in(event, meter)?;
            if climber.frontier.len() == 0 {
                return Ok(if climber.left_out { Climb::Unclear } else { Climb::Dead });
            }
        }
        Ok(Climb::Explained(climber.frontier.first_order()))
    }

    /// The read that fails first, by returns: the history up to its return is refuted,
    /// and up to the return of the read before it is not. Additions alone never fail.
    fn first_failure(&self, rule: Rule, meter: &mut Meter) -> Result<Option<Direct>, Stop> {
        let reads: Vec<(u64, u32)> = self
            .events
            .iter()
            .filter_map(|&(at, event)| match event {
                Event::Saw(number) => Some((at, number)),
                _ => None,
            })
            .collect();
        let (mut low, mut high) = (0, reads.len());
        while low < high {
            let middle = low.midpoint(high);
            match self.climb(rule, reads[middle].0, meter)? {
                Climb::Dead => high = middle,
                Climb::Explained(_) | Climb::Unclear => low = middle + 1,
            }
        }
        let Some(&(returns, operation)) = reads.get(low) else { return Ok(None) };
        let prefix = match self.climb(Rule::Exact(WIDTHS[0]), returns - 1, meter)? {
            Climb::Explained(steps) => order::of(self, &steps, returns - 1),
            Climb::Dead | Climb::Unclear => Vec::new(),
        };
        Ok(Some(Direct::Fails { operation, prefix }))
    }
}
