//! What can be done to a clock: the parameters of clock faults, as plain data.
//!
//! Shared by the plan, which draws them, and the nemesis, which carries them out. Must
//! not know processes or the workload's notation.

use serde::Serialize;

/// What is done to the clock of a node's processes; healing shows the right time again.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(tag = "act", rename_all = "kebab-case")]
pub enum ClockFault {
    /// It jumps once.
    Jump {
        /// By so many nanoseconds, back if negative.
        by_ns: i64,
    },
    /// It runs so many times as fast, from the right time on.
    Rate {
        /// 0 (it stands still) to 1000.
        rate: f64,
    },
    /// It jumps and jumps back again and again.
    Strobe {
        /// By so many nanoseconds, back first if negative.
        by_ns: i64,
        /// From one jump to the next, in nanoseconds.
        period_ns: u64,
    },
}
