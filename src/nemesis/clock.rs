//! Faults of clocks: every process of a node sees another time of day.
//!
//! Each change is read back from every process; one that it did not reach is named,
//! and the fault then did not hold. How a clock is changed is the cluster's.

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use super::Effect;
use crate::cluster::clock::{Applied, Change};
use crate::cluster::node::{Life, NodeProcess};
use crate::fault::clock::ClockFault;
use crate::plan::PlannedFault;

/// Only a node that runs has a clock; a paused one wakes up to it.
pub(super) fn unfit(node: &NodeProcess) -> Option<String> {
    match node.life() {
        Life::Up | Life::Paused => None,
        life => Some(format!("{} is {life}", node.node())),
    }
}

/// The first change; held when every process was seen to have it.
pub(super) async fn apply(fault: &PlannedFault, node: &NodeProcess) -> Effect {
    match fault.clock() {
        Some(ClockFault::Jump { by_ns } | ClockFault::Strobe { by_ns, .. }) => {
            change(node, Change::Jump(by_ns)).await
        }
        Some(ClockFault::Rate { rate }) => change(node, Change::Rate(rate)).await,
        None => Effect::failed("the plan says nothing of clocks"),
    }
}

/// Jumps back and again until told that the fault is over; the grain is a millisecond.
pub(super) async fn attend(
    fault: &PlannedFault,
    node: &NodeProcess,
    mut finished: watch::Receiver<bool>,
) -> Effect {
    let Some(ClockFault::Strobe { by_ns, period_ns }) = fault.clock() else {
        return Effect::held(true);
    };
    let begun = Instant::now();
    for turn in 1u32.. {
        let due = begun + Duration::from_nanos(period_ns).saturating_mul(turn);
        let over = tokio::time::timeout_at(due, finished.wait_for(|finished| *finished)).await.is_ok();
        if over {
            break;
        }
        let next = if turn % 2 == 1 { Change::Heal } else { Change::Jump(by_ns) };
        let effect = change(node, next).await;
        if effect.error.is_some() {
            return effect;
        }
    }
    Effect::held(true)
}

/// The right time again. A node that is down meanwhile starts with it. The fault did not
/// hold if a process that came and went meanwhile escaped it.
pub(super) async fn heal(node: &NodeProcess) -> Effect {
    let mut healed = match node.change_clock(Change::Heal).await {
        Ok(applied) => Effect { held: applied.missed.is_empty(), ..told(&applied) },
        Err(why) => Effect { held: true, ..Effect::failed(why) },
    };
    // Counted when the fault began: these are the same processes once more.
    healed.observed.remove("clock_processes");
    healed
}

async fn change(node: &NodeProcess, change: Change) -> Effect {
    match node.change_clock(change).await {
        Ok(applied) => told(&applied),
        Err(why) => Effect::failed(why),
    }
}

fn told(applied: &Applied) -> Effect {
    let escaped = || applied.escaped.iter().chain(&applied.missed);
    let error = escaped().next().map(|(pid, why)| {
        format!("the clock of process {pid} was not changed ({} such): {why}", escaped().count())
    });
    let mut effect = Effect { held: applied.held(), error, ..Effect::default() };
    effect.observed.insert("clock_processes", applied.processes.len() as u64);
    effect.observed.insert("clock_off_us", applied.ahead_ns.unsigned_abs() / 1_000);
    effect
}
