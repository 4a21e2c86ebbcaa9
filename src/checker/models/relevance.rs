//! Which open operations can matter before one returns.
//!
//! In any order, an operation that stands before the returning one without a later
//! one between them that depends on it can be moved behind it (it stays open), or,
//! where the later one overwrites everything, counts as explained on the spot
//! (`Engine::fire` does that) or, if it is indeterminate, need not have happened.
//! So only those that a chain of dependences joins to the returning one are tried.

use super::problem::Operations;
use super::{Model, Step};

/// An operation as the model's hints take it.
pub(super) fn step<'a, M: Model>(operations: &'a Operations<M>, number: u32) -> Step<'a, M> {
    let operation = &operations[number as usize];
    (&operation.input, operation.output.as_ref())
}

/// Those of `open` (without `goal`) that matter before `goal` returns.
pub(super) fn relevant<M: Model>(
    model: &M,
    operations: &Operations<M>,
    goal: u32,
    open: impl Iterator<Item = u32>,
) -> Vec<u32> {
    let mut others: Vec<u32> = open.filter(|&number| number != goal).collect();
    let mut chain = vec![goal];
    let mut at = 0;
    while let Some(&later) = chain.get(at) {
        at += 1;
        let found = others.len();
        let mut kept = 0;
        for look in 0..found {
            let earlier = others[look];
            if matters(model, operations, earlier, later) {
                chain.push(earlier);
            } else {
                others[kept] = earlier;
                kept += 1;
            }
        }
        others.truncate(kept);
    }
    chain.swap_remove(0);
    chain
}

/// Whether it can make a difference that one comes directly before the other.
fn matters<M: Model>(model: &M, operations: &Operations<M>, earlier: u32, later: u32) -> bool {
    let (first, second) = (step::<M>(operations, earlier), step::<M>(operations, later));
    let lost = operations[earlier as usize].returns.is_none() || model.overwrites(first.0);
    let hidden = lost && model.overwrites(second.0);
    !hidden && !model.postponable(first, second)
}
