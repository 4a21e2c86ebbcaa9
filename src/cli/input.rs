//! Opens the history that was named: a file, a run directory's, standard input;
//! compressed or not; with a bar where somebody waits for a long file.
//!
//! Must not know what the bytes mean.

use std::fs::File;
use std::io::{self, BufRead, IsTerminal};
use std::path::Path;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::Failure;
use crate::history::formats::source::decompressed;
use crate::history::read;

/// Below this a file is read before a bar could be looked at.
const LONG: u64 = 32 << 20;

/// A history that was opened.
pub(super) struct Input {
    pub from: Box<dyn BufRead>,
    name: String,
    bar: ProgressBar,
}

impl Input {
    /// Opens `what`, where `-` is standard input.
    pub fn open(what: &Path, quiet: bool) -> Result<Self, Failure> {
        if what == Path::new("-") {
            let (name, bar) = ("standard input".to_owned(), ProgressBar::hidden());
            let from = decompressed(io::stdin()).map_err(|why| unreadable(&name, &why))?;
            return Ok(Self { from, name, bar });
        }
        let name = what.display().to_string();
        let opened = File::open(what).and_then(|file| {
            let bar = bar(file.metadata()?.len(), quiet);
            Ok((decompressed(bar.wrap_read(file))?, bar))
        });
        let (from, bar) = opened.map_err(|why| unreadable(&name, &why))?;
        Ok(Self { from, name, bar })
    }

    /// Hands the stream over; what is left tells of it.
    pub fn split(self) -> (Box<dyn BufRead>, Told) {
        (self.from, Told { name: self.name, bar: self.bar })
    }
}

/// What can be said of an input while and after it is read.
pub(super) struct Told {
    name: String,
    bar: ProgressBar,
}

impl Told {
    /// Takes the bar off the screen: everything was read.
    pub fn done(&self) {
        self.bar.finish_and_clear();
    }

    /// A warning about this input.
    pub fn warn(&self, quiet: bool, warning: &str) {
        if !quiet {
            super::output::say(&format!("warning: {}: {warning}", self.name));
        }
    }

    /// Why this input was refused.
    pub fn refused(&self, why: &read::Failure) -> Failure {
        self.done();
        match why {
            read::Failure::Io(why) => unreadable(&self.name, why),
            read::Failure::Malformed(why) => Failure::bad_input(format!("{}, {why}", self.name)),
        }
    }

    /// Why a line of this input was refused.
    pub fn refused_line(&self, number: u64, reason: &str) -> Failure {
        let malformed = read::Malformed { line: number, reason: reason.to_owned() };
        self.refused(&malformed.into())
    }
}

fn unreadable(name: &str, why: &io::Error) -> Failure {
    Failure::bad_input(format!("{name}: cannot be read: {why}"))
}

/// A bar on a terminal for a long file; hidden otherwise.
fn bar(length: u64, quiet: bool) -> ProgressBar {
    if quiet || length < LONG || !io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::with_draw_target(Some(length), ProgressDrawTarget::stderr());
    let style = ProgressStyle::with_template("reading {bar:24.cyan/dim} {bytes}/{total_bytes} {eta}");
    bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}
