//! Decides all parts within one budget, and lets no acceptance out that was not
//! replayed.

use std::time::Instant;

use super::engine::{Engine, Found};
use super::problem::{Event, Operations, Part, parts};
use super::stage::{STAGES, Stage};
use super::{Direct, Model, Outcome, Violation, witness};
use crate::checker::linearizability::budget::Meter;
use crate::checker::linearizability::{Budget, Stop};

/// States that a violation lists.
const STATES: usize = 6;
/// Attempts kept when only an order of what came before a violation is looked for.
const PREFIX_BEAM: usize = 64;

/// Whether one order explains all operations. They stand in the order of their
/// invocations; their events must all be at different places.
pub fn check<M: Model>(model: &M, operations: &Operations<M>, budget: &Budget) -> Outcome {
    check_in_stages(model, operations, budget, &STAGES)
}

/// The same with stages of one's own, as tests need it: small histories would never
/// come past the first of [`STAGES`]. Any stages are sound; if the last is not
/// `Exact(usize::MAX)`, more is `undecided`.
pub fn check_in_stages<M: Model>(
    model: &M,
    operations: &Operations<M>,
    budget: &Budget,
    stages: &[Stage],
) -> Outcome {
    let started = Instant::now();
    let deadline =
        started.checked_add(budget.time).unwrap_or(started + std::time::Duration::from_secs(1 << 32));
    let (parts, slots) = parts(model, operations);
    let required = parts.iter().map(|part| part.required).sum();
    let (mut orders, mut before, mut undecided) = (Vec::new(), 0, None);
    for part in &parts {
        let mut meter = Meter::new(deadline, budget.memory);
        let search = Search { model, operations, slots: &slots, part };
        match search.decide(stages, &mut meter) {
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
            Found::Open => undecided = undecided.or(Some(Stop::Memory)),
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

/// One part to be searched.
struct Search<'a, M: Model> {
    model: &'a M,
    operations: &'a Operations<M>,
    slots: &'a [u32],
    part: &'a Part,
}

impl<M: Model> Search<'_, M> {
    /// The answer of the first stage that has one.
    fn decide(&self, stages: &[Stage], meter: &mut Meter) -> Found<M::State> {
        let (mut most, mut last) = (0, Found::Open);
        for &stage in stages {
            // Without indeterminate operations nothing can be relaxed.
            if stage.relaxed() && self.part.slots == self.part.definite {
                continue;
            }
            last = match self.run(stage, self.part, meter) {
                Found::Open => Found::Open,
                Found::Stopped { stop, explained } => {
                    most = most.max(explained);
                    return Found::Stopped { stop, explained: most };
                }
                Found::Order(order) if stage.relaxed() && !self.holds(&order) => Found::Open,
                Found::Dead { operation, concurrent, states, prefix, explained } if stage.relaxed() => {
                    let prefix = self.proven(operation, prefix, meter);
                    Found::Dead { operation, concurrent, states, prefix, explained }
                }
                found => found,
            };
            if !matches!(last, Found::Open) {
                break;
            }
        }
        last
    }

    /// By the model's own way.
    fn directly(&self, meter: &mut Meter) -> Result<Found<M::State>, Stop> {
        Ok(match self.model.directly(self.operations, &self.part.members(), meter)? {
            None => Found::Open,
            Some(Direct::Order(order)) => Found::Order(order),
            Some(Direct::Fails { operation, prefix }) => {
                let concurrent = self.part.open_when(self.operations, operation);
                let returns = self.operations[operation as usize].returns;
                let before = |&&event: &&Event| match event {
                    Event::Return(number) => self.operations[number as usize].returns < returns,
                    Event::Invoke(_) => false,
                };
                let explained = self.part.events.iter().filter(before).count();
                let states = Vec::from_iter(witness::leads_to(self.model, self.operations, &prefix));
                Found::Dead { operation, concurrent, states, prefix, explained }
            }
        })
    }

    fn holds(&self, order: &[u32]) -> bool {
        witness::holds(self.model, self.operations, order)
    }

    /// An order of all that returned before an operation that a relaxed search could not
    /// explain: what that search came with, if it holds, or what a beam finds, or none.
    fn proven(&self, operation: u32, prefix: Vec<u32>, meter: &mut Meter) -> Vec<u32> {
        if self.holds(&prefix) {
            return prefix;
        }
        match self.run(Stage::Beam(PREFIX_BEAM), &self.part.before(operation), meter) {
            Found::Order(order) if self.holds(&order) => order,
            _ => Vec::new(),
        }
    }

    /// As narrow as the part allows; gives up if more is open than any width holds.
    fn run(&self, stage: Stage, part: &Part, meter: &mut Meter) -> Found<M::State> {
        if stage == Stage::Direct {
            return self.directly(meter).unwrap_or_else(|stop| Found::Stopped { stop, explained: 0 });
        }
        let slots = if stage.relaxed() { part.definite } else { part.slots };
        match slots {
            0..=64 => self.with::<1>(stage, part, meter),
            65..=256 => self.with::<4>(stage, part, meter),
            257..=2048 => self.with::<32>(stage, part, meter),
            2049..=16384 => self.with::<256>(stage, part, meter),
            _ => Found::Open,
        }
    }

    fn with<const N: usize>(&self, stage: Stage, part: &Part, meter: &mut Meter) -> Found<M::State> {
        Engine::<M, N>::new(stage, self.model, self.operations, self.slots, part).run(meter)
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
