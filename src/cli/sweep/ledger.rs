//! What a sweep's directory holds: what it is about (`sweep.json`), the workload, and a
//! line for each run that came to an end (`results.jsonl`). So it can be gone on with,
//! and joined with others.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::super::Failure;
use super::super::child_run::Ended;
use super::seeds::{Seeds, Shard};
use crate::run_dir::write_atomically;
use crate::verdict::{CheckName, Exit, Verdict};

/// What a sweep is about. Directories that differ in it are not mixed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct About {
    pub version: String,
    pub workload: String,
    pub srv: Option<String>,
    pub coord: Option<String>,
    pub seeds: Seeds,
    pub shard: Shard,
}

impl About {
    /// Whether both try the same, if on other seeds.
    pub(super) fn is_alike(&self, other: &Self) -> bool {
        let of = |about: &Self| Self { seeds: self.seeds, shard: self.shard, ..about.clone() };
        of(self) == of(other)
    }
}

/// What came of one seed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Line {
    pub seed: u64,
    /// `None` if the run told none: a defect of rsm-check.
    pub verdict: Option<Verdict>,
    /// The checks that were violated, in the order of reports.
    pub violated: Vec<CheckName>,
    /// The sentence that matters most.
    pub message: String,
    pub milliseconds: u64,
}

impl Line {
    pub(super) fn of(seed: u64, ended: &Ended) -> Self {
        let milliseconds = u64::try_from(ended.took.as_millis()).unwrap_or(u64::MAX);
        let Some(said) = &ended.said else {
            let message = format!("no verdict, {}: {}", ended.status, ended.errors);
            return Self { seed, verdict: None, violated: Vec::new(), message, milliseconds };
        };
        let violation = |verdict: &str| verdict == Verdict::Violation.name();
        let violated = said.checks.iter().filter(|check| violation(&check.verdict));
        let leading = said.checks.iter().find(|check| check.verdict == said.verdict.name());
        let message = leading.map_or_else(|| ended.errors.clone(), |check| check.message.clone());
        let violated = violated.map(|check| check.name).collect();
        Self { seed, verdict: Some(said.verdict), violated, message, milliseconds }
    }

    /// The words by which runs are put together.
    pub(super) fn group(&self) -> String {
        let Some(verdict) = self.verdict else { return "no verdict".into() };
        let names: Vec<&str> = self.violated.iter().map(|name| name.name()).collect();
        if names.is_empty() { verdict.name().into() } else { format!("{verdict}: {}", names.join(", ")) }
    }
}

/// The worst of all: a violation stays one whatever else went wrong. `missing`: not all
/// that was due was run, which is never a pass.
pub(super) fn worst(lines: &[Line], missing: bool) -> Exit {
    let found = lines.iter().filter_map(|line| line.verdict).max();
    if found == Some(Verdict::Violation) {
        Exit::Violation
    } else if lines.iter().any(|line| line.verdict.is_none()) {
        Exit::Defect
    } else {
        let least = if missing { Verdict::Undecided } else { Verdict::Pass };
        found.map_or(Exit::Undecided, |found| found.max(least).exit())
    }
}

/// A row for each group, the largest first; a few seeds and a message of each.
pub(super) fn table(lines: &[Line]) -> String {
    let mut groups: BTreeMap<String, Vec<&Line>> = BTreeMap::new();
    lines.iter().for_each(|line| groups.entry(line.group()).or_default().push(line));
    let mut groups: Vec<_> = groups.into_iter().collect();
    groups.sort_by_key(|(_, lines)| std::cmp::Reverse(lines.len()));
    let mut text = String::new();
    for (group, lines) in groups {
        text += &format!("{:>6}  {group}\n", lines.len());
        if lines.iter().any(|line| line.verdict != Some(Verdict::Pass)) {
            let seeds: Vec<String> = lines.iter().take(10).map(|line| line.seed.to_string()).collect();
            let more = if lines.len() > 10 { ", ..." } else { "" };
            text += &format!("        seeds {}{more}\n", seeds.join(", "));
            text += &format!("        {}\n", lines[0].message.lines().next().unwrap_or_default());
        }
    }
    text
}

/// A sweep's directory.
pub(super) struct Ledger {
    pub dir: PathBuf,
    pub lines: Vec<Line>,
}

impl Ledger {
    /// Makes the directory, or goes on in it if it is about the same.
    pub(super) fn open(dir: &Path, about: &About) -> Result<Self, Failure> {
        let refuse = |why: &dyn std::fmt::Display| {
            Failure::bad_input(format!(
                "--out {}: {why}; accepted: a new directory, or that of the same sweep",
                dir.display()
            ))
        };
        if dir.join("sweep.json").exists() {
            let (found, ledger) = Self::load(dir)?;
            return if found == *about { Ok(ledger) } else { Err(refuse(&"it holds another sweep")) };
        }
        fs::create_dir_all(dir).map_err(|why| refuse(&why))?;
        if fs::read_dir(dir).map_err(|why| refuse(&why))?.next().is_some() {
            return Err(refuse(&"it is not empty"));
        }
        let made = write_atomically(&dir.join("workload.json"), about.workload.as_bytes())
            .and_then(|()| write_atomically(&dir.join("sweep.json"), &serde_json::to_vec_pretty(about)?));
        made.map_err(|why| refuse(&why))?;
        Ok(Self { dir: dir.into(), lines: Vec::new() })
    }

    /// Reads what is there. A last line that was cut off is of a run that is due again.
    pub(super) fn load(dir: &Path) -> Result<(About, Self), Failure> {
        let path = dir.join("sweep.json");
        let refuse = |path: &Path, why: &dyn std::fmt::Display| {
            Failure::bad_input(format!(
                "{}: {why}; accepted: the directory of a sweep of this version",
                path.display()
            ))
        };
        let about = fs::read(&path).map_err(|why| refuse(&path, &why))?;
        let about = serde_json::from_slice(&about).map_err(|why| refuse(&path, &why))?;
        let results = dir.join("results.jsonl");
        let text = match fs::read_to_string(&results) {
            Err(why) if why.kind() == io::ErrorKind::NotFound => String::new(),
            text => text.map_err(|why| refuse(&results, &why))?,
        };
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        let lines: Result<_, _> =
            whole.lines().filter(|line| !line.is_empty()).map(serde_json::from_str).collect();
        Ok((about, Self { dir: dir.into(), lines: lines.map_err(|why| refuse(&results, &why))? }))
    }

    /// Writes a line before it counts.
    pub(super) fn add(&mut self, line: Line) -> io::Result<()> {
        let path = self.dir.join("results.jsonl");
        let mut text = serde_json::to_vec(&line)?;
        text.push(b'\n');
        if self.lines.is_empty() {
            // Nothing, or a line that was cut off.
            fs::write(&path, text)?;
        } else {
            OpenOptions::new().append(true).open(&path)?.write_all(&text)?;
        }
        self.lines.push(line);
        Ok(())
    }

    /// Takes a line off that was cut off, so that the next one begins where it must.
    pub(super) fn mend(&self) -> io::Result<()> {
        let lines: Result<Vec<String>, _> = self.lines.iter().map(serde_json::to_string).collect();
        let text: String = lines?.iter().map(|line| format!("{line}\n")).collect();
        write_atomically(&self.dir.join("results.jsonl"), text.as_bytes())
    }
}
