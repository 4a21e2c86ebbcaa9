//! Bugs that can be planted on purpose, one at a time, to see whether a tester catches them.
//!
//! A tester that was never seen to catch a known bug proves nothing. Each bug here is one that
//! replicated systems have had, at the one place where the right program decides that matter: the
//! place asks [`Bug::is_planted`] and is otherwise what it would be without this file. None is
//! planted unless `--bug` names it. Which is planted belongs to the whole program, as if it had
//! been compiled in, so it is set once at the start and read everywhere. This file must not know
//! what a bug does beyond saying it; what several places would need to know of the world outside
//! (a clock, whose guard it is) is kept here too, so that the right program never asks.

#![allow(dead_code, reason = "each program, and the simulation, uses its part")]

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use clap::ValueEnum;

/// One bug. The name on the command line is the variant in kebab case.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[allow(missing_docs, reason = "`Bug::about` says what each one is, for people and programs alike")]
pub enum Bug {
    LocalTime,
    NoTotalOrder,
    AckBeforeSync,
    NoDirSync,
    InPlace,
    RestartsEmpty,
    CatchUpSkips,
    CatchUpTwice,
    RetryIsNew,
    StaleRead,
    OneRead,
    GuardDiffers,
    DropsReplica,
    Minority,
    LongestLog,
    NoFencing,
    WallClockOrder,
    WallClockTimeout,
    FsyncIgnored,
    HalfRecord,
    WrapAround,
    RefusedYetApplied,
    LostUpdate,
}

/// A family of faults, by the word that `rsm-check doctor` uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Needs {
    /// Nodes that end, are paused or are started again.
    Process,
    /// Links that are slow, cut or silent.
    Network,
    /// Wrong times of day.
    Clock,
    /// Disks that fail, fill up or forget.
    Disk,
}

/// What is to be known about a bug.
#[derive(Clone, Copy, Debug)]
pub struct About {
    /// What is wrong, in a clause.
    pub what: &'static str,
    /// Any of these brings it out; with none of them the system behaves. Empty: it needs no fault.
    pub needs: &'static [Needs],
    /// The checks of which one must fire.
    pub caught_by: &'static [&'static str],
}

const REPLICAS: &str = "replicas identical";
const ORDER: &str = "linearizable";
const EXIT: &str = "unrequested exit";
const SERVICE: &str = "available";

static PLANTED: OnceLock<Bug> = OnceLock::new();
static OTHER_GUARD: AtomicBool = AtomicBool::new(false);

impl Bug {
    /// Plants it in this program, for good.
    pub fn plant(self) {
        let _ = PLANTED.set(self);
    }

    /// Whether this is the one that is planted.
    pub fn is_planted(self) -> bool {
        PLANTED.get() == Some(&self)
    }

    /// The name on the command line.
    pub fn name(self) -> String {
        self.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned())
    }

    /// What it is, what it takes, who must see it.
    pub fn about(self) -> About {
        use Needs::{Clock, Disk, Network, Process};
        let about = |what, needs, caught_by| About { what, needs, caught_by };
        match self {
            Self::LocalTime => about(
                "each replica writes its own time into the data file instead of the coordinator's",
                &[Process, Network, Clock, Disk],
                &[REPLICAS],
            ),
            Self::NoTotalOrder => about(
                "requests that come together are forwarded side by side: each replica has its own order",
                &[],
                &[REPLICAS, ORDER],
            ),
            Self::AckBeforeSync => about(
                "a replica answers before its log is synced, which happens once a second",
                &[Disk],
                &[ORDER, REPLICAS],
            ),
            Self::NoDirSync => about(
                "the new log is synced and renamed, but its directory is not synced",
                &[Disk],
                &[ORDER, REPLICAS, SERVICE, EXIT],
            ),
            Self::InPlace => about(
                "the data file is rewritten in place, without a sync, and believed at the next start",
                &[Disk],
                &[REPLICAS, ORDER],
            ),
            Self::RestartsEmpty => about(
                "a replica that is started again forgets everything and goes on",
                &[Process, Disk],
                &[ORDER, SERVICE, REPLICAS],
            ),
            Self::CatchUpSkips => about(
                "a replica that is started again takes the entry that was in flight for applied",
                &[Process, Disk],
                &[REPLICAS, ORDER],
            ),
            Self::CatchUpTwice => about(
                "a replica that is started again applies the entry that was in flight, and later once more",
                &[Process, Disk],
                &[REPLICAS, ORDER],
            ),
            Self::RetryIsNew => about(
                "a replica takes entries that it is sent again for new ones",
                &[Process, Network, Disk],
                &[REPLICAS, ORDER],
            ),
            Self::StaleRead => about(
                "reads are answered by a replica from what it has applied, however far it lags",
                &[],
                &[ORDER],
            ),
            Self::OneRead => {
                about("the coordinator takes what one read brings for the whole request", &[], &[ORDER])
            }
            Self::GuardDiffers => about(
                "the guard is >= instead of > on the replica whose directory's name ends in 2",
                &[],
                &[REPLICAS, ORDER],
            ),
            Self::DropsReplica => about(
                "a replica that was lost once is never connected again, and nobody is told",
                &[Process, Network, Disk],
                &[REPLICAS, SERVICE],
            ),
            Self::Minority => about(
                "half of the replicas, rounded down, counts as a majority",
                &[Process, Network, Disk],
                &[ORDER, REPLICAS],
            ),
            Self::LongestLog => about(
                "a new coordinator takes over the longest log, whatever its incarnation",
                &[Process, Network, Disk],
                &[ORDER, SERVICE, REPLICAS],
            ),
            Self::NoFencing => about(
                "replicas do not look at incarnations: late messages of a dead coordinator are accepted, \
                 and its entries taken for those of its successor",
                &[Process, Network, Disk],
                &[REPLICAS, ORDER],
            ),
            Self::WallClockOrder => about(
                "a replica that is started again replays its log in the order of the entries' times",
                &[Clock],
                &[REPLICAS, ORDER],
            ),
            Self::WallClockTimeout => about(
                "the coordinator measures all its waiting by the time of day",
                &[Clock],
                &[SERVICE, REPLICAS, ORDER],
            ),
            Self::FsyncIgnored => about("the error of a sync is ignored", &[Disk], &[ORDER, REPLICAS, EXIT]),
            Self::HalfRecord => about(
                "a record that was half written when the disk was full stays in the log; the next start \
                 takes it and all later ones for torn",
                &[Disk],
                &[EXIT, ORDER, SERVICE, REPLICAS],
            ),
            Self::WrapAround => about(
                "an amount beyond 64 bits wraps around: 18446744073709551621 is taken for 5",
                &[],
                &[ORDER],
            ),
            Self::RefusedYetApplied => about(
                "a request whose fate is open at the deadline is answered `refused`, and applied later",
                &[Process, Network, Disk],
                &[ORDER],
            ),
            Self::LostUpdate => about(
                "transfers with different givers are applied by two threads; of two that pay the same \
                 taker within a few microseconds one is lost",
                &[],
                &[ORDER],
            ),
        }
    }
}

impl Needs {
    /// The word.
    pub fn name(self) -> &'static str {
        match self {
            Self::Process => "process",
            Self::Network => "network",
            Self::Clock => "clock",
            Self::Disk => "disk",
        }
    }
}

/// [`Bug::GuardDiffers`]: this program is the one whose guard differs.
pub fn have_other_guard() {
    OTHER_GUARD.store(true, Ordering::Relaxed);
}

/// Whether the guard lets pass what is exactly there.
pub fn has_other_guard() -> bool {
    OTHER_GUARD.load(Ordering::Relaxed)
}

/// The time of day in seconds since 1970.
pub fn time_of_day() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

/// [`Bug::AckBeforeSync`]: whether a second has passed since this last said so.
pub fn background_sync_is_due() -> bool {
    static LAST: std::sync::Mutex<Option<Instant>> = std::sync::Mutex::new(None);
    let Ok(mut last) = LAST.lock() else { return true };
    let due = last.is_none_or(|last| last.elapsed() >= Duration::from_secs(1));
    if due {
        *last = Some(Instant::now());
    }
    due
}
