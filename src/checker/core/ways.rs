//! The ways in which things can stand at a cut: all of them, by a plain search
//! forward from the beginning.
//!
//! Just-in-time linearization (Lowe 2017) over the lines before the cut. Between
//! returns only such ways are kept as no other leads to by letting operations that
//! are still open happen; at a cut they are all made from these. Both together
//! give exactly the ways that every order of the lines before the cut gives: what is
//! left out is reached from what is kept by operations that stay open, and so does
//! whatever comes of it. Shares nothing with the engine that found the violation.

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

/// For each of some lines, ascending, all ways things can stand there; a line with
/// more than [`MOST`] of them is left out, and one with none: the lines before it
/// contradict one another already.
///
/// # Errors
/// The budget ran out, or there are too many ways on the way.
pub(super) fn at_cuts<M: Machine>(
    machine: &M,
    items: &[Item],
    initial: M::State,
    cuts: &[u64],
    meter: &mut Meter,
) -> Result<Vec<Cut<M::State>>, Stop> {
    let mut returns: Vec<(u64, Item)> =
        items.iter().filter_map(|item| Some((item.returns?, *item))).collect();
    returns.sort_unstable_by_key(|&(line, _)| line);
    let mut forward = Forward {
        machine,
        open: Vec::new(),
        ways: vec![Way { state: initial, happened: Vec::new() }],
        meter,
    };
    let (mut invokes, mut returns, mut found) = (items.iter().peekable(), returns.iter().peekable(), vec![]);
    for &at in cuts {
        loop {
            let returned = returns.peek().map_or(u64::MAX, |(line, _)| *line);
            if let Some(item) = invokes.next_if(|item| item.invoke < returned.min(at)) {
                forward.open.push(*item);
            } else if let Some((_, item)) = returns.next_if(|_| returned < at) {
                forward.returned(item)?;
            } else {
                break;
            }
        }
        let ways = forward.all()?.filter(|ways| !ways.is_empty());
        found.extend(ways.map(|ways| Cut { at, ways }));
    }
    Ok(found)
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
        ways.sort_by_key(|way| way.happened.len());
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

    /// Whether some order of these operations leads from one state to the other.
    fn reaches(&self, from: &M::State, missing: &[u32], to: &M::State) -> bool {
        if missing.is_empty() {
            return from == to;
        }
        missing.iter().enumerate().any(|(at, &number)| {
            let told = self.open.iter().any(|open| open.number == number && open.told);
            let mut rest = missing.to_vec();
            rest.remove(at);
            self.machine.apply(from, number, told).is_some_and(|state| self.reaches(&state, &rest, to))
        })
    }

    /// Every way, in a fixed order; `None` if there are too many.
    fn all(&mut self) -> Result<Option<Vec<Way<M::State>>>, Stop> {
        let mut seen: FxHashSet<(M::State, Vec<u32>)> = FxHashSet::default();
        let (mut stack, mut all) = (self.ways.clone(), Vec::new());
        while let Some(way) = stack.pop() {
            self.meter.tick(seen.len())?;
            if seen.insert((way.state.clone(), way.happened.clone())) {
                self.steps(&way, &mut stack);
                all.push(way);
            }
            if all.len() > MOST {
                return Ok(None);
            }
        }
        all.sort_by(|one, other| {
            (one.happened.len(), &one.happened).cmp(&(other.happened.len(), &other.happened))
        });
        Ok(Some(all))
    }
}
