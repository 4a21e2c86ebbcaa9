//! One line of `history.jsonl` as the recorder writes it.
//!
//! The fields are Jepsen's op maps in JSON. The format is a contract: users
//! grep it, other tools read it. Knows nothing of files or of who calls it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Phase, Place};
use crate::fault::network::Directions;
use crate::fault::{Link, Node, Observed};
use crate::op::Transfer;

/// Who wrote a line: a client by its number, or a part of the harness.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Writer {
    /// A client's logical thread.
    Client(u64),
    /// The harness.
    Harness(Part),
}

/// The parts of the harness that write lines of their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Part {
    /// A fault begins or ends.
    Nemesis,
    /// Something proved an indeterminate operation harmless.
    Evidence,
    /// A node started, became ready or ended; a phase began.
    Cluster,
    /// A client sends what is no request; no model applies it.
    Bad,
}

/// The `type` field.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// An operation begins.
    Invoke,
    /// It happened.
    Ok,
    /// It did not and will not happen.
    Fail,
    /// Nobody knows; every line of the harness has this type too.
    Info,
}

/// A whole line. Fields that are `None` are left out.
#[derive(Debug, Clone, Serialize)]
pub struct Line<'a> {
    /// Number of the line within the file, from 0.
    pub index: u64,
    /// Nanoseconds since the run began.
    pub time: u64,
    /// Who wrote it.
    pub process: Writer,
    /// What kind of line it is.
    #[serde(rename = "type")]
    pub kind: Kind,
    /// The operation's, fault's or event's name.
    pub f: &'a str,
    /// What it is about.
    pub value: Value<'a>,
    /// Why it did not end well.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<&'a str>,
    /// Present on the lines of faults.
    #[serde(flatten)]
    pub fault: Option<FaultFields<'a>>,
    /// Present on the line of a node's end: whether the harness had asked for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub asked: Option<bool>,
}

/// The `value` field.
#[derive(Debug, Clone, Serialize)]
#[serde(untagged)]
pub enum Value<'a> {
    /// A transfer, with its balances once they are known.
    Transfer(&'a Transfer),
    /// Nodes that a fault or an event concerns.
    Nodes(&'a [Node]),
    /// A phase of the run.
    Phase(Phase),
    /// The operation that an evidence line closes.
    Closes(Closes),
    /// Bytes of a bad request, printable.
    Text(&'a str),
}

/// The value of an evidence line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Closes {
    /// Index of the invocation line.
    pub invoke: u64,
}

/// What the lines of faults carry beside the common fields.
#[derive(Debug, Clone, Serialize)]
pub struct FaultFields<'a> {
    /// Number of the fault within the run: joins its two lines.
    pub fault: u64,
    /// Which of the two lines it is.
    pub edge: Edge,
    /// On the end line: whether the fault was seen to take hold.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub held: Option<bool>,
    /// Of a fault of links: which, and which way.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub links: &'a BTreeMap<Link, Directions>,
    /// On the end line: what the fault was seen to do, by count.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub observed: &'a Observed,
    /// Where in the run, told by counts.
    pub place: &'a Place,
}

/// Begin or end of a fault, or an action that was left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Edge {
    /// Just before the fault is applied.
    Begin,
    /// Just after it is healed.
    End,
    /// It was due and not applicable; the line's `error` says why.
    Skipped,
}

/// Names of operations and events (`f`).
pub mod f {
    /// A bank transfer.
    pub const TRANSFER: &str = "transfer";
    /// A read of balances.
    pub const READ: &str = "read";
    /// Bytes that are no request.
    pub const BAD: &str = "bad";
    /// Evidence: the request never reached its server.
    pub const NEVER_DELIVERED: &str = "never-delivered";
    /// Cluster: a phase began.
    pub const PHASE: &str = "phase";
    /// Cluster: a process was started.
    pub const START: &str = "start";
    /// Cluster: a node printed its port.
    pub const READY: &str = "ready";
    /// Cluster: a process ended.
    pub const EXIT: &str = "exit";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_transfer_line_looks_as_the_format_says() {
        let transfer = Transfer { balances: Some([95, 105]), ..Transfer::request("a", "b", 5) };
        let line = Line {
            index: 1,
            time: 1_950_012,
            process: Writer::Client(3),
            kind: Kind::Ok,
            f: f::TRANSFER,
            value: Value::Transfer(&transfer),
            error: None,
            fault: None,
            asked: None,
        };
        assert_eq!(
            serde_json::to_string(&line).unwrap(),
            r#"{"index":1,"time":1950012,"process":3,"type":"ok","f":"transfer","value":{"from":"a","to":"b","amount":5,"balances":[95,105]}}"#
        );
    }

    #[test]
    fn a_fault_line_carries_its_logical_place() {
        let place = Place { acknowledged: 7, ..Place::default() };
        let line = Line {
            index: 4,
            time: 2_400_000,
            process: Writer::Harness(Part::Nemesis),
            kind: Kind::Info,
            f: "kill",
            value: Value::Nodes(&[Node::Srv(2)]),
            error: None,
            fault: Some(FaultFields {
                fault: 0,
                edge: Edge::Begin,
                held: None,
                links: &BTreeMap::new(),
                observed: &BTreeMap::new(),
                place: &place,
            }),
            asked: None,
        };
        assert_eq!(
            serde_json::to_string(&line).unwrap(),
            r#"{"index":4,"time":2400000,"process":"nemesis","type":"info","f":"kill","value":["srv-2"],"fault":0,"edge":"begin","place":{"acknowledged":7}}"#
        );
    }
}
