//! How fast the durable reference system is, beside what the machine could do at best.
//!
//! Real release binaries, a real disk, one connection per request, no proxy. It prints two ceilings
//! measured in the same minute (bare `fdatasync`, bare connections) so that a slow disk or a busy
//! machine is not mistaken for a slow program. It must not measure on a file system in memory.

use std::fs::OpenOptions;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::sys::statfs::{TMPFS_MAGIC, statfs};
use nix::unistd::Pid;

const CLIENTS: usize = 64;
const DURATION: Duration = Duration::from_secs(5);
const REPLICAS: usize = 3;

fn main() {
    let directory = Scratch::new();
    println!("directory        {}", directory.0.display());
    println!("raw fdatasync    {:>9.0} /s (append of 512 bytes)", raw_fdatasync(&directory.0));
    println!("raw connections  {:>9.0} /s (stub that answers at once)", raw_connections());
    let (rates, groups) = reference_system(&directory.0);
    println!("acknowledged     {:>9.0} /s ({CLIENTS} clients, {REPLICAS} replicas)", rates.per_second());
    println!("latency          p50 {:.2} ms, p99 {:.2} ms", rates.quantile(0.5), rates.quantile(0.99));
    println!("no reply         {:>9}", rates.failed);
    groups.iter().for_each(|line| println!("replica          {line}"));
}

/// A directory on the disk that the build uses, removed at the end.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Self {
        let parent =
            std::env::var_os("BENCH_DIR").map_or_else(|| env!("CARGO_TARGET_TMPDIR").into(), PathBuf::from);
        let path = parent.join(format!("reference-throughput-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap_or_else(|e| panic!("cannot create {}: {e}", path.display()));
        let system = statfs(&path).expect("the directory was just made");
        let memory = system.filesystem_type() == TMPFS_MAGIC;
        let scratch = Self(path);
        assert!(!memory, "{} is in memory; name a directory on a disk in BENCH_DIR", scratch.0.display());
        scratch
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn raw_fdatasync(directory: &Path) -> f64 {
    let path = directory.join("raw");
    let mut file = OpenOptions::new().create(true).append(true).open(path).expect("a new file");
    let (begin, mut count) = (Instant::now(), 0);
    while begin.elapsed() < Duration::from_secs(2) {
        file.write_all(&[b'x'; 512]).and_then(|()| file.sync_data()).expect("the disk takes it");
        count += 1;
    }
    f64::from(count) / begin.elapsed().as_secs_f64()
}

/// The same clients against a server that does nothing but answer.
fn raw_connections() -> f64 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    let port = listener.local_addr().expect("it is bound").port();
    let over = Arc::new(AtomicBool::new(false));
    let stub = {
        let over = Arc::clone(&over);
        thread::spawn(move || {
            while !over.load(Ordering::Relaxed) {
                let Ok((mut stream, _)) = listener.accept() else { continue };
                let _ = stream.read(&mut [0; 256]).and_then(|_| stream.write(b"100 100\n"));
                let _ = stream.shutdown(Shutdown::Write);
            }
        })
    };
    let rates = drive(port, Duration::from_secs(2));
    over.store(true, Ordering::Relaxed);
    let _ = TcpStream::connect((Ipv4Addr::LOCALHOST, port));
    stub.join().expect("the stub cannot panic");
    rates.per_second()
}

/// A program of the reference system; killed if this one fails.
struct Program {
    child: Child,
    port: u16,
    output: BufReader<std::process::ChildStdout>,
}

impl Program {
    fn start(command: &mut Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).spawn().expect("the binary was just built");
        let mut output = BufReader::new(child.stdout.take().expect("it is piped"));
        let mut line = String::new();
        output.read_line(&mut line).expect("it speaks first");
        let port = line.split(' ').nth(3).and_then(|word| word.parse().ok());
        Self { child, port: port.unwrap_or_else(|| panic!("no port in {line:?}")), output }
    }

    /// Its last words.
    fn stop(mut self) -> String {
        let _ = kill(Pid::from_raw(self.child.id() as i32), Signal::SIGTERM);
        let mut rest = String::new();
        let _ = self.output.read_to_string(&mut rest);
        rest.lines().last().unwrap_or_default().to_owned()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn reference_system(directory: &Path) -> (Rates, Vec<String>) {
    let start = |i| {
        let data = directory.join(format!("replica-{i}"));
        Program::start(Command::new(env!("CARGO_BIN_EXE_srv")).arg(data))
    };
    let replicas: Vec<Program> = (0..REPLICAS).map(start).collect();
    let ports = replicas.iter().map(|replica| replica.port.to_string());
    let coordinator = Program::start(Command::new(env!("CARGO_BIN_EXE_coord")).args(ports));
    drive(coordinator.port, Duration::from_millis(500));
    let rates = drive(coordinator.port, DURATION);
    drop(coordinator);
    (rates, replicas.into_iter().map(Program::stop).collect())
}

/// What the clients saw.
struct Rates {
    took: Duration,
    latencies: Vec<Duration>,
    failed: usize,
}

impl Rates {
    fn per_second(&self) -> f64 {
        self.latencies.len() as f64 / self.took.as_secs_f64()
    }

    /// In milliseconds.
    fn quantile(&self, share: f64) -> f64 {
        let rank = (self.latencies.len() as f64 * share) as usize;
        self.latencies.get(rank).map_or(f64::NAN, |latency| latency.as_secs_f64() * 1000.0)
    }
}

fn drive(port: u16, duration: Duration) -> Rates {
    let begin = Instant::now();
    let client = move |number: usize| {
        let (mut latencies, mut failed) = (Vec::new(), 0);
        while begin.elapsed() < duration {
            let sent = Instant::now();
            match transfer(port, number, latencies.len()) {
                Ok(()) => latencies.push(sent.elapsed()),
                Err(_) => failed += 1,
            }
        }
        (latencies, failed)
    };
    let clients: Vec<_> = (0..CLIENTS).map(|number| thread::spawn(move || client(number))).collect();
    let (mut latencies, mut failed) = (Vec::new(), 0);
    for (own, lost) in clients.into_iter().map(|client| client.join().expect("a client cannot panic")) {
        latencies.extend(own);
        failed += lost;
    }
    latencies.sort_unstable();
    Rates { took: begin.elapsed(), latencies, failed }
}

/// One request as the harness sends it: connect, send, read to the end, close.
fn transfer(port: u16, client: usize, number: usize) -> std::io::Result<()> {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
    let request = format!("a{} b{} {}\n", client % 8, number % 8, number % 3);
    stream.write_all(request.as_bytes())?;
    let mut reply = String::new();
    stream.read_to_string(&mut reply)?;
    let well = !reply.is_empty() && !reply.starts_with("refused");
    if well { Ok(()) } else { Err(std::io::Error::other(reply)) }
}
