//! Clock faults as a workload asks for them: what they take, and what it must be.
//!
//! The fields stand flat in [`FaultRule`]; what is left out is drawn by the plan.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize, de};

use super::validate::{Rule, refuse, within};
use super::{FaultRule, Span};
use crate::fault::FaultKind;

/// A jump of a clock, with its sign and unit: `"+3s"`, `"-500ms"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Offset {
    /// In nanoseconds; at most 7 days either way.
    pub nanos: i64,
}

impl fmt::Display for Offset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.nanos < 0 { '-' } else { '+' };
        write!(f, "{sign}{}", Span(Duration::from_nanos(self.nanos.unsigned_abs())))
    }
}

impl std::str::FromStr for Offset {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (back, span) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text.strip_prefix('+').unwrap_or(text)),
        };
        let span: Span = span.trim_start().parse().map_err(|why| {
            format!("`{text}` is no jump of a clock ({why}); accepted: such as \"+3s\" or \"-500ms\"")
        })?;
        let nanos = i64::try_from(span.nanos()).unwrap_or(i64::MAX);
        Ok(Self { nanos: if back { -nanos } else { nanos } })
    }
}

impl Serialize for Offset {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Offset {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Text;
        impl de::Visitor<'_> for Text {
            type Value = Offset;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a jump with its sign and unit, such as \"+3s\" or \"-500ms\"")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Offset, E> {
                text.parse().map_err(E::custom)
            }
        }
        from.deserialize_str(Text)
    }
}

impl JsonSchema for Offset {
    fn schema_name() -> Cow<'static, str> {
        "Offset".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "description": "A jump of a clock with its sign and unit, at most 7 days: \"+3s\", \"-500ms\".",
            "examples": ["+3s", "-500ms"]
        })
    }
}

/// The fields of a rule that this kind takes, beside those of every rule.
pub(super) fn fields(kind: FaultKind) -> &'static [&'static str] {
    match kind {
        FaultKind::ClockJump => &["target", "by"],
        FaultKind::ClockRate => &["target", "rate"],
        FaultKind::ClockStrobe => &["target", "by", "period"],
        _ => &["target"],
    }
}

/// Whether the fields of a clock fault make sense.
pub(super) fn validate(rule: &FaultRule, field: &str) -> Rule {
    if rule.by.is_some_and(|by| by.nanos == 0) {
        return refuse(format!("{field}.by"), "found 0s; accepted: a jump, such as \"+3s\" or \"-500ms\"");
    }
    if let Some(rate) = rule.rate {
        within(&format!("{field}.rate"), rate, 0.0, 1000.0)?;
    }
    match rule.period {
        Some(period) => {
            let least = Span(Duration::from_millis(1));
            within(&format!("{field}.period"), period, least, Span::seconds(3600))
        }
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_jump_needs_a_unit_and_keeps_its_sign() {
        assert_eq!("-500ms".parse(), Ok(Offset { nanos: -500_000_000 }));
        assert_eq!("+3s".parse::<Offset>().unwrap().to_string(), "+3s");
        assert_eq!("3s".parse(), Ok(Offset { nanos: 3_000_000_000 }));
        for wrong in ["3", "-", "--3s", "+-3s", "8d", ""] {
            assert!(wrong.parse::<Offset>().unwrap_err().contains("accepted"), "{wrong}");
        }
    }
}
