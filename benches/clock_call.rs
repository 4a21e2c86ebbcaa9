//! What a call of the clock costs when the clock is wrong, against a right one.
//!
//! `cargo bench --bench clock_call`. The same program measures itself as a child of
//! its own: untouched, traced with the right time, traced with a wrong one, in turn.
//! Exits 1 if a call of the wrong clock takes more than 3 times as long.

use std::io::Read;
use std::process::{Command, Stdio};
use std::time::{Instant, SystemTime};

use rsm_check::cluster::clock::{Change, Skew, spawn};

const CALLS: u32 = 5_000_000;
const ROUNDS: usize = 7;
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
    if wrong > 3.0 * untouched {
        println!("requirement missed");
        std::process::exit(1);
    }
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
