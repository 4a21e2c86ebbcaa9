//! What is wrong with a workload file, and where.
//!
//! A message names the file, the line, the field, what was found and what is
//! accepted. Knows the text of the file, not the meaning of its fields.

use std::fmt;
use std::ops::Range;

use annotate_snippets::{AnnotationKind, Level, Renderer, Snippet};
use serde_json::value::RawValue;

use crate::excerpt::excerpt;

/// Characters of a field's path that are shown.
const LONGEST_FIELD: usize = 200;
/// Characters of a message: the longest lists all fields of a fault.
const LONGEST_MESSAGE: usize = 1500;

/// Why a workload was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkloadError {
    file: String,
    source: String,
    /// Path of the field, such as `nemesis[0].target`; empty for the whole file.
    pub field: String,
    /// What was found and what is accepted.
    pub message: String,
    span: Option<Range<usize>>,
}

impl WorkloadError {
    /// The file could not be read at all.
    pub fn unreadable(file: &str, why: &std::io::Error) -> Self {
        Self::new(file, "", "", format!("cannot be read: {why}"))
    }

    /// Something about a field, found by its path in the source.
    pub(super) fn at(file: &str, source: &str, field: &str, message: String) -> Self {
        let mut error = Self::new(file, source, field, message);
        error.span = locate(source, field);
        error
    }

    /// Something at a line and column, both from 1, as serde_json counts them.
    pub(super) fn at_position(
        file: &str,
        source: &str,
        field: &str,
        message: String,
        line: usize,
        column: usize,
    ) -> Self {
        let mut error = Self::new(file, source, field, message);
        error.span = token_before(source, line, column);
        error
    }

    fn new(file: &str, source: &str, field: &str, message: String) -> Self {
        // Both may hold names from the file, of any length.
        let (field, message) = (excerpt(field, LONGEST_FIELD), excerpt(&message, LONGEST_MESSAGE));
        let (field, message) = (field.into_owned(), message.into_owned());
        Self { file: file.into(), source: source.into(), field, message, span: None }
    }

    /// Line of the file, from 1; 0 where there is none to point at.
    pub fn line(&self) -> usize {
        self.span.as_ref().map_or(0, |span| 1 + self.source[..span.start].matches('\n').count())
    }

    fn title(&self) -> String {
        match self.field.as_str() {
            "" => self.message.clone(),
            field => format!("`{field}`: {}", self.message),
        }
    }

    fn render(&self, span: &Range<usize>) -> String {
        let title = self.title();
        let snippet = Snippet::source(&self.source)
            .path(&self.file)
            .annotation(AnnotationKind::Primary.span(span.clone()).label("here"));
        let report = [Level::ERROR.primary_title(&title).element(snippet)];
        Renderer::plain().render(&report)
    }
}

impl fmt::Display for WorkloadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.span {
            Some(span) => f.write_str(&self.render(span)),
            None => write!(f, "error: {}: {}", self.file, self.title()),
        }
    }
}

impl std::error::Error for WorkloadError {}

/// The bytes of the token that ends at, or contains, the position.
fn token_before(source: &str, line: usize, column: usize) -> Option<Range<usize>> {
    let start: usize = source.split_inclusive('\n').take(line.checked_sub(1)?).map(str::len).sum();
    let at = floor_char(source, (start + column.saturating_sub(1)).min(source.len()));
    let end = (at + 1..=source.len()).find(|&end| source.is_char_boundary(end)).unwrap_or(source.len());
    let word = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-+\"".contains(&byte);
    let back = source.as_bytes()[..end].iter().rev().take_while(|&&byte| word(byte)).count();
    let from = if back == 0 { at } else { end - back };
    Some(from..end.max(from))
}

fn floor_char(source: &str, mut at: usize) -> usize {
    while !source.is_char_boundary(at) {
        at -= 1;
    }
    at
}

/// The bytes of the value at a path such as `nemesis[0].target`; of the nearest
/// enclosing value that exists, since a field may be missing.
fn locate(source: &str, path: &str) -> Option<Range<usize>> {
    let mut raw = serde_json::from_str::<&RawValue>(source).ok()?.get();
    for step in path.split(['.', '[']).filter(|step| !step.is_empty()) {
        match child(raw, step.trim_end_matches(']')) {
            Some(inner) => raw = inner,
            None => break,
        }
    }
    // A RawValue borrows from the source, so its address is its place.
    let start = raw.as_ptr() as usize - source.as_ptr() as usize;
    let first_line = raw.lines().next().map_or(0, str::len);
    Some(start..start + first_line)
}

fn child<'a>(raw: &'a str, step: &str) -> Option<&'a str> {
    if raw.starts_with('[') {
        let list: Vec<&RawValue> = serde_json::from_str(raw).ok()?;
        return list.get(step.parse::<usize>().ok()?).map(|value| value.get());
    }
    let object: std::collections::BTreeMap<String, &RawValue> = serde_json::from_str(raw).ok()?;
    object.get(step).map(|value| value.get())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOURCE: &str = "{\n  \"a\": [1, {\"b\": \"x\"}]\n}";

    #[test]
    fn a_path_leads_to_its_value_in_the_source() {
        let span = locate(SOURCE, "a[1].b").unwrap();
        assert_eq!(&SOURCE[span], "\"x\"");
    }

    #[test]
    fn a_missing_field_leads_to_what_encloses_it() {
        let span = locate(SOURCE, "a[1].c").unwrap();
        assert_eq!(&SOURCE[span], "{\"b\": \"x\"}");
    }

    #[test]
    fn the_message_names_file_line_and_field() {
        let error = WorkloadError::at("w.json", SOURCE, "a[1].b", "too short".into());
        let text = error.to_string();
        assert!(text.contains("w.json:2") && text.contains("`a[1].b`: too short"), "{text}");
        assert_eq!(error.line(), 2);
    }

    #[test]
    fn any_position_yields_a_span_inside_the_source() {
        for source in ["", "{", "{\"\u{e9}\u{e9}\": 1}", SOURCE] {
            for line in 0..5 {
                for column in 0..40 {
                    if let Some(span) = token_before(source, line, column) {
                        assert!(source.get(span.clone()).is_some(), "{source:?} {line} {column} {span:?}");
                    }
                }
            }
        }
    }
}
