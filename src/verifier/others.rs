//! The other models a second time: one state machine that knows the operations of all.
//!
//! Values are numbers; equal values, equal numbers. Shares with the checker only the
//! parsed history. Notation: `docs/HISTORY.md`.

use std::collections::{BTreeSet, VecDeque};

use rustc_hash::FxHashMap;
use serde_json::Value;

use super::model::Kind;
use super::{Moment, Span, Subject};
use crate::history::fingerprint::canonical;
use crate::history::untyped::{UntypedHistory, UntypedOperation};
use crate::op::Outcome;

/// A history of a model other than the bank.
pub struct Others {
    operations: Vec<Operation>,
    values: FxHashMap<String, u32>,
    initial: State,
}

struct Operation {
    span: Span,
    part: u64,
    call: Call,
}

/// What was asked, with what was told if it ended `ok`.
enum Call {
    Read(Option<u32>),
    Write(u32),
    Cas(u32, u32),
    Acquire,
    Release,
    Enqueue(u32),
    Dequeue(Option<u32>),
    Insert(u32),
    Members(Option<BTreeSet<u32>>),
    Add(i64),
    Sum(Option<i64>),
}

/// What a part holds.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum State {
    /// A register's value.
    Value(u32),
    /// Whether a lock is held.
    Held(bool),
    /// A queue, first first.
    Queue(VecDeque<u32>),
    /// A set.
    Members(BTreeSet<u32>),
    /// A counter.
    Sum(i128),
}

impl Others {
    /// Makes sense of a history.
    ///
    /// # Errors
    /// An operation that the model does not know, with its line.
    pub fn new(kind: Kind, initial: &Value, history: &UntypedHistory) -> Result<Self, String> {
        let mut reader = Reader { kind, values: FxHashMap::default(), keys: FxHashMap::default() };
        let initial = reader.state(initial)?;
        let operations: Result<_, String> =
            history.operations.iter().map(|operation| reader.operation(operation)).collect();
        Ok(Self { operations: operations?, values: reader.values, initial })
    }
}

struct Reader {
    kind: Kind,
    values: FxHashMap<String, u32>,
    keys: FxHashMap<String, u64>,
}

impl Reader {
    fn id(&mut self, value: &Value) -> u32 {
        let next = self.values.len() as u32;
        *self.values.entry(canonical(value)).or_insert(next)
    }

    fn state(&mut self, told: &Value) -> Result<State, String> {
        Ok(match self.kind {
            Kind::Register | Kind::CasRegister | Kind::Kv => State::Value(self.id(told)),
            Kind::Mutex => State::Held(false),
            Kind::FifoQueue => State::Queue(VecDeque::new()),
            Kind::Set => State::Members(BTreeSet::new()),
            Kind::Counter => State::Sum(i128::from(integer(told)?)),
        })
    }

    fn operation(&mut self, operation: &UntypedOperation) -> Result<Operation, String> {
        let outcome = operation.outcome();
        let ended = operation.completion.as_ref().filter(|_| outcome == Outcome::Ok);
        let line = ended.map_or(operation.line, |ended| ended.line);
        let at = |why: String| format!("line {line}: `{}`: {why}", operation.f);
        let told = ended.map(|ended| &ended.output);
        let (part, asked, told) = self.keyed(&operation.f, &operation.input, told).map_err(at)?;
        let call = self.call(&operation.f, asked, told).map_err(at)?;
        let returns = ended.map(|ended| Moment::from(ended.index));
        Ok(Operation { span: Span { invoke: Moment::from(operation.invoke), returns, outcome }, part, call })
    }

    /// Takes the key off, where there is one: keys are numbered as they come.
    fn keyed<'a>(&mut self, f: &str, asked: &'a Value, told: Option<&'a Value>) -> Keyed<'a> {
        if self.kind != Kind::Kv {
            return Ok((0, asked, told));
        }
        let (key, asked) = pair(asked)?;
        let next = self.keys.len() as u64;
        let part = *self.keys.entry(canonical(key)).or_insert(next);
        match told {
            None => Ok((part, asked, None)),
            Some(Value::Null) if f != "read" => Ok((part, asked, None)),
            Some(told) => match pair(told)? {
                (told_key, told) if canonical(told_key) == canonical(key) => Ok((part, asked, Some(told))),
                (other, _) => Err(format!("key {key} is completed with key {other}")),
            },
        }
    }

    fn call(&mut self, f: &str, asked: &Value, told: Option<&Value>) -> Result<Call, String> {
        let kind = self.kind;
        let mut value = |told: Option<&Value>| told.map(|told| self.id(told));
        let call = match (kind, f) {
            (Kind::Set, "read") => Call::Members(told.map(|told| self.members(told)).transpose()?),
            (Kind::Counter, "read") => Call::Sum(told.map(integer).transpose()?),
            (Kind::Register | Kind::CasRegister | Kind::Kv, "read") => Call::Read(value(told)),
            (Kind::FifoQueue, "dequeue") if told.is_some_and(Value::is_null) => {
                return Err("it took nothing; such a dequeue is `fail`".into());
            }
            (Kind::FifoQueue, "dequeue") => Call::Dequeue(value(told)),
            (Kind::Mutex, "acquire") => Call::Acquire,
            (Kind::Mutex, "release") => Call::Release,
            _ => return self.change(f, asked, told),
        };
        let repeated = kind == Kind::Mutex && told.is_some_and(|told| !told.is_null());
        if asked.is_null() && !repeated { Ok(call) } else { Err("its value must be null".into()) }
    }

    /// Operations that tell nothing: their completion repeats the value or is null.
    fn change(&mut self, f: &str, asked: &Value, told: Option<&Value>) -> Result<Call, String> {
        let call = match (self.kind, f) {
            (Kind::Register | Kind::CasRegister | Kind::Kv, "write") => Call::Write(self.id(asked)),
            (Kind::CasRegister | Kind::Kv, "cas") => {
                let (old, new) = pair(asked)?;
                Call::Cas(self.id(old), self.id(new))
            }
            (Kind::FifoQueue, "enqueue") if !asked.is_null() => Call::Enqueue(self.id(asked)),
            (Kind::Set, "add") => Call::Insert(self.id(asked)),
            (Kind::Counter, "add") => Call::Add(integer(asked)?),
            _ => return Err("the model knows no such operation".into()),
        };
        match told {
            Some(told) if !told.is_null() && canonical(told) != canonical(asked) => {
                Err(format!("{asked} is completed with {told}"))
            }
            _ => Ok(call),
        }
    }

    fn members(&mut self, told: &Value) -> Result<BTreeSet<u32>, String> {
        let told = told.as_array().ok_or("a list of all members is needed")?;
        Ok(told.iter().map(|member| self.id(member)).collect())
    }
}

type Keyed<'a> = Result<(u64, &'a Value, Option<&'a Value>), String>;

fn pair(value: &Value) -> Result<(&Value, &Value), String> {
    match value.as_array().map(Vec::as_slice) {
        Some([one, two]) => Ok((one, two)),
        _ => Err(format!("{value} is no pair")),
    }
}

fn integer(value: &Value) -> Result<i64, String> {
    value.as_i64().ok_or_else(|| format!("{value} is no signed 64-bit integer"))
}

impl Others {
    /// A state as a proof tells it; [`Subject::state`] takes it in again.
    pub fn told(&self, state: &State) -> Value {
        let named = |id: &u32| {
            let found = self.values.iter().find(|(_, known)| *known == id);
            found.and_then(|(text, _)| serde_json::from_str(text).ok()).unwrap_or_default()
        };
        match state {
            State::Value(id) => named(id),
            State::Held(held) => Value::from(*held),
            State::Queue(queue) => queue.iter().map(named).collect(),
            State::Members(members) => members.iter().map(named).collect(),
            State::Sum(sum) => serde_json::from_str(&sum.to_string()).unwrap_or_default(),
        }
    }

    /// A value that the history never names is no state that can be told apart.
    fn id(&self, value: &Value) -> Result<u32, String> {
        let known = self.values.get(&canonical(value)).copied();
        known.ok_or_else(|| format!("the history never names the value {value}"))
    }
}

impl Subject for Others {
    type State = State;

    fn count(&self) -> usize {
        self.operations.len()
    }

    fn span(&self, number: usize) -> Span {
        self.operations[number].span
    }

    fn part(&self, number: usize) -> u64 {
        self.operations[number].part
    }

    fn observes(&self, number: usize) -> bool {
        match &self.operations[number].call {
            Call::Read(_) | Call::Members(_) | Call::Sum(_) | Call::Add(0) => true,
            Call::Cas(old, new) => old == new,
            _ => false,
        }
    }

    fn initial(&self) -> State {
        self.initial.clone()
    }

    fn state(&self, told: &Value) -> Result<State, String> {
        let list = || told.as_array().ok_or_else(|| format!("{told} is no state; accepted is a list"));
        Ok(match self.initial {
            State::Value(_) => State::Value(self.id(told)?),
            State::Held(_) => State::Held(
                told.as_bool().ok_or_else(|| format!("{told} is no state; accepted: true (held), false"))?,
            ),
            State::Queue(_) => {
                State::Queue(list()?.iter().map(|value| self.id(value)).collect::<Result<_, _>>()?)
            }
            State::Members(_) => {
                State::Members(list()?.iter().map(|value| self.id(value)).collect::<Result<_, _>>()?)
            }
            State::Sum(_) => State::Sum(i128::from(integer(told)?)),
        })
    }

    fn step(&self, state: &mut State, number: usize, result: bool) -> Result<(), String> {
        let right = match (&self.operations[number].call, state) {
            (Call::Read(seen), State::Value(value)) => !result || seen.is_none_or(|seen| seen == *value),
            (Call::Write(new), State::Value(value)) => {
                *value = *new;
                true
            }
            (Call::Cas(old, new), State::Value(value)) => std::mem::replace(value, *new) == *old,
            (Call::Acquire, State::Held(held)) => !std::mem::replace(held, true),
            (Call::Release, State::Held(held)) => std::mem::replace(held, false),
            (Call::Enqueue(value), State::Queue(queue)) => {
                queue.push_back(*value);
                true
            }
            (Call::Dequeue(seen), State::Queue(queue)) => {
                queue.pop_front().is_some_and(|taken| !result || seen.is_none_or(|seen| seen == taken))
            }
            (Call::Insert(value), State::Members(members)) => {
                members.insert(*value);
                true
            }
            (Call::Members(seen), State::Members(members)) => {
                !result || seen.as_ref().is_none_or(|seen| seen == members)
            }
            (Call::Add(more), State::Sum(sum)) => {
                *sum += i128::from(*more);
                true
            }
            (Call::Sum(seen), State::Sum(sum)) => !result || seen.is_none_or(|seen| i128::from(seen) == *sum),
            _ => false,
        };
        if right { Ok(()) } else { Err("it cannot take place there with this result".into()) }
    }

    fn weight(&self, state: &State) -> usize {
        32 + match state {
            State::Queue(queue) => 4 * queue.capacity(),
            State::Members(members) => 8 * members.len(),
            _ => 0,
        }
    }
}
