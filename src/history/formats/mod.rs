//! Histories as other tools write them, and ours, from one stream.
//!
//! The format is told by the first bytes, never by a file's name. Whatever it is,
//! [`lines`] gives one line of ours per operation, with the number of the line it
//! came from; [`read()`] feeds them to the reader that knows the rules. [`source`]
//! takes compression off, [`mod@write`] goes the other way. Must not know of models or
//! verdicts.

mod bytes;
mod edn;
mod edn_ops;
mod log;
mod op;
pub mod source;
mod to_edn;
pub mod write;
#[cfg(test)]
mod formats_tests;

use std::fmt;
use std::io::{BufRead, Chain, Cursor, ErrorKind, Read};

use super::History;
use super::read::{self, Ending, Failure, Malformed, next_line, read_lines};
use edn_ops::EdnOps;
use log::LogOps;

/// How a history is written down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Our own: one JSON object a line.
    Jsonl,
    /// Jepsen's `history.edn`.
    Edn,
    /// Jepsen's text logs and `history.txt`.
    Log,
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Jsonl => "JSON lines",
            Self::Edn => "Jepsen's EDN",
            Self::Log => "a text log of Jepsen's",
        })
    }
}

/// Leading blanks beyond this say nothing about a format any more.
const HEAD: usize = 1 << 16;

/// A stream whose first bytes were looked at.
type Whole<R> = Chain<Cursor<Vec<u8>>, R>;

/// Reads a history in any format that is known here.
///
/// # Errors
/// Those of [`read::read`] for our own format; for the others also what is no EDN,
/// an operation without process, type or f, a stream that ends within a form, and a
/// text without any operation.
pub fn read(from: impl BufRead) -> Result<History, Failure> {
    let (format, whole) = sniff(from)?;
    if format == Format::Jsonl {
        return read::read(whole);
    }
    let mut lines = Lines::new(format, whole);
    let mut history = read_lines(&mut lines)?;
    history.warnings.extend(lines.warnings());
    Ok(history)
}

/// The operations of a history in any format, each as one line of ours with the
/// number of the line that it came from.
///
/// The lines of the harness are among them. Our own lines come as they stand.
///
/// # Errors
/// The stream fails before its format can be told.
pub fn lines<R: BufRead>(from: R) -> Result<Lines<R>, Failure> {
    let (format, whole) = sniff(from)?;
    Ok(Lines::new(format, whole))
}

/// An iterator over the lines of a history; it ends after the first error.
pub struct Lines<R> {
    from: Source<R>,
    done: bool,
}

enum Source<R> {
    Jsonl(OurLines<Whole<R>>),
    Edn(EdnOps<Whole<R>>),
    Log(LogOps<Whole<R>>),
}

impl<R: BufRead> Lines<R> {
    fn new(format: Format, whole: Whole<R>) -> Self {
        let from = match format {
            Format::Jsonl => {
                Source::Jsonl(OurLines { from: whole, buffer: Vec::new(), number: 0, cut: false })
            }
            Format::Edn => Source::Edn(EdnOps::new(whole)),
            Format::Log => Source::Log(LogOps::new(whole)),
        };
        Self { from, done: false }
    }

    /// What the first bytes told.
    pub fn format(&self) -> Format {
        match self.from {
            Source::Jsonl(_) => Format::Jsonl,
            Source::Edn(_) => Format::Edn,
            Source::Log(_) => Format::Log,
        }
    }

    /// What a reader should know; complete once the lines are read.
    pub fn warnings(&self) -> Vec<String> {
        match &self.from {
            Source::Jsonl(ours) if ours.cut => {
                vec![format!("line {} has no newline: it was cut off and is dropped", ours.number)]
            }
            Source::Jsonl(_) => Vec::new(),
            Source::Edn(edn) => edn.renderer.warnings("operations"),
            Source::Log(log) => log.warnings(),
        }
    }
}

impl<R: BufRead> Iterator for Lines<R> {
    type Item = Result<(u64, String), Failure>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.done {
            return None;
        }
        let next = match &mut self.from {
            Source::Jsonl(ours) => ours.next(),
            Source::Edn(edn) => edn.next(),
            Source::Log(log) => log.next(),
        };
        self.done = !matches!(next, Ok(Some(_)));
        next.transpose()
    }
}

/// Our own lines, as they stand.
struct OurLines<R> {
    from: R,
    buffer: Vec<u8>,
    number: u64,
    cut: bool,
}

impl<R: BufRead> OurLines<R> {
    fn next(&mut self) -> Result<Option<(u64, String)>, Failure> {
        self.buffer.clear();
        self.number += 1;
        match next_line(&mut self.from, &mut self.buffer, self.number)? {
            Ending::Newline => Ok(Some((self.number, text(&self.buffer, self.number)?.to_owned()))),
            Ending::EndOfFile => {
                self.cut = !self.buffer.is_empty();
                Ok(None)
            }
        }
    }
}

fn text(line: &[u8], number: u64) -> Result<&str, Malformed> {
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    std::str::from_utf8(line).map_err(|bad| {
        let reason = format!("byte {} is not UTF-8 text", bad.valid_up_to() + 1);
        Malformed { line: number, reason }
    })
}

/// Tells the format by the first bytes, and gives them back.
fn sniff<R: BufRead>(mut from: R) -> Result<(Format, Whole<R>), Failure> {
    let seen = head(&mut from, |seen| told(seen).is_some() || seen.len() >= HEAD)?;
    let format =
        told(&seen).unwrap_or(if seen.trim_ascii().is_empty() { Format::Jsonl } else { Format::Log });
    Ok((format, Cursor::new(seen).chain(from)))
}

/// What the bytes so far tell; `None` if more are needed.
fn told(seen: &[u8]) -> Option<Format> {
    let seen = seen.trim_ascii_start();
    let (&first, rest) = seen.split_first()?;
    let second = rest.trim_ascii_start().first();
    match (first, second?) {
        (b'{', b'"' | b'}') => Some(Format::Jsonl),
        (b'{' | b';', _) => Some(Format::Edn),
        (b'[' | b'(', b'{' | b'#' | b';' | b']' | b')' | b'[' | b'(') => Some(Format::Edn),
        (b'#', next) if *next == b'_' || rest[0].is_ascii_alphabetic() => Some(Format::Edn),
        _ => Some(Format::Log),
    }
}

/// Takes bytes from a stream until there are enough, or no more.
fn head(from: &mut impl BufRead, enough: impl Fn(&[u8]) -> bool) -> Result<Vec<u8>, Failure> {
    let mut seen = Vec::new();
    while !enough(&seen) {
        let chunk = match from.fill_buf() {
            Err(why) if why.kind() == ErrorKind::Interrupted => continue,
            other => other?,
        };
        if chunk.is_empty() {
            break;
        }
        let count = chunk.len().min(HEAD);
        seen.extend_from_slice(&chunk[..count]);
        from.consume(count);
    }
    Ok(seen)
}

/// Found text for a message, cut to a length that fits one.
fn quoted(text: &str) -> String {
    let mut shown: String = text.chars().take(40).flat_map(char::escape_debug).collect();
    if text.chars().nth(40).is_some() {
        shown.push_str("...");
    }
    shown
}
