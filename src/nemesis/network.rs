//! Faults of links, carried out by the proxy in front of a node.
//!
//! Says what is wanted of the proxy; how bytes are held back is the proxy's.

use std::time::Duration;

use super::Effect;
use crate::cluster::node::NodeProcess;
use crate::cluster::proxy::Delay;
use crate::plan::PlannedFault;
use crate::plan::rng::{Purpose, Rng};

/// Delays every chunk on the node's link from now on, in both directions.
pub(super) fn delay(fault: &PlannedFault, seed: u64, node: &NodeProcess) -> Effect {
    let Some(planned) = fault.delay else { return Effect::failed("the plan gives no latency") };
    node.proxy().set_delay(Some(Delay {
        mean: Duration::from_nanos(planned.latency_ns),
        jitter: Duration::from_nanos(planned.jitter_ns),
        seed: Rng::new(seed, Purpose::Jitter(fault.id as u32)).bits(),
    }));
    Effect::held(true)
}

/// Ends the delay; it held if a chunk felt it.
pub(super) fn undelay(node: &NodeProcess) -> Effect {
    let report = node.proxy().delay_report();
    node.proxy().set_delay(None);
    Effect::held(report.held())
}
