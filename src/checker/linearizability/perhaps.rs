//! Operations that may have happened: counted by class, used only when needed.
//!
//! Equal transfers are interchangeable, so a class (from, to, amount) and a count
//! say everything. An explanation uses them immediately before the operation that
//! needs them, and never a sub-multiset without net effect on that operation's
//! accounts: it could as well come later or not at all (CHECKER, point 5). That
//! argument ignores guards, which is why a refutation may rest on it and an
//! acceptance is always replayed. Knows nothing of masks or slots.

use rustc_hash::{FxHashMap, FxHashSet};

use super::budget::{Meter, Stop};
use super::config::Uses;
use super::problem::Effect;

/// Distinct net changes that are told apart per account; beyond, all are possible.
const MAX_SUMS: usize = 4096;

/// Indeterminate transfers with the same effect.
#[derive(Debug, Clone)]
pub struct Class {
    /// What each of them does.
    pub effect: Effect,
    /// Their operation numbers, in the order of invocation.
    pub members: Vec<u32>,
    /// Place of the latest of them in the order of invocation.
    pub latest: usize,
}

/// All classes invoked so far.
#[derive(Debug, Clone)]
pub struct Classes {
    list: Vec<Class>,
    index: FxHashMap<Effect, u32>,
    touching: Vec<Vec<u32>>,
    /// Net changes that sub-multisets can make on an account; `None`: any.
    sums: Vec<Option<FxHashSet<i64>>>,
    /// Class of each indeterminate operation in the order of invocation.
    pub order: Vec<u32>,
    /// Where bursts begin in `order`.
    pub bursts: Vec<usize>,
    last: usize,
}

/// Returns between two invocations of different bursts.
const CALM: usize = 8;

impl Classes {
    /// None yet.
    pub fn new(accounts: usize) -> Self {
        let zero = Some(FxHashSet::from_iter([0]));
        Self {
            list: Vec::new(),
            index: FxHashMap::default(),
            touching: vec![Vec::new(); accounts],
            sums: vec![zero; accounts],
            order: Vec::new(),
            bursts: Vec::new(),
            last: 0,
        }
    }

    /// Makes room for more accounts.
    pub fn grow(&mut self, accounts: usize) {
        let accounts = accounts.max(self.touching.len());
        self.touching.resize(accounts, Vec::new());
        self.sums.resize(accounts, Some(FxHashSet::from_iter([0])));
    }

    /// One more operation of a class may have happened; `now` counts returns.
    pub fn add(&mut self, number: u32, effect: Effect, now: usize) {
        if self.bursts.is_empty() || now > self.last + CALM {
            self.bursts.push(self.order.len());
        }
        self.last = now;
        let next = self.list.len() as u32;
        let class = *self.index.entry(effect).or_insert(next);
        if class == next {
            self.list.push(Class { effect, members: Vec::new(), latest: 0 });
            self.touching[effect.from as usize].push(class);
            self.touching[effect.to as usize].push(class);
        }
        self.list[class as usize].members.push(number);
        self.list[class as usize].latest = self.order.len();
        self.order.push(class);
        extend(&mut self.sums[effect.from as usize], effect.amount.wrapping_neg());
        extend(&mut self.sums[effect.to as usize], effect.amount);
    }

    /// A class by its number.
    pub fn class(&self, class: u32) -> &Class {
        &self.list[class as usize]
    }

    /// How many operations were invoked after the latest of a class.
    pub fn age(&self, class: u32) -> usize {
        self.order.len() - 1 - self.list[class as usize].latest
    }

    /// Number of operations in the latest burst.
    pub fn latest_burst(&self) -> usize {
        self.order.len() - self.bursts.last().copied().unwrap_or(0)
    }

    /// Number of classes.
    pub fn len(&self) -> u32 {
        self.list.len() as u32
    }

    /// No operation is indeterminate so far.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Classes that touch an account.
    pub fn touching(&self, account: u32) -> &[u32] {
        &self.touching[account as usize]
    }

    /// Whether indeterminate operations could change an account by this much.
    pub fn reaches(&self, account: u32, change: i64) -> bool {
        self.sums[account as usize].as_ref().is_none_or(|sums| sums.contains(&change))
    }

    /// How many of a class are left.
    pub fn left(&self, uses: &Uses, used: u32, class: u32) -> u32 {
        self.list[class as usize].members.len() as u32 - uses.count(used, class)
    }
}

fn extend(sums: &mut Option<FxHashSet<i64>>, change: i64) {
    if let Some(known) = sums {
        let more: Vec<i64> = known.iter().map(|sum| sum.wrapping_add(change)).collect();
        known.extend(more);
        if known.len() > MAX_SUMS {
            *sums = None;
        }
    }
}

/// Bounds of an enumeration; an exact search has none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Most operations in one multiset.
    pub size: u32,
    /// Most multisets wanted.
    pub found: usize,
    /// Most steps of all enumerations for one return.
    pub steps: usize,
    /// How far back runs in the order of invocation may begin, in operations.
    pub runs: usize,
    /// Whether one operation of a run may have overtaken a few others.
    pub swaps: bool,
    /// Only the latest so many operations are chosen from.
    pub recent: usize,
    /// Whether the batch begins with a burst, chosen to fit what open operations saw.
    pub bursts: bool,
}

impl Limits {
    /// Everything is enumerated.
    pub const NONE: Self = Self {
        size: u32::MAX,
        found: usize::MAX,
        steps: usize::MAX,
        runs: 0,
        swaps: false,
        recent: usize::MAX,
        bursts: false,
    };
}

struct Item {
    class: u32,
    left: u32,
    /// Change on each wanted account.
    change: Vec<i64>,
}

/// Multisets of classes (each class repeated as often as it is used) that change
/// the wanted accounts by exactly the wanted amounts and hold no part without net
/// effect on them.
pub fn fixes(
    classes: &Classes,
    uses: &Uses,
    used: u32,
    wanted: &[(u32, i64)],
    limits: Limits,
    meter: &mut Meter,
) -> Result<Vec<Vec<u32>>, Stop> {
    if !wanted.iter().all(|&(account, change)| classes.reaches(account, change)) {
        return Ok(Vec::new());
    }
    let items = items(classes, uses, used, wanted, limits.recent);
    let mut search = Fixes { bounds: bounds(&items, wanted.len()), items, limits, meter, found: Vec::new() };
    let mut rest: Vec<i64> = wanted.iter().map(|&(_, change)| change).collect();
    if limits.size == u32::MAX {
        search.go(0, &mut rest, &mut Vec::new())?;
        return Ok(search.found);
    }
    let most: Vec<i64> = (0..wanted.len()).map(|at| greatest(&search.items, at)).collect();
    for size in 1..=limits.size {
        search.smallest_first(&mut rest, &mut Vec::new(), size, &most)?;
        if search.full() {
            break;
        }
    }
    Ok(search.found)
}

fn items(classes: &Classes, uses: &Uses, used: u32, wanted: &[(u32, i64)], recent: usize) -> Vec<Item> {
    let mut touching: Vec<u32> =
        wanted.iter().flat_map(|&(account, _)| classes.touching(account)).copied().collect();
    touching.sort_unstable();
    touching.dedup();
    touching.retain(|&class| classes.age(class) < recent);
    let item = |class: u32| {
        let effect = classes.class(class).effect;
        let change = |&(account, _): &(u32, i64)| match account {
            account if account == effect.from => effect.amount.wrapping_neg(),
            account if account == effect.to => effect.amount,
            _ => 0,
        };
        Item { class, left: classes.left(uses, used, class), change: wanted.iter().map(change).collect() }
    };
    touching.into_iter().map(item).filter(|item| item.left > 0).collect()
}

/// For each position the least and greatest change that the items from there on
/// can make on each account; empty if such sums might not fit 64 bits.
fn bounds(items: &[Item], accounts: usize) -> Vec<Vec<(i64, i64)>> {
    let size = |item: &Item| {
        let greatest = item.change.iter().map(|change| change.unsigned_abs()).max().unwrap_or(0);
        u128::from(greatest) * u128::from(item.left)
    };
    if items.iter().map(size).sum::<u128>() > 1 << 61 {
        return Vec::new();
    }
    let mut bounds = vec![vec![(0, 0); accounts]; items.len() + 1];
    for (at, item) in items.iter().enumerate().rev() {
        let wider = |(&(low, high), &change): (&(i64, i64), &i64)| {
            let change = change * i64::from(item.left);
            (low + change.min(0), high + change.max(0))
        };
        bounds[at] = bounds[at + 1].iter().zip(&item.change).map(wider).collect();
    }
    bounds
}

/// The greatest change that one item makes on an account.
fn greatest(items: &[Item], account: usize) -> i64 {
    items.iter().map(|item| item.change[account].saturating_abs()).max().unwrap_or(0)
}

struct Fixes<'a> {
    items: Vec<Item>,
    bounds: Vec<Vec<(i64, i64)>>,
    limits: Limits,
    meter: &'a mut Meter,
    found: Vec<Vec<u32>>,
}

impl Fixes<'_> {
    fn full(&self) -> bool {
        self.found.len() >= self.limits.found || self.meter.choices == 0
    }

    /// Tries items from `at` on, every multiset of them.
    fn go(&mut self, at: usize, rest: &mut Vec<i64>, chosen: &mut Vec<(usize, u32)>) -> Result<(), Stop> {
        self.meter.tick(self.found.len())?;
        let done = rest.iter().all(|&change| change == 0);
        if done && !chosen.is_empty() {
            // Whatever followed would have no net effect: superfluous.
            self.keep(chosen);
            return Ok(());
        }
        if at == self.items.len() || !self.possible(at, rest) {
            return Ok(());
        }
        self.go(at + 1, rest, chosen)?;
        let most = self.items[at].left;
        for count in 1..=most {
            self.shift(at, rest, -1);
            chosen.push((at, count));
            self.go(at + 1, rest, chosen)?;
            chosen.pop();
        }
        for _ in 1..=most {
            self.shift(at, rest, 1);
        }
        Ok(())
    }

    /// Multisets of exactly `size` more operations: each serves the first account
    /// that is still wrong. Finds every multiset without superfluous parts.
    fn smallest_first(
        &mut self,
        rest: &mut Vec<i64>,
        chosen: &mut Vec<usize>,
        size: u32,
        most: &[i64],
    ) -> Result<(), Stop> {
        self.meter.choices = self.meter.choices.saturating_sub(1);
        self.meter.tick(self.found.len())?;
        let Some(wrong) = rest.iter().position(|&change| change != 0) else {
            if size == 0 {
                self.keep_units(chosen);
            }
            return Ok(());
        };
        let wrongs = rest.iter().filter(|&&change| change != 0).count();
        let far = |(&rest, &most): (&i64, &i64)| rest.saturating_abs() > most.saturating_mul(i64::from(size));
        if size == 0 || wrongs > 2 * size as usize || self.full() || rest.iter().zip(most).any(far) {
            return Ok(());
        }
        for at in 0..self.items.len() {
            let spent = chosen.iter().filter(|&&other| other == at).count() as u32;
            let change = self.items[at].change[wrong];
            if change == 0 || spent >= self.items[at].left || (size == 1 && change != rest[wrong]) {
                continue;
            }
            self.shift(at, rest, -1);
            chosen.push(at);
            self.smallest_first(rest, chosen, size - 1, most)?;
            chosen.pop();
            self.shift(at, rest, 1);
        }
        Ok(())
    }

    /// Keeps a multiset unless it was found in another order.
    fn keep_units(&mut self, chosen: &[usize]) {
        let mut units: Vec<(usize, u32)> = chosen.iter().map(|&at| (at, 1)).collect();
        units.sort_unstable();
        let classes: Vec<u32> = units.iter().map(|&(at, _)| self.items[at].class).collect();
        if !self.found.contains(&classes) {
            self.keep(&units);
        }
    }

    fn shift(&self, at: usize, rest: &mut [i64], times: i64) {
        for (rest, change) in rest.iter_mut().zip(&self.items[at].change) {
            *rest = rest.wrapping_add(change.wrapping_mul(times));
        }
    }

    fn possible(&self, at: usize, rest: &[i64]) -> bool {
        let Some(bounds) = self.bounds.get(at) else { return true };
        rest.iter().zip(bounds).all(|(rest, (low, high))| low <= rest && rest <= high)
    }

    fn keep(&mut self, chosen: &[(usize, u32)]) {
        if self.superfluous(chosen) {
            return;
        }
        let class = |&(at, count): &(usize, u32)| std::iter::repeat_n(self.items[at].class, count as usize);
        let fix = chosen.iter().flat_map(class).collect();
        self.found.push(fix);
    }

    /// Whether a proper part has no net effect. Only small multisets are looked
    /// at: keeping a superfluous one costs time, not truth.
    fn superfluous(&self, chosen: &[(usize, u32)]) -> bool {
        let units: Vec<usize> =
            chosen.iter().flat_map(|&(at, n)| std::iter::repeat_n(at, n as usize)).collect();
        if units.len() > 10 {
            return false;
        }
        (1u32..(1 << units.len()) - 1).any(|part| {
            (0..self.bounds_width()).all(|account| {
                let taken = units.iter().enumerate().filter(|(bit, _)| part >> bit & 1 == 1);
                taken.fold(0i64, |sum, (_, &at)| sum.wrapping_add(self.items[at].change[account])) == 0
            })
        })
    }

    fn bounds_width(&self) -> usize {
        self.items.first().map_or(0, |item| item.change.len())
    }
}
