//! The lines between the durable coordinator and its replicas (docs/PROTOCOL.md).
//!
//! Every message to a replica gets exactly one answer, in order, on the same connection. This file
//! must not know what a message does; it only gives each its one spelling.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use super::bank::{Balances, Bank};
use super::bug::Bug;
use super::entry::{Entry, Position, Snapshot};
use super::members::{Life, Members};
use super::words::{BadWord, Words, write_entries, write_members, write_snapshot};

/// Coordinator to replica. Each names the incarnation that speaks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ToReplica<'a> {
    /// Follow no incarnation below this one any more.
    Promise {
        /// Must be higher than every earlier promise.
        incarnation: u64,
    },
    /// Tell what you hold after this index.
    Fetch {
        /// Must be the one promised.
        incarnation: u64,
        /// The index that is known already.
        after: u64,
    },
    /// Hold these entries after `previous`, and know that `commit` is committed.
    Append {
        /// The one that speaks.
        incarnation: u64,
        /// The place that the entries follow; must be in the log.
        previous: Position,
        /// The highest committed index that the coordinator knows.
        commit: u64,
        /// None in a heartbeat.
        entries: Cow<'a, [Entry]>,
    },
    /// Replace everything up to `last` by this state, all of it committed.
    Install {
        /// The one that speaks.
        incarnation: u64,
        /// Where the state stands.
        last: Position,
        /// The state.
        bank: Cow<'a, Bank>,
    },
    /// Only with [`Bug::StaleRead`]: tell these two balances.
    Read {
        /// The one that speaks.
        incarnation: u64,
        /// The first account.
        from: String,
        /// The second one.
        to: String,
    },
}

/// What a replica knows of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// A committed entry that it holds names its life.
    Member,
    /// Its files are new: perhaps it is, perhaps its directory was emptied.
    New,
    /// It had files before these, and what they said is lost.
    Forgetful,
}

impl Standing {
    /// Its one spelling.
    pub fn word(self) -> &'static str {
        match self {
            Self::Member => "member",
            Self::New => "new",
            Self::Forgetful => "forgetful",
        }
    }
}

impl FromStr for Standing {
    type Err = BadWord;

    fn from_str(word: &str) -> Result<Self, BadWord> {
        let known = [Self::Member, Self::New, Self::Forgetful].into_iter();
        let mut found = known.filter(|standing| standing.word() == word);
        found.next().ok_or_else(|| BadWord::new("`member`, `new` or `forgetful`", word))
    }
}

/// Replica to coordinator. Everything it says is already on disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FromReplica<'a> {
    /// Answer to a promise that was granted. Whether it is a vote is for the coordinator to say.
    Promised {
        /// The one promised.
        incarnation: u64,
        /// The end of this replica's log.
        last: Position,
        /// Which life of the replica promises.
        life: Life,
        /// What it knows of itself.
        standing: Standing,
        /// Who are members at the end of its log, committed or not.
        members: Cow<'a, Members>,
    },
    /// A higher (for a promise: no lower) incarnation was promised.
    Fenced {
        /// That one.
        promised: u64,
    },
    /// Answer to a fetch: entries after the index asked for.
    Entries {
        /// The one that asked.
        incarnation: u64,
        /// The entries, perhaps not all; none at the end.
        entries: Cow<'a, [Entry]>,
    },
    /// Answer to a fetch that starts below what is held as entries: begin with this state.
    State {
        /// The one that asked.
        incarnation: u64,
        /// Where the state stands.
        last: Position,
        /// The state.
        bank: Cow<'a, Bank>,
    },
    /// The log equals the coordinator's up to this index.
    Appended {
        /// The one that asked.
        incarnation: u64,
        /// The end of what was just compared, not the end of the log.
        index: u64,
    },
    /// As `Appended`, but of a replica that does not know itself for a member: it has no vote.
    Copied {
        /// The one that asked.
        incarnation: u64,
        /// The end of what was just compared.
        index: u64,
        /// Which life of the replica it is.
        life: Life,
    },
    /// `previous` is not in the log. Everything up to `commit` is certain to agree.
    Mismatch {
        /// The one that asked.
        incarnation: u64,
        /// Where to start again.
        commit: u64,
    },
    /// Only with [`Bug::StaleRead`]: as far as this replica has applied.
    Balances(Balances),
}

impl fmt::Display for ToReplica<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Promise { incarnation } => write!(out, "promise {incarnation}"),
            Self::Fetch { incarnation, after } => write!(out, "fetch {incarnation} {after}"),
            Self::Append { incarnation, previous, commit, entries } => {
                let Position { incarnation: term, index } = previous;
                write!(out, "append {incarnation} {term} {index} {commit} ")?;
                write_entries(out, entries)
            }
            Self::Install { incarnation, last, bank } => {
                write!(out, "install {incarnation} ")?;
                write_snapshot(out, *last, bank)
            }
            Self::Read { incarnation, from, to } => write!(out, "read {incarnation} {from} {to}"),
        }
    }
}

impl TryFrom<&str> for ToReplica<'static> {
    type Error = BadWord;

    fn try_from(line: &str) -> Result<Self, BadWord> {
        let mut words = Words::of(line);
        let verb = words.next_word().unwrap_or("");
        let message = read_to_replica(verb, &mut words)?;
        words.end()?;
        Ok(message)
    }
}

fn read_to_replica(verb: &str, words: &mut Words<'_>) -> Result<ToReplica<'static>, BadWord> {
    let reads = verb == "read" && Bug::StaleRead.is_planted();
    if !["promise", "fetch", "append", "install"].contains(&verb) && !reads {
        return Err(BadWord::new("a message of the durable coordinator", verb));
    }
    let incarnation = words.counter("an incarnation")?;
    Ok(match verb {
        "promise" => ToReplica::Promise { incarnation },
        "read" => {
            let (from, to) = (words.parse("an account")?, words.parse("an account")?);
            ToReplica::Read { incarnation, from, to }
        }
        "fetch" => ToReplica::Fetch { incarnation, after: words.counter("an index")? },
        "append" => ToReplica::Append {
            incarnation,
            previous: words.position()?,
            commit: words.counter("a commit index")?,
            entries: Cow::Owned(words.entries()?),
        },
        _ => {
            let Snapshot { last, bank } = words.snapshot()?;
            ToReplica::Install { incarnation, last, bank: Cow::Owned(bank) }
        }
    })
}

impl fmt::Display for FromReplica<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Promised { incarnation, last, life, standing, members } => {
                let (Position { incarnation: term, index }, word) = (last, standing.word());
                write!(out, "promised {incarnation} {term} {index} {life} {word} ")?;
                write_members(out, members)
            }
            Self::Fenced { promised } => write!(out, "fenced {promised}"),
            Self::Entries { incarnation, entries } => {
                write!(out, "entries {incarnation} ")?;
                write_entries(out, entries)
            }
            Self::State { incarnation, last, bank } => {
                write!(out, "state {incarnation} ")?;
                write_snapshot(out, *last, bank)
            }
            Self::Appended { incarnation, index } => write!(out, "appended {incarnation} {index}"),
            Self::Copied { incarnation, index, life } => write!(out, "copied {incarnation} {index} {life}"),
            Self::Mismatch { incarnation, commit } => write!(out, "mismatch {incarnation} {commit}"),
            Self::Balances(balances) => write!(out, "balances {balances}"),
        }
    }
}

impl TryFrom<&str> for FromReplica<'static> {
    type Error = BadWord;

    fn try_from(line: &str) -> Result<Self, BadWord> {
        let mut words = Words::of(line);
        let verb = words.next_word().unwrap_or("");
        let message = read_from_replica(verb, &mut words)?;
        words.end()?;
        Ok(message)
    }
}

fn read_from_replica(verb: &str, words: &mut Words<'_>) -> Result<FromReplica<'static>, BadWord> {
    let known = ["promised", "fenced", "entries", "state", "appended", "copied", "mismatch"];
    if !(known.contains(&verb) || verb == "balances" && Bug::StaleRead.is_planted()) {
        return Err(BadWord::new("an answer of a durable replica", verb));
    }
    if verb == "balances" && Bug::StaleRead.is_planted() {
        let (from, to) = (words.parse("a balance")?, words.parse("a balance")?);
        return Ok(FromReplica::Balances(Balances { from, to }));
    }
    let incarnation = words.counter("an incarnation")?;
    Ok(match verb {
        "promised" => FromReplica::Promised {
            incarnation,
            last: words.position()?,
            life: words.counter("a life")?,
            standing: words.next_word().unwrap_or("").parse()?,
            members: Cow::Owned(words.members()?),
        },
        "fenced" => FromReplica::Fenced { promised: incarnation },
        "entries" => FromReplica::Entries { incarnation, entries: Cow::Owned(words.entries()?) },
        "appended" => FromReplica::Appended { incarnation, index: words.counter("an index")? },
        "copied" => FromReplica::Copied {
            incarnation,
            index: words.counter("an index")?,
            life: words.counter("a life")?,
        },
        "mismatch" => FromReplica::Mismatch { incarnation, commit: words.counter("an index")? },
        _ => {
            let Snapshot { last, bank } = words.snapshot()?;
            FromReplica::State { incarnation, last, bank: Cow::Owned(bank) }
        }
    })
}
