//! The bytes of one file, and what a power failure leaves of them.
//!
//! Every change since the last fsync is kept as what it replaced, so that a failure
//! undoes it in reverse. What an fsync failed to write stays readable and is undone at
//! the next failure, whatever fsync succeeded since: so a kernel behaves that marks
//! pages clean after an error (Rebello et al., "Can Applications Recover from fsync
//! Failures?", ATC 2020). Must not know names, processes or FUSE.

use std::ops::Range;

/// A change of a file and how to undo it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Patch {
    /// Where it began.
    offset: usize,
    /// How many bytes it wrote; 0 for a change of length.
    written: usize,
    /// What it replaced; shorter than `written` where the file grew.
    old: Vec<u8>,
    /// How long the file was before.
    old_len: usize,
}

/// What happened to the file before its last fsync and after an fsync that failed.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Layer {
    /// An fsync failed: none of this will ever be written.
    Lost(Vec<Patch>),
    /// A later fsync succeeded: these ranges were written.
    Synced(Vec<Range<usize>>),
}

/// A file's content.
#[derive(Debug, Clone, Default)]
pub(super) struct Content {
    bytes: Vec<u8>,
    /// Changes since the last fsync, oldest first.
    dirty: Vec<Patch>,
    /// Empty unless an fsync failed since the last power failure.
    layers: Vec<Layer>,
}

/// How much of what was not synced a power failure leaves behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Leaves {
    /// So many of the changes since the last fsync, the oldest ones.
    pub kept: usize,
    /// Of the next one only so many bytes.
    pub torn: usize,
    /// The file keeps the length that it had, the rest of it NULs.
    pub nul_tail: bool,
}

impl Content {
    #[cfg(test)]
    pub(super) fn synced(bytes: Vec<u8>) -> Self {
        Self { bytes, ..Self::default() }
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Changes that a power failure could undo.
    pub(super) fn changes(&self) -> usize {
        self.dirty.len()
    }

    pub(super) fn read(&self, offset: usize, size: usize) -> &[u8] {
        let begin = offset.min(self.bytes.len());
        &self.bytes[begin..begin.saturating_add(size).min(self.bytes.len())]
    }

    pub(super) fn write(&mut self, offset: usize, data: &[u8]) {
        let old_len = self.bytes.len();
        let end = offset + data.len();
        let old = self.bytes.get(offset.min(old_len)..end.min(old_len)).unwrap_or_default().to_vec();
        self.dirty.push(Patch { offset, written: data.len(), old, old_len });
        if end > old_len {
            self.bytes.resize(end, 0);
        }
        self.bytes[offset..end].copy_from_slice(data);
    }

    pub(super) fn truncate(&mut self, length: usize) {
        let old_len = self.bytes.len();
        if length == old_len {
            return;
        }
        let old = self.bytes.get(length..).unwrap_or_default().to_vec();
        self.dirty.push(Patch { offset: length, written: 0, old, old_len });
        self.bytes.resize(length, 0);
    }

    /// What is there now survives the next power failure, but for what an earlier
    /// fsync failed to write.
    pub(super) fn sync(&mut self) {
        let patches = std::mem::take(&mut self.dirty);
        if !self.layers.is_empty() {
            let ranges = patches.iter().map(|patch| patch.offset..patch.offset + patch.written);
            self.layers.push(Layer::Synced(ranges.collect()));
        }
    }

    /// An fsync failed.
    pub(super) fn fail_to_sync(&mut self) {
        let patches = std::mem::take(&mut self.dirty);
        if !patches.is_empty() {
            self.layers.push(Layer::Lost(patches));
        }
    }

    /// The power fails. Returns how many bytes were written and are no longer there.
    pub(super) fn lose(&mut self, leaves: Leaves) -> usize {
        let length = self.bytes.len();
        let kept = leaves.kept.min(self.dirty.len());
        let mut torn = None;
        let mut lost = 0;
        while self.dirty.len() > kept {
            let Some(patch) = self.dirty.pop() else { break };
            if self.dirty.len() == kept && leaves.torn > 0 {
                let end = patch.offset + patch.written.min(leaves.torn);
                torn = self.bytes.get(patch.offset..end).map(|bytes| (patch.offset, bytes.to_vec()));
            }
            lost += patch.written;
            self.undo(&patch);
        }
        if let Some((offset, bytes)) = torn.filter(|(_, bytes)| !bytes.is_empty()) {
            lost -= bytes.len();
            let end = offset + bytes.len();
            self.bytes.resize(self.bytes.len().max(end), 0);
            self.bytes[offset..end].copy_from_slice(&bytes);
        }
        self.dirty.clear();
        lost += self.lose_layers();
        if leaves.nul_tail && lost > 0 && self.bytes.len() < length {
            self.bytes.resize(length, 0);
        }
        lost
    }

    fn undo(&mut self, patch: &Patch) {
        self.bytes.resize(patch.old_len, 0);
        let end = (patch.offset + patch.old.len()).min(patch.old_len);
        if let Some(place) = self.bytes.get_mut(patch.offset..end) {
            place.copy_from_slice(&patch.old[..place.len()]);
        }
    }

    fn lose_layers(&mut self) -> usize {
        let mut written: Vec<Range<usize>> = Vec::new();
        let mut later_sync = false;
        let mut lost = 0;
        while let Some(layer) = self.layers.pop() {
            match layer {
                Layer::Synced(ranges) => {
                    later_sync = true;
                    written.extend(ranges);
                }
                Layer::Lost(patches) => {
                    for patch in patches.iter().rev() {
                        lost += patch.written;
                        if later_sync { self.blank(patch, &written) } else { self.undo(patch) }
                    }
                }
            }
        }
        lost
    }

    /// A later fsync made the file's length last: the bytes alone are as before, and
    /// NUL where there were none, but where something was written since.
    fn blank(&mut self, patch: &Patch, written: &[Range<usize>]) {
        let end = (patch.offset + patch.written).min(self.bytes.len());
        for at in patch.offset..end {
            if !written.iter().any(|range| range.contains(&at)) {
                self.bytes[at] = patch.old.get(at - patch.offset).copied().unwrap_or(0);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(text: &str) -> Content {
        Content::synced(text.into())
    }

    fn after(mut content: Content, leaves: Leaves) -> (String, usize) {
        let lost = content.lose(leaves);
        (String::from_utf8_lossy(content.bytes()).into_owned(), lost)
    }

    #[test]
    fn what_was_not_synced_is_undone_to_the_byte() {
        let mut content = file("0123456789");
        content.write(8, b"abcd");
        content.truncate(3);
        content.write(5, b"x");
        content.truncate(20);
        assert_eq!(after(content, Leaves::default()), ("0123456789".into(), 5));
    }

    #[test]
    fn what_was_synced_stays() {
        let mut content = file("");
        content.write(0, b"one");
        content.sync();
        content.write(3, b"two");
        assert_eq!(after(content, Leaves::default()), ("one".into(), 3));
    }

    #[test]
    fn a_prefix_may_be_kept_and_the_next_write_torn() {
        let mut content = file("");
        for word in [b"aaa", b"bbb", b"ccc"] {
            let end = content.len();
            content.write(end, word);
        }
        let leaves = |kept, torn, nul_tail| Leaves { kept, torn, nul_tail };
        assert_eq!(after(content.clone(), leaves(1, 0, false)), ("aaa".into(), 6));
        assert_eq!(after(content.clone(), leaves(1, 2, false)), ("aaabb".into(), 4));
        assert_eq!(after(content.clone(), leaves(0, 1, true)), ("a\0\0\0\0\0\0\0\0".into(), 8));
        assert_eq!(after(content, leaves(9, 9, true)), ("aaabbbccc".into(), 0));
    }

    #[test]
    fn after_a_failed_fsync_the_bytes_are_readable_until_the_power_fails() {
        let mut content = file("");
        content.write(0, b"lost");
        content.fail_to_sync();
        assert_eq!(content.bytes(), b"lost");
        assert_eq!(after(content.clone(), Leaves::default()), ("".into(), 4));
        content.write(4, b"kept");
        content.sync();
        assert_eq!(content.bytes(), b"lostkept");
        assert_eq!(after(content.clone(), Leaves::default()), ("\0\0\0\0kept".into(), 4));
        content.write(0, b"now!");
        content.sync();
        assert_eq!(after(content, Leaves::default()), ("now!kept".into(), 4));
    }

    #[test]
    fn a_sparse_write_past_the_end_is_undone_with_its_hole() {
        let mut content = file("ab");
        content.write(5, b"z");
        assert_eq!(content.bytes(), b"ab\0\0\0z");
        assert_eq!(content.read(4, 100), b"\0z");
        assert_eq!(content.read(99, 1), b"");
        assert_eq!(after(content, Leaves::default()), ("ab".into(), 1));
    }
}
