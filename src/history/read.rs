//! Reading a history back, in one pass and without holding its text.
//!
//! This file cuts the stream into bounded lines and numbers them; `raw`
//! knows the fields of one line, `pair` joins lines into operations.
//! Malformed is not the same as wrong: a file that breaks the format says nothing
//! of the system under test. Must not know of models or verdicts.

use std::fmt;
use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};

use super::History;
use super::pair::Pairing;
use crate::excerpt::excerpt;

/// The longest line that is accepted, in bytes; a longer one is refused without
/// being held in memory.
pub const MAX_LINE: usize = 16 << 20;

/// Characters of a reason that are shown: it may quote what was found.
const LONGEST_REASON: usize = 1000;

/// Why a file is no history: not a violation, but bad input (exit 2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Malformed {
    /// Line number, from 1.
    pub line: u64,
    /// What was found there and what is accepted.
    pub reason: String,
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, excerpt(&self.reason, LONGEST_REASON))
    }
}

impl std::error::Error for Malformed {}

/// Why a history file could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The operating system would not give its bytes.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Its bytes are no history.
    #[error("{}, {malformed}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// Where and why.
        malformed: Malformed,
    },
}

/// Reads a history file.
///
/// # Errors
/// The file cannot be read, or a line other than an unfinished last one breaks
/// the format (see [`read`]).
pub fn read_file(path: &Path) -> Result<History, ReadError> {
    let io_error = |source| ReadError::Io { path: path.to_owned(), source };
    let file = File::open(path).map_err(io_error)?;
    match read(BufReader::with_capacity(1 << 18, file)) {
        Ok(history) => Ok(history),
        Err(Failure::Io(source)) => Err(io_error(source)),
        Err(Failure::Malformed(malformed)) => Err(ReadError::Malformed { path: path.to_owned(), malformed }),
    }
}

/// Why a stream could not be read as a history.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The stream failed.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// Its bytes are no history.
    #[error(transparent)]
    Malformed(#[from] Malformed),
}

/// Reads a history from a stream, or from bytes (`&[u8]` is a stream too).
///
/// A last line without its newline is dropped with a warning: a killed harness
/// leaves one.
///
/// # Errors
/// Not JSON or not UTF-8, a line longer than [`MAX_LINE`], a missing or mistyped
/// field, time running back, an index that does not grow, a completion without
/// its invocation or contradicting it, two open invocations of one process, a
/// process that goes on after `info`, an unknown `f` of a client, evidence against
/// an operation that is `ok` or does not exist.
pub fn read(from: impl BufRead) -> Result<History, Failure> {
    let mut pairing = Pairing::default();
    let cut = each_line(from, |text, number| pairing.line(text, number))?;
    if let Some(warning) = cut.warning() {
        pairing.warn(warning);
    }
    Ok(pairing.finish(cut.lines))
}

/// How a stream ended.
pub(super) struct Cut {
    /// Number of whole lines.
    pub lines: u64,
    dropped: bool,
}

impl Cut {
    /// What a reader should know of the ending.
    pub fn warning(&self) -> Option<String> {
        let number = self.lines + 1;
        self.dropped.then(|| format!("line {number} has no newline: it was cut off and is dropped"))
    }
}

/// Hands over every whole line with its number, from 1.
pub(super) fn each_line(
    mut from: impl BufRead,
    mut take: impl FnMut(&str, u64) -> Result<(), String>,
) -> Result<Cut, Failure> {
    let mut buffer = Vec::new();
    let mut number = 0;
    loop {
        buffer.clear();
        number += 1;
        match next_line(&mut from, &mut buffer, number)? {
            Ending::Newline => in_text(&buffer, number, &mut take)?,
            Ending::EndOfFile => return Ok(Cut { lines: number - 1, dropped: !buffer.is_empty() }),
        }
    }
}

fn in_text(
    line: &[u8],
    number: u64,
    take: &mut impl FnMut(&str, u64) -> Result<(), String>,
) -> Result<(), Malformed> {
    let at = |reason| Malformed { line: number, reason };
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let text = std::str::from_utf8(line)
        .map_err(|bad| at(format!("byte {} is not UTF-8 text", bad.valid_up_to() + 1)))?;
    take(text, number).map_err(at)
}

pub(super) enum Ending {
    Newline,
    EndOfFile,
}

/// Appends the next line to `buffer`, without its newline.
pub(super) fn next_line(
    from: &mut impl BufRead,
    buffer: &mut Vec<u8>,
    number: u64,
) -> Result<Ending, Failure> {
    loop {
        let chunk = match from.fill_buf() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            other => other?,
        };
        if chunk.is_empty() {
            return Ok(Ending::EndOfFile);
        }
        let end = memchr::memchr(b'\n', chunk);
        let part = &chunk[..end.unwrap_or(chunk.len())];
        if buffer.len() + part.len() > MAX_LINE {
            let reason = format!("longer than {MAX_LINE} bytes, the longest line that is accepted");
            return Err(Malformed { line: number, reason }.into());
        }
        buffer.extend_from_slice(part);
        let used = part.len() + usize::from(end.is_some());
        from.consume(used);
        if end.is_some() {
            return Ok(Ending::Newline);
        }
    }
}

/// Joins lines of ours that were translated from another notation, each with the
/// number that messages should give it.
///
/// # Errors
/// Those of the lines, and all of [`read`] that are not about their bytes.
pub fn read_lines(lines: impl Iterator<Item = Result<(u64, String), Failure>>) -> Result<History, Failure> {
    let mut pairing = Pairing::default();
    let mut last = 0;
    for line in lines {
        let (number, text) = line?;
        pairing.line(&text, number).map_err(|reason| Malformed { line: number, reason })?;
        last = number;
    }
    Ok(pairing.finish(last))
}
