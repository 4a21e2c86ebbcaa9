//! `rsm-check run`: from a workload file to a verdict.
//!
//! Everything that can be refused is refused before the run directory exists.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use super::args::{Expectation, RunArgs};
use super::judging::{self, Judged};
use super::online::Watch;
use super::outlets::Told;
use super::progress::{self, Display};
use super::signals::Signals;
use super::{Failure, descriptors, doctor, output};
use crate::cluster::launch::{Launch, LaunchError};
use crate::cluster::{NodePaths, containment, nodes_of};
use crate::fault::{Family, Node};
use crate::plan::{Begins, Plan, PlannedFault};
use crate::record::{Beginning, NodeCommand, RunRecord};
use crate::recorded::{Lacking, RunState};
use crate::report::index;
use crate::run_dir::{self, REPORTS, RunDir};
use crate::runner::{self, Ended, How, Order, Paths};
use crate::verdict::{Exit, Verdict};
use crate::workload::{self, FaultRule, Workload, check_command};

pub(super) fn run(args: RunArgs) -> Result<Exit, Failure> {
    let mut workload = workload::load(&args.workload).map_err(Failure::bad_input)?;
    let told = Told::open(&args.outlets)?;
    override_commands(&mut workload, &args)?;
    let commands = Commands::resolve(&workload, &args)?;
    judging::check_model(&workload.model)
        .map_err(|why| Failure::bad_input(workload::refuse(&args.workload, "model", why)))?;
    descriptors::provide(&workload)?;
    let lacking = doctor::lacking(&workload)?;
    let seed = args.seed.or(workload.seed).map_or_else(random_seed, Ok)?;
    let mut plan = Plan::draw(workload, seed);
    let started = jiff::Timestamp::now();
    let dir = make_dir(&args, &plan, started)?;
    let mut record = begin(&args, &plan, &dir, &commands, started)?;
    leave_out(&mut plan, &lacking);
    record.lacking = lacking;
    dir.write_record(&record).map_err(|why| cannot_write(&dir, &why))?;
    let watch = Watch::begin(&plan.workload)
        .map_err(|why| Failure::infra(format!("no thread for the online check: {why}")))?;
    let lag = watch.as_ref().map(Watch::lag);
    let display = progress::watcher(args.words.quiet, plan.workload.duration.map(|span| span.0), lag);
    if !args.words.quiet {
        display.note(&format!("{} with seed {seed} into {}", plan.workload.name, dir.path().display()));
    }
    let signals =
        Signals::listen().map_err(|why| Failure::infra(format!("signals cannot be received: {why}")))?;
    let ended = carry_out(plan, commands, &dir, display.clone(), &signals, watch.as_ref())?;
    record.online = watch.map(|watch| watch.end(ended.cut_short));
    if let Some(why) = record.online.as_ref().and_then(|online| online.gave_up.as_ref()) {
        display.note(&format!("the online check gave up {why}; the check that follows decides"));
    }
    display.note("judging what was recorded");
    display.finish();
    take_over(&mut record, &ended);
    // The end of the run is on disk before the checks begin: should one of them
    // not come back, `check` can go on from here.
    dir.write_record(&record).map_err(|why| match &record.reason {
        Some(reason) => Failure::infra(format!("{reason}; run.json cannot be completed: {why}")),
        None => cannot_write(&dir, &why),
    })?;
    signals.judging(dir.path().to_owned());
    let judged = judging::judge_run(run_dir::load(dir.path()).map_err(Failure::infra)?)?;
    let exit = args.expect.map_or(judged.verdict().exit(), |expected| met(expected, &judged));
    if !told.is_empty() {
        told.tell(&run_dir::load(dir.path()).map_err(Failure::infra)?, exit)?;
    }
    if args.out.is_none() {
        list(Path::new(REPORTS));
    }
    judged.tell(args.words, exit)
}

/// Lists the run among the others. The list is a courtesy: without it the run is no worse.
fn list(folder: &Path) {
    if let Err(why) = index::refresh(folder) {
        let page = folder.join(index::PAGE);
        output::say(&format!("warning: {} cannot be written: {why}", page.display()));
    }
}

/// What the machine cannot carry out is not tried; the record keeps the workload as it
/// was asked for.
fn leave_out(plan: &mut Plan, lacking: &[Lacking]) {
    let lacks = |family: Family| lacking.iter().any(|lacking| lacking.family == family);
    let counted = |fault: &PlannedFault| matches!(fault.begins, Begins::Fsync { .. });
    plan.faults.retain(|fault| !(lacks(fault.fault.family()) || lacks(Family::Disk) && counted(fault)));
    let kept = |rule: &&FaultRule| !lacking.iter().any(|lacking| rule.needs(lacking.family));
    let kept = plan.workload.rules().iter().filter(kept).cloned().collect();
    plan.workload.nemesis = crate::workload::Nemesis::List(kept);
    if lacks(Family::Disk) {
        plan.workload.disk = None;
    }
}

fn override_commands(workload: &mut Workload, args: &RunArgs) -> Result<(), Failure> {
    let nodes = [
        ("--srv", &args.srv, &mut workload.cluster.srv, ["data", "dir", "name"], "data"),
        ("--coord", &args.coord, &mut workload.cluster.coord, ["ports", "dir", "name"], "ports"),
    ];
    for (option, given, launch, known, needed) in nodes {
        let Some(command) = given else { continue };
        check_command(command, &known, needed)
            .map_err(|why| Failure::bad_input(format!("{option}: {why}")))?;
        launch.command = Some(command.clone());
    }
    Ok(())
}

struct Commands {
    srv: Launch,
    coord: Launch,
}

impl Commands {
    fn resolve(workload: &Workload, args: &RunArgs) -> Result<Self, Failure> {
        let cluster = &workload.cluster;
        let refuse = |option: &Option<String>, named: &Option<String>, error: LaunchError| {
            let LaunchError { role, problem } = error;
            match (option, named) {
                (Some(_), _) => Failure::bad_input(format!("--{role}: {problem}")),
                (None, Some(_)) => {
                    let field = format!("cluster.{role}.command");
                    Failure::bad_input(workload::refuse(&args.workload, &field, problem))
                }
                (None, None) => Failure::bad_input(format!("{role}: {problem}")),
            }
        };
        Ok(Self {
            srv: Launch::srv(workload).map_err(|why| refuse(&args.srv, &cluster.srv.command, why))?,
            coord: Launch::coord(workload).map_err(|why| refuse(&args.coord, &cluster.coord.command, why))?,
        })
    }

    /// As recorded: the commands with their placeholders.
    fn of(&self, node: Node) -> NodeCommand {
        let launch = if node == Node::Coord { &self.coord } else { &self.srv };
        NodeCommand { node, words: launch.words() }
    }
}

/// A seed for a workload that has none; below 2^32, so that it is easily typed.
fn random_seed() -> Result<u64, Failure> {
    use std::io::Read;
    let mut bytes = [0u8; 4];
    let read = fs::File::open("/dev/urandom").and_then(|mut file| file.read_exact(&mut bytes));
    read.map_err(|why| {
        Failure::infra(format!("no seed can be drawn from /dev/urandom: {why}; give --seed"))
    })?;
    Ok(u64::from(u32::from_le_bytes(bytes)))
}

fn make_dir(args: &RunArgs, plan: &Plan, started: jiff::Timestamp) -> Result<RunDir, Failure> {
    let made = match &args.out {
        Some(path) => RunDir::create_at(path),
        None => {
            let stamp = run_dir::stamp(started);
            RunDir::create_in(Path::new(REPORTS), plan.workload.name.as_str(), plan.seed, &stamp)
        }
    };
    made.map_err(|why| {
        let what = args.out.as_ref().map_or_else(|| REPORTS.into(), |path| path.display().to_string());
        Failure::bad_input(format!(
            "the run directory cannot be made ({what}): {why}; name another one with --out"
        ))
    })
}

fn begin(
    args: &RunArgs,
    plan: &Plan,
    dir: &RunDir,
    commands: &Commands,
    started: jiff::Timestamp,
) -> Result<RunRecord, Failure> {
    let nodes = nodes_of(&plan.workload);
    for &node in &nodes {
        dir.make_node(node).map_err(|why| cannot_write(dir, &why))?;
    }
    let mut record = RunRecord::begin(Beginning {
        workload: plan.workload.clone(),
        seed: plan.seed,
        started: started.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
        plan: serde_json::to_value(&plan.faults).unwrap_or_default(),
        reproduce: reproduce(args, plan.seed),
    });
    record.commands = nodes.into_iter().map(|node| commands.of(node)).collect();
    record.containment = containment::prepare().describe().into();
    dir.write_record(&record).map_err(|why| cannot_write(dir, &why))?;
    Ok(record)
}

/// The command that runs the same again, from the same directory.
fn reproduce(args: &RunArgs, seed: u64) -> String {
    let mut words = vec!["rsm-check".into(), "run".into(), args.workload.display().to_string()];
    words.extend(["--seed".into(), seed.to_string()]);
    for (option, given) in [("--srv", &args.srv), ("--coord", &args.coord)] {
        if let Some(command) = given {
            words.extend([option.into(), command.clone()]);
        }
    }
    shell_words::join(words)
}

fn cannot_write(dir: &RunDir, why: &std::io::Error) -> Failure {
    Failure::infra(format!("{} cannot be written: {why}", dir.path().display()))
}

fn carry_out(
    plan: Plan,
    commands: Commands,
    dir: &RunDir,
    display: Arc<dyn Display>,
    signals: &Signals,
    watch: Option<&Watch>,
) -> Result<Ended, Failure> {
    // Clients on this thread, proxies on another, records on theirs: measured, more
    // threads are slower (docs/benchmarks-harness.md).
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|why| Failure::infra(format!("no event loop can be started: {why}")))?;
    let (history, wire, nodes) = (dir.history(), dir.wire(), dir.clone());
    let node = move |node| NodePaths {
        dir: nodes.node_data(node),
        data: nodes.data_file(node),
        log: nodes.node_log(node),
    };
    let paths = Paths { history, wire, node: Arc::new(node) };
    let Commands { srv, coord } = commands;
    let interrupted = signals.interruption();
    let listener = watch.map(Watch::listener);
    let enough = watch.map_or_else(|| tokio::sync::watch::channel(None).1, Watch::enough);
    let order = Order { plan, srv, coord, paths, interrupted, watcher: display, listener, enough };
    Ok(runtime.block_on(runner::run(order)))
}

fn take_over(record: &mut RunRecord, ended: &Ended) {
    record.rest = ended.rest;
    (record.state, record.reason) = match &ended.how {
        How::Finished => (RunState::Finished, None),
        How::Interrupted => (RunState::Interrupted, Some("interrupted by a signal".into())),
        How::Infra(why) => (RunState::Infra, Some(why.clone())),
    };
}

/// `--expect`: 0 if met; if not, the verdict's own code, or 1 for an unexpected pass.
fn met(expected: Expectation, judged: &Judged) -> Exit {
    let verdict = judged.verdict();
    let same_check = expected.check.is_none_or(|wanted| judged.earned(wanted, expected.verdict));
    if verdict == expected.verdict && same_check {
        return Exit::Pass;
    }
    let check = expected.check.map_or(String::new(), |check| format!(": {check}"));
    output::error(&format!("expected {}{check}, found {verdict}", expected.verdict));
    if verdict == Verdict::Pass { Exit::Violation } else { verdict.exit() }
}
