//! The one seam between a replica and its disk.
//!
//! Small enough that an in-memory file system can stand in and forget, at a crash, whatever was
//! not synced. Nothing above this trait touches a file; nothing below it knows what a log is.

use std::io;

use crate::reference::bug::Bug;

/// The files that a replica owns. Closed, so that no path is ever computed from data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Name {
    /// The write-ahead log: what the replica promised and holds.
    Log,
    /// A log being written, not yet in force.
    NextLog,
    /// A log that was found damaged, kept for whoever wants to know why.
    DamagedLog,
    /// How much of the log was synced, as far as is known.
    Note,
    /// The data file of the exercise, derived from the log.
    Data,
    /// A data file being written, not yet in force.
    NextData,
}

/// A directory with the files of one replica. Nothing is durable before its `sync`; no name is
/// durable before `sync_dir`.
pub trait Storage {
    /// What an error message calls the file.
    fn path(&self, name: Name) -> String;
    /// The whole file, or none if there is no such name.
    fn read(&mut self, name: Name) -> io::Result<Option<Vec<u8>>>;
    /// A new file with this content under the name, whatever was there.
    fn create(&mut self, name: Name, bytes: &[u8]) -> io::Result<()>;
    /// Adds to the end.
    fn append(&mut self, name: Name, bytes: &[u8]) -> io::Result<()>;
    /// Writes over the beginning of the file, which is made if there is none.
    fn overwrite(&mut self, name: Name, bytes: &[u8]) -> io::Result<()>;
    /// Makes the content durable.
    fn sync(&mut self, name: Name) -> io::Result<()>;
    /// Gives the file another name, replacing what had it.
    fn rename(&mut self, from: Name, to: Name) -> io::Result<()>;
    /// Makes the names durable.
    fn sync_dir(&mut self) -> io::Result<()>;
}

/// Puts `bytes` under `name` so that a crash leaves the old content or the new, never a mixture,
/// and the new one for good once this returns.
pub fn replace(storage: &mut impl Storage, (next, name): (Name, Name), bytes: &[u8]) -> io::Result<()> {
    storage.create(next, bytes)?;
    storage.sync(next)?;
    storage.rename(next, name)?;
    if Bug::NoDirSync.is_planted() { Ok(()) } else { storage.sync_dir() }
}
