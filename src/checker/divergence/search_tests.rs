//! Changes of each kind are planted in random orders and must be found, or one that
//! is at least as simple and gives the same file by a replay of the test's own.

use std::collections::BTreeMap;

use super::change::Change;
use super::replay::{Balances, Goal, Replays, Spare, Step};
use super::search::{Answer, Found, simplest};
use crate::checker::bank::BankModel;

/// A tiny seeded generator (splitmix64, Steele and others 2014).
struct Rng(u64);

impl Rng {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % bound as u64) as usize
    }
}

fn step(rng: &mut Rng, operation: usize, accounts: usize, most: usize) -> Step {
    let from = rng.below(accounts) as u32;
    let to = (from + 1 + rng.below(accounts - 1) as u32) % accounts as u32;
    Step { operation, from, to, amount: 1 + rng.below(most) as i64 }
}

fn steps(rng: &mut Rng, count: usize, most: usize) -> Vec<Step> {
    (0..count).map(|operation| step(rng, operation, 8, most)).collect()
}

/// What a replica holds after these; the second of each tells to ignore the guard.
fn holds(work: &[(Step, bool)]) -> Balances {
    let mut bank = vec![None; 8];
    for (step, ignore) in work {
        let debited: i64 = *bank[step.from as usize].get_or_insert(100);
        bank[step.to as usize].get_or_insert(100);
        if debited > step.amount || *ignore {
            bank[step.from as usize] = Some(debited - step.amount);
            bank[step.to as usize] = bank[step.to as usize].map(|credited: i64| credited + step.amount);
        }
    }
    bank
}

/// The work of a replica with this change, spelled out.
fn work(steps: &[Step], spares: &[Spare], change: &Change) -> Vec<(Step, bool)> {
    let mut work: Vec<(Step, bool)> = steps.iter().map(|&step| (step, false)).collect();
    match change {
        Change::Kept { from, until } => return work[*from..*until.max(from)].to_vec(),
        Change::Window { from, until } => drop(work.drain(from..until)),
        Change::Lacks(lost) => lost.iter().rev().for_each(|&at| _ = work.remove(at)),
        Change::Twice(twice) => twice.iter().rev().for_each(|&at| work.insert(at, work[at])),
        Change::Again { step, place } => work.insert(*place, work[*step]),
        Change::LacksAndTwice { lacks, twice } => {
            work = (0..work.len())
                .flat_map(|at| vec![work[at]; if at == *lacks { 0 } else { 1 + usize::from(at == *twice) }])
                .collect();
        }
        Change::Swapped { early, late } => work.swap(*early, *late),
        Change::Unguarded(step) => work[*step].1 = true,
        Change::Extra { spare, place } => work.insert(*place, (spares[*spare].step, false)),
    }
    work
}

/// How many places must be named to tell a change.
fn size(steps: usize, change: &Change) -> usize {
    match change {
        Change::Kept { from, until } => (from + steps - until.max(from)).min(2),
        Change::Window { from, until } => (until - from).min(2),
        Change::Lacks(steps) | Change::Twice(steps) => steps.len(),
        Change::LacksAndTwice { .. } => 2,
        Change::Again { .. } | Change::Swapped { .. } | Change::Unguarded(_) | Change::Extra { .. } => 1,
    }
}

/// The place of an extra transfer seldom shows.
fn alike(one: &Change, two: &Change) -> bool {
    match (one, two) {
        (Change::Extra { spare: one, .. }, Change::Extra { spare: two, .. }) => one == two,
        _ => one == two,
    }
}

fn answer(steps: &[Step], spares: &[Spare], goal: Balances, places: &[usize]) -> Answer {
    let goal = Goal { balances: goal, names_count: true };
    simplest(&mut Replays::new(BankModel::default(), steps, spares, &goal).unwrap(), places)
}

/// Plants a change; tells what was found, after checking that it gives the file.
fn plant(
    seed: u64,
    count: usize,
    most: usize,
    make: impl Fn(&mut Rng, usize) -> Change,
) -> Option<(Change, Found)> {
    let mut rng = Rng(seed);
    let steps = steps(&mut rng, count, most);
    let spares =
        (0..3).map(|number| Spare { step: step(&mut rng, count + number, 8, most), earliest: count / 2 });
    let spares: Vec<Spare> = spares.collect();
    let planted = make(&mut rng, count);
    let goal = holds(&work(&steps, &spares, &planted));
    if goal == holds(&work(&steps, &[], &Change::Lacks(vec![]))) {
        return None;
    }
    let places = [planted.first(), planted.last(count)];
    match answer(&steps, &spares, goal.clone(), &places) {
        Answer::Changed(found) => {
            for change in &found.changes {
                assert_eq!(holds(&work(&steps, &spares, change)), goal, "seed {seed}: {change:?}");
            }
            Some((planted, found))
        }
        other => panic!("seed {seed}: {planted:?} gives {other:?}"),
    }
}

/// Plants the same kind with many seeds: what is found is never less simple,
/// and the planted one is among what is found often enough.
fn plant_many(seeds: u64, count: usize, most: usize, make: impl Fn(&mut Rng, usize) -> Change) {
    let (mut told, mut same) = (0, 0);
    for seed in 0..seeds {
        let Some((planted, found)) = plant(seed, count, most, &make) else { continue };
        let simpler = size(count, &found.changes[0]) <= size(count, &planted);
        assert!(simpler, "seed {seed}: {planted:?} was planted, {found:?} found");
        told += 1;
        same += u32::from(found.changes.iter().chain(&found.also).any(|change| alike(change, &planted)));
    }
    assert!(told >= 20, "only {told} plants changed the file");
    assert!(same * 3 >= told, "{same} of {told} plants were found as planted");
}

#[test]
fn a_lost_suffix_is_found() {
    plant_many(200, 150, 20, |rng, count| Change::Kept { from: 0, until: count - 4 - rng.below(60) });
}

#[test]
fn a_lost_prefix_is_found_though_guards_decide_otherwise_afterwards() {
    plant_many(200, 150, 60, |rng, _| Change::Kept { from: 4 + rng.below(60), until: 150 });
}

#[test]
fn a_lost_prefix_and_suffix_are_found_together() {
    plant_many(200, 150, 20, |rng, count| Change::Kept {
        from: 4 + rng.below(30),
        until: count - 4 - rng.below(30),
    });
}

#[test]
fn a_lost_window_is_found() {
    plant_many(200, 150, 20, |rng, count| {
        let from = 1 + rng.below(count / 2);
        Change::Window { from, until: from + 4 + rng.below(40) }
    });
}

#[test]
fn a_lost_window_is_found_though_guards_decide_otherwise_afterwards() {
    plant_many(200, 100, 90, |rng, count| {
        let from = 1 + rng.below(count / 2);
        Change::Window { from, until: from + 4 + rng.below(20) }
    });
}

#[test]
fn one_missing_transfer_is_found() {
    plant_many(200, 150, 40, |rng, count| Change::Lacks(vec![rng.below(count)]));
}

#[test]
fn one_that_was_applied_twice_is_found() {
    plant_many(200, 150, 40, |rng, count| Change::Twice(vec![rng.below(count)]));
}

#[test]
fn one_that_the_guard_refuses_is_found() {
    plant_many(200, 150, 80, |rng, count| Change::Unguarded(rng.below(count)));
}

#[test]
fn one_of_unknown_outcome_is_found() {
    plant_many(200, 100, 40, |rng, count| Change::Extra {
        spare: rng.below(3),
        place: count / 2 + rng.below(20),
    });
}

#[test]
fn two_missing_transfers_are_found() {
    plant_many(200, 60, 5, |rng, count| {
        let first = rng.below(count / 2);
        Change::Lacks(vec![first, first + 10 + rng.below(count / 2 - 10)])
    });
}

#[test]
fn one_missing_and_one_applied_twice_are_found() {
    plant_many(200, 60, 5, |rng, count| {
        let lacks = rng.below(count / 2);
        Change::LacksAndTwice { lacks, twice: lacks + 10 + rng.below(count / 2 - 10) }
    });
}

#[test]
fn neighbours_in_another_order_are_found() {
    plant_many(1500, 100, 150, |rng, count| {
        let early = rng.below(count - 4);
        Change::Swapped { early, late: early + 1 + rng.below(2) }
    });
}

#[test]
fn equal_transfers_are_counted() {
    let one = Step { operation: 0, from: 0, to: 1, amount: 7 };
    let steps: Vec<Step> = (0..5).map(|operation| Step { operation, ..one }).collect();
    let Answer::Changed(found) = answer(&steps, &[], holds(&[(one, false); 4]), &[3]) else {
        panic!("nothing")
    };
    assert_eq!(found.changes.len(), 5);
    assert_eq!(
        found.changes[0],
        Change::Lacks(vec![3]),
        "the one nearest to the place of interest comes first"
    );
}

#[test]
fn a_file_that_no_simple_change_gives_is_not_explained() {
    let steps = steps(&mut Rng(1), 60, 20);
    let mut goal = holds(&work(&steps, &[], &Change::Lacks(vec![])));
    assert_eq!(answer(&steps, &[], goal.clone(), &[]), Answer::Same);
    goal[0] = goal[0].map(|balance| balance + 1);
    assert_eq!(
        answer(&steps, &[], goal, &[]),
        Answer::Nothing { cut_short: false },
        "money came from nowhere"
    );
}

#[test]
fn names_count_where_the_files_name_what_was_used() {
    let probe = Step { operation: 0, from: 0, to: 1, amount: 0 };
    let goal: BTreeMap<bool, Answer> = [true, false]
        .map(|names_count| {
            let goal = Goal { balances: vec![None, None], names_count };
            let steps = [probe];
            (names_count, simplest(&mut Replays::new(BankModel::default(), &steps, &[], &goal).unwrap(), &[]))
        })
        .into();
    assert_eq!(goal[&false], Answer::Same);
    assert!(matches!(goal[&true], Answer::Changed(_)), "the replica never saw the probe");
}
