//! What recording costs: clients through proxy and recorder against the same
//! clients connected directly, in one run, A B A B.
//!
//!     cargo bench --bench harness_rate                    # both orders of closing
//!     cargo bench --bench harness_rate -- --flat 600      # one long recorded run, 10 s windows
//!
//!     cargo bench --bench harness_rate -- --isolated --flat 20 --closing client-first
//!
//! The server is a trivial stub in a process of its own: this program again.
//! Exits 1 if a requirement is missed.

use std::os::unix::process::CommandExt;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use clap::{Parser, ValueEnum};
use rsm_check::client::bank::Bank;
use rsm_check::client::driver::{Budget, Client, Numbers, Split};
use rsm_check::clock::RunClock;
use rsm_check::cluster::proxy::{Proxy, ProxyThread, Tap};
use rsm_check::fault::Link;
use rsm_check::op::Transfer;
use rsm_check::recorder::Recorder;
use rsm_check::recorder::wire::{DEFAULT_LIMIT, WireRecord};
use tokio::sync::watch;

mod sample;
mod stub;

use sample::{Measured, Sample};
use stub::{Closing, Stub, serve};

type Failure = Box<dyn std::error::Error>;

#[derive(Parser)]
struct Options {
    /// Seconds of each slice.
    #[arg(long, default_value_t = 2)]
    seconds: u64,
    /// Slices of each kind and order of closing.
    #[arg(long, default_value_t = 9)]
    rounds: u32,
    /// Instead of comparing: one recorded run of so many seconds.
    #[arg(long)]
    flat: Option<u64>,
    /// Clients.
    #[arg(long, default_value_t = 64)]
    clients: u64,
    /// Who closes first; both if not given.
    #[arg(long)]
    closing: Option<Closing>,
    /// Where the proxies run.
    #[arg(long, default_value = "apart")]
    layout: Layout,
    /// Only the proxy, nothing recorded.
    #[arg(long)]
    no_recording: bool,
    /// History but no record of the wire.
    #[arg(long)]
    no_wire: bool,
    /// In a network namespace of its own with tcp_tw_reuse 0, where connections
    /// that leave TIME_WAIT behind run out of ports. Needs `unshare` and `ip`.
    #[arg(long)]
    isolated: bool,
    /// Serve, print the port, never end.
    #[arg(long, hide = true)]
    stub: Option<Closing>,
    /// Given by cargo.
    #[arg(long, hide = true)]
    bench: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum, Debug)]
enum Layout {
    /// Proxies on a thread of their own.
    Apart,
    /// Proxies and clients on one thread.
    Together,
    /// Clients on two worker threads, proxies on a third.
    Workers,
}

fn main() -> Result<(), Failure> {
    let options = Options::parse();
    if let Some(closing) = options.stub {
        return serve(closing);
    }
    if options.isolated {
        return isolated();
    }
    let closings = options.closing.map_or(vec![Closing::ServerFirst, Closing::ClientFirst], |c| vec![c]);
    let mut met = true;
    for closing in closings {
        met &= match options.flat {
            Some(seconds) => flat(&options, closing, seconds)?,
            None => compare(&options, closing)?,
        };
    }
    if !met {
        println!("requirement missed");
        std::process::exit(1);
    }
    Ok(())
}

/// This program again, elsewhere; returns only if that cannot be.
fn isolated() -> Result<(), Failure> {
    let prepare = "ip link set lo up && echo 0 > /proc/sys/net/ipv4/tcp_tw_reuse && exec \"$0\" \"$@\"";
    let arguments = std::env::args_os().skip(1).filter(|argument| argument != "--isolated");
    let error = Command::new("unshare")
        .args(["--user", "--map-root-user", "--net", "sh", "-c", prepare])
        .arg(std::env::current_exe()?)
        .args(arguments)
        .exec();
    Err(error.into())
}

/// A B A B, judged by the median of neighbours' ratios: other load on the
/// machine changes from slice to slice and hits neighbours alike.
fn compare(options: &Options, closing: Closing) -> Result<bool, Failure> {
    let stub = Stub::start(closing)?;
    let (mut direct, mut full) = (Sample::default(), Sample::default());
    let (mut rates, mut p99s) = (Vec::new(), Vec::new());
    for _ in 0..options.rounds {
        let (a, b) = (run_direct(options, &stub)?, run_full(options, &stub)?);
        rates.push(b.rate() / a.rate());
        p99s.push(b.quantile(0.99) / a.quantile(0.99));
        direct.add(a);
        full.add(b);
    }
    println!("{closing:?}, {} clients, proxies {:?}", options.clients, options.layout);
    println!("  direct  {}", direct.line());
    println!("  full    {}", full.line());
    let (rate, p99) = (median(&mut rates), median(&mut p99s));
    println!("  full / direct, median: rate {rate:.2} (at least 0.30), p99 {p99:.2} (at most 4)");
    println!("  each: rate {rates:.2?}, p99 {p99s:.2?}");
    Ok(rate >= 0.30 && p99 <= 4.0 && direct.errors + full.errors == 0)
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

fn flat(options: &Options, closing: Closing, seconds: u64) -> Result<bool, Failure> {
    let stub = Stub::start(closing)?;
    let stage = Stage::start(options, &stub)?;
    println!("{closing:?}, recorded, 10 s windows");
    let (mut rates, mut costs) = (Vec::new(), Vec::new());
    let mut errors = 0;
    for window in 1..=seconds.div_ceil(10) {
        let sample = stage.run(options, Duration::from_secs(10), &stub)?;
        println!("  {:4} s  {}", window * 10, sample.line());
        rates.push(sample.rate());
        costs.push(sample.cpu_per_operation());
        errors += sample.errors;
    }
    stage.end()?;
    let third = costs.len().div_ceil(3);
    let mean = |part: &[f64]| part.iter().sum::<f64>() / part.len() as f64;
    let growth = |values: &[f64]| mean(&values[values.len() - third..]) / mean(&values[..third]);
    println!(
        "  last third / first third: rate {:.2}, cpu {:.2}; errors {errors}",
        growth(&rates),
        growth(&costs)
    );
    // What piles up shows in the cost; the rate also follows other load.
    Ok(growth(&costs) <= 1.2 && errors == 0)
}

fn run_direct(options: &Options, stub: &Stub) -> Result<Sample, Failure> {
    let measured = Arc::new(Measured::around(None));
    let runtime = client_runtime(options)?;
    runtime.block_on(drive(options, stub.bank(stub.port), &measured, seconds(options)));
    Ok(measured.sample(seconds(options)))
}

fn run_full(options: &Options, stub: &Stub) -> Result<Sample, Failure> {
    let stage = Stage::start(options, stub)?;
    let sample = stage.run(options, seconds(options), stub)?;
    stage.end()?;
    Ok(sample)
}

fn seconds(options: &Options) -> Duration {
    Duration::from_secs(options.seconds)
}

/// Proxy, recorder and record of the wire, as in a real run.
struct Stage {
    proxy: Proxy,
    recorder: Recorder,
    wire: Arc<WireRecord>,
    recording: bool,
    runtime: tokio::runtime::Runtime,
    _thread: Option<ProxyThread>,
    _folder: tempfile::TempDir,
}

impl Stage {
    fn start(options: &Options, stub: &Stub) -> Result<Self, Failure> {
        let folder = tempfile::tempdir()?;
        let clock = RunClock::start();
        let recorder = Recorder::create(&folder.path().join("history.jsonl"), clock)?;
        let wire = Arc::new(WireRecord::create(&folder.path().join("wire.jsonl"), DEFAULT_LIMIT)?);
        let recording = !options.no_recording;
        let tap: Arc<dyn Tap> = match (recording, options.no_wire) {
            (true, false) => Arc::new((recorder.clone(), Arc::clone(&wire))),
            (true, true) => Arc::new(recorder.clone()),
            (false, _) => Arc::new(()),
        };
        let runtime = client_runtime(options)?;
        let thread = (options.layout != Layout::Together).then(ProxyThread::start).transpose()?;
        let handle = thread.as_ref().map_or(runtime.handle(), ProxyThread::handle);
        let proxy = Proxy::start(Link::ClientsCoord, tap, clock, handle)?;
        proxy.open(stub.port)?;
        Ok(Self { proxy, recorder, wire, recording, runtime, _thread: thread, _folder: folder })
    }

    fn run(&self, options: &Options, time: Duration, stub: &Stub) -> Result<Sample, Failure> {
        let inner = self.recording.then(|| self.recorder.clone());
        let measured = Arc::new(Measured::around(inner));
        self.runtime.block_on(drive(options, stub.bank(self.proxy.port()), &measured, time));
        Ok(measured.sample(time))
    }

    fn end(self) -> Result<(), Failure> {
        drop(self.proxy);
        self.recorder.finish()?;
        Ok(self.wire.finish()?)
    }
}

fn client_runtime(options: &Options) -> std::io::Result<tokio::runtime::Runtime> {
    match options.layout {
        Layout::Workers => tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build(),
        _ => tokio::runtime::Builder::new_current_thread().enable_all().build(),
    }
}

async fn drive(options: &Options, bank: Bank, measured: &Arc<Measured>, time: Duration) {
    let (stop, stopped) = watch::channel(false);
    let numbers = Arc::new(Numbers::from(options.clients));
    let budget = Arc::new(Budget::of(None));
    let mut clients = tokio::task::JoinSet::new();
    for process in 0..options.clients {
        let (numbers, budget) = (Arc::clone(&numbers), Arc::clone(&budget));
        let split = Split { share: 0.0, seed: process };
        let client = Client { process, bank, pace: None, split, seed: process, numbers, budget };
        let transfers = std::iter::repeat_with(|| Transfer::request("alice", "bob", 5));
        let (measured, stopped) = (Arc::clone(measured), stopped.clone());
        clients.spawn(async move { client.run(transfers, &measured, stopped).await });
    }
    tokio::time::sleep(time).await;
    stop.send_replace(true);
    clients.join_all().await;
}
