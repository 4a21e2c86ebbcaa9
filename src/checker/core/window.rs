//! What a core is looked for in: a few operations after a cut, and the ways in
//! which things can stand there.
//!
//! Here alone is said what each demand allows ([`Demand`]), and which weaker demands
//! there are. Must not know any state machine, nor how operations are worded.

use std::hash::Hash;

use crate::proof::Demand;

/// A state machine, as the search for a core sees it. Operations are named by number.
pub(super) trait Machine {
    /// Everything that a later operation can depend on.
    type State: Clone + Eq + Hash;

    /// The state after an operation, or `None` if it cannot take place here: with the
    /// result that it told, or (`told` is false) with any.
    fn apply(&self, state: &Self::State, number: u32, told: bool) -> Option<Self::State>;

    /// Whether two operations may change places in every state, with the same results.
    fn independent(&self, _one: u32, _other: u32) -> bool {
        false
    }

    /// The operation in a few words, such as `#2 (a -> b 7)`.
    fn name(&self, number: u32) -> String;

    /// As much of a state as an operation touches, in words, such as `a 95, b 105`.
    fn touched(&self, state: &Self::State, number: u32) -> String;

    /// As much of a state as any of these operations touches, in words.
    fn standing(&self, state: &Self::State, numbers: &[u32]) -> String;

    /// Why an operation cannot take place here with what it told.
    fn why_not(&self, state: &Self::State, number: u32) -> String;
}

/// One operation that happened or may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Item {
    /// Its number.
    pub number: u32,
    /// Line of its invocation.
    pub invoke: u64,
    /// Line of its completion; `None` if nobody knows whether it took effect.
    pub returns: Option<u64>,
    /// It changes no state.
    pub observes: bool,
    /// Its reply told something.
    pub told: bool,
}

impl Item {
    /// All that the history says of it.
    pub fn strongest(&self) -> Option<Demand> {
        match (self.returns, self.told, self.observes) {
            (None, ..) => self.weakest(),
            (Some(_), true, _) => Some(Demand::Explained),
            (Some(_), false, true) => None,
            (Some(_), false, false) => Some(Demand::HappenedInTime),
        }
    }

    /// The least that may be said of it: an effect stays possible.
    pub fn weakest(&self) -> Option<Demand> {
        (!self.observes).then_some(Demand::MayHaveHappened)
    }

    /// Whether it was invoked and had not returned when the line `at` was written.
    pub fn open_at(&self, at: u64) -> bool {
        self.invoke < at && self.returns.is_none_or(|returns| returns >= at)
    }
}

/// One way in which things can stand at a cut.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Way<S> {
    pub state: S,
    /// Numbers of operations open at the cut that have taken effect, ascending.
    pub happened: Vec<u32>,
}

/// As many operations as a window holds: the bits of a mask.
pub(super) const ROOM: usize = 128;

/// The operations that can matter between a cut and a line.
pub(super) struct Window<S> {
    /// Line of the cut; 0 is the beginning.
    pub cut: u64,
    pub ways: Vec<Way<S>>,
    /// At most [`ROOM`], by invocation.
    pub items: Vec<Item>,
}

impl<S> Window<S> {
    /// The window between a cut and a line; `None` without room. What returns after
    /// that line has not returned: operations that are not here might come before it.
    pub fn new(all: &[Item], cut: u64, ways: Vec<Way<S>>, until: u64) -> Option<Self> {
        let inside = |item: &&Item| item.invoke < until && (item.invoke >= cut || item.open_at(cut));
        let seen = |item: &Item| Item { returns: item.returns.filter(|&line| line <= until), ..*item };
        let items: Vec<Item> = all.iter().filter(inside).map(seen).collect();
        (items.len() <= ROOM).then_some(Self { cut, ways, items })
    }

    /// Which operations have taken effect in one way.
    pub fn mask(&self, way: &Way<S>) -> u128 {
        let happened = |item: &Item| way.happened.binary_search(&item.number).is_ok();
        mask(self.items.iter().map(happened))
    }
}

/// What is demanded of each operation of a window; `None`: nothing.
pub(super) type Demands = Vec<Option<Demand>>;

/// Whether a demand cannot be met by leaving the operation out.
pub(super) fn is_strong(demand: Option<Demand>) -> bool {
    matches!(demand, Some(Demand::Explained | Demand::HappenedInTime))
}

/// The bits that are set, by position.
pub(super) fn mask(bits: impl Iterator<Item = bool>) -> u128 {
    bits.take(ROOM).enumerate().fold(0, |mask, (at, bit)| mask | u128::from(bit) << at)
}

/// Positions of set bits.
pub(super) fn places(mask: u128) -> impl Iterator<Item = usize> {
    (0..ROOM).filter(move |at| mask >> at & 1 == 1)
}
