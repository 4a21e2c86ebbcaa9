//! What may be tried before an operation returns, and what of it need not be tried.
//!
//! Where an open operation and an indeterminate one ask the same, the open one takes
//! effect first: in an order with the indeterminate one here and the open one later, or
//! not at all, the two can change places, since what came of the indeterminate one is
//! unknown and it may happen at any later time. Of open operations that are the same in
//! all but their place the one that returns first takes effect first, likewise.
//!
//! Every omission here must be an exchange that keeps an order right: nothing else of
//! the search drops a way that may be the only one. Does not lead attempts on.

use super::Engine;
use crate::checker::linearizability::budget::Meter;
use crate::checker::models::Model;
use crate::checker::models::antichain::Attempt;
use crate::checker::models::relevance::{relevant, step};
use crate::checker::models::stage::Halt;

/// What may be tried before an operation returns.
pub(super) struct Goal {
    pub operation: u32,
    /// Operations that may take effect: open ones, and classes by position.
    pub definite: Vec<u32>,
    pub classes: Vec<usize>,
    /// Nothing else that only observes waits for a state on the way.
    pub alone: bool,
}

impl<M: Model, const N: usize> Engine<'_, M, N> {
    /// Fires each operation that may come next, or only the one that must.
    pub(super) fn try_all(
        &mut self,
        attempt: &Attempt<M::State, N>,
        goal: &Goal,
        meter: &mut Meter,
    ) -> Result<(), Halt> {
        let first = self.forced(attempt, goal);
        let may = |engine: &Self, number: u32| {
            first.is_none_or(|first| {
                engine.operations[number as usize].input == engine.operations[first as usize].input
            })
        };
        for &number in &goal.definite {
            if !attempt.bits.fired(self.slot(number))
                && may(self, number)
                && let Some(state) = self.applied(attempt, number)
                && !self.more_urgent(attempt, number, goal)
            {
                self.visit(attempt, number, state, meter)?;
            }
        }
        for &class in &goal.classes {
            if let Some(number) = self.unused(class, attempt)
                && may(self, number)
                && let Some(state) = self.applied(attempt, number)
                && !self.open_one_will_do(attempt, number, goal)
            {
                self.visit(attempt, number, state, meter)?;
            }
        }
        Ok(())
    }

    /// Whether another open operation, the same in all but its place, returns earlier and
    /// can therefore take effect first. One that is explained already goes first only
    /// if this one is explained too, or is as soon as that overwrites everything.
    fn more_urgent(&self, attempt: &Attempt<M::State, N>, number: u32, goal: &Goal) -> bool {
        let wanted = step::<M>(self.operations, number);
        let returns = self.operations[number as usize].returns;
        let settled = attempt.bits.explained(self.slot(number)) || self.model.overwrites(wanted.0);
        let urgent = |other: u32| {
            let slot = self.slot(other);
            self.operations[other as usize].returns < returns
                && !attempt.bits.fired(slot)
                && (settled || !attempt.bits.explained(slot))
                && step::<M>(self.operations, other) == wanted
        };
        urgent(goal.operation) || goal.definite.iter().any(|&other| urgent(other))
    }

    /// Whether an open operation that asks the same as an indeterminate one can take
    /// effect here instead of it.
    fn open_one_will_do(&self, attempt: &Attempt<M::State, N>, perhaps: u32, goal: &Goal) -> bool {
        let input = &self.operations[perhaps as usize].input;
        let fits = |&number: &u32| {
            let (asked, output) = step::<M>(self.operations, number);
            asked == input
                && !attempt.bits.fired(self.slot(number))
                && self.model.apply(&attempt.state, asked, output).is_some()
        };
        goal.definite.iter().any(fits)
    }

    /// The operation that every way to the goal contains and that may come first.
    fn forced(&self, attempt: &Attempt<M::State, N>, goal: &Goal) -> Option<u32> {
        if !goal.alone {
            return None;
        }
        let wanted = step::<M>(self.operations, goal.operation);
        let must = |number: &u32| {
            self.model.must_come_first(&attempt.state, &self.operations[*number as usize].input, wanted)
        };
        let open = |number: &u32| !attempt.bits.fired(self.slot(*number));
        let perhaps = goal.classes.iter().filter_map(|&class| self.unused(class, attempt));
        goal.definite.iter().copied().filter(open).chain(perhaps).find(must)
    }

    /// The first of a class that this attempt has not used.
    fn unused(&self, class: usize, attempt: &Attempt<M::State, N>) -> Option<u32> {
        let mut members = self.classes[class].members.iter().copied();
        if self.stage.relaxed() {
            return members.next();
        }
        members.find(|&number| !attempt.bits.fired(self.slot(number)))
    }

    pub(super) fn goal(&self, number: u32, starts: &[Attempt<M::State, N>]) -> Goal {
        let settled = |open: u32| starts.iter().all(|attempt| attempt.bits.fired(self.slot(open)));
        let waiting = |open: u32| starts.iter().any(|attempt| !attempt.bits.explained(self.slot(open)));
        let observes = |open: u32| self.model.observes(&self.operations[open as usize].input);
        let open = self.open.iter().copied();
        let open = open.filter(|&open| if observes(open) { waiting(open) } else { !settled(open) });
        let perhaps = self.classes.iter().filter_map(|class| class.members.first().copied());
        let chain = relevant(self.model, self.operations, number, open.chain(perhaps));
        let mut goal = Goal { operation: number, definite: Vec::new(), classes: Vec::new(), alone: true };
        goal.alone = observes(number);
        for found in chain {
            if self.operations[found as usize].returns.is_none() {
                goal.classes.extend(self.class_of.get(&self.operations[found as usize].input));
            } else if observes(found) {
                goal.alone = false;
            } else {
                goal.definite.push(found);
            }
        }
        goal
    }
}
