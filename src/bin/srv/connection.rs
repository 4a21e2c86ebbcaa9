//! One coordinator's connection: bytes in, lines out, answers back, never blocking.
//!
//! It must not know what a line means.

use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpStream;

/// Bytes taken from one connection before the others get their turn.
const ROUND_BYTES: usize = 1 << 20;
/// Longest line. A snapshot of a million accounts fits; a peer that never ends a line does not.
const MAX_LINE: usize = 256 << 20;
/// Unsent answers beyond which nothing more is read from a peer that does not listen.
const MAX_UNSENT: usize = 4 << 20;

/// A connection and what is under way on it.
#[derive(Debug)]
pub struct Connection {
    stream: TcpStream,
    received: Vec<u8>,
    unsent: Vec<u8>,
    open: bool,
}

impl Connection {
    /// Takes over an accepted stream.
    pub fn new(stream: TcpStream) -> io::Result<Self> {
        stream.set_nonblocking(true)?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, received: Vec::new(), unsent: Vec::new(), open: true })
    }

    /// What to wait on.
    pub fn stream(&self) -> &TcpStream {
        &self.stream
    }

    /// Whether the peer should be waited on for more.
    pub fn wants_input(&self) -> bool {
        self.unsent.len() < MAX_UNSENT
    }

    /// Whether answers wait for the peer.
    pub fn wants_output(&self) -> bool {
        !self.unsent.is_empty()
    }

    /// False once the peer is gone or talks nonsense.
    pub fn is_open(&self) -> bool {
        self.open
    }

    /// To be dropped.
    pub fn close(&mut self) {
        self.open = false;
    }

    /// Takes what has arrived; the complete lines of it.
    pub fn receive(&mut self) -> Vec<u8> {
        let start = self.received.len();
        self.fill(start);
        if self.received.len() > MAX_LINE {
            self.open = false;
        }
        let fresh = &self.received[start..];
        let Some(end) = fresh.iter().rposition(|&byte| byte == b'\n') else {
            return Vec::new();
        };
        let rest = self.received.split_off(start + end + 1);
        std::mem::replace(&mut self.received, rest)
    }

    fn fill(&mut self, start: usize) {
        let mut chunk = [0; 64 << 10];
        while self.open && self.received.len() - start < ROUND_BYTES {
            match self.stream.read(&mut chunk) {
                Ok(0) => self.open = false,
                Ok(count) => self.received.extend_from_slice(&chunk[..count]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => self.open = false,
            }
        }
    }

    /// Adds a line to what is to be sent.
    pub fn queue(&mut self, line: &str) {
        self.unsent.extend_from_slice(line.as_bytes());
        self.unsent.push(b'\n');
    }

    /// Sends what the peer takes.
    pub fn send(&mut self) {
        while self.open && !self.unsent.is_empty() {
            match self.stream.write(&self.unsent) {
                Ok(count) => drop(self.unsent.drain(..count)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => self.open = false,
            }
        }
    }
}
