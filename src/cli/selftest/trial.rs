//! One run of the self-test: a child process with a directory of its own.
//!
//! Believes what the run says of itself; whether that is what was hoped for follows from
//! the bug's own description.

use std::io;
use std::path::Path;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::super::child_run::{Ended, SaidCheck, clear};
use super::Programs;
use super::bugs::Bug;
use crate::record::Operations;
use crate::run_dir::{RunDir, write_atomically};
use crate::verdict::{CheckName, Verdict};
use crate::workload::Workload;

/// The workload's file in the directory of a trial.
pub(super) const WORKLOAD: &str = "workload.json";

/// What is run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Subject {
    /// A bug, with everything that brings it out.
    Planted,
    /// A bug, without the faults that it needs.
    Calm,
    /// No bug.
    Correct,
}

/// One run that is due.
#[derive(Debug, Clone)]
pub(super) struct Trial {
    pub subject: Subject,
    /// None in the correct system.
    pub bug: Option<Bug>,
    pub seed: u64,
}

impl Trial {
    /// Of its directory.
    pub(super) fn name(&self) -> String {
        let bug = self.bug.as_ref().map_or("correct", |bug| bug.name.as_str());
        let calm = if self.subject == Subject::Calm { "-calm" } else { "" };
        format!("{bug}{calm}-{}", self.seed)
    }

    /// What is asked of the run.
    pub(super) fn words(&self, programs: &Programs, workload: &Path) -> Vec<String> {
        let text = |path: &Path| path.display().to_string();
        let mut words = vec![text(workload), "--seed".into(), self.seed.to_string()];
        if let Some(bug) = &self.bug {
            for (option, program, rest) in
                [("--srv", &programs.srv, "{data}"), ("--coord", &programs.coord, "{ports}")]
            {
                let command = [text(program), "--bug".into(), bug.name.clone(), rest.into()];
                words.extend([option.into(), shell_words::join(command)]);
            }
        }
        words
    }
}

/// Makes a trial's directory; what an interrupted one left there goes.
pub(super) fn prepare(place: &Path, workload: &Workload) -> io::Result<()> {
    clear(place)?;
    let mut json = serde_json::to_vec_pretty(workload)?;
    json.push(b'\n');
    write_atomically(&place.join(WORKLOAD), &json)
}

/// What of `run.json` is looked at.
#[derive(Deserialize)]
struct Record {
    operations: Operations,
}

/// What came of one trial: a line of the ledger.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Found {
    pub subject: Subject,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bug: Option<String>,
    pub seed: u64,
    /// None if the run said none, which is a finding about the tester.
    pub verdict: Option<Verdict>,
    /// Checks that found a violation, in the order of reports.
    pub fired: Vec<CheckName>,
    /// The first of them that must catch this bug.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub caught_by: Option<CheckName>,
    /// What was asked until the clients ended.
    pub operations: u64,
    /// From the start of the process to its verdict.
    pub seconds: f64,
    /// In the run's words.
    pub message: String,
    /// Of the checkout at that time.
    pub commit: String,
}

impl Found {
    pub(super) fn of(trial: &Trial, ended: Ended, place: &Path, commit: String) -> Self {
        let verdict = ended.said.as_ref().map(|said| said.verdict);
        let checks = ended.said.map(|said| said.checks).unwrap_or_default();
        let violation = |check: &&SaidCheck| check.verdict == Verdict::Violation.name();
        let fired: Vec<CheckName> = checks.iter().filter(violation).map(|check| check.name).collect();
        let named = |name: &&CheckName| trial.bug.as_ref().is_some_and(|bug| bug.caught_by.contains(name));
        let worst = verdict.and_then(|worst| checks.iter().find(|check| check.verdict == worst.name()));
        let message = match worst {
            Some(check) if verdict != Some(Verdict::Pass) => format!("{}: {}", check.name, check.message),
            Some(_) => String::new(),
            None => ended.errors,
        };
        Self {
            subject: trial.subject,
            bug: trial.bug.as_ref().map(|bug| bug.name.clone()),
            seed: trial.seed,
            verdict,
            caught_by: fired.iter().find(named).copied().filter(|_| verdict == Some(Verdict::Violation)),
            fired,
            operations: operations(&place.join("run")),
            seconds: ended.took.as_secs_f64(),
            message,
            commit,
        }
    }

    /// Whether it was caught, by the check that must catch it, in time.
    pub(super) fn is_caught(&self, ceiling: Duration) -> bool {
        self.caught_by.is_some() && self.seconds <= ceiling.as_secs_f64()
    }

    pub(super) fn is_as_hoped(&self, ceiling: Duration) -> bool {
        match self.subject {
            Subject::Planted => self.is_caught(ceiling),
            Subject::Calm | Subject::Correct => self.verdict == Some(Verdict::Pass),
        }
    }

    /// For whoever looks on.
    pub(super) fn in_words(&self, ceiling: Duration) -> String {
        let what = match (self.subject, &self.bug) {
            (Subject::Calm, Some(bug)) => format!("{bug} without its faults"),
            (_, Some(bug)) => bug.clone(),
            (_, None) => "correct".into(),
        };
        let came = match (self.subject, self.caught_by, self.verdict) {
            (Subject::Planted, Some(check), _) if self.is_caught(ceiling) => format!("caught by {check}"),
            (Subject::Planted, Some(check), _) => format!("caught by {check}, too late"),
            (_, _, None) => format!("no verdict: {}", self.message),
            (_, _, Some(Verdict::Pass)) => "pass".into(),
            (_, _, Some(verdict)) => format!("{verdict}: {}", self.message),
        };
        format!("{what}, seed {}: {came} ({:.1} s)", self.seed, self.seconds)
    }
}

/// None recorded: none asked.
fn operations(run: &Path) -> u64 {
    let bytes = std::fs::read(RunDir::at(run).record()).unwrap_or_default();
    serde_json::from_slice::<Record>(&bytes).map_or(0, |record| record.operations.total())
}

#[cfg(test)]
mod tests {
    use std::process::ExitStatus;

    use super::*;

    fn found(checks: &str, verdict: &str, took: u64) -> Found {
        let bug = Bug {
            name: "b".into(),
            what: String::new(),
            needs: Vec::new(),
            caught_by: vec![CheckName::Linearizable],
        };
        let trial = Trial { subject: Subject::Planted, bug: Some(bug), seed: 1 };
        let out = format!(r#"{{"verdict":"{verdict}","exit":1,"run_dir":"","checks":[{checks}]}}"#);
        let took = Duration::from_secs(took);
        let said = Some(serde_json::from_str(&out).unwrap());
        let ended = Ended { status: ExitStatus::default(), said, errors: String::new(), took };
        Found::of(&trial, ended, Path::new("/nonexistent"), String::new())
    }

    #[test]
    fn a_bug_is_caught_only_by_a_check_that_must_catch_it_and_in_time() {
        let check = |name: &str| format!(r#"{{"name":"{name}","verdict":"violation","message":"m"}}"#);
        let minute = Duration::from_secs(60);
        assert!(found(&check("linearizable"), "violation", 5).is_caught(minute));
        assert!(!found(&check("linearizable"), "violation", 61).is_caught(minute));
        let other = found(&check("protocol"), "violation", 5);
        assert!(!other.is_caught(minute));
        assert_eq!(other.fired, [CheckName::Protocol]);
        assert!(!found("", "pass", 5).is_caught(minute));
    }

    #[test]
    fn a_run_that_says_nothing_has_no_verdict() {
        let trial = Trial { subject: Subject::Correct, bug: None, seed: 1 };
        let (status, took) = (ExitStatus::default(), Duration::ZERO);
        let ended = Ended { status, said: None, errors: "why".into(), took };
        let found = Found::of(&trial, ended, Path::new("/nonexistent"), String::new());
        assert_eq!((found.verdict, found.message.as_str()), (None, "why"));
        assert!(!found.is_as_hoped(Duration::MAX));
    }
}
