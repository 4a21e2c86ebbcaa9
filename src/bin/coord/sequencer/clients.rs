//! Clients that wait, and the line between what may be refused and what may not.
//!
//! A request is `waiting` until it has a place in the log, and may be refused until then and never
//! after. It must not know why a request gets a place, or when an entry is committed.

use std::collections::VecDeque;
use std::time::Duration;

use super::{Output, Reply, Settings};
use crate::reference::bank::Balances;
use crate::reference::bug::Bug;
use crate::reference::transfer::Transfer;

#[derive(Debug)]
struct Waiting {
    client: u64,
    since: Duration,
    transfer: Transfer,
}

#[derive(Debug)]
struct Placed {
    client: u64,
    since: Duration,
    index: u64,
}

/// Clients in the order in which they came.
#[derive(Debug, Default)]
pub struct Clients {
    waiting: VecDeque<Waiting>,
    placed: VecDeque<Placed>,
}

impl Clients {
    /// A request came.
    pub fn arrive(&mut self, client: u64, since: Duration, transfer: Transfer) {
        self.waiting.push_back(Waiting { client, since, transfer });
    }

    /// Gives the request that waited longest the place `index`. From here on it has left.
    pub fn place_next(&mut self, index: u64) -> Option<Transfer> {
        let Waiting { client, since, transfer } = self.waiting.pop_front()?;
        self.placed.push_back(Placed { client, since, index });
        Some(transfer)
    }

    /// Certain: these have no place in any log.
    pub fn refuse_waiting(&mut self, reason: &'static str, out: &mut Vec<Output>) {
        for Waiting { client, .. } in self.waiting.drain(..) {
            out.push(Output::Reply { client, reply: Reply::Refused(reason) });
        }
    }

    /// The entry at `index` is committed, with this result; who waits for it hears.
    pub fn committed(&mut self, index: u64, balances: Option<Balances>, out: &mut Vec<Output>) {
        while let Some(first) = pop_if(&mut self.placed, |placed| placed.index <= index) {
            let reply = match balances {
                Some(balances) if first.index == index => Reply::Done(balances),
                _ => Reply::Unknown,
            };
            out.push(Output::Reply { client: first.client, reply });
        }
    }

    /// Nobody knows what becomes of entries that were sent.
    pub fn abandon_placed(&mut self, out: &mut Vec<Output>) {
        for Placed { client, .. } in self.placed.drain(..) {
            out.push(Output::Reply { client, reply: Reply::Unknown });
        }
    }

    /// Ends every wait that lasted too long, each in the way its state allows.
    pub fn expire(&mut self, now: Duration, settings: &Settings, out: &mut Vec<Output>) {
        let late = |since: Duration, limit| now.saturating_sub(since) >= limit;
        while let Some(first) = pop_if(&mut self.waiting, |waiting| late(waiting.since, settings.wait)) {
            let reply = Reply::Refused("no majority of replicas answered in time");
            out.push(Output::Reply { client: first.client, reply });
        }
        while let Some(first) = pop_if(&mut self.placed, |placed| late(placed.since, settings.deadline)) {
            let reply = match Bug::RefusedYetApplied.is_planted() {
                false => Reply::Unknown,
                true => Reply::Refused("no majority of replicas answered in time"),
            };
            out.push(Output::Reply { client: first.client, reply });
        }
    }
}

fn pop_if<T>(queue: &mut VecDeque<T>, due: impl Fn(&T) -> bool) -> Option<T> {
    if queue.front().is_some_and(due) { queue.pop_front() } else { None }
}
