//! What the world saw, and whether it makes sense: the oracle of the simulation.
//!
//! It reads the lines that coordinators send, so it knows every entry that ever existed and what
//! each one follows; at the end it walks back from the last committed one and compares replies and
//! files with a sequential model. It must not look inside replicas or coordinators.

use std::collections::{BTreeMap, BTreeSet};

use crate::reference::bank::{Balances, Bank};
use crate::reference::entry::{Command, Entry, Position};
use crate::reference::message::ToReplica;
use crate::sequencer::Reply;

/// A client's request, as its client saw it.
#[derive(Debug)]
pub struct Asked {
    /// When it was sent.
    pub invoked: u64,
    /// How it ended, and when; nothing if its coordinator died.
    pub ended: Option<(u64, Reply)>,
}

/// Everything observable.
#[derive(Debug, Default)]
pub struct Witness {
    /// Requests by number; request 7 names the account `u7`, as no other does.
    pub asked: BTreeMap<u64, Asked>,
    /// Every data file that was ever to be seen.
    pub files: BTreeSet<String>,
    entries: BTreeMap<Position, (Entry, Position)>,
    states: Vec<(Position, Bank)>,
    /// The end of the log and the commit index, as the latest message named them.
    pub latest: (Position, u64),
}

impl Witness {
    /// A coordinator sent this.
    pub fn overhear(&mut self, line: &str) {
        match ToReplica::try_from(line).expect("a coordinator speaks its protocol") {
            ToReplica::Append { previous, commit, entries, .. } => {
                let mut place = previous;
                for entry in entries.iter() {
                    place = self.learn(entry, place);
                }
                self.latest = (place, commit);
            }
            ToReplica::Install { last, bank, .. } => self.states.push((last, bank.into_owned())),
            ToReplica::Promise { .. } | ToReplica::Fetch { .. } | ToReplica::Read { .. } => {}
        }
    }

    /// Same place, same incarnation: same entry, same predecessor. Forever.
    fn learn(&mut self, entry: &Entry, follows: Position) -> Position {
        let place = Position { incarnation: entry.incarnation, index: follows.index + 1 };
        let known = self.entries.entry(place).or_insert_with(|| (entry.clone(), follows));
        assert_eq!(*known, (entry.clone(), follows), "two entries at {place:?}");
        place
    }

    /// Judges everything, given what the files say at the end.
    pub fn judge(&self, files: &[String]) {
        let history = self.committed_history();
        let mut banks = vec![Bank::default()];
        let mut results: BTreeMap<u64, Vec<(usize, Balances)>> = BTreeMap::new();
        for (index, entry) in history.iter().enumerate() {
            let mut bank = banks[index].clone();
            if let (Some(balances), Some(id)) = (bank.apply(&entry.command), request_of(entry)) {
                results.entry(id).or_default().push((index, balances));
            }
            banks.push(bank);
        }
        self.judge_replies(&results);
        self.judge_order(&history);
        self.judge_states(&banks, files);
    }

    fn committed_history(&self) -> Vec<Entry> {
        let (mut place, commit) = self.latest;
        assert_eq!(place.index, commit, "the log ends in something that is not committed");
        let mut history = Vec::new();
        while place.index > 0 {
            let (entry, follows) = &self.entries[&place];
            history.push(entry.clone());
            place = *follows;
        }
        history.reverse();
        history
    }

    fn judge_replies(&self, results: &BTreeMap<u64, Vec<(usize, Balances)>>) {
        for (id, asked) in &self.asked {
            let applied = results.get(id).map_or(&[][..], Vec::as_slice);
            match asked.ended {
                Some((_, Reply::Done(balances))) => {
                    assert_eq!(applied.len(), 1, "acknowledged request {id} applied {applied:?}");
                    assert_eq!(applied[0].1, balances, "reply to request {id}");
                }
                Some((_, Reply::Refused(_))) => assert!(applied.is_empty(), "refused {id} was applied"),
                Some((_, Reply::Unknown)) | None => assert!(applied.len() <= 1, "{id} applied twice"),
            }
        }
    }

    /// Nothing stands before what was acknowledged before it was asked for.
    fn judge_order(&self, history: &[Entry]) {
        let mut earliest_reply_after = u64::MAX;
        for id in history.iter().rev().filter_map(request_of) {
            let asked = &self.asked[&id];
            assert!(earliest_reply_after >= asked.invoked, "request {id} stands too early");
            if let Some((at, Reply::Done(_))) = asked.ended {
                earliest_reply_after = earliest_reply_after.min(at);
            }
        }
    }

    fn judge_states(&self, banks: &[Bank], files: &[String]) {
        let last = banks.last().map(Bank::to_string).unwrap_or_default();
        assert!(files.iter().all(|file| *file == last), "final files differ: {files:#?} / {last}");
        let lawful: BTreeSet<String> = banks.iter().map(Bank::to_string).collect();
        for file in &self.files {
            assert!(lawful.contains(file), "a file showed what was never committed: {file}");
        }
        for (place, bank) in &self.states {
            let index = usize::try_from(place.index).expect("an index");
            assert_eq!(banks.get(index), Some(bank), "state sent at {place:?}");
        }
    }
}

fn request_of(entry: &Entry) -> Option<u64> {
    let Command::Transfer { transfer, .. } = &entry.command else { return None };
    let name = [&transfer.from, &transfer.to].into_iter().find_map(|name| name.strip_prefix('u'))?;
    name.parse().ok()
}
