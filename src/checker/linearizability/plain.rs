//! The complete search: no rule that leaves anything out.
//!
//! Just-in-time linearization as Lowe describes it, with the real guards of
//! indeterminate operations. Exponential in them, so it only answers where the
//! engine's relaxed guards leave a gap: it neither refuted nor found an order that
//! replays. Knows nothing of budgets but the meter's.

use rustc_hash::FxHashSet;

use super::budget::{Meter, Stop};
use super::config::{Config, Layout, START, Step, Trail, Uses};
use super::pending::Pending;
use super::perhaps::Classes;
use super::problem::{Event, Problem};

/// How the complete search ended.
pub enum Plain {
    /// An order, as steps, with the classes that its steps name.
    Found(Vec<Step>, Classes),
    /// No order exists: nothing explains this operation's return.
    None(u32),
}

/// Searches every order.
pub fn search(problem: &Problem<'_>, meter: Meter) -> Result<Plain, Stop> {
    let accounts = problem.accounts.len();
    let mut search = Search {
        problem,
        pending: Pending::new(accounts),
        classes: Classes::new(accounts),
        layout: Layout { words: 1, accounts },
        trail: Trail::default(),
        uses: Uses::default(),
        meter,
    };
    let mut key = vec![0; search.layout.len()].into_boxed_slice();
    (0..accounts as u32)
        .for_each(|account| search.layout.set_balance(&mut key, account, problem.model().initial));
    let mut frontier = vec![Config { key, trail: START, cost: 0 }];
    for event in problem.events() {
        match event {
            Event::Invoke(op) => drop(search.pending.insert(op)),
            Event::Perhaps(number, effect) => search.classes.add(number, effect, 0),
            Event::Return(number) => {
                frontier = search.returned(frontier, number)?;
                if frontier.is_empty() {
                    return Ok(Plain::None(number));
                }
            }
        }
        search.widen(&mut frontier);
    }
    Ok(Plain::Found(search.trail.steps(frontier[0].trail), search.classes))
}

struct Search<'a, 'h> {
    problem: &'a Problem<'h>,
    pending: Pending,
    classes: Classes,
    layout: Layout,
    trail: Trail,
    uses: Uses,
    meter: Meter,
}

impl Search<'_, '_> {
    fn returned(&mut self, frontier: Vec<Config>, number: u32) -> Result<Vec<Config>, Stop> {
        let Some(target) = self.pending.slot(number) else { return Ok(frontier) };
        let (mut after, mut known, mut seen) = (Vec::new(), FxHashSet::default(), FxHashSet::default());
        let mut stack = frontier;
        self.meter.unit = 16 * self.layout.len() + 128;
        while let Some(config) = stack.pop() {
            self.meter.held = 8 * self.trail.len() + self.uses.bytes;
            self.meter.tick(stack.len() + seen.len() + known.len())?;
            if !self.layout.moved(&config.key, target) {
                if !seen.insert(config.key.clone()) {
                    continue;
                }
                self.extend(&config, &mut stack);
                continue;
            }
            let mut config = config;
            self.layout.clear(&mut config.key, target);
            if known.insert(config.key.clone()) {
                after.push(config);
            }
        }
        self.pending.remove(target);
        Ok(after)
    }

    /// Every single next step.
    fn extend(&mut self, config: &Config, stack: &mut Vec<Config>) {
        let open: Vec<u32> = self.pending.open().to_vec();
        for slot in open {
            if !self.layout.moved(&config.key, slot) {
                stack.extend(self.step(config, slot));
            }
        }
        for class in 0..self.classes.len() {
            let used = self.layout.uses(&config.key);
            let effect = self.classes.class(class).effect;
            if self.classes.left(&self.uses, used, class) == 0 {
                continue;
            }
            if let Some(key) = self.transfer(&config.key, effect.from, effect.to, effect.amount) {
                let mut next = Config { key, ..config.clone() };
                self.layout.set_uses(&mut next.key, self.uses.add(used, &[class]));
                next.trail = self.trail.push(config.trail, Step::Used(class));
                stack.push(next);
            }
        }
    }

    /// One operation takes effect, if its result is what it would see.
    fn step(&mut self, config: &Config, slot: u32) -> Option<Config> {
        let (layout, op) = (self.layout, self.pending.op(slot));
        let holds =
            |nodes: &[(u32, i64)]| nodes.iter().all(|&(a, value)| layout.balance(&config.key, a) == value);
        let mut next = config.clone();
        match op.blind {
            Some(amount) => {
                let nodes = op.nodes();
                next.key = self.transfer(&config.key, nodes[0].0, nodes[1].0, amount).unwrap_or(next.key);
            }
            None if op.needs().is_some_and(|needs| holds(&needs)) => {
                op.nodes()
                    .iter()
                    .for_each(|&(account, value)| layout.set_balance(&mut next.key, account, value));
            }
            None if op.can_stay && holds(op.nodes()) => {}
            None => return None,
        }
        layout.set_moved(&mut next.key, slot);
        next.trail = self.trail.push(config.trail, Step::Moved(op.number));
        Some(next)
    }

    fn transfer(&self, key: &[u64], from: u32, to: u32, amount: i64) -> Option<Box<[u64]>> {
        let (debited, credited) = (self.layout.balance(key, from), self.layout.balance(key, to));
        let after = self.problem.model().transfer(debited, credited, amount)?;
        let mut key: Box<[u64]> = key.into();
        self.layout.set_balance(&mut key, from, after[0]);
        self.layout.set_balance(&mut key, to, after[1]);
        Some(key)
    }

    fn widen(&mut self, frontier: &mut [Config]) {
        let words = self.pending.capacity().div_ceil(64).max(1);
        if words > self.layout.words {
            let layout = self.layout;
            frontier.iter_mut().for_each(|config| config.key = layout.widen(&config.key, words));
            self.layout.words = words;
        }
    }
}
