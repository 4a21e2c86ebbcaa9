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
use tokio::sync::watch;

use crate::verdict::{CheckName, Verdict};

/// For an orderly end after an interruption.
const GRACE: Duration = Duration::from_secs(15);
/// Between two looks whether a run has ended.
const POLL: Duration = Duration::from_millis(20);

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
    /// Starts `PROGRAM run WORDS --quiet --json --out PLACE/run` in a place that
    /// [`clear`] has made.
    ///
    /// # Errors
    /// The system refuses.
    pub(super) fn start(program: &Path, words: &[String], place: PathBuf) -> io::Result<Self> {
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

    /// Waits for its end; at the ceiling it is made to end, and has said nothing. `None`: it
    /// was interrupted.
    ///
    /// # Errors
    /// The system refuses.
    pub(super) async fn end_within(
        mut self,
        ceiling: Duration,
        interrupted: &watch::Receiver<bool>,
    ) -> io::Result<Option<Ended>> {
        let mut asked: Option<Instant> = None;
        loop {
            let hanging = self.began.elapsed() >= ceiling;
            match (self.ended()?, asked) {
                // A signal from the terminal reaches the run first.
                (Some(_), _) if *interrupted.borrow() => return Ok(None),
                (Some(ended), None) => return Ok(Some(ended)),
                (Some(ended), Some(_)) => {
                    let errors = "it did not come to an end".into();
                    return Ok(Some(Ended { said: None, errors, ..ended }));
                }
                (None, None) if hanging || *interrupted.borrow() => {
                    self.ask_to_end();
                    asked = Some(Instant::now());
                }
                (None, Some(asked)) if asked.elapsed() >= GRACE => self.child.kill()?,
                (None, _) => {}
            }
            tokio::time::sleep(POLL).await;
        }
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

/// Makes the place of a run. What lies there goes: it is of a run that did not come to an
/// end.
///
/// # Errors
/// The system refuses.
pub(super) fn clear(place: &Path) -> io::Result<()> {
    if place.exists() {
        fs::remove_dir_all(place)?;
    }
    fs::create_dir_all(place)
}

/// Ends runs in order if they will, else at once.
pub(super) fn end_all(mut runs: Vec<ChildRun>) {
    runs.iter().for_each(ChildRun::ask_to_end);
    let ceiling = Instant::now() + GRACE;
    while !runs.is_empty() && Instant::now() < ceiling {
        runs.retain_mut(|run| matches!(run.child.try_wait(), Ok(None)));
        std::thread::sleep(POLL);
    }
}
