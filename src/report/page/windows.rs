//! The run in windows of time that suit its length: counts by outcome, quantiles.
//!
//! Counts every operation, also those that the timeline leaves out.

use crate::history::History;
use crate::op::Outcome;

/// Operations that ended in one window.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Window {
    /// Acknowledged, of unknown outcome, failed.
    pub counts: [u64; 3],
    /// Quantiles of the acknowledged ones' times, nanoseconds: 50, 95, 99 %, all.
    pub quantiles: Option<[u64; 4]>,
}

/// The run cut into windows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Windows {
    /// Length of each, nanoseconds.
    pub width: u64,
    /// One after another, from the beginning of the run.
    pub windows: Vec<Window>,
}

/// Between 40 and 100 windows of a round length, 1 ms at least.
pub fn of(history: &History) -> Windows {
    let width = round(history.end / 100);
    let count = usize::try_from(history.end / width).unwrap_or(0) + 1;
    let mut windows = vec![Window::default(); count];
    let mut times: Vec<Vec<u64>> = vec![Vec::new(); count];
    for operation in &history.operations {
        let end = operation.completion.as_ref().map_or(history.end, |end| end.time);
        let at = usize::try_from(end / width).unwrap_or(0).min(count - 1);
        let outcome = match operation.outcome() {
            Outcome::Ok => 0,
            Outcome::Info => 1,
            Outcome::Fail => 2,
        };
        windows[at].counts[outcome] += 1;
        if outcome == 0 {
            times[at].push(end.saturating_sub(operation.invoked));
        }
    }
    for (window, mut times) in windows.iter_mut().zip(times) {
        times.sort_unstable();
        window.quantiles = quantiles(&times);
    }
    Windows { width, windows }
}

fn quantiles(sorted: &[u64]) -> Option<[u64; 4]> {
    let last = sorted.len().checked_sub(1)?;
    Some([50, 95, 99, 100].map(|percent| sorted[last * percent / 100]))
}

/// 1, 2 or 5 times a power of ten, not less than `least`.
pub fn round(least: u64) -> u64 {
    let mut unit = 1_000_000;
    loop {
        if let Some(times) = [1, 2, 5].into_iter().find(|times| unit * times >= least) {
            return unit * times;
        }
        unit *= 10;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checker::testing::*;

    #[test]
    fn every_operation_is_counted_in_the_window_in_which_it_ended() {
        let build = Build::new().ok((0, 40_000_000), ("a", "b", 0), [100, 100]);
        let build = build.lost((0, 95_000_000), ("a", "b", 0), Outcome::Info).pending(5, ("a", "b", 0));
        let windows = of(&build.history());
        assert_eq!((windows.width, windows.windows.len()), (1_000_000, 96));
        assert_eq!(windows.windows[40].counts, [1, 0, 0]);
        assert_eq!(windows.windows[95].counts, [0, 2, 0], "what never returned counts at the end");
        assert_eq!(windows.windows[40].quantiles, Some([40_000_000; 4]));
    }

    #[test]
    fn windows_are_of_a_round_length_whatever_the_run_s() {
        assert_eq!([0, 1_000_001, 41_000_000].map(round), [1_000_000, 2_000_000, 50_000_000]);
        assert!(of(&History::default()).windows.len() == 1);
        assert!(round(u64::MAX / 100) > 0);
    }
}
