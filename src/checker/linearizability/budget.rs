//! Time and memory that a check may take, looked at inside every loop.
//!
//! Running out is an answer (`undecided`), never a crash and never a pass. The
//! only file of the engine that reads a clock.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// What a check may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budget {
    /// Wall-clock time from the start of the check.
    pub time: Duration,
    /// Bytes for the search, above the history itself.
    pub memory: usize,
}

impl Default for Budget {
    fn default() -> Self {
        Self { time: Duration::from_secs(60), memory: 2 << 30 }
    }
}

/// Which budget ran out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// The time.
    Time,
    /// The memory.
    Memory,
}

/// Ticks between two looks at the clock.
const STRIDE: u32 = 128;

/// Counts work against a deadline and a memory bound.
#[derive(Debug, Clone)]
pub struct Meter {
    deadline: Instant,
    memory: usize,
    ticks: u32,
    /// Bytes that do not change within one event.
    pub held: usize,
    /// Bytes that each unit told to [`tick`](Meter::tick) stands for.
    pub unit: usize,
    /// Steps that a bounded search may still take to choose indeterminate
    /// operations for the current return.
    pub choices: usize,
    /// Sets of corrections that may still be tried on bursts for the current return.
    pub corrections: usize,
    /// The most that was seen, in bytes.
    pub peak: usize,
    called_off: Option<Arc<AtomicBool>>,
}

impl Meter {
    /// A meter that stops at `deadline` or above `memory` bytes.
    pub fn new(deadline: Instant, memory: usize) -> Self {
        Self {
            deadline,
            memory,
            ticks: 0,
            held: 0,
            unit: 0,
            choices: 0,
            corrections: 0,
            peak: 0,
            called_off: None,
        }
    }

    /// A meter for a check that goes on while something happens: it stops above
    /// `memory` bytes, when `called_off` turns true, and `time` after each [`allow`](Self::allow).
    pub fn while_wanted(memory: usize, called_off: Arc<AtomicBool>) -> Self {
        Self { called_off: Some(called_off), ..Self::new(Instant::now(), memory) }
    }

    /// From now on so much time may pass.
    pub fn allow(&mut self, time: Duration) {
        self.deadline = Instant::now() + time;
    }

    /// A meter that begins now.
    pub fn of(budget: &Budget) -> Self {
        let time = budget.time.min(Duration::from_secs(1 << 30));
        Self::new(Instant::now() + time, budget.memory)
    }

    /// Some work was done, and `units` are held for now.
    #[inline]
    pub fn tick(&mut self, units: usize) -> Result<(), Stop> {
        self.ticks += 1;
        if self.ticks.is_multiple_of(STRIDE) { self.look(units) } else { Ok(()) }
    }

    /// Looks at once, whatever was done before.
    ///
    /// # Errors
    /// As those of [`tick`](Self::tick).
    #[cold]
    pub fn look(&mut self, units: usize) -> Result<(), Stop> {
        let bytes = self.held + units * self.unit;
        self.peak = self.peak.max(bytes);
        if bytes > self.memory {
            return Err(Stop::Memory);
        }
        if self.called_off.as_ref().is_some_and(|off| off.load(Ordering::Relaxed)) {
            return Err(Stop::Time);
        }
        if Instant::now() >= self.deadline { Err(Stop::Time) } else { Ok(()) }
    }
}
