//! Guesses for beams: which operations of a burst took effect, from what is seen next.
//!
//! After a pause or a kill many indeterminate operations may have taken effect at
//! once. What open operations observed says by how much every account changed in
//! between: several linear equations over yes-or-no unknowns. A first guess (all
//! of them in about the order of invocation, guards obeyed) is wrong in a few
//! places; those are found as one decodes a syndrome, meeting in the middle: two
//! small sets of corrections whose effects add up to what is missing. A guess can
//! only help to accept; nothing is ever refuted by it.

use rustc_hash::{FxHashMap, FxHashSet};

use super::batch::{Search, Work};
use super::budget::Stop;
use super::sources::Changes;

/// Fewer open operations say too little about the accounts.
const OPEN: usize = 12;
/// Fewer indeterminate operations in a row are no burst.
const BURST: usize = 6;
/// Operations that are looked at, the latest; at most the bits of a [`Set`].
const ITEMS: usize = 80;
/// Orders tried from each start besides that of invocation.
const JITTERS: u64 = 12;
/// By how many places an operation may be late in them.
const LATE: u64 = 6;
/// Starts that are tried in other orders than that of invocation.
const JITTERED_STARTS: usize = 4;
/// First guesses that are corrected in none, up to four, and up to six places.
const CORRECTED: [(u32, usize); 3] = [(0, 16), (2, 24), (3, 6)];
/// Subsets wanted.
const FOUND: usize = 8;

/// A set of items, by their bits.
type Set = u128;

/// A first guess, and how far it is from what is wanted.
struct Guess {
    taken: Set,
    wanted: usize,
    distance: u64,
}

impl Search<'_> {
    /// States after a subset of the latest indeterminate operations that agree with
    /// what open operations observed of every account.
    pub fn bursts(&mut self, work: &Work) -> Result<Vec<Work>, Stop> {
        if self.pending.open().len() < OPEN || self.classes.latest_burst() < BURST {
            return Ok(Vec::new());
        }
        let items = self.latest(work);
        let wanted = self.changes(&work.key);
        if items.is_empty() || wanted.is_empty() {
            return Ok(Vec::new());
        }
        let guesses = self.guesses(work, &items, &wanted);
        let mut found: Vec<Set> = Vec::new();
        for (reach, most) in CORRECTED {
            for guess in guesses.iter().take(most) {
                self.correct(guess, &wanted[guess.wanted], &items, reach, &mut found)?;
                if found.len() >= FOUND || self.meter.corrections == 0 {
                    break;
                }
            }
            if !found.is_empty() {
                break;
            }
        }
        Ok(found.into_iter().filter_map(|taken| self.take(work, &items, taken)).collect())
    }

    /// Classes of the latest operations that are left, in the order of invocation.
    fn latest(&self, work: &Work) -> Vec<u32> {
        let used = self.layout.uses(&work.key);
        let mut taken: FxHashMap<u32, u32> = FxHashMap::default();
        let left = |&class: &u32| {
            let taken = taken.entry(class).or_insert(0);
            *taken += 1;
            *taken <= self.classes.left(self.uses, used, class)
        };
        let mut items: Vec<u32> = self.classes.order.iter().rev().copied().filter(left).take(ITEMS).collect();
        items.reverse();
        items
    }

    /// First guesses, nearest first.
    fn guesses(&self, work: &Work, items: &[u32], wanted: &[Changes]) -> Vec<Guess> {
        let mut seen: FxHashSet<Set> = FxHashSet::default();
        let mut guesses = Vec::new();
        let nothing = vec![0; self.layout.accounts];
        rate(0, &nothing, wanted, &mut guesses);
        let mut starts: Vec<(u64, usize)> = Vec::new();
        for start in 0..items.len() {
            let order: Vec<usize> = (start..items.len()).collect();
            let first = guesses.len();
            self.simulate(work, items, &order, wanted, &mut seen, &mut guesses);
            starts.extend(guesses[first..].iter().map(|guess| (guess.distance, start)).min());
        }
        starts.sort_unstable();
        for &(_, start) in starts.iter().take(JITTERED_STARTS) {
            for jitter in 1..=JITTERS {
                let mut order: Vec<usize> = (start..items.len()).collect();
                let late = |&at: &usize| at as u64 + mix(jitter << 32 | at as u64) % LATE;
                order.sort_by_key(late);
                self.simulate(work, items, &order, wanted, &mut seen, &mut guesses);
            }
        }
        guesses.sort_by_key(|guess| guess.distance);
        guesses
    }

    /// What takes effect in this order, guards obeyed; every beginning of it is a
    /// guess, for the server may have been killed there.
    fn simulate(
        &self,
        work: &Work,
        items: &[u32],
        order: &[usize],
        wanted: &[Changes],
        seen: &mut FxHashSet<Set>,
        guesses: &mut Vec<Guess>,
    ) {
        let (mut key, mut taken) = (work.key.clone(), 0);
        let mut net = vec![0i64; self.layout.accounts];
        for &at in order {
            let effect = self.classes.class(items[at]).effect;
            if !self.allowed(&key, effect) {
                continue;
            }
            self.take_effect(&mut key, effect);
            net[effect.from as usize] = net[effect.from as usize].wrapping_sub(effect.amount);
            net[effect.to as usize] = net[effect.to as usize].wrapping_add(effect.amount);
            taken |= 1 << at;
            if seen.insert(taken) {
                rate(taken, &net, wanted, guesses);
            }
        }
    }

    /// Corrects a guess in up to twice `reach` places.
    fn correct(
        &mut self,
        guess: &Guess,
        wanted: &Changes,
        items: &[u32],
        reach: u32,
        found: &mut Vec<Set>,
    ) -> Result<(), Stop> {
        let known = |account: u32| if wanted[account as usize].is_some() { factor(account) } else { 0 };
        let flips: Vec<u64> = (0..)
            .zip(items)
            .map(|(at, &class)| {
                let effect = self.classes.class(class).effect;
                let change =
                    known(effect.to).wrapping_sub(known(effect.from)).wrapping_mul(effect.amount as u64);
                if guess.taken >> at & 1 == 1 { change.wrapping_neg() } else { change }
            })
            .collect();
        let missing = self.missing(guess, wanted, items, known);
        let sets = small_sets(&flips, reach);
        self.meter.corrections = self.meter.corrections.saturating_sub(sets.len());
        let index: FxHashMap<u64, Set> = sets.iter().rev().copied().collect();
        for &(sum, set) in &sets {
            self.meter.tick(sets.len())?;
            let other = index.get(&missing.wrapping_sub(sum)).filter(|&&other| other & set == 0);
            let Some(other) = other else { continue };
            let taken = guess.taken ^ set ^ other;
            if !found.contains(&taken) {
                found.push(taken);
            }
            if found.len() >= FOUND {
                break;
            }
        }
        Ok(())
    }

    /// What a guess lacks on the accounts that are known, as one sum.
    fn missing(&self, guess: &Guess, wanted: &Changes, items: &[u32], known: impl Fn(u32) -> u64) -> u64 {
        let whole = (0..).zip(wanted).fold(0u64, |sum, (account, change)| {
            sum.wrapping_add(known(account).wrapping_mul(change.unwrap_or(0) as u64))
        });
        let taken = (0..items.len()).filter(|&at| guess.taken >> at & 1 == 1);
        taken.fold(whole, |sum, at| {
            let effect = self.classes.class(items[at]).effect;
            let change = known(effect.to).wrapping_sub(known(effect.from)).wrapping_mul(effect.amount as u64);
            sum.wrapping_sub(change)
        })
    }

    /// Lets a subset take effect, in any order that guards allow.
    fn take(&mut self, work: &Work, items: &[u32], taken: Set) -> Option<Work> {
        let classes = (0..items.len()).filter(|&at| taken >> at & 1 == 1).map(|at| items[at]).collect();
        let mut next = self.apply(work, classes, 0)?;
        next.cost = work.cost + 2;
        Some(next)
    }
}

/// Adds a guess for every wanted change.
fn rate(taken: Set, net: &[i64], wanted: &[Changes], guesses: &mut Vec<Guess>) {
    let off = |(wanted, &net): (&Option<i64>, &i64)| wanted.map_or(0, |wanted| wanted.wrapping_sub(net));
    let distance = |changes: &Changes| {
        let missing = changes.iter().zip(net).map(off);
        missing.fold(0u64, |sum, missing| sum.saturating_add(missing.unsigned_abs()))
    };
    for (at, changes) in wanted.iter().enumerate() {
        guesses.push(Guess { taken, wanted: at, distance: distance(changes) });
    }
}

/// Every set of at most `most` items with the sum of their effects, small sets first.
fn small_sets(flips: &[u64], most: u32) -> Vec<(u64, Set)> {
    let mut sets: Vec<(u64, Set)> = vec![(0, 0)];
    let mut first = 0;
    for _ in 0..most {
        let end = sets.len();
        for before in first..end {
            let (sum, set) = sets[before];
            let next = (Set::BITS - set.leading_zeros()) as usize;
            let more = (next..flips.len()).map(|at| (sum.wrapping_add(flips[at]), set | 1 << at));
            sets.extend(more);
        }
        first = end;
    }
    sets
}

/// What an account's change counts in a sum that stands for all accounts: sums of
/// different changes are hardly ever equal, and a witness is replayed anyway.
fn factor(account: u32) -> u64 {
    mix(u64::from(account)) | 1
}

/// Scatters bits (splitmix64).
fn mix(seed: u64) -> u64 {
    let seed = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let seed = (seed ^ seed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let seed = (seed ^ seed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    seed ^ seed >> 31
}
