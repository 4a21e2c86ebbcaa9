//! Client, proxy and recorder together, with real sockets: what the history says.
//!
//! Waits for conditions with a generous ceiling, never for time to pass.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rsm_check::client::bank::Bank;
use rsm_check::client::driver::{Budget, Client, Numbers, Pace, Split};
use rsm_check::clock::RunClock;
use rsm_check::cluster::proxy::{Proxy, ProxyThread, Tap};
use rsm_check::fault::Link;
use rsm_check::fault::network::{Directions, Distribution, LinkFault};
use rsm_check::op::Transfer;
use rsm_check::recorder::Recorder;
use rsm_check::recorder::wire::WireRecord;
use serde_json::Value;
use tokio::sync::watch;

const CEILING: Duration = Duration::from_secs(20);

/// A recorded link whose target runs `serve` for each connection.
struct Stage {
    folder: tempfile::TempDir,
    recorder: Recorder,
    wire: Arc<WireRecord>,
    proxy: Proxy,
    /// What the clients transfer.
    amount: fn() -> i64,
    _thread: ProxyThread,
}

impl Stage {
    fn open(serve: fn(TcpStream)) -> Self {
        let stage = Self::closed();
        stage.proxy.open(target(serve)).unwrap();
        stage
    }

    fn closed() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let clock = RunClock::start();
        let recorder = Recorder::create(&folder.path().join("history.jsonl"), clock).unwrap();
        let wire = Arc::new(WireRecord::create(&folder.path().join("wire.jsonl"), 1 << 20).unwrap());
        let tap: Arc<dyn Tap> = Arc::new((recorder.clone(), Arc::clone(&wire)));
        let thread = ProxyThread::start().unwrap();
        let proxy = Proxy::start(Link::ClientsCoord, tap, clock, thread.handle()).unwrap();
        Self { folder, recorder, wire, proxy, amount: || 5, _thread: thread }
    }

    fn bank(&self) -> Bank {
        Bank { port: self.proxy.port(), deadline: CEILING, half_close: false }
    }

    fn history(&self) -> Vec<Value> {
        self.recorder.finish().unwrap();
        lines(self.folder.path().join("history.jsonl"))
    }

    /// Waits until the history satisfies the condition.
    fn history_until(&self, what: &str, condition: impl Fn(&[Value]) -> bool) -> Vec<Value> {
        let until = Instant::now() + CEILING;
        loop {
            let history = self.history();
            if condition(&history) {
                return history;
            }
            assert!(Instant::now() < until, "in vain: {what}\n{history:#?}");
            std::thread::yield_now();
        }
    }

    /// Runs clients that share a budget of operations.
    fn run(&self, clients: u64, operations: u64, bank: Bank) {
        let (_stop, stopped) = watch::channel(false);
        self.run_until(stopped, clients, operations, bank, None);
    }

    fn run_until(
        &self,
        stop: watch::Receiver<bool>,
        clients: u64,
        operations: u64,
        bank: Bank,
        pace: Option<Pace>,
    ) {
        let numbers = Arc::new(Numbers::from(clients));
        let budget = Arc::new(Budget::of(Some(operations)));
        runtime().block_on(async {
            let mut running = tokio::task::JoinSet::new();
            for process in 0..clients {
                let (numbers, budget) = (Arc::clone(&numbers), Arc::clone(&budget));
                let split = Split { share: 0.0, seed: process };
                let client = Client { process, bank, pace, split, seed: process, numbers, budget };
                let (recorder, stop) = (self.recorder.clone(), stop.clone());
                let amount = self.amount;
                let transfers = std::iter::repeat_with(move || Transfer::request("a", "b", amount()));
                running.spawn(async move { client.run(transfers, &recorder, stop).await });
            }
            running.join_all().await;
        });
    }
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

/// A server that lives as long as the test's process; returns its port.
fn target(serve: fn(TcpStream)) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let stream = stream.unwrap();
            std::thread::spawn(move || serve(stream));
        }
    });
    port
}

fn lines(path: PathBuf) -> Vec<Value> {
    let text = std::fs::read_to_string(path).unwrap();
    // A line without its newline is still being written.
    let whole = text.rfind('\n').map_or(0, |end| end + 1);
    text[..whole].lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn types<'a>(history: &'a [Value], process: &str) -> Vec<&'a str> {
    let of = |line: &&Value| line["process"] == process || process == "any";
    history.iter().filter(of).map(|line| line["type"].as_str().unwrap()).collect()
}

fn evidence(history: &[Value]) -> BTreeSet<u64> {
    let closes = |line: &Value| (line["f"] == "never-delivered").then(|| line["value"]["invoke"].as_u64());
    history.iter().filter_map(closes).flatten().collect()
}

fn read_request(stream: &mut TcpStream) {
    let mut byte = [0];
    while stream.read(&mut byte).is_ok_and(|size| size == 1) && byte != *b"\n" {}
}

fn answer(mut stream: TcpStream) {
    read_request(&mut stream);
    let _ = stream.write_all(b"95 105\n");
}

fn reset(stream: &TcpStream) {
    socket2::SockRef::from(stream).set_linger(Some(Duration::ZERO)).unwrap();
}

#[test]
fn acknowledged_operations_have_their_balances_and_their_messages_on_the_wire() {
    let stage = Stage::open(answer);
    stage.run(1, 3, stage.bank());
    let history = stage.history();
    assert_eq!(types(&history, "any"), ["invoke", "ok", "invoke", "ok", "invoke", "ok"]);
    assert_eq!(history[1]["value"]["balances"], serde_json::json!([95, 105]));
    assert_eq!(*stage.recorder.acknowledged().borrow(), 3);
    stage.wire.finish().unwrap();
    let wire = lines(stage.folder.path().join("wire.jsonl"));
    assert_eq!(wire.len(), 6);
    assert_eq!((&wire[0]["first"], &wire[1]["first"]), (&"a b 5\n".into(), &"95 105\n".into()));
}

#[test]
fn two_hundred_clients_at_once_are_all_served_and_every_index_is_used_once() {
    let stage = Stage::open(answer);
    stage.run(200, 2000, stage.bank());
    let history = stage.history();
    assert_eq!(types(&history, "any").iter().filter(|kind| **kind == "ok").count(), 2000);
    for (number, line) in history.iter().enumerate() {
        assert_eq!(line["index"], number);
    }
}

#[test]
fn a_half_closing_client_is_served_too() {
    let stage = Stage::open(answer);
    stage.run(4, 40, Bank { half_close: true, ..stage.bank() });
    assert_eq!(stage.recorder.progress().ok, 40);
}

#[test]
fn a_refused_connection_is_a_definite_failure_and_keeps_the_process() {
    let stage = Stage::closed();
    stage.run(1, 2, stage.bank());
    let history = stage.history();
    assert_eq!(types(&history, "any"), ["invoke", "fail", "invoke", "fail"]);
    assert!(history.iter().all(|line| line["process"] == 0));
    assert_eq!(history[1]["error"], "connection refused");
}

#[test]
fn a_target_that_died_behind_an_open_port_yields_evidence_for_every_operation() {
    let stage = Stage::closed();
    let gone = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    stage.proxy.open(gone).unwrap();
    stage.run(8, 40, stage.bank());
    let history = stage.history_until("evidence for all", |history| evidence(history).len() == 40);
    let invoked: BTreeSet<u64> = history
        .iter()
        .filter(|line| line["type"] == "invoke")
        .map(|line| line["index"].as_u64().unwrap())
        .collect();
    assert_eq!(evidence(&history), invoked);
    // Each indeterminate outcome retired its process.
    let processes: BTreeSet<u64> = history.iter().filter_map(|line| line["process"].as_u64()).collect();
    assert_eq!(processes.len(), 40);
}

#[test]
fn a_request_that_reached_its_server_never_gets_evidence_however_it_ends() {
    let stage = Stage::open(|mut stream| {
        read_request(&mut stream);
        reset(&stream);
    });
    stage.run(8, 40, stage.bank());
    stage.proxy.open(target(|mut stream| read_request(&mut stream))).unwrap();
    stage.run(8, 40, stage.bank());
    // The marker comes after every report of these connections: the proxy has
    // closed them all once it has been closed itself.
    let Stage { folder, recorder, proxy, _thread: thread, .. } = stage;
    thread.handle().block_on(proxy.close());
    recorder.finish().unwrap();
    let history = lines(folder.path().join("history.jsonl"));
    assert_eq!(types(&history, "any").len(), 160);
    assert_eq!(evidence(&history), BTreeSet::new());
    assert_eq!(history.iter().filter(|line| line["error"] == "connection reset").count(), 40);
    assert_eq!(history.iter().filter(|line| line["error"] == "closed without a reply").count(), 40);
}

#[test]
fn a_request_that_is_delayed_beyond_its_deadline_is_still_delivered_and_gets_no_evidence() {
    let stage = Stage::open(answer);
    let (latency_ns, jitter_ns) = (150_000_000, 0);
    let delay = LinkFault::Delay { latency_ns, jitter_ns, distribution: Distribution::Uniform };
    stage.proxy.apply(delay, Directions::Both, 11);
    stage.run(1, 1, Bank { deadline: Duration::from_millis(20), ..stage.bank() });
    stage.proxy.heal(Directions::Both).unwrap();
    let history = stage.history_until("a time-out", |history| history.len() == 2);
    assert_eq!(history[1]["error"], "timeout");
    let until = Instant::now() + CEILING;
    while stage.proxy.messages() == 0 {
        assert!(Instant::now() < until, "the request was lost");
        std::thread::yield_now();
    }
    assert_eq!(evidence(&stage.history()), BTreeSet::new());
    assert!(stage.proxy.tally(Directions::Both).shows(&delay));
}

#[test]
fn a_gigabyte_for_a_reply_is_cut_short() {
    let stage = Stage::open(|mut stream| {
        read_request(&mut stream);
        let block = vec![b'9'; 1 << 20];
        for _ in 0..1024 {
            if stream.write_all(&block).is_err() {
                return;
            }
        }
    });
    let began = Instant::now();
    stage.run(1, 1, stage.bank());
    let history = stage.history();
    assert!(history[1]["error"].as_str().unwrap().starts_with("unparsable reply: \"9999"));
    assert!(history[1]["error"].as_str().unwrap().len() < 200);
    assert!(began.elapsed() < Duration::from_secs(5));
}

#[test]
fn a_server_that_never_answers_costs_one_deadline() {
    let stage = Stage::open(|mut stream| {
        read_request(&mut stream);
        let _ = stream.read(&mut [0]);
    });
    stage.run(1, 1, Bank { deadline: Duration::from_millis(50), ..stage.bank() });
    assert_eq!(stage.history()[1]["error"], "timeout");
    assert_eq!(evidence(&stage.history()), BTreeSet::new());
}

#[test]
fn refusals_during_a_run_are_definite_or_proven_harmless_and_service_returns() {
    let stage = Stage::open(answer);
    let port = target(answer);
    let (stop, stopped) = watch::channel(false);
    std::thread::scope(|scope| {
        let clients = scope.spawn(|| stage.run_until(stopped, 8, u64::MAX, stage.bank(), None));
        let mut acknowledged = stage.recorder.acknowledged();
        for round in 1..=20 {
            stage.proxy.refuse();
            let failed = |history: &[Value]| history.iter().any(|line| line["type"] == "fail");
            stage.history_until("a refusal", failed);
            stage.proxy.open(port).unwrap();
            let enough = *acknowledged.borrow() + 50;
            let waited = runtime().block_on(async {
                tokio::time::timeout(CEILING, acknowledged.wait_for(|count| *count >= enough)).await.is_ok()
            });
            assert!(waited, "no service after opening {round}");
        }
        stop.send_replace(true);
        clients.join().unwrap();
    });
    // The target answers all that reaches it: what is indeterminate did not.
    let indeterminate = |history: &[Value]| {
        history.iter().filter(|line| line["type"] == "info" && line["process"].is_u64()).count()
    };
    let history = stage.history();
    assert!(evidence(&history).len() <= indeterminate(&history));
}

#[test]
fn a_paced_client_keeps_its_rate_and_stops_when_told() {
    let stage = Stage::open(answer);
    let (stop, stopped) = watch::channel(false);
    let pace = Pace { interval: Duration::from_millis(5), offset: Duration::from_millis(1), burst: None };
    let began = Instant::now();
    std::thread::scope(|scope| {
        let clients = scope.spawn(|| stage.run_until(stopped, 2, u64::MAX, stage.bank(), Some(pace)));
        let mut acknowledged = stage.recorder.acknowledged();
        runtime().block_on(acknowledged.wait_for(|count| *count >= 40)).unwrap();
        stop.send_replace(true);
        clients.join().unwrap();
    });
    // Two clients, 20 operations each: at least 19 intervals.
    assert!(began.elapsed() >= Duration::from_millis(95), "{:?}", began.elapsed());
    assert_eq!(stage.recorder.progress().in_flight(), 0);
}

#[test]
fn evidence_never_contradicts_what_the_server_received_while_targets_come_and_go() {
    static AMOUNT: AtomicI64 = AtomicI64::new(0);
    static RECEIVED: Mutex<BTreeSet<i64>> = Mutex::new(BTreeSet::new());
    /// Notes what it read, then answers, closes or resets.
    fn moody(mut stream: TcpStream) {
        let mut request = vec![0; 64];
        let size = stream.read(&mut request).unwrap_or(0);
        let text = String::from_utf8_lossy(&request[..size]).into_owned();
        let Some(amount) = text.trim_end().rsplit(' ').next().and_then(|word| word.parse().ok()) else {
            return;
        };
        RECEIVED.lock().unwrap().insert(amount);
        match amount % 7 {
            0 => reset(&stream),
            1 => (),
            _ => stream.write_all(b"95 105").unwrap_or(()),
        }
    }
    let mut stage = Stage::open(moody);
    stage.amount = || AMOUNT.fetch_add(1, Ordering::Relaxed);
    let alive = target(moody);
    let dead = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let (stop, stopped) = watch::channel(false);
    let bank = Bank { deadline: Duration::from_millis(200), ..stage.bank() };
    std::thread::scope(|scope| {
        let clients = scope.spawn(|| stage.run_until(stopped, 16, u64::MAX, bank, None));
        for round in 0..40u64 {
            let [acknowledged, known] =
                [stage.recorder.progress().ok, evidence(&stage.history()).len() as u64];
            stage.proxy.open(if round % 2 == 0 { alive } else { dead }).unwrap();
            let until = Instant::now() + CEILING;
            while stage.recorder.progress().ok < acknowledged + 20
                && (evidence(&stage.history()).len() as u64) < known + 5
            {
                assert!(Instant::now() < until, "nothing happens in round {round}");
            }
            stage.proxy.refuse();
        }
        stop.send_replace(true);
        clients.join().unwrap();
    });
    let Stage { folder, recorder, proxy, _thread: thread, .. } = stage;
    thread.handle().block_on(proxy.close());
    recorder.finish().unwrap();
    let history = lines(folder.path().join("history.jsonl"));
    let proven = evidence(&history);
    assert!(proven.len() >= 50, "too little evidence to mean anything: {}", proven.len());
    let received = RECEIVED.lock().unwrap();
    for line in history.iter().filter(|line| line["type"] == "invoke") {
        let [index, amount] = [&line["index"], &line["value"]["amount"]].map(|value| value.as_i64().unwrap());
        assert!(!(proven.contains(&(index as u64)) && received.contains(&amount)), "false evidence: {line}");
    }
}

/// Everything that a link can suffer and that a client may notice.
const FAULTS: [LinkFault; 11] = [
    LinkFault::Drop,
    LinkFault::Hold,
    LinkFault::Cut,
    LinkFault::Reset,
    LinkFault::Truncate { bytes: 4 },
    LinkFault::Truncate { bytes: 9 },
    LinkFault::Slice { bytes: 3, gap_ns: 1_000_000 },
    LinkFault::Bandwidth { bytes_per_second: 3000 },
    LinkFault::Delay { latency_ns: 9_000_000, jitter_ns: 9_000_000, distribution: Distribution::Pareto },
    LinkFault::SlowClose { latency_ns: 20_000_000 },
    LinkFault::Refuse { drop_established: true },
];

#[test]
fn under_network_faults_no_reply_is_garbled_no_request_made_up_and_no_evidence_wrong() {
    static AMOUNT: AtomicI64 = AtomicI64::new(100_000);
    static RECEIVED: Mutex<BTreeSet<i64>> = Mutex::new(BTreeSet::new());
    /// A right server: a message ends with its line or with the stream. Its reply
    /// ends with the stream alone, and its every beginning reads as a reply too.
    fn right(mut stream: TcpStream) {
        let (mut request, mut byte) = (Vec::new(), [0]);
        while !request.ends_with(b"\n") {
            match stream.read(&mut byte) {
                Ok(0) => break,
                Ok(_) => request.push(byte[0]),
                Err(_) => return,
            }
        }
        let text = String::from_utf8_lossy(&request).into_owned();
        let words: Vec<&str> = text.split_whitespace().collect();
        let ["a", "b", amount] = words[..] else { return };
        let amount: i64 = amount.parse().unwrap();
        RECEIVED.lock().unwrap().insert(amount);
        let _ = stream.write_all(format!("7 {amount}").as_bytes());
    }
    let is_tampered =
        |line: &Value| line["error"].as_str().is_some_and(|error| error.contains("a fault lost"));
    let mut stage = Stage::open(right);
    stage.amount = || AMOUNT.fetch_add(1, Ordering::Relaxed);
    let (stop, stopped) = watch::channel(false);
    let bank = Bank { deadline: Duration::from_millis(60), ..stage.bank() };
    std::thread::scope(|scope| {
        let clients = scope.spawn(|| stage.run_until(stopped, 16, u64::MAX, bank, None));
        let ended = || {
            let progress = stage.recorder.progress();
            (progress.ok, progress.ok + progress.fail + progress.info)
        };
        let until = |what: &str, enough: &dyn Fn((u64, u64)) -> bool| {
            let ceiling = Instant::now() + CEILING;
            while !enough(ended()) {
                assert!(Instant::now() < ceiling, "in vain: {what}");
                std::thread::yield_now();
            }
        };
        for (seed, fault) in FAULTS.into_iter().enumerate() {
            for directions in [Directions::ToServer, Directions::ToClient, Directions::Both] {
                let before = ended();
                stage.proxy.apply(fault, directions, seed as u64);
                until("operations under the fault", &|now| now.1 >= before.1 + 12);
                if (fault, directions) == (LinkFault::Truncate { bytes: 4 }, Directions::ToClient) {
                    stage.history_until("a reply is cut short", |history| history.iter().any(is_tampered));
                }
                stage.proxy.heal(Directions::Both).unwrap();
                let before = ended();
                until("service after the heal", &|now| now.0 >= before.0 + 12);
            }
        }
        stop.send_replace(true);
        clients.join().unwrap();
    });
    let Stage { folder, recorder, proxy, _thread: thread, .. } = stage;
    thread.handle().block_on(proxy.close());
    recorder.finish().unwrap();
    let history = lines(folder.path().join("history.jsonl"));
    let (proven, received) = (evidence(&history), RECEIVED.lock().unwrap());
    assert!(proven.len() >= 10, "too little evidence to mean anything: {}", proven.len());
    assert!(
        received.iter().all(|amount| *amount >= 100_000),
        "a request was made up: {:?}",
        received.first()
    );
    for line in &history {
        let amount = line["value"]["amount"].as_i64();
        if line["type"] == "ok" {
            assert_eq!(line["value"]["balances"], serde_json::json!([7, amount]), "a garbled reply is ok");
        }
        if line["type"] == "invoke" && proven.contains(&line["index"].as_u64().unwrap()) {
            assert!(!received.contains(&amount.unwrap()), "{line} was received");
        }
    }
}
