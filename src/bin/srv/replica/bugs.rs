//! What a replica does only where a bug is planted (`reference::bug`).
//!
//! Kept apart so that the rules of the right replica can be read without it. It must not be
//! reached unless a bug is planted: every function here asks first, or is called by who did.

use std::collections::BTreeMap;
use std::io::{self, ErrorKind};

use super::storage::{Name, Storage};
use super::wal::Memory;
use super::{Replica, ReplicaError};
use crate::reference::bank::{Balances, Bank, INITIAL};
use crate::reference::bug::Bug;
use crate::reference::entry::Command;
use crate::reference::message::FromReplica;

impl<S: Storage> Replica<S> {
    /// [`Bug::InPlace`]: the log says how far the data file goes, and the file is cut off and
    /// written again under the same name.
    pub(super) fn publish_in_place(&mut self, text: &str) -> Result<(), ReplicaError> {
        if self.recorded_commit < self.memory.commit {
            self.record_commit();
            self.sync_log()?;
        }
        let written = self.storage.create(Name::Data, text.as_bytes());
        written.map_err(|e| ReplicaError::io(&self.storage, "rewrite", Name::Data, e))?;
        self.published = Some(self.memory.applied);
        Ok(())
    }
}

/// [`Bug::RestartsEmpty`]: it keeps what it calls itself, and takes part as if it knew all.
pub(super) fn forget_everything(memory: &mut Memory) {
    if Bug::RestartsEmpty.is_planted() {
        let members = std::mem::take(&mut memory.bank.members);
        let bank = Bank { members, ..Bank::default() };
        *memory = Memory { life: memory.life, bank, ..Memory::default() };
    }
}

/// [`Bug::InPlace`]: the balances are those of the data file, at the place that the log names.
pub(super) fn believe_data_file(storage: &mut impl Storage, memory: &mut Memory) -> Result<(), ReplicaError> {
    if !Bug::InPlace.is_planted() {
        return Ok(());
    }
    let read = storage.read(Name::Data);
    let bytes = read.map_err(|e| ReplicaError::io(storage, "read", Name::Data, e))?.unwrap_or_default();
    memory.bank.accounts = accounts(&String::from_utf8_lossy(&bytes));
    Ok(())
}

fn accounts(text: &str) -> BTreeMap<String, i64> {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let fields = lines.filter_map(|line| line.split_once(' '));
    fields.filter_map(|(name, balance)| Some((name.to_owned(), balance.parse().ok()?))).collect()
}

/// [`Bug::CatchUpSkips`] and [`Bug::CatchUpTwice`]: the first entry that is not known to be
/// committed was under way when this replica ended.
pub(super) fn mistake_entry_in_flight(memory: &mut Memory) {
    let Some([entry]) = memory.log.after(memory.applied, 1) else { return };
    if !matches!(entry.command, Command::Transfer { .. }) {
        return;
    }
    if Bug::CatchUpSkips.is_planted() {
        memory.applied += 1;
    } else if Bug::CatchUpTwice.is_planted() {
        memory.bank.apply(&entry.command);
    }
}

/// [`Bug::HalfRecord`]: a full disk is no reason to end; it is tried again with the next group.
pub(super) fn goes_on_after(error: &ReplicaError) -> bool {
    let full = |source: &io::Error| source.kind() == ErrorKind::StorageFull;
    Bug::HalfRecord.is_planted() && matches!(error, ReplicaError::Io { source, .. } if full(source))
}

/// [`Bug::StaleRead`].
pub(super) fn read(bank: &Bank, from: &str, to: &str) -> FromReplica<'static> {
    let balance = |name: &str| bank.accounts.get(name).copied().unwrap_or(INITIAL);
    FromReplica::Balances(Balances { from: balance(from), to: balance(to) })
}
