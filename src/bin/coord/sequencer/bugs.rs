//! What a coordinator does only where a bug is planted (`reference::bug`).
//!
//! Kept apart so that the rules of the right coordinator can be read without it. It must not be
//! reached unless a bug is planted: every function here asks first, or is called by who did.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::{Output, Reply, Sequencer};
use crate::reference::bank::{Balances, INITIAL};
use crate::reference::bug::Bug;
use crate::reference::entry::{Command, Entry};
use crate::reference::message::ToReplica;
use crate::reference::transfer::Transfer;

/// [`Bug::NoTotalOrder`]: what goes out together, each replica gets in another order.
pub(super) fn order_for(replica: usize, incarnation: u64, entries: &[Entry]) -> Cow<'_, [Entry]> {
    let own = entries.iter().all(|entry| entry.incarnation == incarnation);
    if !Bug::NoTotalOrder.is_planted() || entries.len() < 2 || !own {
        return Cow::Borrowed(entries);
    }
    let mut entries = entries.to_vec();
    let first = replica % entries.len();
    entries.rotate_left(first);
    Cow::Owned(entries)
}

/// [`Bug::StaleRead`]: a transfer of nothing needs no place in the order.
pub(super) fn is_for_a_replica(transfer: &Transfer) -> bool {
    Bug::StaleRead.is_planted() && transfer.amount == 0
}

impl Sequencer {
    /// Asks the replicas in turn, as far as they can be reached.
    pub(super) fn ask_a_replica(&mut self, client: u64, transfer: &Transfer, now: Duration) {
        let first = usize::try_from(client).unwrap_or(0);
        let mut turn = (0..self.links.len()).map(|step| (first + step) % self.links.len());
        match turn.find(|&replica| self.links[replica].is_reachable(now, &self.settings)) {
            None => self.out.push(Output::Reply { client, reply: Reply::Unknown }),
            Some(replica) => {
                let (from, to) = (transfer.from.clone(), transfer.to.clone());
                self.reads[replica].push_back(client);
                self.send(replica, &ToReplica::Read { incarnation: self.incarnation, from, to }, now);
            }
        }
    }

    /// A replica's word, in the order in which it was asked.
    pub(super) fn replica_read(&mut self, replica: usize, balances: Balances) {
        if let Some(client) = self.reads[replica].pop_front() {
            self.out.push(Output::Reply { client, reply: Reply::Done(balances) });
        }
    }

    /// The connection is gone, and with it what was asked on it.
    pub(super) fn abandon_reads(&mut self, replica: usize) {
        for client in self.reads[replica].drain(..) {
            self.out.push(Output::Reply { client, reply: Reply::Unknown });
        }
    }

    /// [`Bug::LostUpdate`]: commits the next `count` entries; two neighbours whose givers differ,
    /// and neither of which pays the other's giver, are applied at the same time.
    pub(super) fn commit_side_by_side(&mut self, count: usize) {
        let entries = self.log.after(self.commit, count).unwrap_or(&[]).to_vec();
        let mut rest = &entries[..];
        while let [first, others @ ..] = rest {
            match others.first() {
                Some(second) if look_independent(first, second) => {
                    let shared = Mutex::new(std::mem::take(&mut self.bank.accounts));
                    // A thread takes longer to start, or to wake up, than an entry to be applied.
                    let ready = AtomicUsize::new(0);
                    let apply = |entry| {
                        ready.fetch_add(1, Ordering::AcqRel);
                        while ready.load(Ordering::Acquire) < 2 {
                            std::thread::yield_now();
                        }
                        apply_in_steps(&shared, entry)
                    };
                    let done = std::thread::scope(|scope| {
                        let other = scope.spawn(|| apply(second));
                        (apply(first), other.join().ok().flatten())
                    });
                    self.bank.accounts = shared.into_inner().unwrap_or_else(PoisonError::into_inner);
                    self.tell(done.0);
                    self.tell(done.1);
                    rest = &others[1..];
                }
                _ => {
                    let balances = self.bank.apply(&first.command);
                    self.tell(balances);
                    rest = others;
                }
            }
        }
    }

    fn tell(&mut self, balances: Option<Balances>) {
        self.commit += 1;
        self.clients.committed(self.commit, balances, &mut self.out);
    }
}

fn look_independent(first: &Entry, second: &Entry) -> bool {
    let (Command::Transfer { transfer: a, .. }, Command::Transfer { transfer: b, .. }) =
        (&first.command, &second.command)
    else {
        return false;
    };
    a.from != b.from && a.to != b.from && b.to != a.from && a.from != a.to && b.from != b.to
}

/// Each access is guarded; what lies between them is not.
fn apply_in_steps(accounts: &Mutex<BTreeMap<String, i64>>, entry: &Entry) -> Option<Balances> {
    let Command::Transfer { transfer, .. } = &entry.command else { return None };
    let lock = || accounts.lock().unwrap_or_else(PoisonError::into_inner);
    let balance = |name: &str| *lock().entry(name.to_owned()).or_insert(INITIAL);
    let (from, to) = (balance(&transfer.from), balance(&transfer.to));
    let computed = Instant::now();
    while computed.elapsed() < Duration::from_micros(5) {
        std::hint::spin_loop();
    }
    if from <= transfer.amount || to.checked_add(transfer.amount).is_none() {
        return Some(Balances { from, to });
    }
    let after = Balances { from: from - transfer.amount, to: to + transfer.amount };
    lock().insert(transfer.from.clone(), after.from);
    lock().insert(transfer.to.clone(), after.to);
    Some(after)
}
