//! The plain search that others do: depth first, with a table of what was tried (Wing
//! and Gong 1993, Lowe 2017, as Porcupine has it). A baseline; not part of the checker.

use std::collections::{HashMap, HashSet};
use std::time::Instant;

use rsm_check::checker::models::{Model, Operation};

/// An entry of the list of events, linked to its neighbours.
#[derive(Clone, Copy)]
struct Entry {
    operation: usize,
    /// The entry of its return, if this is an invocation.
    returns: Option<usize>,
    before: usize,
    after: usize,
}

/// Bytes that the table may take.
const MEMORY: usize = 2 << 30;

/// Whether the operations are linearizable; `None` if time or memory ran out.
pub fn decide<M: Model>(
    model: &M,
    operations: &[Operation<M::Input, M::Output>],
    deadline: Instant,
) -> Option<bool> {
    let mut parts: HashMap<u64, Vec<usize>> = HashMap::new();
    for (number, operation) in operations.iter().enumerate() {
        parts.entry(model.part(&operation.input)).or_default().push(number);
    }
    for members in parts.values() {
        if !part(model, operations, members, deadline)? {
            return Some(false);
        }
    }
    Some(true)
}

/// The list of one part, with an entry before all others; indeterminate operations
/// return at the end, in any state.
fn list<I, O>(operations: &[Operation<I, O>], members: &[usize]) -> Vec<Entry> {
    let mut events: Vec<(u64, usize, bool)> = Vec::new();
    for (local, &number) in members.iter().enumerate() {
        events.push((operations[number].invoke, local, false));
        events.push((operations[number].returns.unwrap_or(u64::MAX), local, true));
    }
    events.sort_unstable();
    let mut entries = vec![Entry { operation: usize::MAX, returns: None, before: 0, after: 1 }];
    let mut invoked = vec![0; members.len()];
    for (at, &(_, operation, returns)) in events.iter().enumerate() {
        entries.push(Entry { operation, returns: None, before: at, after: at + 2 });
        if returns {
            entries[invoked[operation]].returns = Some(at + 1);
        } else {
            invoked[operation] = at + 1;
        }
    }
    entries
}

fn part<M: Model>(
    model: &M,
    operations: &[Operation<M::Input, M::Output>],
    members: &[usize],
    deadline: Instant,
) -> Option<bool> {
    let mut entries = list(operations, members);
    let end = entries.len();
    let words = members.len().div_ceil(64);
    let (mut done, mut tried, mut stack) = (vec![0u64; words], HashSet::new(), Vec::new());
    let (mut state, mut at, mut steps) = (model.initial(), entries[0].after, 0u32);
    let mut required = members.iter().filter(|&&number| operations[number].returns.is_some()).count();
    while required > 0 {
        steps = steps.wrapping_add(1);
        let held = tried.len() * (8 * words + 64);
        if steps.is_multiple_of(64) && (Instant::now() > deadline || held > MEMORY) {
            return None;
        }
        let entry = entries[at];
        if let Some(returns) = entry.returns {
            let operation = &operations[members[entry.operation]];
            if let Some(after) = model.apply(&state, &operation.input, operation.output.as_ref()) {
                done[entry.operation / 64] |= 1 << (entry.operation % 64);
                if tried.insert((done.clone(), after.clone())) {
                    stack.push((at, std::mem::replace(&mut state, after)));
                    required -= usize::from(operation.returns.is_some());
                    lift(&mut entries, at, end);
                    lift(&mut entries, returns, end);
                    at = entries[0].after;
                    continue;
                }
                done[entry.operation / 64] &= !(1 << (entry.operation % 64));
            }
            at = entry.after;
        } else {
            let Some((last, before)) = stack.pop() else { return Some(false) };
            state = before;
            let entry = entries[last];
            required += usize::from(operations[members[entry.operation]].returns.is_some());
            done[entry.operation / 64] &= !(1 << (entry.operation % 64));
            unlift(&mut entries, entry.returns.unwrap_or(last), end);
            unlift(&mut entries, last, end);
            at = entry.after;
        }
    }
    Some(true)
}

fn lift(entries: &mut [Entry], at: usize, end: usize) {
    let Entry { before, after, .. } = entries[at];
    entries[before].after = after;
    if after < end {
        entries[after].before = before;
    }
}

fn unlift(entries: &mut [Entry], at: usize, end: usize) {
    let Entry { before, after, .. } = entries[at];
    entries[before].after = at;
    if after < end {
        entries[after].before = at;
    }
}
