//! Pure: what was recorded goes in, verdicts and evidence come out.
//!
//! One file per check, the pipeline over them in [`judgement`]. A checker never
//! touches a process, a socket or a clock of the run, and never renders anything.
//! It may be given a budget of time and memory.

pub mod assumptions;
pub mod available;
pub mod bank;
mod bank_engine;
pub mod conserved;
pub mod core;
pub mod cycle;
pub mod diagnosis;
mod divergence;
pub mod evidence;
pub mod exits;
mod explain;
pub mod judgement;
pub mod linearizability;
pub mod models;
pub mod node_life;
pub mod overdraft;
pub mod protocol;
pub mod refused_share;
pub mod replay;
pub mod replicas;
#[cfg(test)]
mod replicas_tests;
#[cfg(test)]
pub mod testing;
pub mod verify;

pub use bank_engine::{BankEngine, last_reads};
pub use judgement::{
    Explained, Judgement, Linearized, Linearizer, Order, Stuck, judge, judge_alone, judge_one,
};

use crate::fault::Node;
use crate::history::Phase;
use crate::recorded::{Recorded, ReplicaFile, Rest};

/// The files that may be compared with each other and with the history.
#[derive(Debug, Default)]
pub struct FinalFiles<'a> {
    /// Of replicas that were up when files were collected.
    pub files: Vec<&'a ReplicaFile>,
    /// Replicas that were down by then: their files lag behind lawfully.
    pub left_out: Vec<Node>,
}

/// The files that count as last reads; none unless the run waited for them to
/// come to rest.
pub fn final_files(recorded: &Recorded) -> FinalFiles<'_> {
    if recorded.rest == Rest::NotReached {
        return FinalFiles::default();
    }
    let collected = node_life::phase_begin(&recorded.history, Phase::Collect);
    let at = collected.map_or(recorded.history.end, |begin| begin.saturating_sub(1));
    let up = |file: &&ReplicaFile| node_life::up_at(&recorded.history, file.node, at);
    let (files, down): (Vec<_>, Vec<_>) = recorded.files.iter().partition(up);
    FinalFiles { files, left_out: down.iter().map(|file| file.node).collect() }
}

/// `srv-1`, `srv-1 and srv-3`, `srv-1, srv-2 and srv-3`.
pub(crate) fn list(nodes: &[Node]) -> String {
    let names: Vec<String> = nodes.iter().map(Node::to_string).collect();
    match names.as_slice() {
        [] => "none".into(),
        [one] => one.clone(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}

/// A count with its noun in the right number: `1 file`, `3 files`.
pub(crate) fn count(number: u64, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}

/// Bytes of a program under test for a sentence: one line, escaped, shortened.
pub(crate) fn quote(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let mut shown: String = text.chars().take(80).flat_map(char::escape_debug).collect();
    if text.chars().nth(80).is_some() {
        shown.push_str("...");
    }
    format!("`{shown}`")
}
