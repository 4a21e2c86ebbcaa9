//! The write-ahead log: how a replica's memory is written down and read again.
//!
//! One line is one frame: a CRC-32, and the records of one group. A frame is synced before the
//! next one is written, so a crash can tear the last line and no other: a bad last line is cut
//! off, a bad line before a good one is corruption. The first line sums up everything older.
//! This file must not know the protocol, only what the records do to a memory.

use std::fmt::Write;
use std::io;

use super::ReplicaError;
use super::storage::{Name, Storage, replace};
use crate::reference::bank::Bank;
use crate::reference::bug::{self, Bug};
use crate::reference::entry::{Command, Entry, Position, Snapshot};
use crate::reference::log::Log;
use crate::reference::words::{BadWord, Words, write_entries, write_snapshot};

/// What a replica must never forget, and what it may rebuild from that.
#[derive(Clone, Debug, Default)]
pub struct Memory {
    /// The highest incarnation followed; lower ones are refused.
    pub promised: u64,
    /// Entries after the state that the log file begins with.
    pub log: Log,
    /// The highest index known to be committed. A hint: it may lag behind after a crash.
    pub commit: u64,
    /// The bank after `applied` entries.
    pub bank: Bank,
    /// How many entries the bank has seen; never more than `commit`.
    pub applied: u64,
}

impl Memory {
    /// Lets the bank see every committed entry, each once, in order.
    pub fn apply_committed(&mut self) {
        while self.applied < self.commit {
            let Some([entry]) = self.log.after(self.applied, 1) else { return };
            self.bank.apply(&entry.command);
            if Bug::LocalTime.is_planted() {
                self.bank.time = self.bank.time.map(|_| bug::time_of_day());
            }
            self.applied += 1;
        }
    }
}

impl Memory {
    /// [`Bug::WallClockOrder`].
    fn apply_committed_by_time(&mut self) {
        let count = usize::try_from(self.commit.saturating_sub(self.applied)).unwrap_or(usize::MAX);
        let mut entries = self.log.after(self.applied, count).unwrap_or(&[]).to_vec();
        entries.sort_by_key(|entry| match entry.command {
            Command::Noop => i64::MIN,
            Command::Transfer { time, .. } => time,
        });
        for entry in &entries {
            self.bank.apply(&entry.command);
        }
        self.applied += entries.len() as u64;
    }
}

/// The log file being written.
#[derive(Debug, Default)]
pub struct Wal {
    staged: String,
    must_rewrite: bool,
    length: u64,
    base_length: u64,
}

impl Wal {
    /// Adds a promise to the group.
    pub fn stage_promise(&mut self, incarnation: u64) {
        let _ = write!(self.staged, " promise {incarnation}");
    }

    /// Adds entries that follow `after`, and replace what followed it.
    pub fn stage_entries(&mut self, after: u64, entries: &[Entry]) {
        let _ = write!(self.staged, " after {after} ");
        let _ = write_entries(&mut self.staged, entries);
    }

    /// Adds the commit index. Nothing depends on it but how soon a restarted replica is current.
    pub fn stage_commit(&mut self, commit: u64) {
        let _ = write!(self.staged, " commit {commit}");
    }

    /// The memory was replaced as a whole; no record added to this file could say so.
    pub fn demand_rewrite(&mut self) {
        self.must_rewrite = true;
    }

    /// Whether nothing waits for [`Wal::sync`].
    pub fn is_clean(&self) -> bool {
        self.staged.is_empty() && !self.must_rewrite
    }

    /// Makes the group durable: one frame, one write, one sync; or a new file where it must be.
    pub fn sync(&mut self, storage: &mut impl Storage, memory: &Memory) -> io::Result<()> {
        if self.must_rewrite {
            return self.rewrite(storage, memory);
        }
        let frame = frame(&self.staged);
        storage.append(Name::Log, frame.as_bytes())?;
        if !Bug::AckBeforeSync.is_planted() || bug::background_sync_is_due() {
            storage.sync(Name::Log)?;
        }
        self.length += frame.len() as u64;
        self.staged.clear();
        Ok(())
    }

    /// Whether so much was added that a new file is worth its writing.
    pub fn outgrew(&self, limit: u64) -> bool {
        self.length > self.base_length.saturating_mul(4).max(limit)
    }

    /// Begins a new log file that says the same in one frame; what was staged is part of it.
    pub fn rewrite(&mut self, storage: &mut impl Storage, memory: &Memory) -> io::Result<()> {
        let frame = frame(&base_record(memory));
        replace(storage, (Name::NextLog, Name::Log), frame.as_bytes())?;
        self.length = frame.len() as u64;
        self.base_length = self.length;
        self.must_rewrite = false;
        self.staged.clear();
        Ok(())
    }
}

fn base_record(memory: &Memory) -> String {
    let mut text = format!(" base {} {} ", memory.promised, memory.commit);
    let at = memory.log.position_at(memory.applied).unwrap_or(memory.log.base());
    let _ = write_snapshot(&mut text, at, &memory.bank);
    text.push(' ');
    let _ = write_entries(&mut text, memory.log.after(at.index, usize::MAX).unwrap_or(&[]));
    text
}

fn frame(records: &str) -> String {
    format!("{:08x}{records}\n", crc32fast::hash(records.as_bytes()))
}

/// What was found on disk.
pub struct Recovered {
    /// What the replica knew.
    pub memory: Memory,
    /// The file to continue.
    pub wal: Wal,
    /// Bytes of a torn last frame, cut off.
    pub torn: u64,
}

/// Reads the log file; none if there is none yet.
pub fn recover(storage: &mut impl Storage) -> Result<Option<Recovered>, ReplicaError> {
    let read = storage.read(Name::Log);
    let Some(bytes) = read.map_err(|e| ReplicaError::io(storage, "read", Name::Log, e))? else {
        return Ok(None);
    };
    let path = storage.path(Name::Log);
    let corrupt = |offset, found| ReplicaError::Corrupt { path: path.clone(), offset, found };
    let (mut memory, mut length, mut base_length) = (Memory::default(), 0, 0);
    for line in bytes.split_inclusive(|&byte| byte == b'\n') {
        let Some(records) = checked(line) else { break };
        if length == 0 {
            base_length = line.len() as u64;
        }
        replay(records, &mut memory, length == 0).map_err(|bad| corrupt(length, bad.to_string()))?;
        length += line.len() as u64;
    }
    let rest = &bytes[length as usize..];
    let sound_later = rest.split_inclusive(|&byte| byte == b'\n').any(|line| checked(line).is_some());
    if length == 0 || sound_later {
        let found = if length == 0 { "no sound first frame" } else { "a bad frame before sound ones" };
        return Err(corrupt(length, found.into()));
    }
    memory.commit = memory.commit.min(memory.log.last().index);
    if Bug::WallClockOrder.is_planted() {
        memory.apply_committed_by_time();
    }
    memory.apply_committed();
    let torn = rest.len() as u64;
    Ok(Some(Recovered { memory, wal: Wal { length, base_length, ..Wal::default() }, torn }))
}

/// The records of a frame that is whole.
fn checked(line: &[u8]) -> Option<&str> {
    let line = std::str::from_utf8(line).ok()?.strip_suffix('\n')?;
    let (sum, records) = line.split_at_checked(8)?;
    let stored = u32::from_str_radix(sum, 16).ok()?;
    (stored == crc32fast::hash(records.as_bytes())).then_some(records)
}

fn replay(records: &str, memory: &mut Memory, first: bool) -> Result<(), BadWord> {
    let mut words = Words::of(records);
    if words.next_word() != Some("") {
        return Err(BadWord::new("a space after the checksum", records));
    }
    while let Some(kind) = words.next_word() {
        match kind {
            "base" if first => replay_base(&mut words, memory)?,
            "promise" if !first => memory.promised = words.counter("an incarnation")?,
            "commit" if !first => memory.commit = words.counter("an index")?,
            "after" if !first => replay_entries(&mut words, memory)?,
            other => return Err(BadWord::new("a record of this kind at this place", other)),
        }
    }
    Ok(())
}

fn replay_base(words: &mut Words<'_>, memory: &mut Memory) -> Result<(), BadWord> {
    memory.promised = words.counter("an incarnation")?;
    memory.commit = words.counter("an index")?;
    let Snapshot { last, bank } = words.snapshot()?;
    memory.log = Log::starting_after(last);
    memory.applied = last.index;
    memory.bank = bank;
    memory.log.replace_after(last.index, words.entries()?);
    Ok(())
}

fn replay_entries(words: &mut Words<'_>, memory: &mut Memory) -> Result<(), BadWord> {
    let after = words.counter("an index")?;
    let entries = words.entries()?;
    let Position { index: base, .. } = memory.log.base();
    if after < base || after > memory.log.last().index {
        return Err(BadWord::new("an index inside the log", &after.to_string()));
    }
    memory.log.replace_after(after, entries);
    Ok(())
}
