//! Brute force: is a small history of a model linearizable?
//!
//! A plain depth-first search as Wing and Gong describe it, with state machines of its
//! own; every value is a small number, the state a list of numbers. Shares nothing
//! with the checker.

use std::collections::HashSet;

/// The models, by what this file knows of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Register,
    CasRegister,
    Kv,
    Mutex,
    FifoQueue,
    Set,
    Counter,
}

impl Kind {
    pub const ALL: [Self; 7] =
        [Self::Register, Self::CasRegister, Self::Kv, Self::Mutex, Self::FifoQueue, Self::Set, Self::Counter];

    pub fn name(self) -> &'static str {
        match self {
            Self::Register => "register",
            Self::CasRegister => "cas-register",
            Self::Kv => "kv",
            Self::Mutex => "mutex",
            Self::FifoQueue => "fifo-queue",
            Self::Set => "set",
            Self::Counter => "counter",
        }
    }

    pub fn initial(self) -> Vec<i64> {
        match self {
            Self::Register | Self::CasRegister => vec![NULL],
            Self::Kv => vec![NULL; 3],
            Self::Mutex | Self::Counter => vec![0],
            Self::FifoQueue | Self::Set => vec![],
        }
    }
}

/// Stands for null.
pub const NULL: i64 = -1000;

/// What is asked; `key` is 0 but for `kv`.
#[derive(Clone, Debug)]
pub struct Ask {
    pub f: &'static str,
    pub key: usize,
    pub a: i64,
    pub b: i64,
}

/// One operation: where it begins and ends (`None`: nobody knows) and what it told.
#[derive(Clone, Debug)]
pub struct Op {
    pub ask: Ask,
    pub told: Option<Vec<i64>>,
    pub invoke: usize,
    pub returns: Option<usize>,
}

/// Carries out what is asked; `None` if it cannot be here. An empty list tells nothing.
pub fn run(state: &mut Vec<i64>, ask: &Ask, kind: Kind) -> Option<Vec<i64>> {
    match (kind, ask.f) {
        (Kind::Set, "read") => Some(state.clone()),
        (_, "read") => Some(vec![state[ask.key]]),
        (_, "write") => {
            state[ask.key] = ask.a;
            Some(vec![])
        }
        (_, "cas") if state[ask.key] != ask.a => None,
        (_, "cas") => {
            state[ask.key] = ask.b;
            Some(vec![])
        }
        (_, "acquire") => (std::mem::replace(&mut state[0], 1) == 0).then(Vec::new),
        (_, "release") => (std::mem::replace(&mut state[0], 0) == 1).then(Vec::new),
        (_, "enqueue") => {
            state.push(ask.a);
            Some(vec![])
        }
        (_, "dequeue") => (!state.is_empty()).then(|| vec![state.remove(0)]),
        (Kind::Counter, "add") => {
            state[0] += ask.a;
            Some(vec![])
        }
        (_, "add") => {
            state.push(ask.a);
            state.sort_unstable();
            state.dedup();
            Some(vec![])
        }
        other => panic!("{other:?} is unknown"),
    }
}

/// Whether some order explains the operations.
pub fn linearizable(kind: Kind, ops: &[Op]) -> bool {
    let mut seen = HashSet::new();
    search(kind, ops, 0, kind.initial(), &mut seen)
}

fn search(kind: Kind, ops: &[Op], done: u32, state: Vec<i64>, seen: &mut HashSet<(u32, Vec<i64>)>) -> bool {
    let open = || (0..ops.len()).filter(|at| done >> at & 1 == 0);
    let Some(deadline) = open().filter_map(|at| ops[at].returns).min() else { return true };
    if !seen.insert((done, state.clone())) {
        return false;
    }
    open().filter(|&at| ops[at].invoke < deadline).any(|at| {
        let mut after = state.clone();
        right(kind, &mut after, &ops[at]) && search(kind, ops, done | 1 << at, after, seen)
    })
}

/// Carries an operation out; whether it can have told what it told.
pub fn right(kind: Kind, state: &mut Vec<i64>, op: &Op) -> bool {
    let Some(gives) = run(state, &op.ask, kind) else { return false };
    let right = op.told.as_ref().is_none_or(|told| told.is_empty() || *told == gives)
        || (kind == Kind::Set && op.told.as_deref() == Some(&gives));
    let empty = kind == Kind::Set && op.ask.f == "read" && op.told.as_deref() == Some(&[]);
    right && (!empty || gives.is_empty())
}
