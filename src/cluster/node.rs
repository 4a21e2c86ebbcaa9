//! The life of one node: started, ready, paused, killed, stopped, started again.
//!
//! Its state is an enum that every action checks first: nothing is ever done to
//! a node in a state that it does not fit (a pause of the dead, a second start).
//! Knows the node's processes, output and proxy; not why something is done to it.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use nix::sys::signal::Signal;
use nix::unistd::Pid;
use regex::Regex;
use tokio::process::Command;
use tokio::sync::watch;

use super::clock::{self, Applied, Change, Clocks, Skew};
use super::containment::{self, Contained, First, Started};
use super::disk::Disk;
use super::heard::Heard;
use super::launch::{Launch, Placeholders};
use super::listening::{self, Listening};
use super::output::{LastLines, Listener, Terminal};
use super::proxy::Proxy;
use super::wipe::{self, Wiped};
use crate::fault::Node;
use crate::sync::lock;

/// What a node is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Life {
    /// No process; the harness has not started it, or has stopped or killed it.
    Down,
    /// Started; its port is not known yet.
    Starting,
    /// It printed its port.
    Up,
    /// All its processes are stopped by a signal.
    Paused,
    /// The harness is ending it.
    Ending,
    /// It ended though nobody asked; it is not started again.
    Gone,
}

impl fmt::Display for Life {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Down => "down",
            Self::Starting => "starting",
            Self::Up => "up",
            Self::Paused => "paused",
            Self::Ending => "ending",
            Self::Gone => "gone",
        })
    }
}

/// Is told what happens to nodes, at once and in order for each node.
pub trait Watcher: Send + Sync {
    /// A process was started.
    fn started(&self, node: Node);
    /// The node printed its port.
    fn ready(&self, node: Node);
    /// The node's process ended; `status` in words, with its last lines.
    fn exited(&self, node: Node, asked: bool, status: &str);
}

/// Why a node did not become ready.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The process could not be started at all.
    #[error("{node} cannot be started: `{command}`: {why}")]
    Spawn {
        /// Which node.
        node: Node,
        /// Its program.
        command: String,
        /// What the kernel said.
        why: io::Error,
    },
    /// It ended before it printed its port.
    #[error("{node} ended before it printed its port: {status}")]
    Ended {
        /// Which node.
        node: Node,
        /// Exit status and last lines.
        status: String,
    },
    /// It did not print its port in time.
    #[error(
        "{node} did not print its port within {ceiling:?} (expected a line like `{pattern}`); its last lines:{last}"
    )]
    Silent {
        /// Which node.
        node: Node,
        /// How long it was waited for.
        ceiling: Duration,
        /// The pattern that was looked for.
        pattern: String,
        /// What it printed instead.
        last: String,
    },
    /// It told a port on which it does not serve 127.0.0.1.
    #[error(
        "{node} printed port {port}, but within {ceiling:?} nothing listened there on 127.0.0.1{elsewhere}; \
         it must print the port that it listens on"
    )]
    Deaf {
        /// Which node.
        node: Node,
        /// The port that it printed.
        port: u16,
        /// How long it was waited for.
        ceiling: Duration,
        /// Where else something listens on that port, in words.
        elsewhere: String,
    },
    /// It told a port that is another's.
    #[error("{node} printed port {port}, which is {owner}; it must print the port that it listens on")]
    Foreign {
        /// Which node.
        node: Node,
        /// The port that it printed.
        port: u16,
        /// Whose port that is, in words.
        owner: String,
    },
    /// Its port cannot be opened to others.
    #[error("the proxy of {node} cannot listen: {why}")]
    Proxy {
        /// Which node.
        node: Node,
        /// What the kernel said.
        why: io::Error,
    },
    /// The kernel did not let go of it: it hangs in a system call, perhaps of a
    /// failing disk.
    #[error("{node} had not ended {UNDYING:?} after SIGKILL: a process of it hangs in the kernel")]
    Undying {
        /// Which node.
        node: Node,
    },
    /// An action that does not fit the node's state: a defect of the harness.
    #[error("{node} is {life}, it cannot be {action}")]
    Unfit {
        /// Which node.
        node: Node,
        /// Its state.
        life: Life,
        /// What was tried.
        action: &'static str,
    },
}

/// Everything that never changes about a node.
pub struct Setup {
    /// Its name.
    pub node: Node,
    /// Its command.
    pub launch: Launch,
    /// What the command's placeholders stand for.
    pub placeholders: Placeholders,
    /// Where its output goes.
    pub log: PathBuf,
    /// Its first group is the port.
    pub ready: Regex,
    /// How long a start may take.
    pub start_ceiling: Duration,
    /// What asks it to end.
    pub stop_signal: Signal,
    /// Whether its clocks shall be changeable, which costs a tracer.
    pub clocks: bool,
    /// The proxy in front of it.
    pub proxy: Arc<Proxy>,
    /// Who is told.
    pub watcher: Arc<dyn Watcher>,
}

/// One node of the cluster.
pub struct NodeProcess {
    setup: Setup,
    life: Arc<Mutex<Life>>,
    running: tokio::sync::Mutex<Option<Running>>,
    /// What its clock shows, from one start to the next.
    skew: Mutex<Skew>,
    /// The disk that its private directory lies on, if it is one of the harness.
    disk: Mutex<Option<Disk>>,
    /// Whether it may end by itself and be started again.
    excused: Arc<AtomicBool>,
    heard: Heard,
    /// The port that it printed last.
    told: Mutex<Option<u16>>,
}

/// One start of the node, from spawn to exit.
struct Running {
    contained: Arc<Contained>,
    clocks: Option<Clocks>,
    /// Set before the harness ends it: the exit is then no finding.
    asked: Arc<AtomicBool>,
    /// Set when it is asked gently: how long what outlives its first process has.
    grace: Arc<OnceLock<Duration>>,
    /// Why the harness ended it although it counts as unasked.
    fault_of_its_own: Arc<OnceLock<String>>,
    /// Turns to the status in words when the exit has been dealt with.
    ended: watch::Receiver<Option<String>>,
}

impl NodeProcess {
    /// A node that is down.
    pub fn new(setup: Setup) -> Self {
        Self {
            setup,
            life: Arc::new(Mutex::new(Life::Down)),
            running: tokio::sync::Mutex::default(),
            skew: Mutex::default(),
            disk: Mutex::default(),
            excused: Arc::default(),
            heard: Heard::default(),
            told: Mutex::default(),
        }
    }

    /// Its name.
    pub fn node(&self) -> Node {
        self.setup.node
    }

    /// What it is doing now.
    pub fn life(&self) -> Life {
        *lock(&self.life)
    }

    /// The proxy in front of it.
    pub fn proxy(&self) -> &Proxy {
        &self.setup.proxy
    }

    /// Its private directory.
    pub fn dir(&self) -> &Path {
        &self.setup.placeholders.dir
    }

    /// Its data file.
    pub fn data(&self) -> &Path {
        &self.setup.placeholders.data
    }

    /// From now on its private directory lies on this disk.
    pub fn insert_disk(&self, disk: Disk) {
        *lock(&self.disk) = Some(disk);
    }

    /// Does something with its disk; `None` if it has none.
    pub fn with_disk<T>(&self, act: impl FnOnce(&Disk) -> T) -> Option<T> {
        lock(&self.disk).as_ref().map(act)
    }

    /// Writes what its disk holds to the directory underneath. Call it when nothing
    /// of the node runs any more; without a disk it does nothing.
    ///
    /// # Errors
    /// What kept the files from being written.
    pub fn close_disk(&self) -> io::Result<()> {
        let disk = lock(&self.disk).take();
        disk.map_or(Ok(()), Disk::close)
    }

    /// Until told otherwise, an exit that nobody asked for leaves it down rather than
    /// gone: it can be started again.
    pub fn excuse_exits(&self, excused: bool) {
        self.excused.store(excused, Ordering::SeqCst);
    }

    /// Where a line of its output can be waited for.
    pub fn heard(&self) -> &Heard {
        &self.heard
    }

    /// The port that it printed at its last start.
    pub fn told_port(&self) -> Option<u16> {
        *lock(&self.told)
    }

    /// Waits until something listens on the port that it printed, at most as long as a
    /// start may take. Returns where; nothing is claimed of a node that is no longer up,
    /// nor where the kernel does not tell.
    ///
    /// # Errors
    /// [`StartError::Deaf`].
    pub async fn wait_until_it_listens(&self) -> Result<Listening, StartError> {
        let began = tokio::time::Instant::now();
        loop {
            let Some(port) = self.told_port().filter(|_| self.life() == Life::Up) else {
                return Ok(Listening::default());
            };
            let Ok(found) = listening::look_up(port) else { return Ok(Listening::default()) };
            if found.serves_loopback() {
                return Ok(found);
            }
            let ceiling = self.setup.start_ceiling;
            if began.elapsed() >= ceiling {
                let elsewhere = elsewhere(&found);
                return Err(StartError::Deaf { node: self.node(), port, ceiling, elsewhere });
            }
            tokio::time::sleep(LISTENING_POLL).await;
        }
    }

    /// What it is doing once what is being done to it is done.
    pub async fn settled_life(&self) -> Life {
        let _slot = self.running.lock().await;
        self.life()
    }

    /// Removes everything in its directory. It must be down.
    ///
    /// # Errors
    /// It is not down, or a file cannot be removed.
    pub async fn wipe(&self) -> io::Result<Wiped> {
        let _slot = self.running.lock().await;
        let life = self.life();
        if life != Life::Down {
            return Err(io::Error::other(StartError::Unfit { node: self.node(), life, action: "wiped" }));
        }
        let dir = self.setup.placeholders.dir.clone();
        let named = dir.display().to_string();
        let wiped = blocking(move || wipe::empty(&dir)).await;
        let wiped = wiped.unwrap_or_else(|| Err(io::Error::other("the thread that wiped it panicked")));
        wiped.map_err(|why| io::Error::new(why.kind(), format!("{named} cannot be emptied: {why}")))
    }

    /// Moves from one of `from` to `to`, or says that the action does not fit.
    fn advance(&self, from: &[Life], to: Life, action: &'static str) -> Result<(), StartError> {
        let mut life = lock(&self.life);
        if !from.contains(&life) {
            return Err(StartError::Unfit { node: self.node(), life: *life, action });
        }
        *life = to;
        Ok(())
    }

    /// Starts the process and waits until it has printed its port.
    ///
    /// # Errors
    /// The process cannot be started, ends or stays silent; it is down then.
    pub async fn start(&self) -> Result<(), StartError> {
        let mut slot = self.running.lock().await;
        self.advance(&[Life::Down], Life::Starting, "started")?;
        let (running, port, last) = match self.spawn().await {
            Ok(spawned) => spawned,
            Err(why) => {
                *lock(&self.life) = Life::Down;
                let command = self.setup.launch.to_string();
                return Err(StartError::Spawn { node: self.node(), command, why });
            }
        };
        let outcome = self.wait_ready(&running, port, &last).await.and_then(|port| self.open(port));
        if let Err(why) = &outcome {
            self.give_up(&running, why).await;
        }
        *slot = outcome.is_ok().then_some(running);
        outcome
    }

    fn open(&self, port: u16) -> Result<(), StartError> {
        let mut life = lock(&self.life);
        // It may have ended between its line and now: the exit has the last word.
        if *life != Life::Starting {
            return Ok(());
        }
        *lock(&self.told) = Some(port);
        self.setup.proxy.open(port).map_err(|why| StartError::Proxy { node: self.node(), why })?;
        *life = Life::Up;
        drop(life);
        self.setup.watcher.ready(self.node());
        Ok(())
    }

    async fn spawn(&self) -> io::Result<(Running, watch::Receiver<Option<u16>>, LastLines)> {
        let (ours, theirs) = Terminal::open()?.split();
        let last = LastLines::default();
        let (listener, port) = Listener::new(self.setup.ready.clone(), &self.setup.log, last.clone())?;
        let listener = listener.telling(self.heard.clone());
        let mut command = Command::new(&self.setup.launch.program);
        command
            .args(self.setup.launch.arguments(&self.setup.placeholders))
            .envs(&self.setup.launch.env)
            .stdin(Stdio::null())
            .stderr(Stdio::from(theirs.try_clone()?))
            .stdout(Stdio::from(theirs));
        let skew = self.setup.clocks.then(|| *lock(&self.skew));
        let spawned = blocking(move || containment::spawn(command, skew)).await;
        let Started { first, contained, clocks } =
            spawned.ok_or_else(|| io::Error::other("the start of a node panicked"))??;
        self.setup.watcher.started(self.node());
        let heard = tokio::spawn(listener.run(ours));
        let (contained, asked) = (Arc::new(contained), Arc::new(AtomicBool::new(false)));
        let (grace, fault_of_its_own) = (Arc::new(OnceLock::new()), Arc::new(OnceLock::new()));
        let (sender, ended) = watch::channel(None);
        let obituary = Obituary {
            node: self.node(),
            contained: contained.clone(),
            asked: asked.clone(),
            grace: grace.clone(),
            fault_of_its_own: fault_of_its_own.clone(),
            life: self.life.clone(),
            excused: self.excused.clone(),
            proxy: self.setup.proxy.clone(),
            watcher: self.setup.watcher.clone(),
            last: last.clone(),
            ended: sender,
        };
        tokio::spawn(obituary.write(first, heard));
        Ok((Running { contained, clocks, asked, grace, fault_of_its_own, ended }, port, last))
    }

    async fn wait_ready(
        &self,
        running: &Running,
        mut port: watch::Receiver<Option<u16>>,
        last: &LastLines,
    ) -> Result<u16, StartError> {
        let mut ended = running.ended.clone();
        let node = self.node();
        tokio::select! {
            biased;
            Ok(port) = port.wait_for(Option::is_some) => Ok(port.unwrap_or_default()),
            Ok(status) = ended.wait_for(Option::is_some) => {
                Err(StartError::Ended { node, status: status.clone().unwrap_or_default() })
            }
            () = tokio::time::sleep(self.setup.start_ceiling) => Err(StartError::Silent {
                node,
                ceiling: self.setup.start_ceiling,
                pattern: self.setup.ready.to_string(),
                last: quote(&last.get()),
            }),
        }
    }

    /// A start that failed is the node's own doing, though it is killed for it;
    /// but for a proxy that cannot listen, which is the machine's.
    async fn give_up(&self, running: &Running, why: &StartError) {
        running.asked.store(matches!(why, StartError::Proxy { .. }), Ordering::SeqCst);
        let _ = running.fault_of_its_own.set(why.to_string());
        put_to_death(running).await;
    }

    /// SIGKILL to all of it; returns when the exit has been dealt with.
    pub async fn kill(&self) -> Result<(), StartError> {
        let mut slot = self.running.lock().await;
        self.advance(&[Life::Up, Life::Paused, Life::Starting], Life::Ending, "killed")?;
        match slot.take() {
            Some(running) => self.end(&running).await,
            None => Ok(()),
        }
    }

    async fn end(&self, running: &Running) -> Result<(), StartError> {
        running.asked.store(true, Ordering::SeqCst);
        if put_to_death(running).await { Ok(()) } else { Err(StartError::Undying { node: self.node() }) }
    }

    /// SIGSTOP to all of it. Returns whether every process was seen to stop.
    pub async fn pause(&self) -> Result<bool, StartError> {
        let slot = self.running.lock().await;
        self.advance(&[Life::Up], Life::Paused, "paused")?;
        let Some(running) = slot.as_ref() else { return Ok(false) };
        let contained = running.contained.clone();
        Ok(blocking(move || contained.stop()).await.unwrap_or(false))
    }

    /// SIGCONT to all of it. Returns whether no process was seen stopped any more.
    pub async fn resume(&self) -> Result<bool, StartError> {
        let slot = self.running.lock().await;
        self.advance(&[Life::Paused], Life::Up, "resumed")?;
        let Some(running) = slot.as_ref() else { return Ok(false) };
        let contained = running.contained.clone();
        Ok(blocking(move || contained.resume()).await.unwrap_or(false))
    }

    /// Changes the clock of all of it, and of what it starts from now on, restarts
    /// included: a machine's clock does not heal because a process ends.
    ///
    /// # Errors
    /// The node's clocks were not asked for when it was set up.
    pub async fn change_clock(&self, change: Change) -> Result<Applied, String> {
        let slot = self.running.lock().await;
        if !self.setup.clocks {
            return Err(format!("the clocks of {} cannot be changed: it is not traced", self.node()));
        }
        let Some(running) = slot.as_ref() else {
            let mut skew = lock(&self.skew);
            *skew = skew.changed(change, clock::now_ns());
            return Ok(Applied::to_nobody(*skew));
        };
        let Some(clocks) = &running.clocks else {
            return Err(format!("the clocks of {} cannot be changed: it is not traced", self.node()));
        };
        let changed = clocks.change(change);
        *lock(&self.skew) = clocks.skew();
        let mut applied = settled(running, clocks).await;
        applied.ahead_ns = changed.ahead_ns;
        applied.missed = changed.missed;
        // The change did not reach them, and they have ended since.
        let ended = changed.escaped.into_iter().filter(|(pid, _)| !clock::is_there(*pid));
        applied.missed.extend(ended);
        Ok(applied)
    }

    /// The stop signal, a grace, then SIGKILL. A node that is down stays so.
    /// Returns whether the signal was enough.
    pub async fn stop(&self, grace: Duration) -> bool {
        let mut slot = self.running.lock().await;
        if self.advance(&[Life::Up, Life::Paused, Life::Starting], Life::Ending, "stopped").is_err() {
            return true;
        }
        let Some(running) = slot.take() else { return true };
        running.asked.store(true, Ordering::SeqCst);
        // Taken once, and nobody stops the same process twice.
        let _ = running.grace.set(grace);
        let (contained, signal) = (running.contained.clone(), self.setup.stop_signal);
        blocking(move || {
            contained.signal(signal);
            contained.signal(Signal::SIGCONT);
        })
        .await;
        let mut ended = running.ended.clone();
        let gentle = tokio::time::timeout(grace, ended.wait_for(Option::is_some)).await.is_ok();
        if !gentle {
            // It counts as stubborn either way.
            let _ = self.end(&running).await;
        }
        gentle
    }
}

/// What every process of a node shows once nobody is between two programs or just born:
/// the tracer deals with those a moment later. Whoever stays so has escaped.
async fn settled(running: &Running, clocks: &Clocks) -> Applied {
    const ROUNDS: u32 = 2000;
    let mut round = 0;
    loop {
        // In this order: whoever is known by then is looked at.
        let strangers = unknown(running, clocks);
        let mut applied = clocks.look();
        if round == ROUNDS || (strangers.is_empty() && applied.pending.is_empty()) {
            let stuck = |pid| (pid, "it executed another program and was not followed into it".into());
            let strange = |pid| (pid, "it is not followed by the tracer".into());
            let late: Vec<_> = applied.pending.drain(..).map(stuck).collect();
            applied.escaped.extend(late.into_iter().chain(strangers.into_iter().map(strange)));
            return applied;
        }
        round += 1;
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

fn unknown(running: &Running, clocks: &Clocks) -> Vec<Pid> {
    let members = running.contained.members().into_iter();
    members.filter(|&pid| !clocks.knows(pid) && clock::is_there(pid)).collect()
}

/// How long the kernel may take to end what was killed.
const UNDYING: Duration = Duration::from_secs(30);

/// SIGKILL to everything; false if the exit was not dealt with in time.
async fn put_to_death(running: &Running) -> bool {
    let contained = running.contained.clone();
    blocking(move || contained.kill()).await;
    let dead = tokio::time::timeout(UNDYING, running.ended.clone().wait_for(Option::is_some)).await.is_ok();
    // Others of it may still be on their way out of a system call.
    let contained = running.contained.clone();
    dead && blocking(move || contained.wait_until_empty(UNDYING)).await.unwrap_or(false)
}

/// Runs what blocks for milliseconds away from the event loop; on it where no thread
/// can be had, because a node must be killed then too. `None` if it panicked.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    let (tell, told) = tokio::sync::oneshot::channel();
    let work = move || drop(tell.send(work()));
    let here = Arc::new(Mutex::new(Some(work)));
    let (there, runtime) = (here.clone(), tokio::runtime::Handle::current());
    let away = std::thread::Builder::new().name("node".into()).spawn(move || {
        let _in_runtime = runtime.enter();
        once(&there);
    });
    if away.is_err() {
        once(&here);
    }
    told.await.ok()
}

fn once(work: &Mutex<Option<impl FnOnce()>>) {
    let taken = lock(work).take();
    if let Some(work) = taken {
        work();
    }
}

/// Waits for the end of a node's process and tells everyone.
struct Obituary {
    node: Node,
    contained: Arc<Contained>,
    asked: Arc<AtomicBool>,
    grace: Arc<OnceLock<Duration>>,
    fault_of_its_own: Arc<OnceLock<String>>,
    life: Arc<Mutex<Life>>,
    excused: Arc<AtomicBool>,
    proxy: Arc<Proxy>,
    watcher: Arc<dyn Watcher>,
    last: LastLines,
    ended: watch::Sender<Option<String>>,
}

impl Obituary {
    async fn write(self, mut first: First, heard: tokio::task::JoinHandle<()>) {
        let status = first.wait().await;
        let asked = self.asked.load(Ordering::SeqCst);
        {
            let mut life = lock(&self.life);
            let again = asked || self.excused.load(Ordering::SeqCst);
            *life = if again { Life::Down } else { Life::Gone };
            self.proxy.refuse();
        }
        // What the process left behind would hold its output open. Behind a wrapper
        // it is the program itself, which may still be writing its last words.
        let (contained, grace) = (self.contained.clone(), self.grace.get().copied());
        blocking(move || {
            if let Some(grace) = grace {
                contained.wait_until_empty(grace);
            }
            contained.kill();
        })
        .await;
        let _ = tokio::time::timeout(Duration::from_secs(1), heard).await;
        let text = self.text(status, asked);
        self.watcher.exited(self.node, asked, &text);
        self.ended.send_replace(Some(text));
    }

    fn text(&self, status: io::Result<ExitStatus>, asked: bool) -> String {
        match self.fault_of_its_own.get() {
            Some(why) => why.clone(),
            None if asked => in_words(status),
            None => in_words(status) + &quote(&self.last.get()),
        }
    }
}

fn in_words(status: io::Result<ExitStatus>) -> String {
    use std::os::unix::process::ExitStatusExt;
    match status {
        Ok(status) => match (status.code(), status.signal()) {
            (Some(code), _) => format!("exit status {code}"),
            (None, Some(signal)) => match Signal::try_from(signal) {
                Ok(known) => format!("ended by {known}"),
                Err(_) => format!("ended by signal {signal}"),
            },
            (None, None) => "ended".into(),
        },
        Err(why) => format!("its exit status is not known: {why}"),
    }
}

/// Between two looks at where a node listens.
const LISTENING_POLL: Duration = Duration::from_millis(5);

/// `, only on 192.0.2.7`.
fn elsewhere(found: &Listening) -> String {
    let addresses: Vec<String> = found.addresses.iter().map(ToString::to_string).collect();
    if addresses.is_empty() { String::new() } else { format!(", only on {}", addresses.join(", ")) }
}

fn quote(lines: &[String]) -> String {
    if lines.is_empty() {
        return " (it printed nothing)".into();
    }
    lines.iter().map(|line| format!("\n    {line}")).collect()
}
