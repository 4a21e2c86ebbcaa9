//! Faults of processes: what their parameters are once a plan has fixed them.
//!
//! Plain data. Must not know how signals are sent.

use serde::Serialize;

/// What is done to the processes of a node, where the kind leaves a choice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct ProcessPlan {
    /// `terminate`: how long the node may take to end, in nanoseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub grace_ns: Option<u64>,
    /// `crash-loop`: how long the node runs between its `ready` and the next kill,
    /// in nanoseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub period_ns: Option<u64>,
}
