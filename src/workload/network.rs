//! Network faults as a workload asks for them: what they take, and what it must be.
//!
//! The fields stand flat in [`FaultRule`]; here is what they mean together. What a
//! draw makes of them is the plan's business.

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::validate::{Rule, refuse, within};
use super::{FaultRule, Span, Target, Workload};
use crate::fault::network::{Directions, Distribution, LinkFault, TAIL};
use crate::fault::{FaultKind, Link, Node};

/// Pause between two pieces unless told otherwise: long enough that a receiver who
/// reads at once sees them apart.
const GAP: Span = Span(Duration::from_millis(2));
/// The shortest flapping: half of it is a few turns of the proxies' event loop.
const FLAP: Span = Span(Duration::from_millis(20));

/// Which way a network fault works.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Way {
    /// Requests and replies.
    Both,
    /// Requests only.
    ToServer,
    /// Replies only.
    ToClient,
    /// One of the two, drawn each time.
    OneWay,
}

impl Way {
    /// The directions, or `None` if they are drawn.
    pub fn directions(self) -> Option<Directions> {
        match self {
            Self::Both => Some(Directions::Both),
            Self::ToServer => Some(Directions::ToServer),
            Self::ToClient => Some(Directions::ToClient),
            Self::OneWay => None,
        }
    }
}

/// What a partition does to the links that it cuts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum How {
    /// Everything is lost, nobody is told.
    #[default]
    Drop,
    /// Everything waits until the partition ends.
    Hold,
    /// New connections are refused, on open ones everything is lost.
    Refuse,
}

/// Who stands in a group of a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Party {
    /// All clients.
    Clients,
    /// A node.
    Node(Node),
}

impl fmt::Display for Party {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Clients => f.write_str("clients"),
            Self::Node(node) => node.fmt(f),
        }
    }
}

impl Serialize for Party {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Party {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        if text == "clients" {
            return Ok(Self::Clients);
        }
        let wrong = || format!("`{text}` stands in no group; accepted: clients, coord, srv-1 ...");
        text.parse().map(Self::Node).map_err(|_| serde::de::Error::custom(wrong()))
    }
}

impl JsonSchema for Party {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Party".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "string", "pattern": "^(clients|coord|srv-[1-9])$" })
    }
}

/// The fields of a rule that this kind takes, beside those of every rule.
pub(super) fn fields(kind: FaultKind) -> &'static [&'static str] {
    match kind {
        FaultKind::Delay => &["target", "direction", "flap", "latency", "jitter", "distribution"],
        FaultKind::Bandwidth => &["target", "direction", "flap", "bytes_per_second"],
        FaultKind::Slice => &["target", "direction", "flap", "bytes", "gap"],
        FaultKind::Drop | FaultKind::Hold | FaultKind::Cut | FaultKind::Reset => {
            &["target", "direction", "flap"]
        }
        FaultKind::Truncate => &["target", "direction", "flap", "bytes"],
        FaultKind::SlowClose => &["target", "direction", "flap", "latency"],
        FaultKind::Refuse => &["target", "flap"],
        FaultKind::Duplicate => &["target", "flap", "probability"],
        FaultKind::Partition => &["target", "direction", "flap", "groups", "how"],
        FaultKind::Clog => &["target", "direction"],
        // Another family's: its own file says.
        _ => &["target"],
    }
}

/// Whether the fields that a network fault takes are there and make sense.
pub(super) fn validate(workload: &Workload, rule: &FaultRule, field: &str) -> Rule {
    flap(rule, field)?;
    match rule.fault {
        FaultKind::Delay => latency(rule, field),
        FaultKind::SlowClose => {
            let latency = needed(rule.latency, rule, field, "latency", "\"50ms\"")?;
            within(&format!("{field}.latency"), latency, Span(Duration::from_millis(1)), Span::seconds(600))
        }
        FaultKind::Bandwidth => {
            let rate = needed(rule.bytes_per_second, rule, field, "bytes_per_second", "1000")?;
            within(&format!("{field}.bytes_per_second"), rate, 1, 1_000_000_000_000)
        }
        FaultKind::Slice => {
            let bytes = needed(rule.bytes, rule, field, "bytes", "1")?;
            within(&format!("{field}.bytes"), bytes, 1, 65_536)?;
            within(&format!("{field}.gap"), rule.gap.unwrap_or(GAP), Span(Duration::ZERO), Span::seconds(10))
        }
        FaultKind::Truncate => {
            let bytes = needed(rule.bytes, rule, field, "bytes", "5")?;
            within(&format!("{field}.bytes"), bytes, 1, 1 << 40)
        }
        FaultKind::Duplicate => duplicate(rule, field),
        FaultKind::Partition => partition(workload, rule, field),
        _ => Ok(()),
    }
}

fn needed<T>(
    value: Option<T>,
    rule: &FaultRule,
    field: &str,
    name: &str,
    such_as: &str,
) -> Result<T, super::validate::Found> {
    let message = || format!("a `{}` needs `{name}`, such as {such_as}", rule.fault);
    value.ok_or_else(|| super::validate::Found { field: field.into(), message: message() })
}

fn flap(rule: &FaultRule, field: &str) -> Rule {
    let Some(period) = rule.flap else { return Ok(()) };
    if period > rule.lasts {
        let message = format!("found {period}, but the fault lasts {}; accepted: at most that", rule.lasts);
        return refuse(format!("{field}.flap"), message);
    }
    within(&format!("{field}.flap"), period, FLAP, Span::seconds(3600))
}

fn latency(rule: &FaultRule, field: &str) -> Rule {
    let latency = needed(rule.latency, rule, field, "latency", "\"50ms\"")?;
    let least = Span(Duration::from_micros(1));
    within(&format!("{field}.latency"), latency, least, Span::seconds(600))?;
    // An even spread reaches as far down as up.
    let even = rule.distribution.unwrap_or_default() == Distribution::Uniform;
    let most = if even { latency } else { Span::seconds(60) };
    within(
        &format!("{field}.jitter"),
        rule.jitter.unwrap_or(Span(Duration::ZERO)),
        Span(Duration::ZERO),
        most,
    )
}

fn duplicate(rule: &FaultRule, field: &str) -> Rule {
    let probability = rule.probability.unwrap_or(1.0);
    if !(probability > 0.0 && probability <= 1.0) {
        let message = format!("found {probability}; accepted: above 0, at most 1");
        return refuse(format!("{field}.probability"), message);
    }
    match &rule.target {
        Some(Target::Any) => to_coord(field),
        Some(Target::Named(nodes)) if nodes.contains(&Node::Coord) => to_coord(field),
        _ => Ok(()),
    }
}

/// A client's request that is sent twice is two requests: no protocol of one
/// request per connection can tell.
fn to_coord(field: &str) -> Rule {
    let message = "a `duplicate` repeats messages to replicas, where a protocol can recognise them; accepted: \
         replicas, such as `one` or `srv-1`";
    refuse(format!("{field}.target"), message)
}

fn partition(workload: &Workload, rule: &FaultRule, field: &str) -> Rule {
    if rule.how == Some(How::Refuse) && rule.direction.is_some() {
        let message = "a refused connection carries nothing either way; take `direction` or `how` away";
        return refuse(format!("{field}.direction"), message);
    }
    match (&rule.target, &rule.groups) {
        (None, None) | (Some(_), Some(_)) => refuse(
            field,
            "a `partition` needs `target` (these replicas from the coordinator) or `groups`, one of the two",
        ),
        (None, Some(groups)) => grouped(workload, groups, &format!("{field}.groups")),
        (Some(Target::Any), None) => ambiguous(field),
        (Some(Target::Named(nodes)), None) if nodes.contains(&Node::Coord) => ambiguous(field),
        (Some(_), None) => Ok(()),
    }
}

/// The coordinator has links on two sides.
fn ambiguous(field: &str) -> Rule {
    let message = "coord has links to clients and to replicas; accepted: replicas, or say with `groups` who \
         is parted from whom, such as [[\"clients\"], [\"coord\"]]";
    refuse(format!("{field}.target"), message)
}

fn grouped(workload: &Workload, groups: &[Vec<Party>], field: &str) -> Rule {
    let replicas = workload.cluster.replicas;
    let mut seen = BTreeSet::new();
    for (number, group) in groups.iter().enumerate() {
        let field = format!("{field}[{number}]");
        for party in group {
            if matches!(party, Party::Node(Node::Srv(number)) if *number > replicas) {
                let message = format!("found {party}, but the cluster has {replicas} replicas");
                return refuse(
                    field,
                    format!("{message}; accepted: clients, coord, srv-1 to srv-{replicas}"),
                );
            }
            if !seen.insert(*party) {
                return refuse(field, format!("`{party}` is named twice"));
            }
        }
    }
    if cut_links(groups, replicas).is_empty() {
        let message = "no link is between these groups, so nothing would be cut; links are clients-coord and \
             coord-srv-1, coord-srv-2 ...";
        return refuse(field, message);
    }
    Ok(())
}

/// The links between members of different groups; whoever stands in no group keeps
/// all its links.
pub fn cut_links(groups: &[Vec<Party>], replicas: u16) -> Vec<Link> {
    let group = |party: Party| groups.iter().position(|group| group.contains(&party));
    let apart = |one: Party, other: Party| match (group(one), group(other)) {
        (Some(one), Some(other)) => one != other,
        _ => false,
    };
    let coord = Party::Node(Node::Coord);
    let clients = apart(Party::Clients, coord).then_some(Link::ClientsCoord);
    let cut = |number: &u16| apart(coord, Party::Node(Node::Srv(*number)));
    clients.into_iter().chain((1..=replicas).filter(cut).map(Link::CoordSrv)).collect()
}

impl FaultRule {
    /// What is done to each link; `None` for faults of other families. Of a valid
    /// rule nothing is missing.
    pub fn link_fault(&self) -> Option<LinkFault> {
        let nanos = |span: Option<Span>| span.map_or(0, Span::nanos);
        Some(match self.fault {
            FaultKind::Delay => LinkFault::Delay {
                latency_ns: nanos(self.latency),
                jitter_ns: nanos(self.jitter),
                distribution: self.distribution.unwrap_or_default(),
            },
            FaultKind::Bandwidth => {
                LinkFault::Bandwidth { bytes_per_second: self.bytes_per_second.unwrap_or(1) }
            }
            FaultKind::Slice => {
                LinkFault::Slice { bytes: self.bytes.unwrap_or(1), gap_ns: self.gap.unwrap_or(GAP).nanos() }
            }
            FaultKind::Drop => LinkFault::Drop,
            FaultKind::Hold | FaultKind::Clog => LinkFault::Hold,
            FaultKind::Cut => LinkFault::Cut,
            FaultKind::Reset => LinkFault::Reset,
            FaultKind::Truncate => LinkFault::Truncate { bytes: self.bytes.unwrap_or(1) },
            FaultKind::SlowClose => LinkFault::SlowClose { latency_ns: nanos(self.latency) },
            FaultKind::Refuse => LinkFault::Refuse { drop_established: false },
            FaultKind::Duplicate => {
                LinkFault::Duplicate { per_million: (self.probability.unwrap_or(1.0) * 1e6).ceil() as u32 }
            }
            FaultKind::Partition => match self.how.unwrap_or_default() {
                How::Drop => LinkFault::Drop,
                How::Hold => LinkFault::Hold,
                How::Refuse => LinkFault::Refuse { drop_established: true },
            },
            _ => return None,
        })
    }

    /// The longest delay that a `delay` can draw.
    pub fn longest_delay(&self) -> Option<Duration> {
        let tail = if self.distribution.unwrap_or_default() == Distribution::Uniform { 1 } else { TAIL };
        let jitter = self.jitter.map_or(Duration::ZERO, |span| span.0.saturating_mul(tail));
        self.latency.map(|latency| latency.0.saturating_add(jitter))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workload::parse;

    #[track_caller]
    fn refused(rule: &str, expected: &[&str]) {
        let text =
            format!("{{\"name\":\"x\",\"duration\":\"9s\",\n\"nemesis\":[{{{rule},\"every\":\"1s\"}}]}}");
        let error = parse("w.json", &text).expect_err("should be refused").to_string();
        for part in ["w.json:2"].iter().chain(expected) {
            assert!(error.contains(part), "`{part}` is not in:\n{error}");
        }
    }

    #[test]
    fn what_no_network_can_do_is_refused_with_file_line_and_field() {
        refused(
            r#""fault":"bandwidth","target":"one","bytes_per_second":0"#,
            &["nemesis[0].bytes_per_second", "found 0", "1 to"],
        );
        refused(
            r#""fault":"duplicate","target":"one","probability":3"#,
            &["nemesis[0].probability", "found 3", "at most 1"],
        );
        refused(
            r#""fault":"drop","target":"one","direction":"to-servr""#,
            &["nemesis[0].direction", "to-servr", "`to-server`"],
        );
        refused(r#""fault":"drop","target":"coord-srv-7""#, &["nemesis[0].target", "srv-7", "3 replicas"]);
        refused(r#""fault":"drop","target":"srv-coord-1""#, &["nemesis[0].target", "no target"]);
        refused(
            r#""fault":"delay","target":"one","latency":"5ms","jitter":"6ms""#,
            &["nemesis[0].jitter", "found 6ms"],
        );
        refused(
            r#""fault":"slice","target":"one","bytes":1,"flap":"2s""#,
            &["nemesis[0].flap", "the fault lasts 1s"],
        );
        refused(
            r#""fault":"duplicate","target":"clients-coord""#,
            &["nemesis[0].target", "accepted: replicas"],
        );
    }

    #[test]
    fn a_field_that_a_fault_does_not_take_is_refused_and_one_that_it_needs_is_asked_for() {
        refused(
            r#""fault":"drop","target":"one","latency":"5ms""#,
            &["nemesis[0].latency", "no meaning for `drop`", "direction"],
        );
        refused(r#""fault":"kill","target":"one","direction":"both""#, &["nemesis[0].direction", "`kill`"]);
        refused(r#""fault":"refuse","target":"one","direction":"both""#, &["nemesis[0].direction"]);
        refused(r#""fault":"truncate","target":"one""#, &["`nemesis[0]`", "needs `bytes`"]);
        refused(r#""fault":"drop""#, &["`nemesis[0]`", "needs `target`"]);
    }

    #[test]
    fn a_partition_that_cuts_no_link_is_refused() {
        let parted = |groups: &str, expected: &[&str]| {
            refused(&format!(r#""fault":"partition","groups":{groups}"#), expected);
        };
        parted(r#"[["srv-1"],["srv-2","srv-3"]]"#, &["nemesis[0].groups", "no link is between"]);
        parted(r#"[["clients","coord","srv-1"]]"#, &["no link is between"]);
        parted(r#"[["clients"],["srv-9"]]"#, &["nemesis[0].groups[1]", "srv-9"]);
        parted(r#"[["clients"],["clients","coord"]]"#, &["named twice"]);
        parted(r#"[["client"],["coord"]]"#, &["`client` stands in no group"]);
        refused(r#""fault":"partition","target":"coord""#, &["nemesis[0].target", "groups"]);
        refused(r#""fault":"partition""#, &["nemesis[0]", "`target`", "`groups`"]);
        let both = r#""fault":"partition","target":"one","how":"refuse","direction":"to-server""#;
        refused(both, &["nemesis[0].direction", "`how`"]);
    }

    #[test]
    fn the_links_between_groups_are_cut_and_no_others() {
        let cut = |text: &str| {
            let links = cut_links(&serde_json::from_str::<Vec<Vec<Party>>>(text).unwrap(), 3);
            links.iter().map(Link::to_string).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(cut(r#"[["clients","coord","srv-1"],["srv-2","srv-3"]]"#), "coord-srv-2 coord-srv-3");
        assert_eq!(cut(r#"[["clients"],["coord"]]"#), "clients-coord");
        assert_eq!(cut(r#"[["clients","srv-1"],["coord"]]"#), "clients-coord coord-srv-1");
    }
}
