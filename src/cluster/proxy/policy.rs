//! What happens to a chunk on its way: the one seam where network faults enter.
//!
//! Each direction of a link has one policy, shared by all its connections and
//! changed while they run. A chunk asks for admission when it is read and gets
//! the instant at which it may go on. Must not know of sockets.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};

use super::tap::Direction;
use crate::sync::lock;

/// A delay of every chunk: uniform in `mean - jitter ..= mean + jitter`, never below 0.
///
/// The timer's grain is 1 ms: a chunk leaves up to about 1 ms after it is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Delay {
    /// Middle of the range.
    pub mean: Duration,
    /// Half the width of the range.
    pub jitter: Duration,
    /// Seed of the jitter; each direction draws from a stream of its own.
    pub seed: u64,
}

/// What a delay achieved since it was last set. A FIN or a reset counts as a chunk.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DelayReport {
    /// Chunks that were delayed and have gone on.
    pub delayed: u64,
    /// Chunks that are still held back.
    pub waiting: u64,
    /// Mean of the delays achieved, from read to written; 0 if there were none.
    pub mean: Duration,
    /// The longest delay achieved.
    pub max: Duration,
}

impl DelayReport {
    /// Whether any chunk felt the delay.
    pub fn held(&self) -> bool {
        self.delayed + self.waiting > 0
    }

    /// Both directions taken together.
    pub(super) fn and(self, other: Self) -> Self {
        let delayed = self.delayed + other.delayed;
        let total = self.total() + other.total();
        let mean = total.checked_div(u32::try_from(delayed).unwrap_or(u32::MAX)).unwrap_or_default();
        Self { delayed, waiting: self.waiting + other.waiting, mean, max: self.max.max(other.max) }
    }

    fn total(&self) -> Duration {
        self.mean.saturating_mul(u32::try_from(self.delayed).unwrap_or(u32::MAX))
    }
}

/// A chunk's permission to go on: when it is due, or when the delay has ended.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pass {
    /// Not before.
    pub(super) due: Instant,
    generation: u64,
}

/// The policy of one direction of one link.
#[derive(Debug)]
pub(super) struct Policy {
    direction: Direction,
    /// Read for every chunk without the lock: an idle proxy must cost nothing.
    active: AtomicBool,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    delay: Option<(Delay, ChaCha8Rng)>,
    /// Tells chunks of the present delay from those of an earlier one.
    generation: u64,
    delayed: u64,
    waiting: u64,
    total: Duration,
    max: Duration,
}

impl Policy {
    pub(super) fn new(direction: Direction) -> Self {
        Self { direction, active: AtomicBool::new(false), state: Mutex::default() }
    }

    /// Sets or removes the delay. A new delay starts a new report; removing it
    /// keeps the report, and chunks that wait need not wait any longer.
    pub(super) fn set_delay(&self, delay: Option<Delay>) {
        let mut state = lock(&self.state);
        match delay {
            Some(delay) => {
                let generation = state.generation + 1;
                let random = self.stream(delay.seed);
                *state = State { delay: Some((delay, random)), generation, ..State::default() };
            }
            None => state.delay = None,
        }
        self.active.store(state.delay.is_some(), Ordering::Release);
    }

    /// Whether chunks are held back at all.
    pub(super) fn is_active(&self) -> bool {
        self.active.load(Ordering::Acquire)
    }

    /// When a chunk read at `now` may go on; `None` means at once.
    pub(super) fn admit(&self, now: Instant) -> Option<Pass> {
        if !self.is_active() {
            return None;
        }
        let mut state = lock(&self.state);
        let (delay, random) = state.delay.as_mut()?;
        let due = now + draw(*delay, random);
        state.waiting += 1;
        Some(Pass { due, generation: state.generation })
    }

    /// A chunk has gone on (`achieved` after it was read) or was lost (`None`).
    pub(super) fn settle(&self, pass: Pass, achieved: Option<Duration>) {
        let mut state = lock(&self.state);
        if pass.generation != state.generation {
            return;
        }
        state.waiting = state.waiting.saturating_sub(1);
        if let Some(achieved) = achieved {
            state.delayed += 1;
            state.total += achieved;
            state.max = state.max.max(achieved);
        }
    }

    pub(super) fn report(&self) -> DelayReport {
        let state = lock(&self.state);
        let count = u32::try_from(state.delayed).unwrap_or(u32::MAX);
        let mean = state.total.checked_div(count).unwrap_or_default();
        DelayReport { delayed: state.delayed, waiting: state.waiting, mean, max: state.max }
    }

    fn stream(&self, seed: u64) -> ChaCha8Rng {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        random.set_stream(self.direction as u64);
        random
    }
}

fn draw(delay: Delay, random: &mut ChaCha8Rng) -> Duration {
    let jitter = u64::try_from(delay.jitter.as_nanos()).unwrap_or(u64::MAX / 4).min(u64::MAX / 4);
    // Modulo bias over 64 bits is far below the timer's grain.
    let offset = random.next_u64() % (2 * jitter + 1);
    let drawn = delay.mean.saturating_add(Duration::from_nanos(offset));
    drawn.saturating_sub(Duration::from_nanos(jitter)).min(LONGEST)
}

/// No run lasts longer; keeps sums with instants in range.
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

#[cfg(test)]
mod tests {
    use super::*;

    const DELAY: Delay =
        Delay { mean: Duration::from_millis(50), jitter: Duration::from_millis(10), seed: 7 };

    #[test]
    fn delays_stay_within_mean_and_jitter_and_follow_the_seed() {
        let draws = |seed| -> Vec<_> {
            let mut random = ChaCha8Rng::seed_from_u64(seed);
            (0..200).map(|_| draw(DELAY, &mut random)).collect()
        };
        assert!(draws(7).iter().all(|d| (40..=60).contains(&d.as_millis())));
        assert_eq!(draws(7), draws(7));
        assert_ne!(draws(7), draws(8));
    }

    #[test]
    fn a_jitter_beyond_the_mean_never_goes_below_zero() {
        let delay = Delay { mean: Duration::ZERO, jitter: Duration::MAX, seed: 1 };
        let mut random = ChaCha8Rng::seed_from_u64(1);
        assert!((0..100).all(|_| draw(delay, &mut random) <= LONGEST));
    }

    #[test]
    fn an_idle_policy_admits_at_once_and_a_removed_delay_keeps_its_report() {
        let policy = Policy::new(Direction::ToServer);
        let now = Instant::now();
        assert!(policy.admit(now).is_none());
        policy.set_delay(Some(DELAY));
        let pass = policy.admit(now).expect("delayed");
        assert_eq!(policy.report().waiting, 1);
        policy.set_delay(None);
        assert!(policy.admit(now).is_none());
        policy.settle(pass, Some(Duration::from_millis(51)));
        let report = policy.report();
        assert_eq!((report.delayed, report.waiting, report.max.as_millis()), (1, 0, 51));
    }
}
