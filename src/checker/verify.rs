//! Replays a witness: an independent judge of every acceptance.
//!
//! Shares only the parsed history with the search; it has arithmetic of its own
//! and knows nothing of configurations, classes or masks. Verifies that an order
//! lists every required operation once, nothing that certainly did not happen,
//! respects real time, and that each result and each final file is what the bank
//! would have given. Does not look for orders.

use rustc_hash::FxHashMap;

use super::bank::{BankModel, Guard, Negative};
use super::linearizability::Final;
use crate::history::{Call, History, Observed, Operation};
use crate::op::Outcome;

/// Replays `order` (operation numbers, final files numbered after the operations).
///
/// # Errors
/// The first thing that is wrong with the order, in words.
pub fn witness(history: &History, model: &BankModel, finals: &[Final], order: &[u32]) -> Result<(), String> {
    complete(history, finals, order)?;
    real_time(history, order)?;
    let mut bank = Bank { rules: model, balances: FxHashMap::default() };
    for &number in order {
        let replayed = match history.operations.get(number as usize) {
            Some(operation) => bank.replay(history, operation),
            None => bank.file(history, &finals[number as usize - history.operations.len()]),
        };
        replayed.map_err(|why| format!("operation {number}: {why}"))?;
    }
    Ok(())
}

/// Every required operation once, none that did not happen, none twice.
fn complete(history: &History, finals: &[Final], order: &[u32]) -> Result<(), String> {
    let operations = history.operations.len();
    let mut listed = vec![false; operations + finals.len()];
    for &number in order {
        match listed.get_mut(number as usize) {
            None => return Err(format!("operation {number} does not exist")),
            Some(true) => return Err(format!("operation {number} is listed twice")),
            Some(listed) => *listed = true,
        }
    }
    for (number, &listed) in listed.iter().enumerate() {
        match history.operations.get(number).map_or(Outcome::Ok, Operation::outcome) {
            Outcome::Ok if !listed => return Err(format!("operation {number} is missing")),
            Outcome::Fail if listed => return Err(format!("operation {number} did not happen")),
            _ => {}
        }
    }
    Ok(())
}

/// No operation comes after one that was invoked only after it had returned.
fn real_time(history: &History, order: &[u32]) -> Result<(), String> {
    let mut latest_invocation = 0;
    for &number in order {
        let Some(operation) = history.operations.get(number as usize) else {
            latest_invocation = u64::MAX;
            continue;
        };
        latest_invocation = latest_invocation.max(operation.invoke);
        let returned = operation.completion.as_ref().filter(|completion| completion.outcome == Outcome::Ok);
        if returned.is_some_and(|completion| completion.index < latest_invocation) {
            return Err(format!("operation {number} had returned before one that precedes it began"));
        }
    }
    Ok(())
}

struct Bank<'a> {
    rules: &'a BankModel,
    balances: FxHashMap<u32, i128>,
}

impl Bank<'_> {
    fn balance(&self, account: u32) -> i128 {
        self.balances.get(&account).copied().unwrap_or(i128::from(self.rules.initial))
    }

    fn replay(&mut self, history: &History, operation: &Operation) -> Result<(), String> {
        let definite = operation.outcome() == Outcome::Ok;
        let nothing = &Observed::Nothing;
        let observed =
            operation.completion.as_ref().filter(|_| definite).map_or(nothing, |seen| &seen.observed);
        if let Call::Transfer { from, to, amount } = operation.call {
            self.transfer(from.0, to.0, i128::from(amount));
            if let &Observed::Pair([seen_from, seen_to]) = observed {
                self.same(history.account(from), from.0, seen_from)?;
                self.same(history.account(to), to.0, seen_to)?;
            }
        }
        match observed {
            Observed::Balances(seen) => seen
                .iter()
                .try_for_each(|&(account, balance)| self.same(history.account(account), account.0, balance)),
            _ => Ok(()),
        }
    }

    fn transfer(&mut self, from: u32, to: u32, amount: i128) {
        let (debited, credited) = (self.balance(from), self.balance(to));
        let allowed = match self.rules.guard {
            Guard::Strict => debited - amount > 0,
            Guard::AtLeast => debited - amount >= 0,
            Guard::None => true,
        };
        let refused = amount < 0 && self.rules.negative == Negative::Refused;
        let fits = |balance: i128| i64::try_from(balance).is_ok();
        if from != to && allowed && !refused && fits(debited - amount) && fits(credited + amount) {
            self.balances.insert(from, debited - amount);
            self.balances.insert(to, credited + amount);
        }
    }

    fn same(&self, name: &str, account: u32, seen: i64) -> Result<(), String> {
        match self.balance(account) {
            held if held == i128::from(seen) => Ok(()),
            held => Err(format!("account {name} holds {held}, {seen} was seen")),
        }
    }

    /// Accounts that a file does not name were never touched in it.
    fn file(&self, history: &History, file: &Final) -> Result<(), String> {
        let known: FxHashMap<&str, u32> = history.accounts.iter().map(String::as_str).zip(0..).collect();
        let named: FxHashMap<&str, i64> =
            file.file.balances.iter().map(|(name, balance)| (name.as_str(), *balance)).collect();
        for (&name, &account) in &known {
            let seen = named.get(name).copied().unwrap_or(self.rules.initial);
            self.same(name, account, seen).map_err(|why| format!("{}: {why}", file.node))?;
        }
        match named.iter().find(|&(name, &seen)| !known.contains_key(name) && seen != self.rules.initial) {
            Some((name, seen)) => Err(format!("{}: {seen} in account {name}, which nobody used", file.node)),
            None => Ok(()),
        }
    }
}
