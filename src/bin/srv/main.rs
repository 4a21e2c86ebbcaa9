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

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use launch::Edition;

/// One replica: keeps account balances in DATAFILE and listens on a free loopback port.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    /// `durable` keeps what it acknowledged; `classic` is the course exercise with its faults.
    #[arg(long, value_enum, default_value = "durable")]
    edition: Edition,
    /// Durable only: bytes added to the log before it is summed up in a new one.
    #[arg(long, value_name = "N", default_value_t = 4 << 20)]
    compact_bytes: u64,
    /// The balances. The durable edition keeps DATAFILE.log and DATAFILE.lock beside it.
    #[arg(value_name = "DATAFILE")]
    data: PathBuf,
}

fn main() -> ExitCode {
    let Arguments { edition, compact_bytes, data } = Arguments::parse();
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
