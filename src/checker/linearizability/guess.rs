//! Keeps the likeliest guesses at what a server did; goes back and widens when lost.
//!
//! All guesses kept have decided the same number of operations, so that their costs
//! compare. May only accept: the order it ends with is to be replayed, and that
//! none is found says nothing. Knows nothing of what a step is.

use rustc_hash::FxHashMap;

use super::arrivals::Arrivals;
use super::budget::{Meter, Stop};
use super::server::{Deed, Next, Server, State};
use crate::checker::bank::BankModel;

/// Guesses kept while nothing is wrong.
const NARROW: usize = 16;
/// Guesses kept at most.
const WIDEST: usize = 4096;
/// By how much a lost search widens.
const WIDER: usize = 4;
/// By how much worse than the best a guess may be, for each widening.
const MARGIN: u32 = 100;
/// Operations between two places to go back to.
const SPACING: usize = 64;
/// Places kept.
const PLACES: usize = 8;

/// One guess.
#[derive(Clone)]
struct Guess {
    state: State,
    cost: u32,
    /// Last of its order, in [`Trail`].
    trail: u32,
}

/// An order that the guesses lead to; `None` if all of them were wrong.
///
/// # Errors
/// The budget ran out.
pub fn search(arrivals: &Arrivals, model: &BankModel, mut meter: Meter) -> Result<Option<Vec<u32>>, Stop> {
    let server = Server { arrivals, model };
    let start = Guess { state: server.start(), cost: 0, trail: 0 };
    meter.unit = 8 * start.state.len() + 64;
    let mut search =
        Search { server, meter, trail: Trail::default(), frontier: vec![start], places: Vec::new() };
    let (mut width, mut calm_at, mut step) = (NARROW, 0, 0);
    while step < arrivals.list.len() {
        if step >= calm_at {
            width = NARROW;
        }
        search.remember(step);
        let next = search.advance(width)?;
        if !next.is_empty() {
            search.frontier = next;
            step += 1;
            continue;
        }
        width *= WIDER;
        calm_at = calm_at.max(step + 2 * SPACING);
        match search.places.pop() {
            Some(place) if width <= WIDEST => (step, search.frontier) = place,
            _ => return Ok(None),
        }
    }
    let best = search.frontier.iter().min_by_key(|guess| guess.cost);
    Ok(best.map(|guess| search.trail.order(guess.trail)))
}

struct Search<'a> {
    server: Server<'a>,
    meter: Meter,
    trail: Trail,
    frontier: Vec<Guess>,
    /// Where it stood before, with the number of operations decided.
    places: Vec<(usize, Vec<Guess>)>,
}

impl Search<'_> {
    /// Keeps this place to go back to, if it is time to.
    fn remember(&mut self, step: usize) {
        if !step.is_multiple_of(SPACING) || self.places.last().is_some_and(|(at, _)| *at >= step) {
            return;
        }
        if self.places.len() == PLACES {
            self.places.remove(0);
        }
        self.places.push((step, self.frontier.clone()));
        let saved: usize = self.places.iter().map(|(_, guesses)| guesses.len()).sum();
        self.meter.held = self.server.arrivals.bytes() + self.trail.bytes() + saved * self.meter.unit;
    }

    /// The best guesses with one more operation decided.
    fn advance(&mut self, width: usize) -> Result<Vec<Guess>, Stop> {
        let mut steps: Vec<Next> = Vec::new();
        if let [guess] = self.frontier.as_slice() {
            self.meter.tick(1)?;
            self.server.steps(&guess.state, &mut steps);
            if steps.len() <= 1 {
                let parent = guess.trail;
                let keep = |next: Next| Guess {
                    state: next.state,
                    cost: 0,
                    trail: self.trail.push(parent, next.deed),
                };
                return Ok(steps.into_iter().map(keep).collect());
            }
            steps.clear();
        }
        let mut best: FxHashMap<State, (u32, u32, Deed)> = FxHashMap::default();
        for guess in &self.frontier {
            self.meter.tick(best.len() + self.frontier.len())?;
            self.server.steps(&guess.state, &mut steps);
            for Next { state, deed, cost } in steps.drain(..) {
                let cost = guess.cost + cost;
                let known = best.entry(state).or_insert((u32::MAX, 0, deed));
                if cost < known.0 {
                    *known = (cost, guess.trail, deed);
                }
            }
        }
        Ok(self.thin(best, width))
    }

    /// Keeps what is not much worse than the best.
    fn thin(&mut self, guesses: FxHashMap<State, (u32, u32, Deed)>, width: usize) -> Vec<Guess> {
        let least = guesses.values().map(|(cost, ..)| *cost).min().unwrap_or(0);
        let most = least + MARGIN * (1 + (width / NARROW).ilog(WIDER));
        let mut kept: Vec<_> = guesses.into_iter().filter(|(_, (cost, ..))| *cost <= most).collect();
        if kept.len() > width {
            kept.select_nth_unstable_by_key(width, |(_, (cost, ..))| *cost);
            kept.truncate(width);
        }
        let guess = |(state, (cost, parent, deed))| Guess {
            state,
            cost: cost - least,
            trail: self.trail.push(parent, deed),
        };
        kept.into_iter().map(guess).collect()
    }
}

/// The orders of all guesses, as a tree of shared beginnings: (what came before, operation).
struct Trail(Vec<(u32, u32)>);

impl Default for Trail {
    fn default() -> Self {
        Self(vec![(0, 0)])
    }
}

impl Trail {
    fn push(&mut self, parent: u32, deed: Deed) -> u32 {
        let Deed::Done(number) = deed else { return parent };
        self.0.push((parent, number));
        (self.0.len() - 1) as u32
    }

    fn order(&self, mut node: u32) -> Vec<u32> {
        let mut order = Vec::new();
        while node != 0 {
            let (before, number) = self.0[node as usize];
            order.push(number);
            node = before;
        }
        order.reverse();
        order
    }

    fn bytes(&self) -> usize {
        8 * self.0.len()
    }
}
