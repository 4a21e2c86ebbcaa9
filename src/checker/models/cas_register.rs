//! `cas-register`: one value; read, write v, cas [old, new]. And `register` rests on it.
//!
//! Knossos' notation. A cas that found another value is `fail`: it had no effect, and
//! nothing is concluded from what it did not find. A read of null read null.

use serde_json::Value;

use super::values::{ValueId, Values};
use super::{Model, Parsed, Step, agrees, nothing, unknown};

/// A register with compare-and-set.
#[derive(Debug, Clone)]
pub struct CasRegister {
    values: Values,
    initial: ValueId,
}

/// What is asked of a register.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CasRegisterCall {
    /// What does it hold?
    Read,
    /// It shall hold this.
    Write(ValueId),
    /// If it holds the first, it shall hold the second.
    Cas(ValueId, ValueId),
}

use CasRegisterCall::{Cas, Read, Write};

impl Default for CasRegister {
    fn default() -> Self {
        let mut values = Values::default();
        let initial = values.id(&Value::Null);
        Self { values, initial }
    }
}

impl CasRegister {
    fn pair(&mut self, value: &Value) -> Result<CasRegisterCall, String> {
        match value.as_array().map(Vec::as_slice) {
            Some([old, new]) => Ok(Cas(self.values.id(old), self.values.id(new))),
            _ => Err(format!("value of `cas` is {value}; accepted is [old, new]")),
        }
    }
}

impl Model for CasRegister {
    type State = ValueId;
    type Input = CasRegisterCall;
    type Output = ValueId;

    fn name(&self) -> &'static str {
        "cas-register"
    }

    fn initial(&self) -> ValueId {
        self.initial
    }

    #[inline]
    fn apply(&self, &state: &ValueId, input: &CasRegisterCall, output: Option<&ValueId>) -> Option<ValueId> {
        match *input {
            Read => output.is_none_or(|&seen| seen == state).then_some(state),
            Write(value) => Some(value),
            Cas(old, new) => (state == old).then_some(new),
        }
    }

    fn parse(&mut self, f: &str, input: &Value, output: Option<&Value>) -> Parsed<Self> {
        match f {
            "read" => {
                nothing(f, input)?;
                Ok((Read, output.map(|seen| self.values.id(seen))))
            }
            "write" => agrees(f, input, output).map(|()| (Write(self.values.id(input)), None)),
            "cas" => {
                agrees(f, input, output)?;
                Ok((self.pair(input)?, None))
            }
            other => Err(unknown("cas-register", other, "read, write, cas")),
        }
    }

    fn describe(&self, input: &CasRegisterCall, output: Option<&ValueId>) -> String {
        match (*input, output) {
            (Read, Some(&seen)) => format!("read of {}", self.values.text(seen)),
            (Read, None) => "read".into(),
            (Write(value), _) => format!("write of {}", self.values.text(value)),
            (Cas(old, new), _) => format!("cas from {} to {}", self.values.text(old), self.values.text(new)),
        }
    }

    fn describe_state(&self, &state: &ValueId) -> String {
        self.values.text(state).to_owned()
    }

    fn state_in_proof(&self, &state: &ValueId) -> Option<Value> {
        self.values.value(state)
    }

    fn set_option(&mut self, key: &str, value: &str) -> Result<(), String> {
        if key != "initial" {
            return Err(format!("`{key}` is no option of a register; accepted: initial"));
        }
        let initial: Value = serde_json::from_str(value).map_err(|_| {
            format!("`{value}` is no initial value of a register; accepted: JSON, such as null or 0")
        })?;
        self.initial = self.values.id(&initial);
        Ok(())
    }

    #[inline]
    fn observes(&self, input: &CasRegisterCall) -> bool {
        matches!(input, Read)
    }

    #[inline]
    fn overwrites(&self, input: &CasRegisterCall) -> bool {
        matches!(input, Write(_))
    }

    fn tells(&self, input: &CasRegisterCall, output: Option<&ValueId>) -> bool {
        output.is_some() || matches!(input, Cas(..))
    }

    #[inline]
    fn postponable(&self, first: Step<'_, Self>, second: Step<'_, Self>) -> bool {
        // What the register holds between the two, and before them, decides.
        let needs = |(input, output): Step<'_, Self>| match (*input, output) {
            (Read, Some(&seen)) => Some(seen),
            (Cas(old, _), _) => Some(old),
            _ => None,
        };
        let leaves = |input| match input {
            Write(value) | Cas(_, value) => Some(value),
            Read => None,
        };
        match (leaves(*first.0), leaves(*second.0)) {
            (None, None) => true,
            // The second needs what the first does not leave: never right.
            (Some(left), _) if needs(second).is_some_and(|needed| needed != left) => true,
            (Some(_), _) => false,
            // A read and then a change: right only in one state, which must stay it.
            (None, Some(left)) => match (needs(first), needs(second)) {
                (Some(seen), Some(old)) if seen != old => true,
                (Some(seen), _) => seen == left,
                (None, _) => true,
            },
        }
    }
}
