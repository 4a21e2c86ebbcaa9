//! `rsm-check check`: judge a history or a run directory again.
//!
//! Changes nothing on disk.

use std::path::{Path, PathBuf};

use super::Failure;
use super::args::CheckArgs;
use super::input::Input;
use super::judging::{self, Judged};
use crate::fault::Node;
use crate::history::{History, formats};
use crate::recorded::{Recorded, ReplicaFile};
use crate::run_dir;
use crate::verdict::Exit;

pub(super) fn check(args: &CheckArgs) -> Result<Exit, Failure> {
    if let Some(model) = &args.model {
        judging::check_model(model).map_err(|why| Failure::bad_input(format!("--model: {why}")))?;
    }
    let judged = if args.what.is_dir() { check_run(args)? } else { check_history(args)? };
    judged.tell(args.words, judged.verdict().exit())
}

/// A run directory brings model, files and evidence of its own.
fn check_run(args: &CheckArgs) -> Result<Judged, Failure> {
    let run = run_dir::load(&args.what).map_err(Failure::bad_input)?;
    let mut recorded = run.recorded();
    override_options(&mut recorded, args);
    if !args.replicas.is_empty() {
        recorded.files = files(&args.replicas)?;
    }
    Ok(judging::judge_loaded(&run, &recorded))
}

fn check_history(args: &CheckArgs) -> Result<Judged, Failure> {
    let history = read_history(&args.what, args.words.quiet)?;
    let mut recorded = Recorded::bare(history, args.model.as_deref(), files(&args.replicas)?);
    override_options(&mut recorded, args);
    let words = std::env::args_os().skip(1).map(|word| word.to_string_lossy().into_owned());
    let command = shell_words::join(std::iter::once("rsm-check".into()).chain(words));
    Ok(judging::judge_bare(&recorded, command))
}

fn override_options(recorded: &mut Recorded, args: &CheckArgs) {
    if let Some(model) = &args.model {
        recorded.workload.model.clone_from(model);
    }
    if let Some(budget) = args.budget {
        recorded.workload.budgets.check = budget;
    }
    if let Some(memory) = args.memory {
        recorded.workload.budgets.memory_mib = memory.0 >> 20;
    }
}

fn read_history(path: &Path, quiet: bool) -> Result<History, Failure> {
    let (from, told) = Input::open(path, quiet)?.split();
    let history = formats::read(from).map_err(|why| told.refused(&why))?;
    told.done();
    history.warnings.iter().for_each(|warning| told.warn(quiet, warning));
    Ok(history)
}

fn files(paths: &[PathBuf]) -> Result<Vec<ReplicaFile>, Failure> {
    let numbered = (1u16..).zip(paths);
    let read = numbered.map(|(number, path)| match std::fs::read(path) {
        Ok(bytes) => Ok(ReplicaFile::new(Node::Srv(number), Some(bytes))),
        Err(why) => Err(Failure::bad_input(format!("{}: cannot be read: {why}", path.display()))),
    });
    read.collect()
}
