//! How fast histories are parsed and judged, and with how much memory.
//!
//! Prints a table of absolute figures, and ratios to plain brute force (`beside`).
//! Times are processor times, the median of three where a check is quick: others
//! may use the machine. Run with `cargo bench --bench checker [-- FILTER]`; the
//! figures of one machine stand in docs/benchmarks-checker.md. `RSM_CHECK_KEEP=DIR` leaves
//! the histories there, final files as last reads, for `benches/porcupine`.

#[path = "checker_baseline/beside.rs"]
mod beside;
#[path = "../tests/linearizability/big.rs"]
mod big;
#[allow(dead_code)]
#[path = "../tests/linearizability/oracle.rs"]
mod oracle;
#[allow(dead_code)]
#[path = "../tests/linearizability/small.rs"]
mod small;

use std::time::Duration;

use big::{Shape, simulate, spoil};
use rsm_check::checker::bank::BankModel;
use rsm_check::checker::core;
use rsm_check::checker::linearizability::{Budget, Outcome, check};

fn main() {
    if beside::as_child() {
        return;
    }
    let filter: Vec<String> = std::env::args().skip(1).filter(|arg| !arg.starts_with('-')).collect();
    let wanted = |name: &str| filter.is_empty() || filter.iter().any(|part| name.contains(part.as_str()));
    println!(
        "{:<44} {:>8} {:>7} {:>7}  {:<10} {:>10} {:>9}",
        "history", "ops", "refused", "indet.", "verdict", "time", "memory"
    );
    for (name, shape, wrong) in shapes() {
        if wanted(&name) {
            judge(&name, &shape, wrong);
        }
    }
    if wanted("core") {
        cores();
    }
    if wanted("parse") {
        parse();
    }
    if wanted("baseline") {
        beside::table();
    }
}

fn shapes() -> Vec<(String, Shape, bool)> {
    let mut all = Vec::new();
    let mut add = |name: &str, shape: Shape| all.push((name.to_owned(), shape, false));
    for operations in [10_000, 100_000, 1_000_000] {
        add(&format!("10 clients, {operations}"), Shape { operations, ..Shape::default() });
    }
    for operations in [5_000, 100_000] {
        add(&format!("100 clients, {operations}"), Shape { clients: 100, operations, ..Shape::default() });
    }
    for (lost, operations) in
        [(1_000, 3_000), (1_000, 20_000), (5_000, 3_000), (5_000, 20_000), (20_000, 3_000), (50_000, 3_000)]
    {
        add(&format!("lost {} %, {operations}", lost / 1000), Shape { lost, operations, ..Shape::default() });
    }
    for clients in [8, 16, 32, 64] {
        for seed in 1..=3 {
            let shape = Shape {
                clients,
                operations: 30_000,
                think: 10_000_000,
                fault_every: 4_000,
                kills: 50,
                lost: 100,
                seed,
                ..Shape::default()
            };
            add(&format!("main job, {clients} clients, kills and pauses, {seed}"), shape);
        }
    }
    for clients in [8, 32, 64] {
        let shape = Shape { clients, operations: 30_000, fault_every: 4_000, kills: 0, ..Shape::default() };
        add(&format!("main job, {clients} clients, pauses, no rest"), shape);
    }
    for lost in [1_000, 2_000, 5_000, 20_000] {
        add(
            &format!("reads and blind, lost {} %", lost / 1000),
            Shape { lost, blind: true, operations: 2_500, ..Shape::default() },
        );
    }
    for operations in [10_000, 100_000, 1_000_000] {
        all.push((
            format!("10 clients, {operations}, one wrong"),
            Shape { operations, ..Shape::default() },
            true,
        ));
    }
    for lost in [300, 800, 1_200, 1_500, 2_000] {
        all.push((
            format!("refute, lost {lost}/100k, 3000"),
            Shape { lost, operations: 3_000, ..Shape::default() },
            true,
        ));
    }
    all
}

/// How long a core is looked for, after the violation was found.
fn cores() {
    let model = BankModel::default();
    let budget = Budget { time: Duration::from_secs(20), memory: 2 << 30 };
    for (operations, lost) in
        [(10_000, 0), (100_000, 0), (10_000, 100), (10_000, 300), (10_000, 1_000), (3_000, 5_000)]
    {
        let mut big = simulate(&Shape { operations, lost, ..Shape::default() });
        spoil(&mut big.history);
        let name = format!("core, {operations}, lost {:.1} %", f64::from(lost as u32) / 1000.0);
        let Outcome::Violation(violation) = check(&big.history, &model, &big.finals, &budget) else {
            println!("{name:<44} no violation was found");
            continue;
        };
        let start = cpu();
        let found = core::find(&big.history, &model, &big.finals, &violation, &budget);
        let time = cpu() - start;
        let said = found.map_or("none".to_owned(), |found| {
            let (starts, constraints) = (found.core.start.len(), found.core.constraints.len());
            format!("{starts} starts, {constraints} constraints, minimal: {}", found.minimal)
        });
        println!("{name:<44} {time:>10.2?}  {said}");
    }
}

fn judge(name: &str, shape: &Shape, wrong: bool) {
    let mut big = simulate(shape);
    if wrong {
        spoil(&mut big.history);
    }
    keep(name, &big);
    let budget = Budget { time: Duration::from_secs(20), memory: 2 << 30 };
    let held = memory();
    reset_peak();
    let run = || {
        let start = cpu();
        let outcome = check(&big.history, &BankModel::default(), &big.finals, &budget);
        (cpu() - start, outcome)
    };
    let first = run();
    // Later runs find the memory of the first: it alone is measured.
    let greatest = peak();
    let again = if first.0 < Duration::from_secs(3) { 2 } else { 0 };
    let mut runs: Vec<(Duration, Outcome)> = (0..again).map(|_| run()).collect();
    runs.push(first);
    runs.sort_by_key(|(time, _)| *time);
    let (time, outcome) = runs.swap_remove(runs.len() / 2);
    let verdict = match outcome {
        Outcome::Linearizable { .. } => "pass".to_owned(),
        Outcome::Violation(_) => "violation".to_owned(),
        Outcome::Undecided { explained, required, .. } => {
            format!("undec. {}%", 100 * explained / required.max(1))
        }
    };
    println!(
        "{name:<44} {:>8} {:>6}% {:>7}  {verdict:<10} {time:>10.2?} {:>6.1} MB",
        big.history.operations.len(),
        100 * big.refused / big.history.operations.len(),
        big.indeterminate,
        greatest.saturating_sub(held) as f64 / 1024.0
    );
}

fn parse() {
    let big = simulate(&Shape { operations: 500_000, ..Shape::default() });
    let text = lines(&big.history);
    let held = memory();
    let start = cpu();
    let history = rsm_check::history::read::read(text.as_bytes()).expect("what was written is read");
    let time = cpu() - start;
    let each = memory().saturating_sub(held) * 1024 / history.operations.len() as u64;
    println!(
        "parse {} lines ({} MB): {time:.2?}, {each} bytes an operation",
        history.lines,
        text.len() >> 20
    );
}

/// Leaves the history where `RSM_CHECK_KEEP` says, if it says so.
fn keep(name: &str, big: &big::Big) {
    use std::fmt::Write;
    let Some(folder) = std::env::var_os("RSM_CHECK_KEEP") else { return };
    let mut text = lines(&big.history);
    // Behind all that the clients did, by a process of its own.
    let (mut index, process, time) = (4 * big.history.operations.len(), u32::MAX, i64::MAX);
    for file in &big.finals {
        let seen: Vec<String> =
            file.file.balances.iter().map(|(name, held)| format!(r#""{name}":{held}"#)).collect();
        for (kind, value) in [("invoke", "null".to_owned()), ("ok", format!("{{{}}}", seen.join(",")))] {
            let _ = writeln!(
                text,
                r#"{{"index":{index},"time":{time},"process":{process},"type":"{kind}","f":"read","value":{value}}}"#
            );
            index += 1;
        }
    }
    let file = name.replace([' ', ',', '%', '/'], "_") + ".jsonl";
    let path = std::path::Path::new(&folder).join(file);
    std::fs::write(path, text).expect("RSM_CHECK_KEEP names a folder that can be written");
}

/// The history as its file would hold it.
fn lines(history: &rsm_check::history::History) -> String {
    use rsm_check::history::{Call, Observed};
    let mut lines: Vec<(u64, String)> = Vec::new();
    for operation in &history.operations {
        let line = |index: u64, time: u64, kind: &str, f: &str, value: String| {
            let process = operation.process;
            let line = format!(
                r#"{{"index":{index},"time":{time},"process":{process},"type":"{kind}","f":"{f}","value":{value}}}"#
            );
            (index, line)
        };
        let (f, asked) = match operation.call {
            Call::Transfer { from, to, amount } => {
                let (from, to) = (history.account(from), history.account(to));
                ("transfer", format!(r#"{{"from":"{from}","to":"{to}","amount":{amount}}}"#))
            }
            Call::Read => ("read", "null".to_owned()),
        };
        lines.push(line(operation.invoke, operation.invoked, "invoke", f, asked.clone()));
        if let Some(completion) = &operation.completion {
            let told = match &completion.observed {
                Observed::Pair([from, to]) => {
                    format!(r#"{},"balances":[{from},{to}]}}"#, asked.trim_end_matches('}'))
                }
                Observed::Balances(seen) => {
                    let seen: Vec<String> = seen
                        .iter()
                        .map(|&(account, held)| format!(r#""{}":{held}"#, history.account(account)))
                        .collect();
                    format!("{{{}}}", seen.join(","))
                }
                Observed::Nothing => asked,
            };
            lines.push(line(completion.index, completion.time, "ok", f, told));
        }
    }
    lines.sort();
    lines.into_iter().map(|(_, line)| line + "\n").collect()
}

/// Time that this thread has had a processor for.
fn cpu() -> Duration {
    use nix::time::{ClockId, clock_gettime};
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).map(Duration::from).unwrap_or_default()
}

/// Resident memory now, in KiB.
fn memory() -> u64 {
    status("VmRSS:")
}

/// Greatest resident memory since [`reset_peak`], in KiB.
fn peak() -> u64 {
    status("VmHWM:")
}

fn reset_peak() {
    let _ = std::fs::write("/proc/self/clear_refs", "5");
}

fn status(field: &str) -> u64 {
    let text = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix(field));
    line.and_then(|rest| rest.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}
