//! One replica's connection: connect, carry lines both ways, connect again.
//!
//! It must not know what a line means, nor when a connection is hopeless: whoever holds its
//! [`Handle`] ends it by dropping that.

use std::io;
use std::net::Ipv4Addr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::oneshot;
use tokio::time::{sleep, timeout};

use crate::reference::bug::Bug;
use crate::runtime::Happening;
use crate::sequencer::Event;

const CONNECT_PATIENCE: Duration = Duration::from_secs(1);
const FIRST_BACKOFF: Duration = Duration::from_millis(10);
const LONGEST_BACKOFF: Duration = Duration::from_millis(200);
/// Longest line: the whole state of a million accounts fits.
const MAX_LINE: usize = 256 << 20;

/// A connection that lives as long as this does.
#[derive(Debug)]
pub struct Handle {
    lines: UnboundedSender<String>,
    _alive: oneshot::Sender<()>,
}

impl Handle {
    /// Sends a line, if the connection still stands; if not, its end has been or will be told.
    pub fn send(&self, line: String) {
        let _ = self.lines.send(line);
    }
}

/// Keeps a replica connected for as long as anybody listens to `happenings`.
pub async fn keep_connected(replica: usize, port: u16, happenings: UnboundedSender<Happening>) {
    let mut backoff = FIRST_BACKOFF;
    for connection in 1.. {
        let tell = |event| happenings.send(Happening::Peer(event)).is_ok();
        let attempt = timeout(CONNECT_PATIENCE, TcpStream::connect((Ipv4Addr::LOCALHOST, port))).await;
        let heard = match attempt {
            Ok(Ok(stream)) => {
                let heard = carry(stream, (replica, connection), &happenings).await;
                tell(Event::Lost { replica, connection });
                heard
            }
            _ => {
                tell(Event::Unreachable { replica });
                false
            }
        };
        // A proxy may accept and then reset: only an answer shows that a replica is there.
        backoff = if heard { FIRST_BACKOFF } else { (backoff * 2).min(LONGEST_BACKOFF) };
        sleep(backoff).await;
        if happenings.is_closed() || Bug::DropsReplica.is_planted() {
            return;
        }
    }
}

/// Carries lines until either side ends. Whether any line came.
async fn carry(stream: TcpStream, at: (usize, u64), happenings: &UnboundedSender<Happening>) -> bool {
    let _ = stream.set_nodelay(true);
    let (input, output) = stream.into_split();
    let (lines, queue) = unbounded_channel();
    let (alive, mut ended) = oneshot::channel();
    let handle = Handle { lines, _alive: alive };
    let (replica, connection) = at;
    if happenings.send(Happening::Connected { replica, connection, handle }).is_err() {
        return false;
    }
    let mut heard = false;
    tokio::select! {
        _ = read_lines(input, at, happenings, &mut heard) => {}
        _ = write_lines(output, queue) => {}
        _ = &mut ended => {}
    }
    heard
}

async fn read_lines(
    mut input: OwnedReadHalf,
    (replica, connection): (usize, u64),
    happenings: &UnboundedSender<Happening>,
    heard: &mut bool,
) -> io::Result<()> {
    let mut received = Vec::with_capacity(16 << 10);
    loop {
        let start = received.len();
        if input.read_buf(&mut received).await? == 0 || start > MAX_LINE {
            return Ok(());
        }
        let Some(end) = received[start..].iter().rposition(|&byte| byte == b'\n') else { continue };
        let whole = start + end + 1;
        for line in received[..whole].split(|&byte| byte == b'\n').filter(|line| !line.is_empty()) {
            let text = String::from_utf8_lossy(line).into_owned();
            *heard = true;
            let _ = happenings.send(Happening::Peer(Event::Line { replica, connection, text }));
        }
        received.drain(..whole);
    }
}

/// What gathered while the last write was under way goes out as one.
async fn write_lines(mut output: OwnedWriteHalf, mut queue: UnboundedReceiver<String>) -> io::Result<()> {
    while let Some(line) = queue.recv().await {
        let mut bytes = line.into_bytes();
        bytes.push(b'\n');
        while let Ok(more) = queue.try_recv() {
            bytes.extend_from_slice(more.as_bytes());
            bytes.push(b'\n');
        }
        output.write_all(&bytes).await?;
    }
    Ok(())
}
