//! The folder of all runs at a glance: what an overview needs of each record.
//!
//! Reads `run.json` alone and of it little, so that hundreds of runs are read in a
//! moment; directories that hold no record are no runs and are passed over. Judges and
//! draws nothing.

use std::fs;
use std::io;
use std::path::Path;
use std::time::SystemTime;

use serde::Deserialize;

use super::RunDir;
use super::load::LARGEST;
use crate::fault::FaultKind;
use crate::record::PhaseSpan;
use crate::recorded::RunState;
use crate::regular_file;
use crate::verdict::Verdict;

/// What an overview tells of a run.
#[derive(Debug, Clone, PartialEq)]
pub struct Glance {
    /// The name of its directory.
    pub leaf: String,
    /// The workload's name.
    pub name: String,
    /// The seed.
    pub seed: u64,
    /// When it began, UTC.
    pub started: String,
    /// How far it came.
    pub state: RunState,
    /// `None` until it was judged.
    pub verdict: Option<Verdict>,
    /// The sentence that matters most; empty until it was judged.
    pub sentence: String,
    /// Faults that took hold, by kind, in the order of reports.
    pub faults: Vec<(FaultKind, u64)>,
    /// How long it took, nanoseconds; `None` if that is not told.
    pub lasted: Option<u64>,
    /// Whether a report was drawn.
    pub report: bool,
}

/// The part of `run.json` that is read. Whatever else is in it is passed over.
#[derive(Deserialize)]
struct Record {
    name: String,
    seed: u64,
    #[serde(default)]
    started: String,
    state: RunState,
    judgement: Option<Judged>,
    #[serde(default)]
    faults: Vec<Fault>,
    #[serde(default)]
    phases: Vec<PhaseSpan>,
}

#[derive(Deserialize)]
struct Judged {
    verdict: Verdict,
    #[serde(default)]
    sentence: String,
}

#[derive(Deserialize)]
struct Fault {
    kind: FaultKind,
    held: bool,
}

/// The runs in a folder, newest first, at most `most` of them; and how many older ones
/// were left out.
///
/// # Errors
/// The folder cannot be read. A run that cannot be read is passed over.
pub fn runs(folder: &Path, most: usize) -> io::Result<(Vec<Glance>, usize)> {
    let mut places: Vec<(SystemTime, String)> = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        // `latest` is a link to one of the others.
        let is_dir = entry.file_type().is_ok_and(|kind| kind.is_dir());
        let record = RunDir::at(entry.path()).record();
        let (true, Ok(leaf), Ok(meta)) = (is_dir, entry.file_name().into_string(), fs::metadata(record))
        else {
            continue;
        };
        places.push((meta.modified().unwrap_or(SystemTime::UNIX_EPOCH), leaf));
    }
    places.sort_by(|one, other| other.cmp(one));
    let left_out = places.len().saturating_sub(most);
    let newest = places.into_iter().take(most);
    let mut runs: Vec<Glance> = newest.filter_map(|(_, leaf)| glance(folder, leaf)).collect();
    runs.sort_by(|one, other| (&other.started, &other.leaf).cmp(&(&one.started, &one.leaf)));
    Ok((runs, left_out))
}

/// `None` if there is no record that can be read.
fn glance(folder: &Path, leaf: String) -> Option<Glance> {
    let dir = RunDir::at(folder.join(&leaf));
    let bytes = regular_file::read(&dir.record(), LARGEST).ok()?;
    let record: Record = serde_json::from_slice(&bytes).ok()?;
    let held = |kind: FaultKind| {
        let faults = record.faults.iter().filter(|fault| fault.kind == kind && fault.held);
        (kind, faults.count() as u64)
    };
    let faults = FaultKind::ALL.into_iter().map(held).filter(|(_, count)| *count > 0).collect();
    let (verdict, sentence) = match record.judgement {
        Some(judged) => (Some(judged.verdict), judged.sentence),
        None => (None, String::new()),
    };
    Some(Glance {
        leaf,
        name: record.name,
        seed: record.seed,
        started: record.started,
        state: record.state,
        verdict,
        sentence,
        faults,
        lasted: record.phases.last().map(|phase| phase.end.unwrap_or(phase.begin)),
        report: dir.report().is_file(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(folder: &Path, leaf: &str, started: &str) {
        fs::create_dir(folder.join(leaf)).unwrap();
        let record = format!(
            r#"{{"name":"x","seed":7,"started":"{started}","state":"finished","more":[1],
                "judgement":{{"verdict":"violation","sentence":"it broke","checks":[]}},
                "faults":[{{"kind":"kill","held":true}},{{"kind":"kill","held":false}},{{"kind":"pause","held":true}}],
                "phases":[{{"phase":"setup","begin":0,"end":5}},{{"phase":"faulty","begin":5}}]}}"#
        );
        fs::write(folder.join(leaf).join("run.json"), record).unwrap();
    }

    #[test]
    fn runs_are_told_newest_first_and_what_is_no_run_is_passed_over() {
        let folder = tempfile::tempdir().unwrap();
        put(folder.path(), "x-1", "2026-11-22T14:50:09Z");
        put(folder.path(), "x-2", "2026-11-23T14:50:09Z");
        std::os::unix::fs::symlink("x-2", folder.path().join("latest")).unwrap();
        fs::create_dir(folder.path().join("something")).unwrap();
        fs::create_dir(folder.path().join("broken")).unwrap();
        fs::write(folder.path().join("broken/run.json"), "{").unwrap();
        fs::write(folder.path().join("index.html"), "").unwrap();
        let (runs, left_out) = runs(folder.path(), 100).unwrap();
        assert_eq!(runs.iter().map(|run| run.leaf.as_str()).collect::<Vec<_>>(), ["x-2", "x-1"]);
        assert_eq!(left_out, 0);
        assert_eq!((runs[0].verdict, runs[0].sentence.as_str()), (Some(Verdict::Violation), "it broke"));
        assert_eq!(runs[0].faults, [(FaultKind::Kill, 1), (FaultKind::Pause, 1)]);
        assert_eq!((runs[0].lasted, runs[0].report), (Some(5), false));
    }

    #[test]
    fn of_many_runs_the_newest_are_read() {
        let folder = tempfile::tempdir().unwrap();
        for number in 0..5 {
            put(folder.path(), &format!("x-{number}"), &format!("2026-11-22T14:50:0{number}Z"));
        }
        let (runs, left_out) = runs(folder.path(), 2).unwrap();
        assert_eq!((runs.len(), left_out), (2, 3));
    }
}
