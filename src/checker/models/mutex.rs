//! `mutex`: acquire, release. Who holds it is not known, only whether somebody does,
//! as in Knossos; releasing what is free is wrong.

use serde_json::Value;

use super::{Model, Parsed, Step, nothing, unknown};

/// A lock.
#[derive(Debug, Clone, Copy, Default)]
pub struct Mutex;

/// What is asked of a lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MutexCall {
    /// Take it.
    Acquire,
    /// Give it back.
    Release,
}

impl Model for Mutex {
    /// Whether it is held.
    type State = bool;
    type Input = MutexCall;
    type Output = ();

    fn name(&self) -> &'static str {
        "mutex"
    }

    fn initial(&self) -> bool {
        false
    }

    fn apply(&self, &held: &bool, input: &MutexCall, _: Option<&()>) -> Option<bool> {
        match (input, held) {
            (MutexCall::Acquire, false) => Some(true),
            (MutexCall::Release, true) => Some(false),
            _ => None,
        }
    }

    fn parse(&mut self, f: &str, input: &Value, output: Option<&Value>) -> Parsed<Self> {
        let call = match f {
            "acquire" => MutexCall::Acquire,
            "release" => MutexCall::Release,
            other => return Err(unknown("mutex", other, "acquire, release")),
        };
        nothing(f, input)?;
        output.map_or(Ok(()), |told| nothing(f, told))?;
        Ok((call, None))
    }

    fn describe(&self, input: &MutexCall, _: Option<&()>) -> String {
        match input {
            MutexCall::Acquire => "acquire".into(),
            MutexCall::Release => "release".into(),
        }
    }

    fn describe_state(&self, &held: &bool) -> String {
        if held { "held".into() } else { "free".into() }
    }

    fn tells(&self, _: &MutexCall, _: Option<&()>) -> bool {
        true
    }

    fn state_in_proof(&self, &held: &bool) -> Option<Value> {
        Some(held.into())
    }

    fn postponable(&self, first: Step<'_, Self>, second: Step<'_, Self>) -> bool {
        // Twice the same is never right.
        first.0 == second.0
    }
}
