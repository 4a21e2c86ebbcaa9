//! The checker against brute force, and the properties that must hold of it.

#[allow(dead_code, reason = "benchmarks use the rest")]
mod big;
mod cores;
mod mutate;
mod online;
mod oracle;
mod sequential;
mod sessions;
mod small;

use std::io::Read;
use std::time::Duration;

use big::{Shape, simulate};
use rsm_check::checker::linearizability::{Budget, Final, Outcome, check, closing, necessary};
use rsm_check::checker::verify;
use rsm_check::history::{Call, History, Observed};
use small::{Case, case, crowded};

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
fn compare(make: impl Fn(u64, u64) -> Case, first: u64, count: u64, most: u64) -> u64 {
    let mut violations = 0;
    for seed in first..first + count {
        let case = make(seed, most);
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
    let violations = compare(case, 0, 6_000, 6) + compare(case, 1_000_000, 4_000, 10);
    assert!((2_000..8_000).contains(&violations), "{violations} of 10000 are violations: no even mix");
}

#[test]
fn crowded_histories_agree_with_brute_force() {
    let violations = compare(crowded, 0, 6_000, 14);
    assert!((1_200..4_800).contains(&violations), "{violations} of 6000 are violations: no even mix");
}

#[test]
#[ignore = "minutes; run it in release: cargo test --release --test linearizability -- --ignored"]
fn very_many_small_histories_agree_with_brute_force() {
    let count = std::env::var("RSM_CHECK_CASES").ok().and_then(|n| n.parse().ok()).unwrap_or(200_000);
    let first = std::env::var("RSM_CHECK_SEED").ok().and_then(|n| n.parse().ok()).unwrap_or(10_000_000);
    let short = compare(case, first, count / 4, 7);
    let long = compare(case, first + count, count / 4, 10);
    let crowds = compare(crowded, first, count - count / 4 * 2, 14);
    eprintln!("{count} histories compared, {} violations among them", short + long + crowds);
}

#[test]
fn what_has_an_order_meets_every_necessary_condition() {
    let mut refuted = 0;
    for seed in 2_000_000..2_010_000 {
        let case = case(seed, 4 + seed % 6);
        let Some(refutation) = necessary::refute(&case.history, &case.model, &case.finals) else { continue };
        let truth = oracle::linearizable(&case.history, &case.model, &case.finals, 3_000_000);
        assert_ne!(truth, Some(true), "seed {seed}: {refutation:?} {case:#?}");
        refuted += 1;
    }
    assert!(refuted > 1_000, "only {refuted} of 10000 were refuted at once");
}

#[test]
fn what_the_final_files_close_is_so_in_every_order() {
    let mut told = 0;
    for seed in 9_000_000..9_020_000 {
        let case = case(seed, 4 + seed % 6);
        let truth = |history: &rsm_check::history::History| {
            oracle::linearizable(history, &case.model, &case.finals, 3_000_000)
        };
        let closing = closing::by_final_files(&case.history, &case.model, &case.finals).unwrap_or_default();
        if closing.closed.is_empty() || truth(&case.history) != Some(true) {
            continue;
        }
        let without = |left_out: &[u32]| {
            let mut history = case.history.clone();
            left_out.iter().for_each(|&at| history.operations[at as usize].never_delivered = true);
            truth(&history)
        };
        let dropped = closing::never_moved(&case.history, &case.model, &case.finals);
        assert_eq!(without(&dropped), Some(true), "seed {seed}: {closing:?} {case:#?}");
        for closed in closing.closed.iter().filter(|closed| closed.least > 0) {
            let too_few = without(&closed.operations[closed.least - 1..]);
            assert_ne!(too_few, Some(true), "seed {seed}: {closed:?} {case:#?}");
        }
        told += 1;
    }
    assert!(told > 1_000, "only {told} of 20000 told anything");
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

/// Fails unless an order is found; every acceptance is replayed once more here.
fn assert_explained(history: &History, finals: &[Final], what: &str) {
    let model = rsm_check::checker::bank::BankModel::default();
    match check(history, &model, finals, &budget()) {
        Outcome::Linearizable { witness } => {
            assert_eq!(verify::witness(history, &model, finals, &witness), Ok(()), "{what}");
        }
        other => panic!("{what}: {other:?}"),
    }
}

#[test]
fn a_history_that_lost_half_of_its_replies_is_explained() {
    for (lost, seed) in [(5_000, 1), (20_000, 2), (50_000, 3)] {
        let big = simulate(&Shape { lost, seed, operations: 2_000, ..Shape::default() });
        assert_explained(&big.history, &big.finals, &format!("{lost} of 100,000 lost, seed {seed}"));
    }
}

#[test]
fn a_burst_of_64_operations_that_nobody_saw_is_explained() {
    let shape =
        Shape { clients: 64, operations: 5_000, think: 10_000_000, fault_every: 2_000, ..Shape::default() };
    let big = simulate(&shape);
    assert!(big.indeterminate > 64, "{} indeterminate operations are no burst", big.indeterminate);
    assert_explained(&big.history, &big.finals, "64 clients");
}

#[test]
fn a_recorded_burst_that_a_delay_shuffled_is_explained() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/histories/burst_of_16.jsonl.gz");
    let file = std::fs::File::open(path).expect("the recorded history is part of the repository");
    let mut text = Vec::new();
    flate2::read::GzDecoder::new(file).read_to_end(&mut text).expect("it is a gzip file");
    let history = rsm_check::history::read::read(text.as_slice()).expect("it is a history");
    assert_explained(&history, &[], "burst_of_16");
}

#[test]
fn one_change_of_a_right_history_is_judged_as_brute_force_does() {
    let (mut right, mut wrong) = (0, 0);
    for case in (800_000..803_000).map(|seed| case(seed, 8)).filter(|case| case.right) {
        for other in mutate::mutations(&case) {
            let found = oracle::linearizable(&other.history, &other.model, &other.finals, 3_000_000);
            let Some(truth) = found else { continue };
            assert_eq!(judged(&other), Ok(truth), "{other:#?}");
            (right, wrong) = (right + u64::from(truth), wrong + u64::from(!truth));
        }
    }
    assert!(right > 1_000 && wrong > 1_000, "{right} right, {wrong} wrong: no even mix");
}
