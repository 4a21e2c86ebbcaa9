//! Writes lines of ours in another format, one at a time.
//!
//! Holds to the rules of [`crate::history::sequence`], so that nothing malformed is
//! passed on. Must not know of models, nor where the output goes.

use std::io::{self, Write};

use rustc_hash::{FxHashMap, FxHashSet};
use serde::Serialize;
use serde_json::value::RawValue;

use super::to_edn;
use crate::history::line::{Closes, Kind, f};
use crate::history::raw::{RawLine, RawWriter, json};
use crate::history::sequence::Sequence;
use crate::op::Outcome;

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
    sequence: Sequence,
    open: FxHashMap<u64, Waiting>,
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
            sequence: Sequence::default(),
            open: FxHashMap::default(),
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
        self.sequence.in_order(line.index, line.time).map_err(WriteError::Malformed)?;
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

    fn invoke(&mut self, line: &RawLine<'_>, client: u64) -> Result<(), WriteError> {
        self.sequence.may_invoke(client).map_err(WriteError::Malformed)?;
        let at = Waiting { id: self.next_id, client, invoke: line.index };
        // Positions are a reader's; what is open here is found by its client.
        self.sequence.open(client, 0, line.index);
        self.open.insert(client, at);
        self.next_id += 1;
        Ok(self.event(at.id, "call", client, Told::Call { f: &line.f, value: line.value })?)
    }

    fn complete(&mut self, line: &RawLine<'_>, client: u64) -> Result<(), WriteError> {
        self.sequence.opened(client).map_err(WriteError::Malformed)?;
        let indeterminate = line.kind == Kind::Info;
        self.sequence.close(client, if indeterminate { Outcome::Info } else { Outcome::Ok });
        let Some(at) = self.open.remove(&client) else { return Ok(()) };
        if indeterminate {
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
