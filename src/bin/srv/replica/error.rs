//! Why a replica stops, or will not listen to a line: what was found, where, and what to do.
//!
//! It must not decide anything; it words what was decided.

use std::io;

use super::storage::{Name, Storage};
use crate::reference::words::BadWord;

/// Why a replica cannot go on. It must end: after a failed sync nobody knows what the disk holds.
#[derive(Debug, thiserror::Error)]
pub enum ReplicaError {
    /// The disk refused.
    #[error("cannot {action} {path}: {source}; free space or repair the disk, then start again")]
    Io {
        /// What was tried.
        action: &'static str,
        /// On which file.
        path: String,
        /// What the system said.
        source: io::Error,
    },
    /// The log is damaged where it was durable.
    #[error(
        "{path} is damaged at byte {offset}: {found}. No crash leaves that, so entries that this \
         replica acknowledged may be gone"
    )]
    Corrupt {
        /// The log file.
        path: String,
        /// Where the damage begins.
        offset: u64,
        /// What stood there.
        found: String,
    },
    /// A frame that is whole, and that this program cannot have written.
    #[error(
        "{path} holds at byte {offset} what this program did not write: {found}. Use the program \
         that wrote it, or another DATAFILE"
    )]
    Foreign {
        /// The log file.
        path: String,
        /// Where the frame begins.
        offset: u64,
        /// What stood there.
        found: String,
    },
}

impl ReplicaError {
    pub(super) fn io(storage: &impl Storage, action: &'static str, name: Name, source: io::Error) -> Self {
        Self::Io { action, path: storage.path(name), source }
    }
}

/// A line that no living coordinator sends; the connection it came from is of no use.
#[derive(Debug, thiserror::Error)]
pub enum BadLine {
    /// Not a message.
    #[error("not a message: {0}")]
    Unreadable(#[from] BadWord),
    /// A message that contradicts what is committed.
    #[error("would replace entry {index}, which is committed up to {commit}")]
    AgainstCommitted {
        /// The first entry that differs.
        index: u64,
        /// What is committed.
        commit: u64,
    },
}
