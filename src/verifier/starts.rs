//! How things can stand at a cut, found anew from the lines before it: just-in-time
//! linearization (Lowe 2017) in its plainest form.
//!
//! An operation takes place only when the return of some operation asks for it, which
//! loses no order: what nobody has asked for yet can take place later just as well. Where
//! one way becomes another by an operation that is still open, only the former is kept:
//! that operation can take place later, and whatever follows then follows from it.
//! Believes nothing that the proof says; [`missing`] compares.

use rustc_hash::{FxHashMap, FxHashSet};

use super::{Effort, Moment, Spent, Subject};
use crate::op::Outcome;

/// A state with the operations that took effect and had not returned, ascending.
pub type Standing<State> = (State, Vec<u32>);

/// Every way in which things can stand before the line `cut`, but for those that one of
/// these becomes by operations that are open there.
///
/// # Errors
/// It was not found out within the effort.
pub fn at<S: Subject>(
    subject: &S,
    part: u64,
    cut: u64,
    effort: &mut Effort<'_>,
) -> Result<FxHashSet<Standing<S::State>>, Spent> {
    let mut standings: FxHashSet<Standing<S::State>> = FxHashSet::default();
    standings.insert((subject.initial(), Vec::new()));
    let mut open: Vec<u32> = Vec::new();
    for Event { number, returns, .. } in before(subject, part, cut) {
        if returns {
            standings = after_return(subject, standings, number, &open, effort)?;
            standings = thinned(subject, standings, effort)?;
            open.retain(|&other| other != number);
        } else {
            open.push(number);
        }
    }
    Ok(standings)
}

/// What becomes of `standings` when `goal` returns: by then it must have taken place.
fn after_return<S: Subject>(
    subject: &S,
    standings: FxHashSet<Standing<S::State>>,
    goal: u32,
    open: &[u32],
    effort: &mut Effort<'_>,
) -> Result<FxHashSet<Standing<S::State>>, Spent> {
    let mut next = FxHashSet::default();
    let mut held = 0;
    for standing in standings {
        effort.step(held)?;
        let before = next.len();
        let each = 96 + 8 * open.len() + subject.weight(&standing.0);
        let reached = if standing.1.binary_search(&goal).is_ok() {
            FxHashSet::from_iter([standing])
        } else {
            reachable(subject, vec![standing], open, Some(goal), effort)?
        };
        next.extend(reached.into_iter().map(|(state, mut happened)| {
            happened.retain(|&number| number != goal);
            (state, happened)
        }));
        held += each * (next.len() - before);
    }
    Ok(next)
}

/// Leaves out what another way becomes by one operation more, or by none if nobody knows
/// of that operation whether it took effect.
fn thinned<S: Subject>(
    subject: &S,
    standings: FxHashSet<Standing<S::State>>,
    effort: &mut Effort<'_>,
) -> Result<FxHashSet<Standing<S::State>>, Spent> {
    let mut states: FxHashMap<&[u32], Vec<&S::State>> = FxHashMap::default();
    for (state, happened) in &standings {
        states.entry(happened).or_default().push(state);
    }
    let mut kept = FxHashSet::default();
    for standing in &standings {
        effort.step(0)?;
        let (state, happened) = standing;
        let becomes = |(at, &number): (usize, &u32)| {
            let without = [&happened[..at], &happened[at + 1..]].concat();
            let need_not = subject.span(number as usize).returns.is_none();
            states.get(without.as_slice()).into_iter().flatten().any(|&before| {
                let mut after = before.clone();
                need_not && before == state
                    || subject.step(&mut after, number as usize, true).is_ok() && after == *state
            })
        };
        if !happened.iter().enumerate().any(becomes) {
            kept.insert(standing.clone());
        }
    }
    Ok(kept)
}

/// One of `found` that no start covers: neither is it a start, nor can one become it by
/// operations that are open at the cut ([`crate::proof::Core::start`]).
///
/// # Errors
/// It was not found out within the effort.
pub(super) fn missing<S: Subject>(
    subject: &S,
    starts: &[Standing<S::State>],
    found: FxHashSet<Standing<S::State>>,
    counts: impl Fn(u32) -> bool,
    effort: &mut Effort<'_>,
) -> Result<Option<Standing<S::State>>, Spent> {
    let plain = |(state, happened): &Standing<S::State>| {
        (state.clone(), happened.iter().copied().filter(|&number| counts(number)).collect::<Vec<u32>>())
    };
    let told: FxHashSet<_> = starts.iter().map(plain).collect();
    for standing in found {
        let wanted = plain(&standing);
        if told.contains(&wanted) {
            continue;
        }
        let mut covered = false;
        for start in &told {
            covered = covered || leads(subject, start, &wanted, effort)?;
        }
        if !covered {
            return Ok(Some(standing));
        }
    }
    Ok(None)
}

/// Whether one standing becomes the other by just the operations that it lacks. What
/// need not happen may be left out: whatever follows when it happened follows without it.
fn leads<S: Subject>(
    subject: &S,
    from: &Standing<S::State>,
    to: &Standing<S::State>,
    effort: &mut Effort<'_>,
) -> Result<bool, Spent> {
    if !from.1.iter().all(|number| to.1.binary_search(number).is_ok()) {
        return Ok(false);
    }
    let lacks: Vec<u32> =
        to.1.iter().copied().filter(|number| from.1.binary_search(number).is_err()).collect();
    let reached = reachable(subject, vec![from.clone()], &lacks, None, effort)?;
    let need_not = |number: &u32| subject.span(*number as usize).returns.is_none();
    let becomes = |(state, happened): &Standing<S::State>| {
        *state == to.0
            && lacks.iter().all(|number| happened.binary_search(number).is_ok() || need_not(number))
    };
    Ok(reached.iter().any(becomes))
}

/// What comes of `from` by operations of `open`: all of it, or, with a goal, what stands
/// right after the goal took place, but for what changed nothing on the way there.
fn reachable<S: Subject>(
    subject: &S,
    from: Vec<Standing<S::State>>,
    open: &[u32],
    goal: Option<u32>,
    effort: &mut Effort<'_>,
) -> Result<FxHashSet<Standing<S::State>>, Spent> {
    let (mut seen, mut reached, mut held) = (FxHashSet::default(), FxHashSet::default(), 0);
    let mut waiting = from;
    while let Some((state, happened)) = waiting.pop() {
        held += 96 + 8 * happened.len() + 2 * subject.weight(&state);
        effort.step(held)?;
        if !seen.insert((state.clone(), happened.clone())) {
            continue;
        }
        for &number in open {
            let Err(place) = happened.binary_search(&number) else { continue };
            let mut after = state.clone();
            if subject.step(&mut after, number as usize, true).is_err() {
                continue;
            }
            // What need not happen and changes nothing is better left for later.
            if goal.is_some() && after == state && subject.span(number as usize).returns.is_none() {
                continue;
            }
            let mut with = happened.clone();
            with.insert(place, number);
            if goal == Some(number) {
                reached.insert((after, with));
            } else {
                waiting.push((after, with));
            }
        }
    }
    Ok(if goal.is_some() { reached } else { seen })
}

/// An operation of a part begins or returns.
struct Event {
    moment: Moment,
    number: u32,
    returns: bool,
}

/// What happens in a part before a cut, in order.
fn before<S: Subject>(subject: &S, part: u64, cut: u64) -> Vec<Event> {
    let mut events = Vec::new();
    for number in 0..subject.count() {
        let span = subject.span(number);
        // What somebody observed who was never told is nothing to anybody.
        let idle = span.outcome == Outcome::Info && subject.observes(number);
        if subject.part(number) != part || span.outcome == Outcome::Fail || idle {
            continue;
        }
        let number = number as u32;
        events.push(Event { moment: span.invoke, number, returns: false });
        events.extend(span.returns.map(|moment| Event { moment, number, returns: true }));
    }
    events.retain(|event| event.moment < Moment::from(cut));
    events.sort_unstable_by_key(|event| event.moment);
    events
}
