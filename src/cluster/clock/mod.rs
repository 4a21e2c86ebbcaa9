//! Wrong clocks: what the processes of one node see as the time of day.
//!
//! ```text
//! skew      the arithmetic: offset, rate, where they began
//! wrapper   machine code that applies a skew to what the vDSO answers
//! image     where it goes: the vDSO of one process, found and patched
//! tracer    follows every process of a node from its first exec on
//! ```
//!
//! Programs ask for the time through the vDSO, code that the kernel maps into every
//! process. When a traced process has just executed a program, a wrapper is written
//! into the unused tail of that mapping and the symbols of the clock functions are
//! pointed at it, before the program looks them up. From then on the clock changes by
//! two small writes into the process's memory; nothing is stopped for it. Nothing is
//! preloaded and the host's clock is never touched: static programs and runtimes of
//! other languages see the same.
//!
//! Not reached: system calls that go past the vDSO, absolute waits on the real-time
//! clock, time stamps of files. CLOCK_MONOTONIC stays as it is. Must not know nodes,
//! plans or when a clock is changed.

mod image;
mod skew;
#[cfg(target_arch = "x86_64")]
mod tracer;
#[cfg(not(target_arch = "x86_64"))]
#[path = "elsewhere.rs"]
mod tracer;
#[cfg(target_arch = "x86_64")]
mod wrapper;

pub use skew::{Change, Skew};
pub use tracer::{Traced, spawn};

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{SystemTime, UNIX_EPOCH};

use nix::unistd::Pid;

use crate::sync::lock;
use image::{Patched, Trouble};

/// The clocks of all processes of one start of a node.
#[derive(Debug, Clone, Default)]
pub struct Clocks {
    shared: Arc<Mutex<Shared>>,
}

#[derive(Debug, Default)]
struct Shared {
    skew: Skew,
    processes: BTreeMap<Pid, Patched>,
    /// Processes whose clock cannot be changed, with the reason.
    escaped: BTreeMap<Pid, String>,
    /// Such processes that ended before anybody asked, under a wrong clock that they
    /// did not see.
    missed: Vec<(Pid, String)>,
}

/// What came of a change.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Applied {
    /// How far the clock now is ahead of the host's, in nanoseconds.
    pub ahead_ns: i64,
    /// Processes in which the change was read back.
    pub processes: Vec<Pid>,
    /// Processes that the change did not reach, with the reason.
    pub escaped: Vec<(Pid, String)>,
    /// Processes that should have seen the wrong clock before this change, did not, and
    /// have ended.
    pub missed: Vec<(Pid, String)>,
    /// Processes that are just executing another program. They see the change from its
    /// first instruction on, or escape: [`Clocks::look`] tells a moment later.
    pub pending: Vec<Pid>,
}

impl Applied {
    /// A change at a node that is down: what it starts next will see it.
    pub(super) fn to_nobody(skew: Skew) -> Self {
        let now = now_ns();
        Self { ahead_ns: skew.at(now).saturating_sub(now), ..Self::default() }
    }

    /// Whether every process was reached, and there was one.
    pub fn held(&self) -> bool {
        let reached = self.escaped.is_empty() && self.missed.is_empty() && self.pending.is_empty();
        reached && !self.processes.is_empty()
    }
}

impl Clocks {
    /// Of nobody yet; whoever is admitted sees this.
    fn showing(skew: Skew) -> Self {
        let shared = Shared { skew, ..Shared::default() };
        Self { shared: Arc::new(Mutex::new(shared)) }
    }

    /// Changes the clock of every process at once, as far as one after the other in
    /// some microseconds is at once, and reads each back.
    pub fn change(&self, change: Change) -> Applied {
        let mut shared = lock(&self.shared);
        shared.bury();
        let now = now_ns();
        let skew = shared.skew.changed(change, now);
        shared.skew = skew;
        let mut applied = shared.each(|patched| patched.set(skew));
        applied.missed.append(&mut shared.missed);
        applied
    }

    /// What every process shows now, without changing anything.
    pub fn look(&self) -> Applied {
        let mut shared = lock(&self.shared);
        shared.bury();
        shared.each(|_| Ok(()))
    }

    /// What the clocks show now.
    pub fn skew(&self) -> Skew {
        lock(&self.shared).skew
    }

    /// Whether the tracer follows this process, be its clock changed or not.
    pub fn knows(&self, pid: Pid) -> bool {
        let shared = lock(&self.shared);
        shared.processes.contains_key(&pid) || shared.escaped.contains_key(&pid)
    }

    /// A process has come to be, or runs another program: it gets the present skew
    /// before its next instruction.
    fn admit(&self, pid: Pid, found: Result<Patched, Trouble>) {
        let mut shared = lock(&self.shared);
        let skew = shared.skew;
        match found.and_then(|patched| patched.set(skew).map(|()| patched)) {
            Ok(patched) => {
                shared.escaped.remove(&pid);
                shared.processes.insert(pid, patched);
            }
            Err(why) => {
                shared.processes.remove(&pid);
                if why != Trouble::Ended && is_there(pid) {
                    shared.escaped.insert(pid, why.to_string());
                }
            }
        }
    }

    fn forget(&self, pid: Pid) {
        let mut shared = lock(&self.shared);
        shared.processes.remove(&pid);
        shared.bury_one(pid);
    }
}

impl Shared {
    /// Escaped processes that have ended, told to the tracer or not yet.
    fn bury(&mut self) {
        let gone: Vec<Pid> = self.escaped.keys().copied().filter(|&pid| !is_there(pid)).collect();
        gone.into_iter().for_each(|pid| self.bury_one(pid));
    }

    fn bury_one(&mut self, pid: Pid) {
        let escaped = self.escaped.remove(&pid);
        if let Some(why) = escaped.filter(|_| self.skew != Skew::default()) {
            self.missed.push((pid, why));
        }
    }

    /// Does something to every process, then reads from each what it shows. What was
    /// opened before may be the memory of the program that a process has left, or that
    /// it shares with its parent until it has (vfork): so it is read by its number.
    fn each(&mut self, act: impl Fn(&Patched) -> Result<(), Trouble>) -> Applied {
        let mut applied = Applied::to_nobody(self.skew);
        for (&pid, patched) in &self.processes {
            match act(patched).and_then(|()| patched.shows(pid, self.skew)) {
                Ok(()) => applied.processes.push(pid),
                Err(Trouble::Ended) => {}
                Err(_) if !is_there(pid) => {}
                // The tracer admits it anew, with this skew, before the program runs.
                Err(Trouble::AnotherProgram) => applied.pending.push(pid),
                Err(Trouble::Failed(why)) => applied.escaped.push((pid, why)),
            }
        }
        applied.escaped.extend(self.escaped.iter().map(|(&pid, why)| (pid, why.clone())));
        applied
    }
}

/// The host's time of day, nanoseconds since 1970.
pub(super) fn now_ns() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_nanos()).unwrap_or(i64::MAX)
}

pub(super) fn is_there(pid: Pid) -> bool {
    use crate::cluster::procfs::{Activity, activity};
    activity(pid).is_some_and(|now| now != Activity::Ended)
}
