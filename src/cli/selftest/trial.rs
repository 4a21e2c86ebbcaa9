//! One run of the self-test: a child process with a directory of its own.
//!
//! Believes what the run says of itself; whether that is what was hoped for follows from
//! the bug's own description.

use std::io;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};
use tokio::io::AsyncReadExt;
use tokio::process::{Child, Command};
use tokio::sync::watch;

use super::Programs;
use super::bugs::Bug;
use crate::record::Operations;
use crate::run_dir::{RunDir, write_atomically};
use crate::verdict::{CheckName, Verdict};
use crate::workload::Workload;

/// For an orderly end after an interruption.
const GRACE: Duration = Duration::from_secs(15);

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

    /// The command line of the run, without the program.
    pub(super) fn words(&self, programs: &Programs, place: &Path) -> Vec<String> {
        let text = |path: &Path| path.display().to_string();
        let mut words = vec!["run".into(), text(&place.join("workload.json"))];
        words.extend(["--seed".into(), self.seed.to_string(), "--quiet".into(), "--json".into()]);
        words.extend(["--out".into(), text(&place.join("run"))]);
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
    if place.exists() {
        std::fs::remove_dir_all(place)?;
    }
    std::fs::create_dir_all(place)?;
    let mut json = serde_json::to_vec_pretty(workload)?;
    json.push(b'\n');
    write_atomically(&place.join("workload.json"), &json)
}

/// What a run said, and how long it took.
#[derive(Debug)]
pub(super) struct Said {
    out: Vec<u8>,
    errors: Vec<u8>,
    took: Duration,
    ended: bool,
}

/// Runs it to its end, or ends it at the ceiling. `None`: it was interrupted.
pub(super) async fn run(
    program: &Path,
    words: &[String],
    ceiling: Duration,
    mut interrupted: watch::Receiver<bool>,
) -> io::Result<Option<Said>> {
    let began = Instant::now();
    let mut command = Command::new(program);
    command.args(words).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    // Should this future be dropped, the run ends, and its nodes with it.
    let mut child = command.kill_on_drop(true).spawn()?;
    let (mut out, mut errors) = (Vec::new(), Vec::new());
    let (mut stdout, mut stderr) = (child.stdout.take(), child.stderr.take());
    let reading = async {
        if let (Some(stdout), Some(stderr)) = (&mut stdout, &mut stderr) {
            let _ = tokio::join!(stdout.read_to_end(&mut out), stderr.read_to_end(&mut errors));
        }
    };
    let ended = tokio::select! {
        () = reading => Some(true),
        () = tokio::time::sleep(ceiling) => Some(false),
        () = turns_true(&mut interrupted) => None,
    };
    match ended {
        Some(true) => child.wait().await.map(drop)?,
        _ => end(&mut child).await?,
    }
    // A signal from the terminal reaches the run first.
    let Some(ended) = ended.filter(|_| !*interrupted.borrow()) else { return Ok(None) };
    Ok(Some(Said { out, errors, took: began.elapsed(), ended }))
}

/// Never, if nobody is left to say so.
async fn turns_true(signal: &mut watch::Receiver<bool>) {
    if signal.wait_for(|told| *told).await.is_err() {
        std::future::pending::<()>().await;
    }
}

/// In order if it will, else at once.
async fn end(child: &mut Child) -> io::Result<()> {
    if let Some(pid) = child.id().and_then(|id| i32::try_from(id).ok()) {
        // Gone already: then there is nothing to end.
        let _ = kill(Pid::from_raw(pid), Signal::SIGTERM);
    }
    if tokio::time::timeout(GRACE, child.wait()).await.is_err() {
        child.kill().await?;
    }
    Ok(())
}

/// What a run with `--json` prints.
#[derive(Deserialize)]
struct Printed {
    verdict: Verdict,
    checks: Vec<PrintedCheck>,
}

#[derive(Deserialize)]
struct PrintedCheck {
    name: CheckName,
    verdict: String,
    message: String,
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
    pub(super) fn of(trial: &Trial, said: Said, place: &Path, commit: String) -> Self {
        let printed: Option<Printed> = serde_json::from_slice(&said.out).ok();
        let verdict = printed.as_ref().filter(|_| said.ended).map(|printed| printed.verdict);
        let checks = printed.map(|printed| printed.checks).unwrap_or_default();
        let violation = |check: &&PrintedCheck| check.verdict == Verdict::Violation.name();
        let fired: Vec<CheckName> = checks.iter().filter(violation).map(|check| check.name).collect();
        let named = |name: &&CheckName| trial.bug.as_ref().is_some_and(|bug| bug.caught_by.contains(name));
        let worst = verdict.and_then(|worst| checks.iter().find(|check| check.verdict == worst.name()));
        let message = match worst {
            Some(check) if verdict != Some(Verdict::Pass) => format!("{}: {}", check.name, check.message),
            Some(_) => String::new(),
            None if !said.ended => "it did not come to an end".into(),
            None => String::from_utf8_lossy(&said.errors).trim().to_owned(),
        };
        Self {
            subject: trial.subject,
            bug: trial.bug.as_ref().map(|bug| bug.name.clone()),
            seed: trial.seed,
            verdict,
            caught_by: fired.iter().find(named).copied().filter(|_| verdict == Some(Verdict::Violation)),
            fired,
            operations: operations(&place.join("run")),
            seconds: said.took.as_secs_f64(),
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
        let said = Said { out: out.into(), errors: Vec::new(), took: Duration::from_secs(took), ended: true };
        Found::of(&trial, said, Path::new("/nonexistent"), String::new())
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
        let said = Said { out: Vec::new(), errors: b"why".to_vec(), took: Duration::ZERO, ended: true };
        let found = Found::of(&trial, said, Path::new("/nonexistent"), String::new());
        assert_eq!((found.verdict, found.message.as_str()), (None, "why"));
        assert!(!found.is_as_hoped(Duration::MAX));
    }
}
