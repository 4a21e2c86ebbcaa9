//! Drives operations; one file per protocol.
//!
//! ```text
//! driver   a client's logical thread: pace, back-off, numbers, stop
//! bank     one request of the bank's protocol on one connection
//! bad      requests that no server may carry out
//! ```
//!
//! A client tells its [`Journal`] what it is about to ask and what it was told.
//! Must not know who keeps the journal, nor that a proxy stands in between.

pub mod bad;
pub mod bank;
pub mod driver;

use std::net::{Ipv4Addr, SocketAddrV4};
use std::sync::Arc;

use crate::op::{Outcome, Reason, Transfer};

/// Where clients write down what they do, in the order in which it happens.
///
/// The recorder is one; clients know no more of it than this, because it stands
/// below them and serves others too.
pub trait Journal: Send + Sync {
    /// Called before the connect begins.
    fn invoke(&self, process: u64, transfer: Transfer) -> Invocation;

    /// Called after the last byte came. `local` is where the connection came
    /// from, if one was made. Returns the outcome as it was written down: the
    /// journal may know that the connection was tampered with.
    fn complete(
        &self,
        invocation: Invocation,
        local: Option<SocketAddrV4>,
        result: Result<[i64; 2], Reason>,
    ) -> Outcome;
}

impl<J: Journal + ?Sized> Journal for Arc<J> {
    fn invoke(&self, process: u64, transfer: Transfer) -> Invocation {
        (**self).invoke(process, transfer)
    }

    fn complete(
        &self,
        invocation: Invocation,
        local: Option<SocketAddrV4>,
        result: Result<[i64; 2], Reason>,
    ) -> Outcome {
        (**self).complete(invocation, local, result)
    }
}

/// An operation under way; consumed by its completion, so that it has only one.
#[derive(Debug)]
#[must_use = "an invocation that is never completed stays indeterminate"]
pub struct Invocation {
    /// Index of its line in the history.
    pub index: u64,
    /// The client's logical thread.
    pub process: u64,
    /// What is asked.
    pub transfer: Transfer,
    /// When, nanoseconds since the run began.
    pub invoked: u64,
    /// The loopback address to connect from. No other operation under way uses
    /// it, so a connection seen elsewhere is this operation's beyond doubt.
    pub source: Ipv4Addr,
}
