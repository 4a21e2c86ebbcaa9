//! Whether some order meets the demands of a window: every order is tried.
//!
//! A depth-first search as Wing and Gong describe it, with Lowe's memo. Two rules
//! leave out orders that need not be tried; neither loses the last one:
//!
//! - an observation that is right here is placed here: nothing depends on it;
//! - an operation that only may have happened is not followed directly by one that
//!   it may change places with, nor (among such) by one of a lesser position: moved
//!   behind it, the order is as good.
//!
//! Knows no particular state machine and no words.

use rustc_hash::FxHashSet;

use super::window::{Demands, Item, Machine, Window, is_strong, mask, places};
use crate::checker::linearizability::Stop;
use crate::checker::linearizability::budget::Meter;
use crate::proof::Demand;

/// Whether an order meets the demands.
///
/// # Errors
/// The budget ran out.
pub(super) fn is_met<M: Machine>(
    machine: &M,
    window: &Window<M::State>,
    demands: &Demands,
    meter: &mut Meter,
) -> Result<bool, Stop> {
    meter.unit = 160;
    let rules = Rules::new(machine, &window.items, demands);
    let mut search = Search { rules, seen: FxHashSet::default(), meter };
    for way in &window.ways {
        let at = Place { done: window.mask(way), state: way.state.clone(), loose: None };
        if search.go(&at)? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Where an order has come to.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(super) struct Place<S> {
    /// Operations that took place.
    pub done: u128,
    pub state: S,
    /// The last of them, if it only may have happened.
    pub loose: Option<usize>,
}

/// What can come next at a place.
pub(super) struct Next<S> {
    /// Operations that fit, each with the place after it.
    pub fits: Vec<(usize, Place<S>)>,
    /// Operations that must still take place and cannot come next: wrong here.
    pub wrong: Vec<usize>,
}

/// Which operations can come next.
pub(super) struct Rules<'a, M: Machine> {
    pub machine: &'a M,
    pub items: &'a [Item],
    demands: &'a Demands,
    strong: u128,
}

impl<'a, M: Machine> Rules<'a, M> {
    pub fn new(machine: &'a M, items: &'a [Item], demands: &'a Demands) -> Self {
        let strong = mask(demands.iter().map(|&demand| is_strong(demand)));
        Self { machine, items, demands, strong }
    }

    /// Nothing is left to be met.
    pub fn met(&self, place: &Place<M::State>) -> bool {
        self.strong & !place.done == 0
    }

    pub fn next(&self, place: &Place<M::State>) -> Next<M::State> {
        let missing = self.strong & !place.done;
        let deadline = places(missing).filter_map(|at| self.items[at].returns).min().unwrap_or(u64::MAX);
        let mut next = Next { fits: Vec::new(), wrong: Vec::new() };
        for (at, item) in self.items.iter().enumerate() {
            let open = place.done >> at & 1 == 0 && item.invoke < deadline;
            let Some(demand) = self.demands[at].filter(|_| open) else { continue };
            let after = self.machine.apply(&place.state, item.number, demand == Demand::Explained);
            match after {
                None if is_strong(Some(demand)) => next.wrong.push(at),
                None => {}
                Some(state) => {
                    let after = self.after(place, at, state);
                    if item.observes {
                        return Next { fits: vec![(at, after)], wrong: Vec::new() };
                    }
                    if self.is_needed(place, at, &after) {
                        next.fits.push((at, after));
                    }
                }
            }
        }
        next
    }

    fn after(&self, place: &Place<M::State>, at: usize, state: M::State) -> Place<M::State> {
        let loose = (self.demands[at] == Some(Demand::MayHaveHappened)).then_some(at);
        Place { done: place.done | 1 << at, state, loose }
    }

    fn is_needed(&self, place: &Place<M::State>, at: usize, after: &Place<M::State>) -> bool {
        if after.loose.is_some() && after.state == place.state {
            return false;
        }
        let Some(last) = place.loose else { return true };
        let moves = self.machine.independent(self.items[last].number, self.items[at].number);
        !moves || (after.loose.is_some() && last < at)
    }
}

struct Search<'a, M: Machine> {
    rules: Rules<'a, M>,
    seen: FxHashSet<Place<M::State>>,
    meter: &'a mut Meter,
}

impl<M: Machine> Search<'_, M> {
    fn go(&mut self, place: &Place<M::State>) -> Result<bool, Stop> {
        if self.rules.met(place) {
            return Ok(true);
        }
        self.meter.tick(self.seen.len())?;
        if !self.seen.insert(place.clone()) {
            return Ok(false);
        }
        for (_, after) in self.rules.next(place).fits {
            if self.go(&after)? {
                return Ok(true);
            }
        }
        Ok(false)
    }
}
