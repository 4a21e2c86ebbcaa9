//! One client's connection: one request, one reply, close.
//!
//! It must not know order or replicas. Whatever a client does, here is where it stops: it can be
//! slow, silent, endless or gone without anybody else noticing.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::oneshot;
use tokio::time::timeout;

use crate::reference::bug::Bug;
use crate::reference::transfer::{MAX_REQUEST, Transfer};
use crate::runtime::Happening;
use crate::sequencer::Reply;

/// For the request to arrive whole.
const REQUEST_PATIENCE: Duration = Duration::from_secs(5);
/// For the reply to be taken, and for what the client sent beyond its request.
const FAREWELL_PATIENCE: Duration = Duration::from_secs(1);

/// What came from a client.
enum Received {
    /// A line, and whether bytes beyond it may follow.
    Line(Vec<u8>, bool),
    /// An end before the first byte, or an error: nobody to talk to.
    Nothing,
}

/// Serves one connection from request to close.
pub async fn serve(mut stream: TcpStream, happenings: UnboundedSender<Happening>) {
    let (reply, excess) = match timeout(REQUEST_PATIENCE, receive(&mut stream)).await {
        Err(_) => ("refused the request did not arrive whole in time\n".to_owned(), true),
        Ok(Received::Nothing) => return,
        Ok(Received::Line(line, excess)) => match Transfer::try_from(&line[..]) {
            Err(malformed) => (format!("refused malformed: {malformed}\n"), true),
            Ok(transfer) => match ask(transfer, &happenings).await {
                Reply::Done(balances) => (format!("{balances}\n"), excess),
                Reply::Refused(reason) => (format!("refused {reason}\n"), excess),
                Reply::Unknown => return,
            },
        },
    };
    let _ = timeout(FAREWELL_PATIENCE, say_and_close(stream, &reply, excess)).await;
}

/// Says at once that there is no room, without reading what is asked.
pub async fn turn_away(stream: TcpStream) {
    let _ = timeout(FAREWELL_PATIENCE, say_and_close(stream, "refused too many clients\n", true)).await;
}

/// The first line, with or without its newline where the client closes its side.
async fn receive(stream: &mut TcpStream) -> Received {
    let mut bytes = Vec::with_capacity(MAX_REQUEST + 2);
    while bytes.len() <= MAX_REQUEST {
        let start = bytes.len();
        match stream.read_buf(&mut bytes).await {
            Err(_) => return Received::Nothing,
            Ok(0) if bytes.is_empty() => return Received::Nothing,
            Ok(0) => return Received::Line(bytes, false),
            Ok(_) => {}
        }
        if let Some(end) = bytes[start..].iter().position(|&byte| byte == b'\n') {
            let excess = bytes.len() > start + end + 1;
            bytes.truncate(start + end);
            return Received::Line(bytes, excess);
        }
        if Bug::OneRead.is_planted() {
            return Received::Line(bytes, true);
        }
    }
    Received::Line(bytes, true)
}

/// A coordinator that ends drops the question, and nobody knows what became of it.
async fn ask(transfer: Transfer, happenings: &UnboundedSender<Happening>) -> Reply {
    let (reply, answer) = oneshot::channel();
    if happenings.send(Happening::Asked { transfer, reply }).is_err() {
        return Reply::Unknown;
    }
    answer.await.unwrap_or(Reply::Unknown)
}

/// Closing while bytes lie unread would reset the connection and could destroy the reply under
/// way, so what is too much is read and forgotten first.
async fn say_and_close(mut stream: TcpStream, reply: &str, excess: bool) {
    let said = stream.write_all(reply.as_bytes()).await.is_ok() && stream.shutdown().await.is_ok();
    let mut forgotten = [0; 4096];
    while said && excess && matches!(stream.read(&mut forgotten).await, Ok(1..)) {}
}
