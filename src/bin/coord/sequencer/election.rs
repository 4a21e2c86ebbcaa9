//! How a coordinator becomes the one that is followed, and learns what its predecessors did.
//!
//! Promises of a majority, then the newest log among them, then an entry of its own. It must not
//! know clients' requests beyond leaving their fate open when its time is over.

use std::time::Duration;

use super::link::{Grant, Voice};
use super::{Output, Sequencer, name};
use crate::reference::bank::Bank;
use crate::reference::bug::Bug;
use crate::reference::entry::{Command, Entry, Position};
use crate::reference::log::Log;
use crate::reference::members::Members;
use crate::reference::message::{Standing, ToReplica};

/// Where a coordinator stands.
#[derive(Debug)]
pub enum Phase {
    /// Waits before it asks (again).
    Resting { until: Duration },
    /// Asks everybody to follow it.
    Asking,
    /// Has a majority's promise; copies the newest log among them, up to `target`.
    Fetching { source: usize, target: Position },
    /// Is followed. `first` is its own first entry: once that is committed, so is all before it.
    Leading { first: u64 },
}

impl Phase {
    /// Whether entries may be added.
    pub fn is_leading(&self) -> bool {
        matches!(self, Self::Leading { .. })
    }
}

impl Sequencer {
    /// Says the first word on a new connection.
    pub(super) fn greet(&mut self, replica: usize, now: Duration) {
        match self.phase {
            Phase::Asking => {
                let incarnation = self.incarnation;
                self.send(replica, &ToReplica::Promise { incarnation }, now);
            }
            Phase::Leading { .. } => self.links[replica].next = self.log.last().index,
            Phase::Resting { .. } | Phase::Fetching { .. } => {}
        }
    }

    pub(super) fn start_round_when_due(&mut self, now: Duration) {
        if !matches!(self.phase, Phase::Resting { until } if until <= now) {
            return;
        }
        self.highest_seen += 1;
        self.incarnation = self.highest_seen;
        self.phase = Phase::Asking;
        for replica in 0..self.links.len() {
            self.links[replica].forget_progress();
            self.greet(replica, now);
        }
    }

    pub(super) fn granted(&mut self, replica: usize, incarnation: u64, grant: Grant, now: Duration) {
        if incarnation != self.incarnation {
            return;
        }
        self.links[replica].voice = match grant.standing {
            Standing::Member => Voice::Vote,
            Standing::New | Standing::Forgetful => Voice::None(grant.life),
        };
        match self.phase {
            Phase::Asking => {
                self.links[replica].granted = Some(grant);
                self.take_over_newest_log(now);
            }
            Phase::Leading { .. } => self.links[replica].next = self.log.last().index,
            Phase::Resting { .. } | Phase::Fetching { .. } => {}
        }
    }

    /// Any entry that may ever have been committed is in the newest log of any majority of members:
    /// newest by incarnation first, by length second (Raft 5.4.1).
    fn take_over_newest_log(&mut self, now: Duration) {
        let Some((source, newest)) = self.newest_grant() else { return };
        let (target, members) = (newest.last, newest.members.clone());
        if self.is_elected(&members) {
            self.phase = Phase::Fetching { source, target };
            (self.log, self.bank, self.commit) = (Log::default(), Bank::default(), 0);
            self.members = members;
            self.fetch_more(now);
        }
    }

    fn newest_grant(&self) -> Option<(usize, &Grant)> {
        let grants = self.links.iter().enumerate().filter_map(|(i, link)| Some((i, link.granted.as_ref()?)));
        match Bug::LongestLog.is_planted() {
            false => grants.max_by_key(|(i, grant)| (grant.last, *i)),
            true => grants.max_by_key(|(_, grant)| grant.last.index),
        }
    }

    /// Whether those who promised are enough to go on from the newest of their logs, at whose end
    /// these are `members`: a majority of members, or everybody. A member's promise that was given
    /// in an earlier life counts for nothing: that life is over, and what it promised forgotten.
    fn is_elected(&self, members: &Members) -> bool {
        let grants =
            self.links.iter().zip(1..).filter_map(|(link, number)| Some((number, link.granted.as_ref()?)));
        let lives: Vec<&Grant> = grants
            .filter(|(number, grant)| !grant.is_named() || members.is(*number, grant.life))
            .map(|(_, grant)| grant)
            .collect();
        let votes = lives.iter().filter(|grant| grant.standing == Standing::Member).count();
        votes >= self.majority() || (lives.len() == self.links.len() && self.can_begin(&lives))
    }

    /// Everybody promised, and too few of them are known to be members. That is how it begins, with
    /// new replicas; and it may be that those who did begin, or came back, were not told. But where
    /// more forgot than may, what they forgot is nowhere: then nobody leads.
    fn can_begin(&self, lives: &[&Grant]) -> bool {
        let count = |is: fn(&Grant) -> bool| lives.iter().filter(|grant| is(grant)).count();
        let may_forget = self.links.len() - self.majority();
        let none_began = count(|grant| grant.standing == Standing::Member) == 0;
        let forgot = count(|grant| grant.standing == Standing::Forgetful);
        count(|grant| !grant.is_named()) <= may_forget || (none_began && forgot <= may_forget)
    }

    fn fetch_more(&mut self, now: Duration) {
        let Phase::Fetching { source, target } = self.phase else { return };
        if self.log.last() == target {
            return self.lead(target, now);
        }
        let (incarnation, after) = (self.incarnation, self.log.last().index);
        self.send(source, &ToReplica::Fetch { incarnation, after }, now);
    }

    fn is_fetching_from(&self, replica: usize, incarnation: u64) -> bool {
        let source = matches!(self.phase, Phase::Fetching { source, .. } if source == replica);
        source && incarnation == self.incarnation
    }

    pub(super) fn fetched_entries(
        &mut self,
        replica: usize,
        incarnation: u64,
        entries: Vec<Entry>,
        now: Duration,
    ) {
        if !self.is_fetching_from(replica, incarnation) {
            return;
        }
        if entries.is_empty() {
            return self.restart_if_source(replica, now);
        }
        self.log.replace_after(self.log.last().index, entries);
        self.fetch_more(now);
    }

    pub(super) fn fetched_state(
        &mut self,
        replica: usize,
        incarnation: u64,
        last: Position,
        bank: Bank,
        now: Duration,
    ) {
        if !self.is_fetching_from(replica, incarnation) {
            return;
        }
        if last.index <= self.log.last().index {
            return self.restart_if_source(replica, now);
        }
        self.log = Log::starting_after(last);
        (self.bank, self.commit) = (bank, last.index);
        self.fetch_more(now);
    }

    /// The log is complete. An entry of its own comes first: predecessors' entries are never
    /// counted by themselves (Raft 5.4.2).
    fn lead(&mut self, target: Position, now: Duration) {
        let entry = Entry { incarnation: self.incarnation, command: Command::Noop };
        self.log.replace_after(target.index, [entry]);
        self.phase = Phase::Leading { first: target.index + 1 };
        for link in &mut self.links {
            let known = link.granted.take().map_or(target.index, |grant| grant.last.index.min(target.index));
            link.forget_progress();
            link.next = known + 1;
        }
        self.replicate(now);
    }

    /// Own first entry committed: from here on this coordinator knows all there is to know.
    pub(super) fn note_leadership(&mut self, committed: u64) {
        let Phase::Leading { first } = self.phase else { return };
        if committed >= first && self.commit < first {
            self.rounds_lost = 0;
            let incarnation = self.incarnation;
            self.out
                .push(Output::Note(format!("ready: incarnation {incarnation} leads from position {first}")));
        }
    }

    /// A replica follows somebody else, perhaps only a late word of a dead coordinator.
    pub(super) fn fenced(&mut self, replica: usize, promised: u64, now: Duration) {
        self.highest_seen = self.highest_seen.max(promised);
        match self.phase {
            Phase::Leading { .. } | Phase::Fetching { .. } if promised > self.incarnation => {
                self.rounds_lost = self.rounds_lost.max(1);
                self.out.push(Output::Note(format!(
                    "fenced: {} promised incarnation {promised}, ours is {}; asking again",
                    name(replica),
                    self.incarnation
                )));
                self.rest(now);
            }
            Phase::Asking if promised >= self.incarnation => self.rest(now),
            // Our own promise, granted on a connection that was lost before we heard.
            Phase::Leading { .. } if promised == self.incarnation => {
                self.links[replica].next = self.log.last().index;
            }
            _ => {}
        }
    }

    /// A fetch that cannot be finished is begun anew, with new promises.
    pub(super) fn restart_if_source(&mut self, replica: usize, now: Duration) {
        if matches!(self.phase, Phase::Fetching { source, .. } if source == replica) {
            self.rounds_lost = self.rounds_lost.max(1);
            self.rest(now);
        }
    }

    /// Steps back. The first time there is nothing to wait for: a new coordinator learns so what
    /// was promised before it.
    fn rest(&mut self, now: Duration) {
        let (shortest, longest) = self.settings.backoff;
        let doublings = self.rounds_lost.saturating_sub(1).min(16);
        let delay = if self.rounds_lost == 0 { Duration::ZERO } else { shortest * (1 << doublings) };
        self.rounds_lost = self.rounds_lost.saturating_add(1);
        self.phase = Phase::Resting { until: now + delay.min(longest) };
        self.clients.abandon_placed(&mut self.out);
    }
}
