//! Decides all parts within one budget, and lets no acceptance out that was not
//! replayed.

use std::time::Instant;

use super::engine::{Engine, Found};
use super::problem::{Operations, Part, parts};
use super::{Model, Outcome, Violation, witness};
use crate::checker::linearizability::budget::Meter;
use crate::checker::linearizability::{Budget, Stop};

/// States that a violation lists.
const STATES: usize = 6;

/// Whether one order explains all operations. They stand in the order of their
/// invocations; their events must all be at different places.
pub fn check<M: Model>(model: &M, operations: &Operations<M>, budget: &Budget) -> Outcome {
    let started = Instant::now();
    let deadline =
        started.checked_add(budget.time).unwrap_or(started + std::time::Duration::from_secs(1 << 32));
    let (parts, slots) = parts(model, operations);
    let required = parts.iter().map(|part| part.required).sum();
    let (mut orders, mut before, mut undecided) = (Vec::new(), 0, None);
    for part in &parts {
        let mut meter = Meter::new(deadline, budget.memory);
        let found = match search(model, operations, &slots, part, &mut meter) {
            Some(found) => found,
            None => Found::Stopped { stop: Stop::Memory, explained: 0 },
        };
        match found {
            Found::Dead { operation, concurrent, states, prefix, explained } => {
                return Outcome::Violation(Violation {
                    operation,
                    part: part.key,
                    concurrent,
                    states: in_words(model, &states),
                    prefix,
                    explained,
                    required: part.required,
                });
            }
            Found::Stopped { stop, explained } => {
                undecided = undecided.or(Some(stop));
                before += explained;
            }
            Found::Order(order) => {
                before += part.required;
                orders.push(order);
            }
        }
    }
    if let Some(stop) = undecided {
        return Outcome::Undecided { reason: ran_out(stop, budget), explained: before, required };
    }
    match witness::verify(model, operations, &orders) {
        Ok(()) => Outcome::Linearizable { orders },
        Err(why) => {
            let reason = format!("a defect of rsm-check: the order that was found does not hold: {why}");
            Outcome::Undecided { reason, explained: 0, required }
        }
    }
}

/// As narrow as the part allows; `None` if more is open than any width holds.
fn search<M: Model>(
    model: &M,
    operations: &Operations<M>,
    slots: &[u32],
    part: &Part,
    meter: &mut Meter,
) -> Option<Found<M::State>> {
    match part.slots {
        0..=64 => Some(Engine::<M, 1>::new(model, operations, slots, part).run(meter)),
        65..=256 => Some(Engine::<M, 4>::new(model, operations, slots, part).run(meter)),
        257..=2048 => Some(Engine::<M, 32>::new(model, operations, slots, part).run(meter)),
        2049..=16384 => Some(Engine::<M, 256>::new(model, operations, slots, part).run(meter)),
        _ => None,
    }
}

fn ran_out(stop: Stop, budget: &Budget) -> String {
    match stop {
        Stop::Time => format!("the time of {:.1?} ran out", budget.time),
        Stop::Memory => format!(
            "the memory of {} MiB, or the room for 16384 open operations, ran out",
            budget.memory >> 20
        ),
    }
}

/// Different states in words, the first of them.
fn in_words<M: Model>(model: &M, states: &[M::State]) -> Vec<String> {
    let mut different: Vec<&M::State> = Vec::new();
    for state in states {
        if different.len() <= STATES && !different.contains(&state) {
            different.push(state);
        }
    }
    let mut words: Vec<String> =
        different.iter().take(STATES).map(|state| model.describe_state(state)).collect();
    words.sort_unstable();
    if different.len() > STATES {
        words.push("others".into());
    }
    words
}
