//! How entries and snapshots are written as words on a line, for the wire and for the log file.
//!
//! One codec for both, so that what was sent and what was stored can be compared by eye. It must
//! not know which line the words stand on, nor trust them: a reader of words never panics.

use std::fmt::{self, Write};
use std::str::{FromStr, Split};

use super::bank::Bank;
use super::entry::{Command, Entry, Position, Snapshot};
use super::members::Members;
use super::transfer::Transfer;

const COUNTER_LIMIT: u64 = 1 << 62;

/// Reads a line word by word.
pub struct Words<'a>(Split<'a, char>);

/// What stood where something else was expected.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected {expected}, found {found:?}")]
pub struct BadWord {
    expected: &'static str,
    found: String,
}

impl BadWord {
    /// The word `found` is no `expected`.
    pub fn new(expected: &'static str, found: &str) -> Self {
        Self { expected, found: found.chars().take(80).collect() }
    }
}

impl<'a> Words<'a> {
    /// The words of a line without its newline.
    pub fn of(line: &'a str) -> Self {
        Self(line.split(' '))
    }

    /// The next word, whatever it is; none at the end of the line.
    pub fn next_word(&mut self) -> Option<&'a str> {
        self.0.next()
    }

    /// The next word as a number, or as anything else that parses.
    pub fn parse<T: FromStr>(&mut self, expected: &'static str) -> Result<T, BadWord> {
        let word = self.0.next().unwrap_or("");
        word.parse().map_err(|_| BadWord::new(expected, word))
    }

    /// The next word as an incarnation, an index or a count: far enough below 2^64 that sums of
    /// a few of them cannot overflow, whoever wrote them.
    pub fn counter(&mut self, expected: &'static str) -> Result<u64, BadWord> {
        let word = self.0.next().unwrap_or("");
        let number = word.parse().ok().filter(|&number: &u64| number < COUNTER_LIMIT);
        number.ok_or_else(|| BadWord::new(expected, word))
    }

    /// `INCARNATION INDEX`.
    pub fn position(&mut self) -> Result<Position, BadWord> {
        let incarnation = self.counter("an incarnation")?;
        Ok(Position { incarnation, index: self.counter("an index")? })
    }

    /// `COUNT` and that many entries.
    pub fn entries(&mut self) -> Result<Vec<Entry>, BadWord> {
        let count = self.counter("a count of entries")?;
        (0..count).map(|_| self.entry()).collect()
    }

    fn entry(&mut self) -> Result<Entry, BadWord> {
        let incarnation = self.counter("an incarnation")?;
        let command = match self.next_word().unwrap_or("") {
            "noop" => Command::Noop,
            "at" => self.stamped_transfer()?,
            "members" => Command::Members(self.members()?),
            other => return Err(BadWord::new("`noop`, `at` or `members`", other)),
        };
        Ok(Entry { incarnation, command })
    }

    fn stamped_transfer(&mut self) -> Result<Command, BadWord> {
        let time = self.parse("a time in seconds")?;
        let (from, to) = (self.parse("an account")?, self.parse("an account")?);
        let transfer = Transfer { from, to, amount: self.parse("an amount")? };
        Ok(Command::Transfer { time, transfer })
    }

    /// `COUNT` and that many replicas and lives.
    pub fn members(&mut self) -> Result<Members, BadWord> {
        let count = self.counter("a count of members")?;
        let members = (0..count).map(|_| Ok((self.counter("a replica")?, self.counter("a life")?)));
        Ok(Members(members.collect::<Result<_, BadWord>>()?))
    }

    /// A position, a time or `-`, the members, `COUNT` and that many accounts.
    pub fn snapshot(&mut self) -> Result<Snapshot, BadWord> {
        let last = self.position()?;
        let time = match self.next_word().unwrap_or("") {
            "-" => None,
            word => Some(word.parse().map_err(|_| BadWord::new("a time or `-`", word))?),
        };
        let members = self.members()?;
        let count = self.counter("a count of accounts")?;
        let accounts = (0..count)
            .map(|_| Ok((self.parse("an account")?, self.parse("a balance")?)))
            .collect::<Result<_, BadWord>>()?;
        Ok(Snapshot { last, bank: Bank { time, accounts, members } })
    }

    /// The line must end here.
    pub fn end(&mut self) -> Result<(), BadWord> {
        self.0.next().map_or(Ok(()), |word| Err(BadWord::new("the end of the line", word)))
    }
}

/// Writes what [`Words::entries`] reads.
pub fn write_entries(out: &mut impl Write, entries: &[Entry]) -> fmt::Result {
    write!(out, "{}", entries.len())?;
    for entry in entries {
        match &entry.command {
            Command::Noop => write!(out, " {} noop", entry.incarnation)?,
            Command::Transfer { time, transfer } => {
                write!(out, " {} at {time} {transfer}", entry.incarnation)?;
            }
            Command::Members(members) => {
                write!(out, " {} members ", entry.incarnation)?;
                write_members(out, members)?;
            }
        }
    }
    Ok(())
}

/// Writes what [`Words::members`] reads.
pub fn write_members(out: &mut impl Write, Members(lives): &Members) -> fmt::Result {
    write!(out, "{}", lives.len())?;
    lives.iter().try_for_each(|(replica, life)| write!(out, " {replica} {life}"))
}

/// Writes what [`Words::snapshot`] reads.
pub fn write_snapshot(out: &mut impl Write, last: Position, bank: &Bank) -> fmt::Result {
    write!(out, "{} {} ", last.incarnation, last.index)?;
    match bank.time {
        Some(time) => write!(out, "{time}")?,
        None => out.write_char('-')?,
    }
    out.write_char(' ')?;
    write_members(out, &bank.members)?;
    write!(out, " {}", bank.accounts.len())?;
    bank.accounts.iter().try_for_each(|(name, balance)| write!(out, " {name} {balance}"))
}
