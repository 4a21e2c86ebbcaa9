//! Where else a run is told than in its directory and on the terminal: annotations
//! and a job summary for CI, a trace for Perfetto.
//!
//! What cannot be written is refused before anything starts, as far as that can be
//! known. Decides nothing: what is told is drawn by [`crate::report`].

use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use super::args::Outlets;
use super::{Failure, output};
use crate::report::{github, markdown, trace};
use crate::run_dir::LoadedRun;
use crate::verdict::Exit;

/// Where GitHub's runner wants the summary of a step.
const STEP_SUMMARY: &str = "GITHUB_STEP_SUMMARY";

/// The outlets that were asked for, each known to be writable.
pub(super) struct Told {
    github: bool,
    summaries: Vec<Summary>,
    trace: Option<PathBuf>,
}

struct Summary {
    asked: String,
    file: File,
}

impl Told {
    /// Opens what was asked for.
    ///
    /// # Errors
    /// A file cannot be written, or the one of the trace exists.
    pub(super) fn open(asked: &Outlets) -> Result<Self, Failure> {
        let step = asked.github.then(|| std::env::var_os(STEP_SUMMARY)).flatten();
        let step = step.filter(|path| !path.is_empty());
        let mut summaries = Vec::new();
        for (name, path) in [("--summary".into(), asked.summary.clone()), step_summary(step)] {
            let Some(path) = path else { continue };
            let asked = format!("{name} {}", path.display());
            let file = OpenOptions::new().create(true).append(true).open(&path);
            let file =
                file.map_err(|why| Failure::bad_input(format!("{asked}: cannot be written: {why}")))?;
            summaries.push(Summary { asked, file });
        }
        let trace = asked.trace.clone();
        match trace.as_deref().filter(|path| path.symlink_metadata().is_ok()) {
            Some(path) => Err(exists(path)),
            None => Ok(Self { github: asked.github, summaries, trace }),
        }
    }

    /// Tells a run that was judged; `exit` is what the command will end with.
    ///
    /// # Errors
    /// A file cannot be written any more.
    pub(super) fn tell(self, run: &LoadedRun, exit: Exit) -> Result<(), Failure> {
        if self.github {
            github::annotations(&run.record, exit).iter().for_each(|line| output::say(line));
        }
        for Summary { asked, mut file } in self.summaries {
            let text = markdown::summary(&run.record, &run.dir.report().display().to_string());
            let written = file.write_all(format!("{text}\n").as_bytes());
            written.map_err(|why| Failure::infra(format!("{asked}: cannot be written: {why}")))?;
        }
        if let Some(path) = self.trace {
            write_trace(run, &path).map_err(|why| match why.kind() {
                io::ErrorKind::AlreadyExists => exists(&path),
                _ => Failure::infra(format!("--trace {}: cannot be written: {why}", path.display())),
            })?;
        }
        Ok(())
    }

    /// Whether nothing was asked for.
    pub(super) fn is_empty(&self) -> bool {
        !self.github && self.summaries.is_empty() && self.trace.is_none()
    }
}

fn step_summary(path: Option<OsString>) -> (String, Option<PathBuf>) {
    (format!("${STEP_SUMMARY}"), path.map(PathBuf::from))
}

fn exists(path: &Path) -> Failure {
    Failure::bad_input(format!("--trace {}: it exists, and nothing is overwritten", path.display()))
}

fn write_trace(run: &LoadedRun, path: &Path) -> io::Result<()> {
    let mut to = BufWriter::new(File::create_new(path)?);
    trace::write(run, &mut to)?;
    to.flush()
}
