//! The run clock: one monotonic origin for everything that is recorded.
//!
//! It is passed in wherever time is needed, so that no part reads a clock of its
//! own and all times of a run can be compared. Must not know who asks.

use std::time::Instant;

/// Nanoseconds since the run began, from the host's monotonic clock.
#[derive(Debug, Clone, Copy)]
pub struct RunClock {
    began: Instant,
}

impl RunClock {
    /// Starts the run's time: this instant is 0.
    pub fn start() -> Self {
        Self { began: Instant::now() }
    }

    /// Nanoseconds since the run began; good for 584 years.
    pub fn now(&self) -> u64 {
        self.at(Instant::now())
    }

    /// The run time of an instant; 0 for one before the run began.
    pub fn at(&self, instant: Instant) -> u64 {
        instant.saturating_duration_since(self.began).as_nanos() as u64
    }
}
