//! Bytes of a stream one after another, counted in lines, with bounded look-ahead.
//!
//! Holds one chunk and never more; whoever collects bytes from here is told when a
//! form grows beyond what is accepted. Must not know what the bytes mean.

use std::io::{ErrorKind, Read};

use crate::history::read::{Failure, MAX_LINE, Malformed};

const CHUNK: usize = 1 << 16;

/// A stream with a place in it.
pub(super) struct Bytes<R> {
    from: R,
    chunk: Box<[u8]>,
    at: usize,
    filled: usize,
    line: u64,
    /// Bytes since [`mark`](Self::mark) up to the start of the chunk; negative if
    /// the mark lies within it.
    passed: isize,
}

impl<R: Read> Bytes<R> {
    pub fn new(from: R, line: u64) -> Self {
        Self::with_chunk(from, line, CHUNK)
    }

    /// A short text does not need a large chunk.
    pub fn with_chunk(from: R, line: u64, chunk: usize) -> Self {
        Self { from, chunk: vec![0; chunk.max(2)].into(), at: 0, filled: 0, line, passed: 0 }
    }

    /// Number of the line of the next byte.
    pub fn line(&self) -> u64 {
        self.line
    }

    /// How many bytes were taken from the stream and not yet passed.
    pub fn left(&self) -> usize {
        self.filled - self.at
    }

    /// A form begins: its length is counted from here.
    pub fn mark(&mut self) {
        self.passed = -(self.at as isize);
    }

    /// The next byte, which stays; `None` at the end.
    #[inline]
    pub fn peek(&mut self) -> Result<Option<u8>, Failure> {
        if self.at == self.filled {
            self.fill()?;
        }
        Ok((self.at < self.filled).then(|| self.chunk[self.at]))
    }

    /// The byte after the next one.
    pub fn second(&mut self) -> Result<Option<u8>, Failure> {
        if self.at + 1 >= self.filled {
            self.fill()?;
        }
        Ok(self.chunk[..self.filled].get(self.at + 1).copied())
    }

    /// Passes the byte that [`peek`](Self::peek) showed.
    #[inline]
    pub fn bump(&mut self) {
        if self.at < self.filled {
            self.line += u64::from(self.chunk[self.at] == b'\n');
            self.at += 1;
        }
    }

    /// Appends bytes to `out` up to one that `stops`, or to the end; every newline must
    /// stop, so that lines are counted in one place only.
    pub fn until(&mut self, out: &mut Vec<u8>, stops: impl Fn(u8) -> bool) -> Result<(), Failure> {
        while self.peek()?.is_some() {
            let rest = &self.chunk[self.at..self.filled];
            let end = rest.iter().position(|&byte| stops(byte));
            let part = &rest[..end.unwrap_or(rest.len())];
            debug_assert!(!part.contains(&b'\n'));
            out.extend_from_slice(part);
            self.at += part.len();
            if end.is_some() {
                break;
            }
        }
        Ok(())
    }

    /// Passes everything up to the end of the line; nothing of it is kept.
    pub fn skip_line(&mut self) -> Result<(), Failure> {
        while let Some(byte) = self.peek()? {
            self.bump();
            if byte == b'\n' {
                break;
            }
        }
        Ok(())
    }

    pub fn malformed(&self, reason: impl Into<String>) -> Failure {
        Malformed { line: self.line, reason: reason.into() }.into()
    }

    /// Reads on until at least one byte more is there, or the end.
    fn fill(&mut self) -> Result<(), Failure> {
        self.chunk.copy_within(self.at..self.filled, 0);
        self.filled -= self.at;
        self.passed += self.at as isize;
        self.at = 0;
        if self.passed > MAX_LINE as isize {
            return Err(
                self.malformed(format!("a form longer than {MAX_LINE} bytes, the longest that is accepted"))
            );
        }
        loop {
            match self.from.read(&mut self.chunk[self.filled..]) {
                Err(why) if why.kind() == ErrorKind::Interrupted => {}
                Err(why) => return Err(why.into()),
                Ok(count) => {
                    self.filled += count;
                    return Ok(());
                }
            }
        }
    }
}
