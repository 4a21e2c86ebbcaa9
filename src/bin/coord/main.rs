//! `coord`: puts all clients' transfers in one order and forwards each to every replica.
//!
//! Chooses the edition and maps the outcome to an exit code; nothing else. It must not know the
//! `rsm_check` library: the harness reaches a coordinator over the wire alone.

mod classic;
mod client;
#[path = "../launch/mod.rs"]
mod launch;
mod peer;
#[path = "../reference/mod.rs"]
mod reference;
mod runtime;
mod sequencer;

use std::process::ExitCode;
use std::time::Duration;

use clap::error::ErrorKind;
use clap::{CommandFactory, Parser};
use launch::bugs::{self, Planted};
use launch::{Edition, say};
use sequencer::Settings;

/// The coordinator: takes transfers from clients on a free loopback port and orders them.
#[derive(Debug, Parser)]
#[command(name = "coord", version)]
struct Arguments {
    /// `durable` acknowledges what a majority holds; `classic` is the course exercise with its faults.
    #[arg(long, value_enum, default_value = "durable")]
    edition: Edition,
    /// Durable only: a request whose fate is unknown after this long is closed without reply.
    #[arg(long, value_name = "MS", default_value_t = 1500, value_parser = clap::value_parser!(u64).range(1..=3_600_000))]
    deadline_ms: u64,
    /// Durable only: a request that could not be begun is refused after this long.
    #[arg(long, value_name = "MS", default_value_t = 1000, value_parser = clap::value_parser!(u64).range(1..=3_600_000))]
    refuse_after_ms: u64,
    #[command(flatten)]
    planted: Planted,
    /// The loopback port of each replica, in an order that stays the same.
    #[arg(value_name = "PORT", required_unless_present = "bugs", value_parser = clap::value_parser!(u16).range(1..))]
    ports: Vec<u16>,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if let Some(format) = arguments.planted.bugs {
        say(format_args!("{}", bugs::list(format)));
        return ExitCode::SUCCESS;
    }
    demand_different_ports(&arguments.ports);
    if let Err(error) = arguments.planted.plant(arguments.edition) {
        Arguments::command().error(ErrorKind::ArgumentConflict, error).exit();
    }
    let outcome = match arguments.edition {
        Edition::Classic => classic::run(&arguments.ports),
        Edition::Durable => runtime::run(&arguments.ports, settings(&arguments)),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("coord: {error}");
            ExitCode::FAILURE
        }
    }
}

/// One replica named twice would be counted twice, and a majority would be none.
fn demand_different_ports(ports: &[u16]) {
    let mut sorted = ports.to_vec();
    sorted.sort_unstable();
    if let Some(pair) = sorted.windows(2).find(|pair| pair[0] == pair[1]) {
        let text = format!("port {} is named twice; name each replica once", pair[0]);
        Arguments::command().error(ErrorKind::ValueValidation, text).exit();
    }
}

fn settings(arguments: &Arguments) -> Settings {
    Settings {
        heartbeat: Duration::from_millis(100),
        commit_delay: Duration::from_millis(5),
        silence: Duration::from_millis(800),
        give_up: Duration::from_millis(1000),
        wait: Duration::from_millis(arguments.refuse_after_ms),
        deadline: Duration::from_millis(arguments.deadline_ms),
        backoff: (Duration::from_millis(20), Duration::from_millis(500)),
        batch: 512,
        window: 2,
        keep: 16_384,
    }
}
