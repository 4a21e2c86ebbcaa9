//! Everything of a run that its judgement may rest on, gathered in one value.
//!
//! Plain data: the runner fills it at the end of a run, loading a run directory
//! fills it again later, and both must come to the same verdict. Must not know
//! where files lie, nor what any of it means.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::fault::{Family, Node};
use crate::history::History;
use crate::workload::{DEFAULT_MODEL, Workload, parse};

/// What was recorded of one run.
#[derive(Debug, Clone)]
pub struct Recorded {
    /// The workload as it was used.
    pub workload: Workload,
    /// What clients, faults and nodes did.
    pub history: History,
    /// The replicas' files at the end, one per replica, in the order of replicas.
    pub files: Vec<ReplicaFile>,
    /// Whether the files had come to rest when they were collected.
    pub rest: Rest,
    /// How far the run came.
    pub state: RunState,
    /// Why the run did not finish, in words; `None` if it did.
    pub reason: Option<String>,
    /// Families of faults that the workload asks for and the machine could not carry out.
    pub lacking: Vec<Lacking>,
}

/// A family of faults that was left out of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Lacking {
    /// Which.
    pub family: Family,
    /// Why, in words.
    pub reason: String,
}

impl Recorded {
    /// A history without a run around it: nothing is known of nodes and faults,
    /// and `files` (in order, for srv-1 and up) count as collected at rest.
    ///
    /// Without files, at least one acknowledged operation is needed to prove anything.
    /// `model` is the text of `--model`; it is not validated here.
    pub fn bare(history: History, model: Option<&str>, files: Vec<ReplicaFile>) -> Self {
        let mut workload = bare_workload();
        workload.model = model.unwrap_or(DEFAULT_MODEL).into();
        workload.cluster.replicas = u16::try_from(files.len()).unwrap_or(u16::MAX);
        workload.checks.minimum_acknowledged = u64::from(files.is_empty());
        let rest = if files.is_empty() { Rest::NotReached } else { Rest::Settled };
        Self { workload, history, files, rest, state: RunState::Finished, reason: None, lacking: Vec::new() }
    }
}

/// A workload that demands nothing but what a history alone can show.
fn bare_workload() -> Workload {
    let text = r#"{"name":"history","operations":1,
        "checks":{"available":false,"unrequested_exit":"note"}}"#;
    parse("history", text).expect("the built-in workload is valid")
}

/// The data file of one replica at the end of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReplicaFile {
    /// Whose file it is.
    pub node: Node,
    /// Its bytes; `None` if there is no file, which is the initial state.
    pub content: Option<Vec<u8>>,
    /// Why the harness could not read it, in words; then `content` means nothing.
    pub unreadable: Option<String>,
}

impl ReplicaFile {
    /// A file that was read, or found missing.
    pub fn new(node: Node, content: Option<Vec<u8>>) -> Self {
        Self { node, content, unreadable: None }
    }
}

/// Whether the replicas' files had come to rest when they were collected.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Rest {
    /// The run ended before anyone waited for the files: they may be in motion.
    #[default]
    NotReached,
    /// All files were identical and unchanged for a while.
    Settled,
    /// No file changed any more though they differ.
    Differing,
    /// Files still changed when the ceiling for settling had passed.
    Changing,
}

/// How far a run came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum RunState {
    /// Under way; in a record that is read again: the harness was killed.
    Running,
    /// It went through all its phases.
    Finished,
    /// A signal asked the harness to stop.
    Interrupted,
    /// The machine or the harness's surroundings did not allow it.
    Infra,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bare_history_demands_nothing_that_it_cannot_show() {
        let recorded = Recorded::bare(History::default(), None, Vec::new());
        assert!(!recorded.workload.demands_availability());
        assert_eq!((recorded.rest, recorded.workload.model.as_str()), (Rest::NotReached, DEFAULT_MODEL));
    }
}
