//! A client's logical thread: one operation after the other, at its pace.
//!
//! A closed loop: the next operation begins when the last has ended. Must not
//! know what an operation does beyond its outcome, nor who decides when to stop.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};
use tokio::sync::watch;
use tokio::time::{Instant, Interval, MissedTickBehavior};

use super::Journal;
use super::bank::Bank;
use crate::op::{Outcome, Transfer};

/// Hands out process numbers; none twice.
#[derive(Debug)]
pub struct Numbers(AtomicU64);

impl Numbers {
    /// Numbers from `first` on: the first that no client was given at its start.
    pub fn from(first: u64) -> Self {
        Self(AtomicU64::new(first))
    }

    /// A number that nobody had before.
    pub fn next(&self) -> u64 {
        self.0.fetch_add(1, Ordering::Relaxed)
    }
}

/// How many operations may still be begun; shared by clients or one client's own.
#[derive(Debug)]
pub struct Budget(AtomicU64);

impl Budget {
    /// `operations` in all; `None` for no bound.
    pub fn of(operations: Option<u64>) -> Self {
        Self(AtomicU64::new(operations.unwrap_or(u64::MAX)))
    }

    /// Takes one if there is one left.
    fn take(&self) -> bool {
        let less = |left: u64| (left > 0).then(|| if left == u64::MAX { left } else { left - 1 });
        self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less).is_ok()
    }
}

/// When operations begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    /// From one beginning to the next; an operation that lasts longer skips
    /// beginnings, and those after it stay on the grid. Not zero.
    pub interval: Duration,
    /// Of the first beginning, from the client's start: spreads clients out.
    pub offset: Duration,
    /// Times at which there is no pace.
    pub burst: Option<Burst>,
}

/// Times at which a client is as fast as replies come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Burst {
    /// From one beginning to the next, the first one a period after the start. Not zero.
    pub every: Duration,
    /// How long each lasts.
    pub lasts: Duration,
}

impl Burst {
    fn is_on(self, elapsed: Duration) -> bool {
        let into = elapsed.as_nanos() % self.every.as_nanos().max(1);
        elapsed >= self.every && into < self.lasts.as_nanos()
    }
}

/// Requests that are written in two pieces.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Split {
    /// Of all requests, 0 to 1.
    pub share: f64,
    /// Of the choice, and of the place of the cut.
    pub seed: u64,
}

/// One client, ready to run.
#[derive(Debug)]
pub struct Client {
    /// Its first process number.
    pub process: u64,
    /// Where it sends its requests.
    pub bank: Bank,
    /// `None`: as fast as replies come.
    pub pace: Option<Pace>,
    /// Which requests come in pieces.
    pub split: Split,
    /// Of its back-off.
    pub seed: u64,
    /// Fresh numbers for when an indeterminate outcome retires the present one.
    pub numbers: Arc<Numbers>,
    /// Operations left.
    pub budget: Arc<Budget>,
}

impl Client {
    /// Runs until `stop` turns true (or its sender is gone), the budget or the
    /// transfers end. The operation in flight is finished; its deadline bounds it.
    pub async fn run(
        mut self,
        transfers: impl IntoIterator<Item = Transfer>,
        journal: &impl Journal,
        mut stop: watch::Receiver<bool>,
    ) {
        let began = Instant::now();
        let burst = self.pace.and_then(|pace| pace.burst);
        let mut ticks = self.pace.map(ticks);
        let mut cuts = ChaCha8Rng::seed_from_u64(self.split.seed);
        let mut backoff = Backoff::new(self.seed);
        for transfer in transfers {
            let hurried = burst.is_some_and(|burst| burst.is_on(began.elapsed()));
            let ticks = if hurried { &mut None } else { &mut ticks };
            if !unless_stopped(&mut stop, next_tick(ticks)).await || !self.budget.take() {
                return;
            }
            let cut = self.cut(&mut cuts);
            let ended = self.operate(transfer, cut, journal).await;
            if let Some(pause) = backoff.after(ended)
                && !unless_stopped(&mut stop, tokio::time::sleep(pause)).await
            {
                return;
            }
        }
    }

    /// Two draws each time, so that a request more or less in pieces moves no other cut.
    fn cut(&self, random: &mut ChaCha8Rng) -> Option<usize> {
        let (chance, place) = (random.next_u32(), random.next_u32());
        let chosen = f64::from(chance) < self.split.share * (f64::from(u32::MAX) + 1.0);
        chosen.then_some(place as usize)
    }

    async fn operate(&mut self, transfer: Transfer, cut: Option<usize>, journal: &impl Journal) -> Outcome {
        let invocation = journal.invoke(self.process, transfer);
        let exchange = self.bank.transfer_in_pieces(invocation.source, &invocation.transfer, cut).await;
        let outcome = journal.complete(invocation, exchange.local, exchange.result);
        if outcome == Outcome::Info {
            self.process = self.numbers.next();
        }
        outcome
    }
}

/// False if stopping was asked for, before or while waiting.
async fn unless_stopped(stop: &mut watch::Receiver<bool>, wait: impl Future<Output = ()>) -> bool {
    tokio::select! {
        biased;
        // An error means that whoever could stop us is gone: stop too.
        _ = stop.wait_for(|stopped| *stopped) => false,
        () = wait => true,
    }
}

fn ticks(pace: Pace) -> Interval {
    let mut ticks =
        tokio::time::interval_at(Instant::now() + pace.offset, pace.interval.max(Duration::from_nanos(1)));
    // After an outage the load goes on as before it, without a burst.
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    ticks
}

async fn next_tick(ticks: &mut Option<Interval>) {
    if let Some(ticks) = ticks {
        ticks.tick().await;
    }
}

/// Pauses after anything but `ok`, so that an outage of seconds does not yield
/// thousands of indeterminate operations.
struct Backoff {
    random: ChaCha8Rng,
    next: Duration,
}

impl Backoff {
    const FIRST: Duration = Duration::from_millis(10);
    const LAST: Duration = Duration::from_millis(500);

    fn new(seed: u64) -> Self {
        Self { random: ChaCha8Rng::seed_from_u64(seed), next: Self::FIRST }
    }

    /// Between half of the present step and all of it.
    fn after(&mut self, outcome: Outcome) -> Option<Duration> {
        if outcome == Outcome::Ok {
            self.next = Self::FIRST;
            return None;
        }
        let half = self.next / 2;
        let spread = self.random.next_u64() % (half.as_nanos() as u64 + 1);
        self.next = (self.next * 2).min(Self::LAST);
        Some(half + Duration::from_nanos(spread))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn backing_off_doubles_to_half_a_second_and_starts_anew_after_success() {
        let mut backoff = Backoff::new(1);
        let pauses: Vec<_> = (0..10).map(|_| backoff.after(Outcome::Info).unwrap()).collect();
        for (step, pause) in pauses.iter().enumerate() {
            let whole = Duration::from_millis((10 << step).min(500));
            assert!((whole / 2..=whole).contains(pause), "step {step}: {pause:?}");
        }
        assert_eq!(backoff.after(Outcome::Ok), None);
        assert!(backoff.after(Outcome::Fail).unwrap() <= Backoff::FIRST);
    }

    #[test]
    fn backing_off_follows_the_seed() {
        let pauses = |seed| {
            let mut backoff = Backoff::new(seed);
            (0..5).map(|_| backoff.after(Outcome::Info).unwrap()).collect::<Vec<_>>()
        };
        assert_eq!(pauses(3), pauses(3));
        assert_ne!(pauses(3), pauses(4));
    }

    #[test]
    fn a_burst_comes_once_a_period_and_not_at_the_start() {
        let burst = Burst { every: Duration::from_millis(1000), lasts: Duration::from_millis(200) };
        let on = |millis| burst.is_on(Duration::from_millis(millis));
        assert_eq!(
            [0, 100, 999, 1000, 1199, 1200, 2100].map(on),
            [false, false, false, true, true, false, true]
        );
    }

    #[test]
    fn a_budget_ends_and_no_budget_does_not() {
        let budget = Budget::of(Some(2));
        assert_eq!([budget.take(), budget.take(), budget.take()], [true, true, false]);
        assert!(Budget::of(None).take());
    }
}
