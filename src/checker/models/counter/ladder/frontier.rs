//! The attempts at one moment, of which none can do all that another can.
//!
//! Of two that took the same open additions to the same sum, one can do all that the other
//! can if the indeterminate additions that only it has left make up, in groups, those
//! that only the other has left: the group takes effect where the one would have.
//! Does not know what comes next.

use crate::checker::models::orders::{EMPTY, Orders, Tip};

/// Additions that are grouped at most; with more, attempts are taken for different.
const GROUPED: u32 = 8;
/// Attempts of the latest that a new one is compared with.
const COMPARED: usize = 256;

/// One attempt.
#[derive(Debug, Clone)]
pub(super) struct Attempt {
    /// Open additions that took effect, by slot.
    pub fired: u128,
    /// How many indeterminate ones of each addend took effect.
    pub used: Box<[u32]>,
    /// What those add.
    pub lent: i128,
    /// The sum so far.
    pub sum: i128,
    /// The order of what took effect.
    pub tip: Tip,
}

impl Attempt {
    pub fn new(sum: i128, addends: usize) -> Self {
        Self { fired: 0, used: vec![0; addends].into(), lent: 0, sum, tip: EMPTY }
    }

    /// Whether this one can do all that the other can.
    fn covers(&self, other: &Self, addends: &[i128]) -> bool {
        if self.fired != other.fired || self.sum != other.sum {
            return false;
        }
        if self.used == other.used {
            return true;
        }
        let (mut groups, mut only) = (Vec::new(), Vec::new());
        for (at, (&mine, &others)) in self.used.iter().zip(&other.used).enumerate() {
            for _ in others..mine {
                groups.push(addends[at]);
            }
            if mine < others {
                only.push((addends[at], others - mine));
            }
            if groups.len() > GROUPED as usize {
                return false;
            }
        }
        only.iter().map(|(_, count)| count).sum::<u32>() <= GROUPED && make_up(&groups, 0, &mut only, 0)
    }
}

/// Whether what there is falls into groups that come to these sums.
fn make_up(groups: &[i128], done: i128, only: &mut [(i128, u32)], from: usize) -> bool {
    let Some((&first, rest)) = groups.split_first() else { return true };
    if done == first {
        return make_up(rest, 0, only, 0);
    }
    (from..only.len()).any(|at| {
        let (addend, count) = only[at];
        if count == 0 || done + addend > first {
            return false;
        }
        only[at].1 -= 1;
        let made = make_up(groups, done + addend, only, at);
        only[at].1 += 1;
        made
    })
}

/// The attempts.
pub(super) struct Frontier {
    attempts: Vec<Attempt>,
    pub orders: Orders,
}

impl Frontier {
    pub fn new(start: Attempt) -> Self {
        Self { attempts: vec![start], orders: Orders::default() }
    }

    pub fn len(&self) -> usize {
        self.attempts.len()
    }

    pub fn any(&self, is: impl FnMut(&Attempt) -> bool) -> bool {
        self.attempts.iter().any(is)
    }

    pub fn retain(&mut self, keep: impl FnMut(&Attempt) -> bool) {
        self.attempts.retain(keep);
    }

    /// Hands over all attempts.
    pub fn take(&mut self) -> Vec<Attempt> {
        std::mem::take(&mut self.attempts)
    }

    /// Adds an attempt unless another can do all that it can; drops those of which it
    /// can do all.
    pub fn keep(&mut self, attempt: Attempt, addends: &[i128]) {
        let latest = self.attempts.len().saturating_sub(COMPARED);
        if self.attempts[latest..].iter().any(|there| there.covers(&attempt, addends)) {
            return;
        }
        if latest == 0 {
            self.attempts.retain(|there| !attempt.covers(there, addends));
        }
        self.attempts.push(attempt);
    }

    /// Keeps so many, those that used the least; whether some were left out.
    pub fn narrow(&mut self, width: usize) -> bool {
        if self.attempts.len() <= width {
            return false;
        }
        self.attempts.sort_by_key(|attempt| (attempt.lent, attempt.used.iter().sum::<u32>()));
        self.attempts.truncate(width);
        true
    }

    /// An addition has returned, in every attempt: another may take its slot.
    pub fn forget(&mut self, slot: u128) {
        for attempt in &mut self.attempts {
            attempt.fired &= !slot;
        }
        self.orders.sweep(self.attempts.iter_mut().map(|attempt| &mut attempt.tip));
    }

    /// The order of what took effect in one attempt.
    pub fn first_order(&self) -> Vec<u32> {
        self.attempts.first().map(|attempt| self.orders.list(attempt.tip)).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_covers_what_it_makes_up() {
        let addends = [4, 3, 2, 1];
        let attempt = |used: [u32; 4]| Attempt { used: used.into(), ..Attempt::new(9, 4) };
        let covers = |one, two| attempt(one).covers(&attempt(two), &addends);
        assert!(covers([1, 0, 0, 0], [0, 1, 0, 1]));
        assert!(!covers([0, 1, 0, 1], [1, 0, 0, 0]));
        assert!(covers([1, 1, 0, 0], [0, 0, 3, 1]));
        assert!(!covers([1, 0, 0, 1], [0, 1, 1, 0]));
        assert!(covers([0, 1, 0, 0], [0, 1, 0, 0]));
    }
}
