//! The arithmetic of a wrong clock. Knows no process.

/// What a process sees: `shown + (host - since) * rate`, in nanoseconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Skew {
    /// Host time at which this skew began.
    pub since_ns: i64,
    /// What was shown at that moment.
    pub shown_ns: i64,
    /// Nanoseconds shown for one of the host's, in units of 2^-32.
    pub rate: i64,
}

/// One second for one second.
const RIGHT: i64 = 1 << 32;

impl Default for Skew {
    /// The right time.
    fn default() -> Self {
        Self { since_ns: 0, shown_ns: 0, rate: RIGHT }
    }
}

/// A change of a clock.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Change {
    /// It jumps by so many nanoseconds, back if negative; its rate stays.
    Jump(i64),
    /// From now on it runs so many times as fast, from what it shows now.
    /// Accepted: 0 (it stands still) to 1000; beyond that the nearest.
    Rate(f64),
    /// It shows the right time again, at once.
    Heal,
}

impl Skew {
    /// What is shown when the host's clock shows `host_ns`; never before 1970.
    pub fn at(self, host_ns: i64) -> i64 {
        let passed = i128::from(host_ns.wrapping_sub(self.since_ns));
        let shown = ((passed * i128::from(self.rate)) >> 32) as i64;
        shown.wrapping_add(self.shown_ns).max(0)
    }

    /// The skew after a change at a moment of the host's clock.
    #[must_use]
    pub fn changed(self, change: Change, host_ns: i64) -> Self {
        match change {
            Change::Heal => Self::default(),
            Change::Jump(by) => {
                let shown_ns = self.at(host_ns).saturating_add(by);
                Self { since_ns: host_ns, shown_ns, rate: self.rate }
            }
            Change::Rate(factor) => {
                let rate = (factor.clamp(0.0, 1000.0) * RIGHT as f64) as i64;
                Self { since_ns: host_ns, shown_ns: self.at(host_ns), rate }
            }
        }
    }

    /// As the wrapper reads it.
    pub(super) fn to_bytes(self) -> [u8; 24] {
        let mut bytes = [0; 24];
        for (place, value) in bytes.chunks_exact_mut(8).zip([self.since_ns, self.shown_ns, self.rate]) {
            place.copy_from_slice(&value.to_le_bytes());
        }
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_795_000_000_000_000_000;

    #[test]
    fn a_jump_keeps_the_rate_and_a_rate_keeps_what_is_shown() {
        let ahead = Skew::default().changed(Change::Jump(5_000), NOW);
        assert_eq!(ahead.at(NOW), NOW + 5_000);
        let fast = ahead.changed(Change::Rate(2.0), NOW + 10);
        assert_eq!(fast.at(NOW + 10), NOW + 5_010);
        assert_eq!(fast.at(NOW + 1_010), NOW + 7_010);
        let back = fast.changed(Change::Jump(-6_000), NOW + 1_010);
        assert_eq!(back.at(NOW + 1_010), NOW + 1_010);
        assert_eq!(back.at(NOW + 2_010), NOW + 3_010);
        assert_eq!(back.changed(Change::Heal, NOW).at(NOW), NOW);
    }

    #[test]
    fn a_clock_never_shows_a_time_before_1970() {
        assert_eq!(Skew::default().changed(Change::Jump(i64::MIN), NOW).at(NOW), 0);
    }

    #[test]
    fn a_rate_out_of_range_is_the_nearest_that_is_accepted() {
        assert_eq!(Skew::default().changed(Change::Rate(-1.0), NOW).rate, 0);
        assert_eq!(Skew::default().changed(Change::Rate(f64::INFINITY), NOW).rate, 1000 * RIGHT);
        assert_eq!(Skew::default().changed(Change::Rate(f64::NAN), NOW).rate, 0);
    }
}
