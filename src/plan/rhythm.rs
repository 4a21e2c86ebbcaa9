//! When the faults of one rule come, if they come again and again.
//!
//! Integers and comparisons only: the same seed gives the same times on any machine.

use super::rng::Rng;
use crate::workload::Spread;

/// A rhythm within a window; all in nanoseconds after the clients began.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rhythm {
    /// Mean of the gaps.
    pub(super) every: u64,
    /// How the gaps vary.
    pub(super) spread: Spread,
    /// How long each fault lasts.
    pub(super) lasts: u64,
    /// None begins earlier.
    pub(super) from: u64,
    /// None ends later.
    pub(super) until: u64,
    /// Whether one comes though the window is too short for the rhythm.
    pub(super) at_least_one: bool,
}

impl Rhythm {
    /// The times. A fault of one rule never begins before the one before it has
    /// ended, and none begins so late that it could not run its time.
    ///
    /// A window too short for its rhythm still gets one fault if the workload names
    /// the kind: one that never comes would make the whole run prove nothing.
    pub(super) fn times(self, rng: &mut Rng) -> Vec<u64> {
        let last = self.until.saturating_sub(self.lasts);
        let mut times = Vec::new();
        let mut time = self.from.saturating_add(self.gap(rng));
        while time <= last {
            times.push(time);
            time = time.saturating_add(self.gap(rng).max(self.lasts));
        }
        if times.is_empty() && self.at_least_one {
            times.push(self.from + rng.below(last.saturating_sub(self.from) + 1));
        }
        times
    }

    fn gap(self, rng: &mut Rng) -> u64 {
        match self.spread {
            Spread::Uniform => rng.below(2 * self.every + 1),
            Spread::Poisson => exponential(self.every, rng),
        }
    }
}

/// A number from the exponential distribution with this mean.
///
/// John von Neumann, "Various techniques used in connection with random digits"
/// (1951): it takes only comparisons, where a logarithm would differ in its last bits
/// from machine to machine.
fn exponential(mean: u64, rng: &mut Rng) -> u64 {
    let mut whole = 0u64;
    loop {
        let first = rng.bits();
        let (mut before, mut length) = (first, 1u32);
        loop {
            let next = rng.bits();
            if next >= before {
                break;
            }
            (before, length) = (next, length + 1);
        }
        if length % 2 == 1 {
            let part = (u128::from(first) * u128::from(mean)) >> 64;
            return whole.saturating_mul(mean).saturating_add(part as u64);
        }
        whole += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::rng::Purpose;

    const S: u64 = 1_000_000_000;

    #[test]
    fn exponential_gaps_have_their_mean_and_their_tail() {
        let mut rng = Rng::new(1, Purpose::Fault(0));
        let drawn: Vec<u64> = (0..100_000).map(|_| exponential(S, &mut rng)).collect();
        let mean = drawn.iter().map(|&gap| gap as f64 / 1e9).sum::<f64>() / 1e5;
        assert!((0.98..1.02).contains(&mean), "{mean}");
        for (beyond, share) in [(1, 0.3679), (2, 0.1353), (3, 0.0498)] {
            let found = drawn.iter().filter(|&&gap| gap > beyond * S).count() as f64 / 1e5;
            assert!((found - share).abs() < 0.01, "{found} beyond {beyond} s, {share} expected");
        }
    }

    #[test]
    fn nothing_begins_before_the_window_or_ends_after_it() {
        for seed in 0..200 {
            for spread in [Spread::Uniform, Spread::Poisson] {
                let mut rng = Rng::new(seed, Purpose::Fault(0));
                let (from, until, lasts) = (5 * S, 9 * S, S / 2);
                let rhythm = Rhythm { every: S, spread, lasts, from, until, at_least_one: true };
                let times = rhythm.times(&mut rng);
                assert!(!times.is_empty());
                assert!(times.iter().all(|&time| time >= from && time + lasts <= until), "{times:?}");
                assert!(times.windows(2).all(|pair| pair[1] - pair[0] >= lasts), "{times:?}");
            }
        }
    }
}
