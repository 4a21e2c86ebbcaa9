//! The durable coordinator's event loop: sockets and clocks around the pure sequencer.
//!
//! One thread: whatever gathered while the last batch was handled becomes the next batch. It must
//! not decide anything about order or durability; it carries events in and outputs out.

use std::collections::HashMap;
use std::error::Error;
use std::net::TcpListener as StdListener;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::{Semaphore, oneshot};
use tokio::time::{MissedTickBehavior, interval, sleep};

use crate::client;
use crate::launch::{listen, say};
use crate::peer::{self, Handle};
use crate::reference::bug::Bug;
use crate::reference::transfer::Transfer;
use crate::sequencer::{Event, Moment, Output, Reply, Sequencer, Settings};

/// How often the sequencer looks at the clock when nothing happens.
const TICK: Duration = Duration::from_millis(5);
/// Most happenings that make one batch.
const BURST: usize = 4096;
/// Most clients at a time, and file descriptors kept for everything else.
const MAX_CLIENTS: u64 = 8192;
const OTHER_FILES: u64 = 64;

/// What the tasks around the sequencer tell it.
#[derive(Debug)]
pub enum Happening {
    /// A connection to a replica, and the means to use it.
    Connected { replica: usize, connection: u64, handle: Handle },
    /// Anything else about replicas.
    Peer(Event),
    /// A client's request, and where its reply goes.
    Asked { transfer: Transfer, reply: oneshot::Sender<Reply> },
}

/// Serves until SIGTERM.
pub fn run(ports: &[u16], settings: Settings) -> Result<(), Box<dyn Error>> {
    let clients = room_for_clients();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let listener = listen()?;
        tokio::select! {
            outcome = serve(listener, ports, settings, clients) => outcome,
            _ = terminate.recv() => Ok(()),
            _ = interrupt.recv() => Ok(()),
        }
    })
}

/// As many as the system lets us have.
fn room_for_clients() -> usize {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap_or((1024, 1024));
    let wanted = hard.min(MAX_CLIENTS + OTHER_FILES);
    let _ = setrlimit(Resource::RLIMIT_NOFILE, wanted, hard);
    let (soft, _) = getrlimit(Resource::RLIMIT_NOFILE).unwrap_or((1024, 1024));
    usize::try_from(soft.saturating_sub(OTHER_FILES).max(1)).unwrap_or(1)
}

async fn serve(
    listener: StdListener,
    ports: &[u16],
    settings: Settings,
    clients: usize,
) -> Result<(), Box<dyn Error>> {
    listener.set_nonblocking(true)?;
    let (tell, happenings) = unbounded_channel();
    for (replica, &port) in ports.iter().enumerate() {
        tokio::spawn(peer::keep_connected(replica, port, tell.clone()));
    }
    tokio::spawn(accept(TcpListener::from_std(listener)?, tell, clients));
    Driver::new(ports.len(), settings).drive(happenings).await;
    Ok(())
}

async fn accept(listener: TcpListener, tell: UnboundedSender<Happening>, clients: usize) {
    let room = Arc::new(Semaphore::new(clients));
    loop {
        let Ok((stream, _)) = listener.accept().await else {
            // Out of descriptors, most likely: they come back as clients end.
            sleep(TICK).await;
            continue;
        };
        let _ = stream.set_nodelay(true);
        let tell = tell.clone();
        match Arc::clone(&room).try_acquire_owned() {
            Ok(place) => drop(tokio::spawn(async move {
                client::serve(stream, tell).await;
                drop(place);
            })),
            Err(_) => drop(tokio::spawn(client::turn_away(stream))),
        }
    }
}

/// The sequencer with its clocks, connections and open replies.
struct Driver {
    sequencer: Sequencer,
    elapsed: Duration,
    looked: Instant,
    /// Only for [`Bug::WallClockTimeout`].
    began: Option<SystemTime>,
    peers: HashMap<usize, (u64, Handle)>,
    replies: HashMap<u64, oneshot::Sender<Reply>>,
    asked: u64,
}

impl Driver {
    fn new(replicas: usize, settings: Settings) -> Self {
        Self {
            sequencer: Sequencer::new(replicas, settings),
            elapsed: Duration::ZERO,
            looked: Instant::now(),
            began: None,
            peers: HashMap::new(),
            replies: HashMap::new(),
            asked: 0,
        }
    }

    async fn drive(&mut self, mut happenings: UnboundedReceiver<Happening>) {
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut burst = Vec::new();
        loop {
            tokio::select! {
                count = happenings.recv_many(&mut burst, BURST) => if count == 0 { return },
                _ = ticks.tick() => {}
            }
            let now = self.now();
            for happening in burst.drain(..) {
                self.take(happening, now.elapsed);
            }
            for output in self.sequencer.flush(now) {
                self.carry_out(output);
            }
        }
    }

    /// Adds up what passed between looks, so that a clock that is set back costs one look, not
    /// the hour until it is where it was.
    fn now(&mut self) -> Moment {
        let looked = Instant::now();
        self.elapsed += looked.saturating_duration_since(self.looked);
        self.looked = looked;
        let seconds = |d: Duration| i64::try_from(d.as_secs()).unwrap_or(i64::MAX);
        let unix_seconds = match SystemTime::now().duration_since(UNIX_EPOCH) {
            Ok(after) => seconds(after),
            Err(before) => -seconds(before.duration()),
        };
        if Bug::WallClockTimeout.is_planted() {
            let began = *self.began.get_or_insert_with(SystemTime::now);
            self.elapsed = SystemTime::now().duration_since(began).unwrap_or_default();
        }
        Moment { elapsed: self.elapsed, unix_seconds }
    }

    fn take(&mut self, happening: Happening, now: Duration) {
        let event = match happening {
            Happening::Connected { replica, connection, handle } => {
                self.peers.insert(replica, (connection, handle));
                Event::Connected { replica, connection }
            }
            Happening::Peer(event) => event,
            Happening::Asked { transfer, reply } => {
                self.asked += 1;
                self.replies.insert(self.asked, reply);
                Event::Request { client: self.asked, transfer }
            }
        };
        self.sequencer.handle(event, now);
    }

    fn carry_out(&mut self, output: Output) {
        match output {
            Output::Send { replica, connection, line } => {
                if let Some((_, handle)) = self.peers.get(&replica).filter(|(id, _)| *id == connection) {
                    handle.send(line);
                }
            }
            Output::Cut { replica, connection } => {
                if self.peers.get(&replica).is_some_and(|(id, _)| *id == connection) {
                    self.peers.remove(&replica);
                }
            }
            Output::Reply { client, reply } => {
                if let Some(waiting) = self.replies.remove(&client) {
                    let _ = waiting.send(reply);
                }
            }
            Output::Note(text) => say(format_args!("{text}")),
        }
    }
}
