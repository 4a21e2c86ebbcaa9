//! What every trial came to: a line each in `results.jsonl`, written at once.
//!
//! A self-test that is taken up again goes on behind the last whole line; a last line
//! without its newline is dropped. Must not know what the results mean.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use super::trial::{Found, Trial};
use crate::run_dir::write_atomically;
use crate::workload::Workload;

/// The file, and what it holds.
#[derive(Debug)]
pub(super) struct Ledger {
    file: File,
    found: Vec<Found>,
}

impl Ledger {
    /// Opens the ledger of a directory, or begins it.
    ///
    /// # Errors
    /// It cannot be read or written, or its results were found with another workload.
    pub(super) fn open(dir: &Path, workload: &Workload) -> Result<Self, String> {
        same_workload(dir, workload)?;
        let path = dir.join("results.jsonl");
        let told = |why: io::Error| format!("{}: {why}", path.display());
        let text = match std::fs::read_to_string(&path) {
            Err(why) if why.kind() == io::ErrorKind::NotFound => String::new(),
            read => read.map_err(told)?,
        };
        let whole = text.rfind('\n').map_or(0, |end| end + 1);
        let found = lines(&path, &text[..whole])?;
        let mut options = OpenOptions::new();
        let file = options.create(true).append(true).mode(0o600).open(&path).map_err(told)?;
        file.set_len(whole as u64).map_err(told)?;
        Ok(Self { file, found })
    }

    /// Whether a trial was made already.
    pub(super) fn has(&self, trial: &Trial) -> bool {
        let name = trial.bug.as_ref().map(|bug| &bug.name);
        self.found.iter().any(|found| {
            found.subject == trial.subject && found.bug.as_ref() == name && found.seed == trial.seed
        })
    }

    /// Adds a result; it is on disk afterwards.
    pub(super) fn add(&mut self, found: Found) -> io::Result<()> {
        let mut line = serde_json::to_vec(&found)?;
        line.push(b'\n');
        self.file.write_all(&line)?;
        self.file.sync_data()?;
        self.found.push(found);
        Ok(())
    }

    /// All results.
    pub(super) fn trials(&self) -> &[Found] {
        &self.found
    }
}

fn lines(path: &Path, text: &str) -> Result<Vec<Found>, String> {
    let parse = |(number, line): (usize, &str)| {
        serde_json::from_str(line).map_err(|why| {
            format!("{}:{}: no result of a self-test: {why}; remove the line", path.display(), number + 1)
        })
    };
    text.lines().enumerate().map(parse).collect()
}

/// Results of different workloads are no figures of one.
fn same_workload(dir: &Path, workload: &Workload) -> Result<(), String> {
    let path: PathBuf = dir.join("workload.json");
    let told = |why: io::Error| format!("{}: {why}", path.display());
    let mut json = serde_json::to_vec_pretty(workload).map_err(|why| told(why.into()))?;
    json.push(b'\n');
    let known = match std::fs::read(&path) {
        Err(why) if why.kind() == io::ErrorKind::NotFound => {
            return write_atomically(&path, &json).map_err(told);
        }
        read => read.map_err(told)?,
    };
    if known == json {
        return Ok(());
    }
    let dir = dir.display();
    Err(format!("--resume: the results in {dir} were found with another workload; begin a new self-test"))
}

#[cfg(test)]
mod tests {
    use super::super::trial::Subject;
    use super::*;
    use crate::workload::parse;

    #[test]
    fn a_ledger_goes_on_behind_its_last_whole_line_and_refuses_another_workload() {
        let dir = tempfile::tempdir().unwrap();
        let workload =
            |seconds: u32| parse("w.json", &format!(r#"{{"name":"x","duration":"{seconds}s"}}"#)).unwrap();
        let found = Found {
            subject: Subject::Correct,
            bug: None,
            seed: 1,
            verdict: None,
            fired: Vec::new(),
            caught_by: None,
            operations: 3,
            seconds: 1.0,
            message: String::new(),
            commit: "c".into(),
        };
        Ledger::open(dir.path(), &workload(1)).unwrap().add(found.clone()).unwrap();
        let file = dir.path().join("results.jsonl");
        let torn = std::fs::read_to_string(&file).unwrap() + "{\"subject\":";
        std::fs::write(&file, torn).unwrap();
        let mut ledger = Ledger::open(dir.path(), &workload(1)).unwrap();
        assert_eq!(ledger.trials(), std::slice::from_ref(&found));
        let trial = |seed| Trial { subject: Subject::Correct, bug: None, seed };
        assert!(ledger.has(&trial(1)) && !ledger.has(&trial(2)));
        ledger.add(Found { seed: 2, ..found }).unwrap();
        assert!(Ledger::open(dir.path(), &workload(1)).unwrap().has(&trial(2)));
        assert!(Ledger::open(dir.path(), &workload(2)).unwrap_err().contains("another workload"));
        std::fs::write(&file, "{}\n").unwrap();
        assert!(Ledger::open(dir.path(), &workload(1)).unwrap_err().contains("results.jsonl:1"));
    }
}
