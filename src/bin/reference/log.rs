//! The part of the total order that one process holds in memory.
//!
//! Entries after a base; what lies at or below the base is committed and summed up in a
//! snapshot elsewhere. It must not know what is committed above the base, nor storage.

use super::entry::{Entry, Position};

/// A run of entries after `base`.
#[derive(Clone, Debug, Default)]
pub struct Log {
    base: Position,
    entries: Vec<Entry>,
}

impl Log {
    /// An empty log that continues after `base`.
    pub fn starting_after(base: Position) -> Self {
        Self { base, entries: Vec::new() }
    }

    /// The place before the first entry held.
    pub fn base(&self) -> Position {
        self.base
    }

    /// The place of the last entry, or the base.
    pub fn last(&self) -> Position {
        let index = self.base.index + self.entries.len() as u64;
        let incarnation = self.entries.last().map_or(self.base.incarnation, |e| e.incarnation);
        Position { incarnation, index }
    }

    /// The place with this index, if it is held.
    pub fn position_at(&self, index: u64) -> Option<Position> {
        if index == self.base.index {
            return Some(self.base);
        }
        let slot = index.checked_sub(self.base.index + 1)?;
        let entry = self.entries.get(usize::try_from(slot).ok()?)?;
        Some(Position { incarnation: entry.incarnation, index })
    }

    /// At most `limit` entries that follow `index`; none if they are no longer, or not yet, held.
    pub fn after(&self, index: u64, limit: usize) -> Option<&[Entry]> {
        let start = usize::try_from(index.checked_sub(self.base.index)?).ok()?;
        let tail = self.entries.get(start..)?;
        Some(&tail[..tail.len().min(limit)])
    }

    /// Forgets what follows `index` and continues with `entries`.
    pub fn replace_after(&mut self, index: u64, entries: impl IntoIterator<Item = Entry>) {
        let keep = index.saturating_sub(self.base.index);
        self.entries.truncate(usize::try_from(keep).unwrap_or(usize::MAX));
        self.entries.extend(entries);
    }

    /// Forgets entries up to and including `index`, which must be committed.
    pub fn discard_through(&mut self, index: u64) {
        if let Some(base) = self.position_at(index) {
            let count = index - self.base.index;
            self.entries.drain(..count as usize);
            self.base = base;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Log;
    use crate::reference::entry::{Command, Entry, Position};

    fn entry(incarnation: u64) -> Entry {
        Entry { incarnation, command: Command::Noop }
    }

    fn at(incarnation: u64, index: u64) -> Position {
        Position { incarnation, index }
    }

    #[test]
    fn a_log_knows_the_places_it_holds_and_no_others() {
        let mut log = Log::starting_after(at(2, 10));
        assert_eq!(log.last(), at(2, 10));
        log.replace_after(10, [entry(2), entry(3), entry(3)]);
        assert_eq!(log.position_at(11), Some(at(2, 11)));
        assert_eq!(log.position_at(9), None);
        assert_eq!(log.position_at(14), None);
        assert_eq!(log.after(11, 1), Some(&[entry(3)][..]));
        assert_eq!(log.after(13, 9), Some(&[][..]));
        assert_eq!(log.after(14, 9), None);
        assert_eq!(log.after(9, 9), None);
    }

    #[test]
    fn a_suffix_is_replaced_and_a_prefix_forgotten() {
        let mut log = Log::starting_after(at(0, 0));
        log.replace_after(0, [entry(1), entry(1), entry(1)]);
        log.replace_after(1, [entry(4)]);
        assert_eq!(log.last(), at(4, 2));
        log.discard_through(1);
        assert_eq!((log.base(), log.last()), (at(1, 1), at(4, 2)));
    }
}
