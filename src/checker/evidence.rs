//! From what the engines claim to a proof that names the history that it is about.
//!
//! Believes the claim as it is: [`crate::verifier`] does not. Finds nothing.

use super::bank_engine::last_reads;
use crate::history::fingerprint;
use crate::history::untyped::UntypedHistory;
use crate::proof::{About, Claim, Proof};
use crate::recorded::Recorded;

/// What a proof about this bank must be about.
pub fn about(recorded: &Recorded) -> About {
    let finals = last_reads(recorded).0;
    About {
        operations: recorded.history.operations.len(),
        finals: finals.len(),
        fingerprint: fingerprint::of_bank(&recorded.history, finals.iter().map(|file| &file.file)),
    }
}

/// What a proof about this history of another model must be about.
pub fn about_other(history: &UntypedHistory) -> About {
    About { operations: history.operations.len(), finals: 0, fingerprint: fingerprint::of_untyped(history) }
}

/// The proof of a claim about a bank.
pub fn proof(recorded: &Recorded, claim: Claim) -> Proof {
    Proof::new(&recorded.workload.model, about(recorded), claim)
}

/// The proof of a claim about a history of another model, `model` as `--model` takes it.
pub fn proof_other(model: &str, history: &UntypedHistory, claim: Claim) -> Proof {
    Proof::new(model, about_other(history), claim)
}
