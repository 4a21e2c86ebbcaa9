//! A part of a history of any [`Model`] as the search for a core sees it.
//!
//! Must not know which model it is, nor what is demanded of an operation.

use super::window::{Item, Machine};
use crate::checker::models::{Model, Operation};

/// The operations of one part, by number.
pub(super) struct OfModel<'a, M: Model> {
    pub model: &'a M,
    pub operations: &'a [Operation<M::Input, M::Output>],
    /// The number of each of them in the whole history, ascending.
    pub numbers: &'a [u32],
}

impl<M: Model> OfModel<'_, M> {
    /// Everything of one part that happened or may have, by invocation.
    pub fn items(&self, part: u64) -> Vec<Item> {
        let numbered = self.numbers.iter().zip(self.operations);
        let of_part = numbered.filter(|(_, operation)| self.model.part(&operation.input) == part);
        let items = of_part.map(|(&number, operation)| Item {
            number,
            invoke: operation.invoke,
            returns: operation.returns,
            observes: self.model.observes(&operation.input),
            told: operation.returns.is_some() && operation.output.is_some(),
        });
        items.filter(|item| item.strongest().is_some()).collect()
    }

    fn operation(&self, number: u32) -> Option<&Operation<M::Input, M::Output>> {
        self.operations.get(self.numbers.binary_search(&number).ok()?)
    }
}

impl<M: Model> Machine for OfModel<'_, M> {
    type State = M::State;

    fn apply(&self, state: &M::State, number: u32, told: bool) -> Option<M::State> {
        let operation = self.operation(number)?;
        self.model.apply(state, &operation.input, operation.output.as_ref().filter(|_| told))
    }

    fn name(&self, number: u32) -> String {
        self.operation(number).map_or_else(String::new, |operation| {
            let words = self.model.describe(&operation.input, operation.output.as_ref());
            format!("#{} ({words})", operation.invoke)
        })
    }

    fn touched(&self, state: &M::State, _number: u32) -> String {
        self.model.describe_state(state)
    }

    fn standing(&self, state: &M::State, _numbers: &[u32]) -> String {
        self.model.describe_state(state)
    }

    fn why_not(&self, state: &M::State, _number: u32) -> String {
        format!("it cannot be so when the state is {}", self.model.describe_state(state))
    }
}
