//! Any other model as a diagnosis sees it: all parts together, since neither sequential
//! consistency nor a session guarantee holds of a whole because it holds of its parts.

use std::collections::BTreeMap;

use super::decide::Subject;
use super::rules::Fact;
use super::search::Machine;
use crate::checker::models::{Model, Operation};

/// A model with the operations of a history.
pub(super) struct Parts<'a, M: Model> {
    model: &'a M,
    operations: &'a [Operation<M::Input, M::Output>],
    /// By operation.
    part: Vec<usize>,
    count: usize,
}

impl<'a, M: Model> Parts<'a, M> {
    pub fn new(model: &'a M, operations: &'a [Operation<M::Input, M::Output>]) -> Self {
        let mut known = BTreeMap::new();
        let mut number = |key: u64| {
            let next = known.len();
            *known.entry(key).or_insert(next)
        };
        let part = operations.iter().map(|operation| number(model.part(&operation.input))).collect();
        Self { model, operations, part, count: known.len() }
    }
}

impl<M: Model> Machine for Parts<'_, M> {
    type State = Vec<M::State>;

    fn initial(&self) -> Self::State {
        vec![self.model.initial(); self.count]
    }

    fn apply(&self, state: &Self::State, operation: usize) -> Option<Self::State> {
        let (asked, part) = (self.operations.get(operation)?, *self.part.get(operation)?);
        let changed = self.model.apply(state.get(part)?, &asked.input, asked.output.as_ref())?;
        let mut after = state.clone();
        after[part] = changed;
        Some(after)
    }

    fn observes(&self, operation: usize) -> bool {
        self.operations.get(operation).is_some_and(|asked| self.model.observes(&asked.input))
    }

    fn weight(&self, state: &Self::State) -> usize {
        state.iter().map(|part| size_of::<M::State>() + self.model.weight(part)).sum()
    }
}

impl<M: Model> Subject for Parts<'_, M> {
    fn facts(&self) -> Vec<Fact> {
        let fact = |(at, asked): (usize, &Operation<M::Input, M::Output>)| Fact {
            operation: at,
            process: asked.process,
            returns: asked.returns,
            writes: !self.model.observes(&asked.input),
            tells: self.model.tells(&asked.input, asked.output.as_ref()),
        };
        self.operations.iter().enumerate().map(fact).collect()
    }

    /// Part by part, through the model alone.
    fn replays(&self, order: &[usize]) -> bool {
        let mut states: BTreeMap<u64, M::State> = BTreeMap::new();
        order.iter().all(|&operation| {
            let Some(asked) = self.operations.get(operation) else { return false };
            let part = self.model.part(&asked.input);
            let state = states.remove(&part).unwrap_or_else(|| self.model.initial());
            let after = self.model.apply(&state, &asked.input, asked.output.as_ref());
            after.map(|after| states.insert(part, after)).is_some()
        })
    }

    fn words(&self, operation: usize) -> String {
        let Some(asked) = self.operations.get(operation) else { return "?".into() };
        format!("#{} {}", asked.invoke, self.model.describe(&asked.input, asked.output.as_ref()))
    }
}
