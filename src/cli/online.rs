//! The linearizability check that goes on while a run does, on a thread of its own.
//!
//! Between the recorder, which must never wait, and the checker, which knows no
//! thread: lines of operations go through a bounded queue; when it is full, or the
//! search takes too much, the check gives up and says so, and the check at the end
//! decides alone. It decides when the faulty phase may end, never a verdict.

use std::collections::VecDeque;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustc_hash::FxHashMap;
use tokio::sync::watch;

use crate::checker::linearizability::{Halt, Online, Refuted, Stop};
use crate::history::{AccountId, Call, Completion, Observed, Operation};
use crate::op::{Outcome, Transfer};
use crate::record::{OnlineCheck, OnlineViolation};
use crate::runner::Listener;
use crate::sync::lock;
use crate::workload::Workload;

/// Lines that may be on their way to the check.
const QUEUE: usize = 1 << 16;
/// Lines taken at once.
const BATCH: usize = 4096;
/// Lines that may wait for the end of an operation before them.
const MOST_WAITING: usize = 1 << 18;
/// Most memory of the search; the check at the end has the workload's.
const MEMORY_MIB: u64 = 256;
/// Time for one batch; a search that takes longer would only fall behind.
const SLICE: Duration = Duration::from_secs(2);
/// Between two looks past operations that have been open for longer than [`PATIENCE`].
const TICK: Duration = Duration::from_millis(50);
const PATIENCE: Duration = Duration::from_millis(200);
/// How long an indeterminate end waits for evidence, which comes within milliseconds of it
/// or, of a connection that stays open, much later. An operation that was consumed before
/// its evidence came stays one that may have happened: with dozens of them, as when a link
/// is reset, the search would be lost.
const GRACE: Duration = Duration::from_millis(150);

/// A check under way.
pub(super) struct Watch {
    lag: Arc<Lag>,
    listener: Arc<dyn Listener>,
    enough: watch::Receiver<Option<String>>,
    found: Arc<Mutex<OnlineCheck>>,
    called_off: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

/// How far the check is behind, for whoever shows it.
#[derive(Debug, Default)]
pub(super) struct Lag {
    sent: AtomicU64,
    seen: AtomicU64,
    over: AtomicBool,
}

impl Lag {
    fn behind(&self) -> u64 {
        self.sent.load(Ordering::Relaxed).saturating_sub(self.seen.load(Ordering::Relaxed))
    }

    /// A clause for a line of progress.
    pub(super) fn words(&self) -> String {
        if self.over.load(Ordering::Relaxed) {
            return ", online check over".into();
        }
        match self.behind() {
            1 => ", check 1 line behind".into(),
            behind => format!(", check {behind} lines behind"),
        }
    }
}

impl Watch {
    /// Begins to watch a run of this workload, unless linearizability is not asked for.
    ///
    /// # Errors
    /// No thread.
    pub(super) fn begin(workload: &Workload) -> io::Result<Option<Self>> {
        let Some(model) = workload.model.parse().ok().filter(|_| workload.checks.linearizable) else {
            return Ok(None);
        };
        let (sender, lines) = sync_channel(QUEUE);
        let (teller, enough) = watch::channel(None);
        let (lag, found) = (Arc::new(Lag::default()), Arc::new(Mutex::new(OnlineCheck::default())));
        let called_off = Arc::new(AtomicBool::new(false));
        let full = Arc::new(AtomicBool::new(false));
        let memory = workload.budgets.memory_mib.min(MEMORY_MIB) << 20;
        let check = Check {
            lines,
            online: Online::new(model, memory as usize, called_off.clone()),
            memory,
            numbers: FxHashMap::default(),
            open_ended: VecDeque::new(),
            accounts: FxHashMap::default(),
            began: None,
            full: full.clone(),
            lag: lag.clone(),
            found: found.clone(),
            teller: workload.stop_on_violation.then_some(teller),
            called_off: called_off.clone(),
        };
        let thread = std::thread::Builder::new().name("online check".into()).spawn(move || check.run())?;
        let listener = Arc::new(Ear { sender, full, lag: lag.clone() });
        Ok(Some(Self { lag, listener, enough, found, called_off, thread }))
    }

    /// For the recorder.
    pub(super) fn listener(&self) -> Arc<dyn Listener> {
        self.listener.clone()
    }

    /// Turns to the reason when the faulty phase has shown enough.
    pub(super) fn enough(&self) -> watch::Receiver<Option<String>> {
        self.enough.clone()
    }

    /// For the display.
    pub(super) fn lag(&self) -> Arc<Lag> {
        self.lag.clone()
    }

    /// Ends the check without waiting for a search, and tells what it saw.
    pub(super) fn end(self, cut_short: bool) -> OnlineCheck {
        let ended = self.thread.is_finished();
        self.called_off.store(true, Ordering::Relaxed);
        let mut found = lock(&self.found).clone();
        found.stopped = cut_short;
        if ended && found.violation.is_none() && found.gave_up.is_none() {
            found.gave_up = Some("it ended by a defect of its own".into());
        }
        found
    }
}

/// What the recorder tells; operations by the index of their invocation.
enum Told {
    Invoked { index: u64, time: u64, process: u64, transfer: Transfer },
    Completed { invoke: u64, completion: Completion },
    NeverDelivered(u64),
}

struct Ear {
    sender: SyncSender<Told>,
    full: Arc<AtomicBool>,
    lag: Arc<Lag>,
}

impl Ear {
    /// Never waits: what does not fit ends the check.
    fn pass_on(&self, told: Told) {
        if self.full.load(Ordering::Relaxed) {
            return;
        }
        match self.sender.try_send(told) {
            Ok(()) => drop(self.lag.sent.fetch_add(1, Ordering::Relaxed)),
            // Full, or the check has ended.
            Err(_) => self.full.store(true, Ordering::Relaxed),
        }
    }
}

impl Listener for Ear {
    fn invoked(&self, index: u64, time: u64, process: u64, transfer: &Transfer) {
        self.pass_on(Told::Invoked { index, time, process, transfer: transfer.clone() });
    }

    fn completed(&self, invoke: u64, index: u64, time: u64, outcome: Outcome, balances: Option<[i64; 2]>) {
        let observed = balances.map_or(Observed::Nothing, Observed::Pair);
        let completion = Completion { index, time, outcome, observed, error: None };
        self.pass_on(Told::Completed { invoke, completion });
    }

    fn never_delivered(&self, invoke: u64) {
        self.pass_on(Told::NeverDelivered(invoke));
    }
}

struct Check {
    lines: Receiver<Told>,
    online: Online,
    memory: u64,
    /// Numbers of operations that may still be told of, by the index of their
    /// invocation.
    numbers: FxHashMap<u64, u32>,
    /// Indeterminate ends that wait for evidence: since when, and of which operation.
    open_ended: VecDeque<(Instant, u32, Completion)>,
    accounts: FxHashMap<String, AccountId>,
    /// When the run's clock showed 0.
    began: Option<Instant>,
    full: Arc<AtomicBool>,
    lag: Arc<Lag>,
    found: Arc<Mutex<OnlineCheck>>,
    /// `None`: a violation ends nothing.
    teller: Option<watch::Sender<Option<String>>>,
    called_off: Arc<AtomicBool>,
}

impl Check {
    fn run(mut self) {
        let mut scouted = Instant::now();
        while let Some(news) = self.take() {
            if self.full.load(Ordering::Relaxed) {
                return self.give_up(&format!("it fell behind by {QUEUE} lines"));
            }
            self.online.allow(SLICE);
            let ended = self.end_indeterminate(Instant::now());
            let mut halt = if news || ended { self.online.advance(&mut |_| ()).err() } else { None };
            if halt.is_none() && scouted.elapsed() >= TICK {
                scouted = Instant::now();
                halt = self.scout().map(Halt::Refuted);
            }
            match halt {
                None => self.note(),
                Some(Halt::Refuted(refuted)) => return self.refuted(&refuted),
                Some(Halt::Stopped(stop)) => return self.stopped(stop),
            }
            if self.online.waiting() > MOST_WAITING {
                return self.give_up("an operation did not end for too long");
            }
        }
    }

    /// Takes in what was told, waiting a little for it; `None` at the end of the run.
    fn take(&mut self) -> Option<bool> {
        let first = match self.lines.recv_timeout(TICK) {
            _ if self.called_off.load(Ordering::Relaxed) => return None,
            Ok(first) => Some(first),
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => return None,
        };
        let news = first.is_some();
        let mut next = first;
        for _ in 0..BATCH {
            let Some(told) = next.or_else(|| self.lines.try_recv().ok()) else { break };
            self.hear(told);
            next = None;
        }
        Some(news)
    }

    fn hear(&mut self, told: Told) {
        match told {
            Told::Invoked { index, time, process, transfer } => {
                let before = || Instant::now().checked_sub(Duration::from_nanos(time));
                self.began = self.began.or_else(before);
                let (from, to) = (self.account(transfer.from), self.account(transfer.to));
                let number = self.online.invoke(Operation {
                    invoke: index,
                    process,
                    invoked: time,
                    call: Call::Transfer { from, to, amount: transfer.amount },
                    completion: None,
                    never_delivered: false,
                });
                self.numbers.insert(index, number);
            }
            Told::Completed { invoke, completion } => {
                // Evidence may come after an indeterminate end; after others nothing does.
                let number = match completion.outcome {
                    Outcome::Info => self.numbers.get(&invoke).copied(),
                    _ => self.numbers.remove(&invoke),
                };
                match (number, completion.outcome) {
                    (None, _) => {}
                    (Some(number), Outcome::Info) => {
                        self.open_ended.push_back((Instant::now(), number, completion));
                    }
                    (Some(number), _) => self.online.complete(number, completion),
                }
            }
            Told::NeverDelivered(invoke) => {
                let number = self.numbers.remove(&invoke);
                number.into_iter().for_each(|number| self.online.never_delivered(number));
            }
        }
        self.lag.seen.fetch_add(1, Ordering::Relaxed);
    }

    /// Passes on the indeterminate ends that have waited long enough; says whether there
    /// were any.
    fn end_indeterminate(&mut self, now: Instant) -> bool {
        let waited = |since: &Instant| now.saturating_duration_since(*since) >= GRACE;
        let due = self.open_ended.iter().take_while(|(since, ..)| waited(since)).count();
        for (_, number, completion) in self.open_ended.drain(..due) {
            self.online.complete(number, completion);
        }
        due > 0
    }

    fn account(&mut self, name: String) -> AccountId {
        let next = AccountId(self.accounts.len() as u32);
        *self.accounts.entry(name).or_insert(next)
    }

    /// Nanoseconds since the run began.
    fn now(&self) -> u64 {
        self.began.map_or(0, |began| u64::try_from(began.elapsed().as_nanos()).unwrap_or(u64::MAX))
    }

    /// Looks ahead if an operation has held up the others for long.
    fn scout(&mut self) -> Option<Refuted> {
        let before = self.now().saturating_sub(PATIENCE.as_nanos() as u64);
        self.online.waits_since().filter(|&since| since < before)?;
        self.online.scout(before).err()
    }

    fn note(&self) {
        let mut found = lock(&self.found);
        found.explained = self.online.explained();
        found.most_behind = found.most_behind.max(self.lag.behind());
    }

    fn refuted(self, refuted: &Refuted) {
        let (index, time) = refuted.line;
        let found_after = self.now().saturating_sub(time);
        let mut found = lock(&self.found);
        found.explained = refuted.explained;
        found.violation = Some(OnlineViolation { index, time, found_after });
        drop(found);
        self.lag.over.store(true, Ordering::Relaxed);
        if let Some(teller) = &self.teller {
            let why = format!("no order explains the operation that ended at index {index}");
            teller.send_replace(Some(why));
        }
    }

    fn stopped(self, stop: Stop) {
        match stop {
            _ if self.called_off.load(Ordering::Relaxed) => {}
            Stop::Time => self.give_up(&format!("one step of the search took longer than {SLICE:?}")),
            Stop::Memory => self.give_up(&format!("the search needed more than {} MiB", self.memory >> 20)),
        }
    }

    fn give_up(&self, why: &str) {
        self.lag.over.store(true, Ordering::Relaxed);
        let explained = self.online.explained();
        lock(&self.found).gave_up = Some(format!("after {explained} operations: {why}"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checker::bank::BankModel;

    fn check() -> Check {
        let called_off = Arc::new(AtomicBool::new(false));
        Check {
            lines: sync_channel(1).1,
            online: Online::new(BankModel::default(), 1 << 20, called_off.clone()),
            memory: 1 << 20,
            numbers: FxHashMap::default(),
            open_ended: VecDeque::new(),
            accounts: FxHashMap::default(),
            began: None,
            full: Arc::default(),
            lag: Arc::default(),
            found: Arc::default(),
            teller: None,
            called_off,
        }
    }

    fn invoke(check: &mut Check, index: u64) {
        let transfer = Transfer { from: "a".into(), to: "b".into(), amount: 5, balances: None };
        check.hear(Told::Invoked { index, time: index, process: index, transfer });
    }

    fn complete(check: &mut Check, invoke: u64, outcome: Outcome, observed: Observed) {
        let completion = Completion { index: invoke + 1, time: invoke + 1, outcome, observed, error: None };
        check.hear(Told::Completed { invoke, completion });
    }

    /// A transfer whose fate is unknown, then one whose reply can only be explained by it.
    fn lost_and_seen(check: &mut Check) {
        invoke(check, 0);
        complete(check, 0, Outcome::Info, Observed::Nothing);
        invoke(check, 2);
        complete(check, 2, Outcome::Ok, Observed::Pair([90, 110]));
    }

    #[test]
    fn evidence_that_comes_just_after_an_indeterminate_end_counts() {
        let mut check = check();
        lost_and_seen(&mut check);
        assert!(check.online.advance(&mut |_| ()).is_ok(), "it waits for evidence");
        assert_eq!(check.online.explained(), 0);
        check.hear(Told::NeverDelivered(0));
        check.online.allow(SLICE);
        assert!(matches!(check.online.advance(&mut |_| ()), Err(Halt::Refuted(_))));
    }

    #[test]
    fn an_indeterminate_end_without_evidence_is_taken_as_such_after_a_while() {
        let mut check = check();
        lost_and_seen(&mut check);
        assert!(!check.end_indeterminate(Instant::now()));
        assert!(check.end_indeterminate(Instant::now() + GRACE));
        check.online.allow(SLICE);
        assert!(check.online.advance(&mut |_| ()).is_ok());
        assert_eq!(check.online.explained(), 1);
    }
}
