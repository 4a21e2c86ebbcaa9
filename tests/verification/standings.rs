//! The ways in which things can stand at a cut, as the verifier finds them, against all
//! of them: each is one that it found, or comes of one by operations that are open.

use std::collections::HashSet;

use rsm_check::op::Outcome;
use rsm_check::verifier::{Effort, Standing, Subject, standings};

use super::others::oracle::Kind;
use super::{bank, other, others};

type All<S> = HashSet<Standing<<S as Subject>::State>>;

/// Lets everything that is open happen at every time.
fn plainly<S: Subject>(subject: &S, part: u64, cut: u64) -> All<S> {
    let mut events = Vec::new();
    for number in (0..subject.count()).filter(|&number| subject.part(number) == part) {
        let span = subject.span(number);
        if span.outcome != Outcome::Fail {
            events.push((span.invoke, number as u32, false));
            events.extend(span.returns.map(|moment| (moment, number as u32, true)));
        }
    }
    events.retain(|event| event.0 < u128::from(cut));
    events.sort_unstable();
    let mut open: Vec<u32> = Vec::new();
    let mut all: All<S> = HashSet::from([(subject.initial(), Vec::new())]);
    for (_, number, returns) in events {
        if !returns {
            open.push(number);
            continue;
        }
        let by_then = closure(subject, all, &open).into_iter();
        let explained = by_then.filter_map(|(state, mut happened)| {
            happened.remove(happened.binary_search(&number).ok()?);
            Some((state, happened))
        });
        all = explained.collect();
        open.retain(|&other| other != number);
    }
    closure(subject, all, &open)
}

/// Whatever comes of these by `open` operations.
fn closure<S: Subject>(subject: &S, from: All<S>, open: &[u32]) -> All<S> {
    let (mut seen, mut waiting) = (HashSet::new(), Vec::from_iter(from));
    while let Some(one) = waiting.pop() {
        for &number in open {
            let Err(at) = one.1.binary_search(&number) else { continue };
            let (mut after, mut with) = one.clone();
            if subject.step(&mut after, number as usize, true).is_ok() {
                with.insert(at, number);
                if !seen.contains(&(after.clone(), with.clone())) {
                    waiting.push((after, with));
                }
            }
        }
        seen.insert(one);
    }
    seen
}

/// Whether one becomes the other by just the operations that it lacks; those of which
/// nobody knows may be left out.
fn becomes<S: Subject>(subject: &S, one: &Standing<S::State>, other: &Standing<S::State>) -> bool {
    if !one.1.iter().all(|number| other.1.contains(number)) {
        return false;
    }
    let lacks: Vec<u32> = other.1.iter().copied().filter(|number| !one.1.contains(number)).collect();
    let need_not = |number: &u32| subject.span(*number as usize).returns.is_none();
    closure(subject, HashSet::from([one.clone()]), &lacks).iter().any(|(state, happened)| {
        *state == other.0 && lacks.iter().all(|number| happened.contains(number) || need_not(number))
    })
}

/// How many ways are found, and how many there are.
fn compared<S: Subject>(subject: &S, cut: u64, what: &str) -> [usize; 2] {
    let parts: HashSet<u64> = (0..subject.count()).map(|number| subject.part(number)).collect();
    let mut counts = [0, 0];
    for part in parts {
        let found = standings(subject, part, cut, &mut Effort::new(&|| false, 1 << 30)).unwrap();
        let all = plainly(subject, part, cut);
        assert!(found.iter().all(|one| all.contains(one)), "{what}, cut {cut}: one is made up");
        let covered = |one: &Standing<S::State>| found.iter().any(|start| becomes(subject, start, one));
        assert!(all.iter().all(covered), "{what}, cut {cut}: a way is not covered");
        counts = [counts[0] + found.len(), counts[1] + all.len()];
    }
    counts
}

#[test]
fn every_way_in_which_things_can_stand_comes_of_one_that_is_found() {
    for kind in Kind::ALL {
        let mut counts = [0, 0];
        for seed in 0..1_000 {
            let case = others::small::case(kind, seed, 8);
            let more = compared(&other(kind, &case), seed % 17, &case.text());
            counts = [counts[0] + more[0], counts[1] + more[1]];
        }
        assert!(counts[0] > 500 && counts[0] < counts[1], "{kind:?}: {counts:?}");
    }
    for seed in 0..1_000 {
        let case = bank::small::case(seed, 7);
        compared(&super::bank(&case), seed % 15, &format!("seed {seed}: {case:?}"));
    }
}
