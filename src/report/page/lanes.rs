//! Which row of the timeline each process is drawn in.
//!
//! An operation of unknown outcome retires its process, and its client goes on under
//! another number: a row for each number would be mostly empty. A process takes the
//! row that became free last before it began, which is that of its client.

use std::collections::{BTreeMap, BTreeSet};

use crate::history::{History, Operation};

/// Rows by process, and how many there are.
pub fn of(history: &History) -> (BTreeMap<u64, u32>, u32) {
    let mut spans: BTreeMap<u64, (u64, u64)> = BTreeMap::new();
    for operation in &history.operations {
        let end = ends(history, operation);
        let span = spans.entry(operation.process).or_insert((operation.invoked, end));
        span.1 = span.1.max(end);
    }
    let mut processes: Vec<(u64, u64, u64)> =
        spans.into_iter().map(|(process, (begin, end))| (begin, process, end)).collect();
    processes.sort_unstable();
    let (mut rows, mut count) = (BTreeMap::new(), 0);
    let mut free: BTreeSet<(u64, u32)> = BTreeSet::new();
    for (begin, process, end) in processes {
        let taken = free.range(..=(begin, u32::MAX)).next_back().copied();
        let row = taken.map_or(count, |(_, row)| row);
        match taken {
            Some(taken) => _ = free.remove(&taken),
            None => count += 1,
        }
        free.insert((end, row));
        rows.insert(process, row);
    }
    (rows, count)
}

fn ends(history: &History, operation: &Operation) -> u64 {
    operation.completion.as_ref().map_or(history.end, |completion| completion.time).max(operation.invoked)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checker::testing::*;
    use crate::op::Outcome;

    #[test]
    fn a_client_keeps_its_row_when_its_process_is_retired() {
        let build = Build::new()
            .lost((0, 10), ("a", "b", 1), Outcome::Info)
            .lost((1, 30), ("a", "b", 1), Outcome::Info)
            .ok((12, 20), ("a", "b", 0), [100, 100]);
        let (rows, count) = of(&build.history());
        assert_eq!((rows[&0], rows[&1], rows[&2], count), (0, 1, 0, 2));
    }
}
