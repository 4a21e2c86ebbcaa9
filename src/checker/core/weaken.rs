//! As few demands as still rule every order out.
//!
//! First greedily, in batches as delta debugging does it (Zeller and Hildebrandt
//! 2002): whatever can be weakened is. Weaker demands admit more orders, so one
//! that could not be weakened never can be later, and one round is enough. Then
//! exactly, as long as few are left: every smaller set is tried, except those that
//! lie within a set known to be met. Each step asks the complete search.

use super::search::is_met;
use super::window::{Demands, Item, Machine, Window, is_strong, mask, places};
use crate::checker::linearizability::Stop;
use crate::checker::linearizability::budget::Meter;
use crate::proof::Demand;

/// Up to so many strong demands a smaller set is looked for.
const FEW: usize = 12;

/// Demands that no order meets.
pub(super) struct Weakened {
    pub demands: Demands,
    /// No single demand can be weakened further.
    pub minimal: bool,
    /// And no set with fewer operations that must have taken place is ruled out.
    pub smallest: bool,
}

/// Weakens what the history demands in a window; `None` if an order meets it all.
///
/// # Errors
/// The budget ran out before anything was known.
pub(super) fn weaken<M: Machine>(
    machine: &M,
    window: &Window<M::State>,
    meter: &mut Meter,
) -> Result<Option<Weakened>, Stop> {
    let mut weakening = Weakening { machine, window, meter, met: Vec::new(), mild: 0 };
    let all = mask(window.items.iter().map(|item| is_strong(item.strongest())));
    if weakening.is_met(all)? {
        return Ok(None);
    }
    let mut strong = all;
    let minimal = weakening.shrink(&mut strong, &places(all).collect::<Vec<_>>(), What::Presence).is_ok();
    let smallest = minimal && weakening.smaller(&mut strong, all).is_ok();
    let left: Vec<usize> = places(strong).collect();
    let minimal = minimal && weakening.shrink(&mut strong, &left, What::Result).is_ok();
    let demands = weakening.demands(strong);
    Ok(Some(Weakened { demands, minimal, smallest: smallest && minimal }))
}

/// What a batch is asked to do without.
#[derive(Clone, Copy, PartialEq, Eq)]
enum What {
    /// That the operations took place.
    Presence,
    /// What they told.
    Result,
}

struct Weakening<'a, M: Machine> {
    machine: &'a M,
    window: &'a Window<M::State>,
    meter: &'a mut Meter,
    /// Sets of strong demands that some order meets.
    met: Vec<u128>,
    /// Operations whose results do not count.
    mild: u128,
}

impl<M: Machine> Weakening<'_, M> {
    fn demands(&self, strong: u128) -> Demands {
        let demand = |(at, item): (usize, &Item)| match (strong >> at & 1, self.mild >> at & 1) {
            (0, _) => item.weakest(),
            (_, 0) => item.strongest(),
            _ => Some(Demand::HappenedInTime),
        };
        self.window.items.iter().enumerate().map(demand).collect()
    }

    fn is_met(&mut self, strong: u128) -> Result<bool, Stop> {
        if self.mild == 0 && self.met.iter().any(|met| strong & !met == 0) {
            return Ok(true);
        }
        let met = is_met(self.machine, self.window, &self.demands(strong), self.meter)?;
        if met && self.mild == 0 {
            self.met.push(strong);
        }
        Ok(met)
    }

    /// Does without as many of a batch as possible.
    fn shrink(&mut self, strong: &mut u128, batch: &[usize], what: What) -> Result<(), Stop> {
        let bits = batch.iter().fold(0, |bits, at| bits | 1u128 << at);
        let possible = |&at: &usize| {
            let item = &self.window.items[at];
            what == What::Presence || (!item.observes && item.told)
        };
        if batch.is_empty() || (batch.len() == 1 && !batch.iter().all(possible)) {
            return Ok(());
        }
        if batch.iter().all(possible) && self.is_possible(strong, bits, what)? {
            return Ok(());
        }
        if batch.len() > 1 {
            let (early, late) = batch.split_at(batch.len() / 2);
            self.shrink(strong, early, what)?;
            self.shrink(strong, late, what)?;
        }
        Ok(())
    }

    /// Does without a batch if no order meets the rest.
    fn is_possible(&mut self, strong: &mut u128, bits: u128, what: What) -> Result<bool, Stop> {
        let (rest, mild) = match what {
            What::Presence => (*strong & !bits, 0),
            What::Result => (*strong, self.mild | bits),
        };
        let before = std::mem::replace(&mut self.mild, mild);
        let met = self.is_met(rest);
        if !matches!(met, Ok(false)) {
            self.mild = before;
            return met.map(|_| false);
        }
        *strong = rest;
        Ok(true)
    }

    /// Replaces a set by a smallest one.
    fn smaller(&mut self, strong: &mut u128, all: u128) -> Result<(), Stop> {
        if strong.count_ones() as usize > FEW {
            return Err(Stop::Time);
        }
        let members: Vec<usize> = places(all).collect();
        for size in 1..strong.count_ones() {
            if let Some(found) = self.of_size(&members, 0, size, all)? {
                *strong = found;
                break;
            }
        }
        Ok(())
    }

    /// A set of this size that rules every order out, made from a base and members.
    fn of_size(&mut self, members: &[usize], base: u128, size: u32, all: u128) -> Result<Option<u128>, Stop> {
        self.meter.tick(0)?;
        let most = members.iter().fold(base, |most, at| most | 1 << at);
        if size > 0 && self.met.iter().any(|met| most & !met == 0) {
            return Ok(None);
        }
        if size == 0 {
            if self.is_met(base)? {
                self.grow(base, all)?;
                return Ok(None);
            }
            return Ok(Some(base));
        }
        for (at, &member) in members.iter().enumerate() {
            if let Some(found) = self.of_size(&members[at + 1..], base | 1 << member, size - 1, all)? {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    /// Makes a set that is met as large as possible, so that it rules out much else.
    fn grow(&mut self, base: u128, all: u128) -> Result<(), Stop> {
        let known = self.met.iter().filter(|&&met| base & !met == 0).map(|met| met.count_ones()).max();
        if known.is_some_and(|count| count > base.count_ones()) {
            return Ok(());
        }
        let mut grown = base;
        for at in places(all & !base) {
            if self.is_met(grown | 1 << at)? {
                grown |= 1 << at;
            }
        }
        self.met.retain(|met| met & !grown != 0);
        self.met.push(grown);
        Ok(())
    }
}
