//! What can be broken, and where: nodes, links, faults.
//!
//! Closed enums, so that no misspelt fault silently does nothing. Plain data:
//! must not know how a fault is carried out (`nemesis`) or when (`plan`).

pub mod clock;
pub mod disk;
pub mod network;
pub mod process;

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A process of the system under test, by its role.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Node {
    /// The coordinator, `coord`.
    Coord,
    /// A replica, `srv-1` and up.
    Srv(u16),
}

impl fmt::Display for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Coord => f.pad("coord"),
            Self::Srv(number) => f.pad(&format!("srv-{number}")),
        }
    }
}

impl FromStr for Node {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "coord" {
            return Ok(Self::Coord);
        }
        match text.strip_prefix("srv-").map(str::parse::<u16>) {
            Some(Ok(number)) if number > 0 && text == format!("srv-{number}") => Ok(Self::Srv(number)),
            _ => Err(format!("`{text}` is no node; accepted: coord, srv-1, srv-2, ...")),
        }
    }
}

/// A connection path between two roles; each has a proxy of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Link {
    /// From the clients to the coordinator.
    ClientsCoord,
    /// From the coordinator to replica n.
    CoordSrv(u16),
}

impl Link {
    /// The node that listens at the far end.
    pub fn server(self) -> Node {
        match self {
            Self::ClientsCoord => Node::Coord,
            Self::CoordSrv(number) => Node::Srv(number),
        }
    }

    /// The link whose far end is `node`.
    pub fn to(node: Node) -> Self {
        match node {
            Node::Coord => Self::ClientsCoord,
            Node::Srv(number) => Self::CoordSrv(number),
        }
    }
}

impl fmt::Display for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ClientsCoord => f.pad("clients-coord"),
            Self::CoordSrv(number) => f.pad(&format!("coord-srv-{number}")),
        }
    }
}

impl FromStr for Link {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "clients-coord" {
            return Ok(Self::ClientsCoord);
        }
        match text.strip_prefix("coord-").map(str::parse::<Node>) {
            Some(Ok(Node::Srv(number))) => Ok(Self::CoordSrv(number)),
            _ => Err(format!("`{text}` is no link; accepted: clients-coord, coord-srv-1, coord-srv-2, ...")),
        }
    }
}

macro_rules! serde_as_text {
    ($($name:ty),*) => {$(
        impl Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                to.collect_str(self)
            }
        }
        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                String::deserialize(from)?.parse().map_err(serde::de::Error::custom)
            }
        }
    )*};
}
serde_as_text!(Node, Link);

/// The kinds of fault that the nemesis knows.
///
/// In the history a fault's lines carry its [`name`](FaultKind::name) as `f`.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Default,
    Serialize,
    Deserialize,
    schemars::JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum FaultKind {
    /// SIGKILL to every process of the node, a restart when the fault ends.
    #[default]
    Kill,
    /// The stop signal, time to end in order, a restart when the fault ends.
    Terminate,
    /// SIGKILL again and again, each time the node is ready.
    CrashLoop,
    /// SIGKILL, and everything that the replica ever wrote is gone when it starts again.
    Wipe,
    /// SIGSTOP to every process of the node, SIGCONT when the fault ends.
    Pause,
    /// Every chunk on the link arrives later.
    Delay,
    /// The link carries no more than so many bytes a second.
    Bandwidth,
    /// Chunks arrive a few bytes at a time.
    Slice,
    /// A black hole: bytes are lost, and nobody is told.
    Drop,
    /// Bytes and connections wait until the fault is healed.
    Hold,
    /// Connections are ended by a FIN.
    Cut,
    /// Connections are reset.
    Reset,
    /// Each connection is cut after so many bytes.
    Truncate,
    /// Closes arrive later than the bytes before them.
    SlowClose,
    /// The kernel refuses new connections.
    Refuse,
    /// Messages to a replica arrive twice.
    Duplicate,
    /// Groups of nodes cannot reach each other.
    Partition,
    /// Links are held one by one and released one by one, in drawn orders.
    Clog,
    /// The node's clock jumps, ahead or back.
    ClockJump,
    /// The node's clock runs faster or slower.
    ClockRate,
    /// The node's clock jumps to and fro.
    ClockStrobe,
    /// The node's processes are killed, and what its disk had not synced is lost.
    PowerFailure,
    /// Requests to the disk end with EIO.
    DiskErrors,
    /// The disk is full after so many bytes more.
    DiskFull,
    /// Writes and fsyncs take longer.
    DiskSlow,
    /// Whatever changes anything on the disk is refused.
    DiskReadOnly,
    /// Bits of a file of the stopped node are inverted.
    BitFlip,
    /// A file of the stopped node loses its end.
    TruncateFile,
    /// The node finds its files as they once were.
    OldCopy,
}

/// What a fault was seen to do, by count; names end with their unit where it is
/// not a plain number. Of several places a `_us` is the greatest, others are sums.
pub type Observed = BTreeMap<&'static str, u64>;

/// What a kind of fault gets at. Faults of one family never meet at one place.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Family {
    /// The processes of a node.
    Process,
    /// A direction of a link.
    Network,
    /// The clock of a node's processes.
    Clock,
    /// The disk of a node.
    Disk,
}

impl Family {
    /// Every family, in the order of reports.
    pub const ALL: [Self; 4] = [Self::Process, Self::Network, Self::Clock, Self::Disk];

    /// The word of `doctor`, of verdict lines and of `run.json`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Process => "process",
            Self::Network => "network",
            Self::Clock => "clock",
            Self::Disk => "disk",
        }
    }
}

impl fmt::Display for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FaultKind {
    /// Every kind, in the order of reports.
    pub const ALL: [Self; 29] = [
        Self::Kill,
        Self::Terminate,
        Self::CrashLoop,
        Self::Wipe,
        Self::Pause,
        Self::Delay,
        Self::Bandwidth,
        Self::Slice,
        Self::Drop,
        Self::Hold,
        Self::Cut,
        Self::Reset,
        Self::Truncate,
        Self::SlowClose,
        Self::Refuse,
        Self::Duplicate,
        Self::Partition,
        Self::Clog,
        Self::ClockJump,
        Self::ClockRate,
        Self::ClockStrobe,
        Self::PowerFailure,
        Self::DiskErrors,
        Self::DiskFull,
        Self::DiskSlow,
        Self::DiskReadOnly,
        Self::BitFlip,
        Self::TruncateFile,
        Self::OldCopy,
    ];

    /// The word of the workload file, of the history and of reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Kill => "kill",
            Self::Terminate => "terminate",
            Self::CrashLoop => "crash-loop",
            Self::Wipe => "wipe",
            Self::Pause => "pause",
            Self::Delay => "delay",
            Self::Bandwidth => "bandwidth",
            Self::Slice => "slice",
            Self::Drop => "drop",
            Self::Hold => "hold",
            Self::Cut => "cut",
            Self::Reset => "reset",
            Self::Truncate => "truncate",
            Self::SlowClose => "slow-close",
            Self::Refuse => "refuse",
            Self::Duplicate => "duplicate",
            Self::Partition => "partition",
            Self::Clog => "clog",
            Self::ClockJump => "clock-jump",
            Self::ClockRate => "clock-rate",
            Self::ClockStrobe => "clock-strobe",
            Self::PowerFailure => "power-failure",
            Self::DiskErrors => "disk-errors",
            Self::DiskFull => "disk-full",
            Self::DiskSlow => "disk-slow",
            Self::DiskReadOnly => "disk-read-only",
            Self::BitFlip => "bit-flip",
            Self::TruncateFile => "truncate-file",
            Self::OldCopy => "old-copy",
        }
    }

    /// Back from [`name`](FaultKind::name).
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    /// What it gets at.
    pub fn family(self) -> Family {
        match self {
            Self::Kill | Self::Terminate | Self::CrashLoop | Self::Wipe | Self::Pause => Family::Process,
            Self::Delay
            | Self::Bandwidth
            | Self::Slice
            | Self::Drop
            | Self::Hold
            | Self::Cut
            | Self::Reset
            | Self::Truncate
            | Self::SlowClose
            | Self::Refuse
            | Self::Duplicate
            | Self::Partition
            | Self::Clog => Family::Network,
            Self::ClockJump | Self::ClockRate | Self::ClockStrobe => Family::Clock,
            Self::PowerFailure
            | Self::DiskErrors
            | Self::DiskFull
            | Self::DiskSlow
            | Self::DiskReadOnly
            | Self::BitFlip
            | Self::TruncateFile
            | Self::OldCopy => Family::Disk,
        }
    }

    /// Whether the fault ends the node's processes.
    pub fn ends_process(self) -> bool {
        matches!(self, Self::Kill | Self::Terminate | Self::CrashLoop | Self::Wipe)
    }

    /// Whether the fault damages what a replica had synced. No replicated system
    /// survives that on a majority: the nemesis keeps a budget of it.
    pub fn damages_synced(self) -> bool {
        matches!(self, Self::Wipe | Self::BitFlip | Self::TruncateFile | Self::OldCopy)
    }

    /// Whether the replica itself cannot notice the damage: all its files are sound, and old.
    /// Then it takes part as before, and only others that hold what it lost make up for it.
    pub fn goes_unnoticed(self) -> bool {
        self == Self::OldCopy
    }

    /// Whether the fault stops the node itself from working, rather than a link.
    pub fn hits_process(self) -> bool {
        self.family() == Family::Process
    }
}

impl fmt::Display for FaultKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_nodes_and_links_survive_the_round_trip() {
        for node in [Node::Coord, Node::Srv(1), Node::Srv(12)] {
            assert_eq!(node.to_string().parse(), Ok(node));
            assert_eq!(Link::to(node).to_string().parse(), Ok(Link::to(node)));
        }
    }

    #[test]
    fn what_is_no_node_is_refused() {
        for text in ["srv-0", "srv-01", "srv", "srv-+1", "Coord", "srv-99999999"] {
            assert!(text.parse::<Node>().is_err(), "{text}");
        }
    }

    #[test]
    fn every_fault_has_a_name_that_finds_it_again() {
        for kind in FaultKind::ALL {
            assert_eq!(FaultKind::from_name(kind.name()), Some(kind));
        }
    }
}
