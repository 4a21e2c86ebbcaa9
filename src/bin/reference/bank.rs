//! The state machine: balances, the guard, and the data file's text.
//!
//! Deterministic, and the same code on both sides: the coordinator answers from it, a replica
//! writes its file from it. It must not know logs, how votes are counted, or whether an entry is
//! committed.

use std::collections::BTreeMap;
use std::fmt;

use super::bug::{self, Bug};
use super::clock;
use super::entry::Command;
use super::members::Members;
use super::transfer::Transfer;

/// What every account holds before its first transfer.
pub const INITIAL: i64 = 100;

/// All accounts that a request ever named, sorted, and the time of the latest request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bank {
    /// The stamp of the latest request; none before the first.
    pub time: Option<i64>,
    /// Balances by name.
    pub accounts: BTreeMap<String, i64>,
    /// Whose votes count: no part of the data file, but of the state that replicas agree on.
    pub members: Members,
}

/// Both balances after a transfer, which is all that a client is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Balances {
    /// Of the giving account.
    pub from: i64,
    /// Of the taking account.
    pub to: i64,
}

impl Bank {
    /// Applies one entry. The single way in which a bank changes.
    pub fn apply(&mut self, command: &Command) -> Option<Balances> {
        match command {
            Command::Noop => None,
            Command::Members(members) => {
                self.members.clone_from(members);
                None
            }
            Command::Transfer { time, transfer } => {
                self.time = Some(*time);
                Some(self.transfer(transfer))
            }
        }
    }

    /// An account is listed once it is named, also when the guard holds the money back.
    fn transfer(&mut self, transfer: &Transfer) -> Balances {
        let from = self.balance(&transfer.from);
        let to = self.balance(&transfer.to);
        if transfer.from == transfer.to || !guard(from, to, transfer.amount) {
            return Balances { from, to };
        }
        let after = Balances { from: from - transfer.amount, to: to + transfer.amount };
        self.set(&transfer.from, after.from);
        self.set(&transfer.to, after.to);
        after
    }

    /// Looks before it inserts: naming a known account must not allocate.
    fn balance(&mut self, name: &str) -> i64 {
        if let Some(&balance) = self.accounts.get(name) {
            return balance;
        }
        self.accounts.insert(name.to_owned(), INITIAL);
        INITIAL
    }

    fn set(&mut self, name: &str, balance: i64) {
        if let Some(slot) = self.accounts.get_mut(name) {
            *slot = balance;
        }
    }
}

/// The guard is strict, and holds as well where the taker's balance would leave 64 bits.
fn guard(from: i64, to: i64, amount: i64) -> bool {
    let enough =
        from > amount || (Bug::GuardDiffers.is_planted() && bug::has_other_guard() && from == amount);
    enough && to.checked_add(amount).is_some()
}

impl fmt::Display for Balances {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} {}", self.from, self.to)
    }
}

/// The data file. A bank that never saw a request has none, so the text is empty.
impl fmt::Display for Bank {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(time) = self.time else {
            return Ok(());
        };
        writeln!(out, "# {}", clock::http_style(time))?;
        self.accounts.iter().try_for_each(|(name, balance)| writeln!(out, "{name} {balance}"))
    }
}

#[cfg(test)]
mod tests {
    use super::{Balances, Bank};
    use crate::reference::entry::Command;
    use crate::reference::transfer::Transfer;

    fn apply(bank: &mut Bank, from: &str, to: &str, amount: i64) -> (i64, i64) {
        let transfer = Transfer { from: from.into(), to: to.into(), amount };
        let Balances { from, to } = bank.apply(&Command::Transfer { time: 0, transfer }).unwrap();
        (from, to)
    }

    #[test]
    fn money_moves_only_when_more_is_there() {
        let mut bank = Bank::default();
        assert_eq!(apply(&mut bank, "a", "b", 100), (100, 100));
        assert_eq!(apply(&mut bank, "a", "b", 99), (1, 199));
        assert_eq!(apply(&mut bank, "a", "b", 1), (1, 199));
        assert_eq!(apply(&mut bank, "b", "b", 5), (199, 199));
    }

    #[test]
    fn a_balance_that_would_leave_64_bits_is_guarded() {
        let mut bank = Bank::default();
        bank.accounts.insert("rich".into(), i64::MAX);
        assert_eq!(apply(&mut bank, "a", "rich", 1), (100, i64::MAX));
        assert_eq!(apply(&mut bank, "rich", "a", i64::MAX - 1), (i64::MAX, 100));
    }

    #[test]
    fn the_file_lists_every_account_ever_named_and_the_latest_time() {
        let mut bank = Bank::default();
        assert_eq!(bank.to_string(), "");
        assert_eq!(bank.apply(&Command::Noop), None);
        apply(&mut bank, "z", "b", 1000);
        apply(&mut bank, "a", "a", 1);
        let expected = "# Thu, 01 Jan 1970 00:00:00 +0000\na 100\nb 100\nz 100\n";
        assert_eq!(bank.to_string(), expected);
    }
}
