//! Faults of links, carried out by the proxy in front of a node.
//!
//! Says what is wanted of the proxy and asks it what came of it; how bytes are held
//! back or lost is the proxy's.

use std::time::Duration;

use tokio::time::Instant;

use super::Effect;
use crate::cluster::node::NodeProcess;
use crate::fault::network::{Direction, Directions, LinkFault, NetworkPlan, Reach};
use crate::plan::PlannedFault;
use crate::plan::rng::{Purpose, Rng};

/// What is let go takes a little to go on; a receiver that takes nothing is not waited for.
const GRAIN: Duration = Duration::from_millis(200);
/// Between two looks at what is still held back.
const POLL: Duration = Duration::from_millis(2);

/// The link to a node, and what is to be done to it.
struct Hit<'a> {
    plan: &'a NetworkPlan,
    reach: &'a Reach,
    node: &'a NodeProcess,
    seed: u64,
}

impl<'a> Hit<'a> {
    fn of(fault: &'a PlannedFault, seed: u64, node: &'a NodeProcess) -> Option<Self> {
        let plan = fault.network()?;
        let reach = plan.reach(node.node())?;
        let seed = Rng::new(seed, Purpose::Jitter(fault.id as u32)).bits();
        Some(Self { plan, reach, node, seed })
    }

    fn begin(&self) {
        let proxy = self.node.proxy();
        proxy.apply(self.plan.act, self.reach.direction, self.seed);
        if matches!(self.plan.act, LinkFault::Refuse { .. }) {
            proxy.note_refusal();
        }
    }

    fn end(&self) -> std::io::Result<()> {
        self.node.proxy().heal(self.reach.direction)
    }
}

/// Directions of the link to a node that a fault needs for itself alone.
pub(super) fn directions(fault: &PlannedFault, node: crate::fault::Node) -> &'static [Direction] {
    let reach = fault.network().and_then(|plan| plan.reach(node));
    reach.map_or(Directions::Both, |reach| reach.direction).each()
}

/// Begins, unless the plan has this link's turn come later.
pub(super) fn apply(fault: &PlannedFault, seed: u64, node: &NodeProcess) -> Effect {
    let Some(hit) = Hit::of(fault, seed, node) else { return Effect::failed("the plan names no link") };
    node.proxy().clear_tally(hit.reach.direction);
    if hit.reach.from_ns == 0 {
        hit.begin();
    }
    Effect::held(true)
}

/// Whatever happens between begin and end of the fault: links that come later or go
/// earlier, and flapping. May be dropped at any time; [`heal`] ends it all.
pub(super) async fn attend(fault: &PlannedFault, seed: u64, node: &NodeProcess) -> Effect {
    let Some(hit) = Hit::of(fault, seed, node) else { return Effect::held(true) };
    let begun = Instant::now();
    if let Some(period) = hit.plan.flap_ns {
        return flap(&hit, Duration::from_nanos(period) / 2).await;
    }
    if hit.reach.from_ns > 0 {
        tokio::time::sleep_until(begun + Duration::from_nanos(hit.reach.from_ns)).await;
        hit.begin();
    }
    if let Some(until) = hit.reach.until_ns {
        tokio::time::sleep_until(begun + Duration::from_nanos(until)).await;
        return hit.end().map_or_else(Effect::unhealed, |()| Effect::held(true));
    }
    std::future::pending().await
}

async fn flap(hit: &Hit<'_>, half: Duration) -> Effect {
    loop {
        tokio::time::sleep(half).await;
        if let Err(why) = hit.end() {
            return Effect::unhealed(why);
        }
        tokio::time::sleep(half).await;
        hit.begin();
    }
}

/// Ends the fault and waits until what it holds back has gone on: until then the
/// link is no faster than before. It held if the link felt it.
pub(super) async fn heal(fault: &PlannedFault, node: &NodeProcess) -> Effect {
    let Some(hit) = Hit::of(fault, 0, node) else { return Effect::held(false) };
    let (direction, proxy) = (hit.reach.direction, node.proxy());
    let ended = hit.end();
    let ceiling = Instant::now() + GRAIN;
    while proxy.tally(direction).waiting > 0 && Instant::now() < ceiling {
        tokio::time::sleep(POLL).await;
    }
    let tally = proxy.tally(direction);
    Effect {
        held: tally.shows(&hit.plan.act),
        error: ended.err().map(|why| why.to_string()),
        observed: tally.observed(),
    }
}
