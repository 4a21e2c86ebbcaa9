//! `set`: add v, read all. Nothing is ever taken out. The order of what a read lists
//! does not matter, nor does it if something is listed twice.

use std::sync::Arc;

use serde_json::Value;

use super::values::{ValueId, Values};
use super::{Model, Parsed, Step, agrees, nothing, unknown};

/// A set that grows.
#[derive(Debug, Clone, Default)]
pub struct Set {
    values: Values,
}

/// Members as a bit each; the last word is never 0, so that equal sets are equal values.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Members(Arc<[u64]>);

impl Members {
    fn has(&self, value: ValueId) -> bool {
        self.0.get(value as usize / 64).is_some_and(|word| word >> (value % 64) & 1 == 1)
    }

    fn with(&self, values: impl IntoIterator<Item = ValueId>) -> Self {
        let mut words = self.0.to_vec();
        for value in values {
            let at = value as usize / 64;
            if at >= words.len() {
                words.resize(at + 1, 0);
            }
            words[at] |= 1 << (value % 64);
        }
        Self(words.into())
    }

    fn listed(&self) -> impl Iterator<Item = ValueId> + '_ {
        (0..self.0.len() as ValueId * 64).filter(|&value| self.has(value))
    }
}

/// What is asked of a set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SetCall {
    /// Put this in.
    Add(ValueId),
    /// What is in it?
    Read,
}

use SetCall::{Add, Read};

impl Set {
    fn seen(&mut self, value: &Value) -> Result<Members, String> {
        let Some(items) = value.as_array() else {
            return Err(format!("value of `read` is {value}; accepted is a list of all members"));
        };
        Ok(Members::default().with(items.iter().map(|item| self.values.id(item))))
    }
}

impl Model for Set {
    type State = Members;
    type Input = SetCall;
    type Output = Members;

    fn name(&self) -> &'static str {
        "set"
    }

    fn initial(&self) -> Members {
        Members::default()
    }

    fn apply(&self, state: &Members, input: &SetCall, output: Option<&Members>) -> Option<Members> {
        match *input {
            Add(value) if state.has(value) => Some(state.clone()),
            Add(value) => Some(state.with([value])),
            Read => output.is_none_or(|seen| seen == state).then(|| state.clone()),
        }
    }

    fn parse(&mut self, f: &str, input: &Value, output: Option<&Value>) -> Parsed<Self> {
        match f {
            "add" => agrees(f, input, output).map(|()| (Add(self.values.id(input)), None)),
            "read" => {
                nothing(f, input)?;
                Ok((Read, output.map(|seen| self.seen(seen)).transpose()?))
            }
            other => Err(unknown("set", other, "add, read")),
        }
    }

    fn describe(&self, input: &SetCall, output: Option<&Members>) -> String {
        match (*input, output) {
            (Add(value), _) => format!("add of {}", self.values.text(value)),
            (Read, Some(seen)) => format!("read of {}", self.describe_state(seen)),
            (Read, None) => "read".into(),
        }
    }

    fn describe_state(&self, state: &Members) -> String {
        let shown: Vec<&str> = state.listed().take(20).map(|value| self.values.text(value)).collect();
        let count = state.listed().count();
        let more = if count > 20 { format!(" and {} more", count - 20) } else { String::new() };
        format!("{{{}}}{more}", shown.join(", "))
    }

    fn state_in_proof(&self, state: &Members) -> Option<Value> {
        state.listed().map(|value| self.values.value(value)).collect()
    }

    fn observes(&self, input: &SetCall) -> bool {
        matches!(input, Read)
    }

    fn postponable(&self, first: Step<'_, Self>, second: Step<'_, Self>) -> bool {
        match ((*first.0, first.1), (*second.0, second.1)) {
            ((Add(_), _), (Add(_), _)) | ((Read, _), (Read, _)) => true,
            // Having been added, it must be seen.
            ((Add(value), _), (Read, Some(seen))) => !seen.has(value),
            ((Read, Some(seen)), (Add(value), _)) => seen.has(value),
            (_, _) => true,
        }
    }

    fn must_come_first(&self, state: &Members, input: &SetCall, goal: Step<'_, Self>) -> bool {
        match (*input, goal) {
            (Add(value), (Read, Some(seen))) => seen.has(value) && !state.has(value),
            _ => false,
        }
    }

    fn weight(&self, state: &Members) -> usize {
        16 + 8 * state.0.len()
    }
}
