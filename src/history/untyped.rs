//! Operations of any model, as a history tells them: names and JSON values.
//!
//! The rules of the format are those of the bank's reader ([`super::read`]), shared
//! through [`super::sequence`] and [`super::pair`]; only what `f` and `value` mean is
//! left to a model. Must not know any model.

use std::io::BufRead;

use serde_json::Value;

use super::line::{Kind, f};
use super::pair::Pairing;
use super::raw::{RawLine, RawWriter, json};
use super::read::{Failure, each_line};
use super::sequence::{Sequence, closes, evidence_against_ok, no_invocation, ok_against_evidence};
use super::{History, read};
use crate::op::Outcome;

/// A history whose operations are any model's.
#[derive(Debug, Clone, Default)]
pub struct UntypedHistory {
    /// Every client operation, in the order of invocation lines.
    pub operations: Vec<UntypedOperation>,
    /// Things a reader should know, such as a dropped half line at the end.
    pub warnings: Vec<String>,
    /// Number of lines read.
    pub lines: u64,
    /// What the harness itself did meanwhile; without operations.
    pub harness: History,
}

/// One operation of one client.
#[derive(Debug, Clone, PartialEq)]
pub struct UntypedOperation {
    /// Index (the `index` field) of the invocation line.
    pub invoke: u64,
    /// Number of the invocation's line in the file, from 1, for messages.
    pub line: u64,
    /// The client's logical thread.
    pub process: u64,
    /// The operation's name.
    pub f: String,
    /// What was asked: `value` of the invocation.
    pub input: Value,
    /// How it ended; `None` if the history ends first (indeterminate).
    pub completion: Option<UntypedCompletion>,
    /// An evidence line proved that the request never reached the server.
    pub never_delivered: bool,
}

/// How an operation ended.
#[derive(Debug, Clone, PartialEq)]
pub struct UntypedCompletion {
    /// Index of the completion line.
    pub index: u64,
    /// Number of its line in the file, from 1, for messages.
    pub line: u64,
    /// What the client knows.
    pub outcome: Outcome,
    /// What the reply told: `value` of the completion; null if it is missing.
    pub output: Value,
}

impl UntypedOperation {
    /// What is known of the effect, as [`super::Operation::outcome`] tells it.
    pub fn outcome(&self) -> Outcome {
        match &self.completion {
            _ if self.never_delivered => Outcome::Fail,
            Some(completion) => completion.outcome,
            None => Outcome::Info,
        }
    }
}

/// Reads a history of any model from a stream.
///
/// # Errors
/// As [`read::read`], except that any `f` and `value` of a client is taken; the
/// completion must have the `f` of its invocation.
pub fn read_untyped(from: impl BufRead) -> Result<UntypedHistory, Failure> {
    let mut pairing = UntypedPairing::default();
    let cut = each_line(from, |text, number| pairing.line(text, number))?;
    if let Some(warning) = cut.warning() {
        pairing.warn(warning);
    }
    Ok(pairing.finish(cut.lines))
}

/// Reads a history of any model from lines of our JSON, each with the number that
/// messages should give it (another notation was translated line by line).
///
/// # Errors
/// As [`read_untyped`].
pub fn read_untyped_lines(
    lines: impl Iterator<Item = Result<(u64, String), Failure>>,
) -> Result<UntypedHistory, Failure> {
    let mut pairing = UntypedPairing::default();
    let mut last = 0;
    for line in lines {
        let (number, text) = line?;
        pairing.line(&text, number).map_err(|reason| read::Malformed { line: number, reason })?;
        last = number;
    }
    Ok(pairing.finish(last))
}

/// The state of reading.
#[derive(Debug, Default)]
pub struct UntypedPairing {
    operations: Vec<UntypedOperation>,
    sequence: Sequence,
    harness: Pairing,
}

impl UntypedPairing {
    /// Takes in one line; `number` counts from 1 and is for messages.
    ///
    /// # Errors
    /// The line breaks the format; in words, without the number.
    pub fn line(&mut self, text: &str, number: u64) -> Result<(), String> {
        let line = RawLine::parse(text)?;
        self.sequence.in_order(line.index, line.time)?;
        match &line.process {
            RawWriter::Client(process) => self.client(&line, *process, number),
            RawWriter::Harness(part) if part == "evidence" => self.evidence(&line, number),
            RawWriter::Harness(_) => self.harness.harness(line, number),
        }
    }

    /// Notes something that a reader should know.
    pub fn warn(&mut self, warning: String) {
        self.harness.warn(warning);
    }

    /// The history as it stands after `lines` lines.
    pub fn finish(self, lines: u64) -> UntypedHistory {
        let end = self.sequence.end();
        let harness = History { end, ..self.harness.finish(lines) };
        UntypedHistory { operations: self.operations, warnings: harness.warnings.clone(), lines, harness }
    }

    fn client(&mut self, line: &RawLine<'_>, process: u64, number: u64) -> Result<(), String> {
        match line.kind {
            Kind::Invoke => self.invoke(line, process, number),
            Kind::Ok => self.complete(line, process, number, Outcome::Ok),
            Kind::Fail => self.complete(line, process, number, Outcome::Fail),
            Kind::Info => self.complete(line, process, number, Outcome::Info),
        }
    }

    fn invoke(&mut self, line: &RawLine<'_>, process: u64, number: u64) -> Result<(), String> {
        self.sequence.may_invoke(process)?;
        let input = value(line)?;
        self.sequence.open(process, self.operations.len(), line.index);
        self.operations.push(UntypedOperation {
            invoke: line.index,
            line: number,
            process,
            f: line.f.as_ref().to_owned(),
            input,
            completion: None,
            never_delivered: false,
        });
        Ok(())
    }

    fn complete(
        &mut self,
        line: &RawLine<'_>,
        process: u64,
        number: u64,
        outcome: Outcome,
    ) -> Result<(), String> {
        let operation = &mut self.operations[self.sequence.opened(process)?];
        let invoke = operation.invoke;
        if operation.f != line.f {
            let (asked, told) = (&operation.f, &line.f);
            return Err(format!("`{told}` completes `{asked}` of index {invoke}; f must agree"));
        }
        if outcome == Outcome::Ok && operation.never_delivered {
            return Err(ok_against_evidence(invoke));
        }
        let output = value(line)?;
        operation.completion = Some(UntypedCompletion { index: line.index, line: number, outcome, output });
        self.sequence.close(process, outcome);
        Ok(())
    }

    fn evidence(&mut self, line: &RawLine<'_>, number: u64) -> Result<(), String> {
        if line.f != f::NEVER_DELIVERED {
            self.harness.unknown_evidence(number, &line.f);
            return Ok(());
        }
        let invoke = closes(line)?;
        let found = self.operations.binary_search_by_key(&invoke, |operation| operation.invoke);
        let operation = &mut self.operations[found.map_err(|_| no_invocation(invoke))?];
        if operation.completion.as_ref().is_some_and(|completion| completion.outcome == Outcome::Ok) {
            return Err(evidence_against_ok(invoke));
        }
        operation.never_delivered = true;
        Ok(())
    }
}

fn value(line: &RawLine<'_>) -> Result<Value, String> {
    json(line.value()).map_err(|reason| format!("value: {reason}; accepted is JSON"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const WRITE: &str = r#"{"index":0,"time":1,"process":3,"type":"invoke","f":"write","value":4}"#;

    fn read(text: &str) -> Result<UntypedHistory, String> {
        read_untyped(text.as_bytes()).map_err(|why| why.to_string())
    }

    #[test]
    fn an_invocation_is_joined_with_its_completion_and_a_missing_one_is_indeterminate() {
        let history = read(&format!(
            "{WRITE}\n{}\n{}\n",
            r#"{"index":1,"time":2,"process":4,"type":"invoke","f":"read","value":null}"#,
            r#"{"index":2,"time":3,"process":4,"type":"ok","f":"read","value":[1,"x"]}"#
        ))
        .unwrap();
        assert_eq!((history.operations.len(), history.lines, history.harness.end), (2, 3, 3));
        assert_eq!(history.operations[0].outcome(), Outcome::Info);
        assert_eq!(history.operations[0].input, 4);
        let completion = history.operations[1].completion.as_ref().unwrap();
        assert_eq!((completion.line, completion.output.to_string()), (3, r#"[1,"x"]"#.into()));
    }

    #[test]
    fn what_breaks_the_format_is_refused_with_its_line() {
        let second = |text: &str| read(&format!("{WRITE}\n{text}\n")).unwrap_err();
        let other = r#"{"index":1,"time":2,"process":3,"type":"ok","f":"read","value":4}"#;
        assert!(second(other).contains("line 2: `read` completes `write` of index 0"));
        assert!(second(WRITE).contains("line 2: index 0 follows index 0"));
        let back = r#"{"index":1,"time":0,"process":4,"type":"invoke","f":"read"}"#;
        assert!(second(back).contains("must not run back"));
        let stranger = r#"{"index":1,"time":2,"process":9,"type":"ok","f":"write","value":4}"#;
        assert!(second(stranger).contains("did not invoke"));
        let evidence = r#"{"index":1,"time":2,"process":"evidence","type":"info","f":"never-delivered","value":{"invoke":7}}"#;
        assert!(second(evidence).contains("no invocation"));
    }

    #[test]
    fn evidence_closes_an_operation_and_a_half_line_is_dropped_with_a_warning() {
        let evidence = r#"{"index":1,"time":2,"process":"evidence","type":"info","f":"never-delivered","value":{"invoke":0}}"#;
        let history = read(&format!("{WRITE}\n{evidence}\n{{\"index\":")).unwrap();
        assert_eq!(history.operations[0].outcome(), Outcome::Fail);
        assert_eq!(history.warnings, ["line 3 has no newline: it was cut off and is dropped"]);
    }

    #[test]
    fn lines_of_another_notation_keep_the_numbers_that_they_came_with() {
        let lines = [Ok((7, WRITE.to_owned())), Ok((9, "nonsense".to_owned()))];
        let why = read_untyped_lines(lines.into_iter()).unwrap_err().to_string();
        assert!(why.starts_with("line 9: "), "{why}");
    }
}
