//! Everything that is decided from the seed before anything starts.
//!
//! The same workload and seed give the same bytes, debug or release, today and
//! on another machine. Must not look at a clock, at the machine or at the run.

pub mod bad;
pub mod operations;
mod quiet;
mod rhythm;
pub mod rng;
mod scenes;
pub mod schedule;

use serde::Serialize;

use crate::op::Transfer;
use crate::workload::Workload;
pub use bad::BadRequests;
pub use operations::Operations;
pub use schedule::{Begins, Parameters, PlannedFault};

/// How many operations of each client a printed plan shows.
const SHOWN: usize = 5;

/// What a run will do.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Plan {
    /// Seed of every draw.
    pub seed: u64,
    /// The workload as used: every default filled in.
    pub workload: Workload,
    /// Every action of the nemesis.
    pub faults: Vec<PlannedFault>,
    /// The first operations of each client.
    pub first_operations: Vec<ClientPlan>,
}

/// The first operations of one client.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ClientPlan {
    /// Number of the client, from 0; its first process number too.
    pub client: u32,
    /// In order.
    pub operations: Vec<Transfer>,
}

impl Plan {
    /// Draws the plan of `workload` for `seed`.
    pub fn draw(workload: Workload, seed: u64) -> Self {
        let workload = Workload { seed: Some(seed), ..workload };
        let first_operations = (0..workload.clients.count)
            .map(|client| ClientPlan {
                client,
                operations: Operations::new(&workload, seed, client).take(SHOWN).collect(),
            })
            .collect();
        Self { seed, faults: schedule::draw(&workload, seed), first_operations, workload }
    }

    /// As `rsm-check plan` prints it.
    pub fn to_json(&self) -> String {
        // Serialising plain data to memory cannot fail: keys are strings.
        serde_json::to_string_pretty(self).unwrap_or_default() + "\n"
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workload::parse;

    #[test]
    fn the_same_seed_plans_the_same_bytes_and_another_seed_does_not() {
        let text = r#"{"name":"x","duration":"20s","clients":{"skew":0.9},
            "nemesis":[{"fault":"kill","target":"any","every":"3s"},{"fault":"delay","target":"all","every":"3s","latency":"20ms"}]}"#;
        let plan = |seed| Plan::draw(parse("w.json", text).unwrap(), seed).to_json();
        assert_eq!(plan(1), plan(1));
        assert_ne!(plan(1), plan(2));
    }
}
