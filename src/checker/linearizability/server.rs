//! One step of a server that works off operations in about the order of invocation.
//!
//! A guess at how the history came about: an indeterminate operation took effect
//! soon after its invocation, unless the guard refused it, or it was lost with its
//! neighbours. What contradicts that costs; what contradicts the next observation
//! of an account ends the guess. The result is only ever an order to be replayed,
//! so that nothing here needs to be complete. Knows nothing of how many guesses
//! are kept.

use super::arrivals::{Arrivals, Kind, NEVER};
use super::problem::{Effect, Op};
use crate::checker::bank::BankModel;

/// Words of the window of operations that may be out of order.
const WORDS: usize = 4;
/// Operations in that window.
const WINDOW: u32 = 64 * WORDS as u32;
/// An indeterminate operation is taken for lost once so many in its window came before it.
const LATE: u32 = 160;
/// Indeterminate operations that may overtake one another.
const OVERTAKE: u32 = 6;

// Costs, in units of one operation that returns earlier being passed over. Replies
// are seldom out of order; what is lost is mostly lost together with its neighbours.

/// An indeterminate operation is passed over, or passes over another operation.
const PASSED: u32 = 8;
/// One is lost though the one before was not.
const LOST: u32 = 64;
/// One is not lost though the one before was.
const FOUND: u32 = 48;

/// What the server did so far, as far as it still matters: `[next undecided
/// operation, last was lost] [decided; WORDS] [balance; accounts]`.
pub type State = Box<[u64]>;

/// What became of one operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deed {
    /// It was worked off, whatever its effect.
    Done(u32),
    /// It never arrived.
    Lost,
}

/// A next state.
pub struct Next {
    /// What is reached.
    pub state: State,
    /// By what.
    pub deed: Deed,
    /// How unlikely that looks.
    pub cost: u32,
}

/// The rules of the guess.
pub struct Server<'a> {
    /// What is worked off.
    pub arrivals: &'a Arrivals,
    /// What it does.
    pub model: &'a BankModel,
}

/// Where balances begin in a state.
const BALANCES: usize = 1 + WORDS;

impl Server<'_> {
    /// Before the first operation.
    pub fn start(&self) -> State {
        let mut state = vec![0; BALANCES];
        state.extend(std::iter::repeat_n(self.model.initial as u64, self.arrivals.accounts()));
        state.into()
    }

    /// Everything that the server may do next; some operation must be undecided.
    pub fn steps(&self, state: &State, out: &mut Vec<Next>) {
        if self.arrivals.list[base(state) as usize].perhaps() && ahead(state) > LATE {
            return self.lost(state, base(state), out);
        }
        let open = self.open(state);
        // What only observes changes nothing for the others, so it need not wait.
        if let Some(&at) = open.iter().find(|&&at| self.observes(state, at)) {
            return self.done(state, at, 0, |_| (), out);
        }
        let mut passed = 0;
        for (waiting, &at) in (0..).zip(&open) {
            match &self.arrivals.list[at as usize].kind {
                Kind::Known(op) => self.known(state, at, op, PASSED * passed, &open, out),
                Kind::Blind(effect) => {
                    let cost = PASSED * passed + self.earlier_returns(&open, at);
                    self.done(state, at, cost, |next| self.effect(next, effect), out);
                }
                Kind::Perhaps(effect) => {
                    self.perhaps(state, at, effect, waiting, passed, out);
                    passed += 1;
                }
            }
        }
    }

    /// Undecided operations that real time allows to come next.
    fn open(&self, state: &State) -> Vec<u32> {
        let (base, list) = (base(state), &self.arrivals.list);
        let (mut first_return, mut open) = (NEVER, Vec::new());
        for at in base..list.len().min(base as usize + WINDOW as usize) as u32 {
            let arrival = &list[at as usize];
            if arrival.invoked > first_return {
                break;
            }
            if !decided(state, at) {
                first_return = first_return.min(arrival.returned);
                open.push(at);
            }
        }
        open
    }

    /// Whether an operation that can only observe sees what there is.
    fn observes(&self, state: &State, at: u32) -> bool {
        match &self.arrivals.list[at as usize].kind {
            Kind::Known(op) => op.can_stay && op.before.is_none() && holds(state, op.nodes()),
            _ => false,
        }
    }

    fn known(&self, state: &State, at: u32, op: &Op, cost: u32, open: &[u32], out: &mut Vec<Next>) {
        if op.can_stay && holds(state, op.nodes()) {
            self.done(state, at, cost + self.earlier_returns(open, at), |_| (), out);
        }
        if op.needs().is_some_and(|needs| holds(state, &needs)) {
            let leave = |next: &mut State| {
                op.nodes().iter().for_each(|&(account, value)| set(next, account, value));
            };
            self.done(state, at, cost + self.earlier_returns(open, at), leave, out);
        }
    }

    /// It takes effect, or is refused, or (the first of those that are open) is lost.
    fn perhaps(
        &self,
        state: &State,
        at: u32,
        effect: &Effect,
        waiting: u32,
        passed: u32,
        out: &mut Vec<Next>,
    ) {
        if passed < OVERTAKE {
            let cost = PASSED * waiting + if was_lost(state) { FOUND } else { 0 };
            self.done(state, at, cost, |next| self.effect(next, effect), out);
        }
        if passed == 0 {
            self.lost(state, at, out);
        }
    }

    fn earlier_returns(&self, open: &[u32], at: u32) -> u32 {
        let returned = |at: u32| self.arrivals.list[at as usize].returned;
        open.iter().filter(|&&other| returned(other) < returned(at)).count() as u32
    }

    fn done(&self, state: &State, at: u32, cost: u32, change: impl Fn(&mut State), out: &mut Vec<Next>) {
        let mut next = state.clone();
        change(&mut next);
        let arrival = &self.arrivals.list[at as usize];
        if arrival.perhaps() {
            set_lost(&mut next, false);
        }
        self.push(next, at, Deed::Done(arrival.number), cost, out);
    }

    fn lost(&self, state: &State, at: u32, out: &mut Vec<Next>) {
        let mut next = state.clone();
        let cost = if was_lost(&next) { 0 } else { LOST };
        set_lost(&mut next, true);
        self.push(next, at, Deed::Lost, cost, out);
    }

    /// Keeps a next state unless what is observed next contradicts it.
    fn push(&self, mut state: State, at: u32, deed: Deed, cost: u32, out: &mut Vec<Next>) {
        decide(&mut state, at, self.arrivals.list.len() as u32);
        let mut neighbours = self.arrivals.neighbours(at, base(&state));
        if neighbours.all(|(account, touching)| self.hopeful(&state, account, touching)) {
            out.push(Next { state, deed, cost });
        }
    }

    fn effect(&self, state: &mut State, effect: &Effect) {
        let (from, to) = (balance(state, effect.from), balance(state, effect.to));
        if let Some([from, to]) = self.model.transfer(from, to, effect.amount) {
            set(state, effect.from, from);
            set(state, effect.to, to);
        }
    }

    /// Whether what is observed next of an account can be what it holds, or
    /// something unknown may still change it before; `touching`: what touches it.
    fn hopeful(&self, state: &State, account: u32, touching: &[u32]) -> bool {
        let (held, mut first_return) = (balance(state, account), NEVER);
        for &at in touching {
            let arrival = &self.arrivals.list[at as usize];
            if arrival.invoked > first_return {
                return false;
            }
            if decided(state, at) {
                continue;
            }
            let Kind::Known(op) = &arrival.kind else { return true };
            let found = |nodes: &[(u32, i64)]| nodes.contains(&(account, held));
            if op.needs().is_some_and(|needs| found(&needs)) || (op.can_stay && found(op.nodes())) {
                return true;
            }
            first_return = first_return.min(arrival.returned);
        }
        first_return == NEVER
    }
}

/// The first operation that is not decided.
fn base(state: &State) -> u32 {
    state[0] as u32
}

/// Whether the indeterminate operation decided last was lost.
fn was_lost(state: &State) -> bool {
    state[0] >> 32 & 1 == 1
}

fn set_lost(state: &mut State, lost: bool) {
    state[0] = u64::from(base(state)) | u64::from(lost) << 32;
}

/// Whether an operation from the window or before it was decided.
fn decided(state: &State, at: u32) -> bool {
    let base = base(state);
    at < base || (at - base < WINDOW && state[1 + (at / 64) as usize % WORDS] >> (at % 64) & 1 == 1)
}

/// How many operations in the window were decided.
fn ahead(state: &State) -> u32 {
    state[1..=WORDS].iter().map(|word| word.count_ones()).sum()
}

/// Marks an operation and forgets those that no undecided one precedes.
fn decide(state: &mut State, at: u32, end: u32) {
    state[1 + (at / 64) as usize % WORDS] |= 1 << (at % 64);
    let mut base = base(state);
    while base < end && state[1 + (base / 64) as usize % WORDS] >> (base % 64) & 1 == 1 {
        state[1 + (base / 64) as usize % WORDS] &= !(1 << (base % 64));
        base += 1;
    }
    state[0] = state[0] >> 32 << 32 | u64::from(base);
}

#[inline]
fn balance(state: &State, account: u32) -> i64 {
    state[BALANCES + account as usize] as i64
}

#[inline]
fn set(state: &mut State, account: u32, value: i64) {
    state[BALANCES + account as usize] = value as u64;
}

#[inline]
fn holds(state: &State, nodes: &[(u32, i64)]) -> bool {
    nodes.iter().all(|&(account, value)| balance(state, account) == value)
}
