//! The engine: consumes events one by one and keeps every explanation so far.
//!
//! It may be fed from a file or while a run goes on; an operation's result must
//! be known when its invocation is fed. Nothing it holds grows with the history
//! but the orders themselves (`Trail`). Must not know where events come from,
//! nor what is said about its answer.

use super::batch::Search;
use super::budget::{Meter, Stop};
use super::config::{Config, Layout, START, Step, Trail, Uses};
use super::graph::Graph;
use super::pending::Pending;
use super::perhaps::{Classes, Limits};
use super::problem::{Effect, Event, Op};
use super::quick::Quick;
use super::settled::Settled;
use crate::checker::bank::BankModel;

/// How thorough a search is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// Keep everything: the only way to refute. Otherwise the rest bounds it.
    pub exact: bool,
    /// Configurations kept after each return.
    pub width: usize,
    /// Further tiers of guesses that are tried though one was good already.
    pub slack: usize,
    /// Whether guards of indeterminate operations count on the way.
    pub guarded: bool,
    /// Whether indeterminate operations may come anywhere in a batch.
    pub wide: bool,
    /// Bounds of the choice of indeterminate operations for one operation.
    pub limits: Limits,
}

impl Policy {
    /// Nothing is left out.
    pub const EXACT: Self =
        Self { exact: true, width: usize::MAX, slack: 0, guarded: false, wide: true, limits: Limits::NONE };
}

/// How a beam looks for indeterminate operations, likeliest guesses first.
#[derive(Clone, Copy)]
struct Tier {
    /// Operations of one batch that may call for them.
    fixes: u32,
    /// Most of them for one operation, chosen freely.
    size: u32,
    /// From how many of the latest they are chosen.
    recent: usize,
    /// How far back runs in the order of invocation may begin.
    runs: usize,
    /// Whether one operation of a run may have overtaken a few others.
    swaps: bool,
    /// Whether a burst comes first that fits what open operations saw.
    bursts: bool,
    /// Whether they may come anywhere in a batch.
    wide: bool,
}

/// Sets of corrections tried on bursts for one return.
const CORRECTIONS: usize = 1 << 20;

/// None, to be changed.
const NO_TIER: Tier =
    Tier { fixes: 0, size: 0, recent: usize::MAX, runs: 0, swaps: false, bursts: false, wide: false };

const TIERS: [Tier; 12] = [
    NO_TIER,
    Tier { fixes: 2, bursts: true, size: 1, recent: 24, ..NO_TIER },
    Tier { fixes: 1, runs: 32, ..NO_TIER },
    Tier { fixes: 1, size: 2, recent: 24, ..NO_TIER },
    Tier { fixes: 2, size: 2, recent: 24, runs: 32, ..NO_TIER },
    Tier { fixes: 1, runs: 160, ..NO_TIER },
    Tier { fixes: 1, size: 2, ..NO_TIER },
    Tier { fixes: 2, size: 2, runs: 32, ..NO_TIER },
    Tier { fixes: 1, swaps: true, ..NO_TIER },
    Tier { fixes: 2, size: 4, recent: 48, wide: true, ..NO_TIER },
    Tier { fixes: 2, size: 4, runs: 160, wide: true, ..NO_TIER },
    Tier { fixes: 3, size: 12, wide: true, ..NO_TIER },
];

/// Where a search stood before an event, to go back to.
#[derive(Clone)]
struct Saved {
    frontier: Vec<Config>,
    pending: Pending,
    classes: Classes,
    layout: Layout,
}

/// The incremental search.
#[derive(Clone)]
pub struct Engine {
    model: BankModel,
    pub(super) policy: Policy,
    pending: Pending,
    classes: Classes,
    pub(super) layout: Layout,
    frontier: Vec<Config>,
    trail: Trail,
    pub(super) uses: Uses,
    graph: Graph,
    saved: Vec<Saved>,
    collect_at: usize,
    returns: usize,
    /// The budget, for its owner to read.
    pub meter: Meter,
}

/// What became of the explanations at an event.
#[derive(Debug)]
pub enum Alive {
    /// At least one is left.
    Yes,
    /// None explains the operation that returned; those before it are given back.
    No(Vec<Config>),
}

impl Engine {
    /// Before the first event; every account holds the model's initial balance.
    pub fn new(model: BankModel, accounts: usize, policy: Policy, meter: Meter) -> Self {
        let layout = Layout { words: 1, accounts };
        let mut key = vec![0; layout.len()].into_boxed_slice();
        (0..accounts as u32).for_each(|account| layout.set_balance(&mut key, account, model.initial));
        Self {
            model,
            policy,
            pending: Pending::new(accounts),
            classes: Classes::new(accounts),
            layout,
            frontier: vec![Config { key, trail: START, cost: 0 }],
            trail: Trail::default(),
            uses: Uses::default(),
            graph: Graph::default(),
            saved: Vec::new(),
            collect_at: 1 << 20,
            returns: 0,
            meter,
        }
    }

    /// Consumes the next event.
    ///
    /// # Errors
    /// The budget ran out; the engine is of no further use.
    pub fn event(&mut self, event: Event) -> Result<Alive, Stop> {
        self.meter.held = self.bytes();
        self.meter.unit = 8 * self.layout.len() + 64;
        self.meter.tick(0)?;
        match event {
            Event::Invoke(op) => self.invoke(op),
            Event::Perhaps(number, effect) => self.perhaps(number, effect),
            Event::Return(number) => return self.returned(number),
        }
        Ok(Alive::Yes)
    }

    /// Makes room for more accounts, which hold the initial balance; not between
    /// [`save`](Self::save) and [`restore`](Self::restore).
    pub fn grow(&mut self, accounts: usize) {
        if accounts <= self.layout.accounts {
            return;
        }
        let (layout, initial) = (self.layout, self.model.initial);
        self.frontier
            .iter_mut()
            .for_each(|config| config.key = layout.with_accounts(&config.key, accounts, initial));
        self.layout.accounts = accounts;
        self.pending.grow(accounts);
        self.classes.grow(accounts);
    }

    /// Hands over, and forgets, the operations that come first in every order that
    /// is left. `last`: nothing follows, so that one order may stand for all.
    pub fn settle(&mut self, settled: &mut Settled, last: bool, take: &mut dyn FnMut(u32)) {
        if last {
            self.frontier.truncate(1);
        }
        let tips = self.frontier.iter_mut().map(|config| &mut config.trail).collect();
        settled.take_off(&mut self.trail, tips, &self.pending, &self.classes, take);
    }

    /// Steps of orders that are held.
    pub fn held_steps(&self) -> usize {
        self.trail.len()
    }

    /// The explanations of everything that returned so far.
    pub fn frontier(&self) -> &[Config] {
        &self.frontier
    }

    /// The order behind a configuration, first to last.
    pub fn steps(&self, config: &Config) -> Vec<Step> {
        self.trail.steps(config.trail)
    }

    /// How configurations are laid out now.
    pub fn layout(&self) -> Layout {
        self.layout
    }

    /// The indeterminate operations so far.
    pub fn classes(&self) -> &Classes {
        &self.classes
    }

    /// Changes how many configurations are kept from here on.
    pub fn set_policy(&mut self, policy: Policy) {
        self.policy = policy;
    }

    /// Remembers this place; the oldest of more than `most` places is forgotten.
    pub fn save(&mut self, most: usize) {
        if self.saved.len() >= most {
            self.saved.remove(0);
        }
        let (frontier, pending) = (self.frontier.clone(), self.pending.clone());
        self.saved.push(Saved { frontier, pending, classes: self.classes.clone(), layout: self.layout });
    }

    /// Goes back to the latest remembered place and forgets it.
    pub fn restore(&mut self) -> bool {
        let Some(saved) = self.saved.pop() else { return false };
        Saved {
            frontier: self.frontier,
            pending: self.pending,
            classes: self.classes,
            layout: self.layout,
        } = saved;
        true
    }

    fn invoke(&mut self, op: Op) {
        let slot = self.pending.insert(op);
        self.widen();
        let mut frontier = std::mem::take(&mut self.frontier);
        let search = self.search();
        let op = search.pending.op(slot);
        for config in &mut frontier {
            if search.may_stay(&config.key, op) {
                search.layout.set_stayed(&mut config.key, slot);
                config.trail = search.trail.push(config.trail, Step::Stayed(op.number));
            }
        }
        self.frontier = frontier;
    }

    fn perhaps(&mut self, number: u32, effect: Effect) {
        self.classes.add(number, effect, self.returns);
        if self.policy.guarded || !self.pending.any_blind() {
            return;
        }
        // An open blind transfer may owe its guard's answer to this one.
        let mut frontier = std::mem::take(&mut self.frontier);
        let mut search = self.search();
        for config in &mut frontier {
            let nodes = [(effect.from, 0), (effect.to, 0)];
            config.trail = search.mark_stays(&mut config.key, config.trail, &nodes, None);
        }
        self.frontier = frontier;
    }

    fn returned(&mut self, number: u32) -> Result<Alive, Stop> {
        let Some(slot) = self.pending.slot(number) else { return Ok(Alive::Yes) };
        self.returns += 1;
        self.meter.choices = self.policy.limits.steps;
        self.meter.corrections = CORRECTIONS;
        let mut before = std::mem::take(&mut self.frontier);
        let mut after = Vec::with_capacity(before.len());
        for config in &mut before {
            if after.len() >= self.policy.width.saturating_mul(64) {
                break;
            }
            self.complete(config, slot, &mut after)?;
        }
        if after.is_empty() {
            return Ok(Alive::No(before));
        }
        after.iter_mut().for_each(|config| self.layout.clear(&mut config.key, slot));
        self.pending.remove(slot);
        self.frontier = self.thin(after)?;
        self.collect();
        Ok(Alive::Yes)
    }

    fn complete(&mut self, config: &mut Config, slot: u32, after: &mut Vec<Config>) -> Result<(), Stop> {
        let (policy, indeterminate) = (self.policy, !self.classes.is_empty());
        let mut search = self.search();
        if !(policy.exact && indeterminate) {
            match search.quick(config, slot) {
                Quick::Done => {
                    after.push(std::mem::replace(
                        config,
                        Config { key: Box::default(), trail: START, cost: 0 },
                    ));
                    return Ok(());
                }
                Quick::Dead if !indeterminate => return Ok(()),
                Quick::Dead | Quick::Unclear => {}
            }
        }
        if policy.exact {
            let fixes = if indeterminate { u32::MAX } else { 0 };
            return search.complete(config, slot, fixes, indeterminate, after);
        }
        let (found, mut slack) = (after.len(), policy.slack);
        for tier in TIERS {
            if tier.wide && !policy.wide {
                break;
            }
            let Tier { fixes, size, recent, runs, swaps, bursts, wide } = tier;
            search.limits = Limits { size, recent, runs, swaps, bursts, ..policy.limits };
            search.complete(config, slot, fixes, wide, after)?;
            if !indeterminate || (after.len() > found && slack == 0) {
                break;
            }
            slack -= usize::from(after.len() > found);
        }
        Ok(())
    }

    /// States that the search passes on its way to an operation that it cannot
    /// complete, at most `most` of them: for explanations.
    pub fn states_before(&mut self, before: &[Config], number: u32, most: usize) -> Vec<Box<[u64]>> {
        let Some(slot) = self.pending.slot(number) else { return Vec::new() };
        let indeterminate = !self.classes.is_empty();
        let mut states = Vec::new();
        for config in before {
            let mut search = self.search();
            search.watch = Some(Vec::new());
            let fixes = if indeterminate { u32::MAX } else { 0 };
            let stopped = search.complete(config, slot, fixes, indeterminate, &mut Vec::new()).is_err();
            states.extend(search.watch.unwrap_or_default());
            if stopped || states.len() >= most {
                break;
            }
        }
        states.truncate(most);
        states
    }

    /// The open operations.
    pub fn pending(&self) -> &Pending {
        &self.pending
    }

    fn search(&mut self) -> Search<'_> {
        Search {
            pending: &self.pending,
            classes: &self.classes,
            layout: self.layout,
            model: &self.model,
            guarded: self.policy.guarded,
            limits: self.policy.limits,
            target: None,
            watch: None,
            trail: &mut self.trail,
            uses: &mut self.uses,
            graph: &mut self.graph,
            meter: &mut self.meter,
        }
    }

    fn widen(&mut self) {
        let words = self.pending.capacity().div_ceil(64).max(1);
        if words > self.layout.words {
            let layout = self.layout;
            self.frontier.iter_mut().for_each(|config| config.key = layout.widen(&config.key, words));
            self.layout.words = words;
        }
    }

    fn collect(&mut self) {
        if self.trail.len() < self.collect_at {
            return;
        }
        let saved = self.saved.iter_mut().flat_map(|saved| &mut saved.frontier);
        self.trail.collect(self.frontier.iter_mut().chain(saved).map(|config| &mut config.trail));
        self.collect_at = 2 * self.trail.len().max(1 << 19);
    }

    /// Approximate memory held between events, in bytes.
    fn bytes(&self) -> usize {
        let saved: usize = self.saved.iter().map(|saved| saved.frontier.len()).sum();
        (self.frontier.len() + saved) * (8 * self.layout.len() + 40) + 8 * self.trail.len() + self.uses.bytes
    }
}
