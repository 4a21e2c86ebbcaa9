//! Cheap conditions that every order meets: what breaks one has no order.
//!
//! Verifies, for each value that a reply or a final file tells, in one pass over the
//! lines:
//!
//! - balances of all accounts sum to what all accounts held at the start: no transfer
//!   makes or destroys money, for one that would overflow moves nothing;
//! - an account differs from its initial balance by a multiple of the greatest common
//!   divisor of all amounts that may have moved on it by then;
//! - an account holds no more and no less than those transfers, the guard and the
//!   other accounts allow.
//!
//! "By then" counts everything that was invoked before the reply came, with an unknown
//! outcome too. A history that meets all of this may still have no order: only the
//! search accepts.

use super::Final;
use super::problem::{Effect, all_accounts, effect};
use crate::checker::bank::{BankModel, Guard};
use crate::history::{Call, History, Observed, Operation};
use crate::op::Outcome;

/// A condition that does not hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refutation {
    /// The operation that saw what cannot be (numbered as in a witness).
    pub operation: u32,
    /// What it saw and why that cannot be, in words.
    pub reason: String,
}

/// The first condition that does not hold, by the order of replies.
pub fn refute(history: &History, model: &BankModel, finals: &[Final]) -> Option<Refutation> {
    let accounts = all_accounts(history, finals);
    let mut bank = Bounds::new(model, &accounts);
    let mut asked = history.operations.iter().peekable();
    for (line, number) in replies(history) {
        while let Some(operation) = asked.next_if(|operation| operation.invoke < line) {
            bank.ask(operation);
        }
        let operation = history.operations.get(number as usize)?;
        let why = contradicted(&bank, operation);
        if let Some(why) = why {
            return Some(Refutation {
                operation: number,
                reason: format!("#{} saw {why}", operation.invoke),
            });
        }
    }
    asked.for_each(|operation| bank.ask(operation));
    let numbered = (history.operations.len() as u32..).zip(finals);
    let mut contradicted = numbered.filter_map(|(operation, file)| {
        let why = bank.contradicted(&balances(file, &accounts, model))?;
        Some(Refutation { operation, reason: format!("the final file of {} has {why}", file.node) })
    });
    contradicted.next()
}

/// Lines of replies that ended `ok` with the operations' numbers, in order.
fn replies(history: &History) -> Vec<(u64, u32)> {
    let numbered = (0u32..).zip(&history.operations);
    let ended = numbered.filter(|(_, operation)| operation.outcome() == Outcome::Ok);
    let mut replies: Vec<(u64, u32)> = ended
        .filter_map(|(number, operation)| Some((operation.completion.as_ref()?.index, number)))
        .collect();
    replies.sort_unstable();
    replies
}

/// Why a reply cannot have been given, in words.
fn contradicted(bank: &Bounds<'_>, operation: &Operation) -> Option<String> {
    let observed = operation.completion.as_ref().map(|completion| &completion.observed);
    match (&operation.call, observed) {
        (Call::Transfer { from, to, .. }, Some(Observed::Pair(pair))) => {
            bank.contradicted(&[(from.0, pair[0]), (to.0, pair[1])])
        }
        (_, Some(Observed::Balances(seen))) => {
            let seen: Vec<(u32, i64)> = seen.iter().map(|&(account, value)| (account.0, value)).collect();
            bank.contradicted(&seen)
        }
        _ => None,
    }
}

/// A file tells of every account: one that it does not name was never touched.
fn balances(file: &Final, accounts: &[String], model: &BankModel) -> Vec<(u32, i64)> {
    let named: rustc_hash::FxHashMap<&str, i64> =
        file.file.balances.iter().map(|(name, balance)| (name.as_str(), *balance)).collect();
    let value = |name: &String| named.get(name.as_str()).copied().unwrap_or(model.initial);
    (0..).zip(accounts.iter().map(value)).collect()
}

/// What is known of one account from the transfers that may have happened.
#[derive(Debug, Clone, Default)]
struct Account {
    /// Greatest common divisor of the amounts; 0 without any.
    divisor: u64,
    /// All that may have come in, and all that may have gone out.
    inflow: i128,
    outflow: i128,
    /// Of the outflow: what no guard on this account looks at (negative credits).
    unguarded: i128,
}

/// How far balances can go by the transfers that may have happened so far.
pub struct Bounds<'a> {
    model: &'a BankModel,
    names: &'a [String],
    accounts: Vec<Account>,
    /// Sum of all least balances.
    least: i128,
}

impl<'a> Bounds<'a> {
    fn new(model: &'a BankModel, names: &'a [String]) -> Self {
        let accounts = vec![Account::default(); names.len()];
        Self { model, names, accounts, least: i128::from(model.initial) * names.len() as i128 }
    }

    /// By everything that was ever asked for.
    pub fn of(history: &History, model: &'a BankModel, names: &'a [String]) -> Self {
        let mut bounds = Self::new(model, names);
        history.operations.iter().for_each(|operation| bounds.ask(operation));
        bounds
    }

    /// Whether the account may have held this at some time.
    pub fn allow(&self, account: u32, value: i64) -> bool {
        self.impossible(account, value).is_none()
    }

    fn initial(&self) -> i128 {
        i128::from(self.model.initial)
    }

    /// From here on the operation may have taken effect.
    fn ask(&mut self, operation: &Operation) {
        if operation.outcome() == Outcome::Fail {
            return;
        }
        let Some(Effect { from, to, amount }) = effect(operation, self.model) else { return };
        let (debit, size) = (amount > 0, i128::from(amount.unsigned_abs()));
        let [giver, taker] = if debit { [from, to] } else { [to, from] };
        self.change(giver, amount, |account| {
            account.outflow += size;
            account.unguarded += if debit { 0 } else { size };
        });
        self.change(taker, amount, |account| account.inflow += size);
    }

    fn change(&mut self, account: u32, amount: i64, change: impl Fn(&mut Account)) {
        let before = self.low(account);
        if let Some(account) = self.accounts.get_mut(account as usize) {
            account.divisor = gcd(account.divisor, amount.unsigned_abs());
            change(account);
        }
        self.least += self.low(account) - before;
    }

    /// No order leaves less. A guarded debit leaves at least `floor`, so the balance
    /// and the unguarded outflow together never fall below the lesser of `floor` and
    /// the initial balance.
    fn low(&self, account: u32) -> i128 {
        let Some(account) = self.accounts.get(account as usize) else { return 0 };
        let unbounded = self.initial() - account.outflow;
        let floor = match self.model.guard {
            Guard::Strict => 1,
            Guard::AtLeast => 0,
            Guard::None => return unbounded,
        };
        unbounded.max(self.initial().min(floor) - account.unguarded)
    }

    /// No order leaves more: neither what may come in, nor what others can spare.
    fn high(&self, account: u32) -> i128 {
        let others = self.least - self.low(account);
        let inflow = self.accounts.get(account as usize).map_or(0, |account| account.inflow);
        (self.initial() + inflow).min(self.total() - others)
    }

    fn total(&self) -> i128 {
        self.initial() * self.names.len() as i128
    }

    /// Why these balances cannot have been, in words.
    fn contradicted(&self, seen: &[(u32, i64)]) -> Option<String> {
        let one = seen.iter().find_map(|&(account, value)| self.impossible(account, value));
        one.or_else(|| self.wrong_sum(seen))
    }

    fn impossible(&self, account: u32, value: i64) -> Option<String> {
        let name = self.names.get(account as usize)?;
        let (low, high) = (self.low(account), self.high(account));
        let told = || format!("{value} in account {name}, which began with {}", self.model.initial);
        if i128::from(value) < low {
            return Some(format!(
                "{} and cannot fall below {low} by all that was asked for until then",
                told()
            ));
        }
        if i128::from(value) > high {
            return Some(format!(
                "{} and cannot rise above {high} by all that was asked for until then",
                told()
            ));
        }
        let divisor = i128::from(self.accounts.get(account as usize)?.divisor);
        let away = i128::from(value) - self.initial();
        let fits = if divisor == 0 { away == 0 } else { away % divisor == 0 };
        (!fits)
            .then(|| format!("{}; all amounts asked for on it until then are multiples of {divisor}", told()))
    }

    fn wrong_sum(&self, seen: &[(u32, i64)]) -> Option<String> {
        if seen.len() < self.names.len() {
            return None;
        }
        let mut known = vec![None; self.names.len()];
        for &(account, value) in seen {
            *known.get_mut(account as usize)? = Some(value);
        }
        let sum = known.into_iter().try_fold(0, |sum, value| Some(sum + i128::from(value?)))?;
        let (all, total) = (self.names.len(), self.total());
        (sum != total).then(|| {
            format!("balances of all {all} accounts that sum to {sum}; they began with {total}, and no transfer makes or destroys money")
        })
    }
}

fn gcd(mut one: u64, mut two: u64) -> u64 {
    while two != 0 {
        (one, two) = (two, one % two);
    }
    one
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checker::testing::Build;
    use crate::history::data_file::parse_data_file;

    #[track_caller]
    fn refuted(build: Build, file: Option<&str>, reason: &str) {
        let last =
            file.map(|text| Final { node: "srv-1".into(), file: parse_data_file(text.as_bytes()).unwrap() });
        let last: Vec<Final> = last.into_iter().collect();
        let found = refute(&build.history(), &BankModel::default(), &last).map(|found| found.reason);
        assert_eq!(found.as_deref().unwrap_or("nothing"), reason);
    }

    #[test]
    fn money_that_came_from_nowhere_is_told_by_its_sum() {
        let build = Build::new().pending(0, ("a", "b", 5)).read((1, 2), &[("a", 100), ("b", 105)]);
        let said = "#1 saw balances of all 2 accounts that sum to 205; they began with 200, and no transfer makes or destroys money";
        refuted(build, None, said);
    }

    #[test]
    fn a_balance_that_no_sum_of_amounts_gives_is_told_by_their_divisor() {
        let build = Build::new().pending(0, ("a", "b", 5)).pending(1, ("b", "a", 10));
        let said = "the final file of srv-1 has 97 in account a, which began with 100; all amounts asked for on it until then are multiples of 5";
        refuted(build, Some("# t\na 97\nb 103\n"), said);
    }

    #[test]
    fn a_balance_out_of_reach_is_told_with_its_bound() {
        let build = || Build::new().pending(0, ("a", "b", 60)).pending(1, ("a", "b", 60));
        let said = "the final file of srv-1 has -20 in account a, which began with 100 and cannot fall below 1 by all that was asked for until then";
        refuted(build(), Some("# t\na -20\nb 220\n"), said);
        refuted(build(), Some("# t\na 40\nb 160\n"), "nothing");
        let early = Build::new().read((0, 1), &[("a", 40)]).pending(2, ("a", "b", 60));
        let said = "#0 saw 40 in account a, which began with 100 and cannot fall below 100 by all that was asked for until then";
        refuted(early, None, said);
    }
}
