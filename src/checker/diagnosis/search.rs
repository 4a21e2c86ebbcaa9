//! Is there one legal order of operations that keeps given chains in order?
//!
//! A depth-first search with a memo of what was seen: how far each chain is, which of
//! the free operations were used, and the state. It gives an order, says that there is
//! none, or stops within its budget. Knows nothing of time, nor of what the chains
//! mean.

use std::collections::HashSet;
use std::hash::Hash;

/// A state machine with numbered operations.
pub trait Machine {
    /// Everything that a later operation can depend on.
    type State: Clone + Eq + Hash;

    /// The state before anything happened.
    fn initial(&self) -> Self::State;

    /// The state afterwards; `None` if the operation cannot have its result here.
    fn apply(&self, state: &Self::State, operation: usize) -> Option<Self::State>;

    /// Whether the operation changes no state whatsoever.
    fn observes(&self, operation: usize) -> bool;
}

/// What is to be put in order.
#[derive(Debug, Clone, Default)]
pub struct Task {
    /// Operations that must all occur, each chain in its order.
    pub chains: Vec<Vec<usize>>,
    /// Operations that may occur once: not before so many of a chain have.
    pub free: Vec<Free>,
    /// By operation: the least is tried first.
    pub rank: Vec<u64>,
}

/// An operation that may occur once, or not at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Free {
    /// Which.
    pub operation: usize,
    /// The chain and how many of its operations come before, if any must.
    pub after: Option<(usize, usize)>,
}

/// How a search ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// A legal order.
    Yes(Vec<usize>),
    /// There is none.
    No,
    /// Not found out.
    Unknown,
}

/// A place in the search that can be come back to.
struct Place<S> {
    state: S,
    done: Vec<u32>,
    used: Vec<u64>,
    /// Steps that can still be tried from here, the most promising last.
    open: Vec<Step>,
    /// Operations in the order when the search came here.
    length: usize,
}

#[derive(Clone, Copy)]
enum Step {
    Chain(usize),
    Free(usize),
}

/// Looks for an order; `go_on` is asked before every step with the number of places in
/// the memo, and ends the search by `false`.
pub fn search<M: Machine>(machine: &M, task: &Task, mut go_on: impl FnMut(usize) -> bool) -> Answer {
    let mut order: Vec<usize> = Vec::new();
    let mut seen = HashSet::new();
    let first = Place {
        state: machine.initial(),
        done: vec![0; task.chains.len()],
        used: vec![0; task.free.len().div_ceil(64)],
        open: Vec::new(),
        length: 0,
    };
    let mut stack = Vec::new();
    let mut next = Some(first);
    loop {
        if let Some(mut place) = next.take() {
            observe(machine, task, &mut place, &mut order);
            if task.chains.iter().zip(&place.done).all(|(chain, &done)| done as usize == chain.len()) {
                return Answer::Yes(order);
            }
            if seen.insert((place.done.clone(), place.used.clone(), place.state.clone())) {
                place.open = steps(task, &place);
                stack.push(place);
            }
        }
        let Some(place) = stack.last_mut() else { return Answer::No };
        if !go_on(seen.len()) {
            return Answer::Unknown;
        }
        order.truncate(place.length);
        match place.open.pop() {
            Some(step) => next = take(machine, task, place, step, &mut order),
            None => drop(stack.pop()),
        }
    }
}

/// Pure observations that are legal now need no other place: whatever order there is
/// from here, they can be moved to its front.
fn observe<M: Machine>(machine: &M, task: &Task, place: &mut Place<M::State>, order: &mut Vec<usize>) {
    for (chain, done) in task.chains.iter().zip(&mut place.done) {
        while let Some(&operation) = chain.get(*done as usize)
            && machine.observes(operation)
            && machine.apply(&place.state, operation).is_some()
        {
            order.push(operation);
            *done += 1;
        }
    }
    place.length = order.len();
}

/// What may come next: the chains by the rank of their next operation,
/// and then those that are free.
fn steps<S>(task: &Task, place: &Place<S>) -> Vec<Step> {
    let left = |&chain: &usize| (place.done[chain] as usize) < task.chains[chain].len();
    let mut chains: Vec<usize> = (0..task.chains.len()).filter(left).collect();
    let rank = |chain: usize| task.rank.get(task.chains[chain][place.done[chain] as usize]).copied();
    chains.sort_by_key(|&chain| rank(chain));
    let unused = |&at: &usize| place.used[at / 64] >> (at % 64) & 1 == 0;
    let begun =
        |&at: &usize| task.free[at].after.is_none_or(|(chain, before)| place.done[chain] as usize >= before);
    let free = (0..task.free.len()).filter(unused).filter(begun).map(Step::Free);
    let mut steps: Vec<Step> = chains.into_iter().map(Step::Chain).chain(free).collect();
    steps.reverse();
    steps
}

fn take<M: Machine>(
    machine: &M,
    task: &Task,
    place: &Place<M::State>,
    step: Step,
    order: &mut Vec<usize>,
) -> Option<Place<M::State>> {
    let (mut done, mut used) = (place.done.clone(), place.used.clone());
    let operation = match step {
        Step::Chain(chain) => {
            done[chain] += 1;
            task.chains[chain][done[chain] as usize - 1]
        }
        Step::Free(at) => {
            used[at / 64] |= 1 << (at % 64);
            task.free[at].operation
        }
    };
    let state = machine.apply(&place.state, operation)?;
    if matches!(step, Step::Free(_)) && state == place.state {
        return None;
    }
    order.push(operation);
    Some(Place { state, done, used, open: Vec::new(), length: order.len() })
}
