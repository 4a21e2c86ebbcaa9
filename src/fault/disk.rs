//! What can be done to the disk of a node: the parameters of disk faults, as plain data.
//!
//! Shared by the workload, the plan, the nemesis and the disk itself. Must not know of
//! files, mounts or processes.

use serde::{Deserialize, Serialize};

use super::FaultKind;

/// What a power failure leaves, as a model of the file system.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Durability {
    /// As journalling file systems behave: any fsync commits every earlier operation
    /// on names; a rename over a name flushes its source.
    #[default]
    Journal,
    /// As POSIX demands at least: names live by fsync of their directory alone.
    Strict,
}

/// What of the unsynced writes a power failure leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Leaves {
    /// Nothing.
    #[default]
    Nothing,
    /// By a drawn choice a prefix of them, a torn last write, a tail of NULs.
    Some,
}

/// Requests to a disk, as far as errors tell them apart.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Request {
    /// read(2).
    Reads,
    /// write(2), truncate, changes of names and attributes.
    Writes,
    /// fsync(2), fdatasync(2).
    Fsyncs,
}

/// Which file of a stopped node is damaged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Victim {
    /// A file with content below the node's directory, drawn.
    #[default]
    Any,
    /// The data file.
    Data,
}

/// What is done to the disk of each node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "act", rename_all = "kebab-case")]
pub enum DiskAct {
    /// Every process of the node is killed, then what was not synced is lost.
    PowerFailure {
        /// What is left of it.
        leaves: Leaves,
    },
    /// Requests end with EIO.
    Errors {
        /// Which.
        on: Vec<Request>,
        /// How many of a million of them.
        per_million: u32,
    },
    /// So many bytes more fit, then ENOSPC.
    Full {
        /// Bytes.
        bytes: u64,
    },
    /// Requests take longer.
    Slow {
        /// Each write, in nanoseconds.
        write_ns: u64,
        /// Each fsync, in nanoseconds.
        fsync_ns: u64,
    },
    /// Whatever changes anything ends with EROFS.
    ReadOnly,
    /// Bits of a file of the stopped node are inverted.
    BitFlip {
        /// How many.
        bits: u64,
        /// In which file.
        file: Victim,
    },
    /// A file of the stopped node loses its end.
    TruncateFile {
        /// How many bytes.
        bytes: u64,
        /// Which file.
        file: Victim,
    },
    /// The node finds its files as they were when the fault began.
    OldCopy,
}

impl FaultKind {
    /// Whether the node's directory must lie on a disk of the harness for it.
    pub fn needs_disk(self) -> bool {
        matches!(
            self,
            Self::PowerFailure | Self::DiskErrors | Self::DiskFull | Self::DiskSlow | Self::DiskReadOnly
        )
    }

    /// Whether a node that ends by itself meanwhile does right: a system that cannot
    /// write any more, or that finds its files damaged, should stop.
    pub fn excuses_exit(self) -> bool {
        matches!(
            self,
            Self::DiskErrors | Self::DiskFull | Self::DiskReadOnly | Self::BitFlip | Self::TruncateFile
        )
    }

    /// Whether nobody else may start or stop the node meanwhile.
    pub fn takes_process(self) -> bool {
        self.family() == super::Family::Disk && self != Self::DiskSlow
    }
}
