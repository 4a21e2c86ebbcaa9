//! The online check against brute force and against the check at the end.
//!
//! Each history is fed line by line as it would be while a run goes on.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use rsm_check::checker::bank::BankModel;
use rsm_check::checker::linearizability::{Budget, Halt, Online, Outcome, check};
use rsm_check::checker::replay::Replay;
use rsm_check::history::History;
use rsm_check::op::Outcome as End;

use crate::big::{Shape, simulate, spoil};
use crate::oracle;
use crate::small::{Case, Rng, case};

/// What happened at a line.
#[derive(Clone, Copy)]
enum Line {
    Invoke(usize),
    Complete(usize),
    Evidence(usize),
}

/// The lines of a history; evidence comes at its end, or just before its completion.
fn lines(history: &History, late: bool) -> Vec<Line> {
    let mut lines = Vec::new();
    for (at, operation) in history.operations.iter().enumerate() {
        lines.push((operation.invoke, 1, Line::Invoke(at)));
        let end = operation.completion.as_ref().map(|end| end.index);
        lines.extend(end.map(|index| (index, 1, Line::Complete(at))));
        if operation.never_delivered {
            let index = if late { u64::MAX } else { end.unwrap_or(operation.invoke) };
            lines.push((index, if end.is_some() { 0 } else { 2 }, Line::Evidence(at)));
        }
    }
    lines.sort_by_key(|(index, order, _)| (*index, *order));
    lines.into_iter().map(|(_, _, line)| line).collect()
}

/// When a line was written; evidence comes at any time.
fn time(history: &History, line: Line) -> u64 {
    match line {
        Line::Invoke(at) => history.operations[at].invoked,
        Line::Complete(at) => history.operations[at].completion.as_ref().map_or(0, |end| end.time),
        Line::Evidence(_) => 0,
    }
}

fn tell(online: &mut Online, history: &History, line: Line) {
    match line {
        Line::Invoke(at) => {
            let mut operation = history.operations[at].clone();
            (operation.completion, operation.never_delivered) = (None, false);
            assert_eq!(online.invoke(operation) as usize, at);
        }
        Line::Complete(at) => {
            online.complete(at as u32, history.operations[at].completion.clone().unwrap());
        }
        Line::Evidence(at) => online.never_delivered(at as u32),
    }
}

fn new(model: BankModel) -> Online {
    let mut online = Online::new(model, 1 << 30, Arc::new(AtomicBool::new(false)));
    online.allow(Duration::from_secs(60));
    online
}

/// What the online check found, at which line, and the order it gave.
#[derive(Debug, PartialEq)]
enum Found {
    Refuted { line: usize, scouted: bool },
    Order(Vec<u32>),
}

/// `patience`: scouts run, and look past operations that have been open for longer.
fn watch(history: &History, model: BankModel, patience: Option<u64>, late: bool) -> Found {
    let mut online = new(model);
    let mut order = Vec::new();
    for (line, what) in lines(history, late).into_iter().enumerate() {
        tell(&mut online, history, what);
        match online.advance(&mut |number| order.push(number)) {
            Ok(()) => {}
            Err(Halt::Refuted(refuted)) => return Found::Refuted { line, scouted: refuted.scouted },
            Err(Halt::Stopped(stop)) => panic!("stopped: {stop:?}"),
        }
        let before = patience.map(|patience| time(history, what).saturating_sub(patience));
        if let Some(Err(refuted)) = before.map(|before| online.scout(before)) {
            assert!(refuted.scouted);
            return Found::Refuted { line, scouted: true };
        }
    }
    match online.close(&mut |number| order.push(number)) {
        Ok(()) => Found::Order(order),
        Err(Halt::Refuted(_)) => Found::Refuted { line: usize::MAX, scouted: false },
        Err(Halt::Stopped(stop)) => panic!("stopped: {stop:?}"),
    }
}

fn replay(history: &History, model: BankModel, order: &[u32]) -> Result<u64, String> {
    let mut replay = Replay::new(model);
    (0..).zip(&history.operations).for_each(|(number, one)| replay.operation(number, one.clone()));
    order.iter().try_for_each(|&number| replay.next(number))?;
    replay.finish()
}

/// Compares one history; returns whether it is wrong and whether a scout saw it.
fn compare(seed: u64, most: u64) -> Option<(bool, bool)> {
    let Case { history, model, .. } = case(seed, most);
    let truth = oracle::linearizable(&history, &model, &[], 3_000_000)?;
    let sure = history.operations.iter().all(|one| one.outcome() != End::Info);
    let late = seed.is_multiple_of(2);
    let plain = watch(&history, model, None, late);
    let scouting = watch(&history, model, Some(seed % 5), late);
    for found in [&plain, &scouting] {
        match found {
            Found::Refuted { .. } => assert!(!truth, "seed {seed}: wrongly refuted: {history:#?}"),
            Found::Order(order) if sure => {
                assert!(truth, "seed {seed}: a violation was missed: {history:#?}");
                let replayed = replay(&history, model, order);
                assert_eq!(replayed, Ok(order.len() as u64), "seed {seed}: {history:#?}");
            }
            Found::Order(_) => {}
        }
    }
    if let (Found::Refuted { line: late, .. }, Found::Refuted { line: early, .. }) = (&plain, &scouting) {
        assert!(early <= late, "seed {seed}: a scout came later");
    }
    Some((!truth, matches!(scouting, Found::Refuted { scouted: true, .. })))
}

#[test]
fn what_is_refuted_online_is_wrong_and_what_is_wrong_without_doubt_is_refuted_online() {
    let found: Vec<(bool, bool)> =
        (0..6_000).filter_map(|seed| compare(seed, if seed % 2 == 0 { 6 } else { 10 })).collect();
    let wrong = found.iter().filter(|(wrong, _)| *wrong).count();
    let scouted = found.iter().filter(|(_, scouted)| *scouted).count();
    assert!((1_000..5_000).contains(&wrong), "{wrong} of {} are wrong: no even mix", found.len());
    assert!(scouted > 100, "scouts saw only {scouted} of {wrong}");
}

#[test]
#[ignore = "minutes; run it in release: cargo test --release --test linearizability -- --ignored"]
fn very_many_histories_agree_online_with_brute_force() {
    let count = std::env::var("RSM_CHECK_CASES").ok().and_then(|n| n.parse().ok()).unwrap_or(200_000);
    let found = (50_000_000..50_000_000 + count).filter_map(|seed| compare(seed, 5 + seed % 6));
    let (mut all, mut wrong, mut scouted) = (0, 0, 0);
    for (is_wrong, was_scouted) in found {
        (all, wrong, scouted) = (all + 1, wrong + u64::from(is_wrong), scouted + u64::from(was_scouted));
    }
    eprintln!("{all} histories compared, {wrong} violations among them, {scouted} seen by a scout");
}

/// Every prefix of a history is a history: what a scout refutes there with all open
/// ends unknown is wrong whatever those ends become.
#[test]
fn a_scout_refutes_only_what_no_ending_explains() {
    let mut refuted = 0;
    for seed in 2_000_000..2_003_000 {
        let Case { history, model, .. } = case(seed, 8);
        let (all, mut rng) = (lines(&history, false), Rng(seed));
        let upto = 1 + rng.below(all.len() as u64) as usize;
        let mut online = new(model);
        all[..upto].iter().for_each(|&line| tell(&mut online, &history, line));
        if online.scout(u64::MAX).is_ok() {
            continue;
        }
        refuted += 1;
        let mut cut = history.clone();
        let told = |wanted: &dyn Fn(Line) -> bool| all[..upto].iter().any(|&line| wanted(line));
        for (at, operation) in cut.operations.iter_mut().enumerate() {
            if !told(&|line| matches!(line, Line::Complete(done) if done == at)) {
                operation.completion = None;
            }
            operation.never_delivered &= told(&|line| matches!(line, Line::Evidence(done) if done == at));
        }
        let invoked = |at: usize| told(&|line| matches!(line, Line::Invoke(begun) if begun == at));
        let mut at = 0..;
        cut.operations.retain(|_| at.next().is_some_and(invoked));
        for truth in [&cut, &history].map(|one| oracle::linearizable(one, &model, &[], 3_000_000)) {
            assert_ne!(truth, Some(true), "seed {seed}, {upto} lines: {history:#?}");
        }
    }
    assert!(refuted > 300, "only {refuted} were refuted");
}

#[test]
fn the_order_of_a_long_history_is_handed_over_while_it_goes_on_and_replays() {
    for clients in [3, 30] {
        let shape = Shape { clients, operations: 60_000, think: 200_000, seed: 9, ..Shape::default() };
        let history = simulate(&shape).history;
        let (mut online, mut replay) = (new(BankModel::default()), Replay::new(BankModel::default()));
        let mut early = 0;
        for line in lines(&history, false) {
            tell(&mut online, &history, line);
            if let Line::Complete(at) = line {
                replay.operation(at as u32, history.operations[at].clone());
            }
            let mut take = |number| {
                early += 1;
                replay.next(number).unwrap();
            };
            assert!(online.advance(&mut take).is_ok());
        }
        assert!(early > 20_000, "only {early} were handed over before the end");
        assert!(online.close(&mut |number| replay.next(number).unwrap()).is_ok());
        assert_eq!(replay.finish(), Ok(60_000));
    }
}

#[test]
fn a_wrong_result_is_found_at_its_line_even_while_another_operation_hangs() {
    let shape = Shape { operations: 5_000, seed: 4, ..Shape::default() };
    let mut history = simulate(&shape).history;
    // One transfer hangs from early on and ends only after everything else.
    let hangs = history.operations[100].completion.as_mut().unwrap();
    (hangs.index, hangs.time) = (1 << 40, 1 << 60);
    spoil(&mut history);
    let budget = Budget { time: Duration::from_secs(60), memory: 1 << 30 };
    let whole = check(&history, &BankModel::default(), &[], &budget);
    assert!(matches!(whole, Outcome::Violation(_)), "{whole:?}");
    let all = lines(&history, false).len();
    match watch(&history, BankModel::default(), Some(2_000_000), false) {
        Found::Refuted { line, scouted } => assert!(scouted && line < all * 95 / 100, "{line} of {all}"),
        Found::Order(_) => panic!("not found"),
    }
}

#[test]
fn a_replay_refuses_what_is_twice_missing_too_early_or_not_so() {
    let shape = Shape { clients: 2, operations: 40, seed: 2, ..Shape::default() };
    let history = simulate(&shape).history;
    let Found::Order(order) = watch(&history, BankModel::default(), None, false) else { panic!() };
    let judge = |order: &[u32]| replay(&history, BankModel::default(), order);
    assert_eq!(judge(&order), Ok(40));
    assert!(judge(&order[..39]).unwrap_err().contains("missing"));
    let twice: Vec<u32> = order.iter().copied().chain([order[3]]).collect();
    assert!(judge(&twice).unwrap_err().contains("twice"));
    let mut early = order.clone();
    early.rotate_right(1);
    assert!(judge(&early).is_err());
    let mut wrong = history.clone();
    spoil(&mut wrong);
    assert!(replay(&wrong, BankModel::default(), &order).unwrap_err().contains("was seen"));
}
