//! The durable coordinator as a pure state machine: events in, outputs out, time passed in.
//!
//! Raft's log with one proposer at a time (docs/PROTOCOL.md): `election` wins a majority's promise
//! and takes over the newest log, `replication` makes the others agree and counts, `clients` keeps
//! apart what may still be refused. It keeps nothing that it cannot rebuild from any majority. It
//! must not know sockets, clocks or threads.

mod bugs;
mod clients;
mod election;
mod link;
mod replication;

use std::collections::VecDeque;
use std::time::Duration;

use crate::reference::bank::{Balances, Bank};
use crate::reference::bug::Bug;
use crate::reference::log::Log;
use crate::reference::members::Members;
use crate::reference::message::{FromReplica, ToReplica};
use crate::reference::transfer::Transfer;
use clients::Clients;
use election::Phase;
use link::{Contact, Grant, Link, Voice};

const NOTE_EVERY: Duration = Duration::from_secs(1);

/// How long things may take, and how much is kept. It affects service only, never what is true.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// An idle replica hears from us this often.
    pub heartbeat: Duration,
    /// A commit is told on its own if nothing carries it for this long.
    pub commit_delay: Duration,
    /// Without an answer for this long a replica counts as unreachable.
    pub silence: Duration,
    /// Without an answer for this long its connection is replaced.
    pub give_up: Duration,
    /// A request without a place in the log is refused after this long.
    pub wait: Duration,
    /// A request with a place in the log is left without reply after this long.
    pub deadline: Duration,
    /// First and longest delay before asking for promises again.
    pub backoff: (Duration, Duration),
    /// Most entries in one message: small enough for a slow link to show progress.
    pub batch: usize,
    /// Messages under way to one replica. More only splits groups: what waits joins the next.
    pub window: usize,
    /// Entries kept for replicas that lag; who lags further gets a whole state.
    pub keep: u64,
}

/// The caller's clocks at one instant: one that only runs, one that names the time.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    /// Since the start, never backwards.
    pub elapsed: Duration,
    /// UTC; may be wrong or jump, which only shows in time lines.
    pub unix_seconds: i64,
}

/// What happened.
#[derive(Debug)]
pub enum Event {
    /// A connection to a replica was made.
    Connected { replica: usize, connection: u64 },
    /// A line came from a replica.
    Line { replica: usize, connection: u64, text: String },
    /// A connection ended.
    Lost { replica: usize, connection: u64 },
    /// A connection could not be made.
    Unreachable { replica: usize },
    /// A client asks.
    Request { client: u64, transfer: Transfer },
}

/// What is to be done.
#[derive(Debug)]
pub enum Output {
    /// Send a line to a replica.
    Send { replica: usize, connection: u64, line: String },
    /// End a connection.
    Cut { replica: usize, connection: u64 },
    /// The one reply to a client.
    Reply { client: u64, reply: Reply },
    /// Something worth reading.
    Note(String),
}

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reply {
    /// Applied, and durable on a majority.
    Done(Balances),
    /// Certainly never applied, now or later.
    Refused(&'static str),
    /// Nobody knows: the connection is closed without a word.
    Unknown,
}

/// The coordinator.
#[derive(Debug)]
pub struct Sequencer {
    settings: Settings,
    links: Vec<Link>,
    phase: Phase,
    /// The number under which this coordinator speaks; with `highest_seen`, ever growing.
    incarnation: u64,
    highest_seen: u64,
    rounds_lost: u32,
    log: Log,
    /// The state after `commit` entries.
    bank: Bank,
    /// Who are members at the end of the log, committed or not.
    members: Members,
    commit: u64,
    clients: Clients,
    noted: (u64, Duration),
    out: Vec<Output>,
    /// Only for [`Bug::StaleRead`]: clients that wait for a replica's word, by replica.
    reads: Vec<VecDeque<u64>>,
}

impl Sequencer {
    /// A coordinator that knows nothing yet.
    pub fn new(replicas: usize, settings: Settings) -> Self {
        Self {
            settings,
            links: (0..replicas).map(|_| Link::default()).collect(),
            phase: Phase::Resting { until: Duration::ZERO },
            incarnation: 0,
            highest_seen: 0,
            rounds_lost: 0,
            log: Log::default(),
            bank: Bank::default(),
            members: Members::default(),
            commit: 0,
            clients: Clients::default(),
            noted: (0, Duration::ZERO),
            out: Vec::new(),
            reads: vec![VecDeque::new(); replicas],
        }
    }

    /// More than half, so that any two majorities share a replica.
    fn majority(&self) -> usize {
        let more_than_half = self.links.len() / 2 + 1;
        if Bug::Minority.is_planted() { (self.links.len() / 2).max(1) } else { more_than_half }
    }

    /// Takes one event. What follows from it is done by [`Sequencer::flush`], so that a burst of
    /// events becomes one batch.
    pub fn handle(&mut self, event: Event, now: Duration) {
        match event {
            Event::Connected { replica, connection } => {
                // The end of an earlier connection may be told late, or never.
                self.restart_if_source(replica, now);
                self.abandon_reads(replica);
                self.links[replica].connected(connection, now);
                self.greet(replica, now);
            }
            Event::Line { replica, connection, text } => {
                if self.links[replica].is_current(connection) {
                    self.take_line(replica, connection, &text, now);
                }
            }
            Event::Lost { replica, connection } => {
                if self.links[replica].is_current(connection) {
                    self.lose(replica, now);
                }
            }
            Event::Unreachable { replica } => self.links[replica].contact = Contact::Failed,
            Event::Request { client, transfer } if bugs::is_for_a_replica(&transfer) => {
                self.ask_a_replica(client, &transfer, now);
            }
            Event::Request { client, transfer } => {
                self.clients.arrive(client, now, transfer);
            }
        }
    }

    /// Does everything that is due. Call after events, and every few milliseconds.
    pub fn flush(&mut self, now: Moment) -> Vec<Output> {
        self.drop_hopeless_links(now.elapsed);
        self.start_round_when_due(now.elapsed);
        self.admit(now);
        self.clients.expire(now.elapsed, &self.settings, &mut self.out);
        self.replicate(now.elapsed);
        self.note_changes(now.elapsed);
        std::mem::take(&mut self.out)
    }

    /// Requests get a place in the log only while a majority answers; else they wait a little, or
    /// are refused where waiting is in vain.
    fn admit(&mut self, now: Moment) {
        let settings = &self.settings;
        let count = |is: fn(&Link, Duration, &Settings) -> bool| {
            self.links.iter().filter(|link| is(link, now.elapsed, settings)).count()
        };
        let majority = self.majority();
        if count(Link::is_unreachable) > self.links.len() - majority {
            self.clients.refuse_waiting("no majority of replicas is reachable", &mut self.out);
        } else if self.phase.is_leading() && self.can_commit(now.elapsed) {
            self.place_waiting(now.unix_seconds);
        }
    }

    /// A majority of members answers, or everybody does.
    fn can_commit(&self, now: Duration) -> bool {
        let reachable: Vec<&Link> =
            self.links.iter().filter(|link| link.is_reachable(now, &self.settings)).collect();
        let votes = reachable.iter().filter(|link| link.voice == Voice::Vote).count();
        votes >= self.majority() || reachable.len() == self.links.len()
    }

    fn take_line(&mut self, replica: usize, connection: u64, text: &str, now: Duration) {
        self.links[replica].answered(now, &self.settings);
        match FromReplica::try_from(text) {
            Ok(answer) => self.take_answer(replica, answer, now),
            Err(error) => {
                self.out.push(Output::Note(format!("{}: not an answer: {error}", name(replica))));
                self.cut(replica, connection, now);
            }
        }
    }

    fn take_answer(&mut self, replica: usize, answer: FromReplica<'static>, now: Duration) {
        match answer {
            FromReplica::Fenced { promised } => self.fenced(replica, promised, now),
            FromReplica::Promised { incarnation, last, life, standing, members } => {
                let grant = Grant { last, life, standing, members: members.into_owned() };
                self.granted(replica, incarnation, grant, now);
            }
            FromReplica::Entries { incarnation, entries } => {
                self.fetched_entries(replica, incarnation, entries.into_owned(), now);
            }
            FromReplica::State { incarnation, last, bank } => {
                self.fetched_state(replica, incarnation, last, bank.into_owned(), now);
            }
            FromReplica::Appended { incarnation, index } => self.appended(replica, incarnation, index),
            FromReplica::Copied { incarnation, index, life } => {
                self.copied(replica, incarnation, index, life);
            }
            FromReplica::Mismatch { incarnation, commit } => self.mismatched(replica, incarnation, commit),
            FromReplica::Balances(balances) => self.replica_read(replica, balances),
        }
    }

    fn drop_hopeless_links(&mut self, now: Duration) {
        for replica in 0..self.links.len() {
            if !self.links[replica].is_hopeless(now, &self.settings) {
                continue;
            }
            self.links[replica].silences += 1;
            if let Some(id) = self.links[replica].connection().map(|connection| connection.id) {
                self.cut(replica, id, now);
            }
        }
    }

    fn cut(&mut self, replica: usize, connection: u64, now: Duration) {
        self.out.push(Output::Cut { replica, connection });
        self.lose(replica, now);
    }

    fn lose(&mut self, replica: usize, now: Duration) {
        self.abandon_reads(replica);
        self.links[replica].lost();
        self.restart_if_source(replica, now);
    }

    fn send(&mut self, replica: usize, message: &ToReplica<'_>, now: Duration) {
        self.send_line(replica, message.to_string(), now);
    }

    fn send_line(&mut self, replica: usize, line: String, now: Duration) {
        let link = &mut self.links[replica];
        if let Some(connection) = link.connection().map(|connection| connection.id) {
            link.sent(line.len(), now);
            self.out.push(Output::Send { replica, connection, line });
        }
    }

    /// Says what changed, seldom enough to be read.
    fn note_changes(&mut self, now: Duration) {
        for (replica, link) in self.links.iter_mut().enumerate() {
            let state = match link.is_reachable(now, &self.settings) {
                true => Some(true),
                false if link.is_unreachable(now, &self.settings) => Some(false),
                false => None,
            };
            if state.is_some() && state != link.reported_reachable {
                link.reported_reachable = state;
                let word = if state == Some(true) { "answers" } else { "is unreachable" };
                self.out.push(Output::Note(format!("{} {word}", name(replica))));
            }
        }
        if self.commit != self.noted.0 && now.saturating_sub(self.noted.1) >= NOTE_EVERY {
            self.noted = (self.commit, now);
            self.out.push(Output::Note(format!("position {} committed", self.commit)));
        }
    }
}

/// What the user calls it: the first port on the command line is replica 1.
fn name(replica: usize) -> String {
    format!("replica {}", replica + 1)
}
