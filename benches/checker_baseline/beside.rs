//! The checker beside plain depth-first search, on the same histories.
//!
//! Each side runs in a process of its own, so that the peak of its memory is its
//! own and a search that does not end can be stopped. Both simulate the history
//! first; time and memory count from there on. Judges nothing.

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rsm_check::checker::bank::BankModel;
use rsm_check::checker::linearizability::{Budget, Outcome, check};

use crate::big::{Big, Shape, simulate};
use crate::{cpu, memory, oracle, peak, reset_peak};

/// Processor time that plain search may take.
const LIMIT: Duration = Duration::from_secs(20);
/// Memory that it may take, in KiB.
const MEMORY: u64 = 4 << 20;
/// Runs of ours, of which the median counts.
const RUNS: usize = 5;
/// Says to a child which side it is, with clients and operations.
const SIDE: &str = "RSM_BENCH_SIDE";

/// What one side took.
struct Taken {
    verdict: String,
    time: Duration,
    kib: u64,
}

/// Runs one side if this process was started for that.
pub fn as_child() -> bool {
    let Ok(side) = std::env::var(SIDE) else { return false };
    let mut words = side.split(' ');
    let plain = words.next() == Some("plain");
    let mut number = || words.next().and_then(|word| word.parse().ok()).unwrap_or(0);
    let big = simulate(&Shape { clients: number(), operations: number(), ..Shape::default() });
    let held = memory();
    reset_peak();
    let (verdict, time) = if plain { plain_side(&big) } else { our_side(&big) };
    println!("{verdict} {} {}", time.as_nanos(), peak().saturating_sub(held));
    true
}

fn our_side(big: &Big) -> (&'static str, Duration) {
    let start = cpu();
    let outcome = check(&big.history, &BankModel::default(), &big.finals, &Budget::default());
    let verdict = if matches!(outcome, Outcome::Linearizable { .. }) { "pass" } else { "other" };
    (verdict, cpu() - start)
}

fn plain_side(big: &Big) -> (&'static str, Duration) {
    let run = || {
        let start = cpu();
        let found = oracle::linearizable(&big.history, &BankModel::default(), &big.finals, usize::MAX);
        (if found == Some(true) { "pass" } else { "other" }, cpu() - start)
    };
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().stack_size(4 << 30).spawn_scoped(scope, run);
        thread.ok().and_then(|thread| thread.join().ok()).unwrap_or(("failed", Duration::ZERO))
    })
}

/// Prints a row for each size.
pub fn table() {
    println!("beside plain depth-first search (limit {LIMIT:?} of processor time, {} GB)", MEMORY >> 20);
    for (clients, operations) in
        [(3, 300), (10, 1_000), (10, 10_000), (10, 100_000), (100, 1_000), (100, 5_000), (100, 100_000)]
    {
        let mut ours: Vec<Taken> =
            (0..RUNS).filter_map(|_| side(&format!("ours {clients} {operations}"))).collect();
        ours.sort_by_key(|taken| taken.time);
        let middle = ours.len() / 2;
        let (Some(ours), Some(plain)) = (ours.get(middle), side(&format!("plain {clients} {operations}")))
        else {
            continue;
        };
        println!(
            "{clients:>4} clients, {operations:>6}: {} {:.2?} {:.1} MB, plain {} {:.2?} {:.1} MB: {:.0}x",
            ours.verdict,
            ours.time,
            ours.kib as f64 / 1024.0,
            plain.verdict,
            plain.time,
            plain.kib as f64 / 1024.0,
            plain.time.as_secs_f64() / ours.time.as_secs_f64()
        );
    }
}

/// Runs one side in a child; one that took too much is stopped and said to be so.
fn side(what: &str) -> Option<Taken> {
    let exe = std::env::current_exe().ok()?;
    let mut child = Command::new(exe).env(SIDE, what).stdout(Stdio::piped()).spawn().ok()?;
    let start = Instant::now();
    while child.try_wait().ok()?.is_none() {
        let (time, kib) = taken(&child);
        if time > LIMIT || kib > MEMORY || start.elapsed() > 10 * LIMIT {
            child.kill().ok()?;
            child.wait().ok()?;
            return Some(Taken { verdict: "did not end in".into(), time, kib });
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    let said = String::from_utf8(child.wait_with_output().ok()?.stdout).ok()?;
    let mut words = said.split_whitespace();
    let verdict = words.next()?.to_owned();
    let time = Duration::from_nanos(words.next()?.parse().ok()?);
    Some(Taken { verdict, time, kib: words.next()?.parse().ok()? })
}

/// Processor time and greatest memory of a child so far.
fn taken(child: &Child) -> (Duration, u64) {
    let read =
        |file: &str| std::fs::read_to_string(format!("/proc/{}/{file}", child.id())).unwrap_or_default();
    let stat = read("stat");
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks = |at: usize| fields.get(at).and_then(|field| field.parse::<u64>().ok()).unwrap_or(0);
    let status = read("status");
    let hwm = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = hwm.and_then(|rest| rest.split_whitespace().next()?.parse().ok()).unwrap_or(0);
    // Fields 14 and 15 of the line, in hundredths of a second.
    (Duration::from_millis(10 * (ticks(11) + ticks(12))), kib)
}
