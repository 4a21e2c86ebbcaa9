//! Is there one legal order of operations that keeps given rules within each session?
//!
//! A depth-first search with a memo of what was seen: what of each session is done,
//! which of the optional operations were used, and the state. States are compared
//! whole. It gives an order, says that there is none, or stops within its budget.
//! Knows nothing of time, nor of what the rules mean.

use std::collections::HashSet;
use std::hash::Hash;

use super::rules::{Item, Rule};

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

    /// About how many bytes a state holds.
    fn weight(&self, state: &Self::State) -> usize;
}

/// What is to be put in order.
#[derive(Debug, Clone, Default)]
pub(super) struct Task {
    /// Operations that must all occur.
    pub sessions: Vec<Vec<Item>>,
    /// What each session demands of the order.
    pub rules: Vec<Rule>,
    /// Operations that may occur once.
    pub optional: Vec<Optional>,
    /// Session and place of all that must occur: what is tried first comes first.
    pub ranked: Vec<(usize, usize)>,
}

/// An operation that may occur once, or not at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Optional {
    /// Which.
    pub operation: usize,
    /// The session that asked it, and how many that must occur it had asked before.
    pub after: (usize, usize),
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

/// What of a session is done.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
struct Done {
    /// So many from its beginning on.
    first: usize,
    /// And these places behind them, ascending.
    beyond: Vec<u32>,
}

impl Done {
    fn has(&self, place: usize) -> bool {
        place < self.first || self.beyond.binary_search(&(place as u32)).is_ok()
    }

    fn add(&mut self, place: usize) {
        if place > self.first {
            let at = self.beyond.partition_point(|&there| (there as usize) < place);
            return self.beyond.insert(at, place as u32);
        }
        self.first += 1;
        let joined = self.beyond.iter().zip(self.first..).take_while(|&(&there, at)| there as usize == at);
        let joined = joined.count();
        self.beyond.drain(..joined);
        self.first += joined;
    }
}

/// A place in the search that can be come back to.
#[derive(Clone)]
struct Place<S> {
    state: S,
    done: Vec<Done>,
    used: Vec<u64>,
    /// A step that promises most and is tried before the others.
    hint: Option<usize>,
    /// The next step to be tried: a place in `ranked`, behind them the optional ones.
    next: usize,
    /// All of `ranked` before this is done.
    low: usize,
    /// Operations in the order when the search came here.
    length: usize,
}

/// Steps that are tried out to find a promising one.
const LOOK: usize = 64;

/// Looks for an order; `go_on` is asked before every step with the bytes that are held,
/// and ends the search by `false`.
pub(super) fn search<M: Machine>(machine: &M, task: &Task, go_on: impl FnMut(usize) -> bool) -> Answer {
    Search { machine, task, go_on, held: 0, order: Vec::new() }.run().unwrap_or(Answer::Unknown)
}

struct Search<'a, M, F> {
    machine: &'a M,
    task: &'a Task,
    go_on: F,
    held: usize,
    order: Vec<usize>,
}

impl<M: Machine, F: FnMut(usize) -> bool> Search<'_, M, F> {
    /// `None` if the budget ran out.
    fn run(mut self) -> Option<Answer> {
        let mut seen = HashSet::new();
        let mut stack = Vec::new();
        let mut coming = Some(Place {
            state: self.machine.initial(),
            done: vec![Done::default(); self.task.sessions.len()],
            used: vec![0; self.task.optional.len().div_ceil(64)],
            hint: None,
            next: 0,
            low: 0,
            length: 0,
        });
        loop {
            if let Some(mut place) = coming.take() {
                self.observe(&mut place)?;
                let left = |(done, session): (&Done, &Vec<Item>)| done.first < session.len();
                if !place.done.iter().zip(&self.task.sessions).any(left) {
                    return Some(Answer::Yes(self.order));
                }
                if seen.insert((place.done.clone(), place.used.clone(), place.state.clone())) {
                    self.held += 2 * self.weight(&place);
                    self.prepare(&mut place)?;
                    stack.push(place);
                }
            }
            let Some(place) = stack.last_mut() else { return Some(Answer::No) };
            self.order.truncate(place.length);
            match self.next_step(place)? {
                Some(step) => coming = self.take(place, step),
                None => drop(stack.pop()),
            }
        }
    }

    fn tick(&mut self) -> Option<()> {
        (self.go_on)(self.held).then_some(())
    }

    fn weight(&self, place: &Place<M::State>) -> usize {
        let beyond: usize = place.done.iter().map(|done| 4 * done.beyond.capacity()).sum();
        let fixed = size_of::<Place<M::State>>() + place.done.len() * size_of::<Done>();
        fixed + beyond + 8 * place.used.len() + self.machine.weight(&place.state)
    }

    /// Pure observations that are legal and allowed now need no other place: whatever
    /// order there is from here, they can be moved to its front.
    fn observe(&mut self, place: &mut Place<M::State>) -> Option<()> {
        for (session, items) in self.task.sessions.iter().enumerate() {
            let rule = self.task.rules[session];
            let mut at = place.done[session].first;
            while let Some(item) = items.get(at) {
                self.tick()?;
                if !place.done[session].has(at) {
                    let legal = self.machine.observes(item.operation)
                        && self.allowed(place, session, at)
                        && self.machine.apply(&place.state, item.operation).is_some();
                    if legal {
                        self.order.push(item.operation);
                        place.done[session].add(at);
                    } else if rule.holds_up_all(item) {
                        break;
                    }
                }
                at += 1;
            }
        }
        place.length = self.order.len();
        Some(())
    }

    /// Whether all that the session's rule wants before it is done.
    fn allowed(&self, place: &Place<M::State>, session: usize, at: usize) -> bool {
        let (items, done, rule) =
            (&self.task.sessions[session], &place.done[session], self.task.rules[session]);
        (done.first..at).all(|before| !rule.demands(items, before, at) || done.has(before))
    }

    /// Whether a step can be taken here, as far as rules go.
    fn open(&self, place: &Place<M::State>, step: usize) -> bool {
        if let Some(&(session, at)) = self.task.ranked.get(step) {
            return !place.done[session].has(at) && self.allowed(place, session, at);
        }
        let at = step - self.task.ranked.len();
        let (session, before) = self.task.optional[at].after;
        let begun = self.task.rules[session] != Rule::Program || place.done[session].first >= before;
        place.used[at / 64] >> (at % 64) & 1 == 0 && begun
    }

    fn operation(&self, step: usize) -> usize {
        match self.task.ranked.get(step) {
            Some(&(session, at)) => self.task.sessions[session][at].operation,
            None => self.task.optional[step - self.task.ranked.len()].operation,
        }
    }

    /// Puts in front a step after which the most urgent observation is right.
    fn prepare(&mut self, place: &mut Place<M::State>) -> Option<()> {
        let ranked = &self.task.ranked;
        while ranked.get(place.low).is_some_and(|&(session, at)| place.done[session].has(at)) {
            place.low += 1;
        }
        place.next = place.low;
        let near = place.low..ranked.len().min(place.low + 4 * LOOK);
        let waits = |&step: &usize| self.machine.observes(self.operation(step)) && self.open(place, step);
        let Some(goal) = near.clone().find(waits).map(|step| self.operation(step)) else { return Some(()) };
        let all = ranked.len() + self.task.optional.len();
        let optional = ranked.len()..all.min(ranked.len() + 4 * LOOK);
        let mut looked = 0;
        for step in near.chain(optional) {
            if looked == LOOK {
                break;
            }
            if !self.open(place, step) {
                continue;
            }
            self.tick()?;
            looked += 1;
            let after = self.machine.apply(&place.state, self.operation(step));
            if after.is_some_and(|after| self.machine.apply(&after, goal).is_some()) {
                place.hint = Some(step);
                break;
            }
        }
        Some(())
    }

    /// The next step to be tried from here; within `Some`, `None` if there is none left.
    fn next_step(&mut self, place: &mut Place<M::State>) -> Option<Option<usize>> {
        if let Some(hint) = place.hint.take() {
            return Some(Some(hint));
        }
        while place.next < self.task.ranked.len() + self.task.optional.len() {
            self.tick()?;
            place.next += 1;
            if self.open(place, place.next - 1) {
                return Some(Some(place.next - 1));
            }
        }
        Some(None)
    }

    fn take(&mut self, place: &Place<M::State>, step: usize) -> Option<Place<M::State>> {
        let operation = self.operation(step);
        let state = self.machine.apply(&place.state, operation)?;
        let mut after = Place { state, hint: None, ..place.clone() };
        match self.task.ranked.get(step) {
            Some(&(session, at)) => after.done[session].add(at),
            None if after.state == place.state => return None,
            None => {
                let at = step - self.task.ranked.len();
                after.used[at / 64] |= 1 << (at % 64);
            }
        }
        self.order.push(operation);
        Some(after)
    }
}
