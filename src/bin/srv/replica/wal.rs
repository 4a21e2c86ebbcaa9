//! The write-ahead log: how a replica's memory is written down and read again.
//!
//! One line is one frame: a CRC-32, and the records of one group. A frame is synced before the
//! next one is written, so a crash can tear the last line and no other: a bad last line is cut
//! off, a bad line before a good one is corruption. The first line sums up everything older.
//! After each sync a small file beside the log notes how long it is. Nobody syncs that note: it may
//! lag behind, but a log that is shorter than it says was cut or damaged after it was synced.
//! This file must not know the protocol, only what the records do to a memory.

use std::fmt::Write;
use std::io;

use super::ReplicaError;
use super::storage::{Name, Storage, replace};
use crate::reference::bank::Bank;
use crate::reference::bug::{self, Bug};
use crate::reference::entry::{Command, Entry, Position, Snapshot};
use crate::reference::log::Log;
use crate::reference::members::{Life, Members};
use crate::reference::words::{BadWord, Words, write_entries, write_snapshot};

/// What a replica must never forget, and what it may rebuild from that.
#[derive(Clone, Debug, Default)]
pub struct Memory {
    /// Which life of the replica this is: drawn when its files are made.
    pub life: Life,
    /// There were files before these, and what they said is lost.
    pub forgetful: bool,
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
    /// The first memory of a replica: empty, with a life of its own.
    pub fn of(life: Life, forgetful: bool) -> Self {
        Self { life, forgetful, ..Self::default() }
    }

    /// Whether a committed entry names this life: only then does this replica's word count.
    pub fn is_member(&self) -> bool {
        self.bank.members.include(self.life)
    }

    /// Who are members at the end of the log, committed or not.
    pub fn members(&self) -> Members {
        let tail = self.log.after(self.applied, usize::MAX).unwrap_or(&[]);
        let latest = tail.iter().rev().find_map(|entry| match &entry.command {
            Command::Members(members) => Some(members),
            Command::Noop | Command::Transfer { .. } => None,
        });
        latest.unwrap_or(&self.bank.members).clone()
    }

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
            Command::Noop | Command::Members(_) => i64::MIN,
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
    /// The checksum of the first frame, by which a note is known to speak of this file.
    base: String,
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
        self.length += frame.len() as u64;
        self.staged.clear();
        if Bug::AckBeforeSync.is_planted() && !bug::background_sync_is_due() {
            return Ok(());
        }
        storage.sync(Name::Log)?;
        self.note(storage)
    }

    /// Notes what is synced by now.
    fn note(&self, storage: &mut impl Storage) -> io::Result<()> {
        storage.overwrite(Name::Note, frame(&format!(" {} {:020}", self.base, self.length)).as_bytes())
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
        self.base = checksum(&frame).to_owned();
        self.must_rewrite = false;
        self.staged.clear();
        self.note(storage)
    }
}

fn base_record(memory: &Memory) -> String {
    let past = if memory.forgetful { "forgetful" } else { "new" };
    let mut text = format!(" base {} {past} {} {} ", memory.life, memory.promised, memory.commit);
    let at = memory.log.position_at(memory.applied).unwrap_or(memory.log.base());
    let _ = write_snapshot(&mut text, at, &memory.bank);
    text.push(' ');
    let _ = write_entries(&mut text, memory.log.after(at.index, usize::MAX).unwrap_or(&[]));
    text
}

fn checksum(frame: &str) -> &str {
    frame.get(..8).unwrap_or_default()
}

/// How long the log that begins with the frame of this checksum certainly was, by the note.
fn noted_length(storage: &mut impl Storage, base: &str) -> Result<u64, ReplicaError> {
    let note = storage.read(Name::Note);
    let note = note.map_err(|e| ReplicaError::io(storage, "read", Name::Note, e))?.unwrap_or_default();
    let told = checked(&note).and_then(|text| {
        let (of, length) = text.strip_prefix(' ')?.split_once(' ')?;
        length.parse().ok().filter(|_| of == base)
    });
    Ok(told.unwrap_or(0))
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
    let mut base = String::new();
    for line in bytes.split_inclusive(|&byte| byte == b'\n') {
        let Some(records) = checked(line) else { break };
        if length == 0 {
            base_length = line.len() as u64;
            base = String::from_utf8_lossy(&line[..8]).into_owned();
        }
        replay(records, &mut memory, length == 0).map_err(|bad| ReplicaError::Foreign {
            path: path.clone(),
            offset: length,
            found: bad.to_string(),
        })?;
        length += line.len() as u64;
    }
    let rest = &bytes[length as usize..];
    let sound_later = rest.split_inclusive(|&byte| byte == b'\n').any(|line| checked(line).is_some());
    let gap = sound_later && !Bug::HalfRecord.is_planted();
    if length == 0 || gap {
        let found = if length == 0 { "no sound first frame" } else { "a bad frame before sound ones" };
        return Err(corrupt(length, found.into()));
    }
    let synced = noted_length(storage, &base)?;
    if length < synced && !Bug::HalfRecord.is_planted() {
        return Err(corrupt(length, format!("the end, or a bad frame, where {synced} bytes were synced")));
    }
    memory.commit = memory.commit.min(memory.log.last().index);
    if Bug::WallClockOrder.is_planted() {
        memory.apply_committed_by_time();
    }
    memory.apply_committed();
    let torn = rest.len() as u64;
    Ok(Some(Recovered { memory, wal: Wal { length, base_length, base, ..Wal::default() }, torn }))
}

/// The records of a frame that is whole.
fn checked(line: &[u8]) -> Option<&str> {
    let line = std::str::from_utf8(line).ok()?.strip_suffix('\n')?;
    let (sum, records) = line.split_at_checked(8)?;
    let stored = u32::from_str_radix(sum, 16).ok()?;
    // One flipped bit makes a small letter of a sum a capital one, which would read the same.
    let as_written = !sum.bytes().any(|byte| byte.is_ascii_uppercase());
    (as_written && stored == crc32fast::hash(records.as_bytes())).then_some(records)
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
    memory.life = words.counter("a life")?;
    memory.forgetful = match words.next_word().unwrap_or("") {
        "new" => false,
        "forgetful" => true,
        other => return Err(BadWord::new("`new` or `forgetful`", other)),
    };
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
