//! One run, from an empty directory to recorded evidence.
//!
//! ```text
//! setup -> faulty -> heal -> settle -> collect
//! ```
//!
//! The runner owns the order of phases and nothing else: nodes are the cluster's,
//! operations the clients', faults the nemesis', the order of events the
//! recorder's. It judges nothing; what it leaves in the run directory is all that
//! checkers and reports ever see, so a verdict can be computed again from it.

mod journal;
mod phases;
mod room;
mod settle;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use crate::cluster::NodePaths;
use crate::cluster::launch::Launch;
use crate::cluster::node::Life;
use crate::fault::{FaultKind, Node};
use crate::history::Phase;
use crate::plan::Plan;
use crate::recorded::Rest;
pub use crate::recorder::Listener;
use crate::recorder::Progress;
pub use phases::run;

/// Everything that a run needs to begin.
pub struct Order {
    /// What will happen.
    pub plan: Plan,
    /// The command of replicas.
    pub srv: Launch,
    /// The command of the coordinator.
    pub coord: Launch,
    /// Where lines go.
    pub paths: Paths,
    /// Turns true when the run shall end early, in order.
    pub interrupted: watch::Receiver<bool>,
    /// Who watches.
    pub watcher: Arc<dyn RunWatcher>,
    /// Who hears of every operation, if somebody wants to.
    pub listener: Option<Arc<dyn Listener>>,
    /// Turns to the reason when the faulty phase has shown enough.
    pub enough: watch::Receiver<Option<String>>,
}

/// The files of a run directory that a run writes.
#[derive(Clone)]
pub struct Paths {
    /// `history.jsonl`.
    pub history: PathBuf,
    /// `wire.jsonl`.
    pub wire: PathBuf,
    /// What each node writes.
    pub node: Arc<dyn Fn(Node) -> NodePaths + Send + Sync>,
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ended {
    /// Whether and why it did not go through all its phases.
    pub how: How,
    /// Whether the replicas' files had come to rest.
    pub rest: Rest,
    /// Nodes that did not end on their stop signal.
    pub stubborn: Vec<Node>,
    /// Whether the faulty phase was ended because it had shown enough.
    pub cut_short: bool,
}

/// Whether a run went through all its phases.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum How {
    /// It did.
    Finished,
    /// A signal asked the harness to stop.
    Interrupted,
    /// The machine or the surroundings did not allow it, in words.
    Infra(String),
}

/// What a run looks like at a moment.
#[derive(Debug, Clone)]
pub struct Snapshot {
    /// Which phase it is in.
    pub phase: Phase,
    /// Since the clients began.
    pub elapsed: Duration,
    /// Operations, rates, latencies.
    pub operations: Progress,
    /// Faults that are active now.
    pub faults: Vec<(FaultKind, Vec<Node>)>,
    /// What each node is doing.
    pub nodes: Vec<(Node, Life)>,
}

/// Watches a run: a progress display, or nobody.
pub trait RunWatcher: Send + Sync {
    /// A few times a second, and at every change of phase.
    fn tick(&self, snapshot: &Snapshot);
    /// Something worth a line: a fault began, a node ended.
    fn note(&self, text: &str);
}

/// Nobody watches.
impl RunWatcher for () {
    fn tick(&self, _: &Snapshot) {}
    fn note(&self, _: &str) {}
}
