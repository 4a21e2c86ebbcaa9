//! Network faults with real sockets: what each end of a faulted link sees.
//!
//! Reads block with a generous ceiling. Where nothing must arrive, something that is
//! known to come later is waited for, never time.

mod support;

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rsm_check::clock::RunClock;
use rsm_check::cluster::proxy::{Closed, Proxy, ProxyThread, Tally, Tampered, Tap};
use rsm_check::fault::Link;
use rsm_check::fault::network::{Directions, LinkFault};
use support::{Bench, project};

const CEILING: Duration = Duration::from_secs(20);
const BOTH: Directions = Directions::Both;

#[derive(Default)]
struct Ear {
    closed: Mutex<Vec<Closed>>,
    tampered: Mutex<Vec<Tampered>>,
}

impl Tap for Ear {
    fn tampered(&self, tampered: &Tampered) {
        self.tampered.lock().unwrap().push(*tampered);
    }

    fn closed(&self, closed: &Closed) {
        self.closed.lock().unwrap().push(*closed);
    }
}

struct Stage {
    proxy: Proxy,
    target: TcpListener,
    ear: Arc<Ear>,
    _thread: ProxyThread,
}

impl Stage {
    fn open() -> Self {
        let thread = ProxyThread::start().unwrap();
        let ear = Arc::new(Ear::default());
        let tap: Arc<dyn Tap> = ear.clone();
        let proxy = Proxy::start(Link::CoordSrv(1), tap, RunClock::start(), thread.handle()).unwrap();
        let target = TcpListener::bind("127.0.0.1:0").unwrap();
        proxy.open(target.local_addr().unwrap().port()).unwrap();
        Self { proxy, target, ear, _thread: thread }
    }

    fn client(&self) -> TcpStream {
        let stream = TcpStream::connect(("127.0.0.1", self.proxy.port())).unwrap();
        stream.set_read_timeout(Some(CEILING)).unwrap();
        stream.set_nodelay(true).unwrap();
        stream
    }

    fn server(&self) -> TcpStream {
        let (server, _) = self.target.accept().unwrap();
        server.set_read_timeout(Some(CEILING)).unwrap();
        server.set_nodelay(true).unwrap();
        server
    }

    /// Both far ends of one proxied connection, over which a byte has gone each way.
    fn pair(&self) -> (TcpStream, TcpStream) {
        let (mut client, mut server) = (self.client(), self.server());
        client.write_all(b"\n").unwrap();
        server.read_exact(&mut [0]).unwrap();
        server.write_all(b"\n").unwrap();
        client.read_exact(&mut [0]).unwrap();
        (client, server)
    }

    fn apply(&self, fault: LinkFault, directions: Directions) {
        self.proxy.apply(fault, directions, 7);
    }

    fn heal(&self) {
        self.proxy.heal(BOTH).unwrap();
    }

    fn wait(&self, what: &str, condition: impl Fn(Tally) -> bool) {
        wait_until(what, || condition(self.proxy.tally(BOTH)));
    }

    fn delivered(&self, client: SocketAddr) -> Option<u64> {
        let closed = self.ear.closed.lock().unwrap();
        closed.iter().find(|closed| SocketAddr::V4(closed.client) == client).map(|closed| closed.delivered)
    }

    fn is_tampered(&self, client: &TcpStream) -> bool {
        let client = client.local_addr().unwrap();
        self.ear.tampered.lock().unwrap().iter().any(|told| SocketAddr::V4(told.client) == client)
    }
}

fn wait_until(what: &str, condition: impl Fn() -> bool) {
    let until = Instant::now() + CEILING;
    while !condition() {
        assert!(Instant::now() < until, "in vain: {what}");
        std::thread::yield_now();
    }
}

fn read_all(stream: &mut TcpStream) -> (Vec<u8>, Option<ErrorKind>) {
    let mut bytes = Vec::new();
    let end = stream.read_to_end(&mut bytes).err().map(|error| error.kind());
    (bytes, end)
}

/// Nothing is there to read, neither bytes nor an end.
#[track_caller]
fn silent(stream: &TcpStream) {
    stream.set_nonblocking(true).unwrap();
    let peeked = stream.peek(&mut [0]);
    stream.set_nonblocking(false).unwrap();
    assert_eq!(peeked.map_err(|error| error.kind()), Err(ErrorKind::WouldBlock));
}

/// Whatever the proxy did for others up to now it has also done for these.
fn after_others(stage: &Stage) {
    let _ = stage.pair();
}

#[test]
fn a_connection_that_lost_a_byte_is_a_black_hole_for_ever_and_a_new_one_is_not() {
    let stage = Stage::open();
    let (mut client, mut server) = stage.pair();
    stage.apply(LinkFault::Drop, Directions::ToServer);
    client.write_all(b"lost").unwrap();
    stage.wait("bytes are dropped", |tally| tally.bytes_dropped == 4 && tally.black_holes == 1);
    server.write_all(b"way back").unwrap();
    client.read_exact(&mut [0; 8]).unwrap();
    stage.heal();
    client.write_all(b"later").unwrap();
    stage.wait("what is sent later is dropped too", |tally| tally.bytes_dropped == 9);
    client.shutdown(Shutdown::Write).unwrap();
    after_others(&stage);
    silent(&server);
    assert!(stage.is_tampered(&client));
    server.write_all(b"95 105").unwrap();
    drop(server);
    assert_eq!(read_all(&mut client), (b"95 105".to_vec(), None), "the way back was never faulted");
}

#[test]
fn a_connection_that_carried_nothing_while_bytes_were_dropped_has_lost_nothing() {
    let stage = Stage::open();
    let (mut client, mut server) = stage.pair();
    stage.apply(LinkFault::Drop, BOTH);
    stage.heal();
    client.write_all(b"a b 5\n").unwrap();
    server.read_exact(&mut [0; 6]).unwrap();
    assert!(!stage.is_tampered(&client));
}

#[test]
fn a_connection_made_while_bytes_are_dropped_never_reaches_the_server() {
    let stage = Stage::open();
    stage.apply(LinkFault::Drop, Directions::ToClient);
    let mut client = stage.client();
    client.write_all(b"a b 5\n").unwrap();
    stage.wait("the request is swallowed", |tally| tally.black_holes == 1);
    stage.heal();
    after_others(&stage);
    silent(&client);
    let from = client.local_addr().unwrap();
    drop(client);
    wait_until("its end is told", || stage.delivered(from).is_some());
    assert_eq!(stage.delivered(from), Some(0), "so it is proven that it was never delivered");
    stage.target.set_nonblocking(true).unwrap();
    assert_eq!(stage.target.accept().unwrap_err().kind(), ErrorKind::WouldBlock);
}

#[test]
fn what_is_held_arrives_whole_and_in_order_when_it_is_let_go() {
    let stage = Stage::open();
    let (mut client, mut server) = stage.pair();
    stage.apply(LinkFault::Hold, BOTH);
    for number in 0..100u8 {
        client.write_all(&[number]).unwrap();
    }
    client.shutdown(Shutdown::Write).unwrap();
    let mut late = stage.client();
    late.write_all(b"late").unwrap();
    stage.wait("all is held", |tally| tally.waiting >= 2 && tally.connections_held == 1);
    silent(&server);
    stage.heal();
    assert_eq!(read_all(&mut server), ((0..100).collect(), None));
    let mut other = stage.server();
    other.read_exact(&mut [0; 4]).unwrap();
    assert!(!stage.is_tampered(&client));
}

#[test]
fn what_is_held_is_bounded_and_nothing_of_it_is_lost() {
    let stage = Stage::open();
    let (client, mut server) = stage.pair();
    stage.apply(LinkFault::Hold, BOTH);
    let mut writing = client.try_clone().unwrap();
    let writer = std::thread::spawn(move || {
        writing.write_all(&vec![7; 40_000_000]).unwrap();
        writing.shutdown(Shutdown::Write).unwrap();
    });
    // 8 MiB in the proxy; the rest waits with its sender.
    stage.wait("chunks are held", |tally| tally.waiting > 100);
    assert!(!writer.is_finished());
    stage.heal();
    let (bytes, end) = read_all(&mut server);
    assert_eq!((bytes.len(), end), (40_000_000, None));
    writer.join().unwrap();
}

#[test]
fn a_held_request_whose_run_ends_is_proven_undelivered() {
    let stage = Stage::open();
    stage.apply(LinkFault::Hold, Directions::ToServer);
    let mut client = stage.client();
    client.write_all(b"a b 5\n").unwrap();
    stage.wait("the connection is held", |tally| tally.connections_held == 1);
    let Stage { proxy, ear, _thread: thread, .. } = stage;
    thread.handle().block_on(proxy.close());
    // The connection's task reports on its own thread, at its end.
    let told = || ear.closed.lock().unwrap().iter().map(|closed| closed.delivered).collect::<Vec<u64>>();
    let ceiling = Instant::now() + Duration::from_secs(20);
    while told().is_empty() && Instant::now() < ceiling {
        std::thread::yield_now();
    }
    assert_eq!(told(), [0]);
}

#[test]
fn a_cut_is_a_fin_on_idle_connections_too_and_what_follows_is_lost() {
    let stage = Stage::open();
    let (mut client, mut server) = stage.pair();
    stage.apply(LinkFault::Cut, BOTH);
    assert_eq!(read_all(&mut client), (vec![], None));
    assert_eq!(read_all(&mut server), (vec![], None));
    assert!(stage.is_tampered(&client));
    stage.wait("both ways are cut", |tally| tally.connections_cut == 2);
}

#[test]
fn a_reply_that_is_cut_off_is_told_before_the_client_can_see_its_end() {
    let stage = Stage::open();
    stage.apply(LinkFault::Cut, Directions::ToClient);
    let (mut client, mut server) = (stage.client(), stage.server());
    client.write_all(b"a b 5\n").unwrap();
    server.read_exact(&mut [0; 6]).unwrap();
    server.write_all(b"95 105").unwrap();
    assert_eq!(read_all(&mut client), (vec![], None));
    assert!(stage.is_tampered(&client));
    drop(client);
    assert_eq!(read_all(&mut server), (vec![], None), "the other direction works");
}

#[test]
fn a_truncated_reply_ends_with_a_fin_after_so_many_bytes_and_is_known_to_be_no_reply() {
    let stage = Stage::open();
    stage.apply(LinkFault::Truncate { bytes: 5 }, Directions::ToClient);
    let (mut client, mut server) = (stage.client(), stage.server());
    server.write_all(b"95 105").unwrap();
    assert_eq!(read_all(&mut client), (b"95 10".to_vec(), None));
    assert!(stage.is_tampered(&client));
}

#[test]
fn a_request_that_is_truncated_in_mid_message_is_reset_because_a_fin_would_complete_it() {
    let stage = Stage::open();
    stage.apply(LinkFault::Truncate { bytes: 5 }, Directions::ToServer);
    let (mut client, mut server) = (stage.client(), stage.server());
    client.write_all(b"a b 50\n").unwrap();
    let (bytes, end) = read_all(&mut server);
    assert_eq!(end, Some(ErrorKind::ConnectionReset), "{bytes:?}");
    assert!(stage.is_tampered(&client));
    // The client has not heard of it; its next word is answered by a reset.
    silent(&client);
    while client.write_all(b"x").is_ok() {
        std::thread::yield_now();
    }
}

#[test]
fn a_reset_reaches_both_ends_or_one_while_the_other_knows_nothing() {
    let stage = Stage::open();
    let (mut client, mut server) = stage.pair();
    stage.apply(LinkFault::Reset, BOTH);
    assert_eq!(read_all(&mut client).1, Some(ErrorKind::ConnectionReset));
    assert_eq!(read_all(&mut server).1, Some(ErrorKind::ConnectionReset));
    stage.heal();

    let (mut client, mut server) = stage.pair();
    stage.apply(LinkFault::Reset, Directions::ToServer);
    assert_eq!(read_all(&mut server).1, Some(ErrorKind::ConnectionReset));
    silent(&client);
    client.write_all(b"x").unwrap();
    assert_eq!(read_all(&mut client).1, Some(ErrorKind::ConnectionReset));
}

#[test]
fn slices_arrive_one_by_one() {
    let stage = Stage::open();
    let (mut client, mut server) = stage.pair();
    stage.apply(LinkFault::Slice { bytes: 2, gap_ns: 3_000_000 }, Directions::ToServer);
    client.write_all(b"a b 50\n").unwrap();
    let (mut reads, mut bytes) = (0, Vec::new());
    while bytes.len() < 7 {
        let mut buffer = [0; 16];
        let size = server.read(&mut buffer).unwrap();
        bytes.extend_from_slice(&buffer[..size]);
        reads += 1;
    }
    assert_eq!(bytes, b"a b 50\n");
    assert!(reads >= 2, "in pieces (a starved reader may find some together)");
    assert_eq!(stage.proxy.tally(BOTH).chunks_sliced, 1);
    server.write_all(b"way back").unwrap();
    client.read_exact(&mut [0; 8]).unwrap();
}

#[test]
fn a_narrow_link_takes_the_time_that_its_bytes_need_and_loses_none() {
    let stage = Stage::open();
    let (mut client, mut server) = stage.pair();
    stage.apply(LinkFault::Bandwidth { bytes_per_second: 10_000 }, Directions::ToServer);
    let began = Instant::now();
    client.write_all(&[7; 3000]).unwrap();
    server.read_exact(&mut [0; 3000]).unwrap();
    assert!(began.elapsed() >= Duration::from_millis(290), "{:?}", began.elapsed());
    client.write_all(&vec![8; 1_000_000]).unwrap();
    client.shutdown(Shutdown::Write).unwrap();
    stage.heal();
    assert_eq!(read_all(&mut server).0.len(), 1_000_000, "healed, it is wide again");
}

#[test]
fn a_slow_close_comes_after_its_time_and_the_bytes_before_it_at_once() {
    let stage = Stage::open();
    let (mut client, mut server) = stage.pair();
    stage.apply(LinkFault::SlowClose { latency_ns: 600_000_000_000 }, Directions::ToClient);
    server.write_all(b"95 105").unwrap();
    server.shutdown(Shutdown::Write).unwrap();
    client.read_exact(&mut [0; 6]).unwrap();
    stage.wait("the close waits", |tally| tally.waiting == 1);
    silent(&client);
    stage.heal();
    assert_eq!(read_all(&mut client), (vec![], None));
}

#[test]
fn a_duplicated_message_arrives_on_a_second_connection_and_its_reply_goes_to_nobody() {
    let stage = Stage::open();
    let (mut client, mut server) = stage.pair();
    stage.apply(LinkFault::Duplicate { per_million: 1_000_000 }, BOTH);
    client.write_all(b"appe").unwrap();
    server.read_exact(&mut [0; 4]).unwrap();
    client.write_all(b"nd 1\nhalf").unwrap();
    server.read_exact(&mut [0; 9]).unwrap();
    let mut second = stage.server();
    let mut line = [0; 9];
    second.read_exact(&mut line).unwrap();
    assert_eq!(&line, b"append 1\n");
    second.write_all(b"second reply\n").unwrap();
    assert_eq!(read_all(&mut second).0, b"", "it is the line and nothing more");
    server.write_all(b"first reply\n").unwrap();
    let mut reply = [0; 12];
    client.read_exact(&mut reply).unwrap();
    assert_eq!(&reply, b"first reply\n");
    assert_eq!(stage.proxy.tally(BOTH).duplicated, 1);
}

#[test]
fn a_refusing_link_refuses_whether_its_target_comes_or_goes_and_keeps_open_connections() {
    let stage = Stage::open();
    let (mut client, mut server) = stage.pair();
    stage.apply(LinkFault::Refuse { drop_established: false }, BOTH);
    let refused = || {
        let error = TcpStream::connect(("127.0.0.1", stage.proxy.port())).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
    };
    refused();
    stage.proxy.note_refusal();
    assert_eq!(stage.proxy.tally(BOTH).refusing, 1);
    stage.proxy.refuse();
    stage.proxy.open(stage.target.local_addr().unwrap().port()).unwrap();
    refused();
    client.write_all(b"open").unwrap();
    server.read_exact(&mut [0; 4]).unwrap();
    stage.heal();
    let _ = stage.pair();
    stage.proxy.refuse();
    stage.apply(LinkFault::Refuse { drop_established: true }, BOTH);
    stage.heal();
    refused();
}

#[test]
fn different_faults_of_the_two_directions_do_not_disturb_each_other() {
    let stage = Stage::open();
    let (mut client, mut server) = stage.pair();
    stage.apply(LinkFault::Hold, Directions::ToServer);
    stage.apply(LinkFault::Slice { bytes: 1, gap_ns: 0 }, Directions::ToClient);
    client.write_all(b"held").unwrap();
    server.write_all(b"sliced").unwrap();
    client.read_exact(&mut [0; 6]).unwrap();
    stage.proxy.heal(Directions::ToClient).unwrap();
    silent(&server);
    stage.proxy.heal(Directions::ToServer).unwrap();
    server.read_exact(&mut [0; 4]).unwrap();
}

#[test]
fn no_reply_of_a_truncated_connection_is_believed_in_a_whole_run() {
    let bench = Bench::new();
    let workload = bench.workload(
        r#"{"name":"truncated","duration":"3s","seed":1,"clients":{"count":4,"rate":40},
            "nemesis":[{"fault":"truncate","target":"clients-coord","at":"500ms","for":"1s","bytes":4,"direction":"to-client"}]}"#,
    );
    bench.run(&workload, &[]).exits(0);
    let history = bench.history();
    assert!(history.contains("a fault lost part of this connection"), "nothing was truncated");
    assert!(history.contains(r#""connections_cut":"#), "the end line tells what was done");
}

/// As a replica it answers; as a coordinator it asks each replica again and again and
/// tells of each how it went, and from when to when in nanoseconds.
const WITNESS: &str = r#"
import os, socket, sys, threading, time
ports = sys.argv[1:] if sys.argv[1].isdigit() else []
def ask(number, port):
    while True:
        began = time.monotonic_ns()
        try:
            c = socket.create_connection(('127.0.0.1', port))
            c.sendall(b'x\n')
            said = 'answered' if c.recv(1024) else 'cut'
            c.close()
        except OSError:
            said = 'refused'
        os.write(1, f'{number} {said} {began} {time.monotonic_ns()}\n'.encode())
        time.sleep(0.005)
s = socket.socket(); s.bind(('127.0.0.1', 0)); s.listen(64)
os.write(1, f'Listening on port {s.getsockname()[1]}\n'.encode())
for number, port in enumerate(ports):
    threading.Thread(target=ask, args=(number + 1, int(port)), daemon=True).start()
while True:
    c, _ = s.accept()
    c.recv(1024)
    c.sendall(b'100 100' if ports else b'y\n')
    c.close()
"#;

/// What a coordinator behind a script saw of one replica: a word, begin, end.
type Asked = (String, u64, u64);

/// The rounds of srv-1, srv-2 and srv-3 during a fault.
fn witnessed(fault: &str) -> [Vec<Asked>; 3] {
    let bench = Bench::new();
    std::fs::write(bench.path("witness.py"), WITNESS).unwrap();
    std::fs::write(bench.path("wrapper.sh"), "#!/bin/sh\npython3 witness.py \"$@\"\nexit $?\n").unwrap();
    let workload = bench.workload(&format!(
        r#"{{"name":"witness","duration":"2s","seed":1,
            "cluster":{{"edition":"classic","srv":{{"command":"sh wrapper.sh {{data}}"}},
                "coord":{{"command":"sh wrapper.sh {{ports}}"}}}},
            "clients":{{"count":1,"rate":20,"mix":{{"transfer":0,"read":1}}}},
            "checks":{{"available":false,"linearizable":false,"replicas_identical":false}},
            "nemesis":[{fault}]}}"#
    ));
    bench.run(&workload, &[]).exits(0);
    bench.assert_no_process_is_left();
    let log = std::fs::read_to_string(bench.run_dir().join("nodes/coord/output.log")).unwrap();
    let mut seen: [Vec<Asked>; 3] = Default::default();
    for line in log.lines().filter(|line| line.starts_with(['1', '2', '3'])) {
        let words: Vec<&str> = line.split_whitespace().collect();
        // The last line is cut off when the program is ended.
        let [number, said, begin, end] = words[..] else { continue };
        let asked = (said.to_owned(), begin.parse().unwrap(), end.parse().unwrap());
        seen[number.parse::<usize>().unwrap() - 1].push(asked);
    }
    seen
}

#[test]
fn a_flapping_refusal_is_seen_to_come_and_go_on_its_link_and_on_no_other() {
    let fault = r#"{"fault":"refuse","target":"srv-1","at":"300ms","for":"1200ms","flap":"300ms"}"#;
    let seen = witnessed(fault);
    let refusals = |asked: &[Asked]| {
        let words: Vec<bool> = asked.iter().map(|(said, _, _)| said == "refused").collect();
        words.windows(2).filter(|pair| pair[1] && !pair[0]).count()
    };
    assert_eq!(refusals(&seen[0]), 4, "once in each of four periods: {:?}", seen[0]);
    assert_eq!(seen[0].last().unwrap().0, "answered", "it ends healed");
    assert_eq!((refusals(&seen[1]), refusals(&seen[2])), (0, 0));
}

#[test]
fn clogged_links_stand_still_together_having_stopped_and_going_on_one_by_one() {
    let seen = witnessed(r#"{"fault":"clog","target":"all","at":"300ms","for":"1200ms"}"#);
    let longest =
        |asked: &Vec<Asked>| asked.iter().max_by_key(|(_, begin, end)| end - begin).unwrap().clone();
    let held: Vec<Asked> = seen.iter().map(longest).collect();
    assert!(held.iter().all(|(said, _, _)| said == "answered"), "what was held arrives: {held:?}");
    let (mut begins, mut ends): (Vec<u64>, Vec<u64>) =
        held.iter().map(|(_, begin, end)| (begin, end)).unzip();
    begins.sort_unstable();
    ends.sort_unstable();
    assert!(begins[2] < ends[0], "all at a time: {held:?}");
    let apart = |times: &[u64]| times.windows(2).all(|pair| pair[1] - pair[0] > 50_000_000);
    assert!(apart(&begins) && apart(&ends), "one by one: {held:?}");
}

#[test]
fn the_durable_edition_passes_under_every_network_fault_and_each_takes_hold() {
    let bench = Bench::new();
    bench.run(&project("workloads/network.json"), &[]).exits(0);
    bench.assert_no_process_is_left();
}
