//! One disk while it runs: the files, the fault that is on, what it has felt.
//!
//! Numbers that the kernel knows carry the epoch, which a power failure raises: what
//! was open or looked up before gets EIO for ever. Faults decide here and nowhere
//! else. Must not know how requests arrive.

use std::time::{Duration, SystemTime};

use nix::errno::Errno;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};

use super::power::{self, Loss};
use super::tree::{Caller, Durability, Ino, ROOT, Tree};

/// What a request does, as far as faults tell requests apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Act {
    /// Looks only.
    Look,
    Read,
    Write,
    Sync,
    /// Changes names or attributes.
    Change,
}

/// Which requests fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Failing {
    /// read(2).
    pub reads: bool,
    /// write(2), truncate, names.
    pub writes: bool,
    /// fsync(2), fdatasync(2).
    pub syncs: bool,
    /// How many of a million of them.
    pub per_million: u32,
}

/// What is wrong with a disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DiskFault {
    /// Requests end with EIO.
    Errors(Failing),
    /// So many bytes more fit, then ENOSPC.
    Full {
        /// Bytes.
        after: u64,
    },
    /// Requests take longer.
    Slow {
        /// Each write.
        write: Duration,
        /// Each fsync.
        sync: Duration,
    },
    /// Whatever changes anything ends with EROFS.
    ReadOnly,
}

/// How often the present fault was felt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Felt {
    /// Requests that ended with an error that was injected.
    pub failed: u64,
    /// fsyncs among them.
    pub failed_syncs: u64,
    /// Requests that were made to wait.
    pub slowed: u64,
    /// Writes of which only a part fitted.
    pub cut_short: u64,
}

impl Felt {
    /// Whether anybody felt it.
    pub fn held(self) -> bool {
        self.failed + self.slowed + self.cut_short > 0
    }
}

/// What a disk was asked to do so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// write(2), by their pieces.
    pub writes: u64,
    /// Bytes written.
    pub bytes: u64,
    /// fsync(2) and fdatasync(2) that succeeded, of files and directories.
    pub syncs: u64,
}

struct Fault {
    what: DiskFault,
    draw: ChaCha8Rng,
    /// Bytes that the files held when it began.
    used: u64,
}

pub(super) struct State {
    pub tree: Tree,
    pub counts: Counts,
    pub felt: Felt,
    epoch: u64,
    fault: Option<Fault>,
}

type Result<T> = std::result::Result<T, Errno>;

/// Bits of a number that name the inode; the rest is the epoch.
const INODE_BITS: u32 = 40;

impl State {
    pub(super) fn new(durability: Durability, owner: Caller) -> Self {
        let tree = Tree::new(durability, owner);
        Self { tree, counts: Counts::default(), felt: Felt::default(), epoch: 0, fault: None }
    }

    /// A fault begins, or the one that is on ends.
    pub(super) fn set_fault(&mut self, fault: Option<DiskFault>, seed: u64) {
        if fault.is_some() {
            self.felt = Felt::default();
        }
        let used = self.tree.used();
        self.fault = fault.map(|what| Fault { what, draw: ChaCha8Rng::seed_from_u64(seed), used });
    }

    pub(super) fn fail_power(&mut self, seed: Option<u64>) -> Loss {
        self.epoch += 1;
        power::fail(&mut self.tree, seed)
    }

    pub(super) fn epoch(&self) -> u64 {
        self.epoch
    }

    /// The number by which the kernel knows an inode.
    pub(super) fn number(&self, ino: Ino) -> u64 {
        if ino == ROOT { ROOT } else { ino | (self.epoch << INODE_BITS) }
    }

    /// The inode that the kernel means.
    pub(super) fn inode(&self, number: u64) -> Result<Ino> {
        if number == ROOT {
            return Ok(ROOT);
        }
        let (epoch, ino) = (number >> INODE_BITS, number & ((1 << INODE_BITS) - 1));
        if epoch == self.epoch { Ok(ino) } else { Err(Errno::EIO) }
    }

    /// A handle from before a power failure is of no use.
    pub(super) fn handle(&self, epoch: u64) -> Result<()> {
        if epoch == self.epoch { Ok(()) } else { Err(Errno::EIO) }
    }

    pub(super) fn is_slow(&self) -> bool {
        matches!(self.fault, Some(Fault { what: DiskFault::Slow { .. }, .. }))
    }

    /// How long a request must wait first.
    pub(super) fn pause(&mut self, act: Act) -> Option<Duration> {
        let Some(DiskFault::Slow { write, sync }) = self.fault.as_ref().map(|fault| fault.what) else {
            return None;
        };
        let pause = match act {
            Act::Write => write,
            Act::Sync => sync,
            Act::Look | Act::Read | Act::Change => Duration::ZERO,
        };
        (!pause.is_zero()).then(|| {
            self.felt.slowed += 1;
            pause
        })
    }

    /// Whether the present fault lets a request through.
    pub(super) fn admit(&mut self, act: Act) -> Result<()> {
        let Some(fault) = &mut self.fault else { return Ok(()) };
        let refused = match (fault.what, act) {
            (_, Act::Look) => None,
            (DiskFault::ReadOnly, Act::Write | Act::Change) => Some(Errno::EROFS),
            (DiskFault::Errors(failing), act) => {
                let hit = match act {
                    Act::Read => failing.reads,
                    Act::Write | Act::Change => failing.writes,
                    Act::Sync => failing.syncs,
                    Act::Look => false,
                };
                (hit && fault.draw.next_u32() % 1_000_000 < failing.per_million).then_some(Errno::EIO)
            }
            _ => None,
        };
        match refused {
            Some(errno) => {
                self.felt.failed += 1;
                self.felt.failed_syncs += u64::from(act == Act::Sync);
                Err(errno)
            }
            None => Ok(()),
        }
    }

    /// Bytes by which files may still grow.
    pub(super) fn room(&self) -> u64 {
        let used = self.tree.used();
        let end = match &self.fault {
            Some(Fault { what: DiskFault::Full { after }, used, .. }) => used.saturating_add(*after),
            _ => super::tree::CAPACITY,
        };
        end.saturating_sub(used)
    }

    /// Room for one name more: a full disk has none.
    pub(super) fn room_for_name(&mut self) -> Result<()> {
        if self.room() > 0 {
            return Ok(());
        }
        self.felt.failed += 1;
        Err(Errno::ENOSPC)
    }

    pub(super) fn write(&mut self, ino: Ino, offset: u64, data: &[u8], by: Caller) -> Result<usize> {
        let room = self.room();
        let written = self.tree.write(ino, offset, data, room, by);
        match written {
            Ok(count) => {
                self.counts.writes += 1;
                self.counts.bytes += count as u64;
                self.felt.cut_short += u64::from(count < data.len());
            }
            Err(Errno::ENOSPC) => self.felt.failed += 1,
            Err(_) => {}
        }
        written
    }

    pub(super) fn truncate(&mut self, ino: Ino, length: u64, by: Caller) -> Result<()> {
        let room = self.room();
        self.tree.truncate(ino, length, room, by)
    }

    /// An fsync that fails leaves its mark.
    pub(super) fn sync(&mut self, ino: Ino) -> Result<()> {
        if let Err(errno) = self.admit(Act::Sync) {
            self.tree.fail_to_sync(ino)?;
            return Err(errno);
        }
        self.tree.sync(ino)?;
        self.counts.syncs += 1;
        Ok(())
    }
}

/// Whoever asked, now.
pub(super) fn caller(uid: u32, gid: u32) -> Caller {
    Caller { uid, gid, now: SystemTime::now() }
}
