//! Follows every process of a node, from its first instruction on.
//!
//! A tracer is told when a process executes a program (its vDSO is new then, and is
//! patched before the program runs) and when it forks (the copy gets the present
//! skew before it runs). It attaches with PTRACE_SEIZE, under which a process that is
//! stopped by a signal stays stopped, and SIGCONT wakes it: pauses work as without it.
//! Between those moments nothing is stopped; other signals pass unchanged.
//!
//! Requests to a traced process must come from the thread that traces it, so each
//! start of a node has one, which also waits for the node's first process: whoever
//! else waited for it would take the tracer's events away. Must not know nodes.

use std::collections::BTreeSet;
use std::io;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Command, ExitStatus};

use nix::unistd::Pid;
use tokio::sync::oneshot;

use super::image::{Blob, Patched};
use super::{Clocks, Skew, wrapper};

/// A process that was started and whose clock can be changed.
#[derive(Debug)]
pub struct Traced {
    /// The clocks of it and all that it starts.
    pub clocks: Clocks,
    /// Its exit status, once it has ended.
    pub exit: oneshot::Receiver<ExitStatus>,
}

/// Starts a command whose clocks show `skew` and can be changed. `before` runs first, on the
/// thread that becomes the parent. Blocks for some milliseconds.
///
/// Should tracing or the vDSO not allow it, the command runs all the same, and every
/// [`Clocks::change`] names the processes that escape it and why.
///
/// # Errors
/// `before` failed, or the command cannot be started.
pub fn spawn<T: Send + 'static>(
    command: Command,
    skew: Skew,
    before: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<(T, Traced)> {
    let clocks = Clocks::showing(skew);
    let (tell, told) = std::sync::mpsc::channel();
    let (ended, exit) = oneshot::channel();
    let theirs = clocks.clone();
    std::thread::Builder::new().name("clocks".into()).spawn(move || {
        let begun = before().and_then(|made| Ok((made, Tracer::begin(command, theirs)?)));
        match begun {
            Ok((made, tracer)) => {
                let _ = tell.send(Ok(made));
                tracer.run(ended);
            }
            Err(why) => drop(tell.send(Err(why))),
        }
    })?;
    let made =
        told.recv().unwrap_or_else(|_| Err(io::Error::other("the thread that starts nodes panicked")))?;
    Ok((made, Traced { clocks, exit }))
}

struct Tracer {
    clocks: Clocks,
    blob: Blob,
    first: Pid,
    /// Threads that are traced, by their numbers.
    traced: BTreeSet<Pid>,
    /// Those that reported themselves before their parent's report of their birth came.
    /// They may even have ended by then, while their parent was held.
    unannounced: BTreeSet<Pid>,
}

/// What a wait reported.
#[derive(Debug, PartialEq, Eq)]
enum Seen {
    /// The process or thread is no more.
    Ended(ExitStatus),
    /// It stopped for an event (0: for a signal that is to be delivered).
    Stopped { signal: libc::c_int, event: libc::c_int },
}

const FOLLOW: libc::c_int = libc::PTRACE_O_TRACEEXEC
    | libc::PTRACE_O_TRACEFORK
    | libc::PTRACE_O_TRACEVFORK
    | libc::PTRACE_O_TRACECLONE;

impl Tracer {
    #[allow(unsafe_code)]
    fn begin(mut command: Command, clocks: Clocks) -> io::Result<Self> {
        let trace_me = || {
            // SAFETY: one system call, which is all that a forked child may do.
            match unsafe { libc::ptrace(libc::PTRACE_TRACEME, 0, 0, 0) } {
                -1 => Err(io::Error::last_os_error()),
                _ => Ok(()),
            }
        };
        // SAFETY: the closure allocates nothing and takes no lock.
        unsafe { command.pre_exec(trace_me) };
        let child = command.spawn()?;
        let first = Pid::from_raw(child.id() as libc::pid_t);
        let tracer = Self {
            clocks,
            blob: wrapper::blob(),
            first,
            traced: BTreeSet::from([first]),
            unannounced: BTreeSet::new(),
        };
        tracer.attach();
        Ok(tracer)
    }

    /// The first program has been executed and has not run. Tracing goes over from
    /// the kind that a child asks for to the kind that leaves pauses alone, without
    /// letting it run in between.
    fn attach(&self) {
        let first = self.first;
        let Ok((_, Seen::Stopped { .. })) = wait(first.as_raw()) else { return };
        self.clocks.admit(first, Patched::install(first, &self.blob));
        let _ = request(libc::PTRACE_DETACH, first, libc::SIGSTOP);
        match request(libc::PTRACE_SEIZE, first, FOLLOW) {
            Ok(()) => {
                // It reports its stop; then it may go.
                let _ = wait(first.as_raw());
                signal(first, libc::SIGCONT);
                let _ = request(libc::PTRACE_CONT, first, 0);
            }
            Err(why) => {
                signal(first, libc::SIGCONT);
                self.clocks.admit(first, Err(format!("it cannot be followed: {why}").into()));
            }
        }
    }

    /// Until nobody is left to trace.
    fn run(mut self, ended: oneshot::Sender<ExitStatus>) {
        let mut ended = Some(ended);
        while !self.traced.is_empty() {
            match wait(-1) {
                Ok((pid, seen)) => {
                    let status = self.seen(pid, seen).filter(|_| pid == self.first);
                    if let Some((status, ended)) = status.zip(ended.take_if(|_| status.is_some())) {
                        let _ = ended.send(status);
                    }
                }
                Err(why) if why.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return,
            }
        }
    }

    /// Deals with one report; returns the status of what has ended.
    fn seen(&mut self, pid: Pid, seen: Seen) -> Option<ExitStatus> {
        let (signal, event) = match seen {
            Seen::Ended(status) => {
                self.traced.remove(&pid);
                self.clocks.forget(pid);
                return Some(status);
            }
            Seen::Stopped { signal, event } => (signal, event),
        };
        if self.traced.insert(pid) {
            self.unannounced.insert(pid);
            self.newcomer(pid);
        }
        match event {
            libc::PTRACE_EVENT_EXEC => self.executed(pid),
            libc::PTRACE_EVENT_FORK | libc::PTRACE_EVENT_VFORK | libc::PTRACE_EVENT_CLONE => {
                // Known from now on, so that the tracer does not end before it has
                // reported itself; what it needs is done when it does.
                if let Some(child) = message(pid) {
                    self.expected(child);
                }
            }
            libc::PTRACE_EVENT_STOP if is_stop(signal) => {
                // Stopped by a signal: it stays so until SIGCONT.
                let _ = request(libc::PTRACE_LISTEN, pid, 0);
                return None;
            }
            _ => {}
        }
        let _ = request(libc::PTRACE_CONT, pid, if event == 0 { signal } else { 0 });
        None
    }

    /// A process runs a new program; the thread that executed it goes on under the
    /// number of the process, all others are gone.
    fn executed(&mut self, pid: Pid) {
        if let Some(former) = message(pid).filter(|&former| former != pid) {
            self.traced.remove(&former);
        }
        self.clocks.admit(pid, Patched::install(pid, &self.blob));
    }

    fn expected(&mut self, child: Pid) {
        if !self.unannounced.remove(&child) && self.traced.insert(child) {
            self.newcomer(child);
        }
    }

    /// It was born stopped. A thread shares the memory of its process.
    fn newcomer(&self, pid: Pid) {
        if is_process(pid) {
            self.clocks.admit(pid, Patched::inherited(pid, &self.blob));
        }
    }
}

fn is_stop(signal: libc::c_int) -> bool {
    matches!(signal, libc::SIGSTOP | libc::SIGTSTP | libc::SIGTTIN | libc::SIGTTOU)
}

/// Whether this is the number of a process, not of one of its further threads.
fn is_process(pid: Pid) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let leader = status.lines().find_map(|line| line.strip_prefix("Tgid:")?.trim().parse().ok());
    leader == Some(pid.as_raw())
}

/// Waits for this thread's children and tracees only, not for those of others.
#[allow(unsafe_code)]
fn wait(pid: libc::pid_t) -> io::Result<(Pid, Seen)> {
    let mut status = 0;
    // SAFETY: writes into a number of this stack frame.
    let found = unsafe { libc::waitpid(pid, &raw mut status, libc::__WALL | libc::__WNOTHREAD) };
    if found < 0 {
        return Err(io::Error::last_os_error());
    }
    let seen = if libc::WIFSTOPPED(status) {
        Seen::Stopped { signal: libc::WSTOPSIG(status), event: status >> 16 }
    } else {
        Seen::Ended(ExitStatus::from_raw(status))
    };
    Ok((Pid::from_raw(found), seen))
}

#[allow(unsafe_code)]
fn request(what: libc::c_uint, pid: Pid, data: libc::c_int) -> io::Result<()> {
    // SAFETY: these requests take numbers, no addresses.
    let answer = unsafe { libc::ptrace(what, pid.as_raw(), 0, libc::c_long::from(data)) };
    if answer < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// What an event says besides: the number of a child, or the one before an exec.
#[allow(unsafe_code)]
fn message(pid: Pid) -> Option<Pid> {
    let mut number: libc::c_ulong = 0;
    // SAFETY: writes one unsigned long, into this stack frame.
    let answer = unsafe { libc::ptrace(libc::PTRACE_GETEVENTMSG, pid.as_raw(), 0, &raw mut number) };
    (answer >= 0).then(|| Pid::from_raw(number as libc::pid_t))
}

fn signal(pid: Pid, signal: libc::c_int) {
    if let Ok(signal) = nix::sys::signal::Signal::try_from(signal) {
        let _ = nix::sys::signal::kill(pid, signal);
    }
}
