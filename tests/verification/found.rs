//! Cores that the search finds, against the verifier: every violation of a small
//! history has one, and every one is confirmed from the bytes that a proof has.

use rsm_check::checker::bank::BankModel;
use rsm_check::checker::core;
use rsm_check::checker::linearizability::{Final, Outcome, check};
use rsm_check::checker::models::{self, Model, typed};
use rsm_check::history::History;
use rsm_check::history::untyped::{UntypedHistory, read_untyped};
use rsm_check::op::Outcome as End;
use rsm_check::proof::Claim;
use rsm_check::verifier::{Finding, Subject};

use super::others::oracle::Kind;
use super::{bank, budget, found, other, others};

/// From the beginning where that is near, and after a cut wherever there may be one.
const SHORT: [usize; 2] = [20, 0];

fn of_bank(history: &History, model: &BankModel, finals: &[Final]) -> Option<[Option<Claim>; 2]> {
    let Outcome::Violation(violation) = check(history, model, finals, &budget()) else { return None };
    let find = |short| core::find_beyond(short, history, model, finals, &violation, &budget());
    Some(SHORT.map(|short| find(short).map(|found| Claim::Core(found.core))))
}

fn of_model<M: Model>(mut model: M, history: &UntypedHistory) -> Option<[Option<Claim>; 2]> {
    let operations = typed(&mut model, history).expect("known operations");
    let models::Outcome::Violation(violation) = models::check(&model, &operations, &budget()) else {
        return None;
    };
    let happened = (0u32..).zip(&history.operations).filter(|(_, asked)| asked.outcome() != End::Fail);
    let numbers: Vec<u32> = happened.map(|(number, _)| number).collect();
    let find =
        |short| core::find_in_model_beyond(short, &model, &operations, &numbers, &violation, &budget());
    Some(SHORT.map(|short| find(short).map(|found| Claim::Core(found.core))))
}

fn of_kind(kind: Kind, history: &UntypedHistory) -> Option<[Option<Claim>; 2]> {
    match kind.name() {
        "register" => of_model(models::Register::default(), history),
        "cas-register" => of_model(models::CasRegister::default(), history),
        "kv" => of_model(models::KeyValue::default(), history),
        "mutex" => of_model(models::Mutex, history),
        "fifo-queue" => of_model(models::FifoQueue::default(), history),
        "set" => of_model(models::Set::default(), history),
        "counter" => of_model(models::Counter::default(), history),
        other => panic!("{other} has no cores here"),
    }
}

/// How many were confirmed, and how many of them begin after a cut.
fn confirmed<S: Subject>(subject: &S, claims: [Option<Claim>; 2], what: &dyn Fn() -> String) -> [u64; 2] {
    let [near, cut] = claims;
    let near = near.unwrap_or_else(|| panic!("no core of {}", what()));
    let mut counts = [0, 0];
    for claim in [Some(near), cut].into_iter().flatten() {
        counts[0] += 1;
        counts[1] += u64::from(matches!(&claim, Claim::Core(core) if core.cut > 0));
        let words = format!("{claim:?}");
        let finding = found(subject, claim);
        assert!(matches!(finding, Finding::Confirmed(_)), "{finding:?}: {words} of {}", what());
    }
    counts
}

fn banks(first: u64, count: u64, most: u64) -> [u64; 2] {
    let mut counts = [0, 0];
    for seed in first..first + count {
        let case =
            if seed % 3 == 0 { bank::small::crowded(seed, most) } else { bank::small::case(seed, most) };
        let Some(claims) = of_bank(&case.history, &case.model, &case.finals) else { continue };
        let more = confirmed(&bank(&case), claims, &|| format!("seed {seed}: {case:?}"));
        counts = [counts[0] + more[0], counts[1] + more[1]];
    }
    counts
}

fn kinds(first: u64, count: u64, most: u64) {
    for kind in Kind::ALL {
        let mut counts = [0, 0];
        for seed in first..first + count {
            let case = others::small::case(kind, seed, most);
            let history = read_untyped(case.text().as_bytes()).unwrap();
            let Some(claims) = of_kind(kind, &history) else { continue };
            let more =
                confirmed(&other(kind, &case), claims, &|| format!("{kind:?} {seed}: {}", case.text()));
            counts = [counts[0] + more[0], counts[1] + more[1]];
        }
        assert!(counts.iter().all(|&confirmed| confirmed > count / 50), "{kind:?}: {counts:?}");
    }
}

#[test]
fn every_violation_of_a_small_bank_has_a_core_that_is_confirmed() {
    let counts = banks(0, 3_000, 10);
    assert!(counts[0] > 1_500 && counts[1] > 500, "{counts:?}");
}

#[test]
fn every_violation_of_any_other_model_has_a_core_that_is_confirmed() {
    kinds(0, 700, 10);
}

#[test]
#[ignore = "takes about 20 s optimised: cargo test --release --test verification -- --ignored"]
fn two_hundred_thousand_histories_have_no_violation_without_a_confirmed_core() {
    banks(1_000_000, 100_000, 12);
    kinds(1_000_000, 15_000, 12);
}
