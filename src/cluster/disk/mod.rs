//! A disk of a node: a file system of the harness, with faults that real disks have.
//!
//! ```text
//! file, tree   bytes and names, and what of them is not synced
//! power        a power failure
//! state        the disk while it runs: faults, epochs, counts
//! fuse         requests of the kernel        mount   where it appears, for whom
//! ```
//!
//! Files live in memory; when the disk is closed they are written to the directory
//! that the mount had hidden. sync(2) reaches no file system in user space: a program
//! that relies on it loses what a power failure takes. Must not know nodes or plans.

mod file;
mod fuse;
mod mount;
mod power;
mod state;
mod tree;
#[cfg(test)]
mod tree_tests;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Instant;

pub use mount::{Unusable, own_namespace, usable};
pub use power::Loss;
pub use state::{Counts, DiskFault, Failing, Felt};
pub use tree::Durability;

use crate::sync::lock;
use state::{Act, State};

/// What the kernel's requests and the harness share.
struct Shared {
    state: Mutex<State>,
    /// Told when a fault begins or ends: whoever waits on a slow disk looks again.
    changed: Condvar,
    synced: tokio::sync::watch::Sender<u64>,
}

impl Shared {
    fn wait_if_slow(&self, act: Act) {
        let mut state = lock(&self.state);
        let Some(pause) = state.pause(act) else { return };
        let until = Instant::now() + pause;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() || !state.is_slow() {
                return;
            }
            state = self.changed.wait_timeout(state, left).unwrap_or_else(|poisoned| poisoned.into_inner()).0;
        }
    }

    fn tell_synced(&self) {
        let syncs = lock(&self.state).counts.syncs;
        self.synced.send_replace(syncs);
    }
}

/// A mounted disk. Dropping it takes the mount away without keeping its files.
pub struct Disk {
    shared: Arc<Shared>,
    mount: mount::Mount,
    place: PathBuf,
}

impl Disk {
    /// Mounts an empty disk over a directory. Visible to this process and those that
    /// it starts, if [`usable`] said so.
    ///
    /// # Errors
    /// The system refuses; the message says what would have to be allowed.
    pub fn mount(place: &Path, durability: Durability) -> io::Result<Self> {
        let (uid, gid) = (nix::unistd::getuid().as_raw(), nix::unistd::getgid().as_raw());
        let state = Mutex::new(State::new(durability, state::caller(uid, gid)));
        let (synced, _) = tokio::sync::watch::channel(0);
        let shared = Arc::new(Shared { state, changed: Condvar::new(), synced });
        let mount = mount::Mount::over(place, fuse::Served::new(Arc::clone(&shared)))?;
        Ok(Self { shared, mount, place: place.into() })
    }

    /// A fault begins (its draws follow `seed`), or with `None` the one that is on ends.
    pub fn set_fault(&self, fault: Option<DiskFault>, seed: u64) {
        lock(&self.shared.state).set_fault(fault, seed);
        self.shared.changed.notify_all();
    }

    /// How often the present fault, or the last one, was felt.
    pub fn felt(&self) -> Felt {
        lock(&self.shared.state).felt
    }

    /// What was asked of it so far.
    pub fn counts(&self) -> Counts {
        lock(&self.shared.state).counts
    }

    /// Successful fsyncs so far, to be waited on.
    pub fn syncs(&self) -> tokio::sync::watch::Receiver<u64> {
        self.shared.synced.subscribe()
    }

    /// The power fails: what was not synced is gone, but for what a seed leaves.
    /// The processes that use it should be dead; whatever they left open gets EIO.
    pub fn fail_power(&self, seed: Option<u64>) -> Loss {
        lock(&self.shared.state).fail_power(seed)
    }

    /// Takes the mount away and writes the files, as they are now, to the directory
    /// that it had hidden.
    ///
    /// # Errors
    /// The mount cannot be taken away, or the directory cannot be written.
    pub fn close(self) -> io::Result<()> {
        let Self { shared, mut mount, place } = self;
        mount.take_away()?;
        let state = lock(&shared.state);
        mount::keep(&state.tree, &place)
    }
}
