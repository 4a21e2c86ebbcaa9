//! `register`: one value; read, write v. A [`CasRegister`] that knows no cas.

use serde_json::Value;

use super::cas_register::{CasRegister, CasRegisterCall};
use super::values::ValueId;
use super::{Model, Parsed, Step, unknown};

/// A register that is read and written.
#[derive(Debug, Clone, Default)]
pub struct Register(CasRegister);

impl Model for Register {
    type State = ValueId;
    type Input = CasRegisterCall;
    type Output = ValueId;

    fn name(&self) -> &'static str {
        "register"
    }

    fn initial(&self) -> ValueId {
        self.0.initial()
    }

    #[inline]
    fn apply(&self, state: &ValueId, input: &CasRegisterCall, output: Option<&ValueId>) -> Option<ValueId> {
        self.0.apply(state, input, output)
    }

    fn parse(&mut self, f: &str, input: &Value, output: Option<&Value>) -> Parsed<Self> {
        match f {
            "read" | "write" => self.0.parse(f, input, output),
            other => Err(unknown("register", other, "read, write")),
        }
    }

    fn describe(&self, input: &CasRegisterCall, output: Option<&ValueId>) -> String {
        self.0.describe(input, output)
    }

    fn describe_state(&self, state: &ValueId) -> String {
        self.0.describe_state(state)
    }

    fn state_in_proof(&self, state: &ValueId) -> Option<Value> {
        self.0.state_in_proof(state)
    }

    fn set_option(&mut self, key: &str, value: &str) -> Result<(), String> {
        self.0.set_option(key, value)
    }

    #[inline]
    fn observes(&self, input: &CasRegisterCall) -> bool {
        self.0.observes(input)
    }

    #[inline]
    fn overwrites(&self, input: &CasRegisterCall) -> bool {
        self.0.overwrites(input)
    }

    #[inline]
    fn postponable(&self, first: Step<'_, Self>, second: Step<'_, Self>) -> bool {
        self.0.postponable(first, second)
    }
}
