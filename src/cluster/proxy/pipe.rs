//! One direction of one connection: read, hold back, write, in order.
//!
//! Chunks, FIN and reset travel through one queue, so nothing overtakes and a
//! direction that lost a byte never carries another. An empty queue and an idle
//! policy take a short way without copying. Knows the two sockets of its
//! connection and its policy; must not know how connections begin or end.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::future::Future;
use std::io;
use std::os::fd::AsRawFd;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use nix::sys::socket::{MsgFlags, recv};
use socket2::SockRef;
use tokio::io::Interest;
use tokio::net::TcpStream;
use tokio::time::Sleep;

use super::end::End;
use super::policy::{Pass, Policy};
use super::shared::{Shared, Ticket};
use super::tap::{Direction, FIRST_BYTES};

/// Largest chunk read at once, bytes.
const CHUNK: usize = 64 * 1024;
/// Bytes that one direction buffers while its destination does not take them.
const BLOCKED_LIMIT: usize = 256 * 1024;
/// Bytes that one direction holds back under a delay; its bandwidth is at most this per delay.
const DELAYED_LIMIT: usize = 8 * 1024 * 1024;
/// What is held back notices within this time that its delay has ended.
const HEALING: Duration = Duration::from_millis(20);
/// Chunks moved before other connections get their turn.
const TURN: u32 = 16;

thread_local! {
    /// One buffer per thread instead of one per connection: a chunk that cannot
    /// go on at once is copied out.
    static SCRATCH: RefCell<Vec<u8>> = RefCell::new(vec![0; CHUNK]);
}

/// How far a direction has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// Bytes may still come.
    Open,
    /// The FIN has been passed on; nothing follows.
    Finished,
    /// A reset is due at the destination now.
    Reset,
    /// The destination is gone; what was held for it is lost.
    Abandoned,
}

enum Item {
    Bytes { data: Vec<u8>, written: usize },
    Fin,
    Reset,
}

struct Queued {
    item: Item,
    /// When it was read, nanoseconds since the run began.
    received: u64,
    read: Instant,
    pass: Option<Pass>,
}

/// One direction.
pub(super) struct Pipe {
    direction: Direction,
    queue: VecDeque<Queued>,
    queued_bytes: usize,
    /// A FIN was read (or something worse): nothing more will be read.
    pub(super) source_ended: bool,
    reset_queued: bool,
    pub(super) state: State,
    timer: Option<Pin<Box<Sleep>>>,
}

impl Pipe {
    pub(super) fn new(direction: Direction) -> Self {
        Self {
            direction,
            queue: VecDeque::new(),
            queued_bytes: 0,
            source_ended: false,
            reset_queued: false,
            state: State::Open,
            timer: None,
        }
    }

    /// Moves what can be moved; afterwards every reason to move more will wake the
    /// task. `last`: the other direction has finished.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>, from: &End, to: &End, ticket: &Ticket, last: bool) {
        for _ in 0..TURN {
            if self.state != State::Open || self.abandon_if_gone(to, ticket) {
                return;
            }
            self.note_broken_source(from, ticket);
            let released = self.poll_release(cx, to, ticket, last);
            let read = self.poll_read(cx, from, to, ticket);
            if released.is_pending() && read.is_pending() {
                return;
            }
        }
        cx.waker().wake_by_ref();
    }

    fn abandon_if_gone(&mut self, to: &End, ticket: &Ticket) -> bool {
        if to.is_broken() {
            self.abandon(&ticket.shared);
        }
        to.is_broken()
    }

    /// The destination will take nothing more: what is queued is lost.
    pub(super) fn abandon(&mut self, shared: &Shared) {
        for pass in self.queue.drain(..).filter_map(|queued| queued.pass) {
            shared.policy(self.direction).settle(pass, None);
        }
        self.queued_bytes = 0;
        self.state = State::Abandoned;
    }

    /// A source that broke after its FIN, or was found broken by a write, still
    /// owes the other side a reset, behind all that it had sent.
    fn note_broken_source(&mut self, from: &End, ticket: &Ticket) {
        if from.is_broken() && self.source_ended && !self.reset_queued {
            self.push(Item::Reset, ticket);
        }
    }

    fn poll_read(&mut self, cx: &mut Context<'_>, from: &End, to: &End, ticket: &Ticket) -> Poll<()> {
        let limit =
            if ticket.shared.policy(self.direction).is_active() { DELAYED_LIMIT } else { BLOCKED_LIMIT };
        if self.state != State::Open || self.source_ended || self.queued_bytes >= limit {
            return Poll::Pending;
        }
        SCRATCH.with_borrow_mut(|scratch| {
            match ready!(poll_recv(cx, &from.stream, scratch)) {
                Ok(0) => self.end_of_source(from, ticket),
                Ok(size) => self.forward(&scratch[..size], to, ticket),
                Err(_) => {
                    from.set_broken();
                    self.end_of_source(from, ticket);
                }
            }
            Poll::Ready(())
        })
    }

    fn end_of_source(&mut self, from: &End, ticket: &Ticket) {
        self.source_ended = true;
        let item = if from.is_broken() { Item::Reset } else { Item::Fin };
        self.push(item, ticket);
    }

    fn forward(&mut self, chunk: &[u8], to: &End, ticket: &Ticket) {
        let read = Instant::now();
        let received = ticket.shared.clock.at(read);
        let pass = ticket.shared.policy(self.direction).admit(read);
        let mut written = 0;
        if pass.is_none() && self.queue.is_empty() {
            written = self.write_now(chunk, to, ticket);
            if written == chunk.len() {
                ticket.shared.told(ticket, self.direction, chunk.len(), chunk, received);
                return;
            }
        }
        self.queued_bytes += chunk.len() - written;
        let item = Item::Bytes { data: chunk.to_vec(), written };
        self.queue.push_back(Queued { item, received, read, pass });
    }

    /// Writes what the socket takes at once; an error counts as 0 and is remembered.
    fn write_now(&self, bytes: &[u8], to: &End, ticket: &Ticket) -> usize {
        match to.stream.try_write(bytes) {
            Ok(size) => {
                ticket.delivered(self.direction, size);
                size
            }
            Err(error) => {
                if error.kind() != io::ErrorKind::WouldBlock {
                    to.set_broken();
                }
                0
            }
        }
    }

    fn push(&mut self, item: Item, ticket: &Ticket) {
        self.reset_queued |= matches!(item, Item::Reset);
        let read = Instant::now();
        let received = ticket.shared.clock.at(read);
        let pass = ticket.shared.policy(self.direction).admit(read);
        self.queue.push_back(Queued { item, received, read, pass });
    }

    /// Ready if something moved.
    fn poll_release(&mut self, cx: &mut Context<'_>, to: &End, ticket: &Ticket, last: bool) -> Poll<()> {
        let Some(front) = self.queue.front_mut() else { return Poll::Pending };
        if let Some(pass) = front.pass {
            ready!(poll_pass(cx, &mut self.timer, pass, ticket.shared.policy(self.direction)));
        }
        match &mut front.item {
            Item::Bytes { data, written } => match ready!(poll_send(cx, &to.stream, &data[*written..])) {
                Ok(size) => {
                    *written += size;
                    self.queued_bytes -= size;
                    ticket.delivered(self.direction, size);
                    if *written < data.len() {
                        return Poll::Ready(());
                    }
                }
                Err(_) => {
                    to.set_broken();
                    return Poll::Ready(());
                }
            },
            // The connection is closed next, which sends the FIN by itself.
            Item::Fin if last => self.state = State::Finished,
            Item::Fin => self.pass_fin(to),
            Item::Reset => self.state = State::Reset,
        }
        self.settle_front(ticket);
        Poll::Ready(())
    }

    fn pass_fin(&mut self, to: &End) {
        match SockRef::from(&to.stream).shutdown(std::net::Shutdown::Write) {
            Ok(()) => self.state = State::Finished,
            Err(_) => to.set_broken(),
        }
    }

    fn settle_front(&mut self, ticket: &Ticket) {
        let Some(front) = self.queue.pop_front() else { return };
        if let Some(pass) = front.pass {
            ticket.shared.policy(self.direction).settle(pass, Some(front.read.elapsed()));
        }
        if let Item::Bytes { data, .. } = front.item {
            let first = &data[..data.len().min(FIRST_BYTES)];
            ticket.shared.told(ticket, self.direction, data.len(), first, front.received);
        }
    }
}

/// Until the chunk is due or the delay is healed: a link that still held back what
/// it was given for ten minutes would be no healed link.
fn poll_pass(
    cx: &mut Context<'_>,
    timer: &mut Option<Pin<Box<Sleep>>>,
    pass: Pass,
    policy: &Policy,
) -> Poll<()> {
    while policy.is_active() && Instant::now() < pass.due {
        ready!(poll_due(cx, timer, pass.due.min(Instant::now() + HEALING)));
    }
    Poll::Ready(())
}

fn poll_due(cx: &mut Context<'_>, timer: &mut Option<Pin<Box<Sleep>>>, due: Instant) -> Poll<()> {
    if Instant::now() >= due {
        return Poll::Ready(());
    }
    let timer = timer.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(due.into())));
    if timer.deadline() != due.into() {
        timer.as_mut().reset(due.into());
    }
    timer.as_mut().poll(cx)
}

fn poll_recv(cx: &mut Context<'_>, stream: &TcpStream, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
    loop {
        match recv_once(stream, buffer) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => ready!(stream.poll_read_ready(cx))?,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => (),
            done => return Poll::Ready(done),
        }
    }
}

/// Like `try_read`, but a read that did not fill the buffer clears the readiness
/// in the same breath: it spares the call that would only say "would block".
fn recv_once(stream: &TcpStream, buffer: &mut [u8]) -> io::Result<usize> {
    let mut got = None;
    let cleared = stream.try_io(Interest::READABLE, || {
        let size = recv(stream.as_raw_fd(), buffer, MsgFlags::empty())?;
        got = Some(size);
        if (1..buffer.len()).contains(&size) { Err(io::ErrorKind::WouldBlock.into()) } else { Ok(()) }
    });
    match got {
        Some(size) => Ok(size),
        None => cleared.map(|()| 0),
    }
}

fn poll_send(cx: &mut Context<'_>, stream: &TcpStream, bytes: &[u8]) -> Poll<io::Result<usize>> {
    loop {
        match stream.try_write(bytes) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => ready!(stream.poll_write_ready(cx))?,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => (),
            done => return Poll::Ready(done),
        }
    }
}
