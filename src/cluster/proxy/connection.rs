//! One connection through a proxy, from its acceptance to its end.
//!
//! Connects to the target, runs the two directions, ends both sockets as the
//! far sides ended theirs: FIN by FIN, half by half, reset by reset. Must not
//! know of listening, of faults or of who reads reports.

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
use crate::loopback::{self, ConnectError};

/// Serves one accepted connection until both directions have ended.
///
/// `ticket` stands first so that it is dropped last: the report of the end
/// comes after the sockets are closed.
pub(super) async fn serve(ticket: Ticket, client: TcpStream) {
    let client = End::new(client);
    // A target that refuses has died since the port was opened: dropping the
    // client's end out of order resets it.
    if let Ok(server) = connect(&ticket.shared).await {
        relay(&ticket, &client, &End::new(server)).await;
    }
}

async fn connect(shared: &Shared) -> io::Result<TcpStream> {
    let port = shared.upstream.load(Ordering::Acquire);
    if port == 0 {
        return Err(io::ErrorKind::ConnectionRefused.into());
    }
    match loopback::connect(shared.sources.next(), port).await {
        Err(ConnectError::Local(error)) if error.kind() == io::ErrorKind::AddrNotAvailable => {
            shared.sources.exhausted(Instant::now());
            Ok(loopback::connect(shared.sources.next(), port).await?.stream)
        }
        connected => Ok(connected?.stream),
    }
}

async fn relay(ticket: &Ticket, client: &End, server: &End) {
    let mut relay = Relay {
        ticket,
        client,
        server,
        to_server: Pipe::new(Direction::ToServer),
        to_client: Pipe::new(Direction::ToClient),
        closed_first: false,
    };
    // Polled only once a side has sent its FIN: before, a read tells of resets.
    let mut client_error = pin!(client.stream.ready(Interest::ERROR));
    let mut server_error = pin!(server.stream.ready(Interest::ERROR));
    poll_fn(|cx| relay.poll(cx, client_error.as_mut(), server_error.as_mut())).await;
    relay.end();
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
            let last = self.to_client.state == State::Finished;
            self.to_server.poll(cx, self.client, self.server, self.ticket, last);
            self.closed_first |= self.to_server.state == State::Finished && !self.to_client.source_ended;
            let last = self.to_server.state == State::Finished;
            self.to_client.poll(cx, self.server, self.client, self.ticket, last);
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
        states.contains(&State::Reset) || self.broke_after_fin() || !states.contains(&State::Open)
    }

    /// A side whose FIN was passed on long ago resets what it was still to receive.
    fn broke_after_fin(&self) -> bool {
        let after = |end: &End, out: &Pipe, back: &Pipe| {
            end.is_broken() && out.state == State::Finished && back.state != State::Finished
        };
        after(self.server, &self.to_client, &self.to_server)
            || after(self.client, &self.to_server, &self.to_client)
    }

    fn end(&mut self) {
        if self.closed_first {
            self.ticket.shared.sources.closed_first(Instant::now());
        }
        let orderly = [&self.to_server, &self.to_client].iter().all(|pipe| pipe.state == State::Finished);
        if orderly {
            self.client.close_orderly();
            self.server.close_orderly();
        }
        self.to_server.abandon(&self.ticket.shared);
        self.to_client.abandon(&self.ticket.shared);
    }
}

/// After its FIN nobody reads from an end any more: a reset has to be watched for.
fn watch(cx: &mut Context<'_>, end: &End, out: &Pipe, error: Pin<&mut impl Future>) {
    if out.source_ended && !end.is_broken() && error.poll(cx).is_ready() {
        end.set_broken();
    }
}
