//! The `target` of a fault: a word for a group of nodes, a name, or a list.
//!
//! Says what is meant; which nodes a draw hits is the plan's business.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize, de};

use crate::fault::{Link, Node};

/// Whom a fault hits. Groups are of replicas; the coordinator is named.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// One replica, drawn anew each time.
    One,
    /// The greatest number of replicas that is less than half, drawn; at least one.
    Minority,
    /// The smallest number of replicas that is more than half, drawn.
    Majority,
    /// Every replica.
    All,
    /// A drawn, non-empty set of replicas.
    Random,
    /// One node, replica or coordinator, drawn.
    Any,
    /// These.
    Named(Vec<Node>),
}

const GROUPS: [(&str, Target); 6] = [
    ("one", Target::One),
    ("minority", Target::Minority),
    ("majority", Target::Majority),
    ("all", Target::All),
    ("random", Target::Random),
    ("any", Target::Any),
];

const ACCEPTED: &str = "one, minority, majority, all, random (replicas), any (any node), coord, srv-1 ..., \
    a link such as clients-coord or coord-srv-1, or a list of names";

impl Target {
    fn word(text: &str) -> Option<Self> {
        GROUPS.iter().find(|(word, _)| *word == text).map(|(_, target)| target.clone())
    }

    /// A node by its name, or by the link that leads to it.
    fn named(text: &str) -> Result<Node, String> {
        let node = text.parse::<Node>().or_else(|_| text.parse::<Link>().map(Link::server));
        node.map_err(|_| format!("`{text}` is no target; accepted: {ACCEPTED}"))
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Self::Named(nodes) = self {
            let names: Vec<String> = nodes.iter().map(Node::to_string).collect();
            return f.write_str(&names.join(", "));
        }
        let word = GROUPS.iter().find(|(_, target)| target == self).map_or("", |(word, _)| word);
        f.write_str(word)
    }
}

impl Serialize for Target {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Named(nodes) if nodes.len() != 1 => nodes.serialize(to),
            _ => to.collect_str(self),
        }
    }
}

struct TargetVisitor;

impl<'de> de::Visitor<'de> for TargetVisitor {
    type Value = Target;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a target ({ACCEPTED})")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Target, E> {
        match Target::word(text) {
            Some(target) => Ok(target),
            None => Target::named(text).map(|node| Target::Named(vec![node])).map_err(E::custom),
        }
    }

    fn visit_seq<A: de::SeqAccess<'de>>(self, mut list: A) -> Result<Target, A::Error> {
        let mut nodes = Vec::new();
        while let Some(text) = list.next_element::<String>()? {
            let node = Target::named(&text).map_err(de::Error::custom)?;
            if nodes.contains(&node) {
                return Err(de::Error::custom(format!("`{text}` is named twice")));
            }
            nodes.push(node);
        }
        if nodes.is_empty() {
            return Err(de::Error::custom(format!("an empty list hits nobody; accepted: {ACCEPTED}")));
        }
        Ok(Target::Named(nodes))
    }
}

impl<'de> Deserialize<'de> for Target {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(TargetVisitor)
    }
}

impl JsonSchema for Target {
    fn schema_name() -> Cow<'static, str> {
        "Target".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let name = "^(coord|(coord-)?srv-[1-9]|clients-coord)$";
        json_schema!({
            "description": "Whom a fault hits; groups are of replicas, a link stands for the node at its far end.",
            "anyOf": [
                { "enum": GROUPS.map(|(word, _)| word) },
                { "type": "string", "pattern": name },
                { "type": "array", "minItems": 1, "items": { "type": "string", "pattern": name } }
            ]
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_names_links_and_lists_are_targets() {
        let parse = |text| serde_json::from_str::<Target>(text).unwrap();
        assert_eq!(parse(r#""minority""#), Target::Minority);
        assert_eq!(parse(r#""coord-srv-2""#), Target::Named(vec![Node::Srv(2)]));
        assert_eq!(parse(r#"["coord","srv-1"]"#), Target::Named(vec![Node::Coord, Node::Srv(1)]));
    }

    #[test]
    fn what_hits_nobody_is_refused() {
        for text in [r#""minorty""#, "[]", r#"["srv-1","srv-1"]"#, "3"] {
            let error = serde_json::from_str::<Target>(text).unwrap_err().to_string();
            assert!(
                error.contains("accepted") || error.contains("twice") || error.contains("expected"),
                "{error}"
            );
        }
    }

    #[test]
    fn a_target_is_written_as_it_was_read() {
        for text in [r#""any""#, r#""srv-2""#, r#"["srv-1","srv-3"]"#] {
            let target: Target = serde_json::from_str(text).unwrap();
            assert_eq!(serde_json::to_string(&target).unwrap(), text);
        }
    }
}
