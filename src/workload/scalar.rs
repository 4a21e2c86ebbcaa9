//! Scalars of the workload file: spans of time and names.
//!
//! Each is checked where it is parsed, so that the message can say what was
//! found and what is accepted. Knows nothing of the fields that hold them.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize, de};

/// A span of time, written with its unit: `"20s"`, `"300ms"`, `"1m 30s"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Span(pub Duration);

/// The longest span that is accepted: a week. More is a slip of the pen.
const LONGEST: Duration = Duration::from_secs(7 * 24 * 3600);

impl Span {
    /// So many seconds.
    pub const fn seconds(seconds: u64) -> Self {
        Self(Duration::from_secs(seconds))
    }

    /// Whole nanoseconds; at most a week, so it always fits.
    pub fn nanos(self) -> u64 {
        self.0.as_nanos() as u64
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        humantime::format_duration(self.0).fmt(f)
    }
}

impl std::str::FromStr for Span {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        const ACCEPTED: &str =
            "accepted: a number with a unit such as \"20s\", \"300ms\", \"1m 30s\", at most 7 days";
        let span = humantime::parse_duration(text)
            .map_err(|why| format!("`{text}` is no span of time ({why}); {ACCEPTED}"))?;
        if span > LONGEST {
            return Err(format!("`{text}` is longer than 7 days; {ACCEPTED}"));
        }
        Ok(Self(span))
    }
}

impl Serialize for Span {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

struct SpanVisitor;

impl de::Visitor<'_> for SpanVisitor {
    type Value = Span;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a span of time with its unit, such as \"20s\" or \"300ms\"")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Span, E> {
        text.parse().map_err(E::custom)
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_str(SpanVisitor)
    }
}

impl JsonSchema for Span {
    fn schema_name() -> Cow<'static, str> {
        "Span".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "description": "A span of time with its unit, at most 7 days: \"20s\", \"300ms\", \"1m 30s\".",
            "examples": ["20s", "300ms"]
        })
    }
}

/// A name that is also a directory's: `[A-Za-z0-9._-]{1,64}`, not `.` or `..`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Name(String);

impl Name {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl std::str::FromStr for Name {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let fits = (1..=64).contains(&text.len())
            && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
            && text.bytes().any(|byte| byte != b'.');
        if fits {
            return Ok(Self(text.into()));
        }
        let shown: String = text.chars().take(70).collect();
        Err(format!("{shown:?} is no name; accepted: 1 to 64 of A-Z a-z 0-9 . _ -, not only dots"))
    }
}

impl<'de> Deserialize<'de> for Name {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        String::deserialize(from)?.parse().map_err(de::Error::custom)
    }
}

impl JsonSchema for Name {
    fn schema_name() -> Cow<'static, str> {
        "Name".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": "^(?!\\.+$)[A-Za-z0-9._-]{1,64}$" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_needs_a_unit_and_a_limit() {
        assert_eq!("1m 30s".parse(), Ok(Span::seconds(90)));
        for wrong in ["20", "", "-1s", "8days", "1e3s", "ten seconds"] {
            let error = wrong.parse::<Span>().unwrap_err();
            assert!(error.contains("accepted"), "{error}");
        }
    }

    #[test]
    fn a_name_never_leaves_its_directory() {
        for wrong in ["", ".", "..", "a/b", "a b", "\u{e9}", &"x".repeat(65)] {
            assert!(wrong.parse::<Name>().is_err(), "{wrong}");
        }
        assert!("concurrent_xfer-2.b".parse::<Name>().is_ok());
    }
}
