//! The guarantees as rules on one order, and what of a history they speak of.
//!
//! Knows no model and no search: [`Sessions`] are built from [`Fact`]s, and [`keeps`]
//! looks at a finished order by itself, so that a "yes" does not rest on the search.

use std::collections::BTreeMap;

use super::search::{Optional, Task};

/// What a diagnosis asks about. The module's head defines them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Guarantee {
    /// One order that keeps each process's own.
    Sequential,
    /// What a process observes never goes back in the order.
    MonotonicReads,
    /// What a process observes contains what it had done before.
    ReadYourWrites,
    /// Everything observed is a state along the order: the two above rest on it.
    ConsistentPrefix,
}

/// What is to be known of an operation that happened, or may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Fact {
    /// Position in the history.
    pub operation: usize,
    /// Who asked.
    pub process: u64,
    /// When its reply came; `None` if it is indeterminate.
    pub returns: Option<u64>,
    /// Whether it may change a state.
    pub writes: bool,
    /// Whether its reply tells something of the state.
    pub tells: bool,
}

/// An operation that must occur.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Item {
    pub operation: usize,
    pub writes: bool,
    pub tells: bool,
}

/// What a session demands of the order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rule {
    /// That in which it asked.
    Program,
    /// Of its first so many: what tells something after what told something before.
    Monotonic(usize),
    /// Of its first so many: what tells something after what wrote before.
    OwnWrites(usize),
    /// The second after the first, nothing else.
    Pair(usize, usize),
    /// Nothing.
    Free,
}

impl Rule {
    /// Whether the item at `later` must stand behind that at `earlier`.
    pub fn demands(self, items: &[Item], earlier: usize, later: usize) -> bool {
        match self {
            Self::Program => true,
            Self::Monotonic(upto) => later < upto && items[later].tells && items[earlier].tells,
            Self::OwnWrites(upto) => later < upto && items[later].tells && items[earlier].writes,
            Self::Pair(one, two) => (earlier, later) == (one, two),
            Self::Free => false,
        }
    }

    /// Whether while this item is to come no later observation that tells anything may.
    pub fn holds_up_all(self, item: &Item) -> bool {
        match self {
            Self::Program => true,
            Self::Monotonic(usize::MAX) => item.tells,
            Self::OwnWrites(usize::MAX) => item.writes,
            _ => false,
        }
    }
}

impl Guarantee {
    /// The rule for one session, or for its first `upto` operations.
    pub(super) fn rule(self, upto: usize) -> Rule {
        match self {
            Self::Sequential => Rule::Program,
            Self::MonotonicReads => Rule::Monotonic(upto),
            Self::ReadYourWrites => Rule::OwnWrites(upto),
            Self::ConsistentPrefix => Rule::Free,
        }
    }
}

/// The operations of a history by process.
#[derive(Debug, Clone, Default)]
pub(super) struct Sessions {
    pub processes: Vec<u64>,
    pub task: Task,
}

impl Sessions {
    /// From facts in the order of invocations.
    pub fn new(facts: impl IntoIterator<Item = Fact>) -> Self {
        let mut known: BTreeMap<u64, usize> = BTreeMap::new();
        let (mut sessions, mut ranked) = (Self::default(), Vec::new());
        for Fact { operation, process, returns, writes, tells } in facts {
            let session = *known.entry(process).or_insert_with(|| {
                sessions.processes.push(process);
                sessions.task.sessions.push(Vec::new());
                sessions.processes.len() - 1
            });
            let items = &mut sessions.task.sessions[session];
            match returns {
                Some(returns) => {
                    ranked.push((returns, session, items.len()));
                    items.push(Item { operation, writes, tells });
                }
                None if writes => {
                    sessions.task.optional.push(Optional { operation, after: (session, items.len()) });
                }
                None => {}
            }
        }
        ranked.sort_unstable();
        sessions.task.ranked = ranked.into_iter().map(|(_, session, at)| (session, at)).collect();
        sessions
    }

    /// The question whether a guarantee holds for all processes.
    pub fn task(&self, guarantee: Guarantee) -> Task {
        self.with(|_| guarantee.rule(usize::MAX))
    }

    /// The question with rules of one's own, by session.
    pub fn with(&self, rule: impl Fn(usize) -> Rule) -> Task {
        Task { rules: (0..self.processes.len()).map(rule).collect(), ..self.task.clone() }
    }
}

/// Whether an order lists all that must occur, nothing twice, and keeps the guarantee.
/// Whether it is legal is for others to say.
pub(super) fn keeps(sessions: &Sessions, guarantee: Guarantee, order: &[usize]) -> bool {
    let mut place: BTreeMap<usize, usize> = BTreeMap::new();
    if order.iter().enumerate().any(|(at, &operation)| place.insert(operation, at).is_some()) {
        return false;
    }
    let in_session = |items: &Vec<Item>| {
        let (mut told, mut wrote, mut last) = (None, None, None);
        items.iter().all(|item| {
            let Some(&at) = place.get(&item.operation) else { return false };
            let bound = match guarantee {
                Guarantee::Sequential => last,
                Guarantee::MonotonicReads => told.filter(|_| item.tells),
                Guarantee::ReadYourWrites => wrote.filter(|_| item.tells),
                Guarantee::ConsistentPrefix => None,
            };
            last = Some(at);
            told = if item.tells { told.max(last) } else { told };
            wrote = if item.writes { wrote.max(last) } else { wrote };
            bound.is_none_or(|bound| bound < at)
        })
    };
    let asked_before = |optional: &Optional| {
        let (session, before) = optional.after;
        let latest = sessions.task.sessions[session][..before].iter().map(|item| place.get(&item.operation));
        place.get(&optional.operation).is_none_or(|at| latest.flatten().max().is_none_or(|last| last < at))
    };
    let may = |optional: &Optional| guarantee != Guarantee::Sequential || asked_before(optional);
    sessions.task.sessions.iter().all(in_session) && sessions.task.optional.iter().all(may)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One process: a write, an observation, a write that tells, an indeterminate one.
    fn sessions() -> Sessions {
        let fact = |operation, returns, writes, tells| Fact { operation, process: 7, returns, writes, tells };
        Sessions::new([
            fact(0, Some(1), true, false),
            fact(1, Some(3), false, true),
            fact(2, Some(5), true, true),
            fact(3, None, true, false),
        ])
    }

    #[track_caller]
    fn kept(order: &[usize], by: [bool; 4]) {
        use Guarantee::*;
        let all = [Sequential, MonotonicReads, ReadYourWrites, ConsistentPrefix];
        assert_eq!(all.map(|guarantee| keeps(&sessions(), guarantee, order)), by, "{order:?}");
    }

    #[test]
    fn each_guarantee_wants_its_own_pairs_in_order() {
        kept(&[0, 1, 2], [true; 4]);
        kept(&[0, 1, 2, 3], [true; 4]);
        kept(&[0, 1, 3, 2], [false, true, true, true]);
        kept(&[1, 0, 2], [false, true, false, true]);
        kept(&[0, 2, 1], [false, false, true, true]);
        kept(&[0, 1], [false; 4]);
        kept(&[0, 1, 2, 2], [false; 4]);
    }
}
