//! `rsm-check check`: judge a history or a run directory again.
//!
//! Changes nothing on disk, but for a new file that `--proof` names.

use std::fs::File;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use super::args::CheckArgs;
use super::input::Input;
use super::judging::{self, Judged};
use super::{Failure, output, stream};
use crate::checker::models::AnyModel;
use crate::fault::Node;
use crate::history::data_file::MAX_DATA_FILE;
use crate::history::untyped::{self, UntypedHistory};
use crate::history::{History, formats};
use crate::recorded::{Recorded, ReplicaFile};
use crate::regular_file;
use crate::run_dir;
use crate::verdict::Exit;

pub(super) fn check(args: &CheckArgs) -> Result<Exit, Failure> {
    if let Some(path) = args.proof.as_deref().filter(|path| path.symlink_metadata().is_ok()) {
        return Err(exists(path));
    }
    let refuse = |why: String| Failure::bad_input(format!("--model: {why}"));
    let other = args.model.as_deref().map(judging::other_model).transpose().map_err(refuse)?.flatten();
    let judged = match other {
        None if args.stream && args.what.is_dir() => {
            let why = "--stream: a run directory holds files too; give its history.jsonl";
            return Err(Failure::bad_input(why));
        }
        None if args.what.is_dir() => check_run(args)?,
        None => match args.stream.then(|| check_stream(args)).transpose()?.flatten() {
            Some(judged) => judged,
            None => check_history(args)?,
        },
        Some(model) if args.stream => {
            let found = model.name();
            return Err(Failure::bad_input(format!("--stream: not for `{found}`; accepted: bank")));
        }
        Some(model) if args.what.is_dir() => {
            let found = model.name();
            return Err(refuse(format!("a run directory holds a bank, not `{found}`; accepted: bank")));
        }
        Some(mut model) => check_other(args, model.as_mut())?,
    };
    if let Some(path) = &args.proof {
        write_proof(path, &judged, args.words.quiet)?;
    }
    judged.tell(args.words, judged.verdict().exit())
}

fn exists(path: &Path) -> Failure {
    Failure::bad_input(format!("--proof {}: it exists, and nothing is overwritten", path.display()))
}

/// Writes the evidence into a new file; a verdict without any leaves none.
fn write_proof(path: &Path, judged: &Judged, quiet: bool) -> Result<(), Failure> {
    let Some(proof) = judged.proof() else {
        if !quiet {
            output::say(&format!(
                "warning: --proof {}: nothing is written, since there is no evidence for this verdict",
                path.display()
            ));
        }
        return Ok(());
    };
    let json = proof.to_json().map_err(std::io::Error::from);
    let file = File::create_new(path);
    let written = file.and_then(|mut file| json.and_then(|json| file.write_all(&json)));
    written.map_err(|why| match why.kind() {
        ErrorKind::AlreadyExists => exists(path),
        _ => Failure::bad_input(format!("--proof {}: cannot be written: {why}", path.display())),
    })
}

/// A history of another model than the bank: only linearizability can be judged.
fn check_other(args: &CheckArgs, model: &mut dyn AnyModel) -> Result<Judged, Failure> {
    if !args.replicas.is_empty() {
        let why = format!("--replicas: files of replicas are those of a bank, not of `{}`", model.name());
        return Err(Failure::bad_input(why));
    }
    let history = read_other(&args.what, args.words.quiet)?;
    let mut recorded = Recorded::bare(history.harness.clone(), args.model.as_deref(), Vec::new());
    override_options(&mut recorded, args);
    judging::judge_other(&recorded, &history, model, command())
        .map_err(|why| Failure::bad_input(format!("{}, {why}", source(&args.what))))
}

pub(super) fn read_other(path: &Path, quiet: bool) -> Result<UntypedHistory, Failure> {
    let (from, told) = Input::open(path, quiet)?.split();
    let mut lines = formats::lines(from).map_err(|why| told.refused(&why))?;
    let mut history = untyped::read_untyped_lines(&mut lines).map_err(|why| told.refused(&why))?;
    told.done();
    history.warnings.extend(lines.warnings());
    history.warnings.iter().for_each(|warning| told.warn(quiet, warning));
    Ok(history)
}

pub(super) fn source(path: &Path) -> String {
    if path == Path::new("-") { "standard input".into() } else { path.display().to_string() }
}

/// What was typed, to be typed again.
fn command() -> String {
    let words = std::env::args_os().skip(1).map(|word| word.to_string_lossy().into_owned());
    shell_words::join(std::iter::once("rsm-check".into()).chain(words))
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
    Ok(judging::judge_bare(&recorded, command()))
}

fn check_stream(args: &CheckArgs) -> Result<Option<Judged>, Failure> {
    let mut recorded = Recorded::bare(History::default(), args.model.as_deref(), Vec::new());
    override_options(&mut recorded, args);
    stream::check(args, &recorded, command())
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

pub(super) fn read_history(path: &Path, quiet: bool) -> Result<History, Failure> {
    let (from, told) = Input::open(path, quiet)?.split();
    let history = formats::read(from).map_err(|why| told.refused(&why))?;
    told.done();
    history.warnings.iter().for_each(|warning| told.warn(quiet, warning));
    Ok(history)
}

pub(super) fn files(paths: &[PathBuf]) -> Result<Vec<ReplicaFile>, Failure> {
    let numbered = (1u16..).zip(paths);
    // Bounded, and never waiting: it may be a device or a pipe.
    let bytes = |path: &Path| regular_file::read(&path.canonicalize()?, MAX_DATA_FILE);
    let read = numbered.map(|(number, path)| match bytes(path) {
        Ok(bytes) => Ok(ReplicaFile::new(Node::Srv(number), Some(bytes))),
        Err(why) => Err(Failure::bad_input(format!("{}: cannot be read: {why}", path.display()))),
    });
    read.collect()
}
