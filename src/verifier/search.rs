//! Looks for an order plainly: depth first, as Wing and Gong (1993), with Lowe's (2017)
//! memo of what was seen.
//!
//! Not fast, and meant not to be: what it says is easy to believe. It keeps its own
//! stack, so that no core makes it overflow. Knows nothing of cores and cuts.

use rustc_hash::FxHashSet;

use super::constraints::Task;
use super::{Effort, Moment, Spent, Subject};

/// An order that does all `tasks` (sorted by invocation) from `start`, as numbers of
/// operations; `None` if there is none.
///
/// # Errors
/// It was not found out within the effort.
pub(super) fn order<S: Subject>(
    subject: &S,
    tasks: &[Task],
    start: S::State,
    effort: &mut Effort<'_>,
) -> Result<Option<Vec<u32>>, Spent> {
    let done = vec![0; tasks.len().div_ceil(64)];
    let mut search = Search { subject, tasks, done, seen: FxHashSet::default(), held: 0 };
    search.run(start, effort)
}

struct Search<'a, S: Subject> {
    subject: &'a S,
    tasks: &'a [Task],
    /// A bit for each task that is done.
    done: Vec<u64>,
    seen: FxHashSet<(Vec<u64>, S::State)>,
    held: usize,
}

/// A place on the way.
struct Place<State> {
    state: State,
    /// The task that led here.
    by: Option<usize>,
    /// The next task to try.
    at: usize,
    /// A task invoked from here on comes after one that must be done first; `None`:
    /// nothing must be done any more.
    horizon: Option<Moment>,
}

impl<S: Subject> Search<'_, S> {
    fn run(&mut self, start: S::State, effort: &mut Effort<'_>) -> Result<Option<Vec<u32>>, Spent> {
        let mut way = vec![self.place(start, None)];
        while let Some(place) = way.last_mut() {
            if place.horizon.is_none() {
                let order = way.iter().filter_map(|place| Some(self.tasks[place.by?].number as u32));
                return Ok(Some(order.collect()));
            }
            effort.step(self.held)?;
            match self.next(place) {
                Some((task, state)) => {
                    self.turn(task);
                    self.held += 64 + 8 * self.done.len() + self.subject.weight(&state);
                    if self.seen.insert((self.done.clone(), state.clone())) {
                        way.push(self.place(state, Some(task)));
                    } else {
                        self.turn(task);
                    }
                }
                None => {
                    let left = way.pop();
                    left.and_then(|left| left.by).into_iter().for_each(|task| self.turn(task));
                }
            }
        }
        Ok(None)
    }

    fn is_done(&self, task: usize) -> bool {
        self.done[task / 64] >> (task % 64) & 1 == 1
    }

    fn turn(&mut self, task: usize) {
        self.done[task / 64] ^= 1 << (task % 64);
    }

    fn place(&self, state: S::State, by: Option<usize>) -> Place<S::State> {
        let mut horizon: Option<Moment> = None;
        for (at, task) in self.tasks.iter().enumerate() {
            if horizon.is_some_and(|horizon| task.invoke > horizon) {
                break;
            }
            if let Some(deadline) = task.deadline.filter(|_| !self.is_done(at)) {
                horizon = Some(horizon.map_or(deadline, |horizon| horizon.min(deadline)));
            }
        }
        Place { state, by, at: 0, horizon }
    }

    /// The next task that can come here, and the state after it.
    fn next(&self, place: &mut Place<S::State>) -> Option<(usize, S::State)> {
        while let Some(task) = self.tasks.get(place.at) {
            let at = place.at;
            place.at += 1;
            if place.horizon.is_none_or(|horizon| task.invoke > horizon) {
                return None;
            }
            if self.is_done(at) {
                continue;
            }
            let mut state = place.state.clone();
            let came = self.subject.step(&mut state, task.number, task.result).is_ok();
            // What need not happen and changes nothing need not be tried.
            if came && (task.deadline.is_some() || state != place.state) {
                return Some((at, state));
            }
        }
        None
    }
}
