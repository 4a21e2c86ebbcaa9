//! Carries out the planned faults and always ends healed.
//!
//! One file per family says how a fault is applied and healed: [`process`],
//! [`network`], [`clock`], [`disk`]. [`schedule`] says when, looks at each node's state
//! first and skips what does not fit it; [`budget`] what would damage more than can be
//! survived. The nemesis draws nothing (the plan did), records through a [`Journal`] and
//! judges nothing.

mod budget;
mod clock;
mod damage;
mod disk;
mod network;
mod process;
mod schedule;

use crate::fault::{Family, FaultKind, Node, Observed};
pub use schedule::{Nemesis, Signals};

use tokio::sync::watch;

use crate::cluster::node::NodeProcess;
use crate::plan::PlannedFault;

/// Is told what the nemesis does; the runner writes it into the history.
pub trait Journal: Send + Sync {
    /// A fault is about to be applied to these nodes.
    fn begin(&self, fault: &PlannedFault, nodes: &[Node]);
    /// It has been healed; `effect` says what came of it.
    fn end(&self, fault: &PlannedFault, nodes: &[Node], effect: &Effect);
    /// It was due and left out, for a reason.
    fn skip(&self, fault: &PlannedFault, nodes: &[Node], reason: &str);
}

/// What came of applying or healing a fault at one node.
#[derive(Debug, Default)]
pub struct Effect {
    /// Whether it was seen to take hold.
    pub held: bool,
    /// What went wrong.
    pub error: Option<String>,
    /// What it was seen to do.
    pub observed: Observed,
}

impl Effect {
    fn held(held: bool) -> Self {
        Self { held, ..Self::default() }
    }

    fn failed(error: impl std::fmt::Display) -> Self {
        Self { error: Some(error.to_string()), ..Self::default() }
    }

    /// The fault took hold, but could not be healed.
    fn unhealed(error: impl std::fmt::Display) -> Self {
        Self { held: true, error: Some(error.to_string()), ..Self::default() }
    }

    /// Of applying and healing: held where both did, with the first error.
    fn and(mut self, other: Self) -> Self {
        merge(&mut self.observed, other.observed);
        Self { held: self.held && other.held, error: self.error.or(other.error), ..self }
    }

    /// Of several links: held where one did. Where nothing was under way a network
    /// fault does nothing, and the others are broken all the same.
    fn or(mut self, other: Self) -> Self {
        merge(&mut self.observed, other.observed);
        Self { held: self.held || other.held, error: self.error.or(other.error), ..self }
    }
}

fn merge(counts: &mut Observed, others: Observed) {
    for (name, count) in others {
        let known = counts.entry(name).or_default();
        *known = if name.ends_with("_us") { count.max(*known) } else { *known + count };
    }
}

/// Why a fault cannot begin at a node in its present state.
fn unfit(kind: FaultKind, node: &NodeProcess) -> Option<String> {
    match kind.family() {
        Family::Process | Family::Disk => process::unfit(node),
        Family::Network => None,
        Family::Clock => clock::unfit(node),
    }
}

async fn apply(fault: &PlannedFault, seed: u64, node: &NodeProcess) -> Effect {
    match fault.fault {
        FaultKind::Kill | FaultKind::CrashLoop => process::kill(node).await,
        FaultKind::Terminate => process::terminate(fault, node).await,
        FaultKind::Wipe => process::wipe(node).await,
        FaultKind::Pause => process::pause(node).await,
        kind if kind.family() == Family::Network => network::apply(fault, seed, node),
        kind if kind.family() == Family::Clock => clock::apply(fault, node).await,
        kind if kind.family() == Family::Disk => disk::apply(fault, seed, node).await,
        kind => Effect::failed(format!("nobody carries out {kind}")),
    }
}

/// Whether a fault of several nodes held if one of them felt it: what happens to
/// requests or bytes happens only where there are some.
fn held_by_one(kind: FaultKind) -> bool {
    let felt = kind.needs_disk() && kind != FaultKind::PowerFailure;
    felt || kind.family() == Family::Network
}

/// What happens to a node while the fault lasts. Told when it is `finished`; of the
/// network family it is broken off then instead.
async fn attend(
    fault: &PlannedFault,
    seed: u64,
    node: &NodeProcess,
    finished: watch::Receiver<bool>,
) -> Effect {
    match fault.fault {
        FaultKind::CrashLoop => process::crash_loop(fault, node, finished).await,
        kind if kind.family() == Family::Network => network::attend(fault, seed, node).await,
        kind if kind.family() == Family::Clock => clock::attend(fault, node, finished).await,
        _ => Effect::held(true),
    }
}

async fn heal(fault: &PlannedFault, node: &NodeProcess) -> Effect {
    match fault.fault {
        kind if kind.ends_process() => process::restart(node).await,
        FaultKind::Pause => process::resume(node).await,
        kind if kind.family() == Family::Network => network::heal(fault, node).await,
        kind if kind.family() == Family::Clock => clock::heal(node).await,
        kind if kind.family() == Family::Disk => disk::heal(fault, node).await,
        kind => Effect::failed(format!("nobody heals {kind}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_several_links_counts_are_added_and_of_times_the_greatest_is_told() {
        let link = |held, bytes, time| Effect {
            held,
            error: None,
            observed: Observed::from([("bytes_dropped", bytes), ("delay_max_us", time)]),
        };
        let both = link(true, 3, 10).or(link(false, 4, 7));
        assert!(both.held);
        assert_eq!(both.observed, Observed::from([("bytes_dropped", 7), ("delay_max_us", 10)]));
        assert!(!link(true, 1, 1).and(link(false, 1, 1)).held);
    }
}
