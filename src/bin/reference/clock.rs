//! How a moment is written in the data file and in the classic protocol.
//!
//! It must not ask what time it is: the coordinator stamps a request once, and every replica
//! writes that stamp. A replica with a clock of its own would end with a file of its own.

use jiff::{Timestamp, tz::TimeZone};

/// `Sun, 22 Nov 2026 11:58:40 +0000`. Total: a clock beyond what a calendar can name is clamped.
pub fn http_style(unix_seconds: i64) -> String {
    let nearest = if unix_seconds < 0 { Timestamp::MIN } else { Timestamp::MAX };
    let moment = Timestamp::from_second(unix_seconds).unwrap_or(nearest);
    moment.to_zoned(TimeZone::UTC).strftime("%a, %d %b %Y %H:%M:%S +0000").to_string()
}

#[cfg(test)]
mod tests {
    use super::http_style;

    #[test]
    fn a_moment_is_written_as_the_exercise_writes_it() {
        assert_eq!(http_style(1_795_348_720), "Sun, 22 Nov 2026 11:58:40 +0000");
    }

    #[test]
    fn no_clock_is_too_wrong_to_be_written() {
        assert!(http_style(i64::MAX).contains("9999"));
        assert!(http_style(i64::MIN).ends_with("+0000"));
    }
}
