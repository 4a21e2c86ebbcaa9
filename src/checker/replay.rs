//! Replays a witness piece by piece, while operations that it has not named yet are
//! all that is held: the judge of an acceptance too long for [`super::verify`].
//!
//! Shares nothing with the search, nor with the feeder: it is told the operations
//! by whoever reads the history. Verifies that each required operation is named
//! once and nothing that certainly did not happen, that real time is respected, and
//! that each result is what the bank would have given; so a whole replay says the
//! same as that of [`super::verify`]. Does not look for orders.

use rustc_hash::FxHashMap;

use super::bank::{BankModel, Guard, Negative};
use crate::history::{Call, Observed, Operation};
use crate::op::Outcome;

/// A replay under way.
#[derive(Debug)]
pub struct Replay {
    rules: BankModel,
    balances: Vec<i128>,
    /// Operations that the witness may still name.
    unnamed: FxHashMap<u32, Operation>,
    /// Of those, the ones that it must name.
    required: u64,
    latest_invocation: u64,
    named: u64,
}

impl Replay {
    /// Before the first operation.
    pub fn new(rules: BankModel) -> Self {
        Self {
            rules,
            balances: Vec::new(),
            unnamed: FxHashMap::default(),
            required: 0,
            latest_invocation: 0,
            named: 0,
        }
    }

    /// An operation has ended, or the history has: all that will be known of it is.
    pub fn operation(&mut self, number: u32, operation: Operation) {
        self.required += u64::from(operation.outcome() == Outcome::Ok);
        if operation.outcome() != Outcome::Fail {
            self.unnamed.insert(number, operation);
        }
    }

    /// Evidence came after the end: an indeterminate operation did not happen.
    ///
    /// # Errors
    /// The witness has named it already.
    pub fn never_delivered(&mut self, number: u32) -> Result<(), String> {
        match self.unnamed.remove(&number) {
            Some(_) => Ok(()),
            None => Err(format!("operation {number} did not happen, yet may have been named")),
        }
    }

    /// The witness goes on with this operation.
    ///
    /// # Errors
    /// What is wrong with that, in words.
    pub fn next(&mut self, number: u32) -> Result<(), String> {
        let Some(operation) = self.unnamed.remove(&number) else {
            return Err(format!("operation {number} is named twice, did not happen or is not known"));
        };
        self.named += 1;
        self.latest_invocation = self.latest_invocation.max(operation.invoke);
        let mut observed = &Observed::Nothing;
        if let Some(end) = operation.completion.as_ref().filter(|end| end.outcome == Outcome::Ok) {
            self.required -= 1;
            observed = &end.observed;
            if end.index < self.latest_invocation {
                return Err(format!("operation {number} had returned before one that precedes it began"));
            }
        }
        self.apply(&operation.call, observed).map_err(|why| format!("operation {number}: {why}"))
    }

    /// The witness ends here; returns how many operations it names.
    ///
    /// # Errors
    /// It lacks required operations.
    pub fn finish(self) -> Result<u64, String> {
        if self.required == 0 {
            Ok(self.named)
        } else {
            Err(format!("{} operations are missing", self.required))
        }
    }

    fn apply(&mut self, call: &Call, observed: &Observed) -> Result<(), String> {
        if let &Call::Transfer { from, to, amount } = call {
            self.transfer(from.0, to.0, i128::from(amount));
            if let &Observed::Pair([seen_from, seen_to]) = observed {
                self.same(from.0, seen_from)?;
                self.same(to.0, seen_to)?;
            }
        }
        match observed {
            Observed::Balances(seen) => {
                seen.iter().try_for_each(|&(account, seen)| self.same(account.0, seen))
            }
            _ => Ok(()),
        }
    }

    fn transfer(&mut self, from: u32, to: u32, amount: i128) {
        let (debited, credited) = (*self.balance(from) - amount, *self.balance(to) + amount);
        let allowed = match self.rules.guard {
            Guard::Strict => debited > 0,
            Guard::AtLeast => debited >= 0,
            Guard::None => true,
        };
        let refused = amount < 0 && self.rules.negative == Negative::Refused;
        let fit = i64::try_from(debited).is_ok() && i64::try_from(credited).is_ok();
        if from != to && allowed && !refused && fit {
            *self.balance(from) = debited;
            *self.balance(to) = credited;
        }
    }

    fn same(&mut self, account: u32, seen: i64) -> Result<(), String> {
        match *self.balance(account) {
            held if held == i128::from(seen) => Ok(()),
            held => Err(format!("account number {account} holds {held}, {seen} was seen")),
        }
    }

    fn balance(&mut self, account: u32) -> &mut i128 {
        let at = account as usize;
        if self.balances.len() <= at {
            self.balances.resize(at + 1, i128::from(self.rules.initial));
        }
        &mut self.balances[at]
    }
}
