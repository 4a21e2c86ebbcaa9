//! Faults of disks: power failures, errors, and damage to the files of a stopped node.
//!
//! What a disk answers is the disk's; here is what becomes of the node meanwhile. A
//! node may end when its disk fails it, and is started again at the end.

use std::time::Duration;

use tokio::time::Instant;

use super::damage::{self, Files};
use super::{Effect, process};
use crate::cluster::disk::{Disk, DiskFault, Failing, Loss};
use crate::cluster::node::{Life, NodeProcess};
use crate::fault::disk::{DiskAct, Leaves, Request};
use crate::fault::{FaultKind, Node, Observed};
use crate::plan::PlannedFault;
use crate::plan::rng::{Purpose, Rng};

/// Who met with an error may still be about to end because of it.
const LAST_WORDS: Duration = Duration::from_secs(1);
/// Between two looks whether it has.
const POLL: Duration = Duration::from_millis(5);

/// Every node draws for itself.
fn draws(fault: &PlannedFault, seed: u64, node: Node) -> Rng {
    let number = if let Node::Srv(number) = node { u32::from(number) } else { 0 };
    let seed = Rng::new(seed, Purpose::Jitter(fault.id as u32)).bits();
    Rng::new(seed, Purpose::Jitter(number))
}

/// Applies it. What stops the node is seen to have stopped it.
pub(super) async fn apply(fault: &PlannedFault, seed: u64, node: &NodeProcess) -> Effect {
    let Some(act) = fault.disk() else { return Effect::failed("the plan names nothing to do to a disk") };
    let mut rng = draws(fault, seed, node.node());
    node.excuse_exits(fault.fault.excuses_exit());
    match act {
        DiskAct::PowerFailure { leaves } => {
            let kept = (*leaves == Leaves::Some).then(|| rng.bits());
            power_failure(node, kept).await
        }
        DiskAct::BitFlip { .. } | DiskAct::TruncateFile { .. } => {
            let killed = process::kill(node).await;
            if killed.held { told(damage::inflict(act, &files(node), &mut rng)) } else { killed }
        }
        DiskAct::OldCopy => copy(node).await,
        act => on_disk(node, |disk| {
            disk.set_fault(live(act), rng.bits());
            Effect::held(true)
        }),
    }
}

/// What a running disk is told.
fn live(act: &DiskAct) -> Option<DiskFault> {
    Some(match act {
        DiskAct::Errors { on, per_million } => DiskFault::Errors(Failing {
            reads: on.contains(&Request::Reads),
            writes: on.contains(&Request::Writes),
            syncs: on.contains(&Request::Fsyncs),
            per_million: *per_million,
        }),
        DiskAct::Full { bytes } => DiskFault::Full { after: *bytes },
        DiskAct::Slow { write_ns, fsync_ns } => {
            DiskFault::Slow { write: Duration::from_nanos(*write_ns), sync: Duration::from_nanos(*fsync_ns) }
        }
        DiskAct::ReadOnly => DiskFault::ReadOnly,
        _ => return None,
    })
}

fn on_disk(node: &NodeProcess, act: impl FnOnce(&Disk) -> Effect) -> Effect {
    node.with_disk(act).unwrap_or_else(|| Effect::failed(format!("{} has no disk of its own", node.node())))
}

fn told(done: std::io::Result<Observed>) -> Effect {
    match done {
        Ok(observed) => Effect { held: true, error: None, observed },
        Err(why) => Effect::failed(why),
    }
}

/// The processes die first: what they could still write would be written after the
/// power had failed.
async fn power_failure(node: &NodeProcess, kept: Option<u64>) -> Effect {
    let killed = process::kill(node).await;
    if !killed.held {
        return killed;
    }
    on_disk(node, |disk| {
        let Loss { bytes, files, names } = disk.fail_power(kept);
        let observed = Observed::from([("bytes_lost", bytes), ("files_lost", files), ("names_lost", names)]);
        Effect { held: true, error: None, observed }
    })
}

fn files(node: &NodeProcess) -> Files<'_> {
    Files { dir: node.dir(), data: node.data() }
}

/// The copy is taken of a node that stands still, which then goes on.
async fn copy(node: &NodeProcess) -> Effect {
    let killed = process::kill(node).await;
    if !killed.held {
        return killed;
    }
    let copied = told(damage::keep_copy(&files(node)));
    copied.and(process::restart(node).await)
}

async fn restore(node: &NodeProcess) -> Effect {
    let killed = process::kill(node).await;
    if !killed.held {
        return Effect { held: true, ..killed };
    }
    let restored = told(damage::restore_copy(&files(node)));
    restored.and(process::restart(node).await)
}

/// Ends it, and has the node run again.
pub(super) async fn heal(fault: &PlannedFault, node: &NodeProcess) -> Effect {
    let effect = match fault.fault {
        FaultKind::OldCopy => restore(node).await,
        kind if kind.needs_disk() && kind != FaultKind::PowerFailure => repair(kind, node).await,
        _ => process::restart(node).await,
    };
    node.excuse_exits(false);
    effect
}

/// The disk is well again. It held if somebody felt it.
async fn repair(kind: FaultKind, node: &NodeProcess) -> Effect {
    let felt = node.with_disk(|disk| {
        disk.set_fault(None, 0);
        disk.felt()
    });
    let Some(felt) = felt else { return Effect::held(false) };
    let observed = Observed::from([
        ("requests_failed", felt.failed),
        ("fsyncs_failed", felt.failed_syncs),
        ("requests_slowed", felt.slowed),
        ("writes_cut_short", felt.cut_short),
    ]);
    let observed = observed.into_iter().filter(|(_, count)| *count > 0).collect();
    let effect = Effect { held: felt.held(), error: None, observed };
    if !kind.excuses_exit() || !ended(node, felt.held()).await {
        return effect;
    }
    let restarted = process::restart(node).await;
    let counted = Effect { observed: Observed::from([("nodes_ended", 1)]), ..Effect::held(true) };
    effect.and(counted).and(restarted)
}

/// Whether the node has ended by itself, or does so shortly.
async fn ended(node: &NodeProcess, felt: bool) -> bool {
    let ceiling = Instant::now() + LAST_WORDS;
    while felt && node.life() == Life::Up && Instant::now() < ceiling {
        tokio::time::sleep(POLL).await;
    }
    node.life() == Life::Down
}
