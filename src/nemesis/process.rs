//! Faults of processes: ended and started again, stopped and continued.
//!
//! Signals reach every process of a node. Knows nodes, not times or targets.

use std::time::{Duration, Instant};

use tokio::sync::watch;

use super::Effect;
use crate::cluster::node::{Life, NodeProcess};
use crate::fault::Observed;
use crate::plan::PlannedFault;

/// Only a node that is up can be ended or paused.
pub(super) fn unfit(node: &NodeProcess) -> Option<String> {
    match node.life() {
        Life::Up => None,
        life => Some(format!("{} is {life}", node.node())),
    }
}

/// SIGKILL; held when the process was reaped.
pub(super) async fn kill(node: &NodeProcess) -> Effect {
    match node.kill().await {
        Ok(()) => Effect::held(true),
        Err(why) => Effect::failed(why),
    }
}

/// The stop signal; a node that has not ended after its grace is killed, and the
/// fault says so.
pub(super) async fn terminate(fault: &PlannedFault, node: &NodeProcess) -> Effect {
    let grace = fault.process().and_then(|plan| plan.grace_ns).unwrap_or_default();
    let asked = Instant::now();
    let gentle = node.stop(Duration::from_nanos(grace)).await;
    let took = asked.elapsed().as_micros() as u64;
    let observed = Observed::from([("stop_us", took), ("killed_after_grace", u64::from(!gentle))]);
    // It may have ended by itself just before it was asked.
    Effect { observed, ..Effect::held(node.life() == Life::Down) }
}

/// SIGKILL, then its directory is emptied; held when nothing is left there.
pub(super) async fn wipe(node: &NodeProcess) -> Effect {
    let killed = kill(node).await;
    if !killed.held {
        return killed;
    }
    match node.wipe().await {
        Ok(wiped) => {
            let observed = Observed::from([("files_wiped", wiped.files), ("bytes_wiped", wiped.bytes)]);
            Effect { observed, ..Effect::held(true) }
        }
        Err(why) => Effect::failed(why),
    }
}

/// Starts a killed node and kills it again, until the fault ends. It looks whether it
/// has ended only between two steps: a start that is broken off leaves a node in no
/// state at all.
pub(super) async fn crash_loop(
    fault: &PlannedFault,
    node: &NodeProcess,
    mut finished: watch::Receiver<bool>,
) -> Effect {
    let period = Duration::from_nanos(fault.process().and_then(|plan| plan.period_ns).unwrap_or_default());
    let mut crashes = 0;
    let error = loop {
        if *finished.borrow() {
            break None;
        }
        if let Err(why) = node.start().await {
            break Some(why.to_string());
        }
        let _ = tokio::time::timeout(period, finished.wait_for(|finished| *finished)).await;
        if *finished.borrow() {
            break None;
        }
        if let Err(why) = node.kill().await {
            break Some(why.to_string());
        }
        crashes += 1;
    };
    Effect { held: true, error, observed: Observed::from([("crashes", crashes)]) }
}

/// Starts a node again that is not up, and waits until it is ready.
pub(super) async fn restart(node: &NodeProcess) -> Effect {
    if node.settled_life().await == Life::Up {
        return Effect::held(true);
    }
    match node.start().await {
        Ok(()) => Effect::held(true),
        Err(why) => Effect::unhealed(why),
    }
}

/// SIGSTOP; held when every process was seen to have stopped.
pub(super) async fn pause(node: &NodeProcess) -> Effect {
    match node.pause().await {
        Ok(true) => Effect::held(true),
        Ok(false) => Effect::failed(format!("not every process of {} was seen to stop", node.node())),
        Err(why) => Effect::failed(why),
    }
}

/// SIGCONT; held when no process was seen stopped any more.
pub(super) async fn resume(node: &NodeProcess) -> Effect {
    match node.resume().await {
        Ok(true) => Effect::held(true),
        Ok(false) => Effect::unhealed(format!("not every process of {} was seen to go on", node.node())),
        Err(why) => Effect::unhealed(why),
    }
}
