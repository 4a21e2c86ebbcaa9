//! A file system in memory: names, inodes, and which of it a power failure undoes.
//!
//! Two models of what survives. *Journal*, as ext4 and XFS behave: any fsync commits
//! all namespace operations before it, whatever file it names; data only by the
//! file's own fsync; a rename over a name writes the source out first. *Strict*, what
//! POSIX promises: a name survives only an fsync of its directory. Numbers of inodes
//! and time are handed in or out; must not know FUSE, processes or faults.

use std::collections::{BTreeMap, HashMap};
use std::ffi::{OsStr, OsString};
use std::time::SystemTime;

use nix::errno::Errno;

use super::file::Content;
pub use crate::fault::disk::Durability;

pub(super) type Ino = u64;
/// The root directory.
pub(super) const ROOT: Ino = 1;
/// Most bytes that all files together may hold, so that no node can use up the
/// memory of the machine; a larger disk than a test needs.
pub(super) const CAPACITY: u64 = 1 << 30;
/// As everywhere on Linux.
const LONGEST_NAME: usize = 255;

/// What an inode is.
#[derive(Debug, Clone)]
pub(super) enum Kind {
    File(Content),
    Directory {
        entries: BTreeMap<OsString, Ino>,
        parent: Ino,
    },
    Link(OsString),
    /// A FIFO, socket or device, by its type bits.
    Special {
        kind: u32,
        device: u32,
    },
}

/// One inode.
#[derive(Debug, Clone)]
pub(super) struct Inode {
    pub kind: Kind,
    /// Permission bits.
    pub mode: u32,
    pub uid: u32,
    pub gid: u32,
    pub accessed: SystemTime,
    pub modified: SystemTime,
    pub changed: SystemTime,
    /// Names of it.
    pub links: u32,
    /// Open handles.
    pub opens: u64,
    /// Places in the log of names that mention it.
    held: u32,
}

/// A name that came to mean something else.
#[derive(Debug, Clone)]
struct Change {
    directory: Ino,
    name: OsString,
    old: Option<Ino>,
    new: Option<Ino>,
}

/// Who asks, and when.
#[derive(Debug, Clone, Copy)]
pub(super) struct Caller {
    pub uid: u32,
    pub gid: u32,
    pub now: SystemTime,
}

/// The file system.
#[derive(Debug)]
pub(super) struct Tree {
    inodes: HashMap<Ino, Inode>,
    next: Ino,
    /// Names changed and not committed, oldest first; the changes of one operation
    /// stand or fall together.
    log: Vec<Vec<Change>>,
    durability: Durability,
}

type Result<T> = std::result::Result<T, Errno>;

impl Tree {
    pub(super) fn new(durability: Durability, owner: Caller) -> Self {
        let kind = Kind::Directory { entries: BTreeMap::new(), parent: ROOT };
        let mut root = Inode::new(kind, 0o700, owner);
        root.links = 1;
        Self { inodes: HashMap::from([(ROOT, root)]), next: ROOT + 1, log: Vec::new(), durability }
    }

    pub(super) fn inode(&self, ino: Ino) -> Result<&Inode> {
        self.inodes.get(&ino).ok_or(Errno::ESTALE)
    }

    pub(super) fn inode_mut(&mut self, ino: Ino) -> Result<&mut Inode> {
        self.inodes.get_mut(&ino).ok_or(Errno::ESTALE)
    }

    /// Bytes that all files hold, unlinked ones that are open included.
    pub(super) fn used(&self) -> u64 {
        self.inodes.values().map(|inode| inode.size()).sum()
    }

    /// How many inodes there are.
    pub(super) fn count(&self) -> usize {
        self.inodes.len()
    }

    pub(super) fn entries(&self, directory: Ino) -> Result<(&BTreeMap<OsString, Ino>, Ino)> {
        match &self.inode(directory)?.kind {
            Kind::Directory { entries, parent } => Ok((entries, *parent)),
            _ => Err(Errno::ENOTDIR),
        }
    }

    pub(super) fn lookup(&self, directory: Ino, name: &OsStr) -> Result<Ino> {
        self.entries(directory)?.0.get(name).copied().ok_or(Errno::ENOENT)
    }

    pub(super) fn content(&self, ino: Ino) -> Result<&Content> {
        match &self.inode(ino)?.kind {
            Kind::File(content) => Ok(content),
            Kind::Directory { .. } => Err(Errno::EISDIR),
            _ => Err(Errno::EINVAL),
        }
    }

    fn content_mut(&mut self, ino: Ino) -> Result<&mut Content> {
        match &mut self.inode_mut(ino)?.kind {
            Kind::File(content) => Ok(content),
            Kind::Directory { .. } => Err(Errno::EISDIR),
            _ => Err(Errno::EINVAL),
        }
    }

    /// Every file's content, for a power failure.
    pub(super) fn contents_mut(&mut self) -> impl Iterator<Item = (Ino, &mut Content)> {
        self.inodes.iter_mut().filter_map(|(&ino, inode)| match &mut inode.kind {
            Kind::File(content) => Some((ino, content)),
            _ => None,
        })
    }

    pub(super) fn create(
        &mut self,
        directory: Ino,
        name: &OsStr,
        kind: Kind,
        mode: u32,
        by: Caller,
    ) -> Result<Ino> {
        self.free_name(directory, name)?;
        let ino = self.next;
        self.next += 1;
        self.inodes.insert(ino, Inode::new(kind, mode & 0o7777, by));
        self.change(vec![Change { directory, name: name.into(), old: None, new: Some(ino) }], by.now);
        Ok(ino)
    }

    pub(super) fn link(&mut self, ino: Ino, directory: Ino, name: &OsStr, by: Caller) -> Result<()> {
        if matches!(self.inode(ino)?.kind, Kind::Directory { .. }) {
            return Err(Errno::EPERM);
        }
        self.free_name(directory, name)?;
        self.change(vec![Change { directory, name: name.into(), old: None, new: Some(ino) }], by.now);
        Ok(())
    }

    pub(super) fn unlink(&mut self, directory: Ino, name: &OsStr, by: Caller) -> Result<()> {
        let ino = self.lookup(directory, name)?;
        if matches!(self.inode(ino)?.kind, Kind::Directory { .. }) {
            return Err(Errno::EISDIR);
        }
        self.change(vec![Change { directory, name: name.into(), old: Some(ino), new: None }], by.now);
        Ok(())
    }

    pub(super) fn rmdir(&mut self, directory: Ino, name: &OsStr, by: Caller) -> Result<()> {
        let ino = self.lookup(directory, name)?;
        if !self.entries(ino)?.0.is_empty() {
            return Err(Errno::ENOTEMPTY);
        }
        self.change(vec![Change { directory, name: name.into(), old: Some(ino), new: None }], by.now);
        Ok(())
    }

    /// rename(2), with RENAME_NOREPLACE or RENAME_EXCHANGE.
    pub(super) fn rename(
        &mut self,
        from: (Ino, &OsStr),
        to: (Ino, &OsStr),
        (no_replace, exchange): (bool, bool),
        by: Caller,
    ) -> Result<()> {
        let source = self.lookup(from.0, from.1)?;
        let target = match self.lookup(to.0, to.1) {
            Ok(_) if no_replace => return Err(Errno::EEXIST),
            Ok(target) => Some(target),
            Err(Errno::ENOENT) if exchange => return Err(Errno::ENOENT),
            Err(Errno::ENOENT) => None,
            Err(why) => return Err(why),
        };
        if target == Some(source) {
            return Ok(());
        }
        named(to.1)?;
        self.may_move(source, to.0)?;
        if let Some(target) = target {
            if exchange { self.may_move(target, from.0)? } else { self.may_replace(source, target)? }
        }
        if target.is_some()
            && !exchange
            && self.durability == Durability::Journal
            && let Ok(content) = self.content_mut(source)
        {
            content.sync();
        }
        let back = if exchange { target } else { None };
        let changes = vec![
            Change { directory: from.0, name: from.1.into(), old: Some(source), new: back },
            Change { directory: to.0, name: to.1.into(), old: target, new: Some(source) },
        ];
        self.change(changes, by.now);
        Ok(())
    }

    /// A directory cannot be moved into itself.
    fn may_move(&self, ino: Ino, into: Ino) -> Result<()> {
        let mut above = into;
        loop {
            let (_, parent) = self.entries(above)?;
            if above == ino {
                return Err(Errno::EINVAL);
            }
            if above == ROOT {
                return Ok(());
            }
            above = parent;
        }
    }

    fn may_replace(&self, source: Ino, target: Ino) -> Result<()> {
        let directory = |ino| Ok::<_, Errno>(matches!(self.inode(ino)?.kind, Kind::Directory { .. }));
        match (directory(source)?, directory(target)?) {
            (true, false) => Err(Errno::ENOTDIR),
            (false, true) => Err(Errno::EISDIR),
            (true, true) if !self.entries(target)?.0.is_empty() => Err(Errno::ENOTEMPTY),
            _ => Ok(()),
        }
    }

    fn free_name(&self, directory: Ino, name: &OsStr) -> Result<()> {
        named(name)?;
        let inode = self.inode(directory)?;
        if directory != ROOT && inode.links == 0 {
            return Err(Errno::ENOENT);
        }
        match self.lookup(directory, name) {
            Ok(_) => Err(Errno::EEXIST),
            Err(Errno::ENOENT) => Ok(()),
            Err(why) => Err(why),
        }
    }

    /// Writes as much as there is room for; an error if there is none.
    pub(super) fn write(
        &mut self,
        ino: Ino,
        offset: u64,
        data: &[u8],
        room: u64,
        by: Caller,
    ) -> Result<usize> {
        let length = self.content(ino)?.len() as u64;
        let most = length.saturating_add(room).min(CAPACITY).saturating_sub(offset);
        let count = (data.len() as u64).min(most) as usize;
        if count == 0 && !data.is_empty() {
            return Err(Errno::ENOSPC);
        }
        let (offset, data) = (offset as usize, &data[..count]);
        self.content_mut(ino)?.write(offset, data);
        self.touch(ino, by.now)?;
        Ok(count)
    }

    pub(super) fn truncate(&mut self, ino: Ino, length: u64, room: u64, by: Caller) -> Result<()> {
        let now = self.content(ino)?.len() as u64;
        if length.saturating_sub(now) > room || length > CAPACITY {
            return Err(Errno::ENOSPC);
        }
        self.content_mut(ino)?.truncate(length as usize);
        self.touch(ino, by.now)
    }

    fn touch(&mut self, ino: Ino, now: SystemTime) -> Result<()> {
        let inode = self.inode_mut(ino)?;
        (inode.modified, inode.changed) = (now, now);
        Ok(())
    }

    /// fsync(2) or fdatasync(2) of a file or directory.
    pub(super) fn sync(&mut self, ino: Ino) -> Result<()> {
        let directory = match &mut self.inode_mut(ino)?.kind {
            Kind::File(content) => {
                content.sync();
                false
            }
            Kind::Directory { .. } => true,
            _ => false,
        };
        match self.durability {
            Durability::Journal => self.commit(|_| true),
            Durability::Strict if directory => self.commit(|change| change.directory == ino),
            Durability::Strict => {}
        }
        Ok(())
    }

    /// fsync(2) returned an error: what was not written stays readable.
    pub(super) fn fail_to_sync(&mut self, ino: Ino) -> Result<()> {
        if let Kind::File(content) = &mut self.inode_mut(ino)?.kind {
            content.fail_to_sync();
        }
        Ok(())
    }

    pub(super) fn open(&mut self, ino: Ino) -> Result<()> {
        self.inode_mut(ino)?.opens += 1;
        Ok(())
    }

    pub(super) fn close(&mut self, ino: Ino) {
        if let Some(inode) = self.inodes.get_mut(&ino) {
            inode.opens = inode.opens.saturating_sub(1);
            self.forget_unused(ino);
        }
    }

    /// Carries changes of names out and remembers how to undo them.
    fn change(&mut self, changes: Vec<Change>, now: SystemTime) {
        for change in &changes {
            for ino in [change.old, change.new].into_iter().flatten() {
                if let Some(inode) = self.inodes.get_mut(&ino) {
                    inode.held += 1;
                    inode.changed = now;
                }
            }
            self.set(change.directory, &change.name, change.new);
            if let Some(directory) = self.inodes.get_mut(&change.directory) {
                (directory.modified, directory.changed) = (now, now);
            }
        }
        self.log.push(changes);
    }

    /// Makes a name mean this, or nothing.
    fn set(&mut self, directory: Ino, name: &OsStr, meaning: Option<Ino>) {
        let Some(Kind::Directory { entries, .. }) =
            self.inodes.get_mut(&directory).map(|inode| &mut inode.kind)
        else {
            return;
        };
        let before = match meaning {
            Some(ino) => entries.insert(name.into(), ino),
            None => entries.remove(name),
        };
        if let Some(inode) = before.and_then(|ino| self.inodes.get_mut(&ino)) {
            inode.links = inode.links.saturating_sub(1);
        }
        if let Some(inode) = meaning.and_then(|ino| self.inodes.get_mut(&ino)) {
            inode.links += 1;
            if let Kind::Directory { parent, .. } = &mut inode.kind {
                *parent = directory;
            }
        }
    }

    /// These changes survive from now on.
    fn commit(&mut self, survives: impl Fn(&Change) -> bool) {
        let mut released = Vec::new();
        for changes in &mut self.log {
            changes.retain(|change| {
                let gone = survives(change);
                if gone {
                    released.extend([change.old, change.new].into_iter().flatten());
                }
                !gone
            });
        }
        self.log.retain(|changes| !changes.is_empty());
        released.into_iter().for_each(|ino| self.release(ino));
    }

    fn release(&mut self, ino: Ino) {
        if let Some(inode) = self.inodes.get_mut(&ino) {
            inode.held = inode.held.saturating_sub(1);
            self.forget_unused(ino);
        }
    }

    fn forget_unused(&mut self, ino: Ino) {
        let unused = |inode: &Inode| inode.links == 0 && inode.opens == 0 && inode.held == 0;
        if ino != ROOT && self.inodes.get(&ino).is_some_and(unused) {
            self.inodes.remove(&ino);
        }
    }

    /// Operations on names that a power failure could undo.
    pub(super) fn uncommitted(&self) -> usize {
        self.log.len()
    }

    /// The power fails: of the operations on names that were not committed the oldest
    /// `kept` survive, nobody holds anything open. Returns how many were undone.
    pub(super) fn lose_names(&mut self, kept: usize) -> usize {
        let undone = self.log.len().saturating_sub(kept);
        while self.log.len() > kept {
            let Some(changes) = self.log.pop() else { break };
            for change in changes.iter().rev() {
                self.set(change.directory, &change.name, change.old);
            }
        }
        self.log.clear();
        let mut reached = vec![ROOT];
        let mut at = 0;
        while let Some(&ino) = reached.get(at) {
            at += 1;
            if let Ok((entries, _)) = self.entries(ino) {
                reached.extend(entries.values());
            }
        }
        let reached: std::collections::HashSet<Ino> = reached.into_iter().collect();
        self.inodes.retain(|ino, _| reached.contains(ino));
        self.inodes.values_mut().for_each(|inode| (inode.opens, inode.held) = (0, 0));
        undone
    }
}

fn named(name: &OsStr) -> Result<()> {
    if name.len() > LONGEST_NAME { Err(Errno::ENAMETOOLONG) } else { Ok(()) }
}

impl Inode {
    fn new(kind: Kind, mode: u32, by: Caller) -> Self {
        let Caller { uid, gid, now } = by;
        Self { kind, mode, uid, gid, accessed: now, modified: now, changed: now, links: 0, opens: 0, held: 0 }
    }

    /// As stat(2) tells it.
    pub(super) fn size(&self) -> u64 {
        match &self.kind {
            Kind::File(content) => content.len() as u64,
            Kind::Link(target) => target.len() as u64,
            Kind::Directory { .. } | Kind::Special { .. } => 0,
        }
    }
}
