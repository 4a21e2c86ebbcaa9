//! The rules about the order of lines that hold for every kind of operation:
//! index and time grow, a process has one operation at a time, `info` retires it.
//!
//! Shared by the bank's reader, the one for any model and the converter, so that a
//! file is well formed for all of them or for none. Knows nothing of what operations mean.

use rustc_hash::FxHashMap;

use super::line::Closes;
use super::raw::{RawLine, json};
use crate::op::Outcome;

/// Who has an operation open, and what the last line was.
#[derive(Debug, Default)]
pub(super) struct Sequence {
    processes: FxHashMap<u64, Process>,
    last: Option<(u64, u64)>,
}

/// What a client's logical thread may do next.
#[derive(Debug, Clone, Copy)]
enum Process {
    Idle,
    /// Its operation, by position, waits for a completion; `invoke` is its line's index.
    Open {
        at: usize,
        invoke: u64,
    },
    /// An indeterminate outcome ended it for good.
    Retired,
}

impl Sequence {
    /// Takes in where a line says it stands.
    pub fn in_order(&mut self, index: u64, time: u64) -> Result<(), String> {
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

    /// Time of the last line, 0 before any.
    pub fn end(&self) -> u64 {
        self.last.map_or(0, |(_, time)| time)
    }

    /// Whether this process may begin an operation.
    pub fn may_invoke(&self, process: u64) -> Result<(), String> {
        match self.processes.get(&process) {
            Some(Process::Open { invoke, .. }) => {
                Err(format!("process {process} invokes while its operation of index {invoke} is open"))
            }
            Some(Process::Retired) => {
                Err(format!("process {process} goes on after `info`; its number is never reused"))
            }
            Some(Process::Idle) | None => Ok(()),
        }
    }

    /// Its operation, at this position, begins with the line of this index.
    pub fn open(&mut self, process: u64, at: usize, invoke: u64) {
        self.processes.insert(process, Process::Open { at, invoke });
    }

    /// The position of the operation that this process may complete.
    pub fn opened(&self, process: u64) -> Result<usize, String> {
        match self.processes.get(&process) {
            Some(&Process::Open { at, .. }) => Ok(at),
            _ => Err(format!("process {process} completes an operation that it did not invoke")),
        }
    }

    /// Its operation ended like this.
    pub fn close(&mut self, process: u64, outcome: Outcome) {
        let next = if outcome == Outcome::Info { Process::Retired } else { Process::Idle };
        self.processes.insert(process, next);
    }
}

/// The invocation that a line of evidence closes.
pub(super) fn closes(line: &RawLine<'_>) -> Result<u64, String> {
    let closes: Closes = json(line.value())
        .map_err(|reason| format!("value of evidence: {reason}; accepted is {{\"invoke\":INDEX}}"))?;
    Ok(closes.invoke)
}

/// Evidence names an index that no invocation above it has.
pub(super) fn no_invocation(invoke: u64) -> String {
    format!("evidence names index {invoke}, which is no invocation above it")
}

/// Evidence against an operation that already is `ok`.
pub(super) fn evidence_against_ok(invoke: u64) -> String {
    format!("evidence says never delivered, yet the operation of index {invoke} is ok")
}

/// An `ok` against evidence.
pub(super) fn ok_against_evidence(invoke: u64) -> String {
    format!("operation of index {invoke} is ok, yet evidence says never delivered")
}
