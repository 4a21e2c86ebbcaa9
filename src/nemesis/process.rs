//! Faults of processes: killed and started again, stopped and continued.
//!
//! Signals reach every process of a node. Knows nodes, not times or targets.

use super::Effect;
use crate::cluster::node::{Life, NodeProcess};

/// Only a node that is up can be killed or paused.
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

/// Starts a killed node again and waits until it is ready.
pub(super) async fn restart(node: &NodeProcess) -> Effect {
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
