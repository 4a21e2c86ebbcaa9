//! Replays a witness: everything required once, nothing that did not happen, real time
//! respected, every result as the state machine gives it.
//!
//! Parts of a history do not touch one another, so an order per part is an order of the
//! whole (locality, Herlihy and Wing 1990). Does not look for orders.

use rustc_hash::FxHashSet;

use super::{Span, Subject};
use crate::op::Outcome;

/// Replays one order per part.
///
/// # Errors
/// The first thing that is wrong, in words.
pub fn replay<S: Subject>(subject: &S, orders: &[impl AsRef<[u32]>]) -> Result<(), String> {
    complete(subject, orders)?;
    let mut parts = FxHashSet::default();
    for order in orders.iter().map(AsRef::as_ref) {
        let Some(&first) = order.first() else { continue };
        let part = subject.part(first as usize);
        if !parts.insert(part) {
            return Err(format!("part {part} has two orders"));
        }
        if let Some(other) = order.iter().find(|&&number| subject.part(number as usize) != part) {
            return Err(format!("operation {other} is of another part than operation {first} before it"));
        }
        real_time(subject, order)?;
        results(subject, order)?;
    }
    Ok(())
}

fn complete<S: Subject>(subject: &S, orders: &[impl AsRef<[u32]>]) -> Result<(), String> {
    let mut listed = vec![false; subject.count()];
    for &number in orders.iter().flat_map(|order| order.as_ref()) {
        match listed.get_mut(number as usize) {
            None => return Err(format!("operation {number} does not exist")),
            Some(true) => return Err(format!("operation {number} is listed twice")),
            Some(listed) => *listed = true,
        }
    }
    for (number, &listed) in listed.iter().enumerate() {
        match subject.span(number).outcome {
            Outcome::Ok if !listed => return Err(format!("operation {number} is missing")),
            Outcome::Fail if listed => return Err(format!("operation {number} did not happen")),
            _ => {}
        }
    }
    Ok(())
}

/// No operation comes after one that was invoked only after it had returned.
fn real_time<S: Subject>(subject: &S, order: &[u32]) -> Result<(), String> {
    let mut latest = (0, 0);
    for &number in order {
        let Span { invoke, returns, .. } = subject.span(number as usize);
        latest = latest.max((invoke, number));
        if returns.is_some_and(|returns| returns < latest.0) {
            let began = latest.1;
            return Err(format!("operation {number} had returned before operation {began} before it began"));
        }
    }
    Ok(())
}

fn results<S: Subject>(subject: &S, order: &[u32]) -> Result<(), String> {
    let mut state = subject.initial();
    for &number in order {
        subject
            .step(&mut state, number as usize, true)
            .map_err(|why| format!("operation {number}: {why}"))?;
    }
    Ok(())
}
