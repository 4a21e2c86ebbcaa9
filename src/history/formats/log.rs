//! Jepsen's text logs and `history.txt`: one operation a line among other lines.
//!
//! `INFO  jepsen.util - 3<TAB>:ok<TAB>:write<TAB>4`; what is no operation is passed
//! over and counted. Must not know what operations mean.

use std::io::BufRead;

use super::edn_ops::{first_form, json_string};
use super::op::{Op, Renderer};
use crate::history::read::{Ending, Failure, Malformed, next_line};

/// The operations of a text log, each as one line of ours.
pub(super) struct LogOps<R> {
    from: R,
    buffer: Vec<u8>,
    number: u64,
    found: u64,
    skipped: u64,
    cut: bool,
    first: String,
    pub renderer: Renderer,
}

/// The words of a line that is an operation.
#[derive(Debug, PartialEq)]
struct Words<'a> {
    process: &'a str,
    kind: &'a str,
    f: &'a str,
    rest: &'a str,
}

impl<R: BufRead> LogOps<R> {
    pub fn new(from: R) -> Self {
        Self {
            from,
            buffer: Vec::new(),
            number: 0,
            found: 0,
            skipped: 0,
            cut: false,
            first: String::new(),
            renderer: Renderer::default(),
        }
    }

    /// The next operation with the number of its line.
    pub fn next(&mut self) -> Result<Option<(u64, String)>, Failure> {
        loop {
            self.buffer.clear();
            self.number += 1;
            let ending = next_line(&mut self.from, &mut self.buffer, self.number)?;
            if matches!(ending, Ending::EndOfFile) {
                return self.end();
            }
            // Other programs' words in a log may be in any encoding.
            let Some(words) = std::str::from_utf8(&self.buffer).ok().and_then(words) else {
                self.skip();
                continue;
            };
            self.found += 1;
            let at = |reason| Malformed { line: self.number, reason };
            let line = operation(&words, &mut self.renderer).map_err(at)?;
            return Ok(Some((self.number, line)));
        }
    }

    /// What a reader should know.
    pub fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        if self.skipped > 0 {
            warnings.push(format!("{} lines are no operations and were passed over", self.skipped));
        }
        if self.cut {
            warnings.push(format!("line {} has no newline: it was cut off and is dropped", self.number));
        }
        warnings
    }

    fn skip(&mut self) {
        if self.skipped == 0 {
            self.first = super::quoted(&String::from_utf8_lossy(&self.buffer));
        }
        self.skipped += 1;
    }

    fn end(&mut self) -> Result<Option<(u64, String)>, Failure> {
        self.cut = !self.buffer.is_empty();
        if self.found > 0 {
            return Ok(None);
        }
        if self.cut {
            self.skip();
        }
        let reason = format!(
            "found `{}` and no operation in any line; accepted are our JSON lines, Jepsen's EDN, \
             and Jepsen's logs with lines such as `INFO  jepsen.util - 3 :ok :write 4`",
            self.first
        );
        Err(Malformed { line: 1, reason }.into())
    }
}

fn words(line: &str) -> Option<Words<'_>> {
    let mut before: [Option<&str>; 2] = [None, None];
    let mut rest = line;
    loop {
        let (word, after) = word(rest)?;
        if let (Some(process), ":invoke" | ":ok" | ":fail" | ":info") = (before[1], word)
            && is_process(process)
            && before[0].is_none_or(is_prefix)
        {
            let (f, rest) = self::word(after).filter(|(f, _)| f.len() > 1 && f.starts_with(':'))?;
            return Some(Words { process, kind: &word[1..], f: &f[1..], rest: rest.trim() });
        }
        before = [before[1], Some(word)];
        rest = after;
    }
}

/// The next word, and what follows it.
fn word(text: &str) -> Option<(&str, &str)> {
    let text = text.trim_start();
    let end = text.find(char::is_whitespace).unwrap_or(text.len());
    (end > 0).then(|| text.split_at(end))
}

fn is_process(word: &str) -> bool {
    let digits = !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_digit());
    digits || (word.len() > 1 && word.starts_with(':'))
}

/// What may stand before the process: other words there make it no operation.
fn is_prefix(word: &str) -> bool {
    word == "-" || word.starts_with("jepsen.util")
}

fn operation(words: &Words<'_>, renderer: &mut Renderer) -> Result<String, String> {
    let (value, error) = value_and_error(words)?;
    let process = words.process.strip_prefix(':').map(json_string);
    let process = process.unwrap_or_else(|| canonical(words.process).to_owned());
    let (kind, f) = (json_string(words.kind), json_string(words.f));
    renderer.line(&Op {
        process: Some(&process),
        kind: Some(&kind),
        f: Some(&f),
        value: Some(&value),
        error: error.as_deref(),
        ..Op::default()
    })
}

/// JSON knows no leading zeros.
fn canonical(digits: &str) -> &str {
    let short = digits.trim_start_matches('0');
    if short.is_empty() { "0" } else { short }
}

/// The value, and after it what went wrong, both as JSON. Where nothing came back,
/// `:timed-out` stands in the value's place.
fn value_and_error(words: &Words<'_>) -> Result<(String, Option<String>), String> {
    let incomplete = matches!(words.kind, "fail" | "info") && !words.process.starts_with(':');
    if words.rest.is_empty() {
        return Ok(("null".into(), None));
    }
    if incomplete && words.rest.starts_with(':') {
        return Ok(("null".into(), Some(json_string(words.rest.trim_start_matches(':')))));
    }
    match first_form(words.rest) {
        Some((value, rest)) => {
            let error = rest.trim().trim_start_matches(':');
            Ok((value, (!error.is_empty()).then(|| json_string(error))))
        }
        None if matches!(words.kind, "invoke" | "ok") => {
            Err(format!("`{}` is no value that EDN knows", super::quoted(words.rest)))
        }
        None => Ok(("null".into(), Some(json_string(words.rest)))),
    }
}
