//! `rsm-check verify`: is a proof about linearizability right?
//!
//! Brings history, model and proof together and asks [`crate::verifier`]; the search
//! and its models have no say here. [`passing`] does the same for a history that is not
//! held. Changes nothing on disk.

mod passing;

use std::path::{Path, PathBuf};
use std::time::Instant;

use serde_json::json;

use super::args::{VerifyArgs, Words};
use super::{Failure, check, output};
use crate::checker::{evidence, last_reads};
use crate::proof::{HEAD, Sealed};
use crate::recorded::Recorded;
use crate::regular_file;
use crate::run_dir;
use crate::verdict::Exit;
use crate::verifier::{Bank, Effort, Finding, Model, Others, Rules, verify as verify_proof};

/// The largest proof that is read, in bytes.
const MAX_PROOF: usize = 64 << 20;

pub(super) fn verify(args: &VerifyArgs) -> Result<Exit, Failure> {
    if let Some(path) = &args.witness {
        return passing::verify(args, path);
    }
    if args.what.is_dir() {
        return verify_run(args);
    }
    let Some(path) = &args.proof else {
        let why = "a history alone has no proof beside it; name one with --proof (as `check --proof` wrote it) \
             or an order with --witness (as `check --stream --witness` did)";
        return Err(Failure::bad_input(format!("{}: {why}", check::source(&args.what))));
    };
    let question = Question::read(args, path)?;
    let meant = question.model()?;
    let model = args.model.as_deref().map_or(Ok(meant.clone()), demanded)?;
    question.agrees(&meant, &model, "--model")?;
    match model {
        Model::Bank(rules) => {
            let history = check::read_history(&args.what, args.words.quiet)?;
            question.bank(&Recorded::bare(history, None, check::files(&args.replicas)?), rules)
        }
        Model::Other(..) if !args.replicas.is_empty() => {
            Err(Failure::bad_input("--replicas: files of replicas are those of a bank, which this is not"))
        }
        Model::Other(kind, initial) => {
            let history = check::read_other(&args.what, args.words.quiet)?;
            let refuse = |why| Failure::bad_input(format!("{}, {why}", check::source(&args.what)));
            let subject = Others::new(kind, &initial, &history).map_err(refuse)?;
            let proof = question.open(&evidence::about_other(&history))?;
            question.answer(|effort| verify_proof(&subject, &proof, effort))
        }
    }
}

/// A run directory brings model, files and proof of its own.
fn verify_run(args: &VerifyArgs) -> Result<Exit, Failure> {
    let run = run_dir::load(&args.what).map_err(Failure::bad_input)?;
    let mut recorded = run.recorded();
    if !args.replicas.is_empty() {
        recorded.files = check::files(&args.replicas)?;
    }
    let path = args.proof.clone().unwrap_or_else(|| run.dir.proof());
    let question = Question::read(args, &path)?;
    let meant = question.model()?;
    let (from, text) = match &args.model {
        Some(text) => ("--model", text),
        None => ("the run", &recorded.workload.model),
    };
    let model = demanded(text)?;
    question.agrees(&meant, &model, from)?;
    match model {
        Model::Bank(rules) => question.bank(&recorded, rules),
        Model::Other(..) => Err(Failure::bad_input("--model: a run directory holds a bank; accepted: bank")),
    }
}

fn demanded(text: &str) -> Result<Model, Failure> {
    Model::parse(text).map_err(|why| Failure::bad_input(format!("--model: {why}")))
}

/// A proof that waits for its history.
struct Question<'a> {
    args: &'a VerifyArgs,
    path: PathBuf,
    sealed: Sealed,
}

impl<'a> Question<'a> {
    fn read(args: &'a VerifyArgs, path: &Path) -> Result<Self, Failure> {
        let bytes = path.canonicalize().and_then(|path| regular_file::read(&path, MAX_PROOF));
        let bytes = bytes.map_err(|why| {
            Failure::bad_input(format!("{}: the proof cannot be read: {why}", path.display()))
        })?;
        let refused = |why: String| Failure::bad_input(format!("{}: {why}", path.display()));
        if bytes.starts_with(HEAD) {
            let why = "an order that `check --stream --witness` wrote; give it with --witness, not --proof";
            return Err(refused(why.into()));
        }
        let sealed = Sealed::read(&bytes).map_err(refused)?;
        Ok(Self { args, path: path.to_owned(), sealed })
    }

    fn refused(&self, why: &str) -> Failure {
        Failure::bad_input(format!("{}: {why}", self.path.display()))
    }

    /// The model that the proof is about.
    fn model(&self) -> Result<Model, Failure> {
        Model::parse(&self.sealed.model).map_err(|why| self.refused(&format!("`model`: {why}")))
    }

    fn agrees(&self, meant: &Model, demanded: &Model, from: &str) -> Result<(), Failure> {
        if meant == demanded {
            return Ok(());
        }
        let shown = self.sealed.model.escape_debug();
        Err(self.refused(&format!("the proof is about the model {shown}, which is not that of {from}")))
    }

    fn open(&self, about: &crate::proof::About) -> Result<crate::proof::Proof, Failure> {
        self.sealed.clone().open(about).map_err(|why| self.refused(&why))
    }

    fn bank(&self, recorded: &Recorded, rules: Rules) -> Result<Exit, Failure> {
        let finals = last_reads(recorded).0;
        let files = finals.iter().map(|file| (file.node.as_str(), &file.file));
        let subject = Bank::new(rules, &recorded.history, files);
        let proof = self.open(&evidence::about(recorded))?;
        self.answer(|effort| verify_proof(&subject, &proof, effort))
    }

    /// Asks, and says what was found.
    fn answer(&self, ask: impl FnOnce(&mut Effort<'_>) -> Finding) -> Result<Exit, Failure> {
        let (begin, words) = (Instant::now(), self.args.words);
        let memory = usize::try_from(self.args.memory.0).unwrap_or(usize::MAX);
        let out_of_time = || begin.elapsed() >= self.args.budget.0;
        let finding = ask(&mut Effort::new(&out_of_time, memory));
        let path = self.path.display().to_string();
        tell(words, &finding, (&path, &self.sealed.model), begin)
    }
}

/// Says what was found: words on stderr, one line or one object on stdout.
fn tell(
    words: Words,
    finding: &Finding,
    (proof, model): (&str, &str),
    begin: Instant,
) -> Result<Exit, Failure> {
    let (exit, name, message) = match finding {
        Finding::Confirmed(message) => (Exit::Pass, "confirmed", message),
        Finding::Refuted(message) => (Exit::Violation, "refuted", message),
        Finding::Undecided(message) => (Exit::Undecided, "undecided", message),
    };
    if !words.quiet {
        let took = begin.elapsed();
        output::say(&format!("{proof}: judged by the model {}, in {took:.1?}", model.escape_debug()));
    }
    let message: String =
        message.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).collect();
    if words.json {
        let told = json!({ "finding": name, "exit": exit as u8, "message": message,
            "proof": proof, "model": model });
        output::print(&told.to_string())?;
    } else {
        output::print(&format!("{name}: {message}"))?;
    }
    Ok(exit)
}
