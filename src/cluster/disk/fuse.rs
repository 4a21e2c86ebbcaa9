//! Requests of the kernel, handed to the disk one by one.
//!
//! Thin on purpose: numbers in, answers out. A panic in a handler would hang every
//! user of the mount for good, so each runs guarded and answers EIO instead. Nothing
//! is cached by the kernel beyond a page of data that is open (time to live 0, no
//! writeback), or faults would not be felt.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use fuser::{
    BsdFileFlags, FileAttr, FileHandle, FileType, Filesystem, FopenFlags, Generation, INodeNo, LockOwner,
    OpenFlags, RenameFlags, ReplyAttr, ReplyCreate, ReplyData, ReplyDirectory, ReplyEmpty, ReplyEntry,
    ReplyOpen, ReplyStatfs, ReplyWrite, Request, TimeOrNow, WriteFlags,
};
use nix::errno::Errno;

use super::Shared;
use super::file::Content;
use super::state::{Act, State, caller};
use super::tree::{CAPACITY, Caller, Ino, Inode, Kind};
use crate::sync::lock;

const TTL: Duration = Duration::ZERO;
const BLOCK: u32 = 4096;

/// A directory's entries: number, type, name.
type Listing = Vec<(u64, FileType, OsString)>;

/// The kernel's view of a disk.
pub(super) struct Served {
    shared: Arc<Shared>,
    /// Directories as they were when they were opened, by handle.
    listings: Mutex<BTreeMap<u64, Listing>>,
    handles: AtomicU64,
}

/// Handles of directories count up in the low bits, below the epoch.
const HANDLE_BITS: u32 = 40;

type Result<T> = std::result::Result<T, Errno>;

impl Served {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self { shared, listings: Mutex::default(), handles: AtomicU64::new(0) }
    }

    /// Waits if the disk is slow, asks whether the fault lets it through, does it.
    fn serve<T>(
        &self,
        act: Act,
        work: impl FnOnce(&mut State) -> Result<T>,
    ) -> std::result::Result<T, fuser::Errno> {
        let served = catch_unwind(AssertUnwindSafe(|| {
            self.shared.wait_if_slow(act);
            let mut state = lock(&self.shared.state);
            if act != Act::Sync {
                state.admit(act)?;
            }
            work(&mut state)
        }));
        served.unwrap_or(Err(Errno::EIO)).map_err(|errno| fuser::Errno::from_i32(errno as i32))
    }

    fn enter(
        &self,
        req: &Request,
        parent: INodeNo,
        name: &OsStr,
        (kind, mode): (Kind, u32),
    ) -> std::result::Result<FileAttr, fuser::Errno> {
        self.serve(Act::Change, |state| {
            let directory = state.inode(parent.0)?;
            state.room_for_name()?;
            let kind = match kind {
                Kind::Directory { entries, .. } => Kind::Directory { entries, parent: directory },
                other => other,
            };
            let ino = state.tree.create(directory, name, kind, mode, who(req))?;
            attributes(state, ino)
        })
    }

    fn sync(&self, number: INodeNo, handle: FileHandle, reply: ReplyEmpty) {
        let done = self.serve(Act::Sync, |state| {
            state.handle(handle.0 >> HANDLE_BITS)?;
            let ino = state.inode(number.0)?;
            state.sync(ino)
        });
        if done.is_ok() {
            self.shared.tell_synced();
        }
        finish(reply, done);
    }
}

fn who(req: &Request) -> Caller {
    caller(req.uid(), req.gid())
}

fn finish(reply: ReplyEmpty, done: std::result::Result<(), fuser::Errno>) {
    match done {
        Ok(()) => reply.ok(),
        Err(errno) => reply.error(errno),
    }
}

fn entry(reply: ReplyEntry, found: std::result::Result<FileAttr, fuser::Errno>) {
    match found {
        Ok(attr) => reply.entry(&TTL, &attr, Generation(0)),
        Err(errno) => reply.error(errno),
    }
}

fn attributes(state: &State, ino: Ino) -> Result<FileAttr> {
    let inode = state.tree.inode(ino)?;
    let size = inode.size();
    Ok(FileAttr {
        ino: INodeNo(state.number(ino)),
        size,
        blocks: size.div_ceil(512),
        atime: inode.accessed,
        mtime: inode.modified,
        ctime: inode.changed,
        crtime: inode.changed,
        kind: file_type(inode),
        perm: inode.mode as u16,
        nlink: inode.links.max(1) + u32::from(matches!(inode.kind, Kind::Directory { .. })),
        uid: inode.uid,
        gid: inode.gid,
        rdev: if let Kind::Special { device, .. } = inode.kind { device } else { 0 },
        blksize: BLOCK,
        flags: 0,
    })
}

fn file_type(inode: &Inode) -> FileType {
    match inode.kind {
        Kind::File(_) => FileType::RegularFile,
        Kind::Directory { .. } => FileType::Directory,
        Kind::Link(_) => FileType::Symlink,
        Kind::Special { kind: libc::S_IFIFO, .. } => FileType::NamedPipe,
        Kind::Special { kind: libc::S_IFCHR, .. } => FileType::CharDevice,
        Kind::Special { kind: libc::S_IFBLK, .. } => FileType::BlockDevice,
        Kind::Special { .. } => FileType::Socket,
    }
}

impl Filesystem for Served {
    fn lookup(&self, _req: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        entry(
            reply,
            self.serve(Act::Look, |state| {
                let ino = state.tree.lookup(state.inode(parent.0)?, name)?;
                attributes(state, ino)
            }),
        );
    }

    fn getattr(&self, _req: &Request, ino: INodeNo, _fh: Option<FileHandle>, reply: ReplyAttr) {
        match self.serve(Act::Look, |state| attributes(state, state.inode(ino.0)?)) {
            Ok(attr) => reply.attr(&TTL, &attr),
            Err(errno) => reply.error(errno),
        }
    }

    fn setattr(
        &self,
        req: &Request,
        ino: INodeNo,
        mode: Option<u32>,
        uid: Option<u32>,
        gid: Option<u32>,
        size: Option<u64>,
        atime: Option<TimeOrNow>,
        mtime: Option<TimeOrNow>,
        _ctime: Option<SystemTime>,
        _fh: Option<FileHandle>,
        _crtime: Option<SystemTime>,
        _chgtime: Option<SystemTime>,
        _bkuptime: Option<SystemTime>,
        _flags: Option<BsdFileFlags>,
        reply: ReplyAttr,
    ) {
        let act = if size.is_some() { Act::Write } else { Act::Change };
        let by = who(req);
        let done = self.serve(act, |state| {
            let ino = state.inode(ino.0)?;
            if let Some(size) = size {
                state.truncate(ino, size, by)?;
            }
            let time = |asked| match asked {
                TimeOrNow::SpecificTime(time) => time,
                TimeOrNow::Now => by.now,
            };
            let inode = state.tree.inode_mut(ino)?;
            inode.mode = mode.map_or(inode.mode, |mode| mode & 0o7777);
            inode.uid = uid.unwrap_or(inode.uid);
            inode.gid = gid.unwrap_or(inode.gid);
            inode.accessed = atime.map_or(inode.accessed, time);
            inode.modified = mtime.map_or(inode.modified, time);
            inode.changed = by.now;
            attributes(state, ino)
        });
        match done {
            Ok(attr) => reply.attr(&TTL, &attr),
            Err(errno) => reply.error(errno),
        }
    }

    fn readlink(&self, _req: &Request, ino: INodeNo, reply: ReplyData) {
        let target = self.serve(Act::Look, |state| match &state.tree.inode(state.inode(ino.0)?)?.kind {
            Kind::Link(target) => Ok(target.clone()),
            _ => Err(Errno::EINVAL),
        });
        match target {
            Ok(target) => reply.data(target.as_encoded_bytes()),
            Err(errno) => reply.error(errno),
        }
    }

    fn mknod(
        &self,
        req: &Request,
        parent: INodeNo,
        name: &OsStr,
        mode: u32,
        umask: u32,
        rdev: u32,
        reply: ReplyEntry,
    ) {
        let kind = match mode & libc::S_IFMT {
            libc::S_IFREG | 0 => Kind::File(Content::default()),
            kind => Kind::Special { kind, device: rdev },
        };
        entry(reply, self.enter(req, parent, name, (kind, mode & !umask)));
    }

    fn mkdir(&self, req: &Request, parent: INodeNo, name: &OsStr, mode: u32, umask: u32, reply: ReplyEntry) {
        let kind = Kind::Directory { entries: BTreeMap::new(), parent: parent.0 };
        entry(reply, self.enter(req, parent, name, (kind, mode & !umask)));
    }

    fn symlink(&self, req: &Request, parent: INodeNo, name: &OsStr, target: &Path, reply: ReplyEntry) {
        entry(reply, self.enter(req, parent, name, (Kind::Link(target.into()), 0o777)));
    }

    fn unlink(&self, req: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        let by = who(req);
        finish(
            reply,
            self.serve(Act::Change, |state| {
                let directory = state.inode(parent.0)?;
                state.tree.unlink(directory, name, by)
            }),
        );
    }

    fn rmdir(&self, req: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        let by = who(req);
        finish(
            reply,
            self.serve(Act::Change, |state| {
                let directory = state.inode(parent.0)?;
                state.tree.rmdir(directory, name, by)
            }),
        );
    }

    fn rename(
        &self,
        req: &Request,
        parent: INodeNo,
        name: &OsStr,
        newparent: INodeNo,
        newname: &OsStr,
        flags: RenameFlags,
        reply: ReplyEmpty,
    ) {
        let by = who(req);
        let asked = RenameFlags::RENAME_NOREPLACE | RenameFlags::RENAME_EXCHANGE;
        finish(
            reply,
            self.serve(Act::Change, |state| {
                if !asked.contains(flags) {
                    return Err(Errno::EINVAL);
                }
                let (from, to) = (state.inode(parent.0)?, state.inode(newparent.0)?);
                let how = (
                    flags.contains(RenameFlags::RENAME_NOREPLACE),
                    flags.contains(RenameFlags::RENAME_EXCHANGE),
                );
                state.tree.rename((from, name), (to, newname), how, by)
            }),
        );
    }

    fn link(&self, req: &Request, ino: INodeNo, newparent: INodeNo, newname: &OsStr, reply: ReplyEntry) {
        let by = who(req);
        entry(
            reply,
            self.serve(Act::Change, |state| {
                let (ino, directory) = (state.inode(ino.0)?, state.inode(newparent.0)?);
                state.room_for_name()?;
                state.tree.link(ino, directory, newname, by)?;
                attributes(state, ino)
            }),
        );
    }

    fn open(&self, _req: &Request, ino: INodeNo, _flags: OpenFlags, reply: ReplyOpen) {
        let opened = self.serve(Act::Look, |state| {
            let ino = state.inode(ino.0)?;
            state.tree.open(ino)?;
            Ok(state.epoch() << HANDLE_BITS)
        });
        match opened {
            Ok(handle) => reply.opened(FileHandle(handle), FopenFlags::empty()),
            Err(errno) => reply.error(errno),
        }
    }

    fn create(
        &self,
        req: &Request,
        parent: INodeNo,
        name: &OsStr,
        mode: u32,
        umask: u32,
        _flags: i32,
        reply: ReplyCreate,
    ) {
        let made = self.enter(req, parent, name, (Kind::File(Content::default()), mode & !umask));
        let opened = made.and_then(|attr| {
            let handle = self.serve(Act::Look, |state| {
                let ino = state.inode(attr.ino.0)?;
                state.tree.open(ino)?;
                Ok(state.epoch() << HANDLE_BITS)
            });
            Ok((attr, handle?))
        });
        match opened {
            Ok((attr, handle)) => {
                reply.created(&TTL, &attr, Generation(0), FileHandle(handle), FopenFlags::empty());
            }
            Err(errno) => reply.error(errno),
        }
    }

    fn read(
        &self,
        _req: &Request,
        ino: INodeNo,
        fh: FileHandle,
        offset: u64,
        size: u32,
        _flags: OpenFlags,
        _lock_owner: Option<LockOwner>,
        reply: ReplyData,
    ) {
        let read = self.serve(Act::Read, |state| {
            state.handle(fh.0 >> HANDLE_BITS)?;
            let content = state.tree.content(state.inode(ino.0)?)?;
            Ok(content.read(usize::try_from(offset).unwrap_or(usize::MAX), size as usize).to_vec())
        });
        match read {
            Ok(bytes) => reply.data(&bytes),
            Err(errno) => reply.error(errno),
        }
    }

    fn write(
        &self,
        req: &Request,
        ino: INodeNo,
        fh: FileHandle,
        offset: u64,
        data: &[u8],
        _write_flags: WriteFlags,
        _flags: OpenFlags,
        _lock_owner: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        let by = who(req);
        let written = self.serve(Act::Write, |state| {
            state.handle(fh.0 >> HANDLE_BITS)?;
            let ino = state.inode(ino.0)?;
            state.write(ino, offset, data, by)
        });
        match written {
            Ok(count) => reply.written(count as u32),
            Err(errno) => reply.error(errno),
        }
    }

    fn flush(&self, _req: &Request, _ino: INodeNo, _fh: FileHandle, _owner: LockOwner, reply: ReplyEmpty) {
        reply.ok();
    }

    fn release(
        &self,
        _req: &Request,
        ino: INodeNo,
        _fh: FileHandle,
        _flags: OpenFlags,
        _lock_owner: Option<LockOwner>,
        _flush: bool,
        reply: ReplyEmpty,
    ) {
        let _ = self.serve(Act::Look, |state| {
            let ino = state.inode(ino.0)?;
            state.tree.close(ino);
            Ok(())
        });
        reply.ok();
    }

    fn fsync(&self, _req: &Request, ino: INodeNo, fh: FileHandle, _datasync: bool, reply: ReplyEmpty) {
        self.sync(ino, fh, reply);
    }

    fn fsyncdir(&self, _req: &Request, ino: INodeNo, fh: FileHandle, _datasync: bool, reply: ReplyEmpty) {
        self.sync(ino, fh, reply);
    }

    fn opendir(&self, _req: &Request, ino: INodeNo, _flags: OpenFlags, reply: ReplyOpen) {
        let listed = self.serve(Act::Look, |state| {
            let ino = state.inode(ino.0)?;
            let (entries, parent) = state.tree.entries(ino)?;
            let mut listing = vec![
                (state.number(ino), FileType::Directory, OsString::from(".")),
                (state.number(parent), FileType::Directory, OsString::from("..")),
            ];
            for (name, &ino) in entries {
                listing.push((state.number(ino), file_type(state.tree.inode(ino)?), name.clone()));
            }
            Ok((state.epoch(), listing))
        });
        match listed {
            Ok((epoch, listing)) => {
                let count = self.handles.fetch_add(1, Ordering::Relaxed) + 1;
                let handle = (count & ((1 << HANDLE_BITS) - 1)) | (epoch << HANDLE_BITS);
                lock(&self.listings).insert(handle, listing);
                reply.opened(FileHandle(handle), FopenFlags::empty());
            }
            Err(errno) => reply.error(errno),
        }
    }

    fn readdir(&self, _req: &Request, _ino: INodeNo, fh: FileHandle, offset: u64, mut reply: ReplyDirectory) {
        if let Err(errno) = self.serve(Act::Look, |state| state.handle(fh.0 >> HANDLE_BITS)) {
            return reply.error(errno);
        }
        let listings = lock(&self.listings);
        let listing = listings.get(&fh.0).map(Vec::as_slice).unwrap_or_default();
        let from = usize::try_from(offset).unwrap_or(usize::MAX).min(listing.len());
        for (place, (number, kind, name)) in (offset + 1..).zip(&listing[from..]) {
            if reply.add(INodeNo(*number), place, *kind, name) {
                break;
            }
        }
        drop(listings);
        reply.ok();
    }

    fn releasedir(
        &self,
        _req: &Request,
        _ino: INodeNo,
        fh: FileHandle,
        _flags: OpenFlags,
        reply: ReplyEmpty,
    ) {
        lock(&self.listings).remove(&fh.0);
        reply.ok();
    }

    fn statfs(&self, _req: &Request, _ino: INodeNo, reply: ReplyStatfs) {
        let block = u64::from(BLOCK);
        let (room, files) =
            self.serve(Act::Look, |state| Ok((state.room(), state.tree.count() as u64))).unwrap_or((0, 0));
        reply.statfs(CAPACITY / block, room / block, room / block, files, 1 << 20, BLOCK, 255, BLOCK);
    }

    fn fallocate(
        &self,
        req: &Request,
        ino: INodeNo,
        fh: FileHandle,
        offset: u64,
        length: u64,
        mode: i32,
        reply: ReplyEmpty,
    ) {
        let by = who(req);
        finish(
            reply,
            self.serve(Act::Write, |state| {
                state.handle(fh.0 >> HANDLE_BITS)?;
                let ino = state.inode(ino.0)?;
                let end = offset.checked_add(length).ok_or(Errno::EFBIG)?;
                match mode {
                    0 if end > state.tree.content(ino)?.len() as u64 => state.truncate(ino, end, by),
                    0 | libc::FALLOC_FL_KEEP_SIZE => Ok(()),
                    _ => Err(Errno::EOPNOTSUPP),
                }
            }),
        );
    }
}
