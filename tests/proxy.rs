//! A link's proxy with real sockets: what one side does, the other sees.
//!
//! Reads block with a generous ceiling; nothing here waits for time to pass.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use rsm_check::clock::RunClock;
use rsm_check::cluster::proxy::{Closed, Direction, Message, Proxy, ProxyThread, Tap};
use rsm_check::fault::Link;
use rsm_check::fault::network::{Directions, Distribution, LinkFault};

const CEILING: Duration = Duration::from_secs(20);

#[derive(Default)]
struct Ear {
    heard: Mutex<Heard>,
    news: Condvar,
}

#[derive(Default)]
struct Heard {
    messages: Vec<(Direction, u64, Vec<u8>, u64)>,
    closed: Vec<Closed>,
}

impl Tap for Ear {
    fn message(&self, message: &Message<'_>) {
        assert!(message.received <= message.released);
        let told = (message.direction, message.number, message.first_bytes.to_vec(), message.size as u64);
        self.heard.lock().unwrap().messages.push(told);
        self.news.notify_all();
    }

    fn closed(&self, closed: &Closed) {
        self.heard.lock().unwrap().closed.push(*closed);
        self.news.notify_all();
    }
}

impl Ear {
    /// Waits for the end of the connection that came from `client`.
    fn end_of(&self, client: SocketAddr) -> Closed {
        let of = |heard: &Heard| heard.closed.iter().find(|c| SocketAddr::V4(c.client) == client).copied();
        let heard = self.heard.lock().unwrap();
        let (heard, timeout) = self.news.wait_timeout_while(heard, CEILING, |h| of(h).is_none()).unwrap();
        assert!(!timeout.timed_out(), "no report of the end of {client}");
        of(&heard).unwrap()
    }
}

struct Stage {
    proxy: Proxy,
    target: TcpListener,
    ear: Arc<Ear>,
    thread: ProxyThread,
}

impl Stage {
    fn open() -> Self {
        let thread = ProxyThread::start().unwrap();
        let ear = Arc::new(Ear::default());
        let tap: Arc<dyn Tap> = ear.clone();
        let proxy = Proxy::start(Link::ClientsCoord, tap, RunClock::start(), thread.handle()).unwrap();
        let target = TcpListener::bind("127.0.0.1:0").unwrap();
        proxy.open(target.local_addr().unwrap().port()).unwrap();
        Self { proxy, target, ear, thread }
    }

    fn connect(&self) -> std::io::Result<TcpStream> {
        let stream = TcpStream::connect(("127.0.0.1", self.proxy.port()))?;
        stream.set_read_timeout(Some(CEILING))?;
        Ok(stream)
    }

    /// Both far ends of one proxied connection.
    fn pair(&self) -> (TcpStream, TcpStream) {
        let client = self.connect().unwrap();
        let (server, _) = self.target.accept().unwrap();
        server.set_read_timeout(Some(CEILING)).unwrap();
        (client, server)
    }
}

fn wait_until(what: &str, condition: impl Fn() -> bool) {
    let until = Instant::now() + CEILING;
    while !condition() {
        assert!(Instant::now() < until, "in vain: {what}");
        std::thread::yield_now();
    }
}

fn reset(stream: TcpStream) {
    socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO)).unwrap();
}

fn read_all(stream: &mut TcpStream) -> (Vec<u8>, Option<ErrorKind>) {
    let mut bytes = Vec::new();
    let end = stream.read_to_end(&mut bytes).err().map(|error| error.kind());
    (bytes, end)
}

fn delay(latency_ms: u64, jitter_ms: u64) -> LinkFault {
    let (latency_ns, jitter_ns) = (latency_ms * 1_000_000, jitter_ms * 1_000_000);
    LinkFault::Delay { latency_ns, jitter_ns, distribution: Distribution::Uniform }
}

#[test]
fn a_half_close_of_the_client_passes_and_the_reply_still_comes() {
    let stage = Stage::open();
    let (mut client, mut server) = stage.pair();
    client.write_all(b"a b 5").unwrap();
    client.shutdown(Shutdown::Write).unwrap();
    assert_eq!(read_all(&mut server), (b"a b 5".to_vec(), None));
    server.write_all(b"95 105\n").unwrap();
    drop(server);
    assert_eq!(read_all(&mut client), (b"95 105\n".to_vec(), None));
    let closed = stage.ear.end_of(client.local_addr().unwrap());
    assert_eq!(closed.delivered, 5);
}

#[test]
fn a_half_close_of_the_server_passes_and_requests_still_arrive() {
    let stage = Stage::open();
    let (mut client, mut server) = stage.pair();
    server.write_all(b"hello").unwrap();
    server.shutdown(Shutdown::Write).unwrap();
    assert_eq!(read_all(&mut client), (b"hello".to_vec(), None));
    client.write_all(b"late").unwrap();
    drop(client);
    assert_eq!(read_all(&mut server), (b"late".to_vec(), None));
}

#[test]
fn a_client_that_closes_after_the_reply_ends_the_connection_without_an_error() {
    let stage = Stage::open();
    let (mut client, mut server) = stage.pair();
    client.write_all(b"a b 5\n").unwrap();
    server.read_exact(&mut [0; 6]).unwrap();
    server.write_all(b"95 105\n").unwrap();
    client.read_exact(&mut [0; 7]).unwrap();
    let from = client.local_addr().unwrap();
    drop(client);
    assert_eq!(read_all(&mut server), (vec![], None));
    drop(server);
    stage.ear.end_of(from);
}

#[test]
fn a_reset_by_the_client_reaches_the_server_as_a_reset_behind_its_bytes() {
    let stage = Stage::open();
    let (mut client, mut server) = stage.pair();
    client.write_all(b"a b 5\n").unwrap();
    server.read_exact(&mut [0; 6]).unwrap();
    reset(client);
    assert_eq!(read_all(&mut server), (vec![], Some(ErrorKind::ConnectionReset)));
}

#[test]
fn a_reset_by_the_server_reaches_the_client_as_a_reset_behind_its_bytes() {
    let stage = Stage::open();
    let (mut client, mut server) = stage.pair();
    server.write_all(b"95").unwrap();
    client.read_exact(&mut [0; 2]).unwrap();
    reset(server);
    assert_eq!(read_all(&mut client), (vec![], Some(ErrorKind::ConnectionReset)));
}

#[test]
fn a_server_that_dies_with_an_unread_request_resets_the_client() {
    let stage = Stage::open();
    let (mut client, server) = stage.pair();
    client.write_all(b"a b 5\n").unwrap();
    server.peek(&mut [0; 1]).unwrap();
    drop(server);
    assert_eq!(read_all(&mut client), (vec![], Some(ErrorKind::ConnectionReset)));
}

#[test]
fn a_reset_after_a_fin_is_seen_even_when_nothing_is_written() {
    let stage = Stage::open();
    let (mut client, server) = stage.pair();
    server.shutdown(Shutdown::Write).unwrap();
    assert_eq!(read_all(&mut client), (vec![], None));
    reset(server);
    let closed = stage.ear.end_of(client.local_addr().unwrap());
    assert_eq!(closed.delivered, 0);
    let until = Instant::now() + CEILING;
    while client.write_all(b"x").is_ok() {
        assert!(Instant::now() < until, "the client never learnt of the reset");
    }
}

#[test]
fn while_the_target_is_down_the_kernel_refuses_and_the_same_port_opens_again() {
    let stage = Stage::open();
    let port = stage.proxy.port();
    for round in 0..50 {
        let (mut old_client, mut old_server) = stage.pair();
        stage.proxy.refuse();
        for _ in 0..3 {
            assert_eq!(stage.connect().unwrap_err().kind(), ErrorKind::ConnectionRefused, "round {round}");
        }
        old_server.write_all(b"still here").unwrap();
        old_client.read_exact(&mut [0; 10]).unwrap();
        stage.proxy.open(stage.target.local_addr().unwrap().port()).unwrap();
        assert_eq!(stage.proxy.port(), port);
    }
    let (mut client, server) = stage.pair();
    drop(server);
    assert_eq!(read_all(&mut client), (vec![], None));
}

#[test]
fn a_connection_is_reset_when_the_target_has_died_since() {
    let mut stage = Stage::open();
    stage.target = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut client = stage.connect().unwrap();
    // The write may already meet the reset.
    let write = client.write_all(b"a b 5\n");
    let (bytes, end) = read_all(&mut client);
    assert!(bytes.is_empty());
    // What the write met, the read is not told again.
    assert!(matches!(end, Some(ErrorKind::ConnectionReset)) || write.is_err(), "a reset looks like an EOF");
    assert_eq!(stage.ear.end_of(client.local_addr().unwrap()).delivered, 0);
}

#[test]
fn a_delay_holds_back_both_directions_in_order_and_its_healing_loses_nothing() {
    let stage = Stage::open();
    let (mut client, mut server) = stage.pair();
    let delay = delay(80, 60);
    stage.proxy.apply(delay, Directions::Both, 11);
    let mut sent = Vec::new();
    for number in 0..2000u32 {
        if number == 1000 {
            wait_until("a chunk is held back", || stage.proxy.tally(Directions::Both).waiting > 0);
            stage.proxy.heal(Directions::Both).unwrap();
        }
        sent.extend(number.to_be_bytes());
        client.write_all(&number.to_be_bytes()).unwrap();
    }
    client.shutdown(Shutdown::Write).unwrap();
    let (got, end) = read_all(&mut server);
    assert_eq!(end, None);
    assert!(got == sent, "bytes were lost or changed places");
    assert!(stage.proxy.tally(Directions::Both).shows(&delay));

    stage.proxy.clear_tally(Directions::Both);
    stage.proxy.apply(delay, Directions::Both, 11);
    let began = Instant::now();
    server.write_all(b"back").unwrap();
    drop(server);
    assert_eq!(read_all(&mut client), (b"back".to_vec(), None));
    assert!(began.elapsed() >= Duration::from_millis(20));
    stage.ear.end_of(client.local_addr().unwrap());
    let report = stage.proxy.tally(Directions::Both);
    assert!(report.delayed >= 2 && report.waiting == 0, "{report:?}");
    assert!(report.mean() >= Duration::from_millis(20), "{report:?}");
}

#[test]
fn what_a_long_delay_held_back_goes_on_when_it_is_healed() {
    let stage = Stage::open();
    let (mut client, mut server) = stage.pair();
    let delay = delay(600_000, 0);
    stage.proxy.apply(delay, Directions::Both, 11);
    client.write_all(b"held back").unwrap();
    client.shutdown(Shutdown::Write).unwrap();
    wait_until("bytes and FIN are held back", || stage.proxy.tally(Directions::Both).waiting == 2);
    stage.proxy.heal(Directions::Both).unwrap();
    assert_eq!(read_all(&mut server), (b"held back".to_vec(), None));
}

#[test]
fn a_delay_keeps_the_bandwidth() {
    let stage = Stage::open();
    let (mut client, mut server) = stage.pair();
    let delay = delay(50, 0);
    stage.proxy.apply(delay, Directions::Both, 11);
    let began = Instant::now();
    let writer = std::thread::spawn(move || {
        for _ in 0..400 {
            server.write_all(&[7; 10_000]).unwrap();
        }
    });
    let (bytes, end) = read_all(&mut client);
    writer.join().unwrap();
    assert_eq!((bytes.len(), end), (4_000_000, None));
    // Chunk by chunk it would take at least 60 chunks of 64 KiB x 50 ms = 3 s.
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
}

#[test]
fn a_slow_reader_gets_all_of_a_long_reply_after_both_sides_have_closed() {
    let stage = Stage::open();
    let (mut client, mut server) = stage.pair();
    client.shutdown(Shutdown::Write).unwrap();
    let writer = std::thread::spawn(move || server.write_all(&vec![1; 20_000_000]).map_err(|e| e.kind()));
    let mut total = 0;
    let mut buffer = vec![0; 1000];
    while total < 1_000_000 {
        total += client.read(&mut buffer).unwrap();
    }
    let (rest, end) = read_all(&mut client);
    assert_eq!(writer.join().unwrap(), Ok(()));
    assert_eq!((total + rest.len(), end), (20_000_000, None));
}

#[test]
fn messages_are_counted_and_shown_with_their_beginnings() {
    let stage = Stage::open();
    let (mut client, mut server) = stage.pair();
    client.write_all(&[b'x'; 100]).unwrap();
    server.read_exact(&mut [0; 100]).unwrap();
    server.write_all(b"95 105\n").unwrap();
    drop(server);
    assert_eq!(read_all(&mut client).0, b"95 105\n");
    let from = client.local_addr().unwrap();
    drop(client);
    stage.ear.end_of(from);
    let heard = stage.ear.heard.lock().unwrap();
    let expected =
        [(Direction::ToServer, 1, vec![b'x'; 64], 100), (Direction::ToClient, 2, b"95 105\n".to_vec(), 7)];
    assert_eq!(heard.messages, expected);
    assert_eq!(stage.proxy.messages(), 2);
}

#[test]
fn two_hundred_connections_at_once_each_get_their_own_bytes() {
    let stage = Stage::open();
    let mut pairs: Vec<_> = (0..200u32).map(|number| (number, stage.connect().unwrap())).collect();
    for (number, client) in &mut pairs {
        client.write_all(&number.to_be_bytes()).unwrap();
    }
    for _ in &pairs {
        let (mut server, _) = stage.target.accept().unwrap();
        let mut number = [0; 4];
        server.read_exact(&mut number).unwrap();
        server.write_all(&number).unwrap();
    }
    for (number, mut client) in pairs {
        assert_eq!(read_all(&mut client), (number.to_be_bytes().to_vec(), None));
    }
}

#[test]
fn closing_a_proxy_resets_its_connections_reports_them_and_frees_its_port() {
    let Stage { proxy, target, ear, thread } = Stage::open();
    let port = proxy.port();
    let mut client = TcpStream::connect(("127.0.0.1", port)).unwrap();
    client.set_read_timeout(Some(CEILING)).unwrap();
    let (_server, _) = target.accept().unwrap();
    thread.handle().block_on(proxy.close());
    assert_eq!(read_all(&mut client).1, Some(ErrorKind::ConnectionReset));
    ear.end_of(client.local_addr().unwrap());
    TcpListener::bind(("127.0.0.1", port)).expect("the port is free");
}

/// Writes `size` bytes in chunks of odd sizes, closes its half, returns what came back.
fn exchange(mut stream: TcpStream, seed: u8, size: usize) -> (Vec<u8>, Option<ErrorKind>) {
    let mut writing = stream.try_clone().unwrap();
    let writer = std::thread::spawn(move || {
        let bytes = pattern(seed, size);
        for chunk in bytes.chunks(1 + usize::from(seed) * 37) {
            writing.write_all(chunk).unwrap();
        }
        writing.shutdown(Shutdown::Write).unwrap();
    });
    let got = read_all(&mut stream);
    writer.join().unwrap();
    got
}

fn pattern(seed: u8, size: usize) -> Vec<u8> {
    (0..size).map(|at| (at as u8).wrapping_mul(31).wrapping_add(seed)).collect()
}

#[test]
fn streams_in_both_directions_arrive_whole_while_delays_come_and_go() {
    let stage = Stage::open();
    let sides: Vec<_> = (0..24u8)
        .flat_map(|number| {
            let (client, server) = stage.pair();
            let size = usize::from(number) * 6007;
            let there = std::thread::spawn(move || exchange(client, number, size));
            let back = std::thread::spawn(move || exchange(server, number, size));
            [(number, size, there), (number, size, back)]
        })
        .collect();
    let mut seed = 0;
    while !sides.iter().all(|(_, _, thread)| thread.is_finished()) {
        seed += 1;
        match seed % 3 {
            0 => stage.proxy.heal(Directions::Both).unwrap(),
            _ => stage.proxy.apply(delay(seed % 4, 2), Directions::Both, seed),
        }
        // Paced by the traffic itself: a few messages under each setting.
        let enough = stage.proxy.messages() + 20;
        wait_until("traffic", || {
            stage.proxy.messages() >= enough || sides.iter().all(|(_, _, thread)| thread.is_finished())
        });
    }
    for (number, size, thread) in sides {
        let (bytes, end) = thread.join().unwrap();
        assert_eq!(end, None);
        assert!(bytes == pattern(number, size), "connection {number}: {} of {size} bytes", bytes.len());
    }
}
