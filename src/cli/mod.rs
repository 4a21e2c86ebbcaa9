//! The command line: what was typed, what it means, what is printed.
//!
//! Human words go to stderr, one verdict line (or one JSON object) to stdout.
//! One file per command; none of them decides about a run, they ask those who do.

mod args;
mod check;
mod child_run;
mod descriptors;
mod convert;
mod doctor;
mod input;
mod judging;
mod online;
mod outlets;
mod output;
mod plan;
mod progress;
mod report;
mod run;
mod selftest;
mod serve;
mod signals;
mod stream;
mod sweep;
mod verify;

use clap::Parser;

use crate::verdict::Exit;
use args::{Cli, Command, SchemaOf};

/// A failure that ends a command before there is a verdict.
#[derive(Debug)]
pub(crate) struct Failure {
    exit: Exit,
    message: String,
}

impl Failure {
    /// Something that the user can mend: a file, a field, an argument, a program.
    pub(crate) fn bad_input(message: impl ToString) -> Self {
        Self { exit: Exit::BadInput, message: message.to_string() }
    }

    /// Something about the machine.
    pub(crate) fn infra(message: impl ToString) -> Self {
        Self { exit: Exit::Infra, message: message.to_string() }
    }
}

/// Runs the command that was typed and tells the exit code.
pub fn main() -> Exit {
    let outcome = std::panic::catch_unwind(|| {
        let cli = match Cli::try_parse() {
            Ok(cli) => cli,
            Err(error) => return usage(&error),
        };
        dispatch(cli.command).unwrap_or_else(|failure| failed(&failure))
    });
    outcome.unwrap_or_else(|_| {
        output::error("this is a defect of rsm-check itself; please report it with the message above");
        Exit::Defect
    })
}

/// The machine's fault is a verdict too, so standard output gets its line.
fn failed(failure: &Failure) -> Exit {
    output::error(&failure.message);
    if failure.exit == Exit::Infra {
        let line = failure.message.lines().next().unwrap_or_default();
        // It has been said on stderr; where stdout is what failed, it cannot be said.
        let _ = output::print(&format!("infra: {line}"));
    }
    failure.exit
}

/// Help and version are no errors; what else clap refuses is bad input.
fn usage(error: &clap::Error) -> Exit {
    // Nowhere is left to complain if even this cannot be printed.
    let _ = error.print();
    if error.use_stderr() { Exit::BadInput } else { Exit::Pass }
}

fn dispatch(command: Command) -> Result<Exit, Failure> {
    match command {
        Command::Run(args) => run::run(args),
        Command::Sweep(args) => sweep::sweep(&args),
        Command::Merge(args) => sweep::merge(&args),
        Command::Plan(args) => plan::plan(&args),
        Command::Check(args) => check::check(&args),
        Command::Verify(args) => verify::verify(&args),
        Command::Convert(args) => convert::convert(&args),
        Command::Report(args) => report::report(&args),
        Command::Doctor(args) => doctor::doctor(args),
        Command::Selftest(args) => selftest::selftest(&args),
        Command::Serve(args) => serve::serve(&args),
        Command::Schema(args) => output::print(&match args.of {
            SchemaOf::Workload => crate::workload::Workload::json_schema(),
            SchemaOf::Run => crate::record::RunRecord::json_schema(),
        }),
    }
}
