//! Writes lines of ours in another format, one at a time.
//!
//! Keeps the rules that concern more than one line whatever the operations are
//! (who may invoke, who may complete), so that nothing malformed is passed on. Must
//! not know of models, nor where the output goes.

use std::io::{self, Write};

use rustc_hash::{FxHashMap, FxHashSet};
use serde::Serialize;
use serde_json::value::RawValue;

use super::to_edn;
use crate::history::line::{Closes, Kind, f};
use crate::history::raw::{RawLine, RawWriter, json};

/// What can be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// Our own lines.
    Jsonl,
    /// One map a line, in EDN, as Jepsen's `history.edn`.
    Edn,
    /// Events with the fields of `porcupine.Event`, one JSON object a line.
    Porcupine,
}

/// Why a line could not be written.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The line breaks the format.
    #[error("{0}")]
    Malformed(String),
    /// The output failed.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Turns lines into another format; remembers who waits for a completion.
#[derive(Debug)]
pub struct Converter<W> {
    target: Target,
    out: W,
    last: Option<(u64, u64)>,
    open: FxHashMap<u64, Waiting>,
    retired: FxHashSet<u64>,
    indeterminate: Vec<Waiting>,
    undelivered: FxHashSet<u64>,
    next_id: u64,
    left_out: u64,
}

/// An operation that has not returned.
#[derive(Debug, Clone, Copy)]
struct Waiting {
    id: u64,
    client: u64,
    invoke: u64,
}

/// `porcupine.Event` in JSON.
#[derive(Serialize)]
struct Event<'a> {
    id: u64,
    kind: &'a str,
    client: u64,
    value: Told<'a>,
}

/// What an event tells.
#[derive(Serialize)]
#[serde(untagged)]
enum Told<'a> {
    Call {
        f: &'a str,
        value: Option<&'a RawValue>,
    },
    Return {
        #[serde(rename = "type")]
        kind: Kind,
        value: Option<&'a RawValue>,
    },
}

impl<W: Write> Converter<W> {
    /// Writes to `out`, which should be buffered.
    pub fn new(target: Target, out: W) -> Self {
        Self {
            target,
            out,
            last: None,
            open: FxHashMap::default(),
            retired: FxHashSet::default(),
            indeterminate: Vec::new(),
            undelivered: FxHashSet::default(),
            next_id: 0,
            left_out: 0,
        }
    }

    /// Takes in one line of ours.
    ///
    /// # Errors
    /// It is none, index or time run back, it completes what was not invoked or
    /// invokes where something is open or indeterminate; the output fails.
    pub fn line(&mut self, text: &str) -> Result<(), WriteError> {
        if !text.trim_start().starts_with('{') {
            let reason = format!("found `{}`, accepted is one object a line", super::quoted(text));
            return Err(WriteError::Malformed(reason));
        }
        let line: RawLine<'_> = json(text).map_err(WriteError::Malformed)?;
        self.in_order(&line).map_err(WriteError::Malformed)?;
        match self.target {
            Target::Jsonl => writeln!(self.out, "{text}")?,
            Target::Edn => writeln!(self.out, "{}", to_edn::edn(text, &line.f))?,
            Target::Porcupine => {}
        }
        match line.process {
            RawWriter::Client(client) if line.kind == Kind::Invoke => self.invoke(&line, client),
            RawWriter::Client(client) => self.complete(&line, client),
            RawWriter::Harness(_) => {
                self.left_out += 1;
                self.evidence(&line);
                Ok(())
            }
        }
    }

    /// Writes what only the end tells: events of operations that never returned.
    /// Returns how many lines have no place in the format.
    ///
    /// # Errors
    /// The output fails.
    pub fn finish(mut self) -> io::Result<u64> {
        if self.target != Target::Porcupine {
            self.out.flush()?;
            return Ok(0);
        }
        let mut waiting = std::mem::take(&mut self.indeterminate);
        waiting.extend(self.open.values());
        waiting.sort_unstable_by_key(|waiting| waiting.id);
        for at in waiting {
            let kind = if self.undelivered.contains(&at.invoke) { Kind::Fail } else { Kind::Info };
            self.event(at.id, "return", at.client, Told::Return { kind, value: None })?;
        }
        self.out.flush()?;
        Ok(self.left_out)
    }

    fn in_order(&mut self, line: &RawLine<'_>) -> Result<(), String> {
        let (index, time) = (line.index, line.time);
        if let Some((last_index, last_time)) = self.last {
            if index <= last_index {
                return Err(format!("index {index} follows index {last_index}; it must grow"));
            }
            if time < last_time {
                return Err(format!("time {time} follows time {last_time}; it must not run back"));
            }
        }
        self.last = Some((index, time));
        Ok(())
    }

    fn invoke(&mut self, line: &RawLine<'_>, client: u64) -> Result<(), WriteError> {
        if self.retired.contains(&client) {
            let reason = format!("process {client} goes on after `info`; its number is never reused");
            return Err(WriteError::Malformed(reason));
        }
        let at = Waiting { id: self.next_id, client, invoke: line.index };
        if let Some(before) = self.open.insert(client, at) {
            let before = before.invoke;
            let reason = format!("process {client} invokes while its operation of index {before} is open");
            return Err(WriteError::Malformed(reason));
        }
        self.next_id += 1;
        Ok(self.event(at.id, "call", client, Told::Call { f: &line.f, value: line.value })?)
    }

    fn complete(&mut self, line: &RawLine<'_>, client: u64) -> Result<(), WriteError> {
        let Some(at) = self.open.remove(&client) else {
            let reason = format!("process {client} completes an operation that it did not invoke");
            return Err(WriteError::Malformed(reason));
        };
        if line.kind == Kind::Info {
            self.retired.insert(client);
            self.indeterminate.push(at);
            return Ok(());
        }
        Ok(self.event(at.id, "return", client, Told::Return { kind: line.kind, value: line.value })?)
    }

    /// What was never delivered certainly did not happen.
    fn evidence(&mut self, line: &RawLine<'_>) {
        if line.f == f::NEVER_DELIVERED
            && let Ok(Closes { invoke }) = json(line.value())
        {
            self.undelivered.insert(invoke);
        }
    }

    fn event(&mut self, id: u64, kind: &str, client: u64, value: Told<'_>) -> io::Result<()> {
        if self.target != Target::Porcupine {
            return Ok(());
        }
        serde_json::to_writer(&mut self.out, &Event { id, kind, client, value })?;
        self.out.write_all(b"\n")
    }
}
