//! Verifies a proof about linearizability without trusting who found it.
//!
//! Small on purpose, and written apart from the search: it has state machines of its
//! own ([`bank`], [`others`]), replays a witness, be it of a history that is not held
//! ([`passing`]), and confirms a core by plain search.
//! It shares with the checker the parsed history and the data type of a proof, and
//! must not know the checker, its models or how a proof is found. Reads no clock: the
//! time that a search may take is handed in as a question.

pub mod bank;
mod constraints;
mod cores;
mod model;
pub mod others;
pub mod passing;
mod search;
mod starts;
mod witness;

#[cfg(test)]
mod tests;

use std::hash::Hash;

use serde_json::Value;

pub use bank::Bank;
pub use model::{Model, Rules};
pub use others::Others;
pub use passing::Passing;

use crate::op::Outcome;
use crate::proof::{Claim, Proof};

/// A moment of a history. Lines have their index; final files are read after all.
pub type Moment = u128;

/// What was found out about a proof.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Finding {
    /// What it claims holds; in words.
    Confirmed(String),
    /// It does not prove what it claims; the first thing that is wrong.
    Refuted(String),
    /// The plain search ran out of time or memory; in words.
    Undecided(String),
}

/// When an operation took place, as far as the history tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// Its invocation.
    pub invoke: Moment,
    /// Its completion, if that was `ok`.
    pub returns: Option<Moment>,
    /// What is known of its effect.
    pub outcome: Outcome,
}

/// A history under a state machine. Operations are named as in [`crate::proof`].
pub trait Subject {
    /// What operations depend on.
    type State: Clone + Eq + Hash;

    /// Operations and final files.
    fn count(&self) -> usize;

    /// When operation `number`, which is below [`count`](Self::count), took place.
    fn span(&self, number: usize) -> Span;

    /// The part of the history that it belongs to.
    fn part(&self, number: usize) -> u64;

    /// Whether in no state it changes the state.
    fn observes(&self, number: usize) -> bool;

    /// The state of a part before anything happened.
    fn initial(&self) -> Self::State;

    /// The state that a proof tells.
    ///
    /// # Errors
    /// It is none, in words.
    fn state(&self, told: &Value) -> Result<Self::State, String>;

    /// Carries out an operation. Its result is looked at if it is known and `result`
    /// is set.
    ///
    /// # Errors
    /// It cannot take place here, in words; `state` means nothing then.
    fn step(&self, state: &mut Self::State, number: usize, result: bool) -> Result<(), String>;

    /// About how many bytes a state takes.
    fn weight(&self, state: &Self::State) -> usize;
}

/// What a plain search may take.
pub struct Effort<'a> {
    out_of_time: &'a dyn Fn() -> bool,
    memory: usize,
    ticks: u32,
}

/// What a plain search ran out of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Spent {
    /// The time.
    Time,
    /// The memory.
    Memory,
}

impl std::fmt::Display for Spent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Time => "the plain search ran out of time",
            Self::Memory => "the plain search ran out of memory",
        })
    }
}

/// Steps between two looks at the clock.
const STRIDE: u32 = 64;

impl<'a> Effort<'a> {
    /// Until `out_of_time` says yes, and with at most `memory` bytes for what was seen.
    pub fn new(out_of_time: &'a dyn Fn() -> bool, memory: usize) -> Self {
        Self { out_of_time, memory, ticks: 0 }
    }

    /// A step was made, and `held` bytes are held.
    fn step(&mut self, held: usize) -> Result<(), Spent> {
        self.ticks = self.ticks.wrapping_add(1);
        if held > self.memory {
            return Err(Spent::Memory);
        }
        if self.ticks.is_multiple_of(STRIDE) && (self.out_of_time)() { Err(Spent::Time) } else { Ok(()) }
    }
}

/// Verifies what a proof claims of this history.
///
/// That the proof is about this history and model must be known beforehand.
pub fn verify<S: Subject>(subject: &S, proof: &Proof, effort: &mut Effort<'_>) -> Finding {
    match &proof.claim {
        Claim::Witness(orders) => match witness::replay(subject, &orders.0) {
            Ok(()) => {
                let listed: usize = orders.0.iter().map(Vec::len).sum();
                let parts = orders.0.iter().filter(|order| !order.is_empty()).count();
                let parts = if parts > 1 { format!(" in {parts} parts") } else { String::new() };
                Finding::Confirmed(explained(listed as u64, &parts))
            }
            Err(why) => Finding::Refuted(why),
        },
        Claim::Core(core) => cores::confirm(subject, core, effort),
    }
}

pub use starts::{Standing, at as standings};
pub use witness::replay;

/// What is said of an order that is right.
fn explained(listed: u64, parts: &str) -> String {
    format!("an order of {} operations{parts} explains everything", grouped(listed as usize))
}

/// A count with commas: `18,944`.
fn grouped(count: usize) -> String {
    let digits = count.to_string();
    let mut shown = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            shown.push(',');
        }
        shown.push(digit);
    }
    shown
}
