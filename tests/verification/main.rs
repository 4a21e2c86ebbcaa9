//! The verifier against brute force: what the search accepts verifies, what is changed
//! afterwards verifies only if it still is right, and whatever a core says, it is
//! confirmed only where no order exists.

#[allow(dead_code, reason = "shared with the tests of the search")]
mod bank;
#[allow(dead_code, reason = "shared with the tests of the search")]
mod others;
mod found;
mod random;
mod standings;
mod witnesses;

use std::time::Duration;

use bank::small::Rng;
use others::oracle::Kind;
use rsm_check::checker::bank::{Guard, Negative};
use rsm_check::checker::linearizability::Budget;
use rsm_check::history::untyped::read_untyped;
use rsm_check::proof::{About, Claim, Proof, Sealed};
use rsm_check::verifier::{Bank, Effort, Finding, Model, Others, Rules, Subject, verify};
use serde_json::{Value, json};

fn budget() -> Budget {
    Budget { time: Duration::from_secs(20), memory: 1 << 30 }
}

fn rules(case: &bank::small::Case) -> Rules {
    let least_left = match case.model.guard {
        Guard::Strict => Some(1),
        Guard::AtLeast => Some(0),
        Guard::None => None,
    };
    Rules { initial: case.model.initial, least_left, negative: case.model.negative == Negative::Allowed }
}

fn bank(case: &bank::small::Case) -> Bank<'_> {
    Bank::new(rules(case), &case.history, case.finals.iter().map(|file| (file.node.as_str(), &file.file)))
}

fn other(kind: Kind, case: &others::small::Case) -> Others {
    let Ok(Model::Other(model, initial)) = Model::parse(kind.name()) else { panic!("{kind:?}") };
    Others::new(model, &initial, &read_untyped(case.text().as_bytes()).unwrap()).unwrap()
}

/// What is found about a claim that went through the bytes of a proof.
fn found<S: Subject>(subject: &S, claim: Claim) -> Finding {
    let about = About { operations: subject.count(), finals: 0, fingerprint: "0".into() };
    let written = Proof::new("any", about.clone(), claim).to_json().unwrap();
    let proof = Sealed::read(&written).and_then(|sealed| sealed.open(&about)).unwrap();
    verify(subject, &proof, &mut Effort::new(&|| false, 1 << 30))
}

/// Every random core that is confirmed is right, and every whole history that no order
/// explains is confirmed as its own core, cut anywhere.
fn cores<S: Subject>(
    rng: &mut Rng,
    subject: &S,
    told: impl Fn(&S::State) -> Value,
    linearizable: bool,
) -> [u64; 2] {
    let mut parts: Vec<u64> = (0..subject.count()).map(|number| subject.part(number)).collect();
    parts.sort_unstable();
    parts.dedup();
    let mut counts = [0, 0];
    for honest in [true, true, false, false, false] {
        let whole: Vec<Finding> = parts
            .iter()
            .map(|&part| found(subject, Claim::Core(random::core(rng, subject, part, honest, &told))))
            .collect();
        let confirmed = whole.iter().any(|finding| matches!(finding, Finding::Confirmed(_)));
        assert!(!(confirmed && linearizable), "{whole:?}");
        assert!(!honest || confirmed != linearizable, "{whole:?}");
        counts[usize::from(confirmed)] += u64::from(!honest);
    }
    counts
}

#[test]
fn a_core_of_a_bank_is_confirmed_only_where_no_order_exists() {
    let mut counts = [0, 0];
    for seed in 0..3_000 {
        let case = bank::small::case(seed, 9);
        let Some(truth) = bank::oracle::linearizable(&case.history, &case.model, &case.finals, 300_000)
        else {
            continue;
        };
        let told = |state: &Vec<i64>| {
            Value::Object(
                case.history.accounts.iter().cloned().zip(state.iter().map(|&v| json!(v))).collect(),
            )
        };
        let more = cores(&mut Rng(seed), &bank(&case), told, truth);
        counts = [counts[0] + more[0], counts[1] + more[1]];
    }
    assert!(counts.iter().all(|&count| count > 500), "too one-sided: {counts:?}");
}

#[test]
fn a_core_of_any_other_model_is_confirmed_only_where_no_order_exists() {
    for kind in Kind::ALL {
        let mut counts = [0, 0];
        for seed in 0..1_000 {
            let case = others::small::case(kind, seed, 9);
            let truth = others::oracle::linearizable(kind, &case.ops());
            let subject = other(kind, &case);
            let told = |state: &rsm_check::verifier::others::State| subject.told(state);
            let more = cores(&mut Rng(seed), &subject, told, truth);
            counts = [counts[0] + more[0], counts[1] + more[1]];
        }
        assert!(counts.iter().all(|&count| count > 50), "{kind:?} is too one-sided: {counts:?}");
    }
}

#[test]
fn whatever_bytes_a_proof_has_nothing_panics() {
    let case = bank::small::case(7, 8);
    let subject = bank(&case);
    let about = About { operations: subject.count(), finals: 0, fingerprint: "0".into() };
    let orders = rsm_check::proof::Orders(vec![(0..subject.count() as u32).collect()]);
    let witness = Proof::new("bank", about.clone(), Claim::Witness(orders)).to_json().unwrap();
    let told = |state: &Vec<i64>| {
        Value::Object(case.history.accounts.iter().cloned().zip(state.iter().map(|&v| json!(v))).collect())
    };
    let core = random::core(&mut Rng(3), &subject, 0, true, &told);
    let core = Proof::new("bank", about.clone(), Claim::Core(core)).to_json().unwrap();
    let (mut rng, mut opened) = (Rng(1), 0);
    for written in [witness, core] {
        for _ in 0..10_000 {
            let mut bytes = written.clone();
            for _ in 0..1 + rng.below(2) {
                let at = rng.below(bytes.len().max(1) as u64) as usize;
                if bytes.len() < 2 {
                    break;
                }
                match rng.below(4) {
                    0 => bytes[at] = rng.next() as u8,
                    1 => bytes[at] = b"0123456789,[]{}\"AZaz+/="[rng.below(23) as usize],
                    2 => drop(bytes.remove(at)),
                    _ => bytes.truncate(at.max(1)),
                }
            }
            if let Ok(proof) = Sealed::read(&bytes).and_then(|sealed| sealed.open(&about)) {
                opened += 1;
                verify(&subject, &proof, &mut Effort::new(&|| false, 1 << 24));
            }
        }
    }
    assert!(opened > 100, "only {opened} of 20000 were proofs still");
}
