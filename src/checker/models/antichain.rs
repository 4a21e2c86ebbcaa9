//! Attempts of which none covers another: what one can do, the covered need not try.
//!
//! Attempts are compared whole, state and all; a hash alone never decides. Few are
//! simply scanned, many are found by their state. Knows no model.

use std::hash::Hash;

use rustc_hash::FxHashMap;

use super::bits::Bits;
use super::orders::Tip;

/// One attempt: what it did with the open operations, and where it came to.
#[derive(Debug, Clone)]
pub(super) struct Attempt<S, const N: usize> {
    pub bits: Bits<N>,
    pub state: S,
    pub tip: Tip,
    /// How many indeterminate operations took effect; decides only what is tried first.
    pub used: u32,
}

/// Up to here a scan is faster than a table.
const FEW: usize = 12;
/// Attempts of one state that are compared before only equal ones are looked for.
const COMPARED: usize = 64;

/// The attempts.
#[derive(Debug)]
pub(super) struct Antichain<S, const N: usize> {
    attempts: Vec<Attempt<S, N>>,
    by_state: FxHashMap<S, Vec<u32>>,
    /// Attempts of crowded states, to find equal ones among more than are compared.
    exact: FxHashMap<(S, Bits<N>), ()>,
}

impl<S, const N: usize> Default for Antichain<S, N> {
    fn default() -> Self {
        Self { attempts: Vec::new(), by_state: FxHashMap::default(), exact: FxHashMap::default() }
    }
}

impl<S: Clone + Eq + Hash, const N: usize> Antichain<S, N> {
    pub fn len(&self) -> usize {
        self.attempts.len()
    }

    pub fn get(&self, at: usize) -> &Attempt<S, N> {
        &self.attempts[at]
    }

    /// A copy of the attempt at this place, if there is one.
    pub fn at(&self, at: usize) -> Option<Attempt<S, N>> {
        self.attempts.get(at).cloned()
    }

    /// Keeps so many attempts, those that used the fewest indeterminate operations.
    pub fn narrow(&mut self, width: usize) {
        if self.attempts.len() > width {
            self.attempts.sort_by_key(|attempt| attempt.used);
            self.attempts.truncate(width);
            self.by_state.clear();
            self.exact.clear();
        }
    }

    pub fn tips(&mut self) -> impl Iterator<Item = &mut Tip> {
        self.attempts.iter_mut().map(|attempt| &mut attempt.tip)
    }

    pub fn clear(&mut self) {
        self.attempts.clear();
        self.by_state.clear();
        self.exact.clear();
    }

    /// Hands over the attempts, the chain is empty then.
    pub fn drain(&mut self) -> Vec<Attempt<S, N>> {
        self.by_state.clear();
        self.exact.clear();
        std::mem::take(&mut self.attempts)
    }

    /// Adds an attempt unless one that is there covers it. Says whether it was added.
    pub fn insert(&mut self, attempt: Attempt<S, N>, perhaps: &[u64; N]) -> bool {
        if self.attempts.len() < FEW {
            let covered = |there: &Attempt<S, N>| {
                there.state == attempt.state && there.bits.covers(&attempt.bits, perhaps)
            };
            if self.attempts.iter().any(covered) {
                return false;
            }
        } else if !self.list(&attempt, perhaps) {
            return false;
        }
        self.attempts.push(attempt);
        true
    }

    /// Finds the new attempt among those of its state, and lists it if it is new.
    fn list(&mut self, attempt: &Attempt<S, N>, perhaps: &[u64; N]) -> bool {
        if self.by_state.is_empty() {
            for (at, there) in self.attempts.iter().enumerate() {
                self.by_state.entry(there.state.clone()).or_default().push(at as u32);
            }
        }
        let there = self.by_state.entry(attempt.state.clone()).or_default();
        let covers = |&at: &u32| self.attempts[at as usize].bits.covers(&attempt.bits, perhaps);
        if there.iter().take(COMPARED).any(covers) {
            return false;
        }
        if there.len() >= COMPARED {
            let key = (attempt.state.clone(), attempt.bits.clone());
            if self.exact.insert(key, ()).is_some() {
                return false;
            }
        } else {
            there.push(self.attempts.len() as u32);
        }
        true
    }
}
