//! Runs the real `rsm-check` as its users do, and looks at what it leaves.
//!
//! Nothing here sleeps as synchronisation: waiting is for a condition, with a
//! generous ceiling and the last state in the message.

#![allow(dead_code, reason = "each test file uses its part of these helpers")]

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

/// The program under test.
pub const RSM_CHECK: &str = env!("CARGO_BIN_EXE_rsm-check");

/// Whether `RSM_CHECK_MUST_OFFER`, a list with commas, demands this of the machine: a test
/// that cannot be made without it then fails instead of being skipped.
pub fn must_offer(what: &str) -> bool {
    std::env::var("RSM_CHECK_MUST_OFFER").is_ok_and(|list| list.split(',').any(|word| word == what))
}

/// Whether this machine lacks a family of faults. `rsm-check doctor` has the word on
/// that, so what it calls usable is never skipped.
pub fn lacks(family: &str) -> bool {
    let doctor = Command::new(RSM_CHECK).args(["doctor", "--json"]).output().unwrap();
    let probed: serde_json::Value = serde_json::from_slice(&doctor.stdout).unwrap();
    let mut families = probed.as_array().unwrap().iter();
    let found = families.find(|probed| probed["family"] == family).unwrap();
    if found["works"] == true {
        return false;
    }
    assert!(!must_offer(family), "{found}");
    // Not by a macro: the test harness would swallow it.
    let _ = std::io::stderr().write_all(format!("SKIPPED: a test, because of {found}\n").as_bytes());
    true
}

/// Where the project's own files are.
pub fn project(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// A place for a test's files, and the command that is run in it.
pub struct Bench {
    pub dir: tempfile::TempDir,
}

impl Bench {
    pub fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap() }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// The run directory that [`run`](Self::run) uses.
    pub fn run_dir(&self) -> PathBuf {
        self.path("run")
    }

    /// Writes a workload and returns its path.
    pub fn workload(&self, text: &str) -> PathBuf {
        let path = self.path("workload.json");
        std::fs::write(&path, text).unwrap();
        path
    }

    pub fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(RSM_CHECK);
        command.args(words).current_dir(self.dir.path()).stdin(Stdio::null()).env_remove("PYTHONUNBUFFERED");
        command
    }

    pub fn output(&self, words: &[&str]) -> Said {
        Said::of(self.command(words).output().unwrap())
    }

    /// Runs a line of a POSIX shell here, for what only a shell sets (limits, streams).
    pub fn shell(&self, line: &str) -> Said {
        let mut command = Command::new("sh");
        command.args(["-c", line]).current_dir(self.dir.path()).stdin(Stdio::null());
        Said::of(command.env_remove("PYTHONUNBUFFERED").output().unwrap())
    }

    /// `rsm-check run WORKLOAD --out RUN_DIR` and more words.
    pub fn run(&self, workload: &Path, more: &[&str]) -> Said {
        let run_dir = self.run_dir();
        let mut words = vec!["run", workload.to_str().unwrap(), "--out", run_dir.to_str().unwrap()];
        words.extend(more);
        self.output(&words)
    }

    /// Starts the same without waiting for it; its output is thrown away.
    pub fn start(&self, workload: &Path) -> Child {
        let run_dir = self.run_dir();
        let words = ["run", workload.to_str().unwrap(), "--out", run_dir.to_str().unwrap()];
        self.command(&words).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
    }

    pub fn history(&self) -> String {
        std::fs::read_to_string(self.run_dir().join("history.jsonl")).unwrap_or_default()
    }

    /// Processes on whose command line this place is named, or that work in it: the
    /// harness, every node (the coordinator's command line names no path), keepers.
    pub fn processes(&self) -> Vec<String> {
        let place = self.dir.path().to_str().unwrap().to_string();
        let entries = std::fs::read_dir("/proc").unwrap();
        let words = entries.filter_map(|entry| {
            let pid: u32 = entry.ok()?.file_name().to_str()?.parse().ok()?;
            let words = std::fs::read(format!("/proc/{pid}/cmdline")).ok()?;
            let words = String::from_utf8_lossy(&words).replace('\0', " ");
            let works_here =
                std::fs::read_link(format!("/proc/{pid}/cwd")).is_ok_and(|dir| dir.starts_with(&place));
            (works_here || words.contains(&place)).then(|| format!("{pid}: {words}"))
        });
        words.collect()
    }

    /// Waits until no process names this place any more.
    pub fn assert_no_process_is_left(&self) {
        eventually("every process of the run is gone", || {
            let left = self.processes();
            if left.is_empty() { Ok(()) } else { Err(format!("{left:#?}")) }
        });
    }
}

/// What a command said and how it ended.
#[derive(Debug)]
pub struct Said {
    pub exit: Option<i32>,
    pub out: String,
    pub err: String,
}

impl Said {
    pub fn of(output: Output) -> Self {
        Self {
            exit: output.status.code(),
            out: String::from_utf8_lossy(&output.stdout).into_owned(),
            err: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    #[track_caller]
    pub fn exits(self, code: i32) -> Self {
        assert_eq!(self.exit, Some(code), "\nstdout:\n{}\nstderr:\n{}", self.out, self.err);
        self
    }

    #[track_caller]
    pub fn tells(self, parts: &[&str]) -> Self {
        for part in parts {
            assert!(self.err.contains(part), "`{part}` is not on stderr:\n{}", self.err);
        }
        self
    }
}

/// Waits for a condition; the message of a failure holds the last state.
#[track_caller]
pub fn eventually(what: &str, mut holds: impl FnMut() -> Result<(), String>) {
    let ceiling = Instant::now() + Duration::from_secs(60);
    loop {
        match holds() {
            Ok(()) => return,
            Err(state) => assert!(Instant::now() < ceiling, "waited 60 s in vain: {what}; last: {state}"),
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}
