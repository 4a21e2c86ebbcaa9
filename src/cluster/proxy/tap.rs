//! What a proxy tells the rest of the harness.
//!
//! The proxy reports through [`Tap`] and knows nothing of who listens: the
//! record of the wire, the evidence of the recorder, a test.

use std::io;
use std::net::SocketAddrV4;
use std::sync::Arc;

use crate::fault::Link;
pub use crate::fault::network::Direction;

/// One chunk that was forwarded, told after its last byte was handed on.
#[derive(Debug, Clone, Copy)]
pub struct Message<'a> {
    /// On which link.
    pub link: Link,
    /// Number of the connection on this link, from 0.
    pub connection: u64,
    /// Number of the message on this link over both directions, from 1.
    pub number: u64,
    /// Which way it went.
    pub direction: Direction,
    /// Bytes, at least 1.
    pub size: usize,
    /// Its beginning, at most [`FIRST_BYTES`].
    pub first_bytes: &'a [u8],
    /// When it was read, nanoseconds since the run began.
    pub received: u64,
    /// When its last byte was written, nanoseconds since the run began.
    pub released: u64,
}

/// How many bytes of a message are shown to a tap at most.
pub const FIRST_BYTES: usize = 64;

/// The end of a connection: nothing of it will ever move again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Closed {
    /// On which link.
    pub link: Link,
    /// Number of the connection on this link, from 0.
    pub connection: u64,
    /// Where the connecting side's socket was bound.
    pub client: SocketAddrV4,
    /// Bytes written to the server's socket. 0 only if not one was or will be.
    pub delivered: u64,
}

/// A fault has made a connection unlike what its ends sent: bytes were lost, or
/// an end was made up. Told before the loss can be seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tampered {
    /// On which link.
    pub link: Link,
    /// Number of the connection on this link, from 0.
    pub connection: u64,
    /// Where the connecting side's socket was bound.
    pub client: SocketAddrV4,
}

/// Listens to proxies. Called on the proxies' thread: must be quick, must not block.
pub trait Tap: Send + Sync {
    /// A chunk was forwarded whole.
    fn message(&self, message: &Message<'_>) {
        let _ = message;
    }

    /// A connection is no longer what its ends make of it: whatever is read from
    /// it from now on proves nothing. Told at most once for each.
    fn tampered(&self, tampered: &Tampered) {
        let _ = tampered;
    }

    /// A connection has ended; told exactly once for each that the proxy accepted.
    fn closed(&self, closed: &Closed) {
        let _ = closed;
    }

    /// The proxy itself could not accept or connect, for want of descriptors, memory or
    /// ports: what its ends saw then is no doing of theirs.
    fn starved(&self, link: Link, why: &io::Error) {
        let _ = (link, why);
    }
}

/// Nobody listens.
impl Tap for () {}

/// Two listen.
impl<A: Tap, B: Tap> Tap for (A, B) {
    fn message(&self, message: &Message<'_>) {
        self.0.message(message);
        self.1.message(message);
    }

    fn tampered(&self, tampered: &Tampered) {
        self.0.tampered(tampered);
        self.1.tampered(tampered);
    }

    fn closed(&self, closed: &Closed) {
        self.0.closed(closed);
        self.1.closed(closed);
    }

    fn starved(&self, link: Link, why: &io::Error) {
        self.0.starved(link, why);
        self.1.starved(link, why);
    }
}

impl<T: Tap + ?Sized> Tap for Arc<T> {
    fn message(&self, message: &Message<'_>) {
        (**self).message(message);
    }

    fn tampered(&self, tampered: &Tampered) {
        (**self).tampered(tampered);
    }

    fn closed(&self, closed: &Closed) {
        (**self).closed(closed);
    }

    fn starved(&self, link: Link, why: &io::Error) {
        (**self).starved(link, why);
    }
}
