//! Parse, run, exit code; nothing else.

use std::process::ExitCode;

use rsm_check::cli;
use rsm_check::cluster::containment;

fn main() -> ExitCode {
    // Before anything else: a user namespace is entered with a single thread.
    containment::prepare();
    cli::main().into()
}
