//! One faultable proxy per link, transparent until a fault is asked for.
//!
//! ```text
//! gate        the port: open, or refused by the kernel
//! acceptor    turns connections into tasks        connection   one of them
//! pipe        one direction: queue, order         policy       where faults enter
//! sources     addresses towards the target        tap          what is reported
//! ```
//!
//! While its target is down a proxy refuses; FIN, reset and half-close pass
//! unchanged; a direction that lost a byte never carries another. Must not know
//! who records, which process is behind a port, or when a fault is due.

mod acceptor;
mod connection;
mod end;
mod gate;
mod pipe;
mod policy;
mod shared;
mod sources;
mod tap;
mod thread;

use std::io;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};

use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

pub use policy::{Delay, DelayReport};
pub use tap::{Closed, Direction, FIRST_BYTES, Message, Tap};
pub use thread::ProxyThread;

use crate::clock::RunClock;
use crate::fault::Link;
use crate::loopback;
use crate::sync::lock;
use gate::Gate;
use shared::{Shared, Ticket};

/// The proxy of one link. Its methods may be called from any thread and act at
/// once; dropping it ends its connections with a reset and frees its port.
pub struct Proxy {
    shared: Arc<Shared>,
    gate: Mutex<Gate>,
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
        let gate = Mutex::new(Gate::reserve()?);
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
        lock(&self.gate).port()
    }

    /// The target is up and listens on `upstream` (on 127.0.0.1): accept connections.
    ///
    /// # Errors
    /// The port cannot be listened on again (descriptors used up).
    pub fn open(&self, upstream: u16) -> io::Result<()> {
        let mut gate = lock(&self.gate);
        self.shared.upstream.store(upstream, Ordering::Release);
        if let Some(listener) = gate.open()? {
            // Fails only if the runtime is gone; then nothing works anyway.
            let _ = self.openings.send(listener);
        }
        Ok(())
    }

    /// The target is down: from the return of this call on, the kernel refuses
    /// connects. Connections that wait to be accepted are reset; open ones end as
    /// the target's kernel ends them.
    pub fn refuse(&self) {
        let mut gate = lock(&self.gate);
        self.shared.upstream.store(0, Ordering::Release);
        gate.refuse(|waiting, client| {
            let _ticket = Ticket::new(&self.shared, client);
            loopback::reset_on_close(&waiting);
            drop(waiting);
        });
    }

    /// Delays every chunk, FIN and reset in both directions from now on, or stops
    /// doing so: then what is held back goes on, in its order. Nothing is lost.
    pub fn set_delay(&self, delay: Option<Delay>) {
        for direction in Direction::BOTH {
            self.shared.policy(direction).set_delay(delay);
        }
    }

    /// What the delay that was set last has achieved, both directions together.
    pub fn delay_report(&self) -> DelayReport {
        let [there, back] = Direction::BOTH.map(|direction| self.shared.policy(direction).report());
        there.and(back)
    }

    /// Messages forwarded so far, both directions. A message is a chunk as read.
    pub fn messages(&self) -> u64 {
        Direction::BOTH.map(|direction| self.messages_in(direction)).iter().sum()
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
