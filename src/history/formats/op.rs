//! One operation of another tool as one line of ours.
//!
//! Knows which fields our line has, what other tools write in them, and how index
//! and time are mended: there, line order counts. Must not know how the operation
//! was written down, nor whether it is right.

use std::fmt::{self, Write};

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::Value;
use serde_json::value::RawValue;

/// The fields of an operation, each as JSON text.
#[derive(Debug, Default)]
pub(super) struct Op<'a> {
    pub index: Option<&'a str>,
    pub time: Option<&'a str>,
    pub process: Option<&'a str>,
    pub kind: Option<&'a str>,
    pub f: Option<&'a str>,
    pub value: Option<&'a str>,
    pub error: Option<&'a str>,
    /// More fields, as `,"name":value` each.
    pub rest: &'a str,
}

/// Numbers the lines and notes what had to be mended.
#[derive(Debug, Default)]
pub(super) struct Renderer {
    next_index: u64,
    last_time: u64,
    renumbered: u64,
    untimed: u64,
    odd_times: u64,
    odd_values: u64,
}

impl Renderer {
    /// The operation as one line of ours.
    pub fn line(&mut self, op: &Op<'_>) -> Result<String, String> {
        let (process, kind) = (required(op.process, "process")?, required(op.kind, "type")?);
        let f = required(op.f, "f")?;
        let (index, time) = (self.index(op.index), self.time(op.time));
        let value = op.value.unwrap_or("null");
        let mut line = String::with_capacity(96 + value.len() + op.rest.len());
        // Writing to a string cannot fail.
        let _ = write!(line, r#"{{"index":{index},"time":{time},"process":{process},"type":{kind},"f":{f}"#);
        line.push_str(r#","value":"#);
        let misplaced = self.value(&mut line, value, kind, f);
        if let Some(error) = op.error.filter(|error| *error != "null").or(misplaced) {
            line.push_str(r#","error":"#);
            push_text(&mut line, error);
        }
        line.push_str(op.rest);
        line.push('}');
        Ok(line)
    }

    /// What a reader should know of what was mended.
    pub fn warnings(&self, counted: &str) -> Vec<String> {
        let notes = [
            (self.renumbered, "without an index that grows: numbered by their order"),
            (self.untimed, "without a time: they are given that of the line before"),
            (
                self.odd_times,
                "with a time that runs back or is no count of nanoseconds: the time before is kept",
            ),
            (
                self.odd_values,
                "of transfers that did not happen hold a value of another shape: it is taken as their error",
            ),
        ];
        let notes = notes.iter().filter(|(count, _)| *count > 0);
        notes.map(|(count, what)| format!("{count} {counted} {what}")).collect()
    }

    fn index(&mut self, given: Option<&str>) -> u64 {
        let given = given.and_then(|text| text.parse().ok()).filter(|&index: &u64| index < u64::MAX);
        let index = match given {
            Some(index) if index >= self.next_index => index,
            _ => {
                self.renumbered += 1;
                self.next_index
            }
        };
        self.next_index = index.saturating_add(1);
        index
    }

    fn time(&mut self, given: Option<&str>) -> u64 {
        match given.filter(|text| *text != "null").map(str::parse) {
            Some(Ok(time)) if time >= self.last_time => self.last_time = time,
            Some(_) => self.odd_times += 1,
            None => self.untimed += 1,
        }
        self.last_time
    }

    /// Appends the value; gives it back instead if it rather tells what went wrong.
    fn value<'a>(&mut self, line: &mut String, value: &'a str, kind: &str, f: &str) -> Option<&'a str> {
        if f != r#""transfer""# {
            line.push_str(value);
        } else if value.starts_with('{') {
            push_transfer(line, value);
        } else if value != "null" && matches!(kind, r#""fail""# | r#""info""#) {
            self.odd_values += 1;
            line.push_str("null");
            return Some(value);
        } else {
            line.push_str(value);
        }
        None
    }
}

fn required<'a>(field: Option<&'a str>, name: &str) -> Result<&'a str, String> {
    field.ok_or_else(|| {
        format!("an operation without `{name}`; accepted is a map with :process, :type, :f and :value")
    })
}

/// Accounts are numbers elsewhere and names with us.
fn push_transfer(line: &mut String, value: &str) {
    let Ok(Entries(entries)) = serde_json::from_str(value) else { return line.push_str(value) };
    for (position, (name, value)) in entries.iter().enumerate() {
        line.push(if position == 0 { '{' } else { ',' });
        push_text(line, &Value::from(name.as_str()).to_string());
        line.push(':');
        let number = value.get().starts_with(|first: char| first == '-' || first.is_ascii_digit());
        if number && matches!(name.as_str(), "from" | "to") {
            push_text(line, value.get());
        } else {
            line.push_str(value.get());
        }
    }
    line.push_str(if entries.is_empty() { "{}" } else { "}" });
}

/// An object as it was written: a name that comes twice stays, to be refused.
struct Entries<'a>(Vec<(String, &'a RawValue)>);

impl<'de> Deserialize<'de> for Entries<'de> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct All;
        impl<'de> Visitor<'de> for All {
            type Value = Entries<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    entries.push(entry);
                }
                Ok(Entries(entries))
            }
        }
        from.deserialize_map(All)
    }
}

/// Appends a JSON value as a JSON string: a string as it is, anything else as its text.
fn push_text(line: &mut String, json: &str) {
    if json.starts_with('"') {
        line.push_str(json);
    } else {
        line.push_str(&Value::from(json).to_string());
    }
}
