//! One direction of one connection: read, hold back, write, in order.
//!
//! Chunks, FIN and reset travel through one queue, so nothing overtakes. A
//! direction that lost a byte is *lost*: what is queued still goes on, whatever is
//! read later is thrown away, and no FIN follows. An empty queue and an idle policy
//! take a short way without copying. Knows the two sockets of its connection and
//! its policy; must not know how connections begin or end.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::future::Future;
use std::io;
use std::os::fd::AsRawFd;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Instant;

use nix::sys::socket::{MsgFlags, recv};
use socket2::SockRef;
use tokio::io::Interest;
use tokio::net::TcpStream;
use tokio::time::Sleep;

use super::duplicate::Copier;
use super::end::End;
use super::policy::{Admission, Pass, What};
use super::shared::{Shared, Ticket};
use super::tap::{Direction, FIRST_BYTES};
use crate::fault::network::LinkFault;

/// Largest chunk read at once, bytes.
const CHUNK: usize = 64 * 1024;
/// Bytes that one direction buffers while its destination does not take them.
const BLOCKED_LIMIT: usize = 256 * 1024;
/// Bytes that one direction holds back under a fault; its bandwidth is at most this
/// per delay. Beyond it nothing is read: the sender feels it, nothing is lost.
const DELAYED_LIMIT: usize = 8 * 1024 * 1024;
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
    /// A fault resets the destination now; the source's side knows nothing of it.
    Struck,
    /// The destination is gone; what was held for it is lost.
    Abandoned,
}

enum Item {
    Bytes {
        data: Vec<u8>,
        written: usize,
    },
    Fin,
    Reset,
    /// A fault ends the direction here with a FIN.
    Cut,
    /// A fault resets the destination here.
    Strike,
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
    /// A fault took something: nothing that is read from now on goes on.
    pub(super) lost: bool,
    /// The last byte written was not the end of a line.
    mid_line: bool,
    /// The policy's epoch that was last acted upon.
    epoch: u64,
    /// Bytes carried under the present fault.
    carried: u64,
    /// The pause after a piece lasts until then.
    not_before: Option<Instant>,
    copier: Option<Copier>,
    timer: Option<Pin<Box<Sleep>>>,
}

impl Pipe {
    /// The direction of a connection that has just been made.
    pub(super) fn new(direction: Direction, shared: &Shared) -> Self {
        Self {
            direction,
            lost: false,
            mid_line: false,
            epoch: shared.policy(direction).epoch(),
            carried: 0,
            not_before: None,
            copier: None,
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
        self.note_change(ticket);
        for _ in 0..TURN {
            if self.is_over(to, ticket) {
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

    /// A connection that was open when a fault began to cut or reset is hit though
    /// it carries nothing.
    fn note_change(&mut self, ticket: &Ticket) {
        let policy = ticket.shared.policy(self.direction);
        let epoch = policy.epoch();
        if epoch == self.epoch {
            return;
        }
        (self.epoch, self.carried, self.copier) = (epoch, 0, None);
        if self.state == State::Open && !self.lost {
            match policy.fault() {
                Some(LinkFault::Cut) => self.end_by_fault(Item::Cut, ticket),
                Some(LinkFault::Reset) => self.end_by_fault(Item::Strike, ticket),
                _ => {}
            }
        }
    }

    /// What was read before still goes on; this and whatever follows is lost.
    fn end_by_fault(&mut self, item: Item, ticket: &Ticket) {
        ticket.tampered();
        self.lost = true;
        let read = Instant::now();
        self.queue.push_back(Queued { item, received: 0, read, pass: None });
    }

    fn is_over(&mut self, to: &End, ticket: &Ticket) -> bool {
        if to.is_broken() && self.state == State::Open {
            self.abandon(&ticket.shared);
        }
        match self.lost {
            true => self.source_ended && !self.releases(),
            false => self.state != State::Open,
        }
    }

    /// Whether something is still to go on.
    fn releases(&self) -> bool {
        self.state == State::Open && !self.queue.is_empty()
    }

    /// Nothing will be read any more, and nothing go on.
    pub(super) fn is_spent(&self) -> bool {
        self.source_ended && !self.releases()
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
        if from.is_broken() && self.source_ended && !self.reset_queued && !self.lost {
            self.push(Item::Reset, ticket);
        }
    }

    fn poll_read(&mut self, cx: &mut Context<'_>, from: &End, to: &End, ticket: &Ticket) -> Poll<()> {
        if self.source_ended || !self.lost && (self.state != State::Open || self.is_full(ticket)) {
            return Poll::Pending;
        }
        SCRATCH.with_borrow_mut(|scratch| {
            match ready!(poll_recv(cx, &from.stream, scratch)) {
                Ok(0) => self.end_of_source(from, ticket),
                Ok(size) => self.take(&scratch[..size], to, ticket),
                Err(_) => {
                    from.set_broken();
                    self.end_of_source(from, ticket);
                }
            }
            Poll::Ready(())
        })
    }

    fn is_full(&self, ticket: &Ticket) -> bool {
        let active = ticket.shared.policy(self.direction).is_active();
        self.queued_bytes >= if active { DELAYED_LIMIT } else { BLOCKED_LIMIT }
    }

    fn end_of_source(&mut self, from: &End, ticket: &Ticket) {
        self.source_ended = true;
        if !self.lost {
            self.push(if from.is_broken() { Item::Reset } else { Item::Fin }, ticket);
        }
    }

    /// Does with a chunk what the policy says.
    fn take(&mut self, chunk: &[u8], to: &End, ticket: &Ticket) {
        let policy = ticket.shared.policy(self.direction);
        if self.lost {
            ticket.tampered();
            return policy.count(|tally| tally.bytes_dropped += chunk.len() as u64);
        }
        let read = Instant::now();
        match policy.admit(read, What::Bytes(chunk.len())) {
            Admission::Free => self.forward(chunk, read, None, to, ticket),
            Admission::Paced(pass) => self.forward(chunk, read, Some(pass), to, ticket),
            Admission::Copied => {
                // Replies are nobody's message.
                if self.direction == Direction::ToServer {
                    self.copy(chunk, ticket);
                }
                self.forward(chunk, read, None, to, ticket);
            }
            Admission::Lost => {
                ticket.tampered();
                self.lost = true;
            }
            Admission::Cut => self.end_by_fault(Item::Cut, ticket),
            Admission::Reset => self.end_by_fault(Item::Strike, ticket),
            Admission::Truncated(limit) => self.truncate(chunk, limit, read, to, ticket),
        }
    }

    fn truncate(&mut self, chunk: &[u8], limit: u64, read: Instant, to: &End, ticket: &Ticket) {
        let left = usize::try_from(limit.saturating_sub(self.carried)).unwrap_or(usize::MAX);
        let passes = &chunk[..chunk.len().min(left)];
        self.carried += passes.len() as u64;
        if self.carried >= limit {
            // Before a byte of it can be read: it may look like a whole message.
            ticket.tampered();
        }
        if !passes.is_empty() {
            self.forward(passes, read, None, to, ticket);
        }
        if self.carried >= limit {
            self.end_by_fault(Item::Cut, ticket);
        }
    }

    fn copy(&mut self, chunk: &[u8], ticket: &Ticket) {
        let fresh = || Copier::new(!self.mid_line && self.queue.is_empty());
        let mut copier = self.copier.take().unwrap_or_else(fresh);
        copier.take(chunk, ticket);
        self.copier = Some(copier);
    }

    fn forward(&mut self, chunk: &[u8], read: Instant, pass: Option<Pass>, to: &End, ticket: &Ticket) {
        let received = ticket.shared.clock.at(read);
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
    fn write_now(&mut self, bytes: &[u8], to: &End, ticket: &Ticket) -> usize {
        match to.stream.try_write(bytes) {
            Ok(size) => {
                self.mid_line = ends_mid_line(&bytes[..size], self.mid_line);
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
        let read = Instant::now();
        let received = ticket.shared.clock.at(read);
        let pass = match ticket.shared.policy(self.direction).admit(read, What::Close) {
            Admission::Paced(pass) => Some(pass),
            // The close of a black hole is lost like its bytes.
            Admission::Lost => return self.lost = true,
            Admission::Reset => return self.end_by_fault(Item::Strike, ticket),
            _ => None,
        };
        self.reset_queued |= matches!(item, Item::Reset);
        self.queue.push_back(Queued { item, received, read, pass });
    }

    /// Ready if something moved.
    fn poll_release(&mut self, cx: &mut Context<'_>, to: &End, ticket: &Ticket, last: bool) -> Poll<()> {
        if self.state != State::Open {
            return Poll::Pending;
        }
        let policy = ticket.shared.policy(self.direction);
        let Some(front) = self.queue.front_mut() else { return Poll::Pending };
        let pass = front.pass.filter(|pass| !policy.is_void(pass));
        if let Some(pass) = &pass {
            ready!(poll_pass(cx, &mut self.timer, pass, self.not_before));
        }
        match &mut front.item {
            Item::Bytes { data, written } => {
                let most = pass.map_or(usize::MAX, |pass| pass.piece);
                let piece = &data[*written..(*written).saturating_add(most).min(data.len())];
                match ready!(poll_send(cx, &to.stream, piece)) {
                    Ok(size) => {
                        if *written == 0 && size < data.len() && pass.is_some() {
                            policy.count(|tally| tally.chunks_sliced += 1);
                        }
                        self.not_before = pass.and_then(|pass| pass.next_piece(self.not_before));
                        self.mid_line = ends_mid_line(&piece[..size], self.mid_line);
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
                }
            }
            // The connection is closed next, which sends the FIN by itself.
            Item::Fin if last => self.state = State::Finished,
            Item::Fin => self.pass_fin(to),
            Item::Reset => self.state = State::Reset,
            Item::Cut => self.cut(to, ticket),
            Item::Strike => self.strike(ticket),
        }
        self.settle_front(ticket);
        Poll::Ready(())
    }

    /// Ends the direction with a FIN that its source did not send. In the middle of
    /// a line towards a server that would be a message which nobody sent (an end
    /// of file may stand for the newline), so there it is a reset.
    fn cut(&mut self, to: &End, ticket: &Ticket) {
        if self.direction == Direction::ToServer && self.mid_line {
            return self.strike(ticket);
        }
        ticket.shared.policy(self.direction).count(|tally| tally.connections_cut += 1);
        self.pass_fin(to);
    }

    fn strike(&mut self, ticket: &Ticket) {
        ticket.shared.policy(self.direction).count(|tally| tally.connections_reset += 1);
        self.state = State::Struck;
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

fn ends_mid_line(written: &[u8], before: bool) -> bool {
    written.last().map_or(before, |last| *last != b'\n')
}

/// Until a chunk or its next piece is due. The task is woken when the fault is healed.
fn poll_pass(
    cx: &mut Context<'_>,
    timer: &mut Option<Pin<Box<Sleep>>>,
    pass: &Pass,
    not_before: Option<Instant>,
) -> Poll<()> {
    match pass.due {
        Some(due) => poll_due(cx, timer, not_before.map_or(due, |pause| pause.max(due))),
        None => Poll::Pending,
    }
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
