//! What the search accepts, and what becomes of it when it is changed: swapped, dropped,
//! doubled, made up. Whether a changed order is still right is judged by brute force, on
//! a history in which the operations follow one another in just that order.

use rsm_check::checker::linearizability::{Outcome, check};
use rsm_check::checker::models::by_text;
use rsm_check::history::untyped::read_untyped;
use rsm_check::history::{AccountId, Call, Completion, History, Observed, Operation};
use rsm_check::op;
use rsm_check::proof::{Claim, Orders};
use rsm_check::verifier::passing::{Flaw, Passing};
use rsm_check::verifier::{Finding, Subject};

use super::bank::small::Rng;
use super::others::oracle::Kind;
use super::{bank, budget, found, other, others};

fn confirmed(finding: &Finding) -> bool {
    matches!(finding, Finding::Confirmed(_))
}

/// Another list of numbers than the one given.
fn change(rng: &mut Rng, order: &mut Vec<u32>, count: usize) {
    if order.is_empty() {
        return order.push(0);
    }
    let (one, two) = (rng.below(order.len() as u64) as usize, rng.below(order.len() as u64) as usize);
    match rng.below(6) {
        0..=2 => order.swap(one, two),
        3 => drop(order.remove(one)),
        4 => order.insert(two, order[one]),
        _ => order[one] = rng.below(count as u64 + 2) as u32,
    }
}

/// Whether a list may be an order at all: once each, what happened, real time.
fn may_be<S: Subject>(subject: &S, order: &[u32]) -> bool {
    let exists = |&number: &u32| (number as usize) < subject.count();
    if !order.iter().all(exists) {
        return false;
    }
    let listed = |number: usize| order.iter().filter(|&&listed| listed as usize == number).count();
    let counts = (0..subject.count()).all(|number| match subject.span(number).outcome {
        op::Outcome::Ok => listed(number) == 1,
        op::Outcome::Info => listed(number) <= 1,
        op::Outcome::Fail => listed(number) == 0,
    });
    let spans: Vec<_> = order.iter().map(|&number| subject.span(number as usize)).collect();
    let back = |(at, later): (usize, &rsm_check::verifier::Span)| {
        spans[..at].iter().any(|earlier| later.returns.is_some_and(|returns| returns < earlier.invoke))
    };
    counts && !spans.iter().enumerate().any(back)
}

/// The operations of a bank one after another, final files as reads.
fn in_a_row(case: &bank_small::Case, order: &[u32]) -> History {
    let mut row = History { accounts: case.history.accounts.clone(), ..History::default() };
    for (at, &number) in (0..).zip(order) {
        let (call, observed) = match case.history.operations.get(number as usize) {
            Some(operation) => {
                let known = operation.outcome() == op::Outcome::Ok;
                let completion = operation.completion.as_ref().filter(|_| known);
                let observed = completion.map_or(Observed::Nothing, |completion| completion.observed.clone());
                (operation.call.clone(), observed)
            }
            None => {
                let file = &case.finals[number as usize - case.history.operations.len()].file;
                let value = |name: &String| file.balance(name).unwrap_or(case.model.initial);
                let seen = (0..).map(AccountId).zip(case.history.accounts.iter().map(value)).collect();
                (Call::Read, Observed::Balances(seen))
            }
        };
        let (index, outcome) = (2 * at + 1, op::Outcome::Ok);
        let completion = Some(Completion { index, time: index, outcome, observed, error: None });
        let (invoke, never_delivered) = (2 * at, false);
        row.operations.push(Operation {
            invoke,
            process: at,
            invoked: invoke,
            call,
            completion,
            never_delivered,
        });
    }
    row
}

use super::bank::small as bank_small;

/// What comes of an order while the history passes by.
fn passes(case: &bank_small::Case, order: &[u32]) -> Result<String, Flaw> {
    let operations = &case.history.operations;
    let mut lines: Vec<(u64, usize, bool)> = Vec::new();
    for (number, operation) in operations.iter().enumerate() {
        lines.push((operation.invoke, number, false));
        lines.extend(operation.completion.as_ref().map(|end| (end.index, number, true)));
    }
    lines.sort_unstable();
    let mut named = order.iter().copied();
    let rules = super::rules(case);
    let mut passing = Passing::new(rules, || Ok(named.next()))?;
    for (_, number, ends) in lines {
        let operation = &operations[number];
        match operation.completion.as_ref().filter(|_| ends) {
            Some(end) => passing.ended(number as u32, end)?,
            None => passing.invoked(number as u32, operation)?,
        }
    }
    let never = (0..).zip(operations).filter(|(_, operation)| operation.never_delivered);
    never.into_iter().try_for_each(|(number, _)| passing.never_delivered(number))?;
    passing.finish()
}

#[test]
fn what_the_search_accepts_of_a_bank_verifies_and_what_is_changed_only_if_it_is_right() {
    let (mut rng, mut right, mut wrong, mut accepted) = (Rng(1), 0, 0, 0);
    for seed in 0..4_000 {
        let case = bank_small::case(seed, 10);
        let Outcome::Linearizable { witness } = check(&case.history, &case.model, &case.finals, &budget())
        else {
            continue;
        };
        accepted += 1;
        let subject = bank(&case);
        let finding = found(&subject, Claim::Witness(Orders(vec![witness.clone()])));
        assert!(confirmed(&finding), "seed {seed}: {finding:?}");
        for _ in 0..6 {
            let mut order = witness.clone();
            change(&mut rng, &mut order, subject.count());
            let row = || in_a_row(&case, &order);
            let truth = may_be(&subject, &order)
                && super::bank::oracle::linearizable(&row(), &case.model, &[], 100_000) == Some(true);
            let finding = found(&subject, Claim::Witness(Orders(vec![order.clone()])));
            assert_eq!(confirmed(&finding), truth, "seed {seed}, {witness:?} -> {order:?}: {finding:?}");
            if case.finals.is_empty() {
                let passed = passes(&case, &order);
                assert_eq!(passed.is_ok(), truth, "seed {seed}, {witness:?} -> {order:?}: {passed:?}");
            }
            if truth { right += 1 } else { wrong += 1 }
        }
    }
    assert!(accepted > 1_000 && right > 1_000 && wrong > 1_000, "{accepted}, {right}, {wrong}");
}

#[test]
fn what_the_search_accepts_of_any_other_model_verifies_and_what_is_changed_only_if_it_is_right() {
    for kind in Kind::ALL {
        let (mut rng, mut right, mut wrong) = (Rng(1), 0, 0);
        for seed in 0..1_500 {
            let case = others::small::case(kind, seed, 10);
            let history = read_untyped(case.text().as_bytes()).unwrap();
            let mut model = by_text(kind.name()).unwrap();
            let (_, claim) = model.judge_and_claim(&history, &budget()).unwrap();
            let Some(Claim::Witness(Orders(orders))) = claim else { continue };
            let subject = other(kind, &case);
            let finding = found(&subject, Claim::Witness(Orders(orders.clone())));
            assert!(confirmed(&finding), "{kind:?}, seed {seed}: {finding:?}");
            for _ in 0..4 {
                let mut changed = orders.clone();
                let at = rng.below(changed.len() as u64) as usize;
                change(&mut rng, &mut changed[at], subject.count());
                let truth = right_order(kind, &case, &subject, &changed);
                let finding = found(&subject, Claim::Witness(Orders(changed.clone())));
                assert_eq!(confirmed(&finding), truth, "{kind:?}, seed {seed}: {orders:?} -> {changed:?}");
                if truth { right += 1 } else { wrong += 1 }
            }
        }
        assert!(right > 100 && wrong > 300, "{kind:?}: {right}, {wrong}");
    }
}

/// Brute force on each order by itself, as a history in which nothing is concurrent.
fn right_order<S: Subject>(kind: Kind, case: &others::small::Case, subject: &S, orders: &[Vec<u32>]) -> bool {
    let all = orders.concat();
    let listed_once = |number: usize| all.iter().filter(|&&listed| listed as usize == number).count() <= 1;
    let exists = all.iter().all(|&number| (number as usize) < subject.count());
    if !exists || !(0..subject.count()).all(listed_once) {
        return false;
    }
    let missing =
        |number: usize| subject.span(number).outcome == op::Outcome::Ok && !all.contains(&(number as u32));
    if (0..subject.count()).any(missing) {
        return false;
    }
    let mut parts: Vec<u64> = Vec::new();
    // Brute force knows only what may have happened, in the order of invocations.
    let happened: Vec<u32> = (0..subject.count() as u32)
        .filter(|&number| subject.span(number as usize).outcome != op::Outcome::Fail)
        .collect();
    let ops = case.ops();
    orders.iter().filter(|order| !order.is_empty()).all(|order| {
        let part = subject.part(order[0] as usize);
        let alone = order.iter().all(|&number| subject.part(number as usize) == part);
        let first = !parts.contains(&part);
        parts.push(part);
        let spans: Vec<_> = order.iter().map(|&number| subject.span(number as usize)).collect();
        let back = (0..spans.len()).any(|at| {
            spans[..at].iter().any(|early| spans[at].returns.is_some_and(|returns| returns < early.invoke))
        });
        let row: Option<Vec<_>> = (0..)
            .zip(order)
            .map(|(at, number)| {
                let mut op = ops[happened.binary_search(number).ok()?].clone();
                (op.invoke, op.returns) = (2 * at, Some(2 * at + 1));
                Some(op)
            })
            .collect();
        alone && first && !back && row.is_some_and(|row| others::oracle::linearizable(kind, &row))
    })
}
