//! What the coordinator knows of one replica: the connection, and how far its log agrees.
//!
//! Every message gets one answer, so counting them tells a silent replica from an idle one. It must
//! not know other replicas, nor decide anything about the order.

use std::time::Duration;

use super::Settings;
use crate::reference::entry::Position;
use crate::reference::members::{Life, Members};
use crate::reference::message::Standing;

/// Slowest link that is still worth keeping: a message may take this much longer per byte.
const BYTES_PER_SECOND: u32 = 100_000;

/// Whether the replica can be talked to.
#[derive(Debug, Default)]
pub enum Contact {
    /// Not known: never tried yet, or a good connection was just lost.
    #[default]
    Unknown,
    /// The latest attempt failed, or was cut before a single answer.
    Failed,
    /// There is a connection.
    Connected(Connection),
}

/// What a replica promised with, and as whom.
#[derive(Clone, Debug)]
pub struct Grant {
    /// The end of its log.
    pub last: Position,
    /// Its life.
    pub life: Life,
    /// What it knows of itself.
    pub standing: Standing,
    /// Who are members at the end of its log.
    pub members: Members,
}

impl Grant {
    /// Whether its log names its life, committed or not. If not, it may have forgotten something.
    pub fn is_named(&self) -> bool {
        self.standing == Standing::Member || self.members.include(self.life)
    }
}

/// Whether a replica has a vote. One that lost its files has none until the others agreed on it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Voice {
    /// It has not said.
    #[default]
    Unknown,
    /// A member.
    Vote,
    /// Not yet, under this life.
    None(Life),
}

/// One connection to the replica.
#[derive(Debug)]
pub struct Connection {
    /// The caller's number for it; events of an earlier one are ignored.
    pub id: u64,
    /// An answer came on it. A proxy accepts whether or not the replica lives.
    pub proven: bool,
    unanswered: usize,
    silent_since: Option<Duration>,
    extra_patience: Duration,
    last_sent: Duration,
}

/// One replica as the coordinator sees it.
#[derive(Debug, Default)]
pub struct Link {
    /// Whether it can be talked to.
    pub contact: Contact,
    /// What it answered on this connection, if it promised the current incarnation.
    pub granted: Option<Grant>,
    /// The index to send next.
    pub next: u64,
    /// Its log is known to agree, durably, up to here, and it has a vote.
    pub matched: u64,
    /// The same of a replica that has none.
    pub copied: u64,
    /// Whether the process at the other end of this connection has a vote, once it said so.
    pub voice: Voice,
    /// `next` is certain to fit, so batches may follow each other without waiting.
    pub streaming: bool,
    /// The commit index it was last told.
    pub told_commit: u64,
    /// Consecutive connections that were given up as silent.
    pub silences: u32,
    /// What was last said about it to the user.
    pub reported_reachable: Option<bool>,
}

impl Link {
    /// A connection was made; nothing learned on an earlier one counts.
    pub fn connected(&mut self, id: u64, now: Duration) {
        self.forget_progress();
        self.voice = Voice::Unknown;
        self.contact = Contact::Connected(Connection {
            id,
            proven: false,
            unanswered: 0,
            silent_since: None,
            extra_patience: Duration::ZERO,
            last_sent: now,
        });
    }

    /// The connection is gone. One that never brought an answer counts as a failed attempt.
    pub fn lost(&mut self) {
        self.forget_progress();
        self.voice = Voice::Unknown;
        let proven = self.connection().is_some_and(|connection| connection.proven);
        self.contact = if proven { Contact::Unknown } else { Contact::Failed };
    }

    /// What an incarnation learned about this replica ends with it.
    pub fn forget_progress(&mut self) {
        self.granted = None;
        self.matched = 0;
        self.copied = 0;
        self.streaming = false;
        self.told_commit = 0;
    }

    /// The connection, if there is one.
    pub fn connection(&self) -> Option<&Connection> {
        match &self.contact {
            Contact::Connected(connection) => Some(connection),
            Contact::Unknown | Contact::Failed => None,
        }
    }

    /// Whether an event belongs to the present connection.
    pub fn is_current(&self, id: u64) -> bool {
        self.connection().is_some_and(|connection| connection.id == id)
    }

    /// Up to here its log agrees, whether or not its word counts.
    pub fn held(&self) -> u64 {
        self.matched.max(self.copied)
    }

    /// Messages under way; none without a connection.
    pub fn unanswered(&self) -> usize {
        self.connection().map_or(0, |connection| connection.unanswered)
    }

    /// Notes a message of this size.
    pub fn sent(&mut self, bytes: usize, now: Duration) {
        if let Contact::Connected(connection) = &mut self.contact {
            connection.unanswered += 1;
            connection.last_sent = now;
            connection.silent_since.get_or_insert(now);
            let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
            let needed = Duration::from_secs(1) * (bytes / 1000) / (BYTES_PER_SECOND / 1000);
            connection.extra_patience = connection.extra_patience.max(needed);
        }
    }

    /// Notes an answer.
    pub fn answered(&mut self, now: Duration, settings: &Settings) {
        if self.silence(now) < settings.give_up / 2 {
            self.silences = 0;
        }
        if let Contact::Connected(connection) = &mut self.contact {
            connection.proven = true;
            connection.unanswered = connection.unanswered.saturating_sub(1);
            connection.silent_since = (connection.unanswered > 0).then_some(now);
            if connection.unanswered == 0 {
                connection.extra_patience = Duration::ZERO;
            }
        }
    }

    /// How long an answer has been missing.
    fn silence(&self, now: Duration) -> Duration {
        let since = self.connection().and_then(|connection| connection.silent_since);
        since.map_or(Duration::ZERO, |since| now.saturating_sub(since))
    }

    /// How long ago anything was sent.
    pub fn idle(&self, now: Duration) -> Duration {
        self.connection().map_or(Duration::ZERO, |c| now.saturating_sub(c.last_sent))
    }

    /// It answers.
    pub fn is_reachable(&self, now: Duration, settings: &Settings) -> bool {
        let proven = self.connection().is_some_and(|connection| connection.proven);
        proven && self.silence(now) < settings.silence
    }

    /// It is known not to answer. Between the two lies a connection still on trial.
    pub fn is_unreachable(&self, now: Duration, settings: &Settings) -> bool {
        match self.contact {
            Contact::Unknown => false,
            Contact::Failed => true,
            Contact::Connected(_) => self.silence(now) >= settings.silence,
        }
    }

    /// So long silent that a new connection is the better bet: a byte may be lost for good, and
    /// then this one will never speak again. Patience grows, so that a slow link gets through, and stays
    /// while answers are slow.
    pub fn is_hopeless(&self, now: Duration, settings: &Settings) -> bool {
        let extra = self.connection().map_or(Duration::ZERO, |c| c.extra_patience);
        let patience = settings.give_up * (1 + self.silences.min(2));
        self.silence(now) > patience + extra
    }
}
