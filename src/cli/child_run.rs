//! A run of this same program as a child process, whose words go to files beside its
//! run directory, so that no pipe can fill and nothing is lost.
//!
//! Believes what the run says of itself; does not know why it is run.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde::Deserialize;

use crate::verdict::{CheckName, Verdict};

/// For an orderly end after an interruption.
const GRACE: Duration = Duration::from_secs(15);

/// A run that has been started.
pub(super) struct ChildRun {
    child: Child,
    place: PathBuf,
    began: Instant,
}

/// What came of a run.
pub(super) struct Ended {
    pub status: ExitStatus,
    /// `None` if it printed none.
    pub said: Option<Said>,
    /// What it wrote to stderr.
    pub errors: String,
    pub took: Duration,
}

/// What `run --json` prints, as far as it is looked at.
#[derive(Deserialize)]
pub(super) struct Said {
    pub verdict: Verdict,
    #[serde(default)]
    pub checks: Vec<SaidCheck>,
}

/// One check of it.
#[derive(Deserialize)]
pub(super) struct SaidCheck {
    pub name: CheckName,
    /// A verdict, or that it was skipped.
    pub verdict: String,
    pub message: String,
}

impl ChildRun {
    /// Starts `PROGRAM run WORDS --quiet --json --out PLACE/run`. What lies in `place`
    /// goes first: it is of a run that did not come to an end.
    ///
    /// # Errors
    /// The system refuses.
    pub(super) fn start(program: &Path, words: &[String], place: PathBuf) -> io::Result<Self> {
        if place.exists() {
            fs::remove_dir_all(&place)?;
        }
        fs::create_dir_all(&place)?;
        let mut command = Command::new(program);
        command.arg("run").args(words).args(["--quiet", "--json", "--out"]).arg(place.join("run"));
        command.stdin(Stdio::null());
        command.stdout(File::create(place.join("verdict.json"))?);
        command.stderr(File::create(place.join("errors.txt"))?);
        Ok(Self { child: command.spawn()?, place, began: Instant::now() })
    }

    /// `None` while it runs.
    ///
    /// # Errors
    /// The system refuses.
    pub(super) fn ended(&mut self) -> io::Result<Option<Ended>> {
        let Some(status) = self.child.try_wait()? else { return Ok(None) };
        let said = fs::read(self.place.join("verdict.json"))?;
        let errors = String::from_utf8_lossy(&fs::read(self.place.join("errors.txt"))?).trim().to_owned();
        let said = serde_json::from_slice(&said).ok();
        Ok(Some(Ended { status, said, errors, took: self.began.elapsed() }))
    }

    /// Asks it to end in order.
    fn ask_to_end(&self) {
        if let Ok(pid) = i32::try_from(self.child.id()) {
            // Gone already: then there is nothing to end.
            let _ = kill(Pid::from_raw(pid), Signal::SIGTERM);
        }
    }
}

/// Should whoever started it go away, it ends, and its nodes with it.
impl Drop for ChildRun {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

/// Ends runs in order if they will, else at once.
pub(super) fn end_all(mut runs: Vec<ChildRun>) {
    runs.iter().for_each(ChildRun::ask_to_end);
    let ceiling = Instant::now() + GRACE;
    while !runs.is_empty() && Instant::now() < ceiling {
        runs.retain_mut(|run| matches!(run.child.try_wait(), Ok(None)));
        std::thread::sleep(Duration::from_millis(20));
    }
}
