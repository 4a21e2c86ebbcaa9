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

use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use clap::{Parser, ValueEnum};
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::{TimeVal, TimeValLike};
use rsm_check::client::bank::Bank;
use rsm_check::client::driver::{Budget, Client, Numbers};
use rsm_check::client::{Invocation, Journal};
use rsm_check::clock::RunClock;
use rsm_check::cluster::proxy::{Proxy, ProxyThread, Tap};
use rsm_check::fault::Link;
use rsm_check::op::{Reason, Transfer};
use rsm_check::recorder::Recorder;
use rsm_check::recorder::wire::{DEFAULT_LIMIT, WireRecord};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::watch;

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
enum Closing {
    /// The server closes after its reply.
    ServerFirst,
    /// The server waits for the client's FIN.
    ClientFirst,
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
        return stub(closing);
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
    let mut rates = Vec::new();
    let mut errors = 0;
    for window in 1..=seconds.div_ceil(10) {
        let sample = stage.run(options, Duration::from_secs(10), &stub)?;
        println!("  {:4} s  {}", window * 10, sample.line());
        rates.push(sample.rate());
        errors += sample.errors;
    }
    stage.end()?;
    let third = rates.len().div_ceil(3);
    let mean = |part: &[f64]| part.iter().sum::<f64>() / part.len() as f64;
    let ratio = mean(&rates[rates.len() - third..]) / mean(&rates[..third]);
    println!("  last third / first third: {ratio:.2}, errors {errors}");
    Ok(ratio >= 0.8 && errors == 0)
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
        let client = Client { process, bank, pace: None, seed: process, numbers, budget };
        let transfers = std::iter::repeat_with(|| Transfer::request("alice", "bob", 5));
        let (measured, stopped) = (Arc::clone(measured), stopped.clone());
        clients.spawn(async move { client.run(transfers, &measured, stopped).await });
    }
    tokio::time::sleep(time).await;
    stop.send_replace(true);
    clients.join_all().await;
}

/// Measures the same way whether something records or not.
struct Measured {
    inner: Option<Recorder>,
    clock: RunClock,
    source: AtomicU32,
    errors: AtomicU64,
    last_error: Mutex<Option<Reason>>,
    cpu_before: Duration,
    microseconds: Mutex<Vec<u32>>,
}

impl Measured {
    fn around(inner: Option<Recorder>) -> Self {
        Self {
            inner,
            clock: RunClock::start(),
            source: AtomicU32::new(0),
            errors: AtomicU64::new(0),
            last_error: Mutex::new(None),
            cpu_before: cpu_used(),
            microseconds: Mutex::new(Vec::with_capacity(1 << 20)),
        }
    }

    fn sample(&self, time: Duration) -> Sample {
        if let Some(reason) = self.last_error.lock().expect("no holder panics").take() {
            println!("  an error: {}", reason.text());
        }
        let microseconds = std::mem::take(&mut *self.microseconds.lock().expect("no holder panics"));
        let cpu = cpu_used().saturating_sub(self.cpu_before);
        Sample { microseconds, errors: self.errors.load(Ordering::Relaxed), time, cpu }
    }
}

impl Journal for Measured {
    fn invoke(&self, process: u64, transfer: Transfer) -> Invocation {
        let mut invocation = match &self.inner {
            Some(recorder) => recorder.invoke(process, transfer),
            None => {
                let number = self.source.fetch_add(1, Ordering::Relaxed) % (200 << 16);
                let source = Ipv4Addr::from_bits(u32::from(Ipv4Addr::new(127, 1, 0, 0)) + number);
                Invocation { index: 0, process, transfer, invoked: 0, source }
            }
        };
        // Told in this clock, for the recorder's is not ours to read.
        invocation.index = self.clock.now();
        invocation
    }

    fn complete(
        &self,
        invocation: Invocation,
        local: Option<SocketAddrV4>,
        result: Result<[i64; 2], Reason>,
    ) {
        let latency = (self.clock.now() - invocation.index) / 1000;
        match &result {
            Ok(_) => self.microseconds.lock().expect("no holder panics").push(latency as u32),
            Err(reason) => {
                self.errors.fetch_add(1, Ordering::Relaxed);
                *self.last_error.lock().expect("no holder panics") = Some(reason.clone());
            }
        }
        if let Some(recorder) = &self.inner {
            recorder.complete(invocation, local, result);
        }
    }
}

#[derive(Default)]
struct Sample {
    microseconds: Vec<u32>,
    errors: u64,
    time: Duration,
    /// Time on a processor that this process spent, the stub's not included.
    cpu: Duration,
}

impl Sample {
    fn add(&mut self, other: Self) {
        self.microseconds.extend(other.microseconds);
        self.errors += other.errors;
        self.time += other.time;
        self.cpu += other.cpu;
    }

    /// Microseconds; other load on the machine hardly touches this figure.
    fn cpu_per_operation(&self) -> f64 {
        self.cpu.as_micros() as f64 / (self.microseconds.len().max(1)) as f64
    }

    fn rate(&self) -> f64 {
        self.microseconds.len() as f64 / self.time.as_secs_f64()
    }

    /// Microseconds.
    fn quantile(&self, share: f64) -> f64 {
        let mut sorted = self.microseconds.clone();
        sorted.sort_unstable();
        let at = ((sorted.len() as f64 * share) as usize).min(sorted.len().saturating_sub(1));
        f64::from(sorted.get(at).copied().unwrap_or(0))
    }

    fn line(&self) -> String {
        let (p50, p99) = (self.quantile(0.5) / 1000.0, self.quantile(0.99) / 1000.0);
        let (rate, errors) = (self.rate(), self.errors);
        let cpu = self.cpu_per_operation();
        format!("{rate:8.0} ops/s   p50 {p50:6.2} ms   p99 {p99:6.2} ms   cpu {cpu:5.1} us   errors {errors}")
    }
}

fn cpu_used() -> Duration {
    let Ok(usage) = getrusage(UsageWho::RUSAGE_SELF) else { return Duration::ZERO };
    let micros = [usage.user_time(), usage.system_time()].iter().map(TimeVal::num_microseconds).sum::<i64>();
    Duration::from_micros(micros.unsigned_abs())
}

/// The stub's process; ends with this value.
struct Stub {
    child: Child,
    port: u16,
    closing: Closing,
}

impl Stub {
    fn start(closing: Closing) -> Result<Self, Failure> {
        let name = closing.to_possible_value().ok_or("a closing without a name")?;
        let mut child = Command::new(std::env::current_exe()?)
            .args(["--stub", name.get_name()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut line = String::new();
        BufReader::new(child.stdout.take().ok_or("no output")?).read_line(&mut line)?;
        Ok(Self { child, port: line.trim().parse()?, closing })
    }

    fn bank(&self, port: u16) -> Bank {
        let half_close = self.closing == Closing::ClientFirst;
        Bank { port, deadline: Duration::from_secs(10), half_close }
    }
}

impl Drop for Stub {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn stub(closing: Closing) -> Result<(), Failure> {
    // Ends when the parent does, however that came.
    std::thread::spawn(|| {
        let _ = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
        std::process::exit(0);
    });
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async move {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        println!("{}", listener.local_addr()?.port());
        loop {
            let (stream, _) = listener.accept().await?;
            tokio::spawn(answer(stream, closing));
        }
    })
}

async fn answer(mut stream: tokio::net::TcpStream, closing: Closing) -> std::io::Result<()> {
    let mut buffer = [0; 256];
    let mut last = 0;
    while last != b'\n' {
        let size = stream.read(&mut buffer).await?;
        last = if size == 0 { b'\n' } else { buffer[size - 1] };
    }
    if closing == Closing::ClientFirst {
        while stream.read(&mut buffer).await? > 0 {}
    }
    stream.write_all(b"95 105\n").await
}
