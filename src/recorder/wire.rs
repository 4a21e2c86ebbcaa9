//! The bounded record of what went over the links, `wire.jsonl`.
//!
//! For people who look for a cause; no checker depends on it. Cheap enough to be
//! always on. When the bound is reached it stops, and its last line says how
//! many messages it left out. Must not know of operations.

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::Mutex;

use super::sink::{Mark, Sink};
use crate::cluster::proxy::{Message, Tap};
use crate::sync::lock;

/// How much is recorded unless told otherwise, bytes.
pub const DEFAULT_LIMIT: u64 = 64 * 1024 * 1024;

/// Writes `wire.jsonl`.
#[derive(Debug)]
pub struct WireRecord {
    state: Mutex<State>,
    limit: u64,
}

#[derive(Debug)]
struct State {
    sink: Sink,
    written: u64,
    left_out: u64,
    finished: bool,
}

impl WireRecord {
    /// Starts a record at `path`, which must not exist; at most about `limit` bytes.
    ///
    /// # Errors
    /// The file cannot be created, or the thread that writes it.
    pub fn create(path: &Path, limit: u64) -> io::Result<Self> {
        // `finish` tells of errors; the record is no reason to end a run.
        let sink = Sink::new(File::options().write(true).create_new(true).mode(0o600).open(path)?, |_| ())?;
        let state = State { sink, written: 0, left_out: 0, finished: false };
        Ok(Self { state: Mutex::new(state), limit })
    }

    /// Sends all lines on their way to the file without waiting for them.
    pub fn flush(&self) {
        lock(&self.state).sink.hand_over();
    }

    /// Ends the record: if messages were left out, its last line says how many,
    /// `{"left_out":N,"limit":BYTES}`. Messages after this are ignored.
    ///
    /// # Errors
    /// What kept the record from being written.
    pub fn finish(&self) -> io::Result<()> {
        let mark = lock(&self.state).finish(self.limit);
        mark.wait()
    }
}

impl Tap for WireRecord {
    fn message(&self, message: &Message<'_>) {
        let mut state = lock(&self.state);
        if state.finished {
            return;
        }
        if state.written >= self.limit {
            state.left_out += 1;
            return;
        }
        let length = state.sink.line(message.released, |out| write_message(out, message));
        state.written += length as u64;
    }
}

impl State {
    fn finish(&mut self, limit: u64) -> Mark {
        if !self.finished && self.left_out > 0 {
            let left_out = self.left_out;
            self.sink.line(0, |out| write!(out, r#"{{"left_out":{left_out},"limit":{limit}}}"#));
        }
        self.finished = true;
        self.sink.mark()
    }
}

impl Drop for WireRecord {
    fn drop(&mut self) {
        // Whoever wants to know of errors has called `finish`.
        let _ = self.finish();
    }
}

fn write_message(out: &mut Vec<u8>, message: &Message<'_>) -> io::Result<()> {
    write!(
        out,
        r#"{{"link":"{}","connection":{},"number":{},"direction":"{}","size":{},"first":""#,
        message.link,
        message.connection,
        message.number,
        message.direction.name(),
        message.size,
    )?;
    write_escaped(out, message.first_bytes)?;
    write!(out, r#"","received":{},"released":{}}}"#, message.received, message.released)
}

/// Bytes as a JSON string, byte n as character n: nothing is lost, ASCII stays legible.
fn write_escaped(out: &mut Vec<u8>, bytes: &[u8]) -> io::Result<()> {
    for &byte in bytes {
        match byte {
            b'\n' => out.extend_from_slice(br"\n"),
            b'"' | b'\\' => out.extend_from_slice(&[b'\\', byte]),
            b' '..=b'~' => out.push(byte),
            _ => write!(out, "\\u{byte:04x}")?,
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::proxy::Direction;
    use crate::fault::Link;

    fn message(first_bytes: &[u8]) -> Message<'_> {
        Message {
            link: Link::CoordSrv(2),
            connection: 7,
            number: 41,
            direction: Direction::ToServer,
            size: 100,
            first_bytes,
            received: 5,
            released: 9,
        }
    }

    #[test]
    fn every_byte_can_be_read_back() {
        let bytes: Vec<u8> = (0..=255).collect();
        let mut line = Vec::new();
        write_message(&mut line, &message(&bytes)).unwrap();
        let value: serde_json::Value = serde_json::from_slice(&line).unwrap();
        let first: Vec<u8> = value["first"].as_str().unwrap().chars().map(|c| c as u8).collect();
        assert_eq!(first, bytes);
    }

    #[test]
    fn a_line_names_link_connection_and_times() {
        let mut line = Vec::new();
        write_message(&mut line, &message(b"a b 5\n")).unwrap();
        assert_eq!(
            String::from_utf8(line).unwrap(),
            r#"{"link":"coord-srv-2","connection":7,"number":41,"direction":"to-server","size":100,"first":"a b 5\n","received":5,"released":9}"#
        );
    }

    #[test]
    fn the_record_stops_at_its_bound_and_says_so() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("wire.jsonl");
        let record = WireRecord::create(&path, 1000).unwrap();
        for _ in 0..100 {
            record.message(&message(b"a b 5\n"));
        }
        record.finish().unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        let lines: Vec<_> = text.lines().collect();
        assert!(text.len() < 1300);
        assert_eq!(
            lines.last(),
            Some(&format!(r#"{{"left_out":{},"limit":1000}}"#, 101 - lines.len()).as_str())
        );
    }
}
