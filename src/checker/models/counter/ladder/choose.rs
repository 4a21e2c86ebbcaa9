//! Which additions make up a difference.
//!
//! Open ones with one addend are interchangeable but for their order, so only how many
//! of each is chosen; indeterminate ones of an addend come in where no open one is left.
//! Does not know which attempts are worth keeping.

use super::History;
use super::frontier::Attempt;
use crate::checker::linearizability::Stop;
use crate::checker::linearizability::budget::Meter;
use crate::checker::models::orders::Orders;

/// Steps of one choice, after which the rest is left out.
const STEPS: usize = 1 << 14;

/// What there is to choose from.
pub(super) struct Sums<'a> {
    pub history: &'a History<'a>,
    /// Whether indeterminate additions are not counted one by one.
    pub relaxed: bool,
    /// Open additions that may take effect, in the order of their returns.
    pub open: Vec<u32>,
    /// How many indeterminate additions there are of each addend.
    pub invoked: &'a [u32],
    /// An addend that is not to be used.
    pub but: Option<i128>,
}

/// One addend.
struct Kind {
    addend: i128,
    open: Vec<u32>,
    /// Among the addends of indeterminate ones, and how many are left.
    class: usize,
    left: u32,
}

impl Kind {
    fn count(&self) -> u32 {
        self.open.len() as u32 + self.left
    }
}

impl Sums<'_> {
    /// Adds to `work` every attempt that comes to exactly `sum`; whether some were left out.
    pub fn reach(
        self,
        attempt: &Attempt,
        sum: i128,
        orders: &mut Orders,
        work: &mut Vec<Attempt>,
        meter: &mut Meter,
    ) -> Result<bool, Stop> {
        let missing = sum - attempt.sum;
        let kinds = self.kinds(attempt, missing);
        let mut most = vec![0; kinds.len() + 1];
        for (at, kind) in kinds.iter().enumerate().rev() {
            most[at] = most[at + 1] + i128::from(kind.count()) * kind.addend;
        }
        let lends = if self.relaxed { self.lends(attempt) } else { Lends { most: 0, by: 1 } };
        let history = self.history;
        let mut choice =
            Choice { history, attempt, kinds, most, lends, counts: Vec::new(), steps: 0, orders, work };
        choice.go_on(missing, meter)?;
        Ok(choice.steps >= STEPS)
    }

    /// What there is of every addend that is not too great, greatest first.
    fn kinds(&self, attempt: &Attempt, missing: i128) -> Vec<Kind> {
        let mut kinds: Vec<Kind> = Vec::new();
        let fits = |addend: i128| addend <= missing && Some(addend) != self.but;
        for &number in &self.open {
            let addend = self.history.addend(number);
            if fits(addend) {
                of_addend(&mut kinds, addend).open.push(number);
            }
        }
        for (class, &used) in attempt.used.iter().enumerate() {
            let (addend, left) = (self.history.addends[class], self.invoked[class] - used);
            if left > 0 && fits(addend) {
                let kind = of_addend(&mut kinds, addend);
                (kind.class, kind.left) = (class, left);
            }
        }
        kinds.sort_unstable_by_key(|kind| std::cmp::Reverse(kind.addend));
        kinds
    }

    /// What indeterminate additions may still add.
    fn lends(&self, attempt: &Attempt) -> Lends {
        let mut lends = Lends { most: -attempt.lent, by: 0 };
        for (&count, &addend) in
            self.invoked.iter().zip(&self.history.addends).filter(|(count, _)| **count > 0)
        {
            lends.most += i128::from(count) * addend;
            lends.by = common_divisor(lends.by, addend);
        }
        lends.by = lends.by.max(1);
        lends
    }
}

/// The kind of an addend, new if it is not there.
fn of_addend(kinds: &mut Vec<Kind>, addend: i128) -> &mut Kind {
    let at = kinds.iter().position(|kind| kind.addend == addend).unwrap_or_else(|| {
        kinds.push(Kind { addend, open: Vec::new(), class: usize::MAX, left: 0 });
        kinds.len() - 1
    });
    &mut kinds[at]
}

/// Up to so much, in multiples of this.
#[derive(Clone, Copy)]
struct Lends {
    most: i128,
    by: i128,
}

fn common_divisor(a: i128, b: i128) -> i128 {
    if b == 0 { a } else { common_divisor(b, a % b) }
}

struct Choice<'a, 'b> {
    history: &'a History<'a>,
    attempt: &'a Attempt,
    kinds: Vec<Kind>,
    /// What all kinds from each on come to.
    most: Vec<i128>,
    lends: Lends,
    /// How many of each kind, so far.
    counts: Vec<u32>,
    steps: usize,
    orders: &'b mut Orders,
    work: &'b mut Vec<Attempt>,
}

impl Choice<'_, '_> {
    fn go_on(&mut self, missing: i128, meter: &mut Meter) -> Result<(), Stop> {
        meter.tick(self.work.len())?;
        self.steps += 1;
        let at = self.counts.len();
        if missing == 0 || at == self.kinds.len() {
            if missing <= self.lends.most && missing % self.lends.by == 0 {
                self.found(missing);
            }
            return Ok(());
        }
        if self.steps >= STEPS || self.most[at] + self.lends.most < missing {
            return Ok(());
        }
        let addend = self.kinds[at].addend;
        let most = i128::from(self.kinds[at].count()).min(missing / addend);
        for count in 0..=most {
            self.counts.push(count as u32);
            self.go_on(missing - count * addend, meter)?;
            self.counts.pop();
        }
        Ok(())
    }

    fn found(&mut self, lent: i128) {
        let mut child = self.attempt.clone();
        child.lent += lent;
        child.sum += lent;
        for (kind, &count) in self.kinds.iter().zip(&self.counts) {
            child.sum += i128::from(count) * kind.addend;
            let open = kind.open.len().min(count as usize);
            for &number in &kind.open[..open] {
                child.fired |= self.history.slot(number);
                child.tip = self.orders.then(child.tip, number);
            }
            for _ in open..count as usize {
                let used = &mut child.used[kind.class];
                let number = self.history.members[kind.class][*used as usize];
                *used += 1;
                child.lent += kind.addend;
                child.tip = self.orders.then(child.tip, number);
            }
        }
        self.work.push(child);
    }
}
