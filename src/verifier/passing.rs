//! Replays a witness of a bank while its history passes by: what is held are operations
//! that are open, or of which nobody knows, however long the history.
//!
//! An order may name an operation as soon as that was invoked, and must have named it by
//! the time it returns: whatever it names later began later, or could as well have been
//! named now. So naming each operation as early as the order allows shows at its return
//! whether real time is respected, and nothing that has returned need be kept.
//! Reads neither file: it is told of the history line by line, and asks for the order.

use rustc_hash::{FxHashMap, FxHashSet};

use super::bank::moved;
use super::{Rules, explained};
use crate::history::{AccountId, Call, Completion, Observed, Operation};
use crate::op::Outcome;

/// A replay under way.
pub struct Passing<O> {
    rules: Rules,
    /// Gives the order, number by number; `None` at its end.
    order: O,
    /// What the order names next.
    next: Option<u32>,
    /// Operations that were invoked.
    invoked: u32,
    balances: Vec<i64>,
    /// What was invoked, has not ended or ended in doubt, and was not named.
    unnamed: FxHashMap<u32, Call>,
    /// What was named and has not ended: what it must tell.
    named: FxHashMap<u32, Told>,
    /// What was named and ended in doubt: evidence may still say that it did not happen.
    doubtful: FxHashSet<u32>,
    listed: u64,
}

/// What an operation finds where the order has it.
enum Told {
    Pair([AccountId; 2], [i64; 2]),
    All(Vec<i64>),
}

/// Why a replay did not come to its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Flaw {
    /// The order does not explain the history; in words.
    Wrong(String),
    /// The order cannot be read; in words.
    Unreadable(String),
}

impl<O: FnMut() -> Result<Option<u32>, String>> Passing<O> {
    /// Before the first line.
    ///
    /// # Errors
    /// The order cannot be read.
    pub fn new(rules: Rules, mut order: O) -> Result<Self, Flaw> {
        let next = order().map_err(Flaw::Unreadable)?;
        Ok(Self {
            rules,
            order,
            next,
            invoked: 0,
            balances: Vec::new(),
            unnamed: FxHashMap::default(),
            named: FxHashMap::default(),
            doubtful: FxHashSet::default(),
            listed: 0,
        })
    }

    /// Operation `number` begins; they are numbered as they come.
    ///
    /// # Errors
    /// The order is wrong or cannot be read.
    pub fn invoked(&mut self, number: u32, operation: &Operation) -> Result<(), Flaw> {
        self.invoked = number.saturating_add(1);
        self.unnamed.insert(number, operation.call.clone());
        while let Some(next) = self.next.filter(|&next| next < self.invoked) {
            self.name(next)?;
            self.next = (self.order)().map_err(Flaw::Unreadable)?;
        }
        Ok(())
    }

    /// An operation ends.
    ///
    /// # Errors
    /// The order is wrong.
    pub fn ended(&mut self, number: u32, end: &Completion) -> Result<(), Flaw> {
        let named = self.named.remove(&number);
        match (end.outcome, named) {
            (Outcome::Ok, Some(told)) => self.told(number, &told, &end.observed),
            (Outcome::Ok, None) => Err(late(number)),
            (Outcome::Fail, Some(_)) => Err(did_not_happen(number)),
            (Outcome::Fail, None) => {
                self.unnamed.remove(&number);
                Ok(())
            }
            (Outcome::Info, Some(_)) => {
                self.doubtful.insert(number);
                Ok(())
            }
            (Outcome::Info, None) => Ok(()),
        }
    }

    /// Evidence says that an operation did not happen.
    ///
    /// # Errors
    /// The order has it happen.
    pub fn never_delivered(&mut self, number: u32) -> Result<(), Flaw> {
        self.unnamed.remove(&number);
        if self.named.contains_key(&number) || self.doubtful.contains(&number) {
            return Err(did_not_happen(number));
        }
        Ok(())
    }

    /// Operations that are held: open ones, and those of which nobody knows.
    pub fn held(&self) -> usize {
        self.unnamed.len() + self.named.len() + self.doubtful.len()
    }

    /// The history ends; what was found, in words.
    ///
    /// # Errors
    /// The order goes on.
    pub fn finish(self) -> Result<String, Flaw> {
        match self.next {
            Some(number) => Err(Flaw::Wrong(format!("operation {number} does not exist"))),
            None => Ok(explained(self.listed, "")),
        }
    }

    /// Carries out what the order names.
    fn name(&mut self, number: u32) -> Result<(), Flaw> {
        let Some(call) = self.unnamed.remove(&number) else {
            let why = format!("operation {number} is listed twice, or did not happen");
            return Err(Flaw::Wrong(why));
        };
        self.listed += 1;
        let told = match call {
            Call::Read => Told::All(self.balances.clone()),
            Call::Transfer { from, to, amount } => {
                let found = [self.balance(from), self.balance(to)];
                let after = if from == to { found } else { moved(self.rules, found, amount) };
                self.set(from, after[0]);
                self.set(to, after[1]);
                Told::Pair([from, to], after)
            }
        };
        self.named.insert(number, told);
        Ok(())
    }

    fn told(&self, number: u32, told: &Told, observed: &Observed) -> Result<(), Flaw> {
        let same = |account: AccountId, held: i64, seen: i64| {
            let why =
                || format!("operation {number}: account number {} holds {held}, {seen} was seen", account.0);
            if held == seen { Ok(()) } else { Err(Flaw::Wrong(why())) }
        };
        match (told, observed) {
            (_, Observed::Nothing) => Ok(()),
            (Told::Pair(accounts, after), Observed::Pair(seen)) => {
                same(accounts[0], after[0], seen[0])?;
                same(accounts[1], after[1], seen[1])
            }
            (Told::All(held), Observed::Balances(seen)) => seen.iter().try_for_each(|&(account, seen)| {
                same(account, held.get(account.0 as usize).copied().unwrap_or(self.rules.initial), seen)
            }),
            _ => Err(Flaw::Wrong(format!("operation {number} tells what it was not asked for"))),
        }
    }

    fn balance(&self, account: AccountId) -> i64 {
        self.balances.get(account.0 as usize).copied().unwrap_or(self.rules.initial)
    }

    fn set(&mut self, account: AccountId, balance: i64) {
        let at = account.0 as usize;
        if self.balances.len() <= at {
            self.balances.resize(at + 1, self.rules.initial);
        }
        self.balances[at] = balance;
    }
}

fn late(number: u32) -> Flaw {
    Flaw::Wrong(format!(
        "operation {number} had returned when the order had not come to it: it is missing, or stands \
         behind one that began later"
    ))
}

fn did_not_happen(number: u32) -> Flaw {
    Flaw::Wrong(format!("operation {number} did not happen"))
}
