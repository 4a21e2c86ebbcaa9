//! What a fault did to a link, counted where it was done.
//!
//! The proof that a fault took hold. Must not know why the fault is there.

use std::time::Duration;

use crate::fault::Observed;
use crate::fault::network::LinkFault;

/// Counts since they were last cleared. A FIN or a reset counts as a chunk.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Chunks that had to wait and have gone on.
    pub delayed: u64,
    /// Chunks that still wait.
    pub waiting: u64,
    /// Sum of the waiting times achieved, from read to written.
    pub total: Duration,
    /// The longest waiting time achieved.
    pub longest: Duration,
    /// Bytes that were read and thrown away.
    pub bytes_dropped: u64,
    /// Connections that became black holes.
    pub black_holes: u64,
    /// New connections that had to wait.
    pub connections_held: u64,
    /// Connections that were ended by a FIN.
    pub connections_cut: u64,
    /// Connections that were reset.
    pub connections_reset: u64,
    /// Chunks that were written in more than one piece.
    pub chunks_sliced: u64,
    /// Messages that were delivered a second time.
    pub duplicated: u64,
    /// New connections are refused by the kernel, as a connect has shown.
    pub refusing: u64,
}

impl Tally {
    /// Whether it shows that this fault took hold.
    pub fn shows(&self, fault: &LinkFault) -> bool {
        0 < match fault {
            LinkFault::Delay { .. } | LinkFault::Bandwidth { .. } | LinkFault::SlowClose { .. } => {
                self.delayed + self.waiting
            }
            LinkFault::Slice { .. } => self.chunks_sliced,
            LinkFault::Drop => self.bytes_dropped + self.black_holes,
            LinkFault::Hold => self.delayed + self.waiting + self.connections_held,
            LinkFault::Cut | LinkFault::Truncate { .. } => self.connections_cut + self.connections_reset,
            LinkFault::Reset => self.connections_reset,
            LinkFault::Refuse { .. } => self.refusing,
            LinkFault::Duplicate { .. } => self.duplicated,
        }
    }

    /// Mean of the waiting times achieved; 0 if there were none.
    pub fn mean(&self) -> Duration {
        self.total.checked_div(u32::try_from(self.delayed).unwrap_or(u32::MAX)).unwrap_or_default()
    }

    /// What is not 0, by name.
    pub fn observed(&self) -> Observed {
        let micros = |time: Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        let all = [
            ("chunks_delayed", self.delayed),
            ("delay_mean_us", micros(self.mean())),
            ("delay_max_us", micros(self.longest)),
            ("bytes_dropped", self.bytes_dropped),
            ("black_holes", self.black_holes),
            ("connections_held", self.connections_held),
            ("connections_cut", self.connections_cut),
            ("connections_reset", self.connections_reset),
            ("chunks_sliced", self.chunks_sliced),
            ("messages_duplicated", self.duplicated),
            ("refusals_seen", self.refusing),
        ];
        all.into_iter().filter(|(_, count)| *count > 0).collect()
    }

    /// Both directions taken together.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self {
            delayed: self.delayed + other.delayed,
            waiting: self.waiting + other.waiting,
            total: self.total + other.total,
            longest: self.longest.max(other.longest),
            bytes_dropped: self.bytes_dropped + other.bytes_dropped,
            black_holes: self.black_holes + other.black_holes,
            connections_held: self.connections_held + other.connections_held,
            connections_cut: self.connections_cut + other.connections_cut,
            connections_reset: self.connections_reset + other.connections_reset,
            chunks_sliced: self.chunks_sliced + other.chunks_sliced,
            duplicated: self.duplicated + other.duplicated,
            refusing: self.refusing + other.refusing,
        }
    }
}
