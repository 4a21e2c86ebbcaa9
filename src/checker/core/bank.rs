//! The bank as the search for a core sees it: operations by number, final files as
//! reads after everything else, and words for what they would see.
//!
//! Must not know what is demanded of an operation.

use rustc_hash::FxHashMap;
use serde_json::{Map, Value};

use super::window::{Item, Machine};
use crate::checker::bank::BankModel;
use crate::checker::linearizability::Final;
use crate::history::{Call, History, Observed, Operation};
use crate::op::Outcome;

/// The operations of one history, by number.
pub(super) struct Bank<'a> {
    history: &'a History,
    finals: &'a [Final],
    model: BankModel,
    accounts: Vec<&'a str>,
    asked: Vec<Asked>,
}

/// What an operation does and told.
enum Asked {
    Transfer { from: usize, to: usize, amount: i64, seen: Option<[i64; 2]> },
    Look(Vec<(usize, i64)>),
}

impl<'a> Bank<'a> {
    pub fn new(history: &'a History, model: &BankModel, finals: &'a [Final]) -> Self {
        let mut accounts: Vec<&str> = history.accounts.iter().map(String::as_str).collect();
        let mut known: FxHashMap<&str, usize> = accounts.iter().copied().zip(0..).collect();
        for (name, _) in finals.iter().flat_map(|last| &last.file.balances) {
            if !known.contains_key(name.as_str()) {
                known.insert(name, accounts.len());
                accounts.push(name);
            }
        }
        let mut asked: Vec<Asked> = history.operations.iter().map(asked).collect();
        asked.extend(finals.iter().map(|last| {
            let mut seen = vec![model.initial; accounts.len()];
            for (name, balance) in &last.file.balances {
                known.get(name.as_str()).into_iter().for_each(|&at| seen[at] = *balance);
            }
            Asked::Look(seen.into_iter().enumerate().collect())
        }));
        Self { history, finals, model: *model, accounts, asked }
    }

    /// Before anything happened.
    pub fn initial(&self) -> Box<[i64]> {
        vec![self.model.initial; self.accounts.len()].into()
    }

    /// Everything that happened or may have, by invocation.
    pub fn items(&self) -> Vec<Item> {
        let numbered = (0u32..).zip(&self.history.operations);
        let mut items: Vec<Item> = numbered.filter_map(|(number, asked)| self.item(number, asked)).collect();
        let first = self.history.operations.len() as u32;
        let end = self.end();
        let last =
            |(number, _)| Item { number, invoke: end, returns: Some(end + 1), observes: true, told: true };
        items.extend((first..).zip(self.finals).map(last));
        items
    }

    /// A line after everything: there the final files are read.
    fn end(&self) -> u64 {
        let lines = self.history.operations.iter().flat_map(|operation| {
            [operation.invoke, operation.completion.as_ref().map_or(0, |completion| completion.index)]
        });
        lines.max().map_or(0, |last| last.saturating_add(1)).min(u64::MAX - 1)
    }

    fn item(&self, number: u32, operation: &Operation) -> Option<Item> {
        let observes = match operation.call {
            Call::Read => true,
            Call::Transfer { from, to, amount } => from == to || amount == 0,
        };
        let completion = operation.completion.as_ref();
        let told = completion.is_some_and(|completion| completion.observed != Observed::Nothing);
        let returns = match operation.outcome() {
            Outcome::Ok => Some(completion?.index),
            Outcome::Info if !observes => None,
            _ => return None,
        };
        let told = told && returns.is_some();
        (told || !observes).then_some(Item { number, invoke: operation.invoke, returns, observes, told })
    }

    /// A state as a proof writes it: accounts that do not hold the initial balance.
    pub fn value(&self, state: &[i64]) -> Value {
        let changed = self.accounts.iter().zip(state).filter(|(_, balance)| **balance != self.model.initial);
        Value::Object(
            changed.map(|(name, &balance)| ((*name).to_owned(), balance.into())).collect::<Map<_, _>>(),
        )
    }

    fn blind(&self, state: &[i64], from: usize, to: usize, amount: i64) -> Option<[i64; 2]> {
        if from == to {
            return None;
        }
        self.model.transfer(state[from], state[to], amount)
    }

    fn accounts_of(&self, number: u32) -> Vec<usize> {
        match self.asked.get(number as usize) {
            Some(Asked::Transfer { from, to, .. }) if from == to => vec![*from],
            Some(Asked::Transfer { from, to, .. }) => vec![*from, *to],
            Some(Asked::Look(seen)) => seen.iter().map(|pair| pair.0).collect(),
            None => Vec::new(),
        }
    }

    fn balances(&self, state: &[i64], accounts: &[usize]) -> String {
        let words: Vec<String> = accounts
            .iter()
            .map(|&account| format!("{} {}", self.accounts[account], state[account]))
            .collect();
        words.join(", ")
    }

    fn refusal(&self, state: &[i64], (from, to): (usize, usize), amount: i64, seen: [i64; 2]) -> String {
        let told = format!("it told {} {}, {} {}", self.accounts[from], seen[0], self.accounts[to], seen[1]);
        if from == to {
            return format!("{told}, but {} holds {}", self.accounts[from], state[from]);
        }
        let holds = self.balances(state, &[from, to]);
        match self.blind(state, from, to, amount) {
            Some(after) => format!(
                "{told}, but here it would find {holds} and leave {} {}, {} {}",
                self.accounts[from], after[0], self.accounts[to], after[1]
            ),
            None => format!("{told}, but here it would be refused and leave {holds}"),
        }
    }
}

fn asked(operation: &Operation) -> Asked {
    let completion = operation.completion.as_ref().filter(|_| operation.outcome() == Outcome::Ok);
    match (&operation.call, completion.map(|completion| &completion.observed)) {
        (&Call::Transfer { from, to, amount }, observed) => {
            let seen = if let Some(&Observed::Pair(seen)) = observed { Some(seen) } else { None };
            Asked::Transfer { from: from.0 as usize, to: to.0 as usize, amount, seen }
        }
        (Call::Read, Some(Observed::Balances(seen))) => {
            Asked::Look(seen.iter().map(|&(account, balance)| (account.0 as usize, balance)).collect())
        }
        (Call::Read, _) => Asked::Look(Vec::new()),
    }
}

impl Machine for Bank<'_> {
    type State = Box<[i64]>;

    fn apply(&self, state: &Box<[i64]>, number: u32, told: bool) -> Option<Box<[i64]>> {
        match self.asked.get(number as usize)? {
            Asked::Look(seen) => {
                let right = !told || seen.iter().all(|&(account, balance)| state[account] == balance);
                right.then(|| state.clone())
            }
            &Asked::Transfer { from, to, amount, seen } => {
                let after = self.blind(state, from, to, amount).unwrap_or([state[from], state[to]]);
                if told && seen.is_some_and(|seen| seen != after) {
                    return None;
                }
                let mut next = state.clone();
                (next[from], next[to]) = (after[0], after[1]);
                Some(next)
            }
        }
    }

    fn independent(&self, one: u32, other: u32) -> bool {
        let accounts = self.accounts_of(one);
        !self.accounts_of(other).iter().any(|account| accounts.contains(account))
    }

    fn name(&self, number: u32) -> String {
        let Some(operation) = self.history.operations.get(number as usize) else {
            let last = self.finals.get(number as usize - self.history.operations.len());
            return format!("the final file of {}", last.map_or("?", |last| last.node.as_str()));
        };
        match &operation.call {
            Call::Read => format!("#{} (read)", operation.invoke),
            Call::Transfer { from, to, amount } => {
                let name = |account| self.history.account(account);
                format!("#{} ({} -> {} {amount})", operation.invoke, name(*from), name(*to))
            }
        }
    }

    fn touched(&self, state: &Box<[i64]>, number: u32) -> String {
        self.balances(state, &self.accounts_of(number))
    }

    fn standing(&self, state: &Box<[i64]>, numbers: &[u32]) -> String {
        let mut accounts: Vec<usize> = numbers.iter().flat_map(|&number| self.accounts_of(number)).collect();
        accounts.sort_unstable();
        accounts.dedup();
        self.balances(state, &accounts)
    }

    fn why_not(&self, state: &Box<[i64]>, number: u32) -> String {
        match self.asked.get(number as usize) {
            Some(&Asked::Transfer { from, to, amount, seen: Some(seen) }) => {
                self.refusal(state, (from, to), amount, seen)
            }
            Some(Asked::Look(seen)) => {
                let wrong = seen.iter().find(|&&(account, balance)| state[account] != balance);
                wrong.map_or_else(String::new, |&(account, balance)| {
                    let name = self.accounts[account];
                    format!("it told {name} {balance}, but {name} holds {}", state[account])
                })
            }
            _ => String::new(),
        }
    }
}
