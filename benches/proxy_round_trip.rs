//! What an idle proxy adds to a round trip: on a kept connection and on a fresh one,
//! through the proxy and directly, in turns, in one run.
//!
//!     cargo bench --bench proxy_round_trip
//!
//! Exits 1 if the added median is above 20 us (kept) or 150 us (fresh).

use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rsm_check::clock::RunClock;
use rsm_check::cluster::proxy::{Proxy, ProxyThread};
use rsm_check::fault::Link;

/// Turns of each kind; a median of medians, so that a burst of other load counts little.
const ROUNDS: usize = 41;
/// Round trips of one turn.
const TRIPS: usize = 400;
const REQUEST: &[u8] = b"alice bob 5\n";
const REPLY: &[u8] = b"95 105\n";

fn main() -> io::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let direct = listener.local_addr()?.port();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            std::thread::spawn(move || answer(stream));
        }
    });
    let thread = ProxyThread::start()?;
    let proxy = Proxy::start(Link::ClientsCoord, Arc::new(()), RunClock::start(), thread.handle())?;
    proxy.open(direct)?;
    let kept = compare("kept connection", 20.0, direct, proxy.port(), kept)?;
    let fresh = compare("fresh connection", 150.0, direct, proxy.port(), fresh)?;
    if !(kept && fresh) {
        println!("requirement missed");
        std::process::exit(1);
    }
    Ok(())
}

/// Answers each request until the client closes.
fn answer(mut stream: TcpStream) {
    let _ = stream.set_nodelay(true);
    let mut request = [0; REQUEST.len()];
    while stream.read_exact(&mut request).is_ok() && stream.write_all(REPLY).is_ok() {}
}

fn trip(stream: &mut TcpStream) -> io::Result<()> {
    stream.write_all(REQUEST)?;
    stream.read_exact(&mut [0; REPLY.len()])
}

fn connect(port: u16) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

fn kept(port: u16) -> io::Result<Duration> {
    let mut stream = connect(port)?;
    trip(&mut stream)?;
    median(|| trip(&mut stream))
}

/// Connect, ask, be answered, close.
fn fresh(port: u16) -> io::Result<Duration> {
    median(|| {
        let mut stream = connect(port)?;
        trip(&mut stream)?;
        // No TIME_WAIT: some ten thousand connections would use up the ports.
        socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO))
    })
}

fn median(mut trip: impl FnMut() -> io::Result<()>) -> io::Result<Duration> {
    let mut times = Vec::with_capacity(TRIPS);
    for _ in 0..TRIPS {
        let began = Instant::now();
        trip()?;
        times.push(began.elapsed());
    }
    times.sort_unstable();
    Ok(times[TRIPS / 2])
}

/// Turn by turn: other load on the machine hits neighbours alike.
fn compare(
    what: &str,
    limit: f64,
    direct: u16,
    proxied: u16,
    trips: fn(u16) -> io::Result<Duration>,
) -> io::Result<bool> {
    let (mut bare, mut added, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let (a, b) = (trips(direct)?.as_secs_f64() * 1e6, trips(proxied)?.as_secs_f64() * 1e6);
        bare.push(a);
        added.push(b - a);
        ratios.push(b / a);
    }
    let (bare, added, ratio) = (middle(&mut bare), middle(&mut added), middle(&mut ratios));
    println!(
        "{what}: direct {bare:.1} us, proxy adds {added:.1} us (at most {limit}), ratio {ratio:.2}; \
         medians of {ROUNDS} turns of {TRIPS}"
    );
    Ok(added <= limit)
}

fn middle(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
