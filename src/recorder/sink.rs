//! Lines into a file, cheaply, until it fails once.
//!
//! After an error nothing more is written: a history with a hole in it would be
//! judged as if it had none. Must not know what the lines say.

use std::fs::File;
use std::io::{self, Write};

/// Bytes gathered before they go to the kernel.
const ENOUGH: usize = 64 * 1024;
/// Nanoseconds after which lines go to the kernel with the next line at the latest.
const LONG: u64 = 100_000_000;

/// A file of lines.
#[derive(Debug)]
pub(super) struct Sink {
    file: File,
    buffer: Vec<u8>,
    /// Time of the line that was written when the buffer was last handed over.
    flushed: u64,
    error: Option<io::Error>,
    error_told: bool,
}

impl Sink {
    pub(super) fn new(file: File) -> Self {
        let buffer = Vec::with_capacity(ENOUGH + 4096);
        Self { file, buffer, flushed: 0, error: None, error_told: false }
    }

    /// Adds one line; `now` in nanoseconds. Returns its length, 0 if it was lost.
    pub(super) fn line(&mut self, now: u64, write: impl FnOnce(&mut Vec<u8>) -> io::Result<()>) -> usize {
        if self.error.is_some() {
            return 0;
        }
        let before = self.buffer.len();
        if let Err(error) = write(&mut self.buffer) {
            self.buffer.truncate(before);
            self.error = Some(error);
            return 0;
        }
        self.buffer.push(b'\n');
        let length = self.buffer.len() - before;
        if self.buffer.len() >= ENOUGH || now.saturating_sub(self.flushed) >= LONG {
            self.flushed = now;
            self.flush();
        }
        length
    }

    /// Hands what was gathered to the kernel.
    pub(super) fn flush(&mut self) {
        if self.error.is_none() {
            self.error = self.file.write_all(&self.buffer).err();
        }
        self.buffer.clear();
    }

    /// The error, the first time that it is asked for.
    pub(super) fn fresh_error(&mut self) -> Option<String> {
        let error = self.error.as_ref().filter(|_| !self.error_told)?;
        self.error_told = true;
        Some(error.to_string())
    }

    /// What went wrong, if anything did.
    pub(super) fn result(&self) -> io::Result<()> {
        match &self.error {
            Some(error) => Err(io::Error::new(error.kind(), error.to_string())),
            None => Ok(()),
        }
    }
}
