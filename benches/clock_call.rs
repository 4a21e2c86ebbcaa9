//! What a call of the clock costs when the clock is wrong, against a right one.
//!
//! `cargo bench --bench clock_call`. The same program measures itself as a child of
//! its own: untouched, traced with the right time, traced with a wrong one, in turn.
//! Then how long a change takes until it was read back, for one program that runs.
//! Exits 1 if a call of the wrong clock takes more than 3 times as long, or one change in
//! a hundred more than 5 ms.

use std::io::Read;
use std::process::{Command, Stdio};
use std::time::{Instant, SystemTime};

use rsm_check::cluster::clock::{Change, Skew, spawn};

const CALLS: u32 = 5_000_000;
const ROUNDS: usize = 7;
const CHANGES: usize = 1_000;
const CHANGE_LIMIT_MS: f64 = 5.0;
const CHILD: &str = "RSM_CHECK_BENCH_CHILD";

fn main() {
    if std::env::var_os(CHILD).is_some() {
        return measure();
    }
    let mut figures = [Vec::new(), Vec::new(), Vec::new()];
    for _ in 0..ROUNDS {
        let wrong = Skew::default().changed(Change::Jump(3_600_000_000_000), 0).changed(Change::Rate(1.5), 0);
        for (figures, skew) in figures.iter_mut().zip([None, Some(Skew::default()), Some(wrong)]) {
            figures.push(child(skew));
        }
    }
    let [untouched, right, wrong] = figures.map(median);
    println!("a call of the clock, untouched        {untouched:6.1} ns");
    println!("traced, the right time                {right:6.1} ns   {:.2} times", right / untouched);
    println!(
        "traced, a wrong time at a wrong rate  {wrong:6.1} ns   {:.2} times (limit 3)",
        wrong / untouched
    );
    let late = change_p99_ms();
    if wrong > 3.0 * untouched || late > CHANGE_LIMIT_MS {
        println!("requirement missed");
        std::process::exit(1);
    }
}

/// Changes the clock of a program that asks for the time without pause.
fn change_p99_ms() -> f64 {
    let (told, tell) = std::io::pipe().expect("a pipe");
    let mut command = Command::new(std::env::current_exe().expect("this program"));
    command.env(CHILD, "1").stdin(Stdio::null()).stdout(tell);
    let ((), traced) = spawn(command, Skew::default(), || Ok(())).expect("it can be traced");
    let mut took: Vec<f64> = Vec::with_capacity(CHANGES);
    for number in 0..CHANGES {
        let by = if number % 2 == 0 { 1_000_000_000 } else { -1_000_000_000 };
        let begun = Instant::now();
        let applied = traced.clocks.change(Change::Jump(by));
        took.push(begun.elapsed().as_secs_f64() * 1e3);
        assert!(applied.held(), "{applied:?}");
    }
    drop(told);
    drop(traced.exit.blocking_recv());
    took.sort_by(f64::total_cmp);
    let p99 = took[took.len() * 99 / 100];
    println!(
        "a change, until it was read back      {:6.3} ms in the median, {p99:.3} ms in 99 of 100 (limit {CHANGE_LIMIT_MS} ms), at most {:.3} ms",
        took[took.len() / 2],
        took[took.len() - 1]
    );
    p99
}

fn measure() {
    let begun = Instant::now();
    for _ in 0..CALLS {
        std::hint::black_box(SystemTime::now());
    }
    println!("{}", begun.elapsed().as_nanos() as f64 / f64::from(CALLS));
}

fn child(skew: Option<Skew>) -> f64 {
    let (mut told, tell) = std::io::pipe().expect("a pipe");
    let mut command = Command::new(std::env::current_exe().expect("this program"));
    command.env(CHILD, "1").stdin(Stdio::null()).stdout(tell);
    match skew {
        None => {
            command.status().expect("it runs");
            drop(command);
        }
        Some(skew) => {
            let ((), traced) = spawn(command, skew, || Ok(())).expect("it can be traced");
            drop(traced.exit.blocking_recv());
        }
    }
    let mut text = String::new();
    // `command` held the other end until it was dropped or moved away.
    told.read_to_string(&mut text).expect("a figure");
    text.trim().parse().expect("a number")
}

fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}
