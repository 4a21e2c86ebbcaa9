//! One faultable proxy per link, transparent until a fault is asked for.
//!
//! ```text
//! gate        the port: open, or refused by the kernel
//! acceptor    turns connections into tasks        connection   one of them
//! pipe        one direction: queue, order         policy       where faults enter
//! draw        random delays                       tally        what faults did
//! duplicate   messages delivered twice
//! sources     addresses towards the target        tap          what is reported
//! ```
//!
//! While its target is down a proxy refuses; FIN, reset and half-close pass
//! unchanged; a direction that lost a byte never carries another. Must not know
//! who records, which process is behind a port, or when a fault is due.

mod acceptor;
mod connection;
mod draw;
mod duplicate;
mod end;
mod gate;
mod pipe;
mod policy;
mod shared;
mod sources;
mod tally;
mod tap;
mod thread;

use std::io;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};

use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

pub use tally::Tally;
pub use tap::{Closed, Direction, FIRST_BYTES, Message, Tampered, Tap};
pub use thread::ProxyThread;

use crate::clock::RunClock;
use crate::fault::Link;
use crate::fault::network::{Directions, LinkFault};
use crate::loopback;
use crate::sync::lock;
use gate::Gate;
use shared::{Shared, Ticket};

/// The port, and what speaks against opening it.
struct Doorway {
    gate: Gate,
    /// A fault has new connections refused, whether the target is up or not.
    barred: bool,
}

/// The proxy of one link. Its methods may be called from any thread and act at
/// once; dropping it ends its connections with a reset and frees its port.
pub struct Proxy {
    shared: Arc<Shared>,
    gate: Mutex<Doorway>,
    openings: mpsc::UnboundedSender<std::net::TcpListener>,
    acceptor: Option<JoinHandle<()>>,
}

impl Proxy {
    /// Reserves a port on 127.0.0.1 for the whole run; connects are refused until
    /// [`open`](Self::open). The proxy's tasks run on `runtime` (see [`ProxyThread`]).
    ///
    /// # Errors
    /// No socket or no free port.
    pub fn start(link: Link, tap: Arc<dyn Tap>, clock: RunClock, runtime: &Handle) -> io::Result<Self> {
        let gate = Mutex::new(Doorway { gate: Gate::reserve()?, barred: false });
        let shared = Arc::new(Shared::new(link, clock, tap));
        let (openings, listeners) = mpsc::unbounded_channel();
        let acceptor = Some(runtime.spawn(acceptor::run(Arc::clone(&shared), listeners)));
        Ok(Self { shared, gate, openings, acceptor })
    }

    /// Which link this is.
    pub fn link(&self) -> Link {
        self.shared.link
    }

    /// The port to connect to instead of the target's; never changes.
    pub fn port(&self) -> u16 {
        lock(&self.gate).gate.port()
    }

    /// The target is up and listens on `upstream` (on 127.0.0.1): accept connections.
    ///
    /// # Errors
    /// The port cannot be listened on again (descriptors used up).
    pub fn open(&self, upstream: u16) -> io::Result<()> {
        let mut doorway = lock(&self.gate);
        self.shared.upstream.store(upstream, Ordering::Release);
        self.listen(&mut doorway)
    }

    fn listen(&self, doorway: &mut Doorway) -> io::Result<()> {
        if doorway.barred || self.shared.upstream.load(Ordering::Acquire) == 0 {
            return Ok(());
        }
        if let Some(listener) = doorway.gate.open()? {
            // Fails only if the runtime is gone; then nothing works anyway.
            let _ = self.openings.send(listener);
        }
        Ok(())
    }

    /// The target is down: from the return of this call on, the kernel refuses
    /// connects. Connections that wait to be accepted are reset; open ones end as
    /// the target's kernel ends them.
    pub fn refuse(&self) {
        let mut doorway = lock(&self.gate);
        self.shared.upstream.store(0, Ordering::Release);
        self.turn_away(&mut doorway);
    }

    fn turn_away(&self, doorway: &mut Doorway) {
        doorway.gate.refuse(|waiting, client| {
            let _ticket = Ticket::new(&self.shared, client);
            loopback::reset_on_close(&waiting);
            drop(waiting);
        });
    }

    /// Does this to the link from now on, in these directions, instead of what was
    /// done before; what that held back goes on. Draws follow the seed.
    pub fn apply(&self, fault: LinkFault, directions: Directions, seed: u64) {
        if matches!(fault, LinkFault::Refuse { .. }) {
            let mut doorway = lock(&self.gate);
            doorway.barred = true;
            self.turn_away(&mut doorway);
        }
        for direction in directions.each() {
            self.shared.policy(*direction).set(Some(fault), seed);
        }
        self.shared.wake_all();
    }

    /// Ends whatever is done in these directions: what is held back goes on, in its
    /// order. A connection that lost a byte stays as silent as it is.
    ///
    /// # Errors
    /// The port cannot be listened on again (descriptors used up).
    pub fn heal(&self, directions: Directions) -> io::Result<()> {
        let mut refusing = false;
        for direction in directions.each() {
            let policy = self.shared.policy(*direction);
            refusing |= matches!(policy.fault(), Some(LinkFault::Refuse { .. }));
            policy.set(None, 0);
        }
        self.shared.wake_all();
        let mut doorway = lock(&self.gate);
        doorway.barred &= !refusing;
        self.listen(&mut doorway)
    }

    /// What faults did in these directions since [`clear_tally`](Self::clear_tally).
    pub fn tally(&self, directions: Directions) -> Tally {
        let each = directions.each().iter().map(|direction| self.shared.policy(*direction).tally());
        each.fold(Tally::default(), Tally::and)
    }

    /// Begins to count anew.
    pub fn clear_tally(&self, directions: Directions) {
        directions.each().iter().for_each(|direction| self.shared.policy(*direction).clear_tally());
    }

    /// Connects to the port to see whether the kernel refuses, and counts it if so.
    pub fn note_refusal(&self) {
        // Nothing is sent in any case.
        let refused = std::net::TcpStream::connect(loopback::address(self.port()))
            .is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused);
        if refused {
            self.shared.policy(Direction::ToServer).count(|tally| tally.refusing += 1);
        }
    }

    /// Messages forwarded so far, both directions. A message is a chunk as read.
    pub fn messages(&self) -> u64 {
        Direction::BOTH.map(|direction| self.messages_in(direction)).iter().sum()
    }

    /// Waits until so many messages were forwarded since the run began, both ways.
    pub async fn reached(&self, count: u64) {
        self.shared.reached(count).await;
    }

    /// Messages forwarded so far in one direction.
    pub fn messages_in(&self, direction: Direction) -> u64 {
        self.shared.messages(direction)
    }

    /// Ends everything: connections are reset and reported, the port is freed.
    pub async fn close(mut self) {
        self.refuse();
        if let Some(acceptor) = self.acceptor.take() {
            acceptor.abort();
            // Cancelled, as asked.
            let _ = acceptor.await;
        }
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.refuse();
        if let Some(acceptor) = &self.acceptor {
            acceptor.abort();
        }
    }
}
