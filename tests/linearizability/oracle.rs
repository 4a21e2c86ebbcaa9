//! Brute force: is a small history linearizable?
//!
//! A plain depth-first search as Wing and Gong describe it, with Lowe's memo of
//! what was seen. It has a state machine of its own and shares with the checker
//! only the parsed history and the names of the model's options.

use std::collections::HashSet;

use rsm_check::checker::bank::{BankModel, Guard, Negative};
use rsm_check::checker::linearizability::Final;
use rsm_check::history::{Call, History, Observed};
use rsm_check::op::Outcome;

enum What {
    Transfer { from: usize, to: usize, amount: i128, seen: Option<[i128; 2]> },
    Read(Vec<(usize, i128)>),
}

struct Op {
    invoke: u64,
    returns: u64,
    what: What,
}

/// Whether some order explains the history; `None` after too many steps.
pub fn linearizable(history: &History, model: &BankModel, finals: &[Final], steps: usize) -> Option<bool> {
    let mut accounts: Vec<&str> = history.accounts.iter().map(String::as_str).collect();
    for (name, _) in finals.iter().flat_map(|file| &file.file.balances) {
        if !accounts.contains(&name.as_str()) {
            accounts.push(name);
        }
    }
    let mut ops: Vec<Op> = history.operations.iter().filter_map(op).collect();
    ops.extend(finals.iter().map(|file| {
        let value = |name: &&str| i128::from(file.file.balance(name).unwrap_or(model.initial));
        let what = What::Read(accounts.iter().map(value).enumerate().collect());
        Op { invoke: u64::MAX - 1, returns: u64::MAX - 1, what }
    }));
    let words = ops.len().div_ceil(64);
    let mut search = Search { model, ops, seen: HashSet::new(), steps };
    search.go(&mut vec![0; words], &vec![i128::from(model.initial); accounts.len()], 0)
}

fn op(operation: &rsm_check::history::Operation) -> Option<Op> {
    let ok = operation.outcome() == Outcome::Ok;
    if operation.outcome() == Outcome::Fail {
        return None;
    }
    let completion = operation.completion.as_ref().filter(|_| ok);
    let what = match (&operation.call, completion.map(|completion| &completion.observed)) {
        (Call::Transfer { from, to, amount }, observed) => {
            let seen =
                if let Some(Observed::Pair(seen)) = observed { Some(seen.map(i128::from)) } else { None };
            What::Transfer { from: from.0 as usize, to: to.0 as usize, amount: i128::from(*amount), seen }
        }
        (Call::Read, Some(Observed::Balances(seen))) => {
            What::Read(seen.iter().map(|&(account, value)| (account.0 as usize, i128::from(value))).collect())
        }
        (Call::Read, _) => What::Read(Vec::new()),
    };
    Some(Op {
        invoke: operation.invoke,
        returns: completion.map_or(u64::MAX, |completion| completion.index),
        what,
    })
}

struct Search<'a> {
    model: &'a BankModel,
    ops: Vec<Op>,
    seen: HashSet<(Vec<u64>, Vec<i128>)>,
    steps: usize,
}

impl Search<'_> {
    fn go(&mut self, done: &mut Vec<u64>, bank: &[i128], first: usize) -> Option<bool> {
        let is_done = |done: &[u64], at: usize| done[at / 64] >> (at % 64) & 1 == 1;
        let first = (first..self.ops.len()).find(|&at| !is_done(done, at)).unwrap_or(self.ops.len());
        let open = (first..self.ops.len()).filter(|&at| !is_done(done, at));
        let deadline = open.map(|at| self.ops[at].returns).min().unwrap_or(u64::MAX);
        if deadline == u64::MAX {
            return Some(true);
        }
        self.steps = self.steps.checked_sub(1)?;
        if !self.seen.insert((done.clone(), bank.to_vec())) {
            return Some(false);
        }
        for at in first..self.ops.len() {
            if self.ops[at].invoke > deadline {
                break;
            }
            if is_done(done, at) {
                continue;
            }
            let Some(after) = self.apply(at, bank) else { continue };
            done[at / 64] |= 1 << (at % 64);
            let found = self.go(done, &after, first)?;
            done[at / 64] &= !(1 << (at % 64));
            if found {
                return Some(true);
            }
        }
        Some(false)
    }

    fn apply(&self, at: usize, bank: &[i128]) -> Option<Vec<i128>> {
        let mut after = bank.to_vec();
        match &self.ops[at].what {
            What::Read(seen) => seen.iter().all(|&(account, value)| bank[account] == value).then_some(after),
            What::Transfer { from, to, amount, seen } => {
                if self.moves(bank, *from, *to, *amount) {
                    after[*from] -= amount;
                    after[*to] += amount;
                }
                seen.is_none_or(|seen| seen == [after[*from], after[*to]]).then_some(after)
            }
        }
    }

    fn moves(&self, bank: &[i128], from: usize, to: usize, amount: i128) -> bool {
        let guard = match self.model.guard {
            Guard::Strict => bank[from] > amount,
            Guard::AtLeast => bank[from] >= amount,
            Guard::None => true,
        };
        let bounds = i128::from(i64::MIN)..=i128::from(i64::MAX);
        let fits = bounds.contains(&(bank[from] - amount)) && bounds.contains(&(bank[to] + amount));
        from != to && guard && fits && (amount >= 0 || self.model.negative == Negative::Allowed)
    }
}
