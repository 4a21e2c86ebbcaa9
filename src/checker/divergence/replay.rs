//! Replays of one order of transfers with a small change, against the balances of
//! one file.
//!
//! The rules are those of `checker::bank`; every change is tried by applying the
//! transfers one after another, so that guards decide anew. Sums of effects only
//! say which changes are worth a replay. Work is counted in transfers applied: the
//! same question always ends in the same answer. Knows no history and no words.

use super::change::Change;
use crate::checker::bank::BankModel;

/// One transfer of an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    /// Position in `History::operations`.
    pub operation: usize,
    /// Debited account.
    pub from: u32,
    /// Credited account.
    pub to: u32,
    /// Money units.
    pub amount: i64,
}

impl Step {
    /// Whether the two ask for the same.
    pub fn equals(&self, other: &Self) -> bool {
        (self.from, self.to, self.amount) == (other.from, other.to, other.amount)
    }
}

/// An operation of unknown outcome that the order leaves out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Spare {
    /// What it asked for.
    pub step: Step,
    /// The first place in the order where it may have happened.
    pub earliest: usize,
}

/// Balances by account number; `None`: nobody named the account so far.
pub type Balances = Vec<Option<i64>>;

/// What a replay should end with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Goal {
    /// By account number; `None`: the file does not name it.
    pub balances: Balances,
    /// Whether an account that was named must have a line, and no other one.
    pub names_count: bool,
}

/// The most balances that are kept, 16 bytes each.
const KEPT: usize = 4_000_000;

/// An order with its balances at every place, and work left to spend on changes.
pub struct Replays<'a> {
    bank: BankModel,
    /// The order.
    pub steps: &'a [Step],
    /// Operations of unknown outcome that are not in it.
    pub spares: &'a [Spare],
    goal: &'a Goal,
    accounts: usize,
    /// Balances before each step, and after the last one.
    states: Balances,
    /// What each step moved, as a sum that adds up; 0 if nothing.
    pub effects: Vec<u64>,
    /// Sums of `effects` before each step, and after the last one.
    pub sums: Vec<u64>,
    /// Transfers that may still be applied.
    work: u64,
    /// The order as it is.
    now: Balances,
    wrong: usize,
}

impl<'a> Replays<'a> {
    /// Replays the order as it is; `None` if it is too long to be kept.
    pub fn new(bank: BankModel, steps: &'a [Step], spares: &'a [Spare], goal: &'a Goal) -> Option<Self> {
        let accounts = goal.balances.len();
        if accounts.checked_mul(steps.len() + 1)? > KEPT {
            return None;
        }
        let (states, effects, sums) = (Vec::new(), Vec::new(), vec![0]);
        let mut replays = Self {
            bank,
            steps,
            spares,
            goal,
            accounts,
            states,
            effects,
            sums,
            work: 0,
            now: vec![],
            wrong: 0,
        };
        replays.begin(None);
        for step in steps {
            replays.states.extend_from_slice(&replays.now);
            let moved = replays.apply(step, false);
            let effect = if moved { effect(step) } else { 0 };
            replays.effects.push(effect);
            replays.sums.push(replays.sums[replays.sums.len() - 1].wrapping_add(effect));
        }
        replays.states.extend_from_slice(&replays.now.clone());
        Some(replays)
    }

    /// Transfers that a search may apply from here on.
    pub fn allow(&mut self, work: u64) {
        self.work = work;
    }

    /// Whether no work is left.
    pub fn spent(&self) -> bool {
        self.work == 0
    }

    /// Whether the order as it is ends in the goal.
    pub fn holds(&mut self) -> bool {
        self.begin(Some(self.steps.len()));
        self.wrong == 0
    }

    /// The sum of effects that the order has and the goal has not.
    pub fn lacking(&self) -> u64 {
        let held = self.goal.balances.iter().zip(0u32..).map(|(balance, account)| {
            let gained = balance.map_or(0, |balance| balance.wrapping_sub(self.bank.initial));
            weight(account).wrapping_mul(gained as u64)
        });
        self.sums[self.steps.len()].wrapping_sub(held.fold(0, u64::wrapping_add))
    }

    /// Whether the order with this change ends in the goal; `false` too if no work
    /// is left to find out.
    pub fn leads(&mut self, change: &Change) -> bool {
        let first = change.first();
        self.begin(if change.forgets() { None } else { Some(first) });
        let last = change.last(self.steps.len());
        let Some(left) = self.work.checked_sub((last - first) as u64 + 1) else {
            self.work = 0;
            return false;
        };
        self.work = left;
        for place in first..last {
            self.insert(change, place);
            let at = change.at(place);
            for _ in 0..change.times(at) {
                let step = self.steps[at];
                self.apply(&step, change.ignores_guard(at));
            }
        }
        self.insert(change, last);
        self.wrong == 0
    }

    fn insert(&mut self, change: &Change, place: usize) {
        let step = match *change {
            Change::Extra { spare, place: wanted } if wanted == place => self.spares[spare].step,
            Change::Again { step, place: wanted } if wanted == place => self.steps[step],
            _ => return,
        };
        self.apply(&step, false);
    }

    /// Every end at which the steps from `first` on, applied to the initial state,
    /// give the goal.
    pub fn ends_from(&mut self, first: usize) -> Vec<usize> {
        self.begin(None);
        let mut ends = Vec::new();
        for place in first..self.steps.len() {
            if self.wrong == 0 {
                ends.push(place);
            }
            if self.work == 0 {
                return ends;
            }
            self.work -= 1;
            let step = self.steps[place];
            self.apply(&step, false);
        }
        if self.wrong == 0 {
            ends.push(self.steps.len());
        }
        ends
    }

    /// Whether two steps in each other's place leave something else behind, right
    /// after the later one.
    pub fn swap_matters(&mut self, early: usize, late: usize) -> bool {
        self.begin(Some(early));
        let change = Change::Swapped { early, late };
        for place in early..=late {
            let step = self.steps[change.at(place)];
            self.apply(&step, false);
        }
        self.work = self.work.saturating_sub((late - early) as u64 + 1);
        let after = &self.states[(late + 1) * self.accounts..(late + 2) * self.accounts];
        self.now != after
    }

    /// Whether the order moves money here.
    pub fn moves(&self, step: usize) -> bool {
        self.effects[step] != 0
    }

    /// To the balances before a step, or to the initial ones.
    fn begin(&mut self, place: Option<usize>) {
        self.now.clear();
        match place {
            Some(place) => {
                self.now.extend_from_slice(&self.states[place * self.accounts..(place + 1) * self.accounts]);
            }
            None => self.now.resize(self.accounts, None),
        }
        self.wrong = (0..self.accounts).filter(|&account| !self.right(account)).count();
    }

    fn right(&self, account: usize) -> bool {
        let (held, wanted) = (self.now[account], self.goal.balances[account]);
        let value = |balance: Option<i64>| balance.unwrap_or(self.bank.initial);
        held == wanted || (!self.goal.names_count && value(held) == value(wanted))
    }

    fn set(&mut self, account: u32, balance: i64) {
        let account = account as usize;
        let was = self.right(account);
        self.now[account] = Some(balance);
        self.wrong = self.wrong + usize::from(was) - usize::from(self.right(account));
    }

    /// Applies one transfer; says whether it moved money.
    fn apply(&mut self, step: &Step, ignore_guard: bool) -> bool {
        let debited = self.now[step.from as usize].unwrap_or(self.bank.initial);
        let credited = self.now[step.to as usize].unwrap_or(self.bank.initial);
        let after = match step.from == step.to {
            true => None,
            false if ignore_guard => moved(debited, credited, step.amount),
            false => self.bank.transfer(debited, credited, step.amount),
        };
        let [debited, credited] = after.unwrap_or([debited, credited]);
        self.set(step.from, debited);
        if step.from != step.to {
            self.set(step.to, credited);
        }
        after.is_some()
    }
}

fn moved(debited: i64, credited: i64, amount: i64) -> Option<[i64; 2]> {
    Some([debited.checked_sub(amount)?, credited.checked_add(amount)?])
}

/// What a transfer adds to a sum of effects if it moves money. Sums are linear, so
/// equal net changes have equal sums; unequal ones seldom do, and a replay decides.
pub fn effect(step: &Step) -> u64 {
    let along = weight(step.to).wrapping_sub(weight(step.from));
    along.wrapping_mul(step.amount as u64)
}

/// A fixed odd number without a pattern for each account (splitmix64, Steele and
/// others 2014).
fn weight(account: u32) -> u64 {
    let mut z = (u64::from(account) + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    (z ^ (z >> 31)) | 1
}
