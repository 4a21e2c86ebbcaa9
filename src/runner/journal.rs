//! Writes into the history what cluster and nemesis tell, and keeps in mind what
//! is going on for whoever watches.
//!
//! The one place where their words meet the recorder's.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, OnceLock};

use tokio::sync::watch;

use super::RunWatcher;
use crate::cluster::node::Watcher;
use crate::cluster::proxy::Proxy;
use crate::fault::network::NetworkPlan;
use crate::fault::{FaultKind, Link, Node, Observed};
use crate::history::Phase;
use crate::nemesis::{Effect, Journal};
use crate::plan::PlannedFault;
use crate::recorder::{FaultLine, Recorder};
use crate::sync::lock;

/// The diary of a run.
pub(super) struct Diary {
    pub recorder: Recorder,
    proxies: BTreeMap<Link, Arc<Proxy>>,
    syncs: OnceLock<BTreeMap<Node, watch::Receiver<u64>>>,
    watcher: Arc<dyn RunWatcher>,
    phase: Mutex<Phase>,
    active: Mutex<BTreeMap<u64, (FaultKind, Vec<Node>)>>,
    /// Turns to the node that ended though nobody asked.
    unasked: watch::Sender<Option<Node>>,
}

impl Diary {
    pub(super) fn new(
        recorder: Recorder,
        proxies: BTreeMap<Link, Arc<Proxy>>,
        watcher: Arc<dyn RunWatcher>,
    ) -> Self {
        Self {
            recorder,
            proxies,
            syncs: OnceLock::new(),
            watcher,
            phase: Mutex::new(Phase::Setup),
            active: Mutex::default(),
            unasked: watch::Sender::new(None),
        }
    }

    /// From now on places tell these counts of fsyncs.
    pub(super) fn count_syncs(&self, syncs: BTreeMap<Node, watch::Receiver<u64>>) {
        let _ = self.syncs.set(syncs);
    }

    /// The run enters a phase.
    pub(super) fn enter(&self, phase: Phase) {
        self.enter_because(phase, None);
    }

    /// The run enters a phase before its time.
    pub(super) fn enter_because(&self, phase: Phase, why: Option<&str>) {
        *lock(&self.phase) = phase;
        self.recorder.phase(phase, why);
    }

    pub(super) fn phase(&self) -> Phase {
        *lock(&self.phase)
    }

    pub(super) fn active(&self) -> Vec<(FaultKind, Vec<Node>)> {
        lock(&self.active).values().cloned().collect()
    }

    pub(super) fn unasked_exit(&self) -> watch::Receiver<Option<Node>> {
        self.unasked.subscribe()
    }

    /// Whether a fault that is on now allows the node to end.
    fn excuses(&self, node: Node) -> bool {
        let active = lock(&self.active);
        active.values().any(|(kind, nodes)| kind.excuses_exit() && nodes.contains(&node))
    }

    fn line<'a>(&self, fault: &PlannedFault, nodes: &'a [Node]) -> FaultLine<'a> {
        let messages = self.proxies.iter().map(|(link, proxy)| (*link, proxy.messages())).collect();
        let links = fault.network().map(NetworkPlan::places).unwrap_or_default();
        let syncs = self.syncs.get().into_iter().flatten();
        let syncs = syncs.map(|(node, count)| (*node, *count.borrow())).collect();
        let observed = Observed::new();
        FaultLine { id: fault.id, kind: fault.fault, nodes, messages, syncs, links, observed }
    }
}

fn names(nodes: &[Node]) -> String {
    let names: Vec<String> = nodes.iter().map(ToString::to_string).collect();
    names.join(", ")
}

impl Journal for Diary {
    fn begin(&self, fault: &PlannedFault, nodes: &[Node]) {
        lock(&self.active).insert(fault.id, (fault.fault, nodes.to_vec()));
        self.recorder.fault_begin(self.line(fault, nodes));
        self.watcher.note(&format!("{} {} begins", fault.fault, names(nodes)));
    }

    fn end(&self, fault: &PlannedFault, nodes: &[Node], effect: &Effect) {
        let (held, error) = (effect.held, effect.error.as_deref());
        let line = FaultLine { observed: effect.observed.clone(), ..self.line(fault, nodes) };
        self.recorder.fault_end(line, held, error);
        lock(&self.active).remove(&fault.id);
        let after = match (error, held) {
            (Some(why), _) => format!(": {why}"),
            (None, true) => String::new(),
            (None, false) => ", without having taken hold".into(),
        };
        self.watcher.note(&format!("{} {} ends{after}", fault.fault, names(nodes)));
    }

    fn skip(&self, fault: &PlannedFault, nodes: &[Node], reason: &str) {
        self.recorder.fault_skipped(self.line(fault, nodes), reason);
        // Whatever had not begun when clients stopped is left out: recorded, but no news.
        if self.phase() != Phase::Faulty {
            return;
        }
        self.watcher.note(&format!("{} {} skipped: {reason}", fault.fault, names(nodes)));
    }
}

impl Watcher for Diary {
    fn started(&self, node: Node) {
        self.recorder.node_started(node);
    }

    fn ready(&self, node: Node) {
        self.recorder.node_ready(node);
    }

    fn exited(&self, node: Node, asked: bool, status: &str) {
        self.recorder.node_exited(node, asked, status);
        if !asked && self.excuses(node) {
            self.watcher.note(&format!("{node} ended under a fault of its disk: {status}"));
        } else if !asked && self.phase() == Phase::Setup {
            // The error that ends the run quotes it whole.
            let why = status.lines().next().unwrap_or_default();
            self.watcher.note(&format!("{node} did not come up: {why}"));
            self.unasked.send_replace(Some(node));
        } else if !asked {
            self.watcher.note(&format!("{node} ended though nobody asked: {status}"));
            self.unasked.send_replace(Some(node));
        }
    }
}
