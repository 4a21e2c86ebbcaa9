//! A durable replica as a pure state machine: lines in, lines out, a disk behind one trait.
//!
//! What it promises: every answer it gives speaks of what is already synced. Each rule stands in
//! one place: whom it follows (`adopt`), what it keeps (`append`), when it answers (`finish_group`),
//! what the world sees (`publish`). It must not know sockets, clocks, or how many replicas there
//! are; the order of entries is the coordinator's business.

mod bugs;
mod error;
pub mod storage;
mod wal;

use std::borrow::Cow;

use crate::reference::bank::Bank;
use crate::reference::bug::Bug;
use crate::reference::entry::{Entry, Position};
use crate::reference::log::Log;
use crate::reference::members::Life;
use crate::reference::message::{FromReplica, Standing, ToReplica};
pub use error::{BadLine, ReplicaError};
use storage::{Name, Storage, replace};
use wal::{Memory, Recovered, Wal};

/// How much is kept and told at a time. It affects no promise.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Bytes added to the log before it is summed up in a new one.
    pub compact_bytes: u64,
    /// Most entries in one answer to a fetch.
    pub fetch_entries: usize,
}

/// An answer and the connection it goes to.
#[derive(Debug)]
pub struct Answer {
    /// As given to [`Replica::handle`].
    pub connection: u64,
    /// One line without its newline.
    pub line: String,
}

/// How much was done, for the line that a replica prints when it ends.
#[derive(Clone, Copy, Debug, Default)]
pub struct Figures {
    /// Groups made durable, each with one sync.
    pub groups: u64,
    /// Entries in them.
    pub entries: u64,
}

/// One replica.
pub struct Replica<S> {
    storage: S,
    memory: Memory,
    wal: Wal,
    answers: Vec<Answer>,
    limits: Limits,
    recorded_commit: u64,
    published: Option<u64>,
    figures: Figures,
    in_step: bool,
}

impl<S: Storage> Replica<S> {
    /// Remembers what the disk holds. Where it holds nothing, or what is damaged, this is another
    /// `life` of the replica, unlike every other. Also says what is worth a line.
    pub fn open(mut storage: S, limits: Limits, life: Life) -> Result<(Self, String), ReplicaError> {
        let (memory, wal, story) = match wal::recover(&mut storage) {
            Err(damage @ ReplicaError::Corrupt { .. }) => begin_again(&mut storage, life, &damage)?,
            Err(other) => return Err(other),
            Ok(None) => begin(&mut storage, life)?,
            Ok(Some(mut found)) => {
                bugs::forget_everything(&mut found.memory);
                bugs::believe_data_file(&mut storage, &mut found.memory)?;
                settle(&mut storage, &mut found)?;
                let place = found.memory.log.last();
                let story = format!(
                    "recovered position {}, promised {}, applied {}, torn bytes cut {}",
                    place.index, found.memory.promised, found.memory.applied, found.torn
                );
                (found.memory, found.wal, story)
            }
        };
        let mut replica = Self {
            storage,
            wal,
            limits,
            recorded_commit: memory.commit,
            memory,
            answers: Vec::new(),
            published: None,
            figures: Figures::default(),
            in_step: false,
        };
        bugs::mistake_entry_in_flight(&mut replica.memory);
        replica.publish()?;
        Ok((replica, story))
    }

    /// Takes one line. Its answer waits for [`Replica::finish_group`].
    pub fn handle(&mut self, connection: u64, line: &str) -> Result<(), BadLine> {
        let line = match ToReplica::try_from(line)? {
            ToReplica::Promise { incarnation } => self.promise(incarnation).to_string(),
            ToReplica::Fetch { incarnation, after } => self.fetch(incarnation, after).to_string(),
            ToReplica::Append { incarnation, previous, commit, entries } => {
                self.append(incarnation, previous, commit, entries.into_owned())?.to_string()
            }
            ToReplica::Read { from, to, .. } => bugs::read(&self.memory.bank, &from, &to).to_string(),
            ToReplica::Install { incarnation, last, bank } => {
                self.install(incarnation, last, bank.into_owned()).to_string()
            }
        };
        self.answers.push(Answer { connection, line });
        Ok(())
    }

    /// Makes the group durable, and only then releases its answers.
    pub fn finish_group(&mut self) -> Result<Vec<Answer>, ReplicaError> {
        if !self.wal.is_clean() {
            if self.recorded_commit < self.memory.commit && !Bug::InPlace.is_planted() {
                self.record_commit();
            }
            if let Err(error) = self.sync_log() {
                return if bugs::goes_on_after(&error) { Ok(Vec::new()) } else { Err(error) };
            }
            self.figures.groups += 1;
        }
        let was_member = self.memory.is_member();
        self.memory.apply_committed();
        if self.memory.is_member() && !was_member {
            self.remember_membership()?;
        }
        if self.wal.outgrew(self.limits.compact_bytes) {
            self.compact()?;
        }
        Ok(std::mem::take(&mut self.answers))
    }

    /// Writes the data file, from committed entries only, if it is not current.
    pub fn publish(&mut self) -> Result<(), ReplicaError> {
        if !self.is_stale() {
            return Ok(());
        }
        let text = self.memory.bank.to_string();
        if Bug::InPlace.is_planted() {
            return self.publish_in_place(&text);
        }
        replace(&mut self.storage, (Name::NextData, Name::Data), text.as_bytes())
            .map_err(|e| ReplicaError::io(&self.storage, "replace", Name::Data, e))
            .or_else(|error| if bugs::goes_on_after(&error) { Ok(()) } else { Err(error) })?;
        self.published = Some(self.memory.applied);
        if self.recorded_commit < self.memory.commit {
            self.record_commit();
            self.sync_log().or_else(|error| if bugs::goes_on_after(&error) { Ok(()) } else { Err(error) })?;
        }
        Ok(())
    }

    /// Whether the data file lacks a committed entry. Before the first request there is no file.
    pub fn is_stale(&self) -> bool {
        self.memory.bank.time.is_some() && self.published != Some(self.memory.applied)
    }

    /// The end of the log, and how much of it is applied.
    pub fn position(&self) -> (u64, u64) {
        (self.memory.log.last().index, self.memory.applied)
    }

    /// Whether, since the start, this replica was once seen to hold all that is committed, with a
    /// vote: if it lost anything, it has it again.
    pub fn is_in_step(&self) -> bool {
        self.in_step
    }

    /// What was done since the start.
    pub fn figures(&self) -> Figures {
        self.figures
    }

    /// Granted only above every earlier promise, so at most one coordinator gets each number here.
    fn promise(&mut self, incarnation: u64) -> FromReplica<'static> {
        if incarnation <= self.memory.promised {
            return self.fenced();
        }
        self.adopt(incarnation);
        let Memory { life, forgetful, ref log, .. } = self.memory;
        let standing = match forgetful {
            _ if self.memory.is_member() => Standing::Member,
            false => Standing::New,
            true => Standing::Forgetful,
        };
        let members = Cow::Owned(self.memory.members());
        FromReplica::Promised { incarnation, last: log.last(), life, standing, members }
    }

    /// The log of a promised incarnation changes only at its word, so a fetch in pieces is sound.
    fn fetch(&self, incarnation: u64, after: u64) -> FromReplica<'_> {
        if incarnation != self.memory.promised {
            return self.fenced();
        }
        let Memory { log, applied, bank, .. } = &self.memory;
        match log.after(after, self.limits.fetch_entries) {
            Some(entries) if after >= *applied => {
                FromReplica::Entries { incarnation, entries: Cow::Borrowed(entries) }
            }
            _ => {
                let last = log.position_at(*applied).unwrap_or(log.base());
                FromReplica::State { incarnation, last, bank: Cow::Borrowed(bank) }
            }
        }
    }

    fn append(
        &mut self,
        incarnation: u64,
        previous: Position,
        commit: u64,
        entries: Vec<Entry>,
    ) -> Result<FromReplica<'static>, BadLine> {
        if self.is_fenced(incarnation) {
            return Ok(self.fenced());
        }
        self.adopt(incarnation);
        if !self.holds(previous) {
            return Ok(FromReplica::Mismatch { incarnation, commit: self.memory.commit });
        }
        let index = previous.index + entries.len() as u64;
        self.keep(previous.index, entries)?;
        self.memory.commit = self.memory.commit.max(commit.min(index));
        self.in_step |= self.memory.is_member() && commit <= index;
        Ok(self.acknowledge(incarnation, index))
    }

    /// Who is no member says so with every word: what it holds counts for no majority.
    fn acknowledge(&self, incarnation: u64, index: u64) -> FromReplica<'static> {
        match self.memory.is_member() {
            true => FromReplica::Appended { incarnation, index },
            false => FromReplica::Copied { incarnation, index, life: self.memory.life },
        }
    }

    /// Before the first word with a vote: a member that had to be told again that it is one would
    /// be missed where every vote is needed.
    fn remember_membership(&mut self) -> Result<(), ReplicaError> {
        if Bug::InPlace.is_planted() && self.is_stale() {
            return self.publish();
        }
        if self.recorded_commit < self.memory.commit {
            self.record_commit();
            self.sync_log()?;
        }
        Ok(())
    }

    /// Keeps what is new from the first difference on. What is already there stays, with whatever
    /// follows it: a late or repeated message must not shorten the log.
    fn keep(&mut self, mut after: u64, mut entries: Vec<Entry>) -> Result<(), BadLine> {
        let known = entries.iter().take_while(|entry| self.knows(&mut after, entry)).count();
        if Bug::RetryIsNew.is_planted() && known == entries.len() {
            after = self.memory.log.last().index;
        } else {
            entries.drain(..known);
        }
        if entries.is_empty() {
            return Ok(());
        }
        let commit = self.memory.commit;
        if after < commit {
            return Err(BadLine::AgainstCommitted { index: after + 1, commit });
        }
        self.wal.stage_entries(after, &entries);
        self.figures.entries += entries.len() as u64;
        self.memory.log.replace_after(after, entries);
        Ok(())
    }

    /// Whether the entry after `after` is this one; then steps over it.
    fn knows(&self, after: &mut u64, entry: &Entry) -> bool {
        let Position { incarnation, index } = Position { incarnation: entry.incarnation, index: *after + 1 };
        let known = self.holds(Position { incarnation, index });
        *after += u64::from(known);
        known
    }

    /// Same place and same incarnation means same entry, and same entries before it (Raft's log
    /// matching). What the base sums up is committed, hence the same for every coordinator.
    fn holds(&self, place: Position) -> bool {
        let log = &self.memory.log;
        let at = log.position_at(place.index);
        place.index <= log.base().index || at == Some(place) || (Bug::NoFencing.is_planted() && at.is_some())
    }

    /// Replaces what this replica lacks by a committed state. Entries that follow the same place
    /// stay: the coordinator may have counted on them.
    fn install(&mut self, incarnation: u64, last: Position, bank: Bank) -> FromReplica<'static> {
        if self.is_fenced(incarnation) {
            return self.fenced();
        }
        self.adopt(incarnation);
        let index = last.index;
        if index > self.memory.commit {
            let continues = self.memory.log.position_at(index) == Some(last);
            let tail = self.memory.log.after(index, usize::MAX).filter(|_| continues);
            let mut log = Log::starting_after(last);
            log.replace_after(index, tail.unwrap_or(&[]).to_vec());
            let Memory { promised, life, forgetful, .. } = self.memory;
            self.memory = Memory { life, forgetful, promised, log, commit: index, bank, applied: index };
            self.wal.demand_rewrite();
        }
        self.acknowledge(incarnation, index)
    }

    fn is_fenced(&self, incarnation: u64) -> bool {
        incarnation < self.memory.promised && !Bug::NoFencing.is_planted()
    }

    fn fenced(&self) -> FromReplica<'static> {
        FromReplica::Fenced { promised: self.memory.promised }
    }

    /// Follows an incarnation from now on, and no lower one ever again.
    fn adopt(&mut self, incarnation: u64) {
        if incarnation > self.memory.promised {
            self.memory.promised = incarnation;
            self.wal.stage_promise(incarnation);
        }
    }

    fn record_commit(&mut self) {
        self.recorded_commit = self.memory.commit;
        self.wal.stage_commit(self.memory.commit);
    }

    fn sync_log(&mut self) -> Result<(), ReplicaError> {
        self.wal
            .sync(&mut self.storage, &self.memory)
            .map_err(|e| ReplicaError::io(&self.storage, "write", Name::Log, e))
    }

    /// Sums up what is applied in a new log file, and forgets it in memory as well.
    fn compact(&mut self) -> Result<(), ReplicaError> {
        self.wal
            .rewrite(&mut self.storage, &self.memory)
            .map_err(|e| ReplicaError::io(&self.storage, "replace", Name::Log, e))?;
        self.recorded_commit = self.memory.commit;
        self.memory.log.discard_through(self.memory.applied);
        Ok(())
    }
}

/// A start without a log. It is there for good before the replica says that it listens. A data file
/// tells that there was one.
fn begin(storage: &mut impl Storage, life: Life) -> Result<(Memory, Wal, String), ReplicaError> {
    let data = storage.read(Name::Data);
    let forgetful = data.map_err(|e| ReplicaError::io(storage, "read", Name::Data, e))?.is_some();
    let why = if forgetful { ", although there is a data file: what it knew is lost" } else { "" };
    create(storage, Memory::of(life, forgetful), format!("started with an empty log{why}"))
}

/// What a damaged log still says cannot be told from what it no longer says. It is kept for
/// whoever asks why, and the replica learns everything anew from the others.
fn begin_again(
    storage: &mut impl Storage,
    life: Life,
    damage: &ReplicaError,
) -> Result<(Memory, Wal, String), ReplicaError> {
    let aside = storage.rename(Name::Log, Name::DamagedLog);
    aside.map_err(|e| ReplicaError::io(storage, "set aside", Name::Log, e))?;
    create(storage, Memory::of(life, true), format!("started with an empty log: {damage}"))
}

fn create(
    storage: &mut impl Storage,
    memory: Memory,
    story: String,
) -> Result<(Memory, Wal, String), ReplicaError> {
    let mut wal = Wal::default();
    wal.rewrite(storage, &memory).map_err(|e| ReplicaError::io(storage, "create", Name::Log, e))?;
    Ok((memory, wal, story))
}

/// What a predecessor wrote may be read and still not be on disk. Before a word is said about it,
/// it is written to a new file, without a torn end, and made durable. To sync the old file is not
/// enough: after a sync that failed the system holds what it could not write for written, shows it
/// to readers, and never tries again (Rebello et al. 2020).
fn settle(storage: &mut impl Storage, found: &mut Recovered) -> Result<(), ReplicaError> {
    let Recovered { memory, wal, .. } = found;
    wal.rewrite(storage, memory).map_err(|e| ReplicaError::io(storage, "recover", Name::Log, e))?;
    memory.log.discard_through(memory.applied);
    Ok(())
}
