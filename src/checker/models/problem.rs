//! From operations to the events of parts, with a slot for every open operation.
//!
//! Leaves out what cannot matter: what certainly did not happen, and indeterminate
//! operations that only observe. Decides nothing.

use rustc_hash::FxHashMap;

use super::Model;
use crate::history::read::Malformed;
use crate::history::untyped::{UntypedHistory, UntypedOperation};
use crate::op::Outcome;

/// One operation of a model that happened, or may have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Operation<I, O> {
    /// Where its invocation stands in the order of events.
    pub invoke: u64,
    /// Where its return stands; `None` if nobody knows whether it took effect.
    pub returns: Option<u64>,
    /// Who asked; for messages only.
    pub process: u64,
    /// What was asked.
    pub input: I,
    /// What was told, if it returned and told something.
    pub output: Option<O>,
}

/// The operations of a model.
pub(super) type Operations<M> = [Operation<<M as Model>::Input, <M as Model>::Output>];

/// Makes sense of a history: its operations without those that did not happen, in the
/// order of invocations.
///
/// # Errors
/// The first operation that the model does not know, with its line.
pub fn typed<M: Model>(model: &mut M, history: &UntypedHistory) -> Typed<M> {
    let parsed = history.operations.iter().map(|operation| parse(model, operation));
    parsed.filter_map(Result::transpose).collect()
}

/// What [`typed`] gives.
pub type Typed<M> = Result<Vec<Operation<<M as Model>::Input, <M as Model>::Output>>, Malformed>;

type Maybe<M> = Option<Operation<<M as Model>::Input, <M as Model>::Output>>;

fn parse<M: Model>(model: &mut M, operation: &UntypedOperation) -> Result<Maybe<M>, Malformed> {
    let completion = operation.completion.as_ref().filter(|_| operation.outcome() == Outcome::Ok);
    // Alone first, so that a message about the invocation names its line.
    let at = |line| move |reason| Malformed { line, reason };
    let asked = model.parse(&operation.f, &operation.input, None).map_err(at(operation.line))?;
    let (input, output) = match completion {
        None => asked,
        Some(completion) => model
            .parse(&operation.f, &operation.input, Some(&completion.output))
            .map_err(at(completion.line))?,
    };
    let happened = operation.outcome() != Outcome::Fail;
    Ok(happened.then(|| Operation {
        invoke: operation.invoke,
        returns: completion.map(|completion| completion.index),
        process: operation.process,
        input,
        output,
    }))
}

/// What happens to an operation, named by its position.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Event {
    Invoke(u32),
    Return(u32),
}

/// Operations that no other part touches.
#[derive(Debug)]
pub(super) struct Part {
    pub key: u64,
    pub events: Vec<Event>,
    /// How many operations must be explained.
    pub required: usize,
    /// Slots of operations that return; those of the others come after them.
    pub definite: usize,
    /// All slots.
    pub slots: usize,
}

impl Part {
    /// The same up to where an operation returns, without it returning.
    pub fn before(&self, operation: u32) -> Self {
        let end = self.events.iter().position(|&event| event == Event::Return(operation));
        let events = self.events[..end.unwrap_or(self.events.len())].to_vec();
        Self { events, ..*self }
    }

    /// Its operations in the order of their invocations.
    pub fn members(&self) -> Vec<u32> {
        let invoked = self.events.iter().filter_map(|&event| match event {
            Event::Invoke(number) => Some(number),
            Event::Return(_) => None,
        });
        invoked.collect()
    }

    /// The other operations that are open when one returns, indeterminate ones too.
    pub fn open_when<I, O>(&self, operations: &[Operation<I, O>], operation: u32) -> Vec<u32> {
        let Some(now) = operations[operation as usize].returns else { return Vec::new() };
        let open = |&number: &u32| {
            let other = &operations[number as usize];
            number != operation && other.invoke < now && other.returns.is_none_or(|returns| returns > now)
        };
        let mut open: Vec<u32> = self.members().into_iter().filter(open).collect();
        open.sort_unstable();
        open
    }
}

/// The parts, in the order of their first operations, and the slot of every operation.
pub(super) fn parts<M: Model>(model: &M, operations: &Operations<M>) -> (Vec<Part>, Vec<u32>) {
    let mut members: Vec<(u64, Vec<u32>)> = Vec::new();
    let mut known: FxHashMap<u64, usize> = FxHashMap::default();
    for (number, operation) in (0u32..).zip(operations) {
        if operation.returns.is_none() && model.observes(&operation.input) {
            continue;
        }
        let key = model.part(&operation.input);
        let at = *known.entry(key).or_insert_with(|| {
            members.push((key, Vec::new()));
            members.len() - 1
        });
        members[at].1.push(number);
    }
    let mut slots = vec![0; operations.len()];
    let parts = members.into_iter().map(|(key, members)| part(operations, key, &members, &mut slots));
    (parts.collect(), slots)
}

fn part<I, O>(operations: &[Operation<I, O>], key: u64, members: &[u32], slots: &mut [u32]) -> Part {
    let events = events(operations, members);
    let definite = definite_slots(operations, &events, slots);
    let perhaps = members.iter().filter(|&&number| operations[number as usize].returns.is_none());
    let mut all = definite;
    for &number in perhaps {
        slots[number as usize] = all as u32;
        all += 1;
    }
    let required = members.len() - (all - definite);
    Part { key, events, required, definite, slots: all }
}

fn events<I, O>(operations: &[Operation<I, O>], members: &[u32]) -> Vec<Event> {
    let mut events: Vec<(u64, Event)> = Vec::with_capacity(2 * members.len());
    for &number in members {
        let operation = &operations[number as usize];
        events.push((operation.invoke, Event::Invoke(number)));
        events.extend(operation.returns.map(|returns| (returns, Event::Return(number))));
    }
    events.sort_by_key(|&(index, _)| index);
    events.into_iter().map(|(_, event)| event).collect()
}

/// Gives slots that are used again after a return; says how many there are.
fn definite_slots<I, O>(operations: &[Operation<I, O>], events: &[Event], slots: &mut [u32]) -> usize {
    let (mut unused, mut count) = (Vec::new(), 0);
    for event in events {
        match *event {
            Event::Invoke(number) if operations[number as usize].returns.is_some() => {
                slots[number as usize] = unused.pop().unwrap_or_else(|| {
                    count += 1;
                    count - 1
                });
            }
            Event::Invoke(_) => {}
            Event::Return(number) => unused.push(slots[number as usize]),
        }
    }
    count as usize
}
