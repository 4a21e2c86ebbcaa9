//! One connection through a proxy, from its acceptance to its end.
//!
//! Connects to the target, runs the two directions, ends both sockets as the
//! far sides ended theirs: FIN by FIN, half by half, reset by reset; under a fault
//! as the fault leaves them. Must not know of listening or of who reads reports.

use std::future::{Future, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};
use std::time::Instant;

use tokio::io::Interest;
use tokio::net::TcpStream;

use super::end::End;
use super::pipe::{Pipe, State};
use super::shared::{Shared, Ticket};
use super::tap::Direction;
use crate::fault::network::LinkFault;
use crate::loopback::{self, ConnectError};

/// Serves one accepted connection until both directions have ended.
///
/// `ticket` stands first so that it is dropped last: the report of the end
/// comes after the sockets are closed.
pub(super) async fn serve(ticket: Ticket, client: TcpStream) {
    let client = End::new(client);
    let mut held = false;
    match poll_fn(|cx| poll_entry(cx, &ticket, &mut held)).await {
        Entry::Open => {}
        Entry::BlackHole => return swallow(&ticket, &client).await,
    }
    // A target that refuses has died since the port was opened: dropping the
    // client's end out of order resets it.
    let Ok(server) = connect(&ticket.shared).await else { return };
    let server = End::new(server);
    match relay(&ticket, &client, &server).await {
        Over::Both => {}
        Over::Server => {
            drop(server);
            wait_for_a_word(&client).await;
        }
        Over::Client => {
            drop(client);
            wait_for_a_word(&server).await;
        }
    }
}

/// What a new connection comes to.
enum Entry {
    /// The target may be connected to.
    Open,
    /// Under a black hole no handshake ends; the kernel's was none with the target.
    BlackHole,
}

/// A new connection waits while its link is held, in whichever direction: a
/// handshake needs both.
fn poll_entry(cx: &mut Context<'_>, ticket: &Ticket, held: &mut bool) -> Poll<Entry> {
    ticket.listen(cx.waker());
    let mut holds = false;
    for direction in Direction::BOTH {
        let policy = ticket.shared.policy(direction);
        match policy.fault() {
            Some(LinkFault::Drop | LinkFault::Refuse { drop_established: true }) => {
                policy.count(|tally| tally.black_holes += 1);
                return Poll::Ready(Entry::BlackHole);
            }
            Some(LinkFault::Hold) => {
                holds = true;
                if !std::mem::replace(held, true) {
                    policy.count(|tally| tally.connections_held += 1);
                }
            }
            _ => {}
        }
    }
    if holds { Poll::Pending } else { Poll::Ready(Entry::Open) }
}

/// Takes whatever comes and answers nothing, until the peer is gone.
async fn swallow(ticket: &Ticket, client: &End) {
    let mut buffer = vec![0; 4096];
    loop {
        let _ = client.stream.readable().await;
        match client.stream.try_read(&mut buffer) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Ok(0) | Err(_) => return,
            Ok(size) => {
                let policy = ticket.shared.policy(Direction::ToServer);
                policy.count(|tally| tally.bytes_dropped += size as u64);
            }
        }
    }
}

/// The far end has been reset and this one does not know: as with a peer that has
/// forgotten the connection, it is reset in answer to whatever it sends.
async fn wait_for_a_word(end: &End) {
    let _ = end.stream.readable().await;
}

async fn connect(shared: &Shared) -> io::Result<TcpStream> {
    let port = shared.upstream.load(Ordering::Acquire);
    if port == 0 {
        return Err(io::ErrorKind::ConnectionRefused.into());
    }
    let connected = match loopback::connect(shared.sources.next(), port).await {
        Err(ConnectError::Local(error)) if error.kind() == io::ErrorKind::AddrNotAvailable => {
            shared.sources.exhausted(Instant::now());
            loopback::connect(shared.sources.next(), port).await
        }
        connected => connected,
    };
    if let Err(ConnectError::Local(why)) = &connected {
        shared.tap.starved(shared.link, why);
    }
    Ok(connected?.stream)
}

/// What is over when a relay ends.
enum Over {
    /// The connection.
    Both,
    /// The server's half of it, by a fault; the client knows nothing of it yet.
    Server,
    /// The client's half.
    Client,
}

async fn relay(ticket: &Ticket, client: &End, server: &End) -> Over {
    let mut relay = Relay {
        ticket,
        client,
        server,
        to_server: Pipe::new(Direction::ToServer, &ticket.shared),
        to_client: Pipe::new(Direction::ToClient, &ticket.shared),
        closed_first: false,
    };
    // Polled only once a side has sent its FIN: before, a read tells of resets.
    let mut client_error = pin!(client.stream.ready(Interest::ERROR));
    let mut server_error = pin!(server.stream.ready(Interest::ERROR));
    poll_fn(|cx| relay.poll(cx, client_error.as_mut(), server_error.as_mut())).await;
    relay.end()
}

struct Relay<'a> {
    ticket: &'a Ticket,
    client: &'a End,
    server: &'a End,
    to_server: Pipe,
    to_client: Pipe,
    /// The target's socket was sent a FIN before it sent one.
    closed_first: bool,
}

impl Relay<'_> {
    fn poll(
        &mut self,
        cx: &mut Context<'_>,
        mut client_error: Pin<&mut impl Future>,
        mut server_error: Pin<&mut impl Future>,
    ) -> Poll<()> {
        loop {
            let before = (self.client.is_broken(), self.server.is_broken());
            let last = self.to_client.state == State::Finished && !self.to_client.lost;
            self.to_server.poll(cx, self.client, self.server, self.ticket, last);
            self.closed_first |= self.to_server.state == State::Finished && !self.to_client.source_ended;
            let last = self.to_server.state == State::Finished && !self.to_server.lost;
            self.to_client.poll(cx, self.server, self.client, self.ticket, last);
            // What a fault has taken from one direction, no end will tell of: the
            // other must go on looking for the end of its source.
            self.to_server.lost |= self.to_client.lost && self.to_server.state == State::Abandoned;
            self.to_client.lost |= self.to_server.lost && self.to_client.state == State::Abandoned;
            if self.has_ended() {
                return Poll::Ready(());
            }
            watch(cx, self.client, &self.to_server, client_error.as_mut());
            watch(cx, self.server, &self.to_client, server_error.as_mut());
            if before == (self.client.is_broken(), self.server.is_broken()) {
                return Poll::Pending;
            }
        }
    }

    fn has_ended(&self) -> bool {
        let states = [self.to_server.state, self.to_client.state];
        if states.contains(&State::Reset) || states.contains(&State::Struck) || self.broke_after_fin() {
            return true;
        }
        if self.to_server.lost || self.to_client.lost {
            // Silent to one side at least: over when both sides have gone by themselves.
            return (self.to_server.is_spent() || self.client.is_broken())
                && (self.to_client.is_spent() || self.server.is_broken());
        }
        !states.contains(&State::Open)
    }

    /// A side whose FIN was passed on long ago resets what it was still to receive.
    fn broke_after_fin(&self) -> bool {
        let after = |end: &End, out: &Pipe, back: &Pipe| {
            end.is_broken() && !out.lost && out.state == State::Finished && back.state != State::Finished
        };
        after(self.server, &self.to_client, &self.to_server)
            || after(self.client, &self.to_server, &self.to_client)
    }

    fn end(&mut self) -> Over {
        if self.closed_first {
            self.ticket.shared.sources.closed_first(Instant::now());
        }
        let lost = self.to_server.lost || self.to_client.lost;
        let finished = |pipe: &Pipe| pipe.state == State::Finished;
        let orderly = finished(&self.to_server) && finished(&self.to_client);
        // A FIN has passed to that side, and it has gone itself: nothing to reset.
        if orderly || lost && finished(&self.to_client) && self.to_server.source_ended {
            self.client.close_orderly();
        }
        if orderly || lost && finished(&self.to_server) && self.to_client.source_ended {
            self.server.close_orderly();
        }
        let over = self.over();
        self.to_server.abandon(&self.ticket.shared);
        self.to_client.abandon(&self.ticket.shared);
        over
    }

    /// Where a reset is done to both directions, no half outlives the other.
    fn over(&self) -> Over {
        let resets = |direction| self.ticket.shared.policy(direction).fault() == Some(LinkFault::Reset);
        match (self.to_server.state, self.to_client.state) {
            (State::Struck, State::Open | State::Finished) if !resets(Direction::ToClient) => Over::Server,
            (State::Open | State::Finished, State::Struck) if !resets(Direction::ToServer) => Over::Client,
            _ => Over::Both,
        }
    }
}

/// After its FIN nobody reads from an end any more: a reset has to be watched for.
fn watch(cx: &mut Context<'_>, end: &End, out: &Pipe, error: Pin<&mut impl Future>) {
    if out.source_ended && !end.is_broken() && error.poll(cx).is_ready() {
        end.set_broken();
    }
}
