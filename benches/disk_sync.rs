//! What an append with its fsync costs on a disk of the harness, against the same
//! directory without it, in turns, in one run.
//!
//!     cargo bench --bench disk_sync
//!
//! Exits 1 if the disk of the harness does fewer than 2,000 a second in the median turn, or
//! if one in a hundred takes more than 5 ms. Needs /dev/fuse and a mount namespace.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use rsm_check::cluster::disk::{Disk, Durability, own_namespace, usable};

/// Turns of each kind.
const ROUNDS: usize = 9;
/// Appends of one turn.
const APPENDS: usize = 2_000;
/// Of a size that a log of a replica has.
const RECORD: [u8; 120] = [b'x'; 120];
const LEAST_PER_SECOND: f64 = 2_000.0;
const P99_LIMIT_MS: f64 = 5.0;

fn main() -> io::Result<()> {
    // Before any thread exists.
    own_namespace();
    if let Err(why) = usable() {
        println!("not measured: {why}");
        return Ok(());
    }
    let dir = tempfile::tempdir()?;
    let (mut bare, mut mounted) = (Turns::default(), Turns::default());
    for _ in 0..ROUNDS {
        bare.push(turn(dir.path())?);
        let disk = Disk::mount(dir.path(), Durability::Journal)?;
        mounted.push(turn(dir.path())?);
        assert_eq!(disk.counts().syncs, APPENDS as u64, "every fsync reached the disk");
    }
    bare.tell("the directory itself");
    mounted.tell("a disk of the harness over it");
    println!("ratio of the rates: {:.2}", mounted.rate() / bare.rate());
    if mounted.rate() < LEAST_PER_SECOND || mounted.p99_ms() > P99_LIMIT_MS {
        println!("requirement missed: at least {LEAST_PER_SECOND} a second, p99 at most {P99_LIMIT_MS} ms");
        std::process::exit(1);
    }
    Ok(())
}

/// How long each append with its fsync took.
fn turn(dir: &Path) -> io::Result<Vec<Duration>> {
    let path = dir.join("log");
    let mut file = OpenOptions::new().create(true).append(true).open(&path)?;
    let mut took = Vec::with_capacity(APPENDS);
    for _ in 0..APPENDS {
        let began = Instant::now();
        file.write_all(&RECORD)?;
        file.sync_data()?;
        took.push(began.elapsed());
    }
    std::fs::remove_file(path)?;
    Ok(took)
}

/// All turns of a kind.
#[derive(Default)]
struct Turns {
    rates: Vec<f64>,
    took: Vec<Duration>,
}

impl Turns {
    fn push(&mut self, took: Vec<Duration>) {
        let seconds = took.iter().sum::<Duration>().as_secs_f64();
        self.rates.push(took.len() as f64 / seconds);
        self.took.extend(took);
    }

    /// Of the median turn, a second.
    fn rate(&self) -> f64 {
        let mut rates = self.rates.clone();
        rates.sort_by(f64::total_cmp);
        rates[rates.len() / 2]
    }

    fn percentile_ms(&self, percent: usize) -> f64 {
        let mut took = self.took.clone();
        took.sort_unstable();
        took[(took.len() * percent / 100).min(took.len() - 1)].as_secs_f64() * 1e3
    }

    fn p99_ms(&self) -> f64 {
        self.percentile_ms(99)
    }

    fn tell(&self, what: &str) {
        let (rate, median, p99) = (self.rate(), self.percentile_ms(50), self.p99_ms());
        println!(
            "{what:<30} {rate:>8.0}/s in the median turn, median {median:.3} ms, p99 {p99:.3} ms; \
             {ROUNDS} turns of {APPENDS}"
        );
    }
}
