//! Faults of links, carried out by the proxy in front of a node.
//!
//! Says what is wanted of the proxy; how bytes are held back is the proxy's.

use std::time::Duration;

use tokio::time::Instant;

use super::Effect;
use crate::cluster::node::NodeProcess;
use crate::cluster::proxy::Delay;
use crate::plan::PlannedFault;
use crate::plan::rng::{Purpose, Rng};

/// A chunk leaves a little after it is due.
const GRAIN: Duration = Duration::from_millis(50);
/// Between two looks at what is still held back.
const POLL: Duration = Duration::from_millis(2);

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

/// Ends the delay and waits until what it holds back has gone on: until then the
/// link is no faster than before. It held if a chunk felt it.
///
/// A chunk that is due and still waits is held up by its receiver, not by the
/// delay; so the wait is no longer than the longest delay.
pub(super) async fn undelay(fault: &PlannedFault, node: &NodeProcess) -> Effect {
    node.proxy().set_delay(None);
    let held = node.proxy().delay_report().held();
    let longest = fault.delay.map_or(0, |planned| planned.latency_ns + planned.jitter_ns);
    let ceiling = Instant::now() + Duration::from_nanos(longest) + GRAIN;
    while node.proxy().delay_report().waiting > 0 && Instant::now() < ceiling {
        tokio::time::sleep(POLL).await;
    }
    Effect::held(held)
}
