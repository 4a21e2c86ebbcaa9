//! Which life of each replica has a vote.
//!
//! A replica that lost its files comes back with another life (docs/PROTOCOL.md). Plain data, part
//! of the replicated state: it changes by entries of the log alone. It must not know how a life is
//! drawn, nor count votes.

#![allow(dead_code, reason = "each program uses its part")]

use std::collections::BTreeMap;

/// What a replica calls itself from the moment on when its files are made: a random number.
pub type Life = u64;

/// The lives that count, by the replica's number on the coordinator's command line, from 1.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Members(pub BTreeMap<u64, Life>);

impl Members {
    /// From now on this life of the replica counts, and no earlier one.
    pub fn admit(&mut self, replica: u64, life: Life) {
        self.0.insert(replica, life);
    }

    /// Whether this is the life of the replica that counts.
    pub fn is(&self, replica: u64, life: Life) -> bool {
        self.0.get(&replica) == Some(&life)
    }

    /// Whether some replica's life that counts is this one: lives are unlike each other.
    pub fn include(&self, life: Life) -> bool {
        self.0.values().any(|&member| member == life)
    }
}
