//! Lines into a file, in order, without making anyone wait for the disk.
//!
//! Lines are gathered in memory and written by a thread of the sink's own:
//! whoever records holds the lock that orders events, and clients and proxies
//! stand behind it, while a write may stall for as long as a replica's fsync.
//! After an error nothing more is written: a history with a hole in it would be
//! judged as if it had none. Must not know what the lines say.

use std::fs::File;
use std::io::{self, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;

use crate::sync::lock;

/// Bytes gathered before they go to the writer.
const ENOUGH: usize = 64 * 1024;
/// Nanoseconds after which lines go to the writer with the next line at the latest.
const LONG: u64 = 100_000_000;

/// A file of lines.
#[derive(Debug)]
pub(super) struct Sink {
    buffer: Vec<u8>,
    /// Time of the line with which the buffer was last handed over.
    handed_over: u64,
    sent: u64,
    /// `None` only while being dropped.
    batches: Option<Sender<Vec<u8>>>,
    writer: Option<JoinHandle<()>>,
    written: Arc<Written>,
}

/// How far the writer has come.
#[derive(Debug, Default)]
struct Written {
    state: Mutex<State>,
    news: Condvar,
    /// Read for every line without the lock.
    failed: AtomicBool,
}

#[derive(Debug, Default)]
struct State {
    batches: u64,
    error: Option<io::Error>,
}

/// What has been handed over up to some moment.
#[derive(Debug)]
#[must_use = "the lines may still be on their way"]
pub(super) struct Mark {
    batches: u64,
    written: Arc<Written>,
}

impl Sink {
    /// `failed` is told the first error, on the writer's thread.
    ///
    /// # Errors
    /// No thread.
    pub(super) fn new(file: File, failed: impl FnOnce(&io::Error) + Send + 'static) -> io::Result<Self> {
        let (batches, incoming) = channel();
        let written = Arc::new(Written::default());
        let shared = Arc::clone(&written);
        let writer = std::thread::Builder::new()
            .name("record".into())
            .spawn(move || write_batches(file, &incoming, &shared, failed))?;
        let buffer = Vec::with_capacity(ENOUGH + 4096);
        Ok(Self { buffer, handed_over: 0, sent: 0, batches: Some(batches), writer: Some(writer), written })
    }

    /// Adds one line; `now` in nanoseconds. Returns its length, 0 if it was lost.
    pub(super) fn line(&mut self, now: u64, write: impl FnOnce(&mut Vec<u8>) -> io::Result<()>) -> usize {
        if self.written.failed.load(Ordering::Relaxed) {
            return 0;
        }
        let before = self.buffer.len();
        if write(&mut self.buffer).is_err() {
            // Memory takes everything; kept so that no half line could ever stay.
            self.buffer.truncate(before);
            return 0;
        }
        self.buffer.push(b'\n');
        let length = self.buffer.len() - before;
        if self.buffer.len() >= ENOUGH || now.saturating_sub(self.handed_over) >= LONG {
            self.handed_over = now;
            self.hand_over();
        }
        length
    }

    /// Gives the writer what was gathered; does not wait for it.
    pub(super) fn hand_over(&mut self) {
        if let Some(batches) = self.batches.as_ref().filter(|_| !self.buffer.is_empty()) {
            let batch = std::mem::replace(&mut self.buffer, Vec::with_capacity(ENOUGH + 4096));
            // The writer goes on receiving, after an error too.
            let _ = batches.send(batch);
            self.sent += 1;
        }
    }

    /// Everything up to now, handed over.
    pub(super) fn mark(&mut self) -> Mark {
        self.hand_over();
        Mark { batches: self.sent, written: Arc::clone(&self.written) }
    }
}

impl Mark {
    /// Waits until the kernel has it all. Not under a lock that others need.
    ///
    /// # Errors
    /// What kept it from being written.
    pub(super) fn wait(self) -> io::Result<()> {
        let waiting = |state: &mut State| state.batches < self.batches;
        let state = self.written.news.wait_while(lock(&self.written.state), waiting);
        match &state.unwrap_or_else(PoisonError::into_inner).error {
            Some(error) => Err(io::Error::new(error.kind(), error.to_string())),
            None => Ok(()),
        }
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        self.hand_over();
        drop(self.batches.take());
        if let Some(writer) = self.writer.take() {
            // A panic there has been printed by its hook.
            let _ = writer.join();
        }
    }
}

fn write_batches(
    mut file: File,
    incoming: &Receiver<Vec<u8>>,
    written: &Written,
    failed: impl FnOnce(&io::Error),
) {
    let mut failed = Some(failed);
    while let Ok(batch) = incoming.recv() {
        // After the first error the rest is only counted.
        let error = failed.as_ref().and_then(|_| file.write_all(&batch).err());
        if let (Some(error), Some(failed)) = (&error, failed.take_if(|_| error.is_some())) {
            written.failed.store(true, Ordering::Relaxed);
            failed(error);
        }
        let mut state = lock(&written.state);
        state.batches += 1;
        state.error = state.error.take().or(error);
        written.news.notify_all();
    }
}
