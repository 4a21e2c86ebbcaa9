//! A history with one acknowledged operation changed, dropped, doubled or moved. Says
//! nothing of whether it is still right.

use rsm_check::history::{History, Observed, Operation};
use rsm_check::op::Outcome;

use super::small::Case;

/// Room between two events, for events to be put there.
const STRIDE: u64 = 4;

/// All such changes of all acknowledged operations.
pub fn mutations(case: &Case) -> Vec<Case> {
    let mut roomy = case.clone();
    for operation in &mut roomy.history.operations {
        operation.invoke *= STRIDE;
        operation.completion.iter_mut().for_each(|completion| completion.index *= STRIDE);
    }
    let operations = &roomy.history.operations;
    let ended_ok = (0..operations.len()).filter(|&at| operations[at].outcome() == Outcome::Ok);
    ended_ok
        .flat_map(|at| [changed, dropped, doubled, ends_sooner, begins_later].map(|how| (at, how)))
        .map(|(at, how)| {
            let mut other = Case { right: false, ..roomy.clone() };
            how(&mut other.history, at);
            other.history.operations.sort_by_key(|operation| operation.invoke);
            other
        })
        .collect()
}

fn changed(history: &mut History, at: usize) {
    let Some(completion) = &mut history.operations[at].completion else { return };
    match &mut completion.observed {
        Observed::Pair(seen) => seen[1] = seen[1].wrapping_add(1),
        Observed::Balances(seen) => {
            seen.iter_mut().take(1).for_each(|(_, value)| *value = value.wrapping_sub(1))
        }
        Observed::Nothing => {}
    }
}

fn dropped(history: &mut History, at: usize) {
    history.operations[at].completion = None;
}

fn doubled(history: &mut History, at: usize) {
    let mut copy: Operation = history.operations[at].clone();
    copy.process += 1_000;
    if let Some(completion) = &mut copy.completion {
        copy.invoke = completion.index + 1;
        completion.index += 2;
    }
    history.operations.push(copy);
}

fn ends_sooner(history: &mut History, at: usize) {
    let operation = &mut history.operations[at];
    operation.completion.iter_mut().for_each(|completion| completion.index = operation.invoke + 1);
}

fn begins_later(history: &mut History, at: usize) {
    let operation = &mut history.operations[at];
    operation.invoke =
        operation.completion.as_ref().map_or(operation.invoke, |completion| completion.index - 1);
}
