//! `kv`: a register with compare-and-set per key; every value is `[key, value]`.
//!
//! Keys do not touch one another: each is a part of its own.

use serde_json::Value;

use super::cas_register::{CasRegister, CasRegisterCall};
use super::values::{ValueId, Values};
use super::{Model, Parsed, Step};

/// Keys with values.
#[derive(Debug, Clone, Default)]
pub struct KeyValue {
    keys: Values,
    register: CasRegister,
}

/// Something asked of one key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Keyed {
    /// Which key.
    pub key: ValueId,
    /// What is asked of its register.
    pub call: CasRegisterCall,
}

fn split<'a>(f: &str, value: &'a Value) -> Result<(&'a Value, &'a Value), String> {
    match value.as_array().map(Vec::as_slice) {
        Some([key, value]) => Ok((key, value)),
        _ => Err(format!(
            "value of `{f}` is {value}; accepted is [key, value], for `cas` [key, [old, new]], for a `read` [key, null]"
        )),
    }
}

impl Model for KeyValue {
    type State = ValueId;
    type Input = Keyed;
    type Output = ValueId;

    fn name(&self) -> &'static str {
        "kv"
    }

    fn initial(&self) -> ValueId {
        self.register.initial()
    }

    #[inline]
    fn apply(&self, state: &ValueId, input: &Keyed, output: Option<&ValueId>) -> Option<ValueId> {
        self.register.apply(state, &input.call, output)
    }

    fn parse(&mut self, f: &str, input: &Value, output: Option<&Value>) -> Parsed<Self> {
        let (key, asked) = split(f, input)?;
        let key = self.keys.id(key);
        let told = match output {
            // Only a read must say what it found; without its key it says nothing.
            Some(Value::Null) if f != "read" => None,
            Some(told) => {
                let (told_key, told) = split(f, told)?;
                if self.keys.id(told_key) != key {
                    return Err(format!(
                        "`{f}` of key {} is completed with key {told_key}; they must agree",
                        self.keys.text(key)
                    ));
                }
                Some(told)
            }
            None => None,
        };
        let (call, output) = self
            .register
            .parse(f, asked, told)
            .map_err(|why| why.replace("operation of cas-register", "operation of kv"))?;
        Ok((Keyed { key, call }, output))
    }

    fn describe(&self, input: &Keyed, output: Option<&ValueId>) -> String {
        format!("{} at key {}", self.register.describe(&input.call, output), self.keys.text(input.key))
    }

    fn describe_state(&self, state: &ValueId) -> String {
        self.register.describe_state(state)
    }

    fn state_in_proof(&self, state: &ValueId) -> Option<Value> {
        self.register.state_in_proof(state)
    }

    fn set_option(&mut self, key: &str, value: &str) -> Result<(), String> {
        self.register.set_option(key, value)
    }

    fn part(&self, input: &Keyed) -> u64 {
        u64::from(input.key)
    }

    fn describe_part(&self, part: u64) -> Option<String> {
        u32::try_from(part).ok().map(|key| format!("key {}", self.keys.text(key)))
    }

    #[inline]
    fn observes(&self, input: &Keyed) -> bool {
        self.register.observes(&input.call)
    }

    #[inline]
    fn overwrites(&self, input: &Keyed) -> bool {
        self.register.overwrites(&input.call)
    }

    fn tells(&self, input: &Keyed, output: Option<&ValueId>) -> bool {
        self.register.tells(&input.call, output)
    }

    #[inline]
    fn postponable(&self, first: Step<'_, Self>, second: Step<'_, Self>) -> bool {
        self.register.postponable((&first.0.call, first.1), (&second.0.call, second.1))
    }
}
