//! `srv`: one replica of the reference system.
//!
//! Chooses the edition and maps the outcome to an exit code; nothing else. It must not know the
//! `rsm_check` library: the harness reaches a replica over the wire alone.

mod classic;
mod connection;
mod disk;
#[path = "../launch/mod.rs"]
mod launch;
#[path = "../reference/mod.rs"]
mod reference;
mod replica;
mod server;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{CommandFactory, Parser};
use launch::bugs::{self, Planted};
use launch::{Edition, say};

/// One replica: keeps account balances in DATAFILE and listens on a free loopback port.
#[derive(Debug, Parser)]
#[command(name = "srv", version)]
struct Arguments {
    /// `durable` keeps what it acknowledged; `classic` is the course exercise with its faults.
    #[arg(long, value_enum, default_value = "durable")]
    edition: Edition,
    /// Durable only: bytes added to the log before it is summed up in a new one.
    #[arg(long, value_name = "N", default_value_t = 4 << 20)]
    compact_bytes: u64,
    #[command(flatten)]
    planted: Planted,
    /// The balances. The durable edition keeps DATAFILE.log and DATAFILE.lock beside it.
    #[arg(value_name = "DATAFILE", required_unless_present = "bugs")]
    data: Option<PathBuf>,
}

fn main() -> ExitCode {
    let Arguments { edition, compact_bytes, planted, data } = Arguments::parse();
    let (Some(data), None) = (data, planted.bugs) else {
        say(format_args!("{}", bugs::list(planted.bugs.unwrap_or(bugs::Format::Text))));
        return ExitCode::SUCCESS;
    };
    if let Err(error) = planted.plant(edition) {
        Arguments::command().error(ErrorKind::ArgumentConflict, error).exit();
    }
    if is_second(&data) {
        reference::bug::have_other_guard();
    }
    let outcome = match edition {
        Edition::Classic => classic::run(&data),
        Edition::Durable => server::run(&data, replica::Limits { compact_bytes, fetch_entries: 2048 }),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("srv: {error}");
            ExitCode::FAILURE
        }
    }
}

/// The replica that a planted bug makes differ from the others: the nearest directory that
/// is named after anything but its data ends in 2.
fn is_second(data: &Path) -> bool {
    let names = data.ancestors().skip(1).filter_map(Path::file_name);
    let mut told = names.filter(|name| *name != "data");
    told.next().is_some_and(|name| name.to_string_lossy().ends_with('2'))
}
