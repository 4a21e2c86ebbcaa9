//! The bank a second time: transfers and reads over an array of balances.
//!
//! Final files are last reads of every account; an account that a file does not name
//! was never touched in it. Shares with the checker only the parsed history.

use rustc_hash::FxHashMap;
use serde_json::Value;

use super::model::Rules;
use super::{Moment, Span, Subject};
use crate::history::data_file::DataFile;
use crate::history::{AccountId, Call, History, Observed, Operation};
use crate::op::Outcome;

/// Later than every line.
const AFTER_ALL: Moment = 1 << 64;

/// What two different accounts hold after a transfer between them.
pub(super) fn moved(rules: Rules, [held, holds]: [i64; 2], amount: i64) -> [i64; 2] {
    let left = i128::from(held) - i128::from(amount);
    let guarded = rules.least_left.is_none_or(|least| left >= i128::from(least));
    if !guarded || (amount < 0 && !rules.negative) {
        return [held, holds];
    }
    // What does not fit into 64 bits moves nothing.
    match (i64::try_from(left), holds.checked_add(amount)) {
        (Ok(left), Some(gained)) => [left, gained],
        _ => [held, holds],
    }
}

/// A history of a bank with its last reads.
pub struct Bank<'a> {
    rules: Rules,
    history: &'a History,
    finals: Vec<LastRead<'a>>,
}

/// What a final file says, account for account.
struct LastRead<'a> {
    name: &'a str,
    balances: Vec<i64>,
    /// An account that nobody used and that does not hold the initial balance.
    stranger: Option<(&'a str, i64)>,
}

impl<'a> Bank<'a> {
    /// `finals` are the files that count as last reads, each with the name of its node.
    pub fn new(
        rules: Rules,
        history: &'a History,
        finals: impl IntoIterator<Item = (&'a str, &'a DataFile)>,
    ) -> Self {
        let known: FxHashMap<&str, usize> = history.accounts.iter().map(String::as_str).zip(0..).collect();
        let read = |(name, file): (&'a str, &'a DataFile)| {
            let mut read =
                LastRead { name, balances: vec![rules.initial; history.accounts.len()], stranger: None };
            for (account, balance) in &file.balances {
                match known.get(account.as_str()) {
                    Some(&at) => read.balances[at] = *balance,
                    None if *balance != rules.initial => read.stranger = Some((account, *balance)),
                    None => {}
                }
            }
            read
        };
        let finals = finals.into_iter().map(read).collect();
        Self { rules, history, finals }
    }

    fn transfer(&self, state: &mut [i64], from: AccountId, to: AccountId, amount: i64) -> Result<(), String> {
        let (held, holds) = (self.balance(state, from)?, self.balance(state, to)?);
        if from != to {
            let after = moved(self.rules, [held, holds], amount);
            (state[from.0 as usize], state[to.0 as usize]) = (after[0], after[1]);
        }
        Ok(())
    }

    fn balance(&self, state: &[i64], account: AccountId) -> Result<i64, String> {
        state.get(account.0 as usize).copied().ok_or_else(|| format!("there is no account {}", account.0))
    }

    fn same(&self, state: &[i64], account: AccountId, seen: i64) -> Result<(), String> {
        match self.balance(state, account)? {
            held if held == seen => Ok(()),
            held => Err(format!("account {} holds {held}, {seen} was seen", self.history.account(account))),
        }
    }

    fn result(&self, state: &[i64], operation: &Operation) -> Result<(), String> {
        let known = operation.completion.as_ref().filter(|_| operation.outcome() == Outcome::Ok);
        match (&operation.call, known.map(|completion| &completion.observed)) {
            (&Call::Transfer { from, to, .. }, Some(&Observed::Pair([seen_from, seen_to]))) => {
                self.same(state, from, seen_from)?;
                self.same(state, to, seen_to)
            }
            (_, Some(Observed::Balances(seen))) => {
                seen.iter().try_for_each(|&(account, balance)| self.same(state, account, balance))
            }
            _ => Ok(()),
        }
    }

    fn read(&self, state: &[i64], file: &LastRead<'_>) -> Result<(), String> {
        if let Some((account, balance)) = file.stranger {
            return Err(format!("{} has {balance} in account {account}, which nobody used", file.name));
        }
        for (account, &balance) in (0..).zip(&file.balances) {
            self.same(state, AccountId(account), balance).map_err(|why| format!("{}: {why}", file.name))?;
        }
        Ok(())
    }
}

impl Subject for Bank<'_> {
    type State = Vec<i64>;

    fn count(&self) -> usize {
        self.history.operations.len() + self.finals.len()
    }

    fn span(&self, number: usize) -> Span {
        let Some(operation) = self.history.operations.get(number) else {
            return Span { invoke: AFTER_ALL, returns: Some(AFTER_ALL + 1), outcome: Outcome::Ok };
        };
        let outcome = operation.outcome();
        let returns = operation.completion.as_ref().filter(|_| outcome == Outcome::Ok);
        let returns = returns.map(|completion| Moment::from(completion.index));
        Span { invoke: Moment::from(operation.invoke), returns, outcome }
    }

    fn part(&self, _: usize) -> u64 {
        0
    }

    fn observes(&self, number: usize) -> bool {
        match self.history.operations.get(number).map(|operation| &operation.call) {
            Some(Call::Transfer { from, to, amount }) => {
                from == to || *amount == 0 || (*amount < 0 && !self.rules.negative)
            }
            Some(Call::Read) | None => true,
        }
    }

    fn initial(&self) -> Vec<i64> {
        vec![self.rules.initial; self.history.accounts.len()]
    }

    fn state(&self, told: &Value) -> Result<Vec<i64>, String> {
        let told = told.as_object().ok_or("a state of the bank is an object of names and balances")?;
        let mut state = self.initial();
        for (name, balance) in told {
            let account = self.history.accounts.iter().position(|account| account == name);
            let account = account.ok_or_else(|| format!("the history knows no account `{name}`"))?;
            state[account] = balance
                .as_i64()
                .ok_or_else(|| format!("the balance of `{name}` is no signed 64-bit integer"))?;
        }
        Ok(state)
    }

    fn step(&self, state: &mut Vec<i64>, number: usize, result: bool) -> Result<(), String> {
        let Some(operation) = self.history.operations.get(number) else {
            let file = self.finals.get(number - self.history.operations.len()).filter(|_| result);
            return file.map_or(Ok(()), |file| self.read(state, file));
        };
        if let Call::Transfer { from, to, amount } = operation.call {
            self.transfer(state, from, to, amount)?;
        }
        if result { self.result(state, operation) } else { Ok(()) }
    }

    fn weight(&self, state: &Vec<i64>) -> usize {
        24 + 8 * state.len()
    }
}
