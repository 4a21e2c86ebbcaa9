//! Linearizability: is there one order, respecting real time, in which the bank
//! explains every result and every final file?
//!
//! Verifies operations that ended `ok` and the replicas' final files, each as one
//! read after everything else. Operations without a definite end may have happened
//! at any time after their invocation, or never. Does not verify that the order is
//! the one a replica really used, nor liveness.
//!
//! [`problem`] makes events of a history, [`engine`] consumes them, `batch` finds
//! the ways to complete one operation (`quick` and `known` those that known results
//! alone allow, over the `graph` of open operations), `perhaps` chooses indeterminate
//! ones, `runs` and `burst` guess many at once (the latter from what `sources` reads),
//! `cover` drops explanations that others cover, `guess` bets on a `server` that works
//! off `arrivals` in about their order. [`online`] feeds the engine while a history
//! comes into being, [`settled`] hands over what every order begins with. [`necessary`]
//! refutes at once what no order can give, [`closing`] leaves out what the final files
//! prove to have moved nothing,
//! [`decide`] runs exact and bounded searches within a budget; every acceptance is
//! replayed by [`super::verify`], which shares nothing with the search.

pub mod budget;
pub mod closing;
pub mod decide;
pub mod engine;
mod explain;
pub mod necessary;
pub mod online;
pub mod problem;

mod arrivals;
mod batch;
mod burst;
mod config;
mod cover;
mod graph;
mod guess;
mod known;
mod pending;
mod perhaps;
mod plain;
mod quick;
mod relevant;
mod runs;
pub mod settled;
mod server;
mod sources;

use crate::history::data_file::DataFile;

pub use budget::{Budget, Stop};
pub use decide::check;
pub use explain::{check_result, in_words, refuted_in_words};
pub use online::{Halt, Online, Refuted};

/// One replica's file after the run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Final {
    /// Which replica, as reports name it.
    pub node: String,
    /// What its file says; a missing file is `DataFile::default()`.
    pub file: DataFile,
}

/// What the check found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// An order exists; it was replayed.
    Linearizable {
        /// Operation numbers (positions in `History::operations`, the final files
        /// numbered after them), first to last. Indeterminate operations that are
        /// not listed did not happen.
        witness: Vec<u32>,
    },
    /// No order exists.
    Violation(Violation),
    /// Neither was shown within the budget.
    Undecided {
        /// In words.
        reason: String,
        /// Operations that must be explained and that were, when the search that
        /// came furthest stopped.
        explained: usize,
        /// How many must be explained altogether.
        required: usize,
    },
}

/// Why no order exists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// The operation at which every attempt fails (numbered as in a witness).
    pub operation: u32,
    /// Operations that were open when it returned.
    pub concurrent: Vec<u32>,
    /// Why each attempt fails, in words.
    pub reasons: Vec<String>,
    /// A longest order that explains everything that returned before.
    pub prefix: Vec<u32>,
    /// Operations that must be explained and that `prefix` explains.
    pub explained: usize,
    /// How many must be explained altogether.
    pub required: usize,
}
