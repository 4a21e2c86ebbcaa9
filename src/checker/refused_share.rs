//! How many transfers the guard refused: where it refuses none, transfers
//! commute, and an order that was lost or mixed up leaves no trace.
//!
//! Verifies nothing; it measures how much a pass is worth. Exact when an order
//! that explains the history is known; otherwise estimated from acknowledged
//! transfers whose balance before is known from the reply before them.

use rustc_hash::FxHashMap;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::bank::{BankModel, Guard};
use crate::history::{AccountId, Call, Observed, Operation};
use crate::op::Outcome;
use crate::recorded::Recorded;

/// A share of transfers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RefusedShare {
    /// Transfers that the guard refused.
    pub refused: u64,
    /// Transfers looked at: a positive amount, two accounts, acknowledged.
    pub of: u64,
    /// Counted along an order that explains everything, not estimated.
    pub exact: bool,
}

/// Below this share, order was not tested; percent.
pub const LEAST_PERCENT: f64 = 5.0;

impl RefusedShare {
    /// 0 to 100.
    pub fn percent(self) -> f64 {
        if self.of == 0 { 0.0 } else { self.refused as f64 * 100.0 / self.of as f64 }
    }

    /// What it means, for the notes of a report.
    pub fn sentence(self) -> String {
        let how = if self.exact { "" } else { " (an estimate)" };
        let share = format!("the guard refused {:.1} % of {} transfers{how}", self.percent(), self.of);
        if self.percent() >= LEAST_PERCENT {
            return share;
        }
        format!(
            "{share}: below {LEAST_PERCENT:.0} % transfers commute and a lost order leaves no trace, so order was not tested"
        )
    }
}

/// The share of this run; `None` if it cannot be told (no guard, no transfer).
///
/// `order` is an order that explains the history, as positions in its operations.
pub fn of(recorded: &Recorded, order: Option<&[usize]>) -> Option<RefusedShare> {
    let model =
        recorded.workload.model.parse::<BankModel>().ok().filter(|model| model.guard != Guard::None)?;
    let share = match order {
        Some(order) => counted(recorded, order, model),
        None => estimated(recorded, model),
    };
    (share.of > 0).then_some(share)
}

fn moving(operation: &Operation) -> Option<(AccountId, AccountId, i64)> {
    match operation.call {
        Call::Transfer { from, to, amount } if from != to && amount > 0 => Some((from, to, amount)),
        _ => None,
    }
}

/// Replays the order.
fn counted(recorded: &Recorded, order: &[usize], model: BankModel) -> RefusedShare {
    let mut balances: FxHashMap<AccountId, i64> = FxHashMap::default();
    let mut share = RefusedShare { refused: 0, of: 0, exact: true };
    for operation in order.iter().filter_map(|&position| recorded.history.operations.get(position)) {
        let Call::Transfer { from, to, amount } = operation.call else { continue };
        let debited = *balances.entry(from).or_insert(model.initial);
        let credited = *balances.entry(to).or_insert(model.initial);
        let moved = model.transfer(debited, credited, amount).filter(|_| from != to);
        if moving(operation).is_some() && operation.outcome() == Outcome::Ok {
            share.of += 1;
            share.refused += u64::from(moved.is_none());
        }
        if let Some([debited, credited]) = moved {
            balances.insert(from, debited);
            balances.insert(to, credited);
        }
    }
    share
}

/// Compares each reply with the one that last told of the debited account.
fn estimated(recorded: &Recorded, model: BankModel) -> RefusedShare {
    let mut replies: Vec<_> = recorded.history.operations.iter().filter_map(reply).collect();
    replies.sort_unstable_by_key(|&(index, ..)| index);
    let mut known: FxHashMap<AccountId, i64> = FxHashMap::default();
    let mut share = RefusedShare { refused: 0, of: 0, exact: false };
    for (_, operation, [debited, credited]) in replies {
        let Call::Transfer { from, to, .. } = operation.call else { continue };
        if let Some((from, _, amount)) = moving(operation) {
            let before = *known.get(&from).unwrap_or(&model.initial);
            let after = model.transfer(before, 0, amount).map(|[after, _]| after);
            let (refused, moved) = (after.is_none() && before == debited, after == Some(debited));
            share.of += u64::from(refused || moved);
            share.refused += u64::from(refused);
        }
        known.insert(to, credited);
        known.insert(from, debited);
    }
    share
}

fn reply(operation: &Operation) -> Option<(u64, &Operation, [i64; 2])> {
    let completion = operation.completion.as_ref()?;
    match completion.observed {
        Observed::Pair(balances) => Some((completion.index, operation, balances)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checker::testing::*;

    fn three() -> Recorded {
        Build::new()
            .ok((0, 1), ("a", "b", 60), [40, 160])
            .ok((2, 3), ("a", "b", 60), [40, 160])
            .ok((4, 5), ("b", "a", 100), [60, 140])
            .ok((6, 7), ("b", "a", 0), [60, 140])
            .recorded(PLAIN, &[])
    }

    #[test]
    fn the_share_is_counted_along_an_order_and_estimated_without_one() {
        let counted = of(&three(), Some(&[0, 1, 2, 3])).unwrap();
        assert_eq!(counted, RefusedShare { refused: 1, of: 3, exact: true });
        assert_eq!(of(&three(), None).unwrap(), RefusedShare { exact: false, ..counted });
    }

    #[test]
    fn below_five_percent_it_says_that_order_was_not_tested() {
        let few = RefusedShare { refused: 1, of: 100, exact: false };
        assert!(few.sentence().contains("1.0 % of 100 transfers (an estimate)"), "{}", few.sentence());
        assert!(few.sentence().contains("order was not tested"));
        assert!(!RefusedShare { refused: 5, ..few }.sentence().contains("not tested"));
    }
}
