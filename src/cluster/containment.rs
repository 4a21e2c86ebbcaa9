//! Nothing that a node started outlives the harness, and a signal to a node
//! reaches all of it: wrappers, children, grandchildren that called setsid.
//!
//! Each start of a node gets a PID namespace of its own. Its first process is a
//! keeper: a fork of the harness that does nothing but wait on a pipe. When the
//! harness ends, however it ends, the pipe closes, the keeper leaves, and the
//! kernel kills everything in the namespace. An ordinary user gets the right to
//! do so from a user namespace, which must be entered before the first thread
//! exists ([`prepare`]).
//!
//! Where the machine allows neither (some containers, some distributions), every
//! process of a node is found by an entry in its environment, and a watchdog
//! process kills what bears the mark when the harness is gone. A process that
//! clears its environment escapes that; the run says which way was used.
//!
//! PR_SET_PDEATHSIG is no use: it is bound to the thread that spawned, and
//! grandchildren do not inherit it. Must not know what a node is for.

use std::collections::BTreeSet;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::process::ExitStatus;
use std::sync::OnceLock;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::sched::{CloneFlags, unshare};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::unistd::{ForkResult, Gid, Pid, Uid, fork, pipe2, setsid};
use tokio::process::{Child, Command};
use tokio::sync::oneshot;

use super::clock::{self, Clocks, Skew, Traced};
use super::procfs::{self, Activity};

/// How the processes of nodes are kept together on this machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Means {
    /// A PID namespace per start of a node: nothing can escape.
    PidNamespace,
    /// A mark in the environment and a watchdog: a process that clears its
    /// environment escapes.
    EnvironmentMark,
}

impl Means {
    /// In words, for the record of the run.
    pub fn describe(self) -> &'static str {
        match self {
            Self::PidNamespace => "PID namespace per node",
            Self::EnvironmentMark => {
                "mark in the environment (PID namespaces are not permitted here): \
                 a process that clears its environment would escape"
            }
        }
    }
}

static MEANS: OnceLock<Means> = OnceLock::new();

/// Finds out what this machine allows and enters a user namespace if that is
/// needed. Call it first in `main`, while the process has a single thread.
///
/// A library user who does not call it gets [`Means::EnvironmentMark`] without
/// a watchdog unless he may create PID namespaces anyway.
pub fn prepare() -> Means {
    *MEANS.get_or_init(|| {
        let means = choose();
        // Mounts of the harness are seen by nobody else and end with it. It needs what
        // the user namespace gives; where it fails there are no disks, nothing else.
        super::disk::own_namespace();
        means
    })
}

fn choose() -> Means {
    if marks_are_asked_for() {
        start_watchdog();
        return Means::EnvironmentMark;
    }
    if in_a_child(|| unshare(CloneFlags::CLONE_NEWPID).is_ok()) {
        return Means::PidNamespace;
    }
    if in_a_child(|| enter_user_namespace().is_ok() && unshare(CloneFlags::CLONE_NEWPID).is_ok())
        && enter_user_namespace().is_ok()
    {
        return Means::PidNamespace;
    }
    start_watchdog();
    Means::EnvironmentMark
}

/// `RSM_CHECK_CONTAINMENT=mark` does without namespaces: for a machine on which
/// they are in the way, and for the tests of the other means.
fn marks_are_asked_for() -> bool {
    std::env::var_os("RSM_CHECK_CONTAINMENT").is_some_and(|means| means == "mark")
}

fn means() -> Means {
    *MEANS.get_or_init(|| {
        if Uid::effective().is_root() && in_a_child(|| unshare(CloneFlags::CLONE_NEWPID).is_ok()) {
            Means::PidNamespace
        } else {
            Means::EnvironmentMark
        }
    })
}

/// Tries something in a forked child, so that this process stays as it is.
///
/// The probes call system calls and, for the user namespace, write three small
/// files; with a single thread, as [`prepare`] demands, anything may be called.
#[allow(unsafe_code)]
fn in_a_child(probe: impl Fn() -> bool) -> bool {
    // SAFETY: the child runs the probe and leaves by _exit; it takes no lock that
    // another thread could hold, because the probes only make system calls.
    match unsafe { fork() } {
        Ok(ForkResult::Child) => {
            let code = i32::from(!probe());
            // SAFETY: _exit ends the child without running the parent's atexit handlers.
            unsafe { libc::_exit(code) }
        }
        Ok(ForkResult::Parent { child }) => matches!(waitpid(child, None), Ok(WaitStatus::Exited(_, 0))),
        Err(_) => false,
    }
}

/// The caller keeps its user and group; inside it may create PID namespaces.
fn enter_user_namespace() -> io::Result<()> {
    let (user, group) = (Uid::effective(), Gid::effective());
    unshare(CloneFlags::CLONE_NEWUSER)?;
    std::fs::write("/proc/self/setgroups", "deny")?;
    std::fs::write("/proc/self/gid_map", format!("{group} {group} 1"))?;
    std::fs::write("/proc/self/uid_map", format!("{user} {user} 1"))
}

/// The variable that marks processes where namespaces are not to be had.
const MARK: &str = "RSM_CHECK_NODE";

/// The mark of this harness: no other has the same process and moment of start.
fn run_mark() -> &'static str {
    static RUN: OnceLock<String> = OnceLock::new();
    RUN.get_or_init(|| {
        let moment = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos());
        format!("{}-{moment}", Pid::this())
    })
}

/// Forks a process that waits for the end of this one, then kills what it left.
#[allow(unsafe_code)]
fn start_watchdog() {
    let mark = run_mark();
    let Ok((read, write)) = pipe2(OFlag::O_CLOEXEC) else { return };
    // SAFETY: called from `prepare`, before the first thread: no lock is held, so
    // the child may use the whole language.
    match unsafe { fork() } {
        Ok(ForkResult::Child) => {
            drop(write);
            let _ = setsid();
            wait_for_end(&read);
            kill_all(|pid| marked_by_run(pid, mark));
            // SAFETY: as above, without the parent's atexit handlers.
            unsafe { libc::_exit(0) }
        }
        // The write end stays open for as long as this process lives.
        Ok(ForkResult::Parent { .. }) => std::mem::forget(write),
        Err(_) => {}
    }
}

fn wait_for_end(pipe: &OwnedFd) {
    while nix::unistd::read(pipe, &mut [0u8]) == Err(Errno::EINTR) {}
}

fn marked_by_run(pid: Pid, mark: &str) -> bool {
    let prefix = format!("{MARK}={mark}/");
    let environment = std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
    environment.split(|&byte| byte == 0).any(|entry| entry.starts_with(prefix.as_bytes()))
}

/// Kills until two scans in a row find nobody: a process may fork while it dies.
/// One that hangs in the kernel is given up after some 30 s.
fn kill_all(belongs: impl Fn(Pid) -> bool) {
    const ROUNDS: u32 = 15_000;
    let mut quiet = 0;
    for _ in 0..ROUNDS {
        if quiet == 2 {
            return;
        }
        let alive: Vec<Pid> = procfs::processes()
            .into_iter()
            .filter(|&pid| belongs(pid) && procfs::activity(pid).is_some_and(|now| now != Activity::Ended))
            .collect();
        quiet = if alive.is_empty() { quiet + 1 } else { 0 };
        for pid in alive {
            let _ = kill(pid, Signal::SIGKILL);
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Everything that one start of a node has set in motion.
#[derive(Debug)]
pub struct Contained {
    boundary: Boundary,
}

#[derive(Debug)]
enum Boundary {
    Namespace { keeper: Pid, name: String, _leash: OwnedFd },
    Mark(String),
}

/// The first process of a start.
#[derive(Debug)]
pub enum First {
    /// The runtime waits for it.
    Child(Child),
    /// Its tracer waits for it.
    Traced(oneshot::Receiver<ExitStatus>),
}

impl First {
    /// Its exit status, once it has ended.
    ///
    /// # Errors
    /// It cannot be waited for.
    pub async fn wait(&mut self) -> io::Result<ExitStatus> {
        match self {
            Self::Child(child) => child.wait().await,
            Self::Traced(exit) => exit.await.map_err(|_| io::Error::other("its tracer has gone")),
        }
    }
}

/// What a start has brought about.
#[derive(Debug)]
pub struct Started {
    /// The command's own process.
    pub first: First,
    /// All of it.
    pub contained: Contained,
    /// Its clocks, if they were asked for.
    pub clocks: Option<Clocks>,
}

impl Started {
    fn plain(child: Child, contained: Contained) -> Self {
        Self { first: First::Child(child), contained, clocks: None }
    }

    fn traced((contained, traced): (Contained, Traced)) -> Self {
        Self { first: First::Traced(traced.exit), contained, clocks: Some(traced.clocks) }
    }
}

/// Starts a command inside a boundary of its own, with clocks that show `skew` and
/// can be changed if one is given. Blocks for some milliseconds and must be called
/// within a tokio runtime.
pub fn spawn(mut command: Command, skew: Option<Skew>) -> io::Result<Started> {
    command.process_group(0);
    match means() {
        Means::PidNamespace => spawn_in_namespace(command, skew),
        Means::EnvironmentMark => spawn_marked(command, skew),
    }
}

/// A namespace for children belongs to a thread, and a thread that has one can
/// start no threads: so it is done by a thread of its own, which then ends, unless
/// it traces what it has started.
fn spawn_in_namespace(mut command: Command, skew: Option<Skew>) -> io::Result<Started> {
    let boundary = || {
        unshare(CloneFlags::CLONE_NEWPID)?;
        let (keeper, leash) = start_keeper()?;
        let name = procfs::pid_namespace(keeper)
            .ok_or_else(|| io::Error::other("the keeper's namespace is gone"))?;
        Ok(Contained { boundary: Boundary::Namespace { keeper, name, _leash: leash } })
    };
    if let Some(skew) = skew {
        return clock::spawn(command.into_std(), skew, boundary).map(Started::traced);
    }
    let runtime = tokio::runtime::Handle::current();
    let work = move || {
        let contained = boundary()?;
        let _in_runtime = runtime.enter();
        Ok(Started::plain(command.spawn()?, contained))
    };
    let thread = std::thread::Builder::new().name("spawn".into()).spawn(work)?;
    thread.join().unwrap_or_else(|_| Err(io::Error::other("the thread that starts nodes panicked")))
}

/// The first process of a namespace: when the leash is dropped it ends, and with
/// it all others.
#[allow(unsafe_code)]
fn start_keeper() -> io::Result<(Pid, OwnedFd)> {
    let (read, write) = pipe2(OFlag::O_CLOEXEC)?;
    // SAFETY: other threads may hold locks, so the child makes system calls only.
    match unsafe { fork() }? {
        ForkResult::Child => keep(read.as_raw_fd()),
        ForkResult::Parent { child } => Ok((child, write)),
    }
}

/// The life of a keeper. Only async-signal-safe calls: it is the fork of a
/// process with many threads.
#[allow(unsafe_code)]
fn keep(leash: i32) -> ! {
    // SAFETY: plain system calls on numbers; no memory of another thread is
    // touched. All descriptors but the leash are closed, or the keeper would hold
    // open the harness's sockets and the leashes of other nodes.
    unsafe {
        libc::setsid();
        libc::signal(libc::SIGCHLD, libc::SIG_IGN);
        libc::prctl(libc::PR_SET_NAME, c"rsm-keeper".as_ptr());
        close_all(0, leash - 1);
        close_all(leash + 1, libc::c_int::MAX);
        let mut byte = 0u8;
        while libc::read(leash, (&raw mut byte).cast(), 1) < 0 && *libc::__errno_location() == libc::EINTR {}
        libc::_exit(0)
    }
}

/// Closes every descriptor from `first` to `last`; async-signal-safe.
///
/// Kernels before 5.9 and some sandboxes know no close_range. A keeper that kept
/// the writing end of its own leash would never see it close, and stay for ever.
#[allow(unsafe_code)]
fn close_all(first: libc::c_int, last: libc::c_int) {
    if first > last {
        return;
    }
    // SAFETY: plain system calls on numbers, on a structure of this stack frame.
    unsafe {
        if libc::syscall(libc::SYS_close_range, first, last, 0) == 0 {
            return;
        }
        let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
        let known = libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) == 0;
        let end = if known { limit.rlim_cur.min(1 << 20) as libc::c_int } else { 1 << 16 };
        for descriptor in first..=last.min(end) {
            libc::close(descriptor);
        }
    }
}

fn spawn_marked(mut command: Command, skew: Option<Skew>) -> io::Result<Started> {
    static STARTS: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);
    let number = STARTS.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    let value = format!("{}/{number}", run_mark());
    command.env(MARK, &value);
    let contained = Contained { boundary: Boundary::Mark(format!("{MARK}={value}")) };
    match skew {
        Some(skew) => clock::spawn(command.into_std(), skew, || Ok(contained)).map(Started::traced),
        None => Ok(Started::plain(command.spawn()?, contained)),
    }
}

impl Contained {
    /// Every process inside, but for the keeper.
    pub fn members(&self) -> Vec<Pid> {
        let all = procfs::processes().into_iter();
        match &self.boundary {
            Boundary::Namespace { keeper, name, .. } => all
                .filter(|pid| pid != keeper && procfs::pid_namespace(*pid).as_ref() == Some(name))
                .collect(),
            Boundary::Mark(entry) => all.filter(|&pid| procfs::has_environment(pid, entry)).collect(),
        }
    }

    /// Sends a signal to every process inside. One that is gone is fine.
    pub fn signal(&self, signal: Signal) {
        for pid in self.members() {
            let _ = kill(pid, signal);
        }
    }

    /// SIGKILL to everything inside; nothing can fork its way out.
    pub fn kill(&self) {
        match &self.boundary {
            Boundary::Namespace { keeper, .. } => {
                let _ = kill(*keeper, Signal::SIGKILL);
            }
            Boundary::Mark(entry) => kill_all(|pid| procfs::has_environment(pid, entry)),
        }
    }

    /// Waits until no process inside lives, at most so long. Returns whether it
    /// came to that.
    pub fn wait_until_empty(&self, ceiling: Duration) -> bool {
        let began = Instant::now();
        while self.is_any(|activity| activity != Activity::Ended) {
            if began.elapsed() >= ceiling {
                return false;
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        true
    }

    fn is_any(&self, wanted: impl Fn(Activity) -> bool) -> bool {
        self.members().into_iter().filter_map(procfs::activity).any(wanted)
    }

    /// Sends SIGSTOP until every process inside is seen to have stopped, or the
    /// rounds run out. A process may fork between two looks, hence the rounds.
    /// Where nobody is left, or nobody can be seen, nothing was stopped.
    ///
    /// One that waits in the kernel counts: it was sent the signal and runs no
    /// instruction before it stops. The parent of a vfork waits so for a child that
    /// is stopped itself.
    pub fn stop(&self) -> bool {
        let stopped = |activity| matches!(activity, Activity::Stopped | Activity::Waiting);
        self.settle_into(Signal::SIGSTOP, stopped) && self.is_any(stopped)
    }

    /// Sends SIGCONT until no process inside is seen stopped.
    pub fn resume(&self) -> bool {
        self.settle_into(Signal::SIGCONT, |activity| activity != Activity::Stopped)
    }

    /// Signals everyone once, then whoever is not seen as wanted, until two looks in
    /// a row find nobody: a traced process may look stopped for a moment without
    /// having been asked.
    fn settle_into(&self, signal: Signal, wanted: impl Fn(Activity) -> bool) -> bool {
        const ROUNDS: u32 = 2000;
        let (mut quiet, mut signalled) = (0, BTreeSet::new());
        for _ in 0..ROUNDS {
            let mut unlike = |pid: &Pid| {
                let now = procfs::activity(*pid).filter(|now| *now != Activity::Ended);
                now.is_some_and(|now| signalled.insert(*pid) || !wanted(now))
            };
            let others: Vec<Pid> = self.members().into_iter().filter(|pid| unlike(pid)).collect();
            quiet = if others.is_empty() { quiet + 1 } else { 0 };
            if quiet == 2 {
                return true;
            }
            for pid in others {
                let _ = kill(pid, signal);
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        false
    }
}

impl Drop for Contained {
    /// Nothing inside survives, whatever path led here.
    fn drop(&mut self) {
        self.kill();
        if let Boundary::Namespace { keeper, .. } = &self.boundary {
            let keeper = *keeper;
            // The kernel lets the keeper go only when the node's own process has been
            // reaped too, which the runtime does in its own time: so not on this
            // thread. Should no thread be had, a zombie stays until the harness ends.
            let reap = move || while waitpid(keeper, None) == Err(Errno::EINTR) {};
            let _ = std::thread::Builder::new().name("reap".into()).spawn(reap);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn where_nobody_is_left_nothing_was_stopped() {
        let Started { mut first, contained, .. } = spawn(Command::new("true"), None).unwrap();
        first.wait().await.unwrap();
        assert!(contained.wait_until_empty(Duration::from_secs(20)));
        assert!(!contained.stop());
    }
}
