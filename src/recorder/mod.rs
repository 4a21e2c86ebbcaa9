//! The one owner of event order.
//!
//! Under one lock it gives each event its index and its time and writes its line
//! to `history.jsonl`, so the order of lines is the order of events as far as
//! anyone can know it. [`wire`] keeps the bounded record of messages beside it.
//! Listens to proxies as a [`Tap`], to clients as a [`Journal`]. Must not decide
//! anything: neither what is done nor what it means.

mod delivery;
mod progress;
mod sink;
pub mod wire;

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::net::SocketAddrV4;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard};

use tokio::sync::watch;

use crate::client::bad::BadJournal;
use crate::client::{Invocation, Journal};
use crate::clock::RunClock;
use crate::cluster::proxy::{Closed, Tampered, Tap};
use crate::fault::network::Directions;
use crate::fault::{FaultKind, Link, Node, Observed};
use crate::history::line::{Closes, Edge, FaultFields, Kind, Line, Part, Value, Writer, f};
use crate::history::{Phase, Place};
use crate::op::{Outcome, Reason, Transfer};
use crate::sync::lock;
use delivery::{Deliveries, End};
use progress::Meter;
pub use progress::{Latencies, Progress};
use sink::Sink;

/// Writes the history. Clones share it.
#[derive(Clone)]
pub struct Recorder {
    shared: Arc<Shared>,
}

struct Shared {
    clock: RunClock,
    order: Mutex<Order>,
    acknowledged: watch::Sender<u64>,
    failed: watch::Sender<Option<String>>,
    starved: watch::Sender<Option<String>>,
}

/// What the lock guards: the next index, and all that must agree with it.
struct Order {
    index: u64,
    listener: Option<Arc<dyn Listener>>,
    sink: Sink,
    deliveries: Deliveries,
    meter: Meter,
}

/// Hears of every operation as it is recorded, in the order of the lines.
///
/// Called under the lock that makes this order: it must not wait, and should only
/// pass on what it is told. Operations are named by the index of their invocation.
pub trait Listener: Send + Sync {
    /// An operation begins; `time` in nanoseconds since the run began.
    fn invoked(&self, index: u64, time: u64, process: u64, transfer: &Transfer);
    /// It ends, with a line of its own at `index`.
    fn completed(&self, invoke: u64, index: u64, time: u64, outcome: Outcome, balances: Option<[i64; 2]>);
    /// It certainly did not happen.
    fn never_delivered(&self, invoke: u64);
}

/// A fault, as its lines tell it.
#[derive(Debug, Clone)]
pub struct FaultLine<'a> {
    /// Number of the fault within the run: joins its two lines.
    pub id: u64,
    /// What is done.
    pub kind: FaultKind,
    /// To which nodes (the far ends of links).
    pub nodes: &'a [Node],
    /// Messages forwarded so far, per link.
    pub messages: BTreeMap<Link, u64>,
    /// fsyncs so far, per node with a disk of the harness.
    pub syncs: BTreeMap<Node, u64>,
    /// For a fault of links: which, and which way.
    pub links: BTreeMap<Link, Directions>,
    /// What it was seen to do, by count.
    pub observed: Observed,
}

impl Recorder {
    /// Starts a history at `path`, which must not exist.
    ///
    /// # Errors
    /// The file cannot be created, or the thread that writes it.
    pub fn create(path: &Path, clock: RunClock) -> io::Result<Self> {
        Self::new(File::options().write(true).create_new(true).mode(0o600).open(path)?, clock)
    }

    /// Starts a history in an open file.
    ///
    /// # Errors
    /// No thread to write it.
    pub fn new(file: File, clock: RunClock) -> io::Result<Self> {
        let failed = watch::Sender::new(None);
        let tell = failed.clone();
        let sink = Sink::new(file, move |error| {
            tell.send_replace(Some(error.to_string()));
        })?;
        let (deliveries, meter) = (Deliveries::default(), Meter::new());
        let order = Order { index: 0, listener: None, sink, deliveries, meter };
        let (acknowledged, starved) = (watch::Sender::new(0), watch::Sender::new(None));
        let shared = Shared { clock, order: Mutex::new(order), acknowledged, failed, starved };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// From now on this one is told of operations.
    pub fn tell(&self, listener: Arc<dyn Listener>) {
        self.order().listener = Some(listener);
    }

    /// Just before a fault is applied.
    pub fn fault_begin(&self, fault: FaultLine<'_>) {
        self.fault(fault, Edge::Begin, None, None);
    }

    /// Just after a fault was healed. `held`: it was seen to take hold; `error`:
    /// why it could not be applied or healed.
    pub fn fault_end(&self, fault: FaultLine<'_>, held: bool, error: Option<&str>) {
        self.fault(fault, Edge::End, Some(held), error);
    }

    /// A fault was due and not applicable.
    pub fn fault_skipped(&self, fault: FaultLine<'_>, reason: &str) {
        self.fault(fault, Edge::Skipped, None, Some(reason));
    }

    /// The run enters a phase; `why`, if that needs a reason.
    pub fn phase(&self, phase: Phase, why: Option<&str>) {
        self.cluster(f::PHASE, Value::Phase(phase), None, why);
    }

    /// A node's process was started.
    pub fn node_started(&self, node: Node) {
        self.cluster(f::START, Value::Nodes(&[node]), None, None);
    }

    /// A node told its port.
    pub fn node_ready(&self, node: Node) {
        self.cluster(f::READY, Value::Nodes(&[node]), None, None);
    }

    /// A node's process ended. `asked`: by the harness; `status`: its exit status
    /// in words and the last lines of its log.
    pub fn node_exited(&self, node: Node, asked: bool, status: &str) {
        self.cluster(f::EXIT, Value::Nodes(&[node]), Some(asked), Some(status));
    }

    /// The number of acknowledged operations, for faults that wait for one.
    pub fn acknowledged(&self) -> watch::Receiver<u64> {
        self.shared.acknowledged.subscribe()
    }

    /// Turns to the error when the history cannot be written any more (disk full).
    /// Lines after that are counted but lost.
    pub fn failed(&self) -> watch::Receiver<Option<String>> {
        self.shared.failed.subscribe()
    }

    /// Turns to the reason when the harness itself could not connect or accept (out of
    /// descriptors, memory or ports): what was seen from then on proves nothing.
    pub fn starved(&self) -> watch::Receiver<Option<String>> {
        self.shared.starved.subscribe()
    }

    /// Counts and latencies so far.
    pub fn progress(&self) -> Progress {
        self.order().meter.snapshot(self.shared.clock.now())
    }

    /// Sends all lines on their way to the file without waiting for them. Called
    /// at least every 100 ms, so that a killed harness leaves what it had.
    pub fn flush(&self) {
        self.order().sink.hand_over();
    }

    /// Waits until all lines so far are in the file (with the kernel; not synced).
    ///
    /// # Errors
    /// What kept the history from being written whole.
    pub fn finish(&self) -> io::Result<()> {
        let mark = self.order().sink.mark();
        mark.wait()
    }

    fn fault(&self, fault: FaultLine<'_>, edge: Edge, held: Option<bool>, error: Option<&str>) {
        let mut order = self.order();
        let acknowledged = order.meter.acknowledged_count();
        let place = Place { acknowledged, messages: fault.messages, syncs: fault.syncs };
        order.write(self.shared.clock.now(), |line| Line {
            process: Writer::Harness(Part::Nemesis),
            f: fault.kind.name(),
            value: Value::Nodes(fault.nodes),
            error,
            fault: Some(FaultFields {
                fault: fault.id,
                edge,
                held,
                links: &fault.links,
                observed: &fault.observed,
                place: &place,
            }),
            ..line
        });
    }

    fn cluster(&self, f: &str, value: Value<'_>, asked: Option<bool>, error: Option<&str>) {
        self.order().write(self.shared.clock.now(), |line| Line { f, value, asked, error, ..line });
    }

    fn bad(&self, request: &str, answer: Option<&str>) {
        self.order().write(self.shared.clock.now(), |line| Line {
            process: Writer::Harness(Part::Bad),
            f: f::BAD,
            value: Value::Text(request),
            error: answer,
            ..line
        });
    }

    /// The first reason is kept.
    fn starve(&self, why: impl FnOnce() -> String) {
        self.shared.starved.send_if_modified(|known| {
            let first = known.is_none();
            if first {
                *known = Some(why());
            }
            first
        });
    }

    fn order(&self) -> MutexGuard<'_, Order> {
        lock(&self.shared.order)
    }
}

impl Journal for Recorder {
    fn invoke(&self, process: u64, transfer: Transfer) -> Invocation {
        let mut order = self.order();
        let invoked = self.shared.clock.now();
        let index = order.write(invoked, |line| Line {
            process: Writer::Client(process),
            kind: Kind::Invoke,
            f: f::TRANSFER,
            value: Value::Transfer(&transfer),
            ..line
        });
        if let Some(listener) = &order.listener {
            listener.invoked(index, invoked, process, &transfer);
        }
        order.meter.invoked();
        let source = order.deliveries.begin(index);
        Invocation { index, process, transfer, invoked, source }
    }

    fn complete(
        &self,
        invocation: Invocation,
        local: Option<SocketAddrV4>,
        result: Result<[i64; 2], Reason>,
    ) -> Outcome {
        let source = invocation.source;
        if let Err(Reason::Local(why)) = &result {
            self.starve(|| format!("a client cannot connect: {why}"));
        }
        let mut order = self.order();
        let result = if order.deliveries.tampered_with(source) { tampered(result) } else { result };
        let outcome = result.as_ref().map_or_else(Reason::outcome, |_| Outcome::Ok);
        let end = end_of(&result, local);
        let acknowledged = order.complete(self.shared.clock.now(), invocation, result, outcome);
        let harmless = order.deliveries.ended(source, end);
        order.evidence(self.shared.clock, harmless);
        drop(order);
        if outcome == Outcome::Ok {
            // Outside the lock: two clients may come here in either order.
            self.shared.acknowledged.send_if_modified(|known| {
                let more = acknowledged > *known;
                *known = acknowledged.max(*known);
                more
            });
        }
        outcome
    }
}

impl BadJournal for Recorder {
    fn sending(&self, request: &str) {
        self.bad(request, None);
    }

    fn answered(&self, request: &str, answer: &str) {
        self.bad(request, Some(answer));
    }
}

impl Tap for Recorder {
    fn tampered(&self, tampered: &Tampered) {
        if tampered.link == Link::ClientsCoord {
            self.order().deliveries.tampered(tampered.client);
        }
    }

    fn closed(&self, closed: &Closed) {
        if closed.link == Link::ClientsCoord {
            let mut order = self.order();
            let harmless = order.deliveries.closed(closed.client, closed.delivered);
            order.evidence(self.shared.clock, harmless);
        }
    }

    fn starved(&self, link: Link, why: &io::Error) {
        self.starve(|| format!("the proxy of {link} can neither accept nor connect: {why}"));
    }
}

impl Order {
    /// Writes the line that `fill` makes of a bare one; returns its index.
    fn write<'a>(&mut self, time: u64, fill: impl FnOnce(Line<'a>) -> Line<'a>) -> u64 {
        let index = self.index;
        self.index += 1;
        let line = fill(bare(index, time));
        self.sink.line(time, |out| Ok(serde_json::to_writer(out, &line)?));
        index
    }

    fn complete(
        &mut self,
        now: u64,
        invocation: Invocation,
        result: Result<[i64; 2], Reason>,
        outcome: Outcome,
    ) -> u64 {
        let Invocation { index: invoke, process, mut transfer, invoked, .. } = invocation;
        let error = result.as_ref().err().map(Reason::text);
        transfer.balances = result.ok();
        let index = self.write(now, |line| Line {
            process: Writer::Client(process),
            kind: kind(outcome),
            f: f::TRANSFER,
            value: Value::Transfer(&transfer),
            error: error.as_deref(),
            ..line
        });
        if let Some(listener) = &self.listener {
            listener.completed(invoke, index, now, outcome, transfer.balances);
        }
        self.meter.completed(outcome, invoked, now)
    }

    fn evidence(&mut self, clock: RunClock, invoke: Option<u64>) {
        let Some(invoke) = invoke else { return };
        self.write(clock.now(), |line| Line {
            process: Writer::Harness(Part::Evidence),
            f: f::NEVER_DELIVERED,
            value: Value::Closes(Closes { invoke }),
            ..line
        });
        if let Some(listener) = &self.listener {
            listener.never_delivered(invoke);
        }
    }
}

/// A cluster line with nothing on it yet.
fn bare<'a>(index: u64, time: u64) -> Line<'a> {
    Line {
        index,
        time,
        process: Writer::Harness(Part::Cluster),
        kind: Kind::Info,
        f: "",
        value: Value::Nodes(&[]),
        error: None,
        fault: None,
        asked: None,
    }
}

fn kind(outcome: Outcome) -> Kind {
    match outcome {
        Outcome::Ok => Kind::Ok,
        Outcome::Fail => Kind::Fail,
        Outcome::Info => Kind::Info,
    }
}

/// A reply that came on a connection which a fault has maimed is no reply, whether
/// it can be read or not. What says that there was none stays as it is.
fn tampered(result: Result<[i64; 2], Reason>) -> Result<[i64; 2], Reason> {
    match result {
        Ok(_) | Err(Reason::Refused(_) | Reason::Unparsable(_)) => Err(Reason::Tampered),
        other => other,
    }
}

fn end_of(result: &Result<[i64; 2], Reason>, local: Option<SocketAddrV4>) -> End {
    match result {
        Err(Reason::ConnectionRefused) => End::Unconnected,
        Err(Reason::Local(_)) if local.is_none() => End::Unconnected,
        Err(reason) if reason.outcome() == Outcome::Info => End::Unknown(local),
        _ => End::Known,
    }
}

#[cfg(test)]
mod tests;
