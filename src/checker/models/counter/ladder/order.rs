//! The order of a whole part, from the order of its additions.
//!
//! Sums grow with every addition, so each read that told something has one place. What
//! holds everywhere is put in by time. Searches nothing.

use super::{Add, History, Read};

/// Additions in their order, with everything of the part that returned up to `until`.
pub(super) fn of(history: &History<'_>, additions: &[u32], until: u64) -> Vec<u32> {
    let (mut reads, mut anywhere) = (Vec::new(), Vec::new());
    for &number in history.part {
        let operation = &history.operations[number as usize];
        if operation.returns.is_none_or(|returns| returns > until) {
            continue;
        }
        match (operation.input, operation.output) {
            (Read, Some(_)) => reads.push((history.seen(number), number)),
            (Read, None) | (Add(0), _) => anywhere.push(number),
            (Add(_), _) => {}
        }
    }
    reads.sort_unstable();
    let mut reads = reads.into_iter().peekable();
    let mut sum = history.initial;
    let mut order = Vec::with_capacity(additions.len() + reads.len() + anywhere.len());
    let mut additions = additions.iter();
    loop {
        while let Some((_, number)) = reads.next_if(|&(seen, _)| seen <= sum) {
            order.push(number);
        }
        let Some(&addition) = additions.next() else { break };
        sum += history.addend(addition);
        order.push(addition);
    }
    order.extend(reads.map(|(_, number)| number));
    merge(history, &order, anywhere)
}

/// What holds everywhere comes before all that can only come after its invocation.
fn merge(history: &History<'_>, order: &[u32], anywhere: Vec<u32>) -> Vec<u32> {
    if anywhere.is_empty() {
        return order.to_vec();
    }
    let invoke = |number: u32| history.operations[number as usize].invoke;
    let mut anywhere = anywhere.into_iter().peekable();
    let (mut merged, mut latest) = (Vec::with_capacity(order.len()), 0);
    for &number in order {
        latest = latest.max(invoke(number));
        while let Some(free) = anywhere.next_if(|&free| invoke(free) < latest) {
            merged.push(free);
        }
        merged.push(number);
    }
    merged.extend(anywhere);
    merged
}
