//! Reads from open operations where each account must have started.
//!
//! Operations with known results chain up, account by account: each leaves a value
//! that the next one found. The value that none of them left behind is where the
//! chain began, and so by how much the account changed since. Only a likely
//! reading, for guesses: a gap in a chain looks like a second beginning.

use rustc_hash::FxHashMap;

use super::batch::Search;

/// By how much each account changed, where known.
pub type Changes = Vec<Option<i64>>;

/// Beginnings of a chain that are tried.
const BEGINNINGS: usize = 4;
/// Joint readings of all accounts that are tried.
const READINGS: usize = 64;
/// Accounts of which a change must be known: fewer equations fit anything.
const KNOWN: usize = 6;
/// Combinations of beginnings that are looked at.
const COMBINATIONS: usize = 1 << 16;

/// How often open operations find and leave a value, for certain or perhaps.
#[derive(Default)]
struct Value {
    found: usize,
    maybe_found: usize,
    left: usize,
    maybe_left: usize,
    /// Operations that certainly changed nothing.
    stays: usize,
}

impl Value {
    /// How likely a chain begins here: smaller is likelier; `None`: hardly.
    fn rank(&self) -> Option<usize> {
        let leaves = self.left + self.maybe_left;
        match self.found + self.stays {
            1.. if leaves == 0 => Some(0),
            _ if self.found + self.maybe_found > self.left => Some(1),
            _ => None,
        }
    }
}

impl Search<'_> {
    /// Joint readings: changes of all accounts whose sum is zero, or with unknown ones.
    pub fn changes(&self, key: &[u64]) -> Vec<Changes> {
        if self.pending.any_blind() {
            return Vec::new();
        }
        let mut readings = self.readings(key, true);
        if readings.is_empty() {
            readings = self.readings(key, false);
        }
        readings.truncate(READINGS);
        readings
    }

    /// Readings from enough accounts; `strict`: as if no chain had a gap.
    fn readings(&self, key: &[u64], strict: bool) -> Vec<Changes> {
        let accounts = 0..self.layout.accounts as u32;
        let beginnings: Vec<Vec<Option<i64>>> =
            accounts.map(|account| self.beginnings(key, account, strict)).collect();
        let mut readings = Vec::new();
        combine(&beginnings, &mut Vec::new(), 0, &mut { COMBINATIONS }, &mut readings);
        let known = |changes: &Changes| changes.iter().flatten().count();
        readings.retain(|changes| {
            known(changes) >= KNOWN.min(changes.len()) && changes.iter().flatten().any(|&by| by != 0)
        });
        readings
    }

    /// Likely changes of one account, likeliest first; unknown if nothing tells.
    fn beginnings(&self, key: &[u64], account: u32, strict: bool) -> Vec<Option<i64>> {
        let now = self.layout.balance(key, account);
        let mut ranked: Vec<(usize, i64)> = self
            .values(key, account)
            .iter()
            .filter_map(|(&value, seen)| Some((seen.rank()?, value.wrapping_sub(now))))
            .collect();
        ranked.sort_by_key(|&(rank, change)| (rank, change.unsigned_abs(), change));
        // What somebody found and nobody left is where it began, unless there is a gap.
        if strict && ranked.first().is_some_and(|&(rank, _)| rank == 0) {
            ranked.retain(|&(rank, _)| rank == 0);
        }
        ranked.truncate(BEGINNINGS);
        if ranked.is_empty() {
            vec![None]
        } else {
            ranked.into_iter().map(|(_, change)| Some(change)).collect()
        }
    }

    fn values(&self, key: &[u64], account: u32) -> FxHashMap<i64, Value> {
        let mut values: FxHashMap<i64, Value> = FxHashMap::default();
        let explained = |slot: u32| self.layout.moved(key, slot) || self.layout.stayed(key, slot);
        for entry in self.pending.at(account).iter().filter(|entry| !explained(entry.slot)) {
            let op = self.pending.op(entry.slot);
            let seen = values.entry(entry.seen).or_default();
            match (entry.mover, entry.stay) {
                (true, true) => seen.maybe_left += 1,
                (true, false) => seen.left += 1,
                (false, _) => seen.stays += 1,
            }
            let needs = op.needs().into_iter().flatten().find(|&(touched, _)| touched == account);
            if let Some((_, value)) = needs {
                let value = values.entry(value).or_default();
                *(if entry.stay { &mut value.maybe_found } else { &mut value.found }) += 1;
            }
        }
        values
    }
}

/// Picks one beginning per account.
fn combine(
    beginnings: &[Vec<Option<i64>>],
    picked: &mut Changes,
    sum: i64,
    left: &mut usize,
    readings: &mut Vec<Changes>,
) {
    if *left == 0 {
        return;
    }
    let Some(choices) = beginnings.get(picked.len()) else {
        *left -= 1;
        if sum == 0 || picked.contains(&None) {
            readings.push(picked.clone());
        }
        return;
    };
    for &choice in choices {
        picked.push(choice);
        combine(beginnings, picked, sum.wrapping_add(choice.unwrap_or(0)), left, readings);
        picked.pop();
    }
}
