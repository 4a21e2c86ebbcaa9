//! The `nemesis` of a workload: a list of rules, or `all`; and what says when.
//!
//! Read by hand rather than derived as an untagged enum: an error in a rule must
//! name the rule and its field. What `all` stands for is in `mix`.

use std::fmt;

use schemars::JsonSchema;
use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use serde::{Deserialize, Serialize, de};

use super::FaultRule;
use crate::fault::{Family, Link, Node};

/// What is broken: these rules, or everything.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum Nemesis {
    /// These faults.
    List(Vec<FaultRule>),
    /// Every kind of fault there is, at intensity `rough`.
    Word(Everything),
    /// Every kind of fault there is.
    Mix(Mix),
}

/// Every kind of fault there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Everything {
    /// `all`
    All,
}

/// Every kind of fault there is, and how much of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Mix {
    /// How much.
    pub all: MixOptions,
}

/// What can be said about the mix.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct MixOptions {
    /// How often faults come and how many nodes each hits.
    pub intensity: Intensity,
    /// Families of faults that are left out; the others come as often as with them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub without: Vec<Family>,
}

/// How often faults come, and how many nodes each hits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Intensity {
    /// One in 10 s, at one node.
    Calm,
    /// One in 3 s, at a minority.
    #[default]
    Rough,
    /// One a second, at any set of nodes.
    Hostile,
}

impl Nemesis {
    /// Whether nothing is broken.
    pub fn is_empty(&self) -> bool {
        self.intensity().is_none() && self.list().is_empty()
    }

    /// How much of everything, if everything is asked for.
    pub fn intensity(&self) -> Option<Intensity> {
        match self {
            Self::List(_) => None,
            Self::Word(Everything::All) => Some(Intensity::default()),
            Self::Mix(mix) => Some(mix.all.intensity),
        }
    }

    /// The families that a mix of everything leaves out.
    pub fn without(&self) -> &[Family] {
        if let Self::Mix(mix) = self { &mix.all.without } else { &[] }
    }

    /// The rules as written; none for `all`.
    pub fn list(&self) -> &[FaultRule] {
        if let Self::List(rules) = self { rules } else { &[] }
    }
}

impl Default for Nemesis {
    fn default() -> Self {
        Self::List(Vec::new())
    }
}

struct NemesisVisitor;

impl<'de> de::Visitor<'de> for NemesisVisitor {
    type Value = Nemesis;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(r#"a list of faults, "all", or {"all": {"intensity": "calm", "rough" or "hostile"}}"#)
    }

    fn visit_str<E: de::Error>(self, word: &str) -> Result<Nemesis, E> {
        match word {
            "all" => Ok(Nemesis::Word(Everything::All)),
            _ => Err(E::invalid_value(de::Unexpected::Str(word), &self)),
        }
    }

    fn visit_seq<A: de::SeqAccess<'de>>(self, list: A) -> Result<Nemesis, A::Error> {
        Vec::deserialize(SeqAccessDeserializer::new(list)).map(Nemesis::List)
    }

    fn visit_map<A: de::MapAccess<'de>>(self, map: A) -> Result<Nemesis, A::Error> {
        Mix::deserialize(MapAccessDeserializer::new(map)).map(Nemesis::Mix)
    }
}

impl<'de> Deserialize<'de> for Nemesis {
    fn deserialize<D: de::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(NemesisVisitor)
    }
}

/// How the gaps of a rhythm are drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Spread {
    /// Evenly from 0 to twice the mean, as Jepsen staggers.
    #[default]
    Uniform,
    /// Exponentially: at any moment the next fault is as likely as at any other.
    Poisson,
}

/// A logical event: it comes at the same point of a run on any machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
pub enum Event {
    /// The n-th acknowledged operation, from 1.
    Acknowledged(u64),
    /// The n-th message of the run on a link, both ways counted, from 1.
    Message {
        /// Which link.
        #[schemars(with = "String")]
        link: Link,
        /// n.
        count: u64,
    },
    /// The n-th successful fsync or fdatasync of the run by a replica, of files and
    /// directories, from 1. Its directory is then a disk of the harness.
    Fsync {
        /// Which replica.
        #[schemars(with = "String")]
        node: Node,
        /// n.
        count: u64,
    },
    /// A line that a node prints after the clients began.
    Log {
        /// Which node.
        #[schemars(with = "String")]
        node: Node,
        /// What the line holds: a regular expression.
        pattern: String,
    },
}
