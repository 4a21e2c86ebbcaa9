//! Printing: words to stderr, results to stdout; a closed pipe is no panic.

use std::io::{self, IsTerminal, Write};

use super::Failure;
use crate::report::terminal::Colours;
use crate::verdict::Exit;

/// An error, on stderr, even when asked to be quiet.
pub(super) fn error(message: &str) {
    let prefix = if message.starts_with("error") { "" } else { "error: " };
    // Nowhere is left to complain to.
    let _ = writeln!(io::stderr(), "{prefix}{message}");
}

/// Words on stderr. A reader that has gone away is no failure of ours.
pub(super) fn say(line: &str) {
    let _ = writeln!(io::stderr(), "{line}");
}

/// A result, on stdout. A reader that has gone away is no failure of ours.
pub(super) fn print(text: &str) -> Result<Exit, Failure> {
    let mut out = io::stdout().lock();
    let newline = if text.ends_with('\n') { "" } else { "\n" };
    match write!(out, "{text}{newline}").and_then(|()| out.flush()) {
        Err(why) if why.kind() != io::ErrorKind::BrokenPipe => {
            Err(Failure::infra(format!("standard output cannot be written: {why}")))
        }
        _ => Ok(Exit::Pass),
    }
}

/// Whether stderr shows colours: a terminal, and nobody said otherwise.
pub(super) fn colours() -> Colours {
    Colours::choose(io::stderr().is_terminal(), std::env::var_os("NO_COLOR").as_deref())
}
