//! The checker against brute force, and the properties that must hold of it.

#[allow(dead_code, reason = "benchmarks use the rest")]
mod big;
mod online;
mod oracle;
mod small;

use std::time::Duration;

use rsm_check::checker::linearizability::{Budget, Outcome, check};
use rsm_check::checker::verify;
use rsm_check::history::{Call, Observed};
use small::{Case, case};

fn budget() -> Budget {
    Budget { time: Duration::from_secs(20), memory: 1 << 30 }
}

/// The verdict as a boolean; anything wrong with it is an error in words.
fn judged(case: &Case) -> Result<bool, String> {
    match check(&case.history, &case.model, &case.finals, &budget()) {
        Outcome::Linearizable { witness } => {
            verify::witness(&case.history, &case.model, &case.finals, &witness).map(|()| true)
        }
        Outcome::Violation(violation) => {
            if violation.reasons.is_empty() {
                Err("a violation without a reason".into())
            } else {
                Ok(false)
            }
        }
        Outcome::Undecided { reason, .. } => Err(format!("undecided: {reason}")),
    }
}

/// Compares `count` random histories from `first` on; says how many were wrong ones.
fn compare(first: u64, count: u64, most: u64) -> u64 {
    let mut violations = 0;
    for seed in first..first + count {
        let case = case(seed, most);
        let Some(truth) = oracle::linearizable(&case.history, &case.model, &case.finals, 3_000_000) else {
            continue;
        };
        assert!(truth || !case.right, "seed {seed}: the generator is wrong");
        let verdict = judged(&case);
        assert_eq!(verdict, Ok(truth), "seed {seed}, most {most}: {case:#?}");
        violations += u64::from(!truth);
    }
    violations
}

#[test]
fn small_histories_agree_with_brute_force() {
    let violations = compare(0, 6_000, 6) + compare(1_000_000, 4_000, 10);
    assert!((2_000..8_000).contains(&violations), "{violations} of 10000 are violations: no even mix");
}

#[test]
#[ignore = "minutes; run it in release: cargo test --release --test linearizability -- --ignored"]
fn very_many_small_histories_agree_with_brute_force() {
    let count = std::env::var("RSM_CHECK_CASES").ok().and_then(|n| n.parse().ok()).unwrap_or(200_000);
    let first = std::env::var("RSM_CHECK_SEED").ok().and_then(|n| n.parse().ok()).unwrap_or(10_000_000);
    let short = compare(first, count / 2, 7);
    let long = compare(first + count, count - count / 2, 10);
    eprintln!("{count} histories compared, {} violations among them", short + long);
}

#[test]
fn names_processes_and_times_do_not_matter() {
    for seed in 500_000..501_000 {
        let plain = case(seed, 8);
        let mut other = plain.clone();
        let accounts = other.history.accounts.len() as u32;
        let turn = |id: &mut rsm_check::history::AccountId| id.0 = (id.0 + 1) % accounts;
        other.history.accounts.rotate_right(1);
        for operation in &mut other.history.operations {
            operation.process = 1_000_000 - operation.process;
            operation.invoked += 77;
            operation.invoke += 5;
            if let Call::Transfer { from, to, .. } = &mut operation.call {
                turn(from);
                turn(to);
            }
            if let Some(completion) = &mut operation.completion {
                completion.time += 77;
                completion.index += 5;
                if let Observed::Balances(seen) = &mut completion.observed {
                    seen.iter_mut().for_each(|(account, _)| turn(account));
                }
            }
        }
        assert_eq!(judged(&plain), judged(&other), "seed {seed}");
    }
}
