//! The phases of a run, one after the other, whatever happens in between.
//!
//! Every way out passes through the same end: faults healed, nodes stopped,
//! history finished.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::Instant;

use super::journal::Diary;
use super::room;
use super::settle::{Patience, settle};
use super::{Ended, How, Order, Snapshot};
use crate::client::Journal;
use crate::client::bad::BadClient;
use crate::client::bank::Bank;
use crate::client::driver::{Budget, Burst, Client, Numbers, Pace, Split};
use crate::clock::RunClock;
use crate::cluster::node::Life;
use crate::cluster::proxy::{Proxy, ProxyThread};
use crate::cluster::{Cluster, Parts, nodes_of};
use crate::fault::{Link, Node};
use crate::history::Phase;
use crate::nemesis::{Nemesis, Signals};
use crate::op::{Outcome, Transfer};
use crate::plan::rng::{Purpose, Rng};
use crate::plan::{BadRequests, Begins, Operations, PlannedFault};
use crate::recorded::Rest;
use crate::recorder::Recorder;
use crate::recorder::wire::{DEFAULT_LIMIT, WireRecord};
use crate::workload::{ExitPolicy, Workload};

/// Between two flushes of the records and two looks of the watcher.
const TICK: Duration = Duration::from_millis(100);
/// How long the probe after the heal may go on asking.
const PROBE_CEILING: Duration = Duration::from_secs(10);
/// Between two probes.
const PROBE_PAUSE: Duration = Duration::from_millis(100);

/// Carries out a run. Returns when every process has ended and every line has
/// been written; what was recorded is in the files of [`Order::paths`].
pub async fn run(order: Order) -> Ended {
    match Stage::build(&order) {
        Ok(stage) => stage.play(&order).await,
        Err(why) => Ended {
            how: How::Infra(why.to_string()),
            rest: Rest::NotReached,
            stubborn: Vec::new(),
            cut_short: false,
        },
    }
}

/// Everything that is set up before the first process starts.
struct Stage {
    cluster: Arc<Cluster>,
    diary: Arc<Diary>,
    wire: Arc<WireRecord>,
    proxies: ProxyThread,
    bank: Bank,
    numbers: Arc<Numbers>,
    cut_short: AtomicBool,
    /// Turns to what has befallen the run directory.
    misfortune: Arc<watch::Sender<Option<String>>>,
}

/// Why the faulty phase ended.
enum Cut {
    /// Time is up, the operations are done, or a node ended: go on in order.
    Over,
    /// It has shown enough, in words: go on in order.
    Enough(String),
    /// End early.
    Early(How),
}

impl Stage {
    fn build(order: &Order) -> io::Result<Self> {
        let workload = &order.plan.workload;
        let clock = RunClock::start();
        let recorder = Recorder::create(&order.paths.history, clock)?;
        order.listener.iter().for_each(|listener| recorder.tell(listener.clone()));
        let wire = Arc::new(WireRecord::create(&order.paths.wire, DEFAULT_LIMIT)?);
        let thread = ProxyThread::start()?;
        let mut proxies = BTreeMap::new();
        for link in nodes_of(workload).into_iter().map(Link::to) {
            let tap = Arc::new((recorder.clone(), wire.clone()));
            proxies.insert(link, Arc::new(Proxy::start(link, tap, clock, thread.handle())?));
        }
        let port = proxies.get(&Link::ClientsCoord).map_or(0, |proxy| proxy.port());
        let diary = Arc::new(Diary::new(recorder, proxies.clone(), order.watcher.clone()));
        let cluster = Cluster::new(Parts {
            workload,
            srv: order.srv.clone(),
            coord: order.coord.clone(),
            proxies,
            paths: &*order.paths.node,
            watcher: diary.clone(),
        })?;
        diary.count_syncs(cluster.syncs());
        Ok(Self {
            cluster: Arc::new(cluster),
            diary,
            wire,
            proxies: thread,
            bank: Bank { port, deadline: workload.clients.deadline.0, half_close: false },
            numbers: Arc::new(Numbers::from(u64::from(workload.clients.count))),
            cut_short: AtomicBool::new(false),
            misfortune: Arc::new(watch::Sender::new(None)),
        })
    }

    async fn play(self, order: &Order) -> Ended {
        let began = Instant::now();
        let ticker = self.ticker(order, began);
        let (how, rest) = match self.act(order).await {
            Ok(rest) => (How::Finished, rest),
            Err(how) => (how, Rest::NotReached),
        };
        if self.diary.phase() != Phase::Collect {
            self.diary.enter(Phase::Collect);
        }
        let stubborn = self.stop(order).await;
        let kept = self.cluster.close_disks();
        ticker.abort();
        order.watcher.tick(&snapshot(&self.diary, &self.cluster, began));
        let cut_short = self.cut_short.load(Ordering::Relaxed);
        // After the faulty phase nobody waits for it any more.
        let befallen = [self.misfortune.borrow().clone(), self.starved().borrow().as_deref().map(starved)];
        let how = befallen.into_iter().flatten().fold(how, worse);
        let how = kept.err().map_or(how.clone(), |why| worse(how, why.to_string()));
        let how = self.close().err().map_or(how.clone(), |why| worse(how, why));
        Ended { how, rest, stubborn, cut_short }
    }

    /// From the start of the nodes to files at rest.
    async fn act(&self, order: &Order) -> Result<Rest, How> {
        let mut interrupted = order.interrupted.clone();
        self.diary.enter(Phase::Setup);
        tokio::select! {
            started = self.cluster.start() => started.map_err(|why| How::Infra(why.to_string()))?,
            () = turns_true(&mut interrupted) => return Err(How::Interrupted),
        }
        tokio::select! {
            listening = self.listening(order) => listening?,
            () = turns_true(&mut interrupted) => return Err(How::Interrupted),
        }
        // Nothing awaits between here and the next phase, so an exit is either this
        // or, from then on, a finding.
        if let Some(node) = *self.diary.unasked_exit().borrow() {
            let log = (order.paths.node)(node).log;
            return Err(How::Infra(format!(
                "{node} ended before every node had printed its port; what it said is in {}",
                log.display()
            )));
        }
        if let Cut::Early(how) = self.faulty(order).await {
            return Err(how);
        }
        let mut served = true;
        if order.plan.workload.demands_availability() {
            tokio::select! {
                answered = self.probe(&order.plan.workload) => served = answered,
                () = turns_true(&mut interrupted) => return Err(How::Interrupted),
            }
        }
        // Nothing would be acknowledged without the late one, either.
        if let Some(late) = order.plan.faults.iter().find(|fault| is_late(fault) && served) {
            tokio::select! {
                () = self.come_late(order, late) => {}
                () = turns_true(&mut interrupted) => return Err(How::Interrupted),
            }
        }
        self.diary.enter(Phase::Settle);
        let rest = self.settle(order).await?;
        self.diary.enter(Phase::Collect);
        // Something of unknown outcome may still have been under way: without the
        // coordinator nothing is, and what counts is how the files look after that.
        let grace = order.plan.workload.budgets.stop.0;
        self.tell_stubborn(order, self.cluster.stop_coord(grace).await.as_slice());
        if rest == Rest::Settled { self.settle(order).await } else { Ok(rest) }
    }

    /// Until every node listens where it said.
    async fn listening(&self, order: &Order) -> Result<(), How> {
        let public = self.cluster.wait_until_all_listen().await.map_err(|why| How::Infra(why.to_string()))?;
        for node in public {
            let note = "listens on more than 127.0.0.1: other machines can reach it, past all faults";
            order.watcher.note(&format!("{node} {note}"));
        }
        Ok(())
    }

    /// Until the replicas' files have come to rest, or an interruption.
    async fn settle(&self, order: &Order) -> Result<Rest, How> {
        let workload = &order.plan.workload;
        let replicas = nodes_of(workload).into_iter().filter(|node| *node != Node::Coord);
        let files: Vec<_> = replicas.map(|node| (order.paths.node)(node).data).collect();
        let patience = Patience::of(workload);
        match settle(&files, patience, order.interrupted.clone()).await {
            Rest::NotReached => Err(How::Interrupted),
            rest => Ok(rest),
        }
    }

    /// Ends every node that still runs; returns those that had to be killed.
    async fn stop(&self, order: &Order) -> Vec<Node> {
        let grace = order.plan.workload.budgets.stop.0;
        let mut stubborn: Vec<Node> = self.cluster.stop_coord(grace).await.into_iter().collect();
        stubborn.extend(self.cluster.stop_replicas(grace).await);
        self.tell_stubborn(order, &stubborn);
        stubborn
    }

    fn tell_stubborn(&self, order: &Order, nodes: &[Node]) {
        let grace = order.plan.workload.budgets.stop;
        for node in nodes {
            order.watcher.note(&format!("{node} did not end within {grace} of its stop signal: killed"));
        }
    }

    /// Clients and nemesis side by side; returns when both have come to an end and
    /// every fault has been healed.
    async fn faulty(&self, order: &Order) -> Cut {
        self.diary.enter(Phase::Faulty);
        let (stop, stopped) = watch::channel(false);
        let signals = Signals {
            start: Instant::now(),
            acknowledged: self.diary.recorder.acknowledged(),
            over: stopped.clone(),
        };
        let plan = &order.plan;
        let beyond = plan.workload.beyond_budget;
        let nemesis = Nemesis::new(self.cluster.clone(), self.diary.clone(), plan.seed, beyond);
        let faults = plan.faults.iter().filter(|fault| !is_late(fault)).cloned().collect();
        let nemesis = tokio::spawn(nemesis.run(faults, signals));
        let mut bad = self.bad_client(order, stopped.clone());
        let mut clients = self.clients(order, stopped);
        let cut = self.until_cut(order, &mut clients).await;
        let why = if let Cut::Enough(why) = &cut { Some(why.as_str()) } else { None };
        self.cut_short.store(why.is_some(), Ordering::Relaxed);
        self.diary.enter_because(Phase::Heal, why);
        if let Some(why) = why {
            order.watcher.note(&format!("the faulty phase ends early: {why}"));
        }
        stop.send_replace(true);
        nemesis.await.unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()));
        match cut {
            Cut::Over | Cut::Enough(_) => all_done(&mut clients).await,
            // Somebody waits: an operation cut off here is indeterminate, which is true.
            Cut::Early(_) => clients.shutdown().await,
        }
        all_done(&mut bad).await;
        cut
    }

    fn clients(&self, order: &Order, stop: watch::Receiver<bool>) -> JoinSet<()> {
        let workload = &order.plan.workload;
        let mut clients = JoinSet::new();
        for number in 0..workload.clients.count {
            let client = Client {
                process: u64::from(number),
                bank: self.bank,
                pace: pace(workload, number),
                split: Split {
                    share: workload.clients.split,
                    seed: Rng::new(order.plan.seed, Purpose::Split(number)).bits(),
                },
                seed: Rng::new(order.plan.seed, Purpose::Backoff(number)).bits(),
                numbers: self.numbers.clone(),
                budget: Arc::new(Budget::of(share(workload, number))),
            };
            let transfers = Operations::new(workload, order.plan.seed, number);
            let (recorder, stop) = (self.diary.recorder.clone(), stop.clone());
            clients.spawn(async move { client.run(transfers, &recorder, stop).await });
        }
        clients
    }

    /// The client of bad requests, if there is one. It ends with the faulty phase.
    fn bad_client(&self, order: &Order, stop: watch::Receiver<bool>) -> JoinSet<()> {
        let mut clients = JoinSet::new();
        let workload = &order.plan.workload;
        if let Some(rate) = workload.clients.bad {
            let interval = Duration::from_secs_f64(1.0 / rate);
            let client = BadClient { port: self.bank.port, interval, deadline: self.bank.deadline };
            let requests = BadRequests::new(workload, order.plan.seed);
            let recorder = self.diary.recorder.clone();
            clients.spawn(async move { client.run(requests, &recorder, stop).await });
        }
        clients
    }

    async fn until_cut(&self, order: &Order, clients: &mut JoinSet<()>) -> Cut {
        let workload = &order.plan.workload;
        let time = workload.duration.map_or(Duration::MAX, |span| span.0);
        let mut interrupted = order.interrupted.clone();
        let mut failed = self.diary.recorder.failed();
        let mut unasked = self.diary.unasked_exit();
        let mut enough = order.enough.clone();
        let (mut misfortune, mut starving) = (self.misfortune.subscribe(), self.starved());
        let ends_it = workload.checks.unrequested_exit == ExitPolicy::Violation;
        tokio::select! {
            biased;
            () = turns_true(&mut interrupted) => Cut::Early(How::Interrupted),
            Ok(why) = failed.wait_for(Option::is_some) => {
                let why = why.clone().unwrap_or_default();
                Cut::Early(How::Infra(format!("the history cannot be written: {why}")))
            }
            Ok(why) = misfortune.wait_for(Option::is_some) => {
                Cut::Early(How::Infra(why.clone().unwrap_or_default()))
            }
            Ok(why) = starving.wait_for(Option::is_some) => {
                Cut::Early(How::Infra(starved(why.as_deref().unwrap_or_default())))
            }
            // A node that ends for want of room tells before the next look does.
            Ok(_) = unasked.wait_for(Option::is_some), if ends_it => match room::look(&order.paths.history) {
                Ok(()) => Cut::Over,
                Err(why) => Cut::Early(How::Infra(why)),
            },
            Ok(why) = enough.wait_for(Option::is_some) => Cut::Enough(why.clone().unwrap_or_default()),
            () = all_done(clients) => Cut::Over,
            () = tokio::time::sleep(time) => Cut::Over,
        }
    }

    /// Asks for both balances of two accounts until it is answered: after the heal
    /// nothing stands in the way of service. Whether it was.
    async fn probe(&self, workload: &Workload) -> bool {
        let names = workload.clients.accounts.names();
        let [from, to, ..] = names.as_slice() else { return false };
        self.ask(&Transfer::request(from, to, 0)).await.is_some()
    }

    /// Asks for a transfer until it is acknowledged; the balances after it, or none if it
    /// was asked in vain.
    async fn ask(&self, transfer: &Transfer) -> Option<[i64; 2]> {
        let ceiling = Instant::now() + PROBE_CEILING;
        while self.cluster.node(Node::Coord).is_some_and(|coord| coord.life() == Life::Up) {
            let recorder = &self.diary.recorder;
            let invocation = recorder.invoke(self.numbers.next(), transfer.clone());
            let exchange = self.bank.transfer(invocation.source, &invocation.transfer).await;
            let balances = exchange.result.as_ref().ok().copied();
            let outcome = recorder.complete(invocation, exchange.local, exchange.result);
            if outcome == Outcome::Ok {
                return balances;
            }
            if Instant::now() >= ceiling {
                return None;
            }
            tokio::time::sleep(PROBE_PAUSE).await;
        }
        None
    }

    /// The last thing that is asked of a run moves money, as far as there is some: should it
    /// not come to every file by itself, files show it.
    async fn move_money(&self, workload: &Workload) {
        let names = workload.clients.accounts.names();
        for pair in names.windows(2) {
            let Some(balances) = self.ask(&Transfer::request(&pair[0], &pair[1], 0)).await else { return };
            let [giver, taker] = if balances[0] > 1 { [0, 1] } else { [1, 0] };
            if balances[giver] > 1 {
                self.ask(&Transfer::request(&pair[giver], &pair[taker], 1)).await;
                return;
            }
        }
    }

    /// One replica is away while the last operation is acknowledged.
    async fn come_late(&self, order: &Order, late: &PlannedFault) {
        let plan = &order.plan;
        let nemesis = Nemesis::new(self.cluster.clone(), self.diary.clone(), plan.seed, true);
        nemesis.around(late, self.move_money(&plan.workload)).await;
    }

    /// Flushes the records and shows the run to its watcher, several times a second.
    fn ticker(&self, order: &Order, began: Instant) -> AbortHandle {
        let (diary, wire, cluster) = (self.diary.clone(), self.wire.clone(), self.cluster.clone());
        let (watcher, misfortune) = (order.watcher.clone(), self.misfortune.clone());
        let history = order.paths.history.clone();
        let task = tokio::spawn(async move {
            let mut ticks = tokio::time::interval(TICK);
            loop {
                ticks.tick().await;
                diary.recorder.flush();
                wire.flush();
                watcher.tick(&snapshot(&diary, &cluster, began));
                if let Err(why) = room::look(&history) {
                    misfortune.send_replace(Some(why));
                }
            }
        });
        task.abort_handle()
    }

    fn starved(&self) -> watch::Receiver<Option<String>> {
        self.diary.recorder.starved()
    }

    /// Ends the proxies, then the records: a proxy's last word may be evidence.
    fn close(self) -> Result<(), String> {
        let Self { cluster, diary, wire, proxies, .. } = self;
        drop(cluster);
        drop(proxies);
        let wire = wire.finish();
        diary.recorder.finish().map_err(|why| format!("the history cannot be written: {why}"))?;
        wire.map_err(|why| format!("the record of messages cannot be written: {why}"))
    }
}

/// The first thing that went wrong with the machine explains the others.
fn worse(how: How, why: String) -> How {
    if matches!(how, How::Infra(_)) { how } else { How::Infra(why) }
}

/// What to do where the harness lacks what it needs.
fn starved(why: &str) -> String {
    format!("{why}; raise the limit of open files (`ulimit -Hn`), or lower clients.count or clients.rate")
}

fn is_late(fault: &PlannedFault) -> bool {
    matches!(fault.begins, Begins::AfterHeal(_))
}

fn snapshot(diary: &Diary, cluster: &Cluster, began: Instant) -> Snapshot {
    Snapshot {
        phase: diary.phase(),
        elapsed: began.elapsed(),
        operations: diary.recorder.progress(),
        faults: diary.active(),
        nodes: cluster.lives(),
    }
}

/// Clients at a rate begin spread over the interval between two operations.
fn pace(workload: &Workload, number: u32) -> Option<Pace> {
    let interval = Duration::from_secs_f64(1.0 / workload.clients.rate?);
    let offset = interval * number / workload.clients.count.max(1);
    let burst = workload.clients.burst.map(|burst| Burst { every: burst.every.0, lasts: burst.lasts.0 });
    Some(Pace { interval, offset, burst })
}

/// Each client's part of the operations, the first ones taking what is left over.
fn share(workload: &Workload, number: u32) -> Option<u64> {
    let count = u64::from(workload.clients.count.max(1));
    let whole = workload.operations?;
    Some(whole / count + u64::from(u64::from(number) < whole % count))
}

/// A client that panics is a defect of the harness and must not pass unseen.
async fn all_done(clients: &mut JoinSet<()>) {
    while let Some(done) = clients.join_next().await {
        done.unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()));
    }
}

/// Waits for true; for ever if nobody can say it any more.
async fn turns_true(signal: &mut watch::Receiver<bool>) {
    if signal.wait_for(|value| *value).await.is_err() {
        std::future::pending::<()>().await;
    }
}
