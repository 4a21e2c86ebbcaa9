//! Sequential consistency against every interleaving, and all guarantees against every
//! order of effects, with a state machine of its own.

use rsm_check::checker::bank::{BankModel, Guard, Negative};
use rsm_check::checker::diagnosis::{Answer, Guarantee, holds};
use rsm_check::checker::linearizability::Budget;
use rsm_check::history::{Call, History, Observed, Operation};
use rsm_check::op::Outcome;

use crate::sessions::{Act, truth};
use crate::small::case;

/// Whether the rest can be put in some order that keeps that of each process.
fn orderable(history: &History, model: &BankModel, done: &mut [bool], bank: &[i128]) -> bool {
    let operations = &history.operations;
    let required = |at: usize| operations[at].outcome() == Outcome::Ok;
    if (0..operations.len()).all(|at| done[at] || !required(at)) {
        return true;
    }
    (0..operations.len()).any(|at| {
        let possible = !done[at] && operations[at].outcome() != Outcome::Fail;
        let earlier = |other: usize| operations[other].process == operations[at].process && required(other);
        if !possible || (0..at).any(|other| earlier(other) && !done[other]) {
            return false;
        }
        let after = after(model, &operations[at], bank);
        if !seen(&operations[at], &after) {
            return false;
        }
        done[at] = true;
        let found = orderable(history, model, done, &after);
        done[at] = false;
        found
    })
}

fn after(model: &BankModel, operation: &Operation, bank: &[i128]) -> Vec<i128> {
    let mut after = bank.to_vec();
    let Call::Transfer { from, to, amount } = operation.call else { return after };
    let (from, to, amount) = (from.0 as usize, to.0 as usize, i128::from(amount));
    let guard = match model.guard {
        Guard::Strict => bank[from] > amount,
        Guard::AtLeast => bank[from] >= amount,
        Guard::None => true,
    };
    let all = i128::from(i64::MIN)..=i128::from(i64::MAX);
    let fits = all.contains(&(bank[from] - amount)) && all.contains(&(bank[to] + amount));
    if from != to && guard && fits && (amount >= 0 || model.negative == Negative::Allowed) {
        after[from] -= amount;
        after[to] += amount;
    }
    after
}

fn seen(operation: &Operation, bank: &[i128]) -> bool {
    let known = operation.outcome() == Outcome::Ok;
    match (&operation.call, operation.completion.as_ref().filter(|_| known).map(|ended| &ended.observed)) {
        (Call::Transfer { from, to, .. }, Some(Observed::Pair(pair))) => {
            [bank[from.0 as usize], bank[to.0 as usize]] == pair.map(i128::from)
        }
        (_, Some(Observed::Balances(all))) => {
            all.iter().all(|&(account, value)| bank[account.0 as usize] == value.into())
        }
        _ => true,
    }
}

#[test]
fn sequential_consistency_agrees_with_every_interleaving() {
    let mut answers = [0, 0];
    for seed in 0..10_000u64 {
        let mut case = case(seed, 7);
        let processes = 1 + seed % 3;
        for (at, operation) in (0u64..).zip(&mut case.history.operations) {
            operation.process = (at * 7 + seed) % processes;
        }
        let (done, accounts) = (&mut vec![false; case.history.operations.len()], case.history.accounts.len());
        let truth = orderable(&case.history, &case.model, done, &vec![case.model.initial.into(); accounts]);
        match holds(&case.history, &case.model, Guarantee::Sequential, &Budget::default()) {
            Answer::Unknown => panic!("seed {seed}: not decided"),
            found => assert_eq!(matches!(found, Answer::Yes(_)), truth, "seed {seed}: {case:#?}"),
        }
        answers[usize::from(truth)] += 1;
    }
    assert!(answers.iter().all(|&count| count > 1_000), "no mix: {answers:?}");
}

/// What brute force is told of an operation; nothing of one that did not happen.
fn act(model: &BankModel, operation: &Operation) -> Option<Act> {
    let required = operation.outcome() == Outcome::Ok;
    // What moves nothing in any state has no effect.
    let refused = |amount: i64| amount == 0 || amount < 0 && model.negative == Negative::Refused;
    let moves =
        matches!(operation.call, Call::Transfer { from, to, amount } if from != to && !refused(amount));
    let told = operation.completion.as_ref().map(|ended| &ended.observed);
    let tells = required && told.is_some_and(|told| *told != Observed::Nothing);
    let act = Act { process: operation.process, required, writes: moves, tells };
    (operation.outcome() != Outcome::Fail).then_some(act)
}

#[test]
fn guarantees_of_the_bank_agree_with_every_order_of_effects() {
    use Guarantee::{ConsistentPrefix, MonotonicReads, ReadYourWrites, Sequential};
    let mut kinds = std::collections::BTreeMap::new();
    for seed in 0..6_000u64 {
        let mut case = case(seed, 6);
        let processes = 1 + seed % 3;
        for (at, operation) in (0u64..).zip(&mut case.history.operations) {
            operation.process = (at * 7 + seed) % processes;
        }
        let happened: Vec<&Operation> = case
            .history
            .operations
            .iter()
            .filter(|operation| act(&case.model, operation).is_some())
            .collect();
        let acts: Vec<Act> = happened.iter().filter_map(|operation| act(&case.model, operation)).collect();
        let initial = vec![i128::from(case.model.initial); case.history.accounts.len()];
        let truth = truth(&acts, initial, &|bank, at| {
            let after = after(&case.model, happened[at], bank);
            seen(happened[at], &after).then_some(after)
        });
        for (guarantee, truth) in
            [Sequential, MonotonicReads, ReadYourWrites, ConsistentPrefix].into_iter().zip(truth)
        {
            match holds(&case.history, &case.model, guarantee, &Budget::default()) {
                Answer::Unknown => panic!("seed {seed}, {guarantee:?}: not decided"),
                found => {
                    assert_eq!(
                        matches!(found, Answer::Yes(_)),
                        truth,
                        "seed {seed}, {guarantee:?}: {case:#?}"
                    );
                }
            }
        }
        *kinds.entry(truth).or_insert(0) += 1;
    }
    assert!(kinds.len() >= 6 && kinds.values().all(|&count| count >= 3), "no mix: {kinds:?}");
}
