//! Replays an order through the model alone: an independent judge of acceptances.
//!
//! Shares the operations and [`Model::apply`] with the search, and nothing else: no
//! slots, no hints, no attempts. Does not look for orders.

use rustc_hash::FxHashMap;

use super::Model;
use super::problem::Operations;

/// Replays one order per part.
///
/// # Errors
/// The first thing that is wrong, in words.
pub fn verify<M: Model>(model: &M, operations: &Operations<M>, orders: &[Vec<u32>]) -> Result<(), String> {
    complete(model, operations, orders)?;
    let mut seen: FxHashMap<u64, ()> = FxHashMap::default();
    for order in orders {
        let Some(&first) = order.first() else { continue };
        let part = model.part(&operations[first as usize].input);
        if seen.insert(part, ()).is_some() {
            return Err("a part has two orders".into());
        }
        if order.iter().any(|&number| model.part(&operations[number as usize].input) != part) {
            return Err("an order mixes parts".into());
        }
        real_time::<M>(operations, order)?;
        replay(model, operations, order)?;
    }
    Ok(())
}

/// Everything that returned once, nothing twice.
fn complete<M: Model>(_: &M, operations: &Operations<M>, orders: &[Vec<u32>]) -> Result<(), String> {
    let mut listed = vec![false; operations.len()];
    for &number in orders.iter().flatten() {
        match listed.get_mut(number as usize) {
            None => return Err(format!("operation {number} does not exist")),
            Some(true) => return Err(format!("operation {number} is listed twice")),
            Some(listed) => *listed = true,
        }
    }
    let missing = |(at, operation): (usize, &_)| -> bool { !listed[at] && returned::<M>(operation) };
    match operations.iter().enumerate().position(missing) {
        Some(number) => Err(format!("operation {number} is missing")),
        None => Ok(()),
    }
}

fn returned<M: Model>(operation: &super::Operation<M::Input, M::Output>) -> bool {
    operation.returns.is_some()
}

/// No operation comes after one that was invoked only after it had returned.
fn real_time<M: Model>(operations: &Operations<M>, order: &[u32]) -> Result<(), String> {
    let mut latest = 0;
    for &number in order {
        let operation = &operations[number as usize];
        latest = latest.max(operation.invoke);
        if operation.returns.is_some_and(|returns| returns < latest) {
            return Err(format!("operation {number} had returned before one that precedes it began"));
        }
    }
    Ok(())
}

/// Whether an order of one part's operations, all that it lists, holds.
pub(super) fn holds<M: Model>(model: &M, operations: &Operations<M>, order: &[u32]) -> bool {
    let mut listed = FxHashMap::default();
    order.iter().all(|&number| listed.insert(number, ()).is_none())
        && real_time::<M>(operations, order).is_ok()
        && replay(model, operations, order).is_ok()
}

/// The state that an order leads to, if it can be replayed.
pub(super) fn leads_to<M: Model>(model: &M, operations: &Operations<M>, order: &[u32]) -> Option<M::State> {
    replay(model, operations, order).ok()
}

fn replay<M: Model>(model: &M, operations: &Operations<M>, order: &[u32]) -> Result<M::State, String> {
    let mut state = model.initial();
    for &number in order {
        let operation = &operations[number as usize];
        state = model.apply(&state, &operation.input, operation.output.as_ref()).ok_or_else(|| {
            let words = model.describe(&operation.input, operation.output.as_ref());
            format!(
                "operation {number}, {words}, cannot come where the state is {}",
                model.describe_state(&state)
            )
        })?;
    }
    Ok(state)
}
