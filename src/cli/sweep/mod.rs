//! `rsm-check sweep` and `rsm-check merge`: one workload under many seeds, each run a
//! process of its own, and what they come to together.
//!
//! Decides nothing about a run: it counts what runs said.

pub(super) mod seeds;

mod ledger;

use std::collections::BTreeSet;
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use self::ledger::{About, Ledger, Line, table, worst};
use self::seeds::{Shard, due};
use super::args::{MergeArgs, SweepArgs};
use super::child_run::{ChildRun, Ended, clear, end_all};
use super::signals::Signals;
use super::{Failure, output};
use crate::run_dir::REPORTS;
use crate::verdict::{Exit, Verdict};
use crate::workload;

pub(super) fn sweep(args: &SweepArgs) -> Result<Exit, Failure> {
    let name = workload::load(&args.workload).map_err(Failure::bad_input)?.name;
    let shard = shard(args)?;
    let text = fs::read_to_string(&args.workload)
        .map_err(|why| Failure::bad_input(format!("{}: {why}", args.workload.display())))?;
    let failed_before = args.regressions.as_deref().map_or(Ok(Vec::new()), read_regressions)?;
    let due = due(args.seeds, shard, &failed_before);
    if due.is_empty() {
        return Err(Failure::bad_input(
            "no seed falls to this shard; accepted: at most as many shards as seeds",
        ));
    }
    let about = About {
        version: env!("CARGO_PKG_VERSION").into(),
        workload: text,
        srv: args.srv.clone(),
        coord: args.coord.clone(),
        seeds: args.seeds,
        shard,
    };
    let leaf = match shard {
        Shard::WHOLE => format!("sweep-{}", name.as_str()),
        Shard { number, of } => format!("sweep-{}-{number}-of-{of}", name.as_str()),
    };
    let dir = args.out.clone().unwrap_or_else(|| Path::new(REPORTS).join(leaf));
    let mut ledger = Ledger::open(&dir, &about)?;
    ledger.mend().map_err(|why| broken(&dir, &why))?;
    let interrupted = carry_out(args, &due, &mut ledger)?;
    tell(&ledger.lines, &due, interrupted, args.quiet)
}

fn shard(args: &SweepArgs) -> Result<Shard, Failure> {
    match (args.shard, args.shards) {
        (Some(shard), _) => Ok(shard),
        (None, Some(of)) => Shard::of_scheduler(of, |name| std::env::var(name).ok())
            .map_err(|why| Failure::bad_input(format!("--shards {of}: {why}"))),
        (None, None) => Ok(Shard::WHOLE),
    }
}

fn broken(dir: &Path, why: &io::Error) -> Failure {
    Failure::infra(format!("{}: {why}", dir.display()))
}

/// Runs what is due and not yet done; tells whether it was interrupted.
fn carry_out(args: &SweepArgs, due: &[u64], ledger: &mut Ledger) -> Result<bool, Failure> {
    let program = std::env::current_exe().map_err(Failure::infra)?;
    let signals = Signals::listen().map_err(Failure::infra)?;
    let interrupted = signals.interruption();
    let done: BTreeSet<u64> = ledger.lines.iter().map(|line| line.seed).collect();
    let mut waiting = due.iter().copied().filter(|seed| !done.contains(seed));
    let dir = ledger.dir.clone();
    let failed_already = ledger.lines.iter().any(|line| line.verdict == Some(Verdict::Violation));
    let mut stop = args.stop && failed_already;
    let mut running: Vec<(u64, ChildRun)> = Vec::new();
    loop {
        while !stop && running.len() < args.jobs && !*interrupted.borrow() {
            let Some(seed) = waiting.next() else { break };
            let place = dir.join("runs").join(seed.to_string());
            let started =
                clear(&place).and_then(|()| ChildRun::start(&program, &words(args, &dir, seed), place));
            running.push((seed, started.map_err(|why| broken(&dir, &why))?));
        }
        if *interrupted.borrow() {
            end_all(running.into_iter().map(|(_, run)| run).collect());
            return Ok(true);
        }
        if running.is_empty() {
            return Ok(false);
        }
        let mut still = Vec::new();
        for (seed, mut run) in running {
            let Some(ended) = run.ended().map_err(|why| broken(&dir, &why))? else {
                still.push((seed, run));
                continue;
            };
            // A signal from the terminal reaches the runs first: those are due again.
            let ours = *interrupted.borrow() || ended.errors.contains("interrupted");
            if !ours {
                let violation = take(args, seed, &ended, ledger, due.len())?;
                stop |= args.stop && violation;
            }
        }
        running = still;
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn words(args: &SweepArgs, dir: &Path, seed: u64) -> Vec<String> {
    let workload = dir.join("workload.json").display().to_string();
    let mut words = vec![workload, "--seed".into(), seed.to_string()];
    for (option, given) in [("--srv", &args.srv), ("--coord", &args.coord)] {
        words.extend(given.iter().flat_map(|command| [option.to_owned(), command.clone()]));
    }
    words
}

/// Keeps what came of a run; tells whether it was a violation. What a run refuses, every
/// run would refuse.
fn take(
    args: &SweepArgs,
    seed: u64,
    ended: &Ended,
    ledger: &mut Ledger,
    due: usize,
) -> Result<bool, Failure> {
    if ended.status.code() == Some(Exit::BadInput as i32) {
        return Err(Failure::bad_input(&ended.errors));
    }
    let line = Line::of(seed, ended);
    let violation = line.verdict == Some(Verdict::Violation);
    ledger.add(line.clone()).map_err(|why| broken(&ledger.dir, &why))?;
    if !args.quiet {
        output::say(&format!("{:>6}/{due}  seed {seed}  {}", ledger.lines.len(), line.group()));
    }
    if let (true, Some(path)) = (violation, &args.regressions) {
        remember(path, &line)?;
    }
    Ok(violation)
}

/// A seed a line; what follows `#` is for people.
fn read_regressions(path: &Path) -> Result<Vec<u64>, Failure> {
    let refuse = |why: String| Failure::bad_input(format!("--regressions {}: {why}", path.display()));
    let text = match fs::read_to_string(path) {
        Err(why) if why.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        text => text.map_err(|why| refuse(why.to_string()))?,
    };
    let lines = text.lines().enumerate();
    let seeds = lines.filter_map(|(number, line)| {
        let seed = line.split('#').next().unwrap_or_default().trim();
        let parsed = seed.parse().map_err(|_| {
            refuse(format!(
                "line {}: `{seed}` is no seed; accepted: a number, then perhaps # and words",
                number + 1
            ))
        });
        (!seed.is_empty()).then_some(parsed)
    });
    seeds.collect()
}

fn remember(path: &Path, line: &Line) -> Result<(), Failure> {
    if read_regressions(path)?.contains(&line.seed) {
        return Ok(());
    }
    let written = OpenOptions::new()
        .create(true)
        .append(true)
        .open(path)
        .and_then(|mut file| file.write_all(format!("{} # {}\n", line.seed, line.group()).as_bytes()));
    written.map_err(|why| Failure::infra(format!("--regressions {}: {why}", path.display())))
}

/// Joins what shards found. A seed that none ran is told, and is no pass.
pub(super) fn merge(args: &MergeArgs) -> Result<Exit, Failure> {
    let mut first: Option<(About, &PathBuf)> = None;
    let (mut lines, mut expected) = (Vec::<Line>::new(), BTreeSet::new());
    for dir in &args.dirs {
        let (about, ledger) = Ledger::load(dir)?;
        if let Some((other, place)) = first.as_ref().filter(|(other, _)| !other.is_alike(&about)) {
            let what = if other.workload == about.workload { "other programs" } else { "another workload" };
            return Err(Failure::bad_input(format!(
                "{} is about {what} than {}; accepted: shards of one sweep",
                dir.display(),
                place.display()
            )));
        }
        expected.extend(about.seeds.all());
        lines.extend(ledger.lines);
        first.get_or_insert((about, dir));
    }
    lines.sort_by_key(|line| (line.seed, std::cmp::Reverse(line.verdict)));
    let due: Vec<u64> = expected.into_iter().collect();
    tell(&lines, &due, false, false)
}

fn tell(lines: &[Line], due: &[u64], interrupted: bool, quiet: bool) -> Result<Exit, Failure> {
    let done: BTreeSet<u64> = lines.iter().map(|line| line.seed).collect();
    let missing: Vec<u64> = due.iter().copied().filter(|seed| !done.contains(seed)).collect();
    let exit = match worst(lines, !missing.is_empty()) {
        Exit::Pass | Exit::Undecided if interrupted => Exit::Infra,
        exit => exit,
    };
    if !quiet {
        output::say(table(lines).trim_end());
    }
    let word = match exit {
        Exit::Pass => "pass",
        Exit::Violation => "violation",
        Exit::Undecided => "undecided",
        Exit::Infra => "infra",
        Exit::BadInput | Exit::Defect => "no verdict",
    };
    let failed = lines.iter().filter(|line| line.verdict == Some(Verdict::Violation)).count();
    let mut text = format!("{word}: {failed} of {} runs violated something", lines.len());
    if let Some(seed) = missing.first() {
        text += &format!("; {} seeds were not run (the first: {seed})", missing.len());
    }
    output::print(&text)?;
    Ok(exit)
}
