//! One line of `history.jsonl` as it is read: every field borrowed, nothing paired.
//!
//! More lenient than [`super::line`] writes: fields in any order, unknown ones
//! ignored, missing optional ones allowed. Knows nothing of other lines.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{self, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::Place;
use super::line::{Edge, Kind};

/// A whole line.
#[derive(Debug, Deserialize)]
pub(super) struct RawLine<'a> {
    pub index: u64,
    pub time: u64,
    #[serde(borrow)]
    pub process: RawWriter<'a>,
    #[serde(rename = "type")]
    pub kind: Kind,
    #[serde(borrow)]
    pub f: Cow<'a, str>,
    #[serde(borrow, default)]
    pub value: Option<&'a RawValue>,
    #[serde(default)]
    pub error: Option<String>,
    #[serde(default)]
    pub fault: Option<u64>,
    #[serde(default)]
    pub edge: Option<Edge>,
    #[serde(default)]
    pub held: Option<bool>,
    #[serde(borrow, default)]
    pub observed: Option<&'a RawValue>,
    #[serde(default)]
    pub place: Option<Place>,
    #[serde(default)]
    pub asked: Option<bool>,
}

impl<'a> RawLine<'a> {
    /// Parses one line; the message says what is accepted.
    pub fn parse(text: &'a str) -> Result<Self, String> {
        json(text).map_err(|reason| {
            format!("{reason}; accepted is one object with index, time, process, type, f and value")
        })
    }

    /// The text of `value`; `null` if the field is missing.
    pub fn value(&self) -> &str {
        self.value.map_or("null", RawValue::get)
    }
}

/// The `process` field.
#[derive(Debug)]
pub(super) enum RawWriter<'a> {
    Client(u64),
    Harness(Cow<'a, str>),
}

impl<'de: 'a, 'a> Deserialize<'de> for RawWriter<'a> {
    fn deserialize<D: de::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Either;
        impl<'de> Visitor<'de> for Either {
            type Value = RawWriter<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a client's number or the name of a part of the harness as `process`")
            }
            fn visit_u64<E>(self, number: u64) -> Result<Self::Value, E> {
                Ok(RawWriter::Client(number))
            }
            fn visit_borrowed_str<E>(self, name: &'de str) -> Result<Self::Value, E> {
                Ok(RawWriter::Harness(Cow::Borrowed(name)))
            }
            fn visit_str<E>(self, name: &str) -> Result<Self::Value, E> {
                Ok(RawWriter::Harness(Cow::Owned(name.to_owned())))
            }
        }
        from.deserialize_any(Either)
    }
}

/// The `value` of a transfer.
#[derive(Debug, Deserialize)]
pub(super) struct RawTransfer<'a> {
    #[serde(borrow)]
    pub from: Cow<'a, str>,
    #[serde(borrow)]
    pub to: Cow<'a, str>,
    pub amount: i64,
    #[serde(default)]
    pub balances: Option<[i64; 2]>,
}

/// The `value` of a read: accounts with balances; a name twice is refused.
#[derive(Debug)]
pub(super) struct RawBalances<'a>(pub Vec<(Cow<'a, str>, i64)>);

impl<'de> Deserialize<'de> for RawBalances<'de> {
    fn deserialize<D: de::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Pairs;
        impl<'de> Visitor<'de> for Pairs {
            type Value = RawBalances<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of accounts with balances that are signed 64-bit integers")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut pairs: Vec<(Cow<'de, str>, i64)> = Vec::new();
                while let Some((Name(account), balance)) = map.next_entry()? {
                    pairs.push((account, balance));
                }
                Ok(RawBalances(pairs))
            }
        }
        from.deserialize_map(Pairs)
    }
}

/// A borrowed key: `Cow` alone would always allocate here.
#[derive(Deserialize)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

/// Parses JSON; the message says the column, since the caller knows the line.
pub(super) fn json<'a, T: Deserialize<'a>>(text: &'a str) -> Result<T, String> {
    serde_json::from_str(text).map_err(|error| {
        let message = error.to_string();
        let place = format!(" at line {} column {}", error.line(), error.column());
        match message.strip_suffix(&place) {
            Some(message) => format!("{message} (column {})", error.column()),
            None => message,
        }
    })
}
