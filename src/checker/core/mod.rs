//! A small part of a violation that no order explains: a minimal core, and the proof
//! of it in words.
//!
//! A core is a set of constraints weaker than the history ([`crate::proof::Core`]). An
//! operation with an effect is never dropped: that would take explanations away. It is
//! weakened instead; everything before a cut is replaced by all the ways in which
//! things can stand there. Every step is confirmed by a complete search of its own
//! ([`search`]), which shares nothing with the engine that found the violation.
//!
//! [`window`] holds what it is about, [`ways`] finds the states at a cut, [`mod@weaken`]
//! makes it small, [`cases`] words it. Must not know where a core is written or drawn.

mod bank;
mod cases;
mod model;
pub mod picture;
mod search;
mod ways;
mod weaken;
mod window;

use std::time::{Duration, Instant};

use bank::Bank;
use model::OfModel;
use ways::Cut;
use weaken::{Weakened, weaken};
use window::{Item, Machine, Way, Window, is_strong};

use super::bank::BankModel;
use super::linearizability::budget::Meter;
use super::linearizability::{Budget, Final, Violation};
use super::models::{self, Model};
use crate::history::History;
use crate::proof::{Constraint, Core, Demand, Start};

/// A core with what can be said of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Explanation {
    /// What no order meets.
    pub core: Core,
    /// No single constraint can be weakened any further.
    pub minimal: bool,
    /// Beside that: between the same cut and the return of the operation that fails, no
    /// fewer operations that must have taken place contradict one another.
    pub smallest: bool,
    /// What is demanded, a line for each operation.
    pub demands: Vec<String>,
    /// The proof case by case; empty if it would be long.
    pub proof: Vec<String>,
}

/// A history up to so many operations is explained from its beginning.
const SHORT: usize = 20;
/// Operations before the failure at which a cut is tried.
const CUTS: usize = 24;
/// With more operations than this no core is looked for from the beginning.
const SMALL: usize = 64;

/// A core of a violation of the bank, as `linearizability::check` found it.
///
/// `None` if none was found within the budget.
pub fn find(
    history: &History,
    model: &BankModel,
    finals: &[Final],
    violation: &Violation,
    budget: &Budget,
) -> Option<Explanation> {
    find_beyond(SHORT, history, model, finals, violation, budget)
}

/// As [`find`], but with a cut only where more than `short` operations come before the
/// one that fails.
pub fn find_beyond(
    short: usize,
    history: &History,
    model: &BankModel,
    finals: &[Final],
    violation: &Violation,
    budget: &Budget,
) -> Option<Explanation> {
    let bank = Bank::new(history, model, finals);
    let items = bank.items();
    let failing = items.iter().find(|item| item.number == violation.operation);
    #[allow(clippy::borrowed_box, reason = "the state of this machine is a box")]
    let value = &|state: &Box<[i64]>| Some(bank.value(state));
    let until = failing.and_then(|item| item.returns);
    Finder { machine: &bank, items: &items, until, part: 0, value }.look(short, &bank.initial(), budget)
}

/// A core of a violation of another model; `numbers` are those of `operations` in the
/// whole history, ascending.
///
/// `None` if none was found within the budget; a model that writes no states
/// ([`Model::state_in_proof`]) has cores from the beginning only.
pub fn find_in_model<M: Model>(
    model: &M,
    operations: &[models::Operation<M::Input, M::Output>],
    numbers: &[u32],
    violation: &models::Violation,
    budget: &Budget,
) -> Option<Explanation> {
    find_in_model_beyond(SHORT, model, operations, numbers, violation, budget)
}

/// As [`find_in_model`], but with a cut only where more than `short` operations of the
/// part come before the one that fails.
pub fn find_in_model_beyond<M: Model>(
    short: usize,
    model: &M,
    operations: &[models::Operation<M::Input, M::Output>],
    numbers: &[u32],
    violation: &models::Violation,
    budget: &Budget,
) -> Option<Explanation> {
    let until = operations.get(violation.operation as usize).and_then(|operation| operation.returns);
    let machine = OfModel { model, operations, numbers };
    let items = machine.items(violation.part);
    let value = &|state: &M::State| model.state_in_proof(state);
    Finder { machine: &machine, items: &items, until, part: violation.part, value }.look(
        short,
        &model.initial(),
        budget,
    )
}

fn meter(budget: &Budget, share: f64) -> Meter {
    let time = budget.time.min(Duration::from_secs(1 << 30)).mul_f64(share);
    Meter::new(Instant::now() + time, budget.memory)
}

fn beginning<S>(initial: S) -> [Way<S>; 1] {
    [Way { state: initial, happened: Vec::new() }]
}

/// Looks for cores of one violation.
struct Finder<'a, M: Machine> {
    machine: &'a M,
    items: &'a [Item],
    /// Line of the return of the operation that is said to fail. It is only a hint:
    /// what was found by the final files fails at no line before them.
    until: Option<u64>,
    part: u64,
    /// How a proof writes a state; `None`: not at all.
    value: &'a dyn Fn(&M::State) -> Option<serde_json::Value>,
}

impl<M: Machine> Finder<'_, M> {
    /// After a cut if more than `short` operations come before the failure, and from the
    /// beginning otherwise, or if that gives nothing and it is not far.
    fn look(&self, short: usize, initial: &M::State, budget: &Budget) -> Option<Explanation> {
        let start = Instant::now();
        let left =
            |share| meter(&Budget { time: budget.time.saturating_sub(start.elapsed()), ..*budget }, share);
        let until = self.until.unwrap_or(u64::MAX);
        let before = self.items.iter().filter(|item| item.invoke < until).count();
        let found = (before > short).then(|| self.after_a_cut(initial, &left)).flatten();
        found.or_else(|| {
            let near = before <= short.max(SMALL);
            near.then(|| self.find((0, &beginning(initial.clone())), until, &mut left(1.0)))?
        })
    }

    /// The cut that leaves least to be looked at, of the last ones.
    fn after_a_cut(&self, initial: &M::State, left: &dyn Fn(f64) -> Meter) -> Option<Explanation> {
        let passed = ways::pass(self.machine, self.items, initial.clone(), CUTS, &mut left(0.6)).ok()??;
        let inside = |cut: &Cut<M::State>| {
            let matters = |item: &&Item| item.invoke >= cut.at || item.open_at(cut.at);
            let until = self.items.iter().take_while(|item| item.invoke < passed.dead);
            until.filter(matters).count() + cut.ways.len()
        };
        let mut cuts: Vec<(usize, &Cut<M::State>)> =
            passed.cuts.iter().map(|cut| (inside(cut), cut)).collect();
        cuts.sort_by_key(|(inside, cut)| (*inside, std::cmp::Reverse(cut.at)));
        let tried = cuts.into_iter().filter(|(_, cut)| self.can_be_written(cut)).take(3);
        tried.map(|(_, cut)| cut).find_map(|cut| self.find((cut.at, &cut.ways), passed.dead, &mut left(0.5)))
    }

    fn can_be_written(&self, cut: &Cut<M::State>) -> bool {
        cut.ways.iter().all(|way| (self.value)(&way.state).is_some())
    }

    /// Until the operation that fails has returned; if that rules nothing out, until
    /// those have that were open by then: what they told later says when they happened.
    /// At last until everything has: the final files may have been looked at.
    fn find(
        &self,
        (cut, ways): (u64, &[Way<M::State>]),
        until: u64,
        meter: &mut Meter,
    ) -> Option<Explanation> {
        let last = |items: &mut dyn Iterator<Item = &Item>| items.filter_map(|item| item.returns).max();
        let later = last(&mut self.items.iter().filter(|item| item.invoke < until));
        let end = last(&mut self.items.iter());
        let mut lines: Vec<u64> = [Some(until.min(end?)), later, end].into_iter().flatten().collect();
        lines.dedup();
        lines.into_iter().find_map(|until| {
            let window = Window::new(self.items, cut, ways.to_vec(), until)?;
            self.within(&window, meter)
        })
    }

    fn within(&self, window: &Window<M::State>, meter: &mut Meter) -> Option<Explanation> {
        let weakened = weaken(self.machine, window, meter).ok().flatten()?;
        let core = core(window, &weakened, self.part, self.value)?;
        let demands = demands(self.machine, window, &weakened, &core);
        let proof = cases::told(self.machine, window, &weakened.demands).unwrap_or_default();
        Some(Explanation { core, minimal: weakened.minimal, smallest: weakened.smallest, demands, proof })
    }
}

fn core<S>(
    window: &Window<S>,
    weakened: &Weakened,
    part: u64,
    value: impl Fn(&S) -> Option<serde_json::Value>,
) -> Option<Core> {
    let listed = window.items.iter().zip(&weakened.demands);
    let strong = listed.clone().filter(|(_, demand)| is_strong(**demand));
    let until = strong.filter_map(|(item, _)| item.returns).max().unwrap_or(u64::MAX);
    let constraints = listed
        .filter(|(item, _)| item.invoke < until)
        .filter_map(|(item, demand)| Some(Constraint { operation: item.number, demand: (*demand)? }));
    let start = |way: &Way<S>| Some(Start { state: value(&way.state)?, happened: way.happened.clone() });
    let starts = window.ways.iter().filter(|_| window.cut > 0);
    let start = starts.map(start).collect::<Option<_>>()?;
    Some(Core { part, cut: window.cut, start, constraints: constraints.collect() })
}

/// Operations named in one line.
const NAMES: usize = 8;

fn demands<M: Machine>(
    machine: &M,
    window: &Window<M::State>,
    weakened: &Weakened,
    core: &Core,
) -> Vec<String> {
    let (strong, loose): (Vec<&Constraint>, Vec<&Constraint>) =
        core.constraints.iter().partition(|constraint| is_strong(Some(constraint.demand)));
    let size = if weakened.minimal { "minimal" } else { "small" };
    let after = if core.cut == 0 { String::new() } else { from(machine, window, core) };
    let mut lines = vec![format!("a {size} core{after}: no order meets these demands")];
    lines.extend(strong.iter().map(|constraint| {
        format!("  {} {}", machine.name(constraint.operation), cases::demanded(constraint.demand))
    }));
    if !loose.is_empty() {
        let shown = loose.iter().take(NAMES).map(|loose| machine.name(loose.operation));
        let more = loose.len().saturating_sub(NAMES);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        let each = if loose.len() > 1 { ": each" } else { "" };
        let may = cases::demanded(Demand::MayHaveHappened);
        lines.push(format!("  {}{more}{each} {may}", shown.collect::<Vec<_>>().join(", ")));
    }
    lines
}

/// Start states told in one line.
const STATES: usize = 3;

/// Where a core begins that follows a cut, with the states there if they are few.
fn from<M: Machine>(machine: &M, window: &Window<M::State>, core: &Core) -> String {
    let listed: Vec<u32> = core.constraints.iter().map(|constraint| constraint.operation).collect();
    let states = window.ways.iter().map(|way| machine.standing(&way.state, &listed));
    let states = match window.ways.len() {
        0..=STATES => states.collect::<Vec<_>>().join(" or "),
        many => format!("there are {many} ways in which things can stand"),
    };
    format!(" from #{} on, where all that came before leaves {states}", core.cut)
}
