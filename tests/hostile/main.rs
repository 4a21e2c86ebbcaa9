//! Ten thousand bad inputs for each parser, from a seed: no panic, no hang, memory within
//! bounds, refusals that name the place. The same inputs feed the fuzz targets in `fuzz/`.

#[path = "../support/mod.rs"]
mod support;

mod archives;
mod contracts;
mod inputs;
mod programs;

use std::time::{Duration, Instant};

use inputs::{Chance, Parser};

const INPUTS: u64 = 10_000;
/// No input is larger than some kilobytes: one that takes so long never ends.
const HANG: Duration = Duration::from_secs(20);
/// Memory that all of them together may take, MiB. One input takes kilobytes.
const MEMORY_MIB: u64 = 512;

/// The most memory that this process ever had, MiB.
fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM")).unwrap();
    line.split_ascii_whitespace().nth(1).unwrap().parse::<u64>().unwrap() >> 10
}

/// Each input has a seed of its own, so that a failure is repeated alone.
fn batter(parser: Parser) {
    let mut refused = 0;
    for seed in 0..INPUTS {
        let input = parser.input(&mut Chance::new(seed));
        let began = Instant::now();
        let said = std::panic::catch_unwind(|| contracts::kept(parser, &input));
        let Ok(said) = said else {
            panic!("{parser:?}, seed {seed}:\n{}", String::from_utf8_lossy(&input));
        };
        assert!(began.elapsed() < HANG, "{parser:?}, seed {seed}: a hang");
        refused += u64::from(said.is_some());
    }
    assert!(refused > INPUTS / 3, "only {refused} of {INPUTS} were bad");
    assert!(refused < INPUTS, "none was good: nothing behind the parser was tried");
    assert!(peak() < MEMORY_MIB, "{} MiB", peak());
}

#[test]
fn workloads() {
    batter(Parser::Workload);
}

#[test]
fn histories_of_ours() {
    batter(Parser::Jsonl);
}

#[test]
fn histories_in_edn() {
    batter(Parser::Edn);
}

#[test]
fn text_logs() {
    batter(Parser::Log);
}

#[test]
fn data_files() {
    batter(Parser::DataFile);
}
