//! A message delivered twice: a line that went to a server goes there once more.
//!
//! On a connection of its own, as from a sender that lost its connection, dialled
//! again and repeated itself; within one connection TCP shows nothing twice, so a
//! line repeated there would be a fault that no network has. The second reply goes
//! to nobody. Must not know what a line means.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::shared::{Shared, Ticket};
use super::tap::Direction;
use crate::loopback;

/// Longer lines are not repeated, bytes.
const LONGEST_LINE: usize = 1 << 20;
/// How long the second reply is waited for: a server that is cut off while it
/// still answers would see a reset that no repetition brings about.
const PATIENCE: Duration = Duration::from_secs(1);

/// Puts the lines of one connection together.
#[derive(Debug)]
pub(super) struct Copier {
    line: Vec<u8>,
    /// The beginning of the present line was seen.
    whole: bool,
}

impl Copier {
    /// `at_start`: the next byte begins a line.
    pub(super) fn new(at_start: bool) -> Self {
        Self { line: Vec::new(), whole: at_start }
    }

    /// Sends what ends here a second time, if the policy draws it.
    pub(super) fn take(&mut self, chunk: &[u8], ticket: &Ticket) {
        for part in chunk.split_inclusive(|byte| *byte == b'\n') {
            self.whole &= self.line.len() + part.len() <= LONGEST_LINE;
            if self.whole {
                self.line.extend_from_slice(part);
            }
            if part.ends_with(b"\n") {
                let line = std::mem::take(&mut self.line);
                if std::mem::replace(&mut self.whole, true)
                    && ticket.shared.policy(Direction::ToServer).duplicates()
                {
                    tokio::spawn(repeat(Arc::clone(&ticket.shared), line));
                }
            }
        }
    }
}

async fn repeat(shared: Arc<Shared>, line: Vec<u8>) {
    let port = shared.upstream.load(Ordering::Acquire);
    if port == 0 {
        return;
    }
    let Ok(connected) = loopback::connect(shared.sources.next(), port).await else { return };
    let mut stream = connected.stream;
    if stream.write_all(&line).await.is_err() {
        return;
    }
    shared.policy(Direction::ToServer).count(|tally| tally.duplicated += 1);
    let mut buffer = [0; 4096];
    let reply = async {
        while let Ok(size) = stream.read(&mut buffer).await {
            if size == 0 || buffer[..size].ends_with(b"\n") {
                return;
            }
        }
    };
    let _ = tokio::time::timeout(PATIENCE, reply).await;
    shared.sources.closed_first(Instant::now());
}
