//! `counter`: add n (a signed 64-bit integer), read the sum; it begins at 0.

mod ladder;

use serde_json::Value;

use super::{Direct, Model, Operation, Parsed, Step, agrees, nothing, unknown};
use crate::checker::linearizability::Stop;
use crate::checker::linearizability::budget::Meter;

/// A counter.
#[derive(Debug, Clone, Copy, Default)]
pub struct Counter {
    initial: i64,
}

/// What is asked of a counter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CounterCall {
    /// Add this.
    Add(i64),
    /// What is the sum?
    Read,
}

use CounterCall::{Add, Read};

fn integer(f: &str, value: &Value) -> Result<i64, String> {
    value.as_i64().ok_or_else(|| format!("value of `{f}` is {value}; accepted is a signed 64-bit integer"))
}

impl Model for Counter {
    /// Wide enough for any sum of a history that fits into memory.
    type State = i128;
    type Input = CounterCall;
    type Output = i64;

    fn name(&self) -> &'static str {
        "counter"
    }

    fn initial(&self) -> i128 {
        i128::from(self.initial)
    }

    fn apply(&self, &sum: &i128, input: &CounterCall, output: Option<&i64>) -> Option<i128> {
        match *input {
            Add(more) => Some(sum + i128::from(more)),
            Read => output.is_none_or(|&seen| i128::from(seen) == sum).then_some(sum),
        }
    }

    fn parse(&mut self, f: &str, input: &Value, output: Option<&Value>) -> Parsed<Self> {
        match f {
            "add" => agrees(f, input, output).and_then(|()| Ok((Add(integer(f, input)?), None))),
            "read" => {
                nothing(f, input)?;
                Ok((Read, output.map(|seen| integer(f, seen)).transpose()?))
            }
            other => Err(unknown("counter", other, "add, read")),
        }
    }

    fn describe(&self, input: &CounterCall, output: Option<&i64>) -> String {
        match (input, output) {
            (Add(more), _) => format!("add of {more}"),
            (Read, Some(seen)) => format!("read of {seen}"),
            (Read, None) => "read".into(),
        }
    }

    fn describe_state(&self, sum: &i128) -> String {
        sum.to_string()
    }

    /// Only a sum of 64 bits.
    fn state_in_proof(&self, &sum: &i128) -> Option<Value> {
        i64::try_from(sum).ok().map(Value::from)
    }

    fn set_option(&mut self, key: &str, value: &str) -> Result<(), String> {
        if key != "initial" {
            return Err(format!("`{key}` is no option of counter; accepted: initial"));
        }
        self.initial = value.parse().map_err(|_| {
            format!("`{value}` is no initial value of counter; accepted: a signed 64-bit integer")
        })?;
        Ok(())
    }

    fn observes(&self, input: &CounterCall) -> bool {
        matches!(input, Read | Add(0))
    }

    fn postponable(&self, first: Step<'_, Self>, second: Step<'_, Self>) -> bool {
        match (first.0, second.0) {
            (Add(more), Read) | (Read, Add(more)) => *more == 0,
            _ => true,
        }
    }

    fn directly(
        &self,
        operations: &[Operation<CounterCall, i64>],
        part: &[u32],
        meter: &mut Meter,
    ) -> Result<Option<Direct>, Stop> {
        ladder::decide(operations, part, self.initial, meter)
    }
}
