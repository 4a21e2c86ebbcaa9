//! Counts and latencies for whoever watches a run.
//!
//! Good to about 6 %, kept in constant space. Must not know of files or locks.

use std::time::Duration;

use crate::op::Outcome;

/// What has happened so far.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Progress {
    /// Operations begun.
    pub invoked: u64,
    /// Operations that happened.
    pub ok: u64,
    /// Operations that certainly did not.
    pub fail: u64,
    /// Operations of which nobody knows.
    pub info: u64,
    /// Acknowledged operations per second, over the last whole second.
    pub rate: f64,
    /// Latencies of acknowledged operations of the last whole second.
    pub recent: Latencies,
    /// Latencies of all acknowledged operations.
    pub overall: Latencies,
    /// When the last operation was acknowledged, nanoseconds since the run began.
    pub last_acknowledged: Option<u64>,
}

impl Progress {
    /// Operations under way.
    pub fn in_flight(&self) -> u64 {
        self.invoked - self.ok - self.fail - self.info
    }
}

/// Latencies from invocation to completion; all 0 if there were none.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Latencies {
    /// Half were faster.
    pub p50: Duration,
    /// 99 of 100 were faster.
    pub p99: Duration,
    /// The slowest (upper end of its bucket).
    pub max: Duration,
}

/// Width of one slot of the sliding second, nanoseconds.
const SLOT: u64 = 250_000_000;
/// Whole slots that make the last second.
const SLOTS: u64 = 4;

/// Keeps count.
#[derive(Debug)]
pub(super) struct Meter {
    counts: Progress,
    overall: Histogram,
    /// The present slot and the whole ones before it, by slot number modulo length.
    slots: [(u64, Histogram); SLOTS as usize + 1],
}

impl Meter {
    pub(super) fn new() -> Self {
        Self {
            counts: Progress::default(),
            overall: Histogram::default(),
            slots: std::array::from_fn(|_| (u64::MAX, Histogram::default())),
        }
    }

    pub(super) fn invoked(&mut self) {
        self.counts.invoked += 1;
    }

    /// Returns the number of acknowledged operations.
    pub(super) fn completed(&mut self, outcome: Outcome, invoked: u64, now: u64) -> u64 {
        match outcome {
            Outcome::Ok => self.acknowledged(invoked, now),
            Outcome::Fail => self.counts.fail += 1,
            Outcome::Info => self.counts.info += 1,
        }
        self.counts.ok
    }

    pub(super) fn acknowledged_count(&self) -> u64 {
        self.counts.ok
    }

    fn acknowledged(&mut self, invoked: u64, now: u64) {
        self.counts.ok += 1;
        self.counts.last_acknowledged = Some(now);
        let latency = now.saturating_sub(invoked);
        self.overall.add(latency);
        let number = now / SLOT;
        let (held, histogram) = &mut self.slots[(number % (SLOTS + 1)) as usize];
        if *held != number {
            *histogram = Histogram::default();
            *held = number;
        }
        histogram.add(latency);
    }

    pub(super) fn snapshot(&self, now: u64) -> Progress {
        let present = now / SLOT;
        let whole = present.saturating_sub(SLOTS)..present;
        let mut recent = Histogram::default();
        for (_, histogram) in self.slots.iter().filter(|(number, _)| whole.contains(number)) {
            recent.merge(histogram);
        }
        let seconds = (SLOT * SLOTS) as f64 / 1e9;
        let rate = recent.count as f64 / seconds;
        Progress {
            rate,
            recent: recent.latencies(),
            overall: self.overall.latencies(),
            ..self.counts.clone()
        }
    }
}

/// Sixteen buckets per power of two.
#[derive(Debug, Clone)]
struct Histogram {
    buckets: Vec<u32>,
    count: u64,
}

const BUCKETS: usize = 61 * 16;

impl Default for Histogram {
    fn default() -> Self {
        Self { buckets: vec![0; BUCKETS], count: 0 }
    }
}

impl Histogram {
    fn add(&mut self, value: u64) {
        let bucket = &mut self.buckets[bucket(value)];
        *bucket = bucket.saturating_add(1);
        self.count += 1;
    }

    fn merge(&mut self, other: &Self) {
        for (mine, theirs) in self.buckets.iter_mut().zip(&other.buckets) {
            *mine = mine.saturating_add(*theirs);
        }
        self.count += other.count;
    }

    fn latencies(&self) -> Latencies {
        let at = |share| Duration::from_nanos(self.quantile(share));
        Latencies { p50: at(0.5), p99: at(0.99), max: at(1.0) }
    }

    /// Upper end of the bucket in which the share is reached.
    fn quantile(&self, share: f64) -> u64 {
        let wanted = (self.count as f64 * share).ceil() as u64;
        let mut seen = 0;
        for (number, bucket) in self.buckets.iter().enumerate() {
            seen += u64::from(*bucket);
            if seen >= wanted && seen > 0 {
                return upper_end(number);
            }
        }
        0
    }
}

fn bucket(value: u64) -> usize {
    if value < 16 {
        return value as usize;
    }
    let power = 63 - value.leading_zeros() as usize;
    (power - 3) * 16 + ((value >> (power - 4)) & 15) as usize
}

fn upper_end(bucket: usize) -> u64 {
    if bucket < 16 {
        return bucket as u64;
    }
    let power = bucket / 16 + 3;
    let lower = (16 + (bucket % 16) as u64) << (power - 4);
    lower + ((1u64 << (power - 4)) - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_lies_in_a_bucket_that_ends_at_most_a_sixteenth_above_it() {
        for value in (0..64).flat_map(|p| [1u64 << p, (1 << p) + 1, (1u64 << p).wrapping_mul(3) / 2]) {
            let end = upper_end(bucket(value));
            assert!(end >= value && end - value <= value / 16, "{value} {end}");
        }
        assert_eq!(bucket(u64::MAX), BUCKETS - 1);
    }

    #[test]
    fn quantiles_are_those_of_the_sorted_values() {
        let mut histogram = Histogram::default();
        (1..=1000).for_each(|value| histogram.add(value * 1000));
        let latencies = histogram.latencies();
        for (got, exact) in [(latencies.p50, 500), (latencies.p99, 990), (latencies.max, 1000)] {
            assert!((exact..exact * 107 / 100 + 1).contains(&(got.as_micros() as u64)), "{got:?} {exact}");
        }
    }

    #[test]
    fn the_last_second_forgets_what_is_older() {
        let mut meter = Meter::new();
        for tick in 0..40 {
            meter.invoked();
            meter.completed(Outcome::Ok, tick * 100_000_000, tick * 100_000_000 + 1000);
        }
        let progress = meter.snapshot(4_000_000_000);
        assert_eq!((progress.ok, progress.rate, progress.in_flight()), (40, 10.0, 0));
        assert_eq!(meter.snapshot(9_000_000_000).rate, 0.0);
        assert_eq!(progress.last_acknowledged, Some(3_900_001_000));
    }
}
