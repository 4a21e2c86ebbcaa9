//! What all connections of one link share, and the slip that each carries.
//!
//! Counts, policies, the listener of reports, and who is to be woken when a policy
//! changes. Must not know of sockets.

use std::net::SocketAddrV4;
use std::sync::atomic::{AtomicBool, AtomicU16, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::task::Waker;

use hashbrown::HashMap;
use rustc_hash::FxBuildHasher;

use super::policy::Policy;
use super::sources::Sources;
use super::tap::{Closed, Direction, FIRST_BYTES, Message, Tampered, Tap};
use crate::clock::RunClock;
use crate::fault::Link;
use crate::sync::lock;

/// One link.
pub(super) struct Shared {
    pub(super) link: Link,
    pub(super) clock: RunClock,
    pub(super) tap: Arc<dyn Tap>,
    /// The target's port; 0 while it is down.
    pub(super) upstream: AtomicU16,
    pub(super) sources: Sources,
    policies: [Policy; 2],
    messages: [AtomicU64; 2],
    /// Whether anybody was ever told to wait for a number of messages.
    awaited: AtomicBool,
    news: tokio::sync::Notify,
    numbers: AtomicU64,
    connections: AtomicU64,
    /// Tasks of open connections: an idle one must learn of a fault too.
    wakers: Mutex<HashMap<u64, Waker, FxBuildHasher>>,
}

impl Shared {
    pub(super) fn new(link: Link, clock: RunClock, tap: Arc<dyn Tap>) -> Self {
        Self {
            link,
            clock,
            tap,
            upstream: AtomicU16::new(0),
            sources: Sources::new(),
            policies: Direction::BOTH.map(Policy::new),
            messages: Default::default(),
            awaited: AtomicBool::new(false),
            news: tokio::sync::Notify::new(),
            numbers: AtomicU64::new(0),
            connections: AtomicU64::new(0),
            wakers: Mutex::default(),
        }
    }

    /// Has every open connection look at its policies.
    pub(super) fn wake_all(&self) {
        for waker in lock(&self.wakers).values() {
            waker.wake_by_ref();
        }
    }

    pub(super) fn policy(&self, direction: Direction) -> &Policy {
        &self.policies[direction as usize]
    }

    /// Messages forwarded so far in one direction.
    pub(super) fn messages(&self, direction: Direction) -> u64 {
        self.messages[direction as usize].load(Ordering::Relaxed)
    }

    /// Waits until so many messages were forwarded, both ways counted.
    pub(super) async fn reached(&self, count: u64) {
        self.awaited.store(true, Ordering::SeqCst);
        loop {
            let news = self.news.notified();
            tokio::pin!(news);
            news.as_mut().enable();
            if self.messages.iter().map(|count| count.load(Ordering::SeqCst)).sum::<u64>() >= count {
                return;
            }
            news.await;
        }
    }

    /// Counts a forwarded chunk and reports it. `chunk` may be just its beginning.
    pub(super) fn told(
        &self,
        ticket: &Ticket,
        direction: Direction,
        size: usize,
        chunk: &[u8],
        received: u64,
    ) {
        // In one order with `awaited`: either this sees that somebody waits, or whoever
        // begins to wait sees this message.
        self.messages[direction as usize].fetch_add(1, Ordering::SeqCst);
        if self.awaited.load(Ordering::SeqCst) {
            self.news.notify_waiters();
        }
        let number = self.numbers.fetch_add(1, Ordering::Relaxed) + 1;
        self.tap.message(&Message {
            link: self.link,
            connection: ticket.connection,
            number,
            direction,
            size,
            first_bytes: &chunk[..chunk.len().min(FIRST_BYTES)],
            received,
            released: self.clock.now(),
        });
    }
}

/// An accepted connection's identity. Dropping it reports the connection closed,
/// so it must be the last of a connection to go.
pub(super) struct Ticket {
    pub(super) shared: Arc<Shared>,
    pub(super) connection: u64,
    client: SocketAddrV4,
    delivered: AtomicU64,
    tampered: AtomicBool,
}

impl Ticket {
    pub(super) fn new(shared: &Arc<Shared>, client: SocketAddrV4) -> Self {
        let connection = shared.connections.fetch_add(1, Ordering::Relaxed);
        let (delivered, tampered) = (AtomicU64::new(0), AtomicBool::new(false));
        Self { shared: Arc::clone(shared), connection, client, delivered, tampered }
    }

    /// From now on this task is woken when a policy changes. What it reads of them
    /// afterwards is not missed.
    pub(super) fn listen(&self, waker: &Waker) {
        lock(&self.shared.wakers).insert(self.connection, waker.clone());
    }

    /// Bytes of this connection are about to be lost, or an end of it made up.
    pub(super) fn tampered(&self) {
        if !self.tampered.swap(true, Ordering::Relaxed) {
            let Self { shared, connection, client, .. } = self;
            shared.tap.tampered(&Tampered { link: shared.link, connection: *connection, client: *client });
        }
    }

    /// Counts bytes that a socket took.
    pub(super) fn delivered(&self, direction: Direction, size: usize) {
        if direction == Direction::ToServer {
            // One task writes; atomic only so that the task may change threads.
            self.delivered.fetch_add(size as u64, Ordering::Relaxed);
        }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        lock(&self.shared.wakers).remove(&self.connection);
        self.shared.tap.closed(&Closed {
            link: self.shared.link,
            connection: self.connection,
            client: self.client,
            delivered: self.delivered.load(Ordering::Relaxed),
        });
    }
}
