//! Carries out the planned faults and always ends healed.
//!
//! One file per family says how a fault is applied and healed: [`process`],
//! [`network`]. [`schedule`] says when, looks at each node's state first and skips
//! what does not fit it. The nemesis draws nothing (the plan did), records through
//! a [`Journal`] and judges nothing.

mod network;
mod process;
mod schedule;

use crate::fault::{FaultKind, Node};
pub use schedule::{Nemesis, Signals};

use crate::cluster::node::NodeProcess;
use crate::plan::PlannedFault;

/// Is told what the nemesis does; the runner writes it into the history.
pub trait Journal: Send + Sync {
    /// A fault is about to be applied to these nodes.
    fn begin(&self, fault: &PlannedFault, nodes: &[Node]);
    /// It has been healed; `held` says whether it was seen to take hold.
    fn end(&self, fault: &PlannedFault, nodes: &[Node], held: bool, error: Option<&str>);
    /// It was due and left out, for a reason.
    fn skip(&self, fault: &PlannedFault, nodes: &[Node], reason: &str);
}

/// What came of applying or healing a fault at one node.
#[derive(Debug, Default)]
struct Effect {
    /// Whether it was seen to take hold.
    held: bool,
    /// What went wrong.
    error: Option<String>,
}

impl Effect {
    fn held(held: bool) -> Self {
        Self { held, error: None }
    }

    fn failed(error: impl std::fmt::Display) -> Self {
        Self { held: false, error: Some(error.to_string()) }
    }

    /// The fault took hold, but could not be healed.
    fn unhealed(error: impl std::fmt::Display) -> Self {
        Self { held: true, error: Some(error.to_string()) }
    }

    /// Of several nodes: held where all held, with the first error.
    fn and(self, other: Self) -> Self {
        Self { held: self.held && other.held, error: self.error.or(other.error) }
    }
}

/// Which faults get in each other's way at one node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Family {
    Process,
    Network,
}

fn family(kind: FaultKind) -> Family {
    match kind {
        FaultKind::Kill | FaultKind::Pause => Family::Process,
        FaultKind::Delay => Family::Network,
    }
}

/// Why a fault cannot begin at a node in its present state.
fn unfit(kind: FaultKind, node: &NodeProcess) -> Option<String> {
    match family(kind) {
        Family::Process => process::unfit(node),
        Family::Network => None,
    }
}

async fn apply(fault: &PlannedFault, seed: u64, node: &NodeProcess) -> Effect {
    match fault.fault {
        FaultKind::Kill => process::kill(node).await,
        FaultKind::Pause => process::pause(node).await,
        FaultKind::Delay => network::delay(fault, seed, node),
    }
}

async fn heal(fault: &PlannedFault, node: &NodeProcess) -> Effect {
    match fault.fault {
        FaultKind::Kill => process::restart(node).await,
        FaultKind::Pause => process::resume(node).await,
        FaultKind::Delay => network::undelay(fault, node).await,
    }
}
