//! The real programs under a test: started, spoken to, killed, never left behind.
//!
//! It waits for conditions with a generous ceiling and kills only its own children. It must not
//! judge; what is right is said by the tests.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU16, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// Nothing here takes this long unless it is broken.
pub const CEILING: Duration = Duration::from_secs(20);

/// Waits until `condition` yields something; panics with its last complaint.
pub fn wait_for<T>(what: &str, mut condition: impl FnMut() -> Result<T, String>) -> T {
    let give_up = Instant::now() + CEILING;
    loop {
        match condition() {
            Ok(value) => return value,
            Err(status) if Instant::now() > give_up => panic!("waited in vain for {what}: {status}"),
            Err(_) => thread::sleep(Duration::from_millis(5)),
        }
    }
}

/// One running program; killed when dropped.
pub struct Program {
    child: Child,
    pub port: u16,
    output: Arc<Mutex<String>>,
    reader: Option<JoinHandle<()>>,
}

impl Program {
    pub fn start(binary: &str, arguments: &[String]) -> Self {
        let mut command = Command::new(binary);
        let mut child = command.args(arguments).stdout(Stdio::piped()).spawn().expect("a built binary");
        let stdout = child.stdout.take().expect("it is piped");
        let output = Arc::new(Mutex::new(String::new()));
        let sink = Arc::clone(&output);
        let reader = thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                sink.lock().expect("nobody panics with it").push_str(&(line + "\n"));
            }
        });
        let mut program = Self { child, port: 0, output, reader: Some(reader) };
        program.port = wait_for("a port", || {
            let output = program.output();
            let line = output.lines().find(|line| line.starts_with("Listening on port "));
            line.and_then(|line| line.split(' ').nth(3)?.parse().ok()).ok_or(output)
        });
        program
    }

    pub fn output(&self) -> String {
        self.output.lock().expect("nobody panics with it").clone()
    }

    pub fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.child.id() as i32), signal).expect("our own child");
    }

    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Waits for it to end by itself.
    pub fn wait(&mut self) -> ExitStatus {
        wait_for("an exit", || self.child.try_wait().expect("our own child").ok_or("still running".into()))
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        self.kill();
        if let Some(reader) = self.reader.take() {
            let _ = reader.join();
        }
    }
}

/// A stable port in front of a replica whose own port changes with every start. While there is no
/// replica it accepts and closes, which is the harder case for a coordinator.
pub struct Door {
    pub port: u16,
    target: Arc<AtomicU16>,
    over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Door {
    fn open() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let port = listener.local_addr().expect("it is bound").port();
        let (target, over) = (Arc::new(AtomicU16::new(0)), Arc::new(AtomicBool::new(false)));
        let (to, end) = (Arc::clone(&target), Arc::clone(&over));
        let thread = thread::spawn(move || {
            while let Ok((inside, _)) = listener.accept() {
                if end.load(Ordering::Relaxed) {
                    return;
                }
                if let Ok(outside) = TcpStream::connect((Ipv4Addr::LOCALHOST, to.load(Ordering::Relaxed))) {
                    join(inside, outside);
                }
            }
        });
        Self { port, target, over, thread: Some(thread) }
    }
}

/// Carries bytes both ways on threads that end with their connection.
fn join(inside: TcpStream, outside: TcpStream) {
    for (from, to) in [(&inside, &outside), (&outside, &inside)] {
        let (Ok(mut from), Ok(mut to)) = (from.try_clone(), to.try_clone()) else { return };
        thread::spawn(move || {
            let _ = std::io::copy(&mut from, &mut to);
            let _ = to.shutdown(Shutdown::Both);
            let _ = from.shutdown(Shutdown::Both);
        });
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        let _ = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port));
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// A coordinator and its replicas in a directory of their own.
pub struct Cluster {
    edition: &'static str,
    directory: tempfile::TempDir,
    options: Vec<String>,
    pub doors: Vec<Door>,
    pub replicas: Vec<Option<Program>>,
    pub coordinator: Option<Program>,
}

impl Cluster {
    pub fn start(edition: &'static str, replica_options: &[&str]) -> Self {
        let mut cluster = Self {
            edition,
            directory: tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a directory"),
            options: replica_options.iter().map(ToString::to_string).collect(),
            doors: (0..3).map(|_| Door::open()).collect(),
            replicas: (0..3).map(|_| None).collect(),
            coordinator: None,
        };
        (0..3).for_each(|replica| cluster.start_replica(replica));
        cluster.start_coordinator();
        cluster
    }

    pub fn data(&self, replica: usize) -> PathBuf {
        self.directory.path().join(format!("replica-{replica}"))
    }

    pub fn start_replica(&mut self, replica: usize) {
        let mut arguments = vec!["--edition".into(), self.edition.into()];
        arguments.extend(self.options.iter().cloned());
        arguments.push(self.data(replica).display().to_string());
        let program = Program::start(env!("CARGO_BIN_EXE_srv"), &arguments);
        self.doors[replica].target.store(program.port, Ordering::Relaxed);
        self.replicas[replica] = Some(program);
    }

    pub fn start_coordinator(&mut self) {
        let mut arguments = vec!["--edition".into(), self.edition.into()];
        arguments.extend(self.doors.iter().map(|door| door.port.to_string()));
        self.coordinator = Some(Program::start(env!("CARGO_BIN_EXE_coord"), &arguments));
    }

    /// Removes all files of a replica that does not run.
    pub fn wipe(&self, replica: usize) {
        let own = format!("replica-{replica}");
        for entry in std::fs::read_dir(self.directory.path()).expect("our own directory") {
            let entry = entry.expect("our own directory");
            if entry.file_name().to_string_lossy().starts_with(&own) {
                std::fs::remove_file(entry.path()).expect("our own file");
            }
        }
    }

    /// Waits until a replica has said something.
    pub fn wait_for_told(&self, replica: usize, what: &str) {
        let program = self.replicas[replica].as_ref().expect("it runs");
        wait_for(what, || program.output().contains(what).then_some(()).ok_or(program.output()));
    }

    /// SIGKILL to everybody.
    pub fn kill_all(&mut self) {
        self.coordinator = None;
        self.replicas.iter_mut().for_each(|replica| *replica = None);
    }

    pub fn restart_all(&mut self) {
        (0..3).for_each(|replica| self.start_replica(replica));
        self.start_coordinator();
    }

    pub fn port(&self) -> u16 {
        self.coordinator.as_ref().expect("it runs").port
    }

    pub fn ask(&self, request: &str) -> String {
        ask(self.port(), request).expect("a coordinator that lives")
    }

    /// Asks until it is answered with balances.
    pub fn ask_until_done(&self, request: &str) -> String {
        wait_for(request, || match ask(self.port(), request) {
            Ok(reply) if reply.starts_with(|first: char| first.is_ascii_digit()) => Ok(reply),
            other => Err(format!("{other:?}")),
        })
    }

    /// Waits until all data files say the same, with this line in it.
    pub fn wait_for_files(&self, line: &str) -> String {
        wait_for("equal data files", || {
            let files: Vec<String> = (0..3).map(|replica| read(&self.data(replica))).collect();
            let equal = files.windows(2).all(|pair| pair[0] == pair[1]);
            let there = files[0].lines().any(|found| found == line);
            if equal && there { Ok(files[0].clone()) } else { Err(format!("{files:#?}")) }
        })
    }
}

pub fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}

/// One request, one reply, as the harness does it.
pub fn ask(port: u16, request: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
    stream.set_read_timeout(Some(CEILING))?;
    stream.write_all(request.as_bytes())?;
    if !request.ends_with('\n') {
        stream.shutdown(Shutdown::Write)?;
    }
    let mut reply = String::new();
    stream.read_to_string(&mut reply)?;
    Ok(reply)
}
