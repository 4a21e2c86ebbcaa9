//! Why no order meets a core, case by case: whatever comes next, it ends in a
//! contradiction.
//!
//! Walks every order that the search would walk and tells it in sentences, as long
//! as that stays short; places that were told before are not told again. Decides
//! nothing: a core is ruled out before it comes here.

use rustc_hash::FxHashMap;

use super::search::{Next, Place, Rules};
use super::window::{Demands, Machine, Window};
use crate::proof::Demand;

/// Most ends that a proof may have before it is not told at all.
const LEAVES: usize = 12;
/// Most lines.
const LINES: usize = 40;

/// The proof as lines; `None` if it would be long.
pub(super) fn told<M: Machine>(
    machine: &M,
    window: &Window<M::State>,
    demands: &Demands,
) -> Option<Vec<String>> {
    let rules = Rules::new(machine, &window.items, demands);
    let mut telling = Telling { rules, lines: Vec::new(), told: FxHashMap::default(), leaves: 0 };
    let listed: Vec<u32> =
        window.items.iter().zip(demands).filter_map(|(item, demand)| demand.map(|_| item.number)).collect();
    let several = window.ways.len() > 1;
    for (number, way) in (1..).zip(&window.ways) {
        let place = Place { done: window.mask(way), state: way.state.clone(), loose: None };
        telling.line(0, start(machine, window, way, &listed, several.then_some(number)));
        telling.go(&place, usize::from(several))?;
    }
    Some(telling.lines)
}

fn start<M: Machine>(
    machine: &M,
    window: &Window<M::State>,
    way: &super::window::Way<M::State>,
    listed: &[u32],
    number: Option<usize>,
) -> String {
    let standing = machine.standing(&way.state, listed);
    let happened: Vec<String> = way.happened.iter().map(|&number| machine.name(number)).collect();
    let done = match happened.as_slice() {
        [] => String::new(),
        names => format!("; by then {} had taken effect", names.join(" and ")),
    };
    match (number, window.cut) {
        (Some(number), _) => format!("case {number} of {}: {standing}{done}", window.ways.len()),
        (None, 0) => format!("at the beginning: {standing}"),
        (None, cut) => {
            format!("just before #{cut}, every order of what had returned leaves {standing}{done}")
        }
    }
}

struct Telling<'a, M: Machine> {
    rules: Rules<'a, M>,
    lines: Vec<String>,
    /// Places that were told, with the line.
    told: FxHashMap<Place<M::State>, usize>,
    leaves: usize,
}

impl<M: Machine> Telling<'_, M> {
    fn line(&mut self, depth: usize, text: String) {
        self.lines.push(format!("{}{text}", "  ".repeat(depth)));
    }

    fn name(&self, at: usize) -> String {
        self.rules.machine.name(self.rules.items[at].number)
    }

    fn go(&mut self, place: &Place<M::State>, depth: usize) -> Option<()> {
        if self.lines.len() > LINES || self.leaves > LEAVES {
            return None;
        }
        let next = self.rules.next(place);
        if self.told.insert(place.clone(), self.lines.len()).is_some() {
            self.leaves += 1;
            self.line(depth, "from here on as told above".into());
            return Some(());
        }
        let wrong = self.wrong(&next, place);
        match next.fits.as_slice() {
            [] => {
                self.leaves += 1;
                let end = if wrong.is_empty() { "nothing can come next".into() } else { wrong };
                self.line(depth, format!("{end}: a contradiction"));
            }
            [(at, after)] => {
                if !wrong.is_empty() {
                    self.line(depth, wrong);
                }
                let step = self.step(*at, after);
                self.line(depth, format!("so next comes {step}"));
                self.go(after, depth)?;
            }
            several => {
                if !wrong.is_empty() {
                    self.line(depth, wrong);
                }
                for (turn, (at, after)) in several.iter().enumerate() {
                    let either = if turn == 0 { "either" } else { "or" };
                    let step = self.step(*at, after);
                    self.line(depth, format!("{either} next comes {step}"));
                    self.go(after, depth + 1)?;
                }
            }
        }
        Some(())
    }

    fn step(&self, at: usize, after: &Place<M::State>) -> String {
        let (item, name) = (&self.rules.items[at], self.name(at));
        let touched = self.rules.machine.touched(&after.state, item.number);
        if item.observes {
            return format!("{name}, which is right here");
        }
        format!("{name}: then {touched}")
    }

    /// Which operations cannot come next, and why.
    fn wrong(&self, next: &Next<M::State>, place: &Place<M::State>) -> String {
        let why = |&at: &usize| {
            let why = self.rules.machine.why_not(&place.state, self.rules.items[at].number);
            format!("{} cannot come next: {why}", self.name(at))
        };
        next.wrong.iter().map(why).collect::<Vec<_>>().join("; ")
    }
}

/// What a core demands of one operation, in words.
pub(super) fn demanded(demand: Demand) -> &'static str {
    match demand {
        Demand::Explained => "took place with this result",
        Demand::HappenedInTime => "took place in time, whatever it told",
        Demand::MayHaveHappened => "may have happened at any time after its invocation, or never",
    }
}
