//! How fast histories of each model are judged, beside a plain depth-first search.
//!
//! Prints the processor time of the search (reading is not in it) and the ratio of the
//! two, both on one core in one run, each under a limit of ten seconds of the wall; the figures of one
//! machine stand in docs/benchmarks-models.md. `cargo bench --bench models [-- NAME]`,
//! a part of a name chooses rows. `RSM_CHECK_KEEP=DIR` leaves the histories there, for
//! `benches/porcupine`. `RSM_CHECK_ALONE=1` leaves the depth-first search out. Memory is the
//! greatest resident size during the search above that before it (Linux).

mod depth_first;
mod history;

use std::time::{Duration, Instant};

use history::{Shape, history};
use rsm_check::checker::linearizability::Budget;
use rsm_check::checker::models::{
    CasRegister, Counter, FifoQueue, KeyValue, Model, Mutex, Outcome, Register, Set, check, typed,
};
use rsm_check::history::untyped::read_untyped;

const LIMIT: Duration = Duration::from_secs(10);

fn judge<M: Model>(name: &str, mut model: M, shape: &Shape) {
    let text = history(shape);
    if let Some(folder) = std::env::var_os("RSM_CHECK_KEEP") {
        let path = std::path::Path::new(&folder).join(format!("{}.jsonl", name.replace([' ', ','], "_")));
        std::fs::write(path, &text).expect("RSM_CHECK_KEEP names a folder that can be written");
    }
    let read = read_untyped(text.as_bytes()).expect("the generator writes histories");
    drop(text);
    let operations = typed(&mut model, &read).expect("the model knows its operations");
    drop(read);
    let before = reset_peak();
    let start = processor_time();
    let outcome = check(&model, &operations, &Budget { time: LIMIT, ..Budget::default() });
    let time = processor_time() - start;
    let grown = status("VmHWM:").saturating_sub(before);
    let verdict = match outcome {
        Outcome::Linearizable { .. } => "pass",
        Outcome::Violation(_) => "violation",
        Outcome::Undecided { .. } => "undecided",
    };
    let plain = if std::env::var_os("RSM_CHECK_ALONE").is_some() {
        String::new()
    } else {
        beside(&model, &operations, time, verdict)
    };
    println!(
        "{name:<36} {verdict:<10} {:>9.2} ms  {:>7.1} MiB {plain}",
        1e3 * time.as_secs_f64(),
        grown as f64 / 1024.0
    );
}

/// What the depth-first search took, and how many times as long.
fn beside<M: Model>(
    model: &M,
    operations: &[rsm_check::checker::models::Operation<M::Input, M::Output>],
    time: Duration,
    verdict: &str,
) -> String {
    let start = processor_time();
    let found = depth_first::decide(model, operations, Instant::now() + LIMIT);
    let plain = processor_time() - start;
    let ratio = plain.as_secs_f64() / time.as_secs_f64();
    match found {
        None => format!("  none in {:>8.0} ms   > {ratio:>6.1}x", 1e3 * plain.as_secs_f64()),
        Some(found) => {
            assert!(verdict == "undecided" || found == (verdict == "pass"), "the two disagree");
            format!("  {:>8.2} ms          {ratio:>6.1}x", 1e3 * plain.as_secs_f64())
        }
    }
}

/// What this thread has used of a processor: other load on the machine does not count.
fn processor_time() -> Duration {
    nix::time::ClockId::CLOCK_THREAD_CPUTIME_ID.now().expect("Linux has this clock").into()
}

/// Forgets the greatest resident size so far; the resident size now, in KiB.
fn reset_peak() -> usize {
    let _ = std::fs::write("/proc/self/clear_refs", "5");
    status("VmRSS:")
}

/// A line of `/proc/self/status`, in KiB (0 where there is none).
fn status(name: &str) -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with(name)).unwrap_or_default();
    line.split_whitespace().nth(1).and_then(|kib| kib.parse().ok()).unwrap_or(0)
}

fn one(model: &'static str, operations: u64, lost: u64, wrong: bool, only: &[String]) {
    let doubt = if lost > 0 { format!(", {} % lost", lost / 10) } else { String::new() };
    let name = format!("{model} {operations}{doubt}{}", if wrong { ", one wrong" } else { "" });
    if !only.is_empty() && !only.iter().any(|part| name.contains(part)) {
        return;
    }
    let shape = Shape { model, clients: 10, operations, lost, wrong };
    match model {
        "register" => judge(&name, Register::default(), &shape),
        "cas-register" => judge(&name, CasRegister::default(), &shape),
        "kv" => judge(&name, KeyValue::default(), &shape),
        "mutex" => judge(&name, Mutex, &shape),
        "fifo-queue" => judge(&name, FifoQueue::default(), &shape),
        "set" => judge(&name, Set::default(), &shape),
        _ => judge(&name, Counter::default(), &shape),
    }
}

fn main() {
    let only: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with("--")).collect();
    println!(
        "{:<36} {:<10} {:>12}  {:>9}   depth first      times",
        "10 clients", "verdict", "search", "grown"
    );
    for model in ["register", "kv", "cas-register", "mutex", "fifo-queue", "set", "counter"] {
        for operations in [10_000, 100_000] {
            for lost in [0, 10] {
                one(model, operations, lost, false, &only);
                // Of a lock nothing is told that could be wrong.
                if model != "mutex" {
                    one(model, operations, lost, true, &only);
                }
            }
        }
    }
}
