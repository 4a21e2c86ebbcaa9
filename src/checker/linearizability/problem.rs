//! Turns a history and the final files into the events that the engine consumes.
//!
//! Here alone is decided what an outcome means: `ok` must be explained, `fail`
//! never happened, everything else may have happened. Knows no search.

use super::Final;
use crate::checker::bank::BankModel;
use crate::history::{Call, History, Observed, Operation};
use crate::op::Outcome;

/// An operation with a known result, as the engine wants it: which values it
/// needs, and what it leaves behind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Op {
    /// Its number: position in `History::operations`, final files after them.
    pub number: u32,
    /// What it observed: for a transfer `from` and `to` in this order.
    nodes: Nodes,
    /// It may have changed nothing and seen `nodes`.
    pub can_stay: bool,
    /// It may have moved money, leaving `nodes` behind: the values before.
    pub before: Option<[i64; 2]>,
    /// A transfer whose balances nobody knows, by its amount.
    pub blind: Option<i64>,
}

/// Accounts (by number) with values.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Nodes {
    Two([(u32, i64); 2]),
    Many(Box<[(u32, i64)]>),
}

impl Op {
    /// Accounts that it touches, with the values that it observed.
    #[inline]
    pub fn nodes(&self) -> &[(u32, i64)] {
        match &self.nodes {
            Nodes::Two(two) => two,
            Nodes::Many(many) => many,
        }
    }

    /// Accounts with the values that a move needs beforehand.
    #[inline]
    pub fn needs(&self) -> Option<[(u32, i64); 2]> {
        let (before, nodes) = (self.before?, self.nodes());
        Some([(nodes[0].0, before[0]), (nodes[1].0, before[1])])
    }

    /// Whether it touches an account.
    pub fn touches(&self, account: u32) -> bool {
        self.nodes().iter().any(|&(touched, _)| touched == account)
    }

    fn look(number: u32, seen: Vec<(u32, i64)>) -> Self {
        let nodes = match <[_; 2]>::try_from(seen.as_slice()) {
            Ok(two) => Nodes::Two(two),
            Err(_) => Nodes::Many(seen.into()),
        };
        Self { number, nodes, can_stay: true, before: None, blind: None }
    }

    fn transfer(number: u32, [from, to]: [u32; 2], amount: i64, seen: [i64; 2], model: &BankModel) -> Self {
        let nodes = Nodes::Two([(from, seen[0]), (to, seen[1])]);
        if from == to {
            let mut op = Self::look(number, vec![(from, seen[0])]);
            op.can_stay = seen[0] == seen[1];
            return op;
        }
        let can_stay = model.transfer(seen[0], seen[1], amount).is_none();
        let before =
            before(seen, amount).filter(|before| model.transfer(before[0], before[1], amount) == Some(seen));
        Self { number, nodes, can_stay, before, blind: None }
    }

    fn blind(number: u32, [from, to]: [u32; 2], amount: i64, model: &BankModel) -> Self {
        if from == to || !model.effective(amount) {
            return Self::look(number, Vec::new());
        }
        let nodes = Nodes::Two([(from, 0), (to, 0)]);
        Self { number, nodes, can_stay: false, before: None, blind: Some(amount) }
    }
}

fn before(seen: [i64; 2], amount: i64) -> Option<[i64; 2]> {
    Some([seen[0].checked_add(amount)?, seen[1].checked_sub(amount)?])
}

/// A transfer that may have happened, at any time from its invocation on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Effect {
    /// Debited account.
    pub from: u32,
    /// Credited account.
    pub to: u32,
    /// Money units, not 0.
    pub amount: i64,
}

/// What the engine consumes, in the order of the history's lines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// An operation that ended `ok` begins.
    Invoke(Op),
    /// It ends: by now it must have taken effect.
    Return(u32),
    /// From here on an indeterminate transfer may take effect once.
    Perhaps(u32, Effect),
}

/// A history prepared for the engine.
pub struct Problem<'a> {
    history: &'a History,
    model: BankModel,
    /// (index of completion line, operation number) of `ok` operations, in order.
    returns: Vec<(u64, u32)>,
    files: Vec<Op>,
    /// Indeterminate operations that are left out.
    closed: rustc_hash::FxHashSet<u32>,
    /// Names of all accounts, those of the history first.
    pub accounts: Vec<String>,
}

impl<'a> Problem<'a> {
    /// Prepares a history with the replicas' final files.
    pub fn new(history: &'a History, model: &BankModel, files: &[Final]) -> Self {
        let ok = |operation: &&Operation| operation.outcome() == Outcome::Ok;
        let numbered = (0..).zip(&history.operations).filter(|(_, operation)| ok(operation));
        let mut returns: Vec<(u64, u32)> = numbered
            .filter_map(|(number, operation)| Some((operation.completion.as_ref()?.index, number)))
            .collect();
        returns.sort();
        let accounts = all_accounts(history, files);
        let first = history.operations.len() as u32;
        let files =
            (first..).zip(files).map(|(number, file)| file_read(number, file, &accounts, model)).collect();
        let closed = rustc_hash::FxHashSet::default();
        Self { history, model: *model, returns, files, closed, accounts }
    }

    /// Leaves out indeterminate operations that changed nothing in any order.
    pub fn without(mut self, closed: impl IntoIterator<Item = u32>) -> Self {
        self.closed.extend(closed);
        self
    }

    /// Whether some operation may or may not have happened.
    pub fn has_indeterminate(&self) -> bool {
        let open = |(number, operation): (u32, &Operation)| {
            operation.outcome() == Outcome::Info && !self.closed.contains(&number)
        };
        (0..).zip(&self.history.operations).any(open)
    }

    /// The rules that judge.
    pub fn model(&self) -> &BankModel {
        &self.model
    }

    /// Number of operations that must be explained, final files included.
    pub fn required(&self) -> usize {
        self.returns.len() + self.files.len()
    }

    /// The events, final files as reads that begin together after everything else.
    pub fn events(&self) -> impl Iterator<Item = Event> + Clone + '_ {
        self.line_events()
            .chain(self.files.iter().cloned().map(Event::Invoke))
            .chain(self.files.iter().map(|file| Event::Return(file.number)))
    }

    fn line_events(&self) -> impl Iterator<Item = Event> + Clone + '_ {
        let mut returns = self.returns.iter().peekable();
        let mut invokes = (0..).zip(&self.history.operations).peekable();
        std::iter::from_fn(move || {
            loop {
                let next_return = returns.peek().map_or(u64::MAX, |(index, _)| *index);
                match invokes.next_if(|(_, operation)| operation.invoke < next_return) {
                    Some((number, operation)) => {
                        let closed = operation.outcome() == Outcome::Info && self.closed.contains(&number);
                        if closed {
                            continue;
                        }
                        if let Some(event) = invocation(number, operation, &self.model) {
                            return Some(event);
                        }
                    }
                    None => return returns.next().map(|&(_, number)| Event::Return(number)),
                }
            }
        })
    }
}

/// What the invocation of an operation is to the engine; `None` if it can have no effect.
pub fn invocation(number: u32, operation: &Operation, model: &BankModel) -> Option<Event> {
    match operation.outcome() {
        Outcome::Ok => Some(Event::Invoke(required_op(number, operation, model))),
        Outcome::Fail => None,
        Outcome::Info => Some(Event::Perhaps(number, effect(operation, model)?)),
    }
}

fn required_op(number: u32, operation: &Operation, model: &BankModel) -> Op {
    let observed =
        operation.completion.as_ref().map_or(&Observed::Nothing, |completion| &completion.observed);
    match (&operation.call, observed) {
        (&Call::Transfer { from, to, amount }, &Observed::Pair(seen)) => {
            Op::transfer(number, [from.0, to.0], amount, seen, model)
        }
        (&Call::Transfer { from, to, amount }, _) => Op::blind(number, [from.0, to.0], amount, model),
        (Call::Read, Observed::Balances(seen)) => {
            Op::look(number, seen.iter().map(|&(account, balance)| (account.0, balance)).collect())
        }
        (Call::Read, _) => Op::look(number, Vec::new()),
    }
}

/// What an operation would do if it took effect; `None` if nothing.
pub fn effect(operation: &Operation, model: &BankModel) -> Option<Effect> {
    match operation.call {
        Call::Transfer { from, to, amount } if from != to && model.effective(amount) => {
            Some(Effect { from: from.0, to: to.0, amount })
        }
        _ => None,
    }
}

/// Names of all accounts, those of the history first.
pub fn all_accounts(history: &History, files: &[Final]) -> Vec<String> {
    let mut accounts = history.accounts.clone();
    let mut known: rustc_hash::FxHashSet<String> = accounts.iter().cloned().collect();
    for (name, _) in files.iter().flat_map(|file| &file.file.balances) {
        if known.insert(name.clone()) {
            accounts.push(name.clone());
        }
    }
    accounts
}

/// A file is a read of every account: one that it does not name was never touched.
fn file_read(number: u32, file: &Final, accounts: &[String], model: &BankModel) -> Op {
    let named: rustc_hash::FxHashMap<&str, i64> =
        file.file.balances.iter().map(|(name, balance)| (name.as_str(), *balance)).collect();
    let value = |name: &String| named.get(name.as_str()).copied().unwrap_or(model.initial);
    Op::look(number, (0..).zip(accounts.iter().map(value)).collect())
}
