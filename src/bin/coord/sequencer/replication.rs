//! How the replicas' logs are made to agree, and when an entry counts as committed.
//!
//! It must not know how this coordinator came to lead, nor sockets: it decides what the next line
//! to each replica is, from what that replica last said.

use std::borrow::Cow;
use std::time::Duration;

use super::link::{Link, Voice};
use super::{Output, Sequencer, bugs, name};
use crate::reference::bug::Bug;
use crate::reference::entry::{Command, Entry, Position};
use crate::reference::members::Life;
use crate::reference::message::ToReplica;

impl Sequencer {
    /// Puts waiting requests into the order, stamped with the one time that all replicas write.
    pub(super) fn place_waiting(&mut self, time: i64) {
        let incarnation = self.incarnation;
        let mut index = self.log.last().index;
        while let Some(transfer) = self.clients.place_next(index + 1) {
            let command = Command::Transfer { time, transfer };
            self.log.replace_after(index, [Entry { incarnation, command }]);
            index += 1;
        }
    }

    /// A replica without a vote gets one by an entry that names its life. It counts from the
    /// moment on when it is told that the entry is committed, which it cannot help to bring about.
    fn admit_newcomers(&mut self) {
        let mut newcomers = Vec::new();
        for (link, replica) in self.links.iter().zip(1..) {
            if let Voice::None(life) = link.voice
                && !self.members.is(replica, life)
            {
                self.members.admit(replica, life);
                newcomers.push(replica.to_string());
            }
        }
        if newcomers.is_empty() {
            return;
        }
        let (incarnation, after) = (self.incarnation, self.log.last().index);
        let entry = Entry { incarnation, command: Command::Members(self.members.clone()) };
        self.log.replace_after(after, [entry]);
        let (who, place) = (newcomers.join(", "), after + 1);
        self.out
            .push(Output::Note(format!("members from position {place} on, having been new: replica {who}")));
    }

    /// Sends every replica what it is due.
    pub(super) fn replicate(&mut self, now: Duration) {
        if !self.phase.is_leading() {
            return;
        }
        self.admit_newcomers();
        for replica in 0..self.links.len() {
            if self.links[replica].connection().is_some() {
                self.advance(replica, now);
            }
        }
        self.trim();
    }

    fn advance(&mut self, replica: usize, now: Duration) {
        let is_held = self.links[replica].next > self.log.base().index;
        if !self.links[replica].streaming || !is_held {
            // One question at a time until it is known where the logs agree.
            if self.links[replica].unanswered() == 0 {
                self.probe(replica, now);
            }
            return;
        }
        while self.links[replica].unanswered() < self.settings.window
            && self.links[replica].next <= self.log.last().index
        {
            self.append(replica, self.settings.batch, now);
        }
        if self.is_heartbeat_due(&self.links[replica], now) {
            self.append(replica, 0, now);
        }
    }

    fn probe(&mut self, replica: usize, now: Duration) {
        if self.links[replica].next <= self.log.base().index {
            self.install(replica, now);
        } else {
            self.append(replica, self.settings.batch, now);
        }
    }

    fn is_heartbeat_due(&self, link: &Link, now: Duration) -> bool {
        let idle = link.idle(now);
        let news = link.told_commit < self.commit && idle >= self.settings.commit_delay;
        (news || idle >= self.settings.heartbeat) && link.unanswered() < self.settings.window
    }

    fn append(&mut self, replica: usize, limit: usize, now: Duration) {
        let after = self.links[replica].next.saturating_sub(1);
        let (Some(previous), Some(entries)) = (self.log.position_at(after), self.log.after(after, limit))
        else {
            return;
        };
        let (incarnation, commit) = (self.incarnation, self.commit);
        let next = after + 1 + entries.len() as u64;
        let entries = bugs::order_for(replica, incarnation, entries);
        let message = ToReplica::Append { incarnation, previous, commit, entries };
        let line = message.to_string();
        self.links[replica].next = next;
        self.links[replica].told_commit = commit.min(next - 1);
        self.send_line(replica, line, now);
    }

    /// A whole state for a replica that lacks entries which are no longer held one by one.
    fn install(&mut self, replica: usize, now: Duration) {
        let Some(last) = self.log.position_at(self.commit) else { return };
        let incarnation = self.incarnation;
        let line = ToReplica::Install { incarnation, last, bank: Cow::Borrowed(&self.bank) }.to_string();
        self.links[replica].next = last.index + 1;
        self.links[replica].told_commit = last.index;
        self.out.push(Output::Note(format!("{} gets the state at position {}", name(replica), last.index)));
        self.send_line(replica, line, now);
    }

    pub(super) fn appended(&mut self, replica: usize, incarnation: u64, index: u64) {
        if incarnation != self.incarnation || !self.phase.is_leading() {
            return;
        }
        let link = &mut self.links[replica];
        link.voice = Voice::Vote;
        link.matched = link.matched.max(index);
        link.next = link.next.max(index + 1);
        link.streaming = true;
        self.count();
    }

    /// As [`Self::appended`], of a replica that has no vote.
    pub(super) fn copied(&mut self, replica: usize, incarnation: u64, index: u64, life: Life) {
        if incarnation != self.incarnation || !self.phase.is_leading() {
            return;
        }
        let link = &mut self.links[replica];
        link.voice = Voice::None(life);
        link.copied = link.copied.max(index);
        link.next = link.next.max(index + 1);
        link.streaming = true;
        self.count();
    }

    /// What the replica knows to be committed is certain to agree; start again from there.
    pub(super) fn mismatched(&mut self, replica: usize, incarnation: u64, commit: u64) {
        if incarnation == self.incarnation && self.phase.is_leading() {
            let link = &mut self.links[replica];
            link.streaming = false;
            link.next = commit.min(self.log.last().index) + 1;
        }
    }

    /// An entry is committed once a majority of members holds it durably, or everybody does, *and*
    /// it or a later one so held is of this coordinator's own incarnation (Raft 5.4.2, figure 8).
    fn count(&mut self) {
        let mut matched: Vec<u64> = self.links.iter().map(|link| link.matched).collect();
        matched.sort_unstable_by(|a, b| b.cmp(a));
        let everybody = self.links.iter().map(Link::held).min().unwrap_or(0);
        let held = matched[self.majority() - 1].max(everybody);
        let own = self.log.position_at(held).is_some_and(|p| p.incarnation == self.incarnation);
        if own && held > self.commit {
            self.note_leadership(held);
            self.commit_through(held);
        }
    }

    /// The only place where the bank moves and clients are answered, entry by entry.
    fn commit_through(&mut self, index: u64) {
        let count = (index - self.commit) as usize;
        if Bug::LostUpdate.is_planted() {
            return self.commit_side_by_side(count);
        }
        for entry in self.log.after(self.commit, count).unwrap_or(&[]) {
            self.commit += 1;
            let balances = self.bank.apply(&entry.command);
            self.clients.committed(self.commit, balances, &mut self.out);
        }
    }

    fn trim(&mut self) {
        let (Position { index: base, .. }, Position { index: last, .. }) = (self.log.base(), self.log.last());
        if last - base > 2 * self.settings.keep {
            self.log.discard_through((last - self.settings.keep).min(self.commit));
        }
    }
}
