//! What was recorded: the lines of `history.jsonl`, and the same thing in memory.
//!
//! [`mod@line`] is the format as the recorder writes it, [`read`] takes it in again
//! and pairs invocations with completions; [`formats`] turns what other tools wrote
//! into such lines and back. This module holds the plain data
//! between the two. It judges nothing and must not know of processes, sockets or
//! models; the order of lines is the order that is checked.

pub mod data_file;
pub mod fingerprint;
pub mod formats;
pub mod line;
mod pair;
mod raw;
pub mod read;
#[cfg(test)]
mod read_tests;
mod sequence;
pub mod stream;
pub mod untyped;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::fault::{FaultKind, Link, Node};
use crate::op::Outcome;

/// A history in memory: operations in the order of their invocations, and what
/// the harness itself did meanwhile.
#[derive(Debug, Clone, Default)]
pub struct History {
    /// Names of accounts; [`AccountId`] is an index into it.
    pub accounts: Vec<String>,
    /// Every client operation, in the order of invocation lines.
    pub operations: Vec<Operation>,
    /// Every fault that was begun, in order of beginning.
    pub faults: Vec<FaultSpan>,
    /// Planned actions that the scheduler left out, with the reason.
    pub skipped_faults: Vec<SkippedFault>,
    /// What the cluster went through: starts, readiness, exits, phases.
    pub cluster: Vec<ClusterEvent>,
    /// Things a reader should know, such as a dropped half line at the end.
    pub warnings: Vec<String>,
    /// Number of lines read.
    pub lines: u64,
    /// Time of the last line, in nanoseconds since the run began.
    pub end: u64,
}

impl History {
    /// The name of an account.
    pub fn account(&self, id: AccountId) -> &str {
        &self.accounts[id.0 as usize]
    }
}

/// An account of this history, interned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AccountId(pub u32);

/// One operation of one client: its invocation and what came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Operation {
    /// Index (the `index` field) of the invocation line.
    pub invoke: u64,
    /// The client's logical thread.
    pub process: u64,
    /// When it was invoked, nanoseconds since the run began.
    pub invoked: u64,
    /// What was asked.
    pub call: Call,
    /// How it ended; `None` if the history ends first (indeterminate).
    pub completion: Option<Completion>,
    /// An evidence line proved that the request never reached the server.
    pub never_delivered: bool,
}

impl Operation {
    /// What is known of the effect: a missing completion is indeterminate, a
    /// request that was never delivered certainly did not happen.
    pub fn outcome(&self) -> Outcome {
        match &self.completion {
            _ if self.never_delivered => Outcome::Fail,
            Some(completion) => completion.outcome,
            None => Outcome::Info,
        }
    }
}

/// What a client asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Call {
    /// Move money; an amount of 0 reads two balances.
    Transfer {
        /// Debited account.
        from: AccountId,
        /// Credited account.
        to: AccountId,
        /// Money units.
        amount: i64,
    },
    /// Read accounts.
    Read,
}

/// How an operation ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Completion {
    /// Index of the completion line.
    pub index: u64,
    /// When, nanoseconds since the run began.
    pub time: u64,
    /// What the client knows.
    pub outcome: Outcome,
    /// What the reply told.
    pub observed: Observed,
    /// The `error` field.
    pub error: Option<String>,
}

/// What a reply told of balances.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Observed {
    /// Nothing.
    Nothing,
    /// Balances of `from` and `to` after a transfer.
    Pair([i64; 2]),
    /// Balances of the accounts that a read named.
    Balances(Vec<(AccountId, i64)>),
}

/// One executed fault, from its begin line to its end line.
#[derive(Debug, Clone, PartialEq)]
pub struct FaultSpan {
    /// Number of the fault within the run.
    pub id: u64,
    /// What was done.
    pub kind: FaultKind,
    /// To which nodes (the far ends of links for a link fault).
    pub nodes: Vec<Node>,
    /// Nanoseconds since the run began, just before it was applied.
    pub begin: u64,
    /// Just after it was healed; `None` if the history ends first.
    pub end: Option<u64>,
    /// Whether it was seen to take hold (told by the end line).
    pub held: bool,
    /// Why it could not be applied or healed.
    pub error: Option<String>,
    /// Logical place of the begin line.
    pub place: Place,
    /// What it was seen to do, by count (told by the end line).
    pub observed: BTreeMap<String, u64>,
}

/// A planned action that was not carried out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SkippedFault {
    /// What was planned.
    pub kind: FaultKind,
    /// Where.
    pub nodes: Vec<Node>,
    /// When it was due, nanoseconds since the run began.
    pub time: u64,
    /// Why not.
    pub reason: String,
}

/// A logical place in a run: it means the same on a faster or slower machine.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// Acknowledged operations so far.
    pub acknowledged: u64,
    /// Messages forwarded so far, per link.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub messages: BTreeMap<Link, u64>,
    /// Successful fsyncs so far, per node whose disk the harness provides.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub syncs: BTreeMap<Node, u64>,
}

/// Something that happened to the cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClusterEvent {
    /// Nanoseconds since the run began.
    pub time: u64,
    /// What happened.
    pub what: ClusterWhat,
}

/// The kinds of cluster events, as their lines tell them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClusterWhat {
    /// The run entered a phase.
    Phase(Phase),
    /// A node's process was started.
    Start(Node),
    /// A node printed its port.
    Ready(Node),
    /// A node's process ended.
    Exit {
        /// Which node.
        node: Node,
        /// Whether the harness had asked for it (kill, graceful stop).
        asked: bool,
        /// Exit status in words and the last lines of its log.
        status: String,
    },
}

/// The phases of a run, in their order.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// Processes are started; nothing is asked of them.
    Setup,
    /// Clients run, faults are injected.
    Faulty,
    /// Clients have stopped, faults are healed, a probe asks for service.
    Heal,
    /// Waiting until the replicas' files stop changing.
    Settle,
    /// Nodes are stopped gracefully, files are collected.
    Collect,
}

impl Phase {
    /// The word of the history and of progress lines.
    pub fn name(self) -> &'static str {
        match self {
            Self::Setup => "setup",
            Self::Faulty => "faulty",
            Self::Heal => "heal",
            Self::Settle => "settle",
            Self::Collect => "collect",
        }
    }
}
