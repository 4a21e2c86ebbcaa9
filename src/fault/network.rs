//! What can be done to a link: the parameters of network faults, as plain data.
//!
//! Shared by the plan, which draws them, the proxy, which carries them out, and
//! whoever tells of them. Must not know of sockets or of the workload's notation.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Link, Node};

/// Which way bytes travel on a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Direction {
    /// Requests: from the side that connected to the server.
    ToServer,
    /// Replies: from the server back.
    ToClient,
}

impl Direction {
    /// Both, in the order of arrays indexed by direction.
    pub const BOTH: [Self; 2] = [Self::ToServer, Self::ToClient];

    /// The word of the wire record.
    pub fn name(self) -> &'static str {
        match self {
            Self::ToServer => "to-server",
            Self::ToClient => "to-client",
        }
    }

    /// The way back.
    pub fn opposite(self) -> Self {
        match self {
            Self::ToServer => Self::ToClient,
            Self::ToClient => Self::ToServer,
        }
    }
}

/// The directions of a link that a fault concerns.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Directions {
    /// Requests and replies.
    Both,
    /// Requests.
    ToServer,
    /// Replies.
    ToClient,
}

impl Directions {
    /// Each of them.
    pub fn each(self) -> &'static [Direction] {
        match self {
            Self::Both => &Direction::BOTH,
            Self::ToServer => &[Direction::ToServer],
            Self::ToClient => &[Direction::ToClient],
        }
    }
}

/// How delays spread around what was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Distribution {
    /// Evenly within `latency - jitter ..= latency + jitter`.
    #[default]
    Uniform,
    /// Mean `latency`, standard deviation `jitter`, never below 0.
    Normal,
    /// `latency` and an exponential addition of mean `jitter`.
    Exponential,
    /// `latency` and a heavy-tailed addition of mean `jitter` (Lomax, shape 3).
    Pareto,
}

/// Drawn delays of distributions without an end stop at `latency` and so many times `jitter`.
pub const TAIL: u32 = 10;

/// What is done to the bytes, closes and connections of a link.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(tag = "act", rename_all = "kebab-case")]
pub enum LinkFault {
    /// Everything arrives later.
    Delay {
        /// Of each chunk, in nanoseconds.
        latency_ns: u64,
        /// Its variation, in nanoseconds.
        jitter_ns: u64,
        /// How it varies.
        distribution: Distribution,
    },
    /// All connections of the link together carry no more than this.
    Bandwidth {
        /// At least 1.
        bytes_per_second: u64,
    },
    /// Chunks are written a few bytes at a time.
    Slice {
        /// At a time, at least 1.
        bytes: u64,
        /// Pause between two pieces, in nanoseconds.
        gap_ns: u64,
    },
    /// A black hole.
    Drop,
    /// Kept until healed.
    Hold,
    /// Connections are ended by a FIN that their far end did not send.
    Cut,
    /// Connections are reset.
    Reset,
    /// Each connection is cut once it has carried so many bytes.
    Truncate {
        /// At least 1.
        bytes: u64,
    },
    /// FIN and reset pass later, bytes at once.
    SlowClose {
        /// By so many nanoseconds.
        latency_ns: u64,
    },
    /// The kernel refuses new connections.
    Refuse {
        /// Whether open connections become black holes as well.
        drop_established: bool,
    },
    /// Messages are delivered a second time, on a connection of their own.
    Duplicate {
        /// How many of a million messages.
        per_million: u32,
    },
}

/// One link of a planned network fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Reach {
    /// Which.
    pub link: Link,
    /// Which way.
    pub direction: Directions,
    /// So long after the fault began the link is hit, in nanoseconds.
    #[serde(skip_serializing_if = "is_zero")]
    pub from_ns: u64,
    /// So long after the fault began it is healed already; absent: with the fault.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until_ns: Option<u64>,
}

fn is_zero(nanos: &u64) -> bool {
    *nanos == 0
}

/// A network fault as planned: what, on which links, in which rhythm.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct NetworkPlan {
    /// What is done.
    #[serde(flatten)]
    pub act: LinkFault,
    /// Where, in the order of links.
    pub links: Vec<Reach>,
    /// On for the first half of each period and off for the second, in nanoseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub flap_ns: Option<u64>,
}

impl NetworkPlan {
    /// What concerns the link to this node.
    pub fn reach(&self, node: Node) -> Option<&Reach> {
        self.links.iter().find(|reach| reach.link == Link::to(node))
    }

    /// Links and directions, as a history line tells them.
    pub fn places(&self) -> BTreeMap<Link, Directions> {
        self.links.iter().map(|reach| (reach.link, reach.direction)).collect()
    }
}
