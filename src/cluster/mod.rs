//! Real processes and the faultable links between them.
//!
//! One coordinator, some replicas, a proxy in front of each. Everything a node
//! starts is contained and ends with the harness. What happens is told to a
//! [`Watcher`]; the cluster records nothing and judges nothing.

pub mod capability;
pub mod clock;
pub mod containment;
pub mod disk;
pub mod heard;
pub mod launch;
pub mod listening;
pub mod node;
pub mod output;
mod procfs;
pub mod proxy;
pub mod wipe;

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use nix::sys::signal::Signal;
use regex::Regex;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::fault::{Family, Link, Node};
use crate::workload::{NodeLaunch, StopSignal, Workload};
use disk::Disk;
use launch::{Launch, Placeholders};
use node::{Life, NodeProcess, Setup, StartError, Watcher};
use proxy::Proxy;

/// Where a node keeps what it writes.
#[derive(Debug, Clone)]
pub struct NodePaths {
    /// Directory private to the node, absolute.
    pub dir: PathBuf,
    /// Its data file, absolute.
    pub data: PathBuf,
    /// The log of its output.
    pub log: PathBuf,
}

/// The nodes of one run and the proxies in front of them.
pub struct Cluster {
    nodes: BTreeMap<Node, Arc<NodeProcess>>,
}

/// What a cluster is made of.
pub struct Parts<'a> {
    /// Says how nodes are started and stopped.
    pub workload: &'a Workload,
    /// The command of replicas.
    pub srv: Launch,
    /// The command of the coordinator.
    pub coord: Launch,
    /// One proxy for every link.
    pub proxies: BTreeMap<Link, Arc<Proxy>>,
    /// Where each node writes.
    pub paths: &'a dyn Fn(Node) -> NodePaths,
    /// Who is told of starts and exits.
    pub watcher: Arc<dyn Watcher>,
}

impl Cluster {
    /// Builds the cluster; starts nothing.
    ///
    /// # Errors
    /// A pattern that is no regular expression, a link without its proxy, or a disk
    /// that cannot be mounted.
    pub fn new(parts: Parts<'_>) -> io::Result<Self> {
        let ports: Vec<u16> = (1..=parts.workload.cluster.replicas)
            .filter_map(|number| parts.proxies.get(&Link::CoordSrv(number)))
            .map(|proxy| proxy.port())
            .collect();
        let all = nodes_of(parts.workload);
        let build = |node| Ok((node, Arc::new(NodeProcess::new(parts.setup(node, &ports)?))));
        let cluster = Self { nodes: all.into_iter().map(build).collect::<io::Result<_>>()? };
        if let Some(durability) = parts.workload.disks() {
            for node in cluster.replicas() {
                node.insert_disk(Disk::mount(node.dir(), durability)?);
            }
        }
        Ok(cluster)
    }

    /// Writes what the disks of the nodes hold to the directories underneath. Call it
    /// when every node has been stopped.
    ///
    /// # Errors
    /// The first of them that could not be written; the others were.
    pub fn close_disks(&self) -> io::Result<()> {
        let closed = self.replicas().map(|node| {
            let told = |why| io::Error::other(format!("the disk of {} was not kept: {why}", node.node()));
            node.close_disk().map_err(told)
        });
        closed.fold(Ok(()), Result::and)
    }

    /// Successful fsyncs so far of each node that has a disk, to be waited on.
    pub fn syncs(&self) -> BTreeMap<Node, watch::Receiver<u64>> {
        let disks = self.replicas().filter_map(|node| Some((node.node(), node.with_disk(Disk::syncs)?)));
        disks.collect()
    }

    /// Starts the replicas side by side, then the coordinator.
    ///
    /// # Errors
    /// The first node that does not become ready.
    pub async fn start(&self) -> Result<(), StartError> {
        let mut starts = JoinSet::new();
        for node in self.replicas() {
            let node = node.clone();
            starts.spawn(async move { node.start().await });
        }
        while let Some(started) = starts.join_next().await {
            // A panic in a start is a defect; it surfaces as one where it is joined.
            started.unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()))?;
        }
        match self.node(Node::Coord) {
            Some(coord) => coord.start().await,
            None => Ok(()),
        }
    }

    /// Waits until every node listens where it said. Returns those that other machines
    /// reach too.
    ///
    /// # Errors
    /// The first node that told a port of another, or one where nothing listens.
    pub async fn wait_until_all_listen(&self) -> Result<Vec<Node>, StartError> {
        for node in self.nodes.values() {
            self.is_its_own_port(node)?;
        }
        let mut public = Vec::new();
        for node in self.nodes.values() {
            if node.wait_until_it_listens().await?.is_public() {
                public.push(node.node());
            }
        }
        Ok(public)
    }

    /// A node is told ports of proxies, and might print one of those.
    fn is_its_own_port(&self, node: &NodeProcess) -> Result<(), StartError> {
        let up = |node: &NodeProcess| (node.life() == Life::Up).then(|| node.told_port()).flatten();
        let Some(port) = up(node) else { return Ok(()) };
        let owner = self.nodes.values().find_map(|other| {
            if other.proxy().port() == port {
                return Some(format!("the port under which {} is reached through its proxy", other.node()));
            }
            let same = other.node() != node.node() && up(other) == Some(port);
            same.then(|| format!("the port that {} printed too", other.node()))
        });
        owner.map_or(Ok(()), |owner| Err(StartError::Foreign { node: node.node(), port, owner }))
    }

    fn replicas(&self) -> impl Iterator<Item = &Arc<NodeProcess>> {
        self.nodes.values().filter(|node| node.node() != Node::Coord)
    }

    /// A node by its name.
    pub fn node(&self, node: Node) -> Option<&Arc<NodeProcess>> {
        self.nodes.get(&node)
    }

    /// Every node and what it is doing.
    pub fn lives(&self) -> Vec<(Node, Life)> {
        self.nodes.values().map(|node| (node.node(), node.life())).collect()
    }
    /// Messages that each link has carried so far.
    pub fn messages(&self) -> BTreeMap<Link, u64> {
        self.nodes.values().map(|node| (Link::to(node.node()), node.proxy().messages())).collect()
    }

    /// Asks the coordinator to end; after `grace` it is made to. Returns it if it
    /// had to be killed.
    pub async fn stop_coord(&self, grace: Duration) -> Option<Node> {
        let gentle = self.node(Node::Coord)?.stop(grace).await;
        (!gentle).then_some(Node::Coord)
    }

    /// The same for all replicas, side by side.
    pub async fn stop_replicas(&self, grace: Duration) -> Vec<Node> {
        let mut stubborn = Vec::new();
        let mut stops = JoinSet::new();
        for node in self.replicas() {
            let node = node.clone();
            stops.spawn(async move { (node.node(), node.stop(grace).await) });
        }
        while let Some(stopped) = stops.join_next().await {
            stubborn.extend(stopped.ok().filter(|(_, gentle)| !gentle).map(|(node, _)| node));
        }
        stubborn
    }
}

/// The nodes that a workload asks for.
pub fn nodes_of(workload: &Workload) -> Vec<Node> {
    std::iter::once(Node::Coord).chain((1..=workload.cluster.replicas).map(Node::Srv)).collect()
}

impl Parts<'_> {
    fn setup(&self, node: Node, ports: &[u16]) -> io::Result<Setup> {
        let (says, launch) = match node {
            Node::Coord => (&self.workload.cluster.coord, &self.coord),
            Node::Srv(_) => (&self.workload.cluster.srv, &self.srv),
        };
        let proxy = self.proxies.get(&Link::to(node));
        let paths = (self.paths)(node);
        Ok(Setup {
            node,
            launch: launch.clone(),
            placeholders: Placeholders {
                data: paths.data,
                dir: paths.dir,
                name: node,
                ports: ports.to_vec(),
            },
            log: paths.log,
            ready: Regex::new(&says.ready).map_err(io::Error::other)?,
            start_ceiling: says.start_ceiling.0,
            stop_signal: signal(says),
            clocks: self.workload.families().contains(&Family::Clock),
            proxy: proxy.cloned().ok_or_else(|| io::Error::other(format!("{node} has no proxy")))?,
            watcher: self.watcher.clone(),
        })
    }
}

fn signal(launch: &NodeLaunch) -> Signal {
    match launch.stop_signal {
        StopSignal::Term => Signal::SIGTERM,
        StopSignal::Int => Signal::SIGINT,
        StopSignal::Quit => Signal::SIGQUIT,
        StopSignal::Hup => Signal::SIGHUP,
    }
}
