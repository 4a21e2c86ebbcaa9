//! From what was recorded to a verdict, reports and words.
//!
//! `run`, `check` and `report` all come through here, so that the same records
//! give the same verdict whoever asks.

use std::path::Path;
use std::time::Duration;

use super::args::Words;
use super::{Failure, output};
use crate::checker::bank::BankModel;
use crate::checker::models::{self, AnyModel};
use crate::checker::{BankEngine, evidence, judge, judge_alone, judge_one};
use crate::history::read::Malformed;
use crate::history::untyped::UntypedHistory;
use crate::op::Outcome;
use crate::proof::Proof;
use crate::record::{Beginning, Operations, RunRecord};
use crate::recorded::{Recorded, RunState};
use crate::report::{self, terminal};
use crate::run_dir::{LoadedRun, RunDir, write_atomically};
use crate::verdict::{CheckName, CheckResult, Exit, Verdict};

/// After an interruption somebody waits: what is not decided by then stays so,
/// until `check` is asked, which takes its whole budget.
const IMPATIENT: Duration = Duration::from_secs(5);

/// Whether the text names the model that runs, and records of runs, are judged by; the
/// message says what is accepted.
pub(super) fn check_model(text: &str) -> Result<(), String> {
    text.parse::<BankModel>().map(|_| ())
}

/// The model of a history from elsewhere; `None`: the bank.
pub(super) fn other_model(text: &str) -> Result<Option<Box<dyn AnyModel>>, String> {
    match text.split(':').next() {
        Some("bank") => check_model(text).map(|()| None),
        _ => models::by_text(text).map(Some),
    }
}

/// A record that has been judged, and where it lies if it lies anywhere.
pub(super) struct Judged {
    record: RunRecord,
    dir: Option<RunDir>,
    proof: Option<Proof>,
}

/// Judges a run, completes its record on disk and draws its reports.
pub(super) fn judge_run(run: LoadedRun) -> Result<Judged, Failure> {
    let mut recorded = run.recorded();
    if recorded.state == RunState::Interrupted {
        let time = &mut recorded.workload.budgets.check.0;
        *time = IMPATIENT.min(*time);
    }
    let judged = judge_loaded(&run, &recorded);
    let dir = &run.dir;
    dir.write_record(&judged.record)
        .map_err(|why| Failure::infra(format!("{} cannot be written: {why}", dir.record().display())))?;
    if let Some(proof) = &judged.proof {
        let path = dir.proof();
        let written = proof.to_json().map_err(Into::into).and_then(|json| write_atomically(&path, &json));
        written.map_err(|why| Failure::infra(format!("{} cannot be written: {why}", path.display())))?;
    }
    draw(&LoadedRun { record: judged.record.clone(), ..run })?;
    Ok(judged)
}

/// Writes the reports of a run.
pub(super) fn draw(run: &LoadedRun) -> Result<(), Failure> {
    report::draw(run).map_err(|why| {
        Failure::infra(format!("the reports in {} cannot be written: {why}", run.dir.path().display()))
    })
}

/// Judges a run by what `recorded` says of it; changes nothing on disk.
pub(super) fn judge_loaded(run: &LoadedRun, recorded: &Recorded) -> Judged {
    let mut record = run.record.clone();
    let proof = complete(&mut record, recorded);
    Judged { record, dir: Some(run.dir.clone()), proof }
}

/// Judges a history without a run around it; `command` would judge it again.
pub(super) fn judge_bare(recorded: &Recorded, command: String) -> Judged {
    let mut record = bare_record(recorded, command);
    let proof = complete(&mut record, recorded);
    Judged { record, dir: None, proof }
}

/// Judges a history of another model than the bank. `recorded` holds what the harness
/// did meanwhile and the budgets.
///
/// # Errors
/// An operation that the model does not know.
pub(super) fn judge_other(
    recorded: &Recorded,
    history: &UntypedHistory,
    model: &mut dyn AnyModel,
    command: String,
) -> Result<Judged, Malformed> {
    let (result, claim) = model.judge_and_claim(history, &BankEngine::new(recorded).budget)?;
    let proof = claim.map(|claim| evidence::proof_other(&recorded.workload.model, history, claim));
    let mut record = bare_record(recorded, command);
    record.finish(recorded, &judge_alone(result, history.warnings.clone()));
    for operation in &history.operations {
        match operation.outcome() {
            Outcome::Ok => record.operations.ok += 1,
            Outcome::Fail => record.operations.fail += 1,
            Outcome::Info => record.operations.info += 1,
        }
    }
    Ok(Judged { record, dir: None, proof })
}

/// Words and records what one pass over a history of the bank found; `notes` with why
/// no other check was made.
pub(super) fn judge_pass(
    recorded: &Recorded,
    linearizable: CheckResult,
    operations: Operations,
    (notes, why): (Vec<String>, &str),
    command: String,
) -> Judged {
    let mut record = bare_record(recorded, command);
    record.finish(recorded, &judge_one(linearizable, notes, why));
    record.operations = operations;
    Judged { record, dir: None, proof: None }
}

fn bare_record(recorded: &Recorded, command: String) -> RunRecord {
    RunRecord::begin(Beginning {
        workload: recorded.workload.clone(),
        seed: 0,
        started: String::new(),
        plan: serde_json::Value::Null,
        reproduce: command,
    })
}

fn complete(record: &mut RunRecord, recorded: &Recorded) -> Option<Proof> {
    let judgement = judge(recorded, &BankEngine::new(recorded));
    record.finish(recorded, &judgement);
    judgement.proof
}

impl Judged {
    /// A record without a judgement was not judged, which is no pass.
    pub(super) fn verdict(&self) -> Verdict {
        self.record.judgement.as_ref().map_or(Verdict::Infra, |judged| judged.verdict)
    }

    /// Evidence for the verdict about linearizability, where there is some.
    pub(super) fn proof(&self) -> Option<&Proof> {
        self.proof.as_ref()
    }

    fn checks(&self) -> &[CheckResult] {
        self.record.judgement.as_ref().map_or(&[], |judged| &judged.checks)
    }

    /// Whether this check earned this verdict.
    pub(super) fn earned(&self, check: CheckName, verdict: Verdict) -> bool {
        self.checks().iter().any(|result| result.name == check && result.verdict == Some(verdict))
    }

    /// Says it: words on stderr, one line or one object on stdout.
    pub(super) fn tell(&self, words: Words, exit: Exit) -> Result<Exit, Failure> {
        if !words.quiet {
            self.summarise();
        }
        if words.json {
            let place = self.dir.as_ref().map_or(String::new(), |dir| dir.path().display().to_string());
            output::print(&terminal::json(&self.record, exit as u8, &place).to_string())?;
        } else {
            let line = self.record.judgement.as_ref().map_or("infra: not judged", |judged| &judged.line);
            output::print(line)?;
        }
        Ok(exit)
    }

    fn summarise(&self) {
        let report = self.dir.as_ref().map(|dir| nearby(&dir.report()));
        for line in terminal::summary(&self.record, report.as_deref(), output::colours()) {
            output::say(&line);
        }
    }
}

/// A path as the user would type it: from here, where it lies below.
fn nearby(path: &Path) -> String {
    let here = std::env::current_dir().ok();
    let below = here.as_deref().and_then(|here| path.strip_prefix(here).ok());
    below.unwrap_or(path).display().to_string()
}
