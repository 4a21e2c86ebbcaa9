//! One place in the total order, and the state at one place.
//!
//! Plain data. It must not know how it is written down (`words`), stored or sent.

use super::bank::Bank;
use super::members::Members;
use super::transfer::Transfer;

/// Where an entry stands. The derived order is the order of logs by age (incarnation first, then
/// index), the one by which a new coordinator chooses whose log survives: never by length alone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// The coordinator that put the entry there.
    pub incarnation: u64,
    /// 1 for the first entry; 0 is the place before it.
    pub index: u64,
}

/// What an entry does to the bank.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Nothing, not even to the time line. A coordinator's first entry: what lies before it is
    /// committed once this one is.
    Noop,
    /// A client's request, with the coordinator's UTC time in seconds.
    Transfer {
        /// The stamp that every replica writes.
        time: i64,
        /// What was asked for.
        transfer: Transfer,
    },
    /// These lives have a vote from here on, and no others. One entry names all of them, so that no
    /// replica can learn of its own vote while another has not heard of any.
    Members(Members),
}

/// One entry of the log. Its index is where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The coordinator that made it; with the index, its identity.
    pub incarnation: u64,
    /// What it does.
    pub command: Command,
}

/// The bank after every entry up to and including `last`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// The last entry that the bank has seen.
    pub last: Position,
    /// The state there.
    pub bank: Bank,
}
