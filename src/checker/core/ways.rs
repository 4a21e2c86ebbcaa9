//! The ways in which things can stand at a cut, by one plain pass forward from the
//! beginning to where no way is left.
//!
//! Just-in-time linearization (Lowe 2017) over the lines. Only such ways are kept as
//! no other leads to by letting operations that are still open happen: what is left
//! out is reached from what is kept by operations that stay open, and so is whatever
//! comes of it. Kept ways are few, however many indeterminate operations never took
//! effect. Shares nothing with the engine that found the violation.

use std::collections::VecDeque;

use rustc_hash::FxHashSet;

use super::window::{Item, Machine, Way};
use crate::checker::linearizability::Stop;
use crate::checker::linearizability::budget::Meter;

/// The most ways that a core may list.
pub(super) const MOST: usize = 64;
/// Ways kept between returns, and steps on the way to one return, before it is given up.
const BOUND: usize = 20_000;
/// Most operations by which one way may be ahead of another to be left out.
const AHEAD: usize = 4;

/// A cut with the ways things can stand there.
pub(super) struct Cut<S> {
    pub at: u64,
    pub ways: Vec<Way<S>>,
}

/// How far the lines can be explained.
pub(super) struct Passed<S> {
    /// The last lines of invocations, ascending, each with the ways in which things can
    /// stand there, where these are at most [`MOST`].
    pub cuts: Vec<Cut<S>>,
    /// Line of the first return by which no way is left.
    pub dead: u64,
}

/// Goes forward until no way is left and keeps the last `keep` cuts before that.
/// `None`: some way is left at the end.
///
/// # Errors
/// The budget ran out, or there are too many ways on the way.
pub(super) fn pass<M: Machine>(
    machine: &M,
    items: &[Item],
    initial: M::State,
    keep: usize,
    meter: &mut Meter,
) -> Result<Option<Passed<M::State>>, Stop> {
    let mut returns: Vec<(u64, Item)> =
        items.iter().filter_map(|item| Some((item.returns?, *item))).collect();
    returns.sort_unstable_by_key(|&(line, _)| line);
    let ways = vec![Way { state: initial, happened: Vec::new() }];
    let mut forward = Forward { machine, open: Vec::new(), ways, meter };
    let (mut invokes, mut cuts) = (items.iter().peekable(), VecDeque::new());
    for (line, returned) in &returns {
        while let Some(item) = invokes.next_if(|item| item.invoke < *line) {
            if forward.ways.len() <= MOST && item.invoke > 0 {
                keep_last(&mut cuts, keep, Cut { at: item.invoke, ways: forward.ways.clone() });
            }
            forward.open.push(*item);
        }
        forward.returned(returned)?;
        if forward.ways.is_empty() {
            return Ok(Some(Passed { cuts: cuts.into(), dead: *line }));
        }
    }
    Ok(None)
}

/// Final files are asked for at one line: it is one cut.
fn keep_last<S>(cuts: &mut VecDeque<Cut<S>>, keep: usize, cut: Cut<S>) {
    if cuts.back().is_none_or(|last| last.at < cut.at) {
        cuts.push_back(cut);
    }
    if cuts.len() > keep {
        cuts.pop_front();
    }
}

struct Forward<'a, M: Machine> {
    machine: &'a M,
    open: Vec<Item>,
    ways: Vec<Way<M::State>>,
    meter: &'a mut Meter,
}

impl<M: Machine> Forward<'_, M> {
    fn returned(&mut self, target: &Item) -> Result<(), Stop> {
        let mut after: FxHashSet<(M::State, Vec<u32>)> = FxHashSet::default();
        let mut seen: FxHashSet<(M::State, Vec<u32>)> = FxHashSet::default();
        let mut stack = std::mem::take(&mut self.ways);
        while let Some(mut way) = stack.pop() {
            self.meter.tick(seen.len() + after.len() + stack.len())?;
            if let Ok(at) = way.happened.binary_search(&target.number) {
                way.happened.remove(at);
                after.insert((way.state, way.happened));
            } else if seen.insert((way.state.clone(), way.happened.clone())) {
                self.steps(&way, &mut stack);
            }
            if seen.len() + after.len() > BOUND {
                return Err(Stop::Memory);
            }
        }
        self.open.retain(|open| open.number != target.number);
        self.ways = self.thin(after)?;
        Ok(())
    }

    /// Every way that one more operation makes.
    fn steps(&self, way: &Way<M::State>, into: &mut Vec<Way<M::State>>) {
        for item in &self.open {
            if let Err(at) = way.happened.binary_search(&item.number)
                && let Some(state) = self.machine.apply(&way.state, item.number, item.told)
                // What need not happen and changes nothing can as well come later.
                && (item.returns.is_some() || state != way.state)
            {
                let mut happened = way.happened.clone();
                happened.insert(at, item.number);
                into.push(Way { state, happened });
            }
        }
    }

    /// Leaves out what another one leads to.
    fn thin(&mut self, ways: FxHashSet<(M::State, Vec<u32>)>) -> Result<Vec<Way<M::State>>, Stop> {
        let mut ways: Vec<Way<M::State>> =
            ways.into_iter().map(|(state, happened)| Way { state, happened }).collect();
        ways.sort_by(|one, other| {
            (one.happened.len(), &one.happened).cmp(&(other.happened.len(), &other.happened))
        });
        let mut kept: Vec<Way<M::State>> = Vec::new();
        for way in ways {
            self.meter.tick(kept.len())?;
            if !kept.iter().any(|less| self.leads(less, &way)) {
                kept.push(way);
            }
        }
        Ok(kept)
    }

    /// Whether operations that are still open lead from one way to the other.
    fn leads(&self, from: &Way<M::State>, to: &Way<M::State>) -> bool {
        let holds = |number: &u32| to.happened.binary_search(number).is_ok();
        if from.happened.len() > to.happened.len() || !from.happened.iter().all(holds) {
            return false;
        }
        let missing: Vec<u32> = to
            .happened
            .iter()
            .copied()
            .filter(|number| from.happened.binary_search(number).is_err())
            .collect();
        missing.len() <= AHEAD && self.reaches(&from.state, &missing, &to.state)
    }

    /// Whether some order of these operations leads from one state to the other. One that
    /// need not happen may be left out: whatever follows when it happened follows without.
    fn reaches(&self, from: &M::State, missing: &[u32], to: &M::State) -> bool {
        let open = |number: u32| self.open.iter().find(|open| open.number == number);
        let need_not = |&number: &u32| open(number).is_some_and(|open| open.returns.is_none());
        if from == to && missing.iter().all(need_not) {
            return true;
        }
        missing.iter().enumerate().any(|(at, &number)| {
            let told = open(number).is_some_and(|open| open.told);
            let mut rest = missing.to_vec();
            rest.remove(at);
            self.machine.apply(from, number, told).is_some_and(|state| self.reaches(&state, &rest, to))
        })
    }
}
