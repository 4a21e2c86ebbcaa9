//! Models other than the bank: is there one order, respecting real time, in which a
//! state machine explains every result?
//!
//! [`Model`] is what a state machine must tell; one file per model, and one line in
//! [`registry`]. [`check`] runs the search: [`problem`] cuts the operations into parts
//! that do not touch one another, [`engine`] decides one part in the ways that [`stage`] lists, [`witness`] replays
//! every acceptance through the model alone, [`explain`] words it. Operations without
//! a definite end may have happened at any time after their invocation, or never.
//! Must not know of runs, nodes, files or the bank.
//!
//! A model needs no place in this crate. This one, a ticket dispenser, has its own
//! notation and gives no hint to the search:
//!
//! ```
//! use rsm_check::checker::linearizability::Budget;
//! use rsm_check::checker::models::{AnyModel, Model, Parsed};
//! use rsm_check::history::untyped::read_untyped;
//! use rsm_check::verdict::Verdict;
//! use serde_json::Value;
//!
//! /// Every `take` gives the next number.
//! struct Tickets;
//!
//! impl Model for Tickets {
//!     type State = u64;
//!     type Input = ();
//!     type Output = u64;
//!
//!     fn name(&self) -> &'static str {
//!         "tickets"
//!     }
//!     fn initial(&self) -> u64 {
//!         1
//!     }
//!     fn apply(&self, next: &u64, _: &(), given: Option<&u64>) -> Option<u64> {
//!         given.is_none_or(|given| given == next).then_some(next + 1)
//!     }
//!     fn parse(&mut self, f: &str, _: &Value, told: Option<&Value>) -> Parsed<Self> {
//!         match (f, told) {
//!             ("take", None) => Ok(((), None)),
//!             ("take", Some(number)) => number
//!                 .as_u64()
//!                 .map(|number| ((), Some(number)))
//!                 .ok_or_else(|| format!("value of `take` is {number}; accepted is a number")),
//!             (other, _) => Err(format!("`{other}` is no operation of tickets; accepted: take")),
//!         }
//!     }
//!     fn describe(&self, _: &(), given: Option<&u64>) -> String {
//!         format!("take of {given:?}")
//!     }
//!     fn describe_state(&self, next: &u64) -> String {
//!         format!("next is {next}")
//!     }
//! }
//!
//! let judge = |second: u64| {
//!     let history = format!(
//!         r#"{{"index":0,"time":0,"process":0,"type":"invoke","f":"take","value":null}}
//! {{"index":1,"time":1,"process":1,"type":"invoke","f":"take","value":null}}
//! {{"index":2,"time":2,"process":0,"type":"ok","f":"take","value":2}}
//! {{"index":3,"time":3,"process":1,"type":"ok","f":"take","value":{second}}}
//! "#
//!     );
//!     let history = read_untyped(history.as_bytes()).expect("well-formed");
//!     Tickets.judge(&history, &Budget::default()).expect("known operations").verdict
//! };
//! assert_eq!(judge(1), Some(Verdict::Pass));
//! assert_eq!(judge(2), Some(Verdict::Violation)); // the same ticket twice
//! ```

mod antichain;
mod bits;
mod cas_register;
mod counter;
mod decide;
mod engine;
mod explain;
mod fifo_queue;
mod kv;
mod mutex;
mod orders;
mod problem;
mod register;
mod registry;
mod relevance;
mod set;
mod stage;
mod values;
pub mod witness;

use std::hash::Hash;

use serde_json::Value;

use crate::checker::linearizability::Stop;
use crate::checker::linearizability::budget::Meter;
pub use cas_register::{CasRegister, CasRegisterCall};
pub use counter::{Counter, CounterCall};
pub use decide::{check, check_in_stages};
pub use explain::in_words;
pub use fifo_queue::{FifoQueue, FifoQueueCall};
pub use kv::{KeyValue, Keyed};
pub use mutex::{Mutex, MutexCall};
pub use problem::{Operation, Typed, typed};
pub use register::Register;
pub use registry::{AnyModel, NAMES, by_text};
pub use set::{Members, Set, SetCall};
pub use stage::{STAGES, Stage};
pub use values::{ValueId, Values};

/// A deterministic state machine, as the search sees it.
///
/// Only [`apply`](Model::apply) and [`initial`](Model::initial) decide what is right.
/// The hints below them make the search fast; each promises something of `apply`,
/// and a wrong promise gives wrong verdicts.
pub trait Model {
    /// Everything that a later operation can depend on; equal states must be equal values.
    type State: Clone + Eq + Hash;
    /// What is asked, with the operation's name; equal inputs are interchangeable.
    type Input: Clone + Eq + Hash;
    /// What a reply tells.
    type Output: Clone + Eq + Hash;

    /// The name that `--model` takes.
    fn name(&self) -> &'static str;

    /// The state before anything happened.
    fn initial(&self) -> Self::State;

    /// The state afterwards, or `None` if the operation cannot have this result here.
    /// An output of `None` is unknown: any result that the state gives is right.
    fn apply(
        &self,
        state: &Self::State,
        input: &Self::Input,
        output: Option<&Self::Output>,
    ) -> Option<Self::State>;

    /// Makes sense of an operation of a history; `output` is there if it ended `ok`.
    ///
    /// # Errors
    /// What was found and what is accepted.
    fn parse(&mut self, f: &str, input: &Value, output: Option<&Value>) -> Parsed<Self>;

    /// One operation in words, such as `write 4`.
    fn describe(&self, input: &Self::Input, output: Option<&Self::Output>) -> String;

    /// A state in words, such as `4`.
    fn describe_state(&self, state: &Self::State) -> String;

    /// A state as `proof.json` tells it, so that [`crate::verifier`] can begin there
    /// (`docs/VERIFY.md` has the notation of each model). `None`: it cannot be told, and
    /// cores of this model begin where the history does.
    fn state_in_proof(&self, _state: &Self::State) -> Option<Value> {
        None
    }

    /// Takes an option of `--model NAME:key=value`.
    ///
    /// # Errors
    /// What was found and what is accepted.
    fn set_option(&mut self, key: &str, _value: &str) -> Result<(), String> {
        Err(format!("`{key}` is no option of {}; it takes none", self.name()))
    }

    /// The part that an operation belongs to. Operations of different parts must not
    /// touch one another; each part begins in [`initial`](Model::initial).
    fn part(&self, _input: &Self::Input) -> u64 {
        0
    }

    /// A part in words, such as `key "x"`, where there are several.
    fn describe_part(&self, _part: u64) -> Option<String> {
        None
    }

    /// Promises: in no state does this operation change the state.
    fn observes(&self, _input: &Self::Input) -> bool {
        false
    }

    /// Promises: whatever its output, this operation is right in every state, and the
    /// state afterwards is the same whatever it was before.
    fn overwrites(&self, _input: &Self::Input) -> bool {
        false
    }

    /// Promises: wherever `first` and then directly `second` are right, `second` and
    /// then `first` are right too and end in the same state.
    fn postponable(&self, _first: Step<'_, Self>, _second: Step<'_, Self>) -> bool {
        false
    }

    /// Promises for a `goal` that only observes: from this state every way to it
    /// contains an operation with this input, and doing that first loses no way.
    fn must_come_first(&self, _state: &Self::State, _input: &Self::Input, _goal: Step<'_, Self>) -> bool {
        false
    }

    /// Whether an acknowledged operation told its client something of the state: an output
    /// does, and so does success that not every state allows. For the diagnosis alone.
    fn tells(&self, _input: &Self::Input, output: Option<&Self::Output>) -> bool {
        output.is_some()
    }

    /// About how many bytes a state holds outside itself.
    fn weight(&self, _state: &Self::State) -> usize {
        0
    }

    /// Decides all operations of a part by a way of the model's own, where one is known
    /// that is better than any search; they are named by their positions in `operations`
    /// and stand in the order of their invocations. `None`: it must be searched.
    ///
    /// Promises: what fails, fails. An order is replayed, whatever is promised.
    ///
    /// # Errors
    /// A budget ran out.
    fn directly(
        &self,
        _operations: &[Operation<Self::Input, Self::Output>],
        _part: &[u32],
        _meter: &mut Meter,
    ) -> Result<Option<Direct>, Stop> {
        Ok(None)
    }
}

/// What [`Model::directly`] found of a part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Direct {
    /// This order explains it.
    Order(Vec<u32>),
    /// No order does.
    Fails {
        /// The first operation, by returns, that no order explains together with all
        /// that returned before it.
        operation: u32,
        /// An order that explains what returned before it.
        prefix: Vec<u32>,
    },
}

/// What [`Model::parse`] gives: an input and what is known of the output.
pub type Parsed<M> = Result<(<M as Model>::Input, Option<<M as Model>::Output>), String>;

/// An input with what is known of its output.
pub type Step<'a, M> = (&'a <M as Model>::Input, Option<&'a <M as Model>::Output>);

/// What the check found. Operations are named by their position in what was checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// An order exists for every part; each was replayed.
    Linearizable {
        /// One order per part; together they are an order of the whole, since parts
        /// do not touch one another (locality, Herlihy and Wing 1990). Indeterminate
        /// operations that are not listed did not happen, or changed nothing.
        orders: Vec<Vec<u32>>,
    },
    /// No order exists.
    Violation(Violation),
    /// Neither was shown within the budget.
    Undecided {
        /// In words.
        reason: String,
        /// Acknowledged operations that were explained when the search stopped.
        explained: usize,
        /// How many must be explained altogether.
        required: usize,
    },
}

/// Why no order exists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// The operation at which every attempt fails.
    pub operation: u32,
    /// Its part.
    pub part: u64,
    /// Operations of the part that were open when it returned.
    pub concurrent: Vec<u32>,
    /// States that attempts had come to, in words; not all if there are many.
    pub states: Vec<String>,
    /// A longest order that explains everything of the part that returned before; empty
    /// if none was found (there may be none: then the first operation at which every
    /// attempt fails is an earlier one).
    pub prefix: Vec<u32>,
    /// Acknowledged operations of the part that `prefix` explains.
    pub explained: usize,
    /// How many of the part must be explained.
    pub required: usize,
}

/// What is said of a name that a model does not know.
fn unknown(name: &str, f: &str, accepted: &str) -> String {
    format!("`{f}` is no operation of {name}; accepted: {accepted}")
}

/// A value that must be null, because the operation asks or tells nothing.
fn nothing(f: &str, value: &Value) -> Result<(), String> {
    match value {
        Value::Null => Ok(()),
        found => Err(format!("value of `{f}` is {found}; accepted is null")),
    }
}

/// An output must say again what was asked, or nothing.
fn agrees(f: &str, input: &Value, output: Option<&Value>) -> Result<(), String> {
    match output {
        Some(told) if !told.is_null() && values::canonical(told) != values::canonical(input) => {
            Err(format!("`{f}` of {input} is completed with {told}; accepted is the same value or null"))
        }
        _ => Ok(()),
    }
}
