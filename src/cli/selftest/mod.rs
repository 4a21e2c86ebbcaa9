//! `rsm-check selftest`: is what this tester says to be believed?
//!
//! Plants known bugs in the reference system, one at a time, and runs everything against
//! each; then the correct system, which nobody may accuse. Every run is a process of its
//! own with a directory of its own. What is found goes into a ledger at once, so that a
//! self-test that was ended goes on from there.
//!
//! ```text
//! bugs     which can be planted, learnt from `coord`
//! trial    one run, as a child process
//! ledger   what every trial came to, on disk
//! figures  what they come to together
//! page     the table, and docs/detection.md
//! ```
//!
//! Must not know how a run is driven or judged: it believes the run's own words.

mod bugs;
mod figures;
mod ledger;
mod page;
mod trial;

use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;

use super::args::SelftestArgs;
use super::child_run::ChildRun;
use super::signals::Signals;
use super::{Failure, descriptors, output};
use crate::cluster::capability::probe;
use crate::fault::Family;
use crate::run_dir::{self, REPORTS, RunDir};
use crate::verdict::Exit;
use crate::workload::{self, Nemesis, Span, Workload};
use bugs::Bug;
use figures::Figures;
use ledger::Ledger;
use trial::{Found, Subject, Trial};

/// What bugs are planted into: the same for all of them.
const WORKLOAD: &str = include_str!("../../../workloads/planted_bugs.json");
/// A quick run is over after so long, its verdict included.
const QUICK: Duration = Duration::from_secs(8);
/// A bug counts as caught if that took no longer.
const IN_TIME: Duration = Duration::from_secs(60);
/// So much longer than that a run may take before it counts as hanging.
const HANGING: u32 = 3;

pub(super) fn selftest(args: &SelftestArgs) -> Result<Exit, Failure> {
    let programs = Programs::find()?;
    let bugs = chosen(bugs::learn(&programs.coord)?, args.bug.as_deref())?;
    let lacking: Vec<Family> = Family::ALL.into_iter().filter(|family| probe(*family).is_err()).collect();
    let workload = workload_for(args)?;
    descriptors::provide(&workload)?;
    let dir = directory(args)?;
    let ledger = Ledger::open(&dir, &workload).map_err(Failure::bad_input)?;
    output::say(&format!("results go into {}; --resume goes on from there", dir.display()));
    let signals =
        Signals::listen().map_err(|why| Failure::infra(format!("signals cannot be received: {why}")))?;
    let due = due(args, &bugs, &lacking, &ledger);
    let session = Session { programs, dir, workload, commit: page::commit(), ceiling: ceiling(args) };
    let (ledger, interrupted) = carry_out(&session, due, ledger, usize::from(args.jobs), &signals)?;
    let figures = Figures::of(&bugs, &lacking, ledger.trials(), session.ceiling);
    report(args, &session, &figures, interrupted)
}

/// What every trial of one self-test has in common.
struct Session {
    programs: Programs,
    dir: PathBuf,
    workload: Workload,
    commit: String,
    ceiling: Duration,
}

/// The programs beside this one.
#[derive(Clone)]
struct Programs {
    rsm_check: PathBuf,
    srv: PathBuf,
    coord: PathBuf,
}

impl Programs {
    fn find() -> Result<Self, Failure> {
        let own = std::env::current_exe()
            .and_then(std::fs::canonicalize)
            .map_err(|why| Failure::infra(format!("where this program lies cannot be found out: {why}")))?;
        let beside = |name: &str| {
            let path = own.with_file_name(name);
            let why = || format!("{name}: {} is missing; the self-test needs it there", path.display());
            if path.is_file() { Ok(path) } else { Err(Failure::bad_input(why())) }
        };
        Ok(Self { srv: beside("srv")?, coord: beside("coord")?, rsm_check: own.clone() })
    }
}

fn chosen(all: Vec<Bug>, name: Option<&str>) -> Result<Vec<Bug>, Failure> {
    let Some(name) = name else { return Ok(all) };
    let names = all.iter().map(|bug| bug.name.as_str()).collect::<Vec<_>>().join(", ");
    let found: Vec<Bug> = all.into_iter().filter(|bug| bug.name == name).collect();
    if found.is_empty() {
        return Err(Failure::bad_input(format!("--bug: `{name}` is no bug; accepted: {names}")));
    }
    Ok(found)
}

fn workload_for(args: &SelftestArgs) -> Result<Workload, Failure> {
    let parsed = workload::parse("workloads/planted_bugs.json", WORKLOAD);
    let mut workload = parsed.map_err(|why| Failure::bad_input(why.to_string()))?;
    if args.quick {
        workload.duration = Some(Span(Duration::from_secs(3)));
        workload.budgets.settle = Span(Duration::from_millis(1500));
        workload.budgets.check = Span(Duration::from_millis(1500));
        workload.budgets.stop = Span(Duration::from_millis(500));
    }
    Ok(workload)
}

fn ceiling(args: &SelftestArgs) -> Duration {
    if args.quick { QUICK } else { IN_TIME }
}

fn directory(args: &SelftestArgs) -> Result<PathBuf, Failure> {
    if let Some(dir) = &args.resume {
        return dir.canonicalize().map_err(|why| {
            Failure::bad_input(format!("--resume: {}: {why}; name a self-test's directory", dir.display()))
        });
    }
    let stamp = run_dir::stamp(jiff::Timestamp::now());
    let made = RunDir::create_in(Path::new(REPORTS), "selftest", 0, &stamp);
    made.map(|dir| dir.path().to_owned())
        .map_err(|why| Failure::bad_input(format!("no directory can be made below {REPORTS}: {why}")))
}

/// What is still to be tried, seed by seed, so that whenever it ends every bug has had as
/// many tries as the others.
fn due(args: &SelftestArgs, bugs: &[Bug], lacking: &[Family], ledger: &Ledger) -> Vec<Trial> {
    let seeds = args.seeds.unwrap_or(if args.quick { 1 } else { 20 });
    let each = if args.quick { 3 } else { 10 };
    let correct = args.correct.unwrap_or(if args.bug.is_some() { 0 } else { seeds * each });
    let mut due = Vec::new();
    for seed in 1..=seeds {
        for bug in bugs.iter().filter(|bug| bug.is_testable(lacking)) {
            due.push(Trial { subject: Subject::Planted, bug: Some(bug.clone()), seed });
            if args.calm && !bug.needs.is_empty() {
                due.push(Trial { subject: Subject::Calm, bug: Some(bug.clone()), seed });
            }
        }
        let share = |seed: u64| correct * seed / seeds;
        let correct = (share(seed - 1) + 1)..=share(seed);
        due.extend(correct.map(|seed| Trial { subject: Subject::Correct, bug: None, seed }));
    }
    due.retain(|trial| !ledger.has(trial));
    due
}

/// Several side by side, each told to the ledger when it is over.
fn carry_out(
    session: &Session,
    due: Vec<Trial>,
    mut ledger: Ledger,
    jobs: usize,
    signals: &Signals,
) -> Result<(Ledger, bool), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|why| Failure::infra(format!("no event loop can be started: {why}")))?;
    let mut interrupted = signals.interruption();
    let whole = due.len();
    let mut waiting = due.into_iter();
    let (mut done, mut running) = (0, JoinSet::new());
    runtime.block_on(async {
        loop {
            while running.len() < jobs && !*interrupted.borrow_and_update() {
                let Some(trial) = waiting.next() else { break };
                running.spawn(one(session, trial, interrupted.clone()));
            }
            let Some(ended) = running.join_next().await else { break };
            let found = ended.unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()));
            // What was interrupted was not tried.
            if let Some(found) = found? {
                done += 1;
                output::say(&format!("[{done}/{whole}] {}", found.in_words(session.ceiling)));
                ledger.add(found).map_err(|why| {
                    Failure::infra(format!("{} cannot be written: {why}", session.dir.display()))
                })?;
            }
        }
        Ok::<(), Failure>(())
    })?;
    let interrupted = *interrupted.borrow();
    Ok((ledger, interrupted))
}

/// One trial. Its directory stays where it did not come to what was hoped for.
fn one(
    session: &Session,
    trial: Trial,
    interrupted: watch::Receiver<bool>,
) -> impl Future<Output = Result<Option<Found>, Failure>> + 'static {
    let place = session.dir.join(trial.name());
    let words = trial.words(&session.programs, &place.join(trial::WORKLOAD));
    let workload = workload_of(session, &trial);
    let (program, commit) = (session.programs.rsm_check.clone(), session.commit.clone());
    let ceiling = session.ceiling;
    async move {
        let told = |why: std::io::Error| Failure::infra(format!("{}: {why}", place.display()));
        trial::prepare(&place, &workload).map_err(told)?;
        let run = ChildRun::start(&program, &words, place.clone()).map_err(told)?;
        let ended = run.end_within(ceiling * HANGING, &interrupted).await.map_err(told)?;
        let Some(ended) = ended else { return Ok(None) };
        let found = Found::of(&trial, ended, &place, commit);
        if found.is_as_hoped(ceiling) {
            // Left over it does no harm.
            let _ = std::fs::remove_dir_all(&place);
        }
        Ok(Some(found))
    }
}

/// Without the faults that the bug needs, where it has to stay hidden.
fn workload_of(session: &Session, trial: &Trial) -> Workload {
    let mut workload = session.workload.clone();
    if let (Subject::Calm, Some(bug)) = (trial.subject, &trial.bug) {
        workload.nemesis = match (&workload.nemesis, bug.needs.len() == Family::ALL.len()) {
            (Nemesis::Mix(mix), false) => {
                let mut mix = mix.clone();
                mix.all.without = bug.needs.clone();
                Nemesis::Mix(mix)
            }
            _ => Nemesis::List(Vec::new()),
        };
    }
    workload
}

fn report(
    args: &SelftestArgs,
    session: &Session,
    figures: &Figures,
    interrupted: bool,
) -> Result<Exit, Failure> {
    let written = page::write(&session.dir, figures, !args.quick && args.bug.is_none() && !interrupted);
    let written = written.map_err(|why| Failure::infra(format!("detection.md cannot be written: {why}")))?;
    written.iter().for_each(|path| output::say(&format!("wrote {}", path.display())));
    output::print(&page::table(figures))?;
    let (line, exit) = figures.conclusion(interrupted);
    output::print(&line)?;
    Ok(exit)
}
