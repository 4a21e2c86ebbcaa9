//! A small part of a violation that no order explains: a minimal core, and the proof
//! of it in words.
//!
//! A core is a set of constraints weaker than the history ([`crate::proof::Core`]). An
//! operation with an effect is never dropped: that would take explanations away. It is
//! weakened instead; everything before a cut is replaced by all the ways in which
//! things can stand there. Every step is confirmed by a complete search of its own
//! ([`search`]), which shares nothing with the engine that found the violation.
//!
//! [`window`] holds what it is about, [`ways`] finds the states at a cut, [`weaken`]
//! makes it small, [`cases`] words it. Must not know where a core is written or drawn.

mod bank;
mod cases;
mod model;
mod search;
mod ways;
mod weaken;
mod window;

use std::time::{Duration, Instant};

use bank::Bank;
use model::OfModel;
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
/// Operations before the one that fails at which a cut is tried.
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
    let failing = *items.iter().find(|item| item.number == violation.operation)?;
    let until = failing.returns?;
    let before = items.iter().filter(|item| item.invoke < until).count();
    let finder = Finder { machine: &bank, items: &items, until, part: 0, value: &|state| bank.value(state) };
    let start = Instant::now();
    let left = || Budget { time: budget.time.saturating_sub(start.elapsed()), ..*budget };
    if before > short {
        let cuts = cuts(&items, failing.invoke);
        let found = ways::at_cuts(&bank, &items, bank.initial(), &cuts, &mut meter(budget, 0.5));
        let mut found = found.unwrap_or_default();
        // The latest cut leaves the fewest operations that may have happened.
        found.sort_by_key(|cut| std::cmp::Reverse(cut.at));
        let mut tried = found.into_iter().take(3);
        if let Some(found) = tried.find_map(|cut| finder.find(cut.at, &cut.ways, &mut meter(&left(), 0.5))) {
            return Some(found);
        }
    }
    (before <= short.max(SMALL))
        .then(|| finder.find(0, &beginning(bank.initial()), &mut meter(&left(), 1.0)))?
}

/// A core of a violation of another model; `numbers` are those of `operations` in the
/// whole history, ascending. Only from the beginning of the part: `None` if the part
/// has more operations than a small search holds, or the budget ran out.
pub fn find_in_model<M: Model>(
    model: &M,
    operations: &[models::Operation<M::Input, M::Output>],
    numbers: &[u32],
    violation: &models::Violation,
    budget: &Budget,
) -> Option<Explanation> {
    let until = operations.get(violation.operation as usize)?.returns?;
    let machine = OfModel { model, operations, numbers };
    let items = machine.items(violation.part);
    let value = &|_: &M::State| serde_json::Value::Null;
    let finder = Finder { machine: &machine, items: &items, until, part: violation.part, value };
    let before = items.iter().filter(|item| item.invoke < until).count();
    (before <= SMALL).then(|| finder.find(0, &beginning(model.initial()), &mut meter(budget, 1.0)))?
}

fn meter(budget: &Budget, share: f64) -> Meter {
    let time = budget.time.min(Duration::from_secs(1 << 30)).mul_f64(share);
    Meter::new(Instant::now() + time, budget.memory)
}

fn beginning<S>(initial: S) -> [Way<S>; 1] {
    [Way { state: initial, happened: Vec::new() }]
}

/// The lines of the last invocations up to that of the operation that fails.
fn cuts(items: &[Item], last: u64) -> Vec<u64> {
    let mut cuts: Vec<u64> = items.iter().map(|item| item.invoke).filter(|&line| line <= last).collect();
    cuts.dedup();
    cuts.split_off(cuts.len().saturating_sub(CUTS))
}

/// Looks for cores of one violation.
struct Finder<'a, M: Machine> {
    machine: &'a M,
    items: &'a [Item],
    /// Line of the return of the operation that fails.
    until: u64,
    part: u64,
    value: &'a dyn Fn(&M::State) -> serde_json::Value,
}

impl<M: Machine> Finder<'_, M> {
    /// Until the operation that fails has returned; if that rules nothing out, until
    /// those have that were open by then: what they told later says when they happened.
    fn find(&self, cut: u64, ways: &[Way<M::State>], meter: &mut Meter) -> Option<Explanation> {
        let open = self.items.iter().filter(|item| item.invoke < self.until);
        let later = open.filter_map(|item| item.returns).max().unwrap_or(self.until);
        [self.until, later].into_iter().find_map(|until| {
            let window = Window::new(self.items, cut, ways.to_vec(), until)?;
            self.within(&window, meter)
        })
    }

    fn within(&self, window: &Window<M::State>, meter: &mut Meter) -> Option<Explanation> {
        let weakened = weaken(self.machine, window, meter).ok().flatten()?;
        let core = core(window, &weakened, self.part, self.value);
        let demands = demands(self.machine, &weakened, &core);
        let proof = cases::told(self.machine, window, &weakened.demands).unwrap_or_default();
        Some(Explanation { core, minimal: weakened.minimal, smallest: weakened.smallest, demands, proof })
    }
}

fn core<S>(
    window: &Window<S>,
    weakened: &Weakened,
    part: u64,
    value: impl Fn(&S) -> serde_json::Value,
) -> Core {
    let listed = window.items.iter().zip(&weakened.demands);
    let strong = listed.clone().filter(|(_, demand)| is_strong(**demand));
    let until = strong.filter_map(|(item, _)| item.returns).max().unwrap_or(u64::MAX);
    let constraints = listed
        .filter(|(item, _)| item.invoke < until)
        .filter_map(|(item, demand)| Some(Constraint { operation: item.number, demand: (*demand)? }));
    let start = |way: &Way<S>| Start { state: value(&way.state), happened: way.happened.clone() };
    let start = if window.cut == 0 { Vec::new() } else { window.ways.iter().map(start).collect() };
    Core { part, cut: window.cut, start, constraints: constraints.collect() }
}

/// Operations named in one line.
const NAMES: usize = 8;

fn demands<M: Machine>(machine: &M, weakened: &Weakened, core: &Core) -> Vec<String> {
    let (strong, loose): (Vec<&Constraint>, Vec<&Constraint>) =
        core.constraints.iter().partition(|constraint| is_strong(Some(constraint.demand)));
    let size = if weakened.minimal { "minimal" } else { "small" };
    let after = if core.cut == 0 { String::new() } else { format!(" after line {}", core.cut) };
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
