//! Closes indeterminate transfers by the final files: which of them must have moved
//! money, and which cannot have, in every order that explains the history.
//!
//! Where all files agree, the net change of every account is known. It is the sum of
//! what acknowledged transfers moved and of some choice among those nobody is sure
//! of. A transfer in every choice happened, one in none never moved money; equal ones
//! are counted together. A reply with balances does not always tell whether money
//! moved (40 after a transfer of 60 may be 40 refused, or 100 before): such a
//! transfer is a choice too. Guards and real time are not looked at, so this closes
//! fewer than an exhaustive search would, but never wrongly.
//!
//! Closings by evidence lines (`never_delivered`) are made before, by the reader.

use std::collections::BTreeMap;

use super::Final;
use super::necessary::Bounds;
use super::problem::{Effect, all_accounts, effect};
use crate::checker::bank::BankModel;
use crate::history::{Call, History, Observed, Operation};
use crate::op::Outcome;

/// Equal indeterminate transfers, of which so many moved money.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Closed {
    /// Their numbers (positions in `History::operations`), ascending.
    pub operations: Vec<u32>,
    /// At least so many moved money.
    pub least: usize,
    /// At most so many did.
    pub most: usize,
}

/// What the final files tell of indeterminate transfers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Closing {
    /// Classes of which something is known, by their first operation.
    pub closed: Vec<Closed>,
    /// Transfers that are indeterminate and might have moved money.
    pub indeterminate: usize,
    /// Acknowledged transfers whose replies leave open whether money moved.
    pub ambiguous: usize,
    /// Every choice was looked at; otherwise only the sums of single accounts were.
    pub complete: bool,
}

/// Ranges that are looked at, at most: a fraction of a second.
const WORK: u64 = 20_000_000;
/// Classes that may be open when all choices are looked at.
const OPEN: usize = 64;
/// Rounds of narrowing, at most.
const ROUNDS: usize = 64;

/// Whether the outcome is unknown, and what was asked.
type Asked = (bool, u32, u32, i64);

/// What the files tell; `None` without files, where they differ, or where nothing is
/// indeterminate, or where no choice gives them (then there is no order at all).
pub fn by_final_files(history: &History, model: &BankModel, finals: &[Final]) -> Option<Closing> {
    if finals.is_empty() || history.operations.iter().all(|operation| operation.outcome() != Outcome::Info) {
        return None;
    }
    let accounts = all_accounts(history, finals);
    let mut wanted = net_change(finals, &accounts, model)?;
    let bounds = Bounds::of(history, model, &accounts);
    let mut classes: BTreeMap<Asked, Vec<u32>> = BTreeMap::new();
    for (number, operation) in (0u32..).zip(&history.operations) {
        let Some(Effect { from, to, amount }) = effect(operation, model) else { continue };
        match moved(operation, model, &bounds) {
            Moved::Yes => {
                *wanted.get_mut(from as usize)? += i128::from(amount);
                *wanted.get_mut(to as usize)? -= i128::from(amount);
            }
            Moved::No => {}
            Moved::Impossible => return None,
            Moved::Perhaps => {
                let unknown = operation.outcome() == Outcome::Info;
                classes.entry((unknown, from, to, amount)).or_default().push(number);
            }
        }
    }
    let of = |wanted: bool| classes.iter().filter(move |((unknown, ..), _)| *unknown == wanted);
    let size = |wanted: bool| of(wanted).map(|(_, members)| members.len()).sum::<usize>();
    let (indeterminate, ambiguous) = (size(true), size(false));
    if indeterminate == 0 {
        return None;
    }
    let mut choices = Choices::new(&classes, wanted);
    choices.narrow(ROUNDS)?;
    let complete = choices.enumerate()?;
    let mut closed: Vec<Closed> =
        classes.iter().zip(&choices.ranges).filter_map(|(class, &range)| closed(class, range)).collect();
    closed.sort_by_key(|closed| closed.operations.first().copied());
    Some(Closing { closed, indeterminate, ambiguous, complete })
}

fn closed((&(unknown, ..), members): (&Asked, &Vec<u32>), (least, most): (i128, i128)) -> Option<Closed> {
    let (least, most) = (usize::try_from(least).ok()?, usize::try_from(most).ok()?);
    let told = unknown && (least > 0 || most < members.len());
    told.then(|| Closed { operations: members.clone(), least, most })
}

/// By how much every account changed since the beginning, if all files agree.
fn net_change(finals: &[Final], accounts: &[String], model: &BankModel) -> Option<Vec<i128>> {
    let change = |file: &Final| -> Vec<i128> {
        let named: BTreeMap<&str, i64> =
            file.file.balances.iter().map(|(name, balance)| (name.as_str(), *balance)).collect();
        let value = |name: &String| named.get(name.as_str()).copied().unwrap_or(model.initial);
        accounts.iter().map(|name| i128::from(value(name)) - i128::from(model.initial)).collect()
    };
    let (first, others) = finals.split_first()?;
    let first = change(first);
    others.iter().all(|other| change(other) == first).then_some(first)
}

/// Indeterminate transfers that can be left out: beyond the most of their class that
/// moved money, those invoked last. Equal ones are interchangeable, and whatever an
/// order does with some of them it can do with those invoked first.
pub fn never_moved(history: &History, model: &BankModel, finals: &[Final]) -> Vec<u32> {
    let closing = by_final_files(history, model, finals).unwrap_or_default();
    let superfluous = |closed: Closed| closed.operations.into_iter().skip(closed.most);
    closing.closed.into_iter().flat_map(superfluous).collect()
}

/// Whether a transfer moved money.
enum Moved {
    Yes,
    No,
    Perhaps,
    Impossible,
}

fn moved(operation: &Operation, model: &BankModel, bounds: &Bounds<'_>) -> Moved {
    match operation.outcome() {
        Outcome::Fail => return Moved::No,
        Outcome::Info => return Moved::Perhaps,
        Outcome::Ok => {}
    }
    let observed = operation.completion.as_ref().map(|completion| &completion.observed);
    let (&Call::Transfer { from, to, amount }, Some(&Observed::Pair(seen))) = (&operation.call, observed)
    else {
        return Moved::Perhaps;
    };
    let before = |(one, two): (Option<i64>, Option<i64>)| Some([one?, two?]);
    let before = before((seen[0].checked_add(amount), seen[1].checked_sub(amount)));
    let yes = before.is_some_and(|[debited, credited]| {
        model.transfer(debited, credited, amount) == Some(seen)
            && bounds.allow(from.0, debited)
            && bounds.allow(to.0, credited)
    });
    match (yes, model.transfer(seen[0], seen[1], amount).is_none()) {
        (true, true) => Moved::Perhaps,
        (true, false) => Moved::Yes,
        (false, true) => Moved::No,
        (false, false) => Moved::Impossible,
    }
}

/// How often each class may have moved money so that the accounts come out right.
struct Choices {
    /// (debited, credited, amount) of each class.
    effects: Vec<(usize, usize, i128)>,
    /// Least and greatest number of each class.
    ranges: Vec<(i128, i128)>,
    /// What the classes together must bring to each account.
    wanted: Vec<i128>,
    /// Classes that touch each account.
    by_account: Vec<Vec<usize>>,
    /// Ranges that may still be looked at.
    work: u64,
}

/// Numbers within a range of which each brings `one`, so that together they bring
/// something within `must`; `None` if there are none.
fn times(one: i128, must: (i128, i128), range: (i128, i128)) -> Option<(i128, i128)> {
    let (low, high) = if one > 0 { must } else { (-must.1, -must.0) };
    let size = one.abs();
    let new = (range.0.max(-(-low).div_euclid(size)), range.1.min(high.div_euclid(size)));
    (new.0 <= new.1).then_some(new)
}

impl Choices {
    fn new(classes: &BTreeMap<Asked, Vec<u32>>, wanted: Vec<i128>) -> Self {
        let effect = |&(_, from, to, amount): &Asked| (from as usize, to as usize, i128::from(amount));
        let effects: Vec<(usize, usize, i128)> = classes.keys().map(effect).collect();
        let mut by_account = vec![Vec::new(); wanted.len()];
        for (class, &(from, to, _)) in effects.iter().enumerate() {
            by_account[from].push(class);
            by_account[to].push(class);
        }
        let ranges = classes.values().map(|members| (0, members.len() as i128)).collect();
        Self { effects, ranges, wanted, by_account, work: WORK }
    }

    /// What one of a class brings to an account.
    fn brings(&self, class: usize, account: usize) -> i128 {
        match self.effects[class] {
            (from, _, amount) if from == account => -amount,
            (_, to, amount) if to == account => amount,
            _ => 0,
        }
    }

    /// Narrows the ranges by the sum of each account until nothing changes, or for so
    /// many rounds; `None` if a range is empty.
    fn narrow(&mut self, rounds: usize) -> Option<()> {
        for _ in 0..rounds {
            let mut changed = false;
            for account in 0..self.wanted.len() {
                changed |= self.narrow_one(account)?;
            }
            self.work = self.work.saturating_sub(2 * self.ranges.len() as u64);
            if !changed {
                break;
            }
        }
        Some(())
    }

    /// The least and the most that a class brings to an account.
    fn span(&self, class: usize, account: usize) -> (i128, i128) {
        let (one, (low, high)) = (self.brings(class, account), self.ranges[class]);
        if one > 0 { (one * low, one * high) } else { (one * high, one * low) }
    }

    fn narrow_one(&mut self, account: usize) -> Option<bool> {
        let wanted = self.wanted[account];
        let all = self.by_account[account].iter().map(|&class| self.span(class, account));
        let (mut low, mut high) =
            all.fold((0, 0), |sum: (i128, i128), span| (sum.0 + span.0, sum.1 + span.1));
        if wanted < low || wanted > high {
            return None;
        }
        let mut changed = false;
        for at in 0..self.by_account[account].len() {
            let class = self.by_account[account][at];
            let (least, most) = self.span(class, account);
            // What this class must bring, whatever the others do.
            let must = (wanted - (high - most), wanted - (low - least));
            let range = times(self.brings(class, account), must, self.ranges[class])?;
            changed |= range != self.ranges[class];
            self.ranges[class] = range;
            let (new_least, new_most) = self.span(class, account);
            (low, high) = (low + new_least - least, high + new_most - most);
        }
        Some(changed)
    }

    /// Looks at every choice and narrows the ranges to those that occur; says whether
    /// it came to the end. `None` if there is no choice.
    fn enumerate(&mut self) -> Option<bool> {
        let open = self.ranges.iter().filter(|(least, most)| least < most).count();
        if open > OPEN {
            return Some(false);
        }
        let mut seen = Seen { ranges: vec![None; self.effects.len()], wanted: self.ranges.clone() };
        match self.go(0, &mut seen) {
            End::OutOfWork => Some(false),
            End::NothingToLearn => Some(true),
            End::All => {
                self.ranges = seen.ranges.into_iter().collect::<Option<_>>()?;
                Some(true)
            }
        }
    }

    /// Chooses for the first class that is open; on return the ranges are as before.
    fn go(&mut self, first: usize, seen: &mut Seen) -> End {
        let open = (first..self.ranges.len()).find(|&class| self.ranges[class].0 < self.ranges[class].1);
        let Some(class) = open else {
            if self.come_right() {
                seen.note(&self.ranges);
            }
            return if seen.ranges_occur() { End::NothingToLearn } else { End::All };
        };
        let (low, high) = self.ranges[class];
        let kept = self.ranges.clone();
        for number in low..=high {
            self.ranges[class] = (number, number);
            let end = if self.narrow(ROUNDS).is_some() { self.go(class + 1, seen) } else { End::All };
            self.ranges.clone_from(&kept);
            match end {
                End::All if self.work == 0 => return End::OutOfWork,
                End::All => {}
                other => return other,
            }
        }
        End::All
    }

    /// Whether a choice brings every account what is wanted.
    fn come_right(&self) -> bool {
        let mut brought = vec![0; self.wanted.len()];
        for (&(from, to, amount), &(number, _)) in self.effects.iter().zip(&self.ranges) {
            brought[from] -= amount * number;
            brought[to] += amount * number;
        }
        brought == self.wanted
    }
}

/// How a look at the choices ended.
enum End {
    All,
    /// Whatever else there is, the ranges stay as they are.
    NothingToLearn,
    OutOfWork,
}

/// The numbers that occurred in choices that come out right.
struct Seen {
    ranges: Vec<Option<(i128, i128)>>,
    /// The ranges that are known to contain all of them.
    wanted: Vec<(i128, i128)>,
}

impl Seen {
    fn note(&mut self, choice: &[(i128, i128)]) {
        for (seen, &(number, _)) in self.ranges.iter_mut().zip(choice) {
            let (low, high) = seen.unwrap_or((number, number));
            *seen = Some((low.min(number), high.max(number)));
        }
    }

    fn ranges_occur(&self) -> bool {
        self.ranges.iter().zip(&self.wanted).all(|(seen, range)| *seen == Some(*range))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checker::testing::Build;
    use crate::history::data_file::parse_data_file;

    #[track_caller]
    fn closed(build: Build, file: &str, told: &[(&[u32], usize, usize)]) -> Closing {
        let file = parse_data_file(file.as_bytes()).unwrap();
        let finals = [Final { node: "srv-1".into(), file }];
        let closing = by_final_files(&build.history(), &BankModel::default(), &finals).unwrap();
        let found: Vec<(&[u32], usize, usize)> = closing
            .closed
            .iter()
            .map(|closed| (closed.operations.as_slice(), closed.least, closed.most))
            .collect();
        assert_eq!(found, told);
        closing
    }

    #[test]
    fn what_the_files_need_happened_and_what_they_exclude_did_not() {
        let build =
            || Build::new().pending(0, ("a", "b", 5)).pending(1, ("a", "b", 7)).pending(2, ("b", "c", 2));
        closed(build(), "# t\na 93\nb 105\nc 102\n", &[(&[0], 0, 0), (&[1], 1, 1), (&[2], 1, 1)]);
        closed(build(), "# t\na 100\nb 100\nc 100\n", &[(&[0], 0, 0), (&[1], 0, 0), (&[2], 0, 0)]);
    }

    #[test]
    fn equal_ones_are_counted_together() {
        let five = (0..5).fold(Build::new(), |build, time| build.pending(time, ("a", "b", 5)));
        closed(five, "# t\na 90\nb 110\n", &[(&[0, 1, 2, 3, 4], 2, 2)]);
    }

    #[test]
    fn a_reply_that_leaves_open_whether_money_moved_is_a_choice_too() {
        let build = Build::new().ok((0, 1), ("a", "b", 60), [40, 160]).pending(2, ("a", "b", 60));
        let closing = closed(build, "# t\na 40\nb 160\n", &[]);
        assert_eq!((closing.indeterminate, closing.ambiguous, closing.complete), (1, 1, true));
    }

    #[test]
    fn where_files_differ_or_no_choice_gives_them_nothing_is_closed() {
        let history = Build::new().pending(0, ("a", "b", 5)).history();
        let last = |text: &str| Final { node: "srv".into(), file: parse_data_file(text.as_bytes()).unwrap() };
        let asked = |finals: &[Final]| by_final_files(&history, &BankModel::default(), finals);
        assert_eq!(asked(&[last("# t\na 95\nb 105\n"), last("# t\na 100\nb 100\n")]), None);
        assert_eq!(asked(&[last("# t\na 96\nb 104\n")]), None);
        assert_eq!(asked(&[]), None);
    }
}
