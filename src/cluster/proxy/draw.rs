//! Random delays: the distributions that a delay may have.
//!
//! Pure arithmetic over a seeded stream. Must not know what is delayed.

use std::time::Duration;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::RngCore;

use crate::fault::network::{Distribution, TAIL};

/// No run lasts longer; keeps sums with instants in range.
pub(super) const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

/// One delay, at least 0; see [`Distribution`] for what the parameters mean.
pub(super) fn delay(
    latency_ns: u64,
    jitter_ns: u64,
    distribution: Distribution,
    random: &mut ChaCha8Rng,
) -> Duration {
    let jitter = jitter_ns as f64;
    let offset = match distribution {
        Distribution::Uniform => jitter * (2.0 * unit(random) - 1.0),
        Distribution::Normal => jitter * normal(random),
        Distribution::Exponential => jitter * -(1.0 - unit(random)).ln(),
        // Lomax of shape 3: scale 2 has mean 1.
        Distribution::Pareto => jitter * 2.0 * ((1.0 - unit(random)).powf(-1.0 / 3.0) - 1.0),
    };
    let offset = offset.min(jitter * f64::from(TAIL));
    // Negative and too large numbers are cut off at the ends of u64 by the cast.
    Duration::from_nanos((latency_ns as f64 + offset) as u64).min(LONGEST)
}

/// Evenly from 0 up to but not including 1.
fn unit(random: &mut ChaCha8Rng) -> f64 {
    (random.next_u64() >> 11) as f64 / (1u64 << 53) as f64
}

/// Mean 0, deviation 1: Box and Muller, "A Note on the Generation of Random Normal
/// Deviates" (1958).
fn normal(random: &mut ChaCha8Rng) -> f64 {
    let radius = (-2.0 * (1.0 - unit(random)).ln()).sqrt();
    radius * (std::f64::consts::TAU * unit(random)).cos()
}

/// Whether something of this probability happens.
pub(super) fn happens(per_million: u32, random: &mut ChaCha8Rng) -> bool {
    unit(random) * 1e6 < f64::from(per_million)
}

#[cfg(test)]
mod tests {
    use rand_chacha::rand_core::SeedableRng;

    use super::*;

    const MS: u64 = 1_000_000;

    fn drawn(distribution: Distribution, seed: u64) -> Vec<f64> {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let one = |_| delay(50 * MS, 10 * MS, distribution, &mut random).as_secs_f64() * 1e3;
        (0..20_000).map(one).collect()
    }

    fn mean(values: &[f64]) -> f64 {
        values.iter().sum::<f64>() / values.len() as f64
    }

    #[test]
    fn each_distribution_has_the_mean_the_least_and_the_greatest_that_it_promises() {
        for (distribution, expected, least, greatest) in [
            (Distribution::Uniform, 50.0, 40.0, 60.0),
            (Distribution::Normal, 50.0, 0.0, 150.0),
            (Distribution::Exponential, 60.0, 50.0, 150.0),
            (Distribution::Pareto, 60.0, 50.0, 150.0),
        ] {
            let values = drawn(distribution, 7);
            assert!((mean(&values) - expected).abs() < 1.0, "{distribution:?}: {}", mean(&values));
            assert!(values.iter().all(|value| (least..=greatest).contains(value)), "{distribution:?}");
        }
    }

    #[test]
    fn the_deviation_of_a_normal_delay_is_its_jitter() {
        let values = drawn(Distribution::Normal, 3);
        let mean = mean(&values);
        let variance = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / values.len() as f64;
        assert!((variance.sqrt() - 10.0).abs() < 0.3, "{}", variance.sqrt());
    }

    #[test]
    fn delays_follow_the_seed_and_never_leave_their_range() {
        assert_eq!(drawn(Distribution::Pareto, 7), drawn(Distribution::Pareto, 7));
        assert_ne!(drawn(Distribution::Pareto, 7), drawn(Distribution::Pareto, 8));
        let mut random = ChaCha8Rng::seed_from_u64(1);
        let wild = |_| delay(0, u64::MAX, Distribution::Uniform, &mut random);
        assert!((0..100).map(wild).all(|delay| delay <= LONGEST));
    }

    #[test]
    fn a_probability_is_the_share_of_what_happens() {
        let mut random = ChaCha8Rng::seed_from_u64(1);
        let mut count = |share| (0..10_000).filter(|_| happens(share, &mut random)).count();
        assert_eq!((count(0), count(1_000_000)), (0, 10_000));
        assert!((1800..2200).contains(&count(200_000)));
    }
}
