//! One request of the bank's protocol on one connection.
//!
//! Sorts every failure by what is definite. Must not know of histories, pace or
//! faults.

use std::io;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::loopback::{self, ConnectError};
use crate::op::{Reason, Transfer};

/// Longest reply that is read, bytes; a server may send a gigabyte.
pub const REPLY_LIMIT: usize = 4096;
/// Longest piece of a strange reply that is quoted, bytes.
const QUOTE_LIMIT: usize = 80;
/// Long enough that a server on the same machine reads the pieces one by one.
const BETWEEN_PIECES: Duration = Duration::from_millis(5);

/// How to reach the bank.
#[derive(Debug, Clone, Copy)]
pub struct Bank {
    /// Port on 127.0.0.1 to connect to.
    pub port: u16,
    /// From the start of the connect to the last byte of the reply.
    pub deadline: Duration,
    /// Close this side right after the request: the server sees an EOF behind it.
    pub half_close: bool,
}

/// What came of one request.
#[derive(Debug)]
pub struct Exchange {
    /// Where the connection came from; `None` if there was none.
    pub local: Option<SocketAddrV4>,
    /// Both balances, or why they are not known.
    pub result: Result<[i64; 2], Reason>,
}

impl Bank {
    /// Sends one transfer from the loopback address `source` and reads until the
    /// server closes. Takes at most the deadline.
    pub async fn transfer(&self, source: Ipv4Addr, transfer: &Transfer) -> Exchange {
        self.transfer_in_pieces(source, transfer, None).await
    }

    /// The same; where `cut` is given, the request is written in two pieces that are
    /// some milliseconds apart. `cut` counts bytes, modulo the length of the request.
    pub async fn transfer_in_pieces(
        &self,
        source: Ipv4Addr,
        transfer: &Transfer,
        cut: Option<usize>,
    ) -> Exchange {
        let mut local = None;
        let exchange = self.exchange(source, transfer, cut, &mut local);
        let result = match tokio::time::timeout(self.deadline, exchange).await {
            Ok(reply) => reply.and_then(|reply| parse(&reply)),
            Err(_) => Err(Reason::Timeout),
        };
        Exchange { local, result }
    }

    async fn exchange(
        &self,
        source: Ipv4Addr,
        transfer: &Transfer,
        cut: Option<usize>,
        local: &mut Option<SocketAddrV4>,
    ) -> Result<Vec<u8>, Reason> {
        let connected = loopback::connect(source, self.port).await.map_err(connect_failed)?;
        *local = Some(connected.local);
        let mut stream = connected.stream;
        let request = format!("{} {} {}\n", transfer.from, transfer.to, transfer.amount);
        let (first, second) = request.as_bytes().split_at(cut.unwrap_or(0) % request.len());
        if !first.is_empty() {
            // Whoever gives up between the pieces must not end with a FIN: to a server the
            // first piece would then be a whole request, and another one than was meant.
            loopback::reset_on_close(&stream);
            stream.write_all(first).await.map_err(broken)?;
            tokio::time::sleep(BETWEEN_PIECES).await;
        }
        stream.write_all(second).await.map_err(broken)?;
        if !first.is_empty() {
            loopback::fin_on_close(&stream);
        }
        if self.half_close {
            stream.shutdown().await.map_err(broken)?;
        }
        read_reply(&mut stream).await.map_err(broken)
    }
}

/// At most one byte more than the limit: enough to see that it was passed.
async fn read_reply(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    let mut reply = Vec::with_capacity(64);
    let mut bounded = stream.take(REPLY_LIMIT as u64 + 1);
    while bounded.read_buf(&mut reply).await? > 0 {}
    Ok(reply)
}

/// Only a refusal is claimed to be definite. A connect that timed out or was
/// reset has sent nothing either, but the claim would rest on reasoning about
/// the kernel instead of on its word; it is rare, so it costs little to doubt.
fn connect_failed(error: ConnectError) -> Reason {
    match error {
        ConnectError::Local(error) => Reason::Local(error.to_string()),
        ConnectError::Remote(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            Reason::ConnectionRefused
        }
        ConnectError::Remote(error) => broken(error),
    }
}

/// Once connected, bytes may have travelled, whatever the error.
fn broken(error: io::Error) -> Reason {
    match error.kind() {
        io::ErrorKind::TimedOut => Reason::Timeout,
        _ => Reason::Reset,
    }
}

/// `BALANCE BALANCE`, with or without a newline, or `refused REASON` with one.
///
/// # Errors
/// Everything else, quoted. A refusal claims that something will never happen,
/// so it must be whole: without its newline it is not believed.
pub fn parse(reply: &[u8]) -> Result<[i64; 2], Reason> {
    if reply.is_empty() {
        return Err(Reason::NoReply);
    }
    let strange = || Reason::Unparsable(quoted(reply));
    if reply.len() > REPLY_LIMIT {
        return Err(strange());
    }
    let text = std::str::from_utf8(reply).map_err(|_| strange())?;
    if let Some(why) = text.strip_prefix("refused ").and_then(|rest| rest.strip_suffix('\n')) {
        return Err(Reason::Refused(why.to_owned()));
    }
    balances(text.strip_suffix('\n').unwrap_or(text)).ok_or_else(strange)
}

fn balances(text: &str) -> Option<[i64; 2]> {
    let (from, to) = text.split_once(' ')?;
    Some([from.parse().ok()?, to.parse().ok()?])
}

/// Printable, and not long.
pub(super) fn quoted(bytes: &[u8]) -> String {
    let shown = &bytes[..bytes.len().min(QUOTE_LIMIT)];
    let more = if shown.len() < bytes.len() { "..." } else { "" };
    format!("\"{}\"{more}", shown.escape_ascii())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::op::Outcome;

    #[test]
    fn both_editions_replies_are_understood() {
        assert_eq!(parse(b"95 105"), Ok([95, 105]));
        assert_eq!(parse(b"-9223372036854775808 9223372036854775807\n"), Ok([i64::MIN, i64::MAX]));
        assert_eq!(parse(b"refused no majority\n"), Err(Reason::Refused("no majority".into())));
    }

    #[test]
    fn silence_and_nonsense_are_told_apart_and_neither_is_definite() {
        assert_eq!(parse(b""), Err(Reason::NoReply));
        let strange: [&[u8]; 8] =
            [b"95", b"95 ", b"95  105", b"95 105 1", b"a b", b"95 105\n\n", b"\xff 1", b"refused no maj"];
        for reply in strange {
            let reason = parse(reply).unwrap_err();
            assert!(matches!(reason, Reason::Unparsable(_)), "{reason:?}");
            assert_eq!(reason.outcome(), Outcome::Info);
        }
    }

    #[test]
    fn a_long_reply_is_quoted_short_and_printable() {
        let Err(Reason::Unparsable(text)) = parse(&[b'\n'; REPLY_LIMIT + 1]) else { panic!("accepted") };
        assert!(text.len() < 200 && text.ends_with("..."), "{text}");
    }

    /// What a server reads of a request in two pieces: its bytes, or a reset.
    async fn read_by_a_server(give_up: bool) -> std::io::Result<Vec<u8>> {
        let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let port = listener.local_addr()?.port();
        let bank = Bank { port, deadline: Duration::from_secs(60), half_close: true };
        let client = tokio::spawn(async move {
            let transfer = Transfer::request("a", "b", 15);
            bank.transfer_in_pieces(Ipv4Addr::new(127, 1, 0, 1), &transfer, Some(5)).await
        });
        let (mut server, _) = listener.accept().await?;
        let mut bytes = vec![0; 5];
        server.read_exact(&mut bytes).await?;
        if give_up {
            client.abort();
        }
        server.read_to_end(&mut bytes).await.map(|_| bytes)
    }

    #[tokio::test]
    async fn a_request_in_two_pieces_arrives_whole() {
        assert_eq!(read_by_a_server(false).await.unwrap(), b"a b 15\n");
    }

    #[tokio::test]
    async fn a_request_that_is_given_up_between_its_pieces_is_never_another_request() {
        let mut resets = 0;
        for _ in 0..20 {
            match read_by_a_server(true).await {
                Ok(bytes) => assert_eq!(bytes, b"a b 15\n"),
                Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => resets += 1,
                Err(error) => panic!("{error}"),
            }
        }
        assert!(resets > 0, "none was given up in between");
    }
}
