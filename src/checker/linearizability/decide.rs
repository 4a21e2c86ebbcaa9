//! Runs the searches within a budget until one of them may give the verdict.
//!
//! Without indeterminate operations one exact search answers both ways. With them,
//! guesses at what the server did and narrow beams look for an acceptance first
//! (they may never refute), an exact search with relaxed guards looks for a
//! refutation, wider beams and at last the complete search use what is left of the
//! budget. An acceptance counts only once its witness was replayed by
//! [`crate::checker::verify`].

use std::time::{Duration, Instant};

use super::arrivals::Arrivals;
use super::budget::{Budget, Meter, Stop};
use super::config::{Config, Step};
use super::engine::{Alive, Engine, Policy};
use super::explain;
use super::guess;
use super::necessary::{self, Refutation};
use super::perhaps::{Classes, Limits};
use super::plain::{self, Plain};
use super::problem::{Event, Problem};
use super::{Final, Outcome, Violation, closing};
use crate::checker::bank::BankModel;
use crate::checker::verify;
use crate::history::History;

/// Decides whether one order explains the history and the final files.
///
/// Never claims a pass that was not replayed, nor a violation that an exact search
/// did not show.
pub fn check(history: &History, model: &BankModel, finals: &[Final], budget: &Budget) -> Outcome {
    let problem = Problem::new(history, model, finals).without(closing::never_moved(history, model, finals));
    let decision =
        Decision { history, finals, start: Instant::now(), budget: *budget, problem: &problem, furthest: 0 };
    match necessary::refute(history, model, finals) {
        Some(refutation) => Outcome::Violation(decision.refuted(refutation)),
        None => decision.run(),
    }
}

/// What a search may take, in seconds, only to say where every order ends.
const FOR_WORDS: f64 = 2.0;

struct Decision<'a> {
    history: &'a History,
    finals: &'a [Final],
    start: Instant,
    budget: Budget,
    problem: &'a Problem<'a>,
    /// Most operations that any search explained.
    furthest: usize,
}

/// How one search ended.
enum Found {
    Witness(Vec<u32>),
    Violation(Violation),
    /// Explanations remain, none of them replays: relaxed guards let them in.
    Gap,
    /// A bounded search lost its way.
    Lost,
    Stopped(Stop),
}

/// A beam: how wide it starts and may grow, and how it treats guards.
const BEAMS: [(usize, usize, bool, f64); 3] =
    [(16, 1024, true, 0.45), (256, 4096, false, 0.6), (2048, 65536, true, 0.95)];

impl Decision<'_> {
    fn run(mut self) -> Outcome {
        if !self.problem.has_indeterminate() {
            let found = self.exact(1.0);
            return self.outcome(found);
        }
        let mut last = Found::Lost;
        if let found @ Found::Witness(_) = self.guess(0.25) {
            return self.outcome(found);
        }
        for (round, beam) in BEAMS.into_iter().enumerate() {
            if let found @ Found::Witness(_) = self.beam(beam) {
                return self.outcome(found);
            }
            if round == 0 || matches!(last, Found::Stopped(_)) {
                last = self.exact([0.5, 0.75, 1.0][round]);
            }
            match last {
                Found::Witness(_) | Found::Violation(_) => return self.outcome(last),
                Found::Gap => return self.complete(),
                Found::Lost | Found::Stopped(_) => {}
            }
        }
        self.outcome(last)
    }

    /// A condition that every order meets is broken; the search may still tell more.
    fn refuted(mut self, refutation: Refutation) -> Violation {
        let share = (FOR_WORDS / self.budget.time.as_secs_f64().max(1e-9)).min(0.2);
        if let Found::Violation(mut violation) = self.exact(share) {
            violation.reasons.insert(0, refutation.reason);
            return violation;
        }
        Violation {
            operation: refutation.operation,
            concurrent: Vec::new(),
            reasons: vec![refutation.reason],
            prefix: Vec::new(),
            explained: 0,
            required: self.problem.required(),
        }
    }

    fn outcome(&self, found: Found) -> Outcome {
        let reason = match found {
            Found::Witness(witness) => return Outcome::Linearizable { witness },
            Found::Violation(violation) => return Outcome::Violation(violation),
            Found::Stopped(Stop::Memory) => {
                format!("the memory budget of {} bytes ran out", self.budget.memory)
            }
            Found::Stopped(Stop::Time) => format!("the time budget of {:?} ran out", self.budget.time),
            Found::Gap => "explanations remain that no search could turn into an order".into(),
            Found::Lost => "no search came through".into(),
        };
        Outcome::Undecided { reason, explained: self.furthest, required: self.problem.required() }
    }

    /// Until `share` of the time budget has passed.
    fn meter(&self, share: f64) -> Meter {
        let until = self.budget.time.min(Duration::from_secs(1 << 30)).mul_f64(share);
        Meter::new(self.start + until, self.budget.memory)
    }

    fn engine(&self, policy: Policy, share: f64) -> Engine {
        Engine::new(*self.problem.model(), self.problem.accounts.len(), policy, self.meter(share))
    }

    /// What a server that works off operations in about their order would do.
    fn guess(&self, share: f64) -> Found {
        let arrivals = Arrivals::new(self.problem);
        match guess::search(&arrivals, self.problem.model(), self.meter(share)) {
            Err(stop) => Found::Stopped(stop),
            Ok(Some(order)) if self.replays(&order) => Found::Witness(order),
            Ok(_) => Found::Lost,
        }
    }

    fn replays(&self, order: &[u32]) -> bool {
        verify::witness(self.history, self.problem.model(), self.finals, order).is_ok()
    }

    fn exact(&mut self, share: f64) -> Found {
        let mut engine = self.engine(Policy::EXACT, share);
        let mut explained = 0;
        for event in self.problem.events() {
            let returns = if let Event::Return(number) = event { Some(number) } else { None };
            match engine.event(event) {
                Err(stop) => return Found::Stopped(stop),
                Ok(Alive::Yes) => explained += usize::from(returns.is_some()),
                Ok(Alive::No(before)) => {
                    let number = returns.unwrap_or_default();
                    return Found::Violation(self.violation(&mut engine, &before, number, explained));
                }
            }
            self.furthest = self.furthest.max(explained);
        }
        self.accept(&engine)
    }

    fn violation(&self, engine: &mut Engine, before: &[Config], number: u32, explained: usize) -> Violation {
        let prefix =
            before.first().map(|config| order(&engine.steps(config), engine.classes())).unwrap_or_default();
        Violation {
            operation: number,
            concurrent: explain::concurrent(engine, number),
            reasons: explain::reasons(engine, before, number, &self.problem.accounts),
            prefix,
            explained,
            required: self.problem.required(),
        }
    }

    /// The first explanation whose order replays.
    fn accept(&self, engine: &Engine) -> Found {
        for config in engine.frontier().iter().take(256) {
            let witness = order(&engine.steps(config), engine.classes());
            if self.replays(&witness) {
                return Found::Witness(witness);
            }
        }
        Found::Gap
    }

    /// A bounded search that goes back and widens where it lost its way.
    fn beam(&mut self, (narrow, widest, guarded, share): (usize, usize, bool, f64)) -> Found {
        let policy = |width: usize| Policy {
            exact: false,
            width,
            slack: match width / narrow {
                0..4 => 0,
                4..64 => 1,
                _ => 2,
            },
            guarded,
            wide: width > narrow,
            limits: Limits {
                size: 12,
                found: 4 * width,
                steps: 100_000 + 1_000 * width,
                runs: 0,
                swaps: false,
                recent: usize::MAX,
                bursts: false,
            },
        };
        let (mut engine, mut width) = (self.engine(policy(narrow), share), narrow);
        let mut events = self.problem.events();
        let mut places = std::collections::VecDeque::new();
        let (mut explained, mut calm_at) = (0usize, 0usize);
        loop {
            if explained >= calm_at && width > narrow {
                width = narrow;
                engine.set_policy(policy(width));
            }
            let here = (events.clone(), explained);
            let Some(event) = events.next() else { break };
            let returns = matches!(event, Event::Return(_));
            if returns && explained % SPACING == 0 && places.back().is_none_or(|(_, at)| *at < explained) {
                engine.save(PLACES);
                places.push_back(here);
                if places.len() > PLACES {
                    places.pop_front();
                }
            }
            match engine.event(event) {
                Err(stop) => return Found::Stopped(stop),
                Ok(Alive::Yes) => explained += usize::from(returns),
                Ok(Alive::No(_)) => {
                    calm_at = calm_at.max(explained + 4 * SPACING);
                    width *= 4;
                    if width > widest || !engine.restore() {
                        return Found::Lost;
                    }
                    let Some(place) = places.pop_back() else { return Found::Lost };
                    (events, explained) = place;
                    engine.set_policy(policy(width));
                }
            }
            self.furthest = self.furthest.max(explained);
        }
        self.accept(&engine)
    }

    fn complete(&mut self) -> Outcome {
        match plain::search(self.problem, self.meter(1.0)) {
            Err(stop) => self.outcome(Found::Stopped(stop)),
            Ok(Plain::Found(steps, classes)) => {
                let witness = order(&steps, &classes);
                self.outcome(if self.replays(&witness) { Found::Witness(witness) } else { Found::Gap })
            }
            Ok(Plain::None(number)) => self.outcome(Found::Violation(self.guard_violation(number))),
        }
    }

    /// Only the guards of indeterminate operations rule every order out.
    fn guard_violation(&self, number: u32) -> Violation {
        let mut engine = self.engine(Policy::EXACT, 1.0);
        for event in self.problem.events() {
            if event == Event::Return(number) || !matches!(engine.event(event), Ok(Alive::Yes)) {
                break;
            }
        }
        let frontier = engine.frontier().to_vec();
        let mut violation = self.violation(&mut engine, &frontier, number, self.furthest);
        let why = "every order that would explain it needs an indeterminate transfer that the guard refuses";
        violation.reasons = vec![why.into()];
        violation
    }
}

/// Returns between two places to go back to.
const SPACING: usize = 32;
/// Places kept.
const PLACES: usize = 16;

/// The order that steps stand for: classes become operations, first invoked first
/// used, and an operation that moves did not stay before.
pub(super) fn order(steps: &[Step], classes: &Classes) -> Vec<u32> {
    let mut listed: Vec<bool> = Vec::new();
    let mut list = |number: u32| {
        let at = number as usize;
        listed.resize(listed.len().max(at + 1), false);
        !std::mem::replace(&mut listed[at], true)
    };
    for step in steps {
        if let Step::Moved(number) = step {
            list(*number);
        }
    }
    let mut used: Vec<usize> = vec![0; classes.len() as usize];
    let mut order = Vec::with_capacity(steps.len());
    for &step in steps {
        match step {
            Step::Moved(number) => order.push(number),
            Step::Stayed(number) if list(number) => order.push(number),
            Step::Stayed(_) => {}
            Step::Used(class) => {
                order.push(classes.class(class).members[used[class as usize]]);
                used[class as usize] += 1;
            }
        }
    }
    order
}
