//! The durable replica's event loop: sockets and clock around the pure replica.
//!
//! One thread and `poll`, on purpose: while the disk syncs, messages gather in the sockets and
//! become the next group, so groups grow with load by themselves. It must not know the protocol;
//! it carries lines.

use std::collections::BTreeMap;
use std::error::Error;
use std::fs::File;
use std::io::Read;
use std::net::TcpListener;
use std::os::fd::AsFd;
use std::path::Path;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};

use crate::connection::Connection;
use crate::disk::Disk;
use crate::launch::{listen, say};
use crate::replica::{Answer, Limits, Replica, ReplicaError};

/// The data file follows the commits at this distance.
const PUBLISH_EVERY: Duration = Duration::from_millis(50);
/// A line about progress, at most this often.
const REPORT_EVERY: Duration = Duration::from_secs(1);
/// A coordinator needs one; connections of dead ones may linger.
const MAX_CONNECTIONS: usize = 64;

/// Serves until SIGTERM, or until the disk fails.
pub fn run(data: &Path, limits: Limits) -> Result<(), Box<dyn Error>> {
    let signals = termination()?;
    let (replica, story) = Replica::open(Disk::beside(data)?, limits, draw_life()?)?;
    let listener = listen()?;
    listener.set_nonblocking(true)?;
    say(format_args!("ready: {story}"));
    let reported = replica.position();
    let now = Instant::now();
    let mut server = Server {
        replica,
        listener,
        signals,
        reported,
        connections: BTreeMap::new(),
        accepted: 0,
        published_at: None,
        reported_at: now,
        told_in_step: false,
    };
    while server.turn()? {}
    server.finish()?;
    Ok(())
}

/// SIGTERM and SIGINT as something to wait on, instead of a sudden end.
fn termination() -> nix::Result<SignalFd> {
    let mask = SigSet::from_iter([Signal::SIGTERM, Signal::SIGINT]);
    mask.thread_block()?;
    SignalFd::with_flags(&mask, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC)
}

struct Server {
    replica: Replica<Disk>,
    listener: TcpListener,
    signals: SignalFd,
    connections: BTreeMap<u64, Connection>,
    accepted: u64,
    published_at: Option<Instant>,
    reported_at: Instant,
    reported: (u64, u64),
    told_in_step: bool,
}

/// A number that no replica ever drew before: below 2^62, as all numbers on the wire.
fn draw_life() -> std::io::Result<u64> {
    let mut bytes = [0; 8];
    File::open("/dev/urandom").and_then(|mut source| source.read_exact(&mut bytes)).map_err(|error| {
        std::io::Error::new(error.kind(), format!("cannot draw a random number from /dev/urandom: {error}"))
    })?;
    Ok(u64::from_ne_bytes(bytes) >> 2)
}

impl Server {
    /// Waits, takes what came as one group, answers. False when asked to end.
    fn turn(&mut self) -> Result<bool, ReplicaError> {
        let ready = self.wait();
        let idle = ready.is_empty();
        if matches!(self.signals.read_signal(), Ok(Some(_))) {
            return Ok(false);
        }
        self.accept();
        for id in ready {
            self.receive(id);
        }
        let answers = self.replica.finish_group()?;
        self.answer(&answers);
        self.publish_when_due(idle)?;
        self.report_when_due();
        Ok(true)
    }

    /// The connections on which something happened.
    fn wait(&self) -> Vec<u64> {
        let mut sources = vec![
            PollFd::new(self.signals.as_fd(), PollFlags::POLLIN),
            PollFd::new(self.listener.as_fd(), PollFlags::POLLIN),
        ];
        let fixed = sources.len();
        sources.extend(self.connections.values().map(|c| PollFd::new(c.stream().as_fd(), interest(c))));
        let _ = poll(&mut sources, self.patience());
        let happened = sources[fixed..].iter().map(|source| source.any().unwrap_or(true));
        self.connections.keys().zip(happened).filter(|(_, any)| *any).map(|(id, _)| *id).collect()
    }

    /// Until the next thing that is due without anybody's word.
    fn patience(&self) -> PollTimeout {
        let publish = self.replica.is_stale().then(|| self.until_publish());
        let report = (self.reported != self.replica.position())
            .then(|| REPORT_EVERY.saturating_sub(self.reported_at.elapsed()));
        let Some(soonest) = publish.into_iter().chain(report).min() else {
            return PollTimeout::NONE;
        };
        // Rounded up: a time-out of zero would spin through the last millisecond.
        PollTimeout::try_from(soonest + Duration::from_millis(1)).unwrap_or(PollTimeout::ZERO)
    }

    fn until_publish(&self) -> Duration {
        self.published_at.map_or(Duration::ZERO, |at| PUBLISH_EVERY.saturating_sub(at.elapsed()))
    }

    fn accept(&mut self) {
        while let Ok((stream, _)) = self.listener.accept() {
            if let Ok(connection) = Connection::new(stream) {
                self.accepted += 1;
                self.connections.insert(self.accepted, connection);
            }
            if self.connections.len() > MAX_CONNECTIONS {
                self.connections.pop_first();
            }
        }
    }

    fn receive(&mut self, id: u64) {
        let Some(connection) = self.connections.get_mut(&id) else { return };
        connection.send();
        if !connection.wants_input() {
            return;
        }
        let bytes = connection.receive();
        for line in bytes.split(|&byte| byte == b'\n').filter(|line| !line.is_empty()) {
            let taken = match std::str::from_utf8(line) {
                Ok(text) => self.replica.handle(id, text).map_err(|error| error.to_string()),
                Err(error) => Err(format!("not a message: {error}")),
            };
            if let Err(reason) = taken {
                say(format_args!("connection {id} closed: {reason}"));
                connection.close();
                break;
            }
        }
    }

    fn answer(&mut self, answers: &[Answer]) {
        for answer in answers {
            if let Some(connection) = self.connections.get_mut(&answer.connection) {
                connection.queue(&answer.line);
            }
        }
        self.connections.values_mut().for_each(Connection::send);
        self.connections.retain(|_, connection| connection.is_open());
    }

    /// Silence is as good a moment as the clock's, which may have been set back.
    fn publish_when_due(&mut self, idle: bool) -> Result<(), ReplicaError> {
        if self.replica.is_stale() && (idle || self.until_publish().is_zero()) {
            self.replica.publish()?;
            self.published_at = Some(Instant::now());
        }
        Ok(())
    }

    fn report_when_due(&mut self) {
        let position = self.replica.position();
        if self.replica.is_in_step() && !self.told_in_step {
            self.told_in_step = true;
            say(format_args!("in step: holds all that is committed, up to position {}", position.0));
        }
        if position != self.reported && self.reported_at.elapsed() >= REPORT_EVERY {
            say(format_args!("position {} applied {}", position.0, position.1));
            (self.reported, self.reported_at) = (position, Instant::now());
        }
    }

    /// The last words: a current data file, and how well groups formed.
    fn finish(&mut self) -> Result<(), ReplicaError> {
        self.replica.publish()?;
        let (last, applied) = self.replica.position();
        let figures = self.replica.figures();
        let mean = figures.entries as f64 / figures.groups.max(1) as f64;
        say(format_args!(
            "stopped: position {last} applied {applied} groups {} entries {} mean group {mean:.2}",
            figures.groups, figures.entries
        ));
        Ok(())
    }
}

fn interest(connection: &Connection) -> PollFlags {
    let mut flags = PollFlags::empty();
    flags.set(PollFlags::POLLIN, connection.wants_input());
    flags.set(PollFlags::POLLOUT, connection.wants_output());
    flags
}
