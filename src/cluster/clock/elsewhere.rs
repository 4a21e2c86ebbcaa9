//! Stands in for the tracer where the wrapper has no machine code yet: says so.

use std::io;
use std::process::{Command, ExitStatus};

use tokio::sync::oneshot;

use super::{Clocks, Skew};

/// A process whose clock could be changed.
#[derive(Debug)]
pub struct Traced {
    /// The clocks of it and all that it starts.
    pub clocks: Clocks,
    /// Its exit status, once it has ended.
    pub exit: oneshot::Receiver<ExitStatus>,
}

/// Refuses: clocks are changed on x86-64 only.
///
/// # Errors
/// Always.
pub fn spawn<T: Send + 'static>(
    _command: Command,
    _skew: Skew,
    _before: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<(T, Traced)> {
    let why =
        "clock faults need x86-64: the code that is put into the vDSO exists for no other processor yet";
    Err(io::Error::new(io::ErrorKind::Unsupported, why))
}
