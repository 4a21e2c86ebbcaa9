//! Checks a history while it comes into being, or is too long to be held.
//!
//! The engine wants an operation's result with its invocation, so lines wait here
//! until the operation at their head has ended. One that hangs until a client's
//! time-out would hold everything back; then a *scout*, a copy of the engine, runs
//! ahead and takes every operation whose end is unknown as one that may have
//! happened. What it refutes is refuted, whatever the unknown ends turn out to be:
//!
//! Let some order explain the whole history to come. Cut it behind the last of the
//! operations that the scout saw return. An operation before the cut was invoked
//! within the lines that the scout saw, since real time puts a later one behind all
//! of those that had returned. Of those whose end was unknown, each one before the
//! cut took its effect once, after its invocation, each one behind it not yet:
//! exactly what [`Event::Perhaps`] allows. It demands less than any end (an `ok` has
//! a result and a latest moment, a `fail` has no effect), and the engine ignores the
//! guards of such operations, which only adds explanations. So the scout keeps an
//! explanation wherever the whole history has one. For the same reason evidence that
//! comes after its operation was consumed may be ignored.
//!
//! Searches are exact: they may refute. An explanation is no verdict here. Knows no
//! thread and no clock; the owner says how long it may take ([`Online::allow`]).

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use super::budget::{Meter, Stop};
use super::config::Config;
use super::engine::{Alive, Engine, Policy};
use super::explain;
use super::problem::{Event, invocation};
use super::settled::Settled;
use crate::checker::bank::BankModel;
use crate::history::{Call, Completion, Observed, Operation};
use crate::op::Outcome;

/// Steps of orders that are held before their common beginning is handed over.
const MANY_STEPS: usize = 1 << 14;

/// A check that takes in a history line by line.
pub struct Online {
    model: BankModel,
    main: Runner,
    scout: Option<Runner>,
    /// Scouting from here was stopped by the budget.
    tired: bool,
    settled: Settled,
    settle_at: usize,
    accounts: usize,
    /// Lines that the main engine has not consumed.
    lines: VecDeque<Mark>,
    /// Operations whose invocation it has not consumed, with what is known of them.
    operations: VecDeque<Operation>,
    /// Number of the first of them.
    base: u32,
}

/// A line that matters to the engine.
#[derive(Debug, Clone, Copy)]
enum Mark {
    Invoke(u32),
    /// Operation, and the index and time of the line.
    Return(u32, u64, u64),
}

/// An engine, and how far it has come.
#[derive(Clone)]
struct Runner {
    engine: Engine,
    /// Lines consumed since the beginning.
    at: u64,
    /// Operations that returned and could be explained.
    explained: u64,
}

/// Why a check goes no further. It is of no use afterwards.
pub enum Halt {
    /// No order explains the history so far, whatever comes.
    Refuted(Refuted),
    /// The budget ran out: nothing is known of what follows.
    Stopped(Stop),
}

/// A refutation.
pub struct Refuted {
    /// The operation at whose return every attempt fails, by number.
    pub operation: u32,
    /// `index` and time of the line of that return.
    pub line: (u64, u64),
    /// Operations open at that moment, by number.
    pub concurrent: Vec<u32>,
    /// Operations that returned before and could be explained.
    pub explained: u64,
    /// Some operation's end was not known yet.
    pub scouted: bool,
    engine: Box<Engine>,
    before: Vec<Config>,
}

impl Refuted {
    /// Why each attempt fails, in words; `accounts` are the names of accounts.
    pub fn reasons(&mut self, accounts: &[String]) -> Vec<String> {
        explain::reasons(&mut self.engine, &self.before, self.operation, accounts)
    }
}

impl Online {
    /// Before the first line. The search holds at most `memory` bytes and stops when
    /// `called_off` turns true; [`allow`](Self::allow) says how long it may take.
    pub fn new(model: BankModel, memory: usize, called_off: Arc<AtomicBool>) -> Self {
        let meter = Meter::while_wanted(memory, called_off);
        let engine = Engine::new(model, 0, Policy::EXACT, meter);
        Self {
            model,
            main: Runner { engine, at: 0, explained: 0 },
            scout: None,
            tired: false,
            settled: Settled::default(),
            settle_at: MANY_STEPS,
            accounts: 0,
            lines: VecDeque::new(),
            operations: VecDeque::new(),
            base: 0,
        }
    }

    /// From now on searches may take so long.
    pub fn allow(&mut self, time: Duration) {
        self.main.engine.meter.allow(time);
        if let Some(scout) = &mut self.scout {
            scout.engine.meter.allow(time);
        }
    }

    /// An operation begins, of which no end is known. Returns its number: they count
    /// from 0.
    pub fn invoke(&mut self, operation: Operation) -> u32 {
        if let Call::Transfer { from, to, .. } = operation.call {
            self.accounts = self.accounts.max(from.0.max(to.0) as usize + 1);
        }
        let number = self.base + self.operations.len() as u32;
        self.operations.push_back(operation);
        self.lines.push_back(Mark::Invoke(number));
        number
    }

    /// An operation ends.
    pub fn complete(&mut self, number: u32, completion: Completion) {
        if let Observed::Balances(seen) = &completion.observed {
            let most = seen.iter().map(|(account, _)| account.0 as usize + 1).max();
            self.accounts = self.accounts.max(most.unwrap_or(0));
        }
        if completion.outcome == Outcome::Ok {
            self.lines.push_back(Mark::Return(number, completion.index, completion.time));
        }
        if let Some(operation) = self.held(number) {
            operation.completion = Some(completion);
        }
    }

    /// Evidence: an operation certainly did not happen.
    pub fn never_delivered(&mut self, number: u32) {
        if let Some(operation) = self.held(number) {
            operation.never_delivered = true;
        }
    }

    fn held(&mut self, number: u32) -> Option<&mut Operation> {
        self.operations.get_mut(number.checked_sub(self.base)? as usize)
    }

    /// Lines that wait for the end of an operation before them.
    pub fn waiting(&self) -> usize {
        self.lines.len()
    }

    /// When the operation was invoked that lines wait for (its `invoked`).
    pub fn waits_since(&self) -> Option<u64> {
        self.operations.front().map(|operation| operation.invoked)
    }

    /// Operations that returned and could be explained.
    pub fn explained(&self) -> u64 {
        self.main.explained
    }

    /// Consumes the lines of which everything is known. `take` is given the order
    /// that explains them, first to last, as far as it is sure.
    ///
    /// # Errors
    /// A refutation, or the end of the budget.
    pub fn advance(&mut self, take: &mut dyn FnMut(u32)) -> Result<(), Halt> {
        self.consume(false, take)
    }

    /// No further line will come: operations without an end stay indeterminate. Then
    /// `take` is given the rest of one order.
    ///
    /// # Errors
    /// As for [`advance`](Self::advance).
    pub fn close(&mut self, take: &mut dyn FnMut(u32)) -> Result<(), Halt> {
        self.consume(true, take)?;
        self.main.engine.settle(&mut self.settled, true, take);
        Ok(())
    }

    fn consume(&mut self, last: bool, take: &mut dyn FnMut(u32)) -> Result<(), Halt> {
        self.main.engine.grow(self.accounts);
        while let Some(&mark) = self.lines.front() {
            let event = match mark {
                Mark::Return(number, ..) => Some(Event::Return(number)),
                Mark::Invoke(number) => {
                    if !self.operations.front().is_some_and(|next| last || has_ended(next)) {
                        break;
                    }
                    let Some(operation) = self.operations.pop_front() else { break };
                    self.base = number + 1;
                    invocation(number, &operation, &self.model)
                }
            };
            self.lines.pop_front();
            (self.scout, self.tired) = (None, false);
            self.main.feed(event).map_err(|end| end.halt(&self.main, mark, false))?;
            if self.main.engine.held_steps() >= self.settle_at {
                self.main.engine.settle(&mut self.settled, false, take);
                self.settle_at = 2 * self.main.engine.held_steps().max(MANY_STEPS / 2);
            }
        }
        Ok(())
    }

    /// Looks past operations whose end is unknown, if they were invoked before a
    /// moment (the `invoked` of operations). Call [`advance`](Self::advance) first.
    ///
    /// # Errors
    /// A refutation. Running out of budget here only ends this look ahead.
    pub fn scout(&mut self, invoked_before: u64) -> Result<(), Refuted> {
        if self.tired || self.lines.is_empty() {
            return Ok(());
        }
        let main = &self.main;
        let scout = self.scout.get_or_insert_with(|| main.clone());
        scout.engine.grow(self.accounts);
        while let Some(&mark) = self.lines.get((scout.at - self.main.at) as usize) {
            let event = match mark {
                Mark::Return(number, ..) => Some(Event::Return(number)),
                Mark::Invoke(number) => {
                    let operation = &self.operations[(number - self.base) as usize];
                    if !has_ended(operation) && operation.invoked >= invoked_before {
                        break;
                    }
                    invocation(number, operation, &self.model)
                }
            };
            match scout.feed(event).map_err(|end| end.halt(scout, mark, true)) {
                Ok(()) => {}
                Err(Halt::Refuted(refuted)) => return Err(refuted),
                Err(Halt::Stopped(_)) => {
                    (self.scout, self.tired) = (None, true);
                    break;
                }
            }
        }
        Ok(())
    }
}

fn has_ended(operation: &Operation) -> bool {
    operation.completion.is_some() || operation.never_delivered
}

/// How a runner ended.
enum End {
    Refuted(u32, Vec<Config>),
    Stopped(Stop),
}

impl Runner {
    fn feed(&mut self, event: Option<Event>) -> Result<(), End> {
        self.at += 1;
        let Some(event) = event else { return Ok(()) };
        let returns = if let Event::Return(number) = event { Some(number) } else { None };
        // One that is taken as indeterminate is not open for the engine.
        let counts = returns.is_some_and(|number| self.engine.pending().slot(number).is_some());
        match self.engine.event(event).map_err(End::Stopped)? {
            Alive::Yes => self.explained += u64::from(counts),
            Alive::No(before) => return Err(End::Refuted(returns.unwrap_or_default(), before)),
        }
        Ok(())
    }
}

impl End {
    fn halt(self, runner: &Runner, mark: Mark, scouted: bool) -> Halt {
        let (operation, before) = match self {
            Self::Stopped(stop) => return Halt::Stopped(stop),
            Self::Refuted(operation, before) => (operation, before),
        };
        Halt::Refuted(Refuted {
            operation,
            line: if let Mark::Return(_, index, time) = mark { (index, time) } else { (0, 0) },
            concurrent: explain::concurrent(&runner.engine, operation),
            explained: runner.explained,
            scouted,
            engine: Box::new(runner.engine.clone()),
            before,
        })
    }
}
