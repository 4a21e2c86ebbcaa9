//! Seeded randomness: one seed, an independent stream per purpose.
//!
//! ChaCha8 gives the same bits on every machine and in every version; the few
//! distributions that are needed are written here and pinned by tests, since
//! those of general libraries change between versions. Nothing here reads a
//! clock or the operating system's randomness.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};

/// What a stream is for. Streams never influence one another: an operation more
/// for one client changes no fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Operations of the client with this number.
    Operations(u32),
    /// Back-off of the client with this number.
    Backoff(u32),
    /// Times and targets of the fault rule with this number.
    Fault(u32),
    /// The varying delays of the fault with this number.
    Jitter(u32),
    /// Where the client with this number cuts its requests in two.
    Split(u32),
    /// Bad requests.
    Bad,
    /// Who comes late at the end.
    Latecomer,
    /// Which scenes of a mix come when.
    Scenes,
}

impl Purpose {
    fn stream(self) -> u64 {
        let (kind, number) = match self {
            Self::Operations(number) => (1u64, number),
            Self::Backoff(number) => (2, number),
            Self::Fault(number) => (3, number),
            Self::Jitter(number) => (4, number),
            Self::Split(number) => (5, number),
            Self::Bad => (6, 0),
            Self::Latecomer => (7, 0),
            Self::Scenes => (8, 0),
        };
        kind << 32 | u64::from(number)
    }
}

/// A stream of random numbers.
#[derive(Debug, Clone)]
pub struct Rng(ChaCha8Rng);

impl Rng {
    /// The stream of `seed` for one purpose.
    pub fn new(seed: u64, purpose: Purpose) -> Self {
        let mut key = [0u8; 32];
        key[..8].copy_from_slice(&seed.to_le_bytes());
        let mut stream = ChaCha8Rng::from_seed(key);
        stream.set_stream(purpose.stream());
        Self(stream)
    }

    /// 64 random bits.
    pub fn bits(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// A number below `bound` without bias; 0 if `bound` is 0.
    ///
    /// Lemire, "Fast random integer generation in an interval" (2019).
    pub fn below(&mut self, bound: u64) -> u64 {
        let mut product = u128::from(self.bits()) * u128::from(bound);
        if (product as u64) < bound {
            let least = bound.wrapping_neg() % bound;
            while (product as u64) < least {
                product = u128::from(self.bits()) * u128::from(bound);
            }
        }
        (product >> 64) as u64
    }

    /// A number from `least` to `most`, both included; `least` if they are swapped.
    pub fn between(&mut self, least: i64, most: i64) -> i64 {
        let span = most.wrapping_sub(least) as u64;
        match span.checked_add(1) {
            _ if most < least => least,
            Some(count) => least.wrapping_add(self.below(count) as i64),
            None => self.bits() as i64,
        }
    }

    /// The index of a weight, as likely as its share; 0 if all weights are 0.
    pub fn weighted(&mut self, weights: &[u64]) -> usize {
        let mut rest = self.below(weights.iter().sum());
        for (index, &weight) in weights.iter().enumerate() {
            if rest < weight {
                return index;
            }
            rest -= weight;
        }
        0
    }

    /// `count` of the items, in their own order.
    pub fn choose<T: Copy>(&mut self, items: &[T], count: usize) -> Vec<T> {
        let mut places: Vec<usize> = (0..items.len()).collect();
        for taken in 0..count.min(items.len()) {
            let other = taken + self.below((items.len() - taken) as u64) as usize;
            places.swap(taken, other);
        }
        places.truncate(count);
        places.sort_unstable();
        places.into_iter().map(|place| items[place]).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stream_of_a_seed_never_changes() {
        let mut rng = Rng::new(42, Purpose::Operations(0));
        let drawn: Vec<u64> = (0..4).map(|_| rng.below(1000)).collect();
        assert_eq!(drawn, GOLDEN);
    }

    const GOLDEN: [u64; 4] = [463, 399, 862, 853];

    #[test]
    fn streams_of_different_purposes_differ() {
        let first = Rng::new(1, Purpose::Operations(0)).bits();
        assert_ne!(first, Rng::new(1, Purpose::Operations(1)).bits());
        assert_ne!(first, Rng::new(1, Purpose::Fault(0)).bits());
        assert_ne!(first, Rng::new(2, Purpose::Operations(0)).bits());
    }

    #[test]
    fn ranges_hold_at_their_ends() {
        let mut rng = Rng::new(7, Purpose::Operations(0));
        assert_eq!(rng.below(0), 0);
        assert_eq!(rng.below(1), 0);
        assert_eq!(rng.between(5, 5), 5);
        assert_eq!(rng.between(5, 4), 5);
        rng.between(i64::MIN, i64::MAX);
        let seen: std::collections::BTreeSet<i64> = (0..200).map(|_| rng.between(-1, 2)).collect();
        assert_eq!(seen.into_iter().collect::<Vec<_>>(), [-1, 0, 1, 2]);
    }

    #[test]
    fn a_choice_keeps_order_and_never_repeats() {
        let mut rng = Rng::new(7, Purpose::Fault(0));
        for count in 0..=5 {
            let chosen = rng.choose(&[1, 2, 3, 4, 5], count);
            assert_eq!(chosen.len(), count);
            assert!(chosen.windows(2).all(|pair| pair[0] < pair[1]), "{chosen:?}");
        }
    }
}
