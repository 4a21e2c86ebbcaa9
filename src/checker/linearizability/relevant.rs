//! Which open operations can matter to one that returns.
//!
//! A batch is in normal form when every operation in it has a later dependent one
//! in it: anything else can wait. Read backwards from the returning operation over
//! (account, value) pairs, that bounds the operations worth trying. Operations
//! that only observe count too: a batch may be the last chance to see a value
//! before something in it changes that value. Decides nothing else.

use rustc_hash::FxHashSet;

use super::batch::Search;
use super::config::bit;
use super::problem::Op;

/// Slots worth trying in a batch.
#[derive(Debug, Default)]
pub struct Relevant {
    /// As moves of money.
    pub movers: Vec<u32>,
    /// As observations that indeterminate operations must first make true.
    pub stayers: Vec<u32>,
}

/// Everything that a batch ending in `target` can need when only known results
/// lead from one state to the next: needed backwards and reachable forwards.
pub fn narrow(search: &Search<'_>, key: &[u64], target: u32) -> Relevant {
    if search.pending.any_blind() {
        return relevant(search, key, target, false);
    }
    let needed = backwards(search, key, target, |_, _| true);
    if needed.movers.is_empty() {
        return needed;
    }
    let forward = Forward::new(search, key, &needed.movers);
    let op = search.pending.op(target);
    let stays = op.can_stay && !search.layout.stayed(key, target) && forward.may_hold(op.nodes());
    if !stays && !op.needs().is_some_and(|needs| forward.may_hold(&needs)) {
        return Relevant::default();
    }
    backwards(search, key, target, |slot, mover| match mover {
        true => forward.movers.contains(&slot),
        false => forward.may_hold(search.pending.op(slot).nodes()),
    })
}

/// Operations from which known results lead to what the target needs, and those
/// whose last chance to observe would be lost on the way.
fn backwards(
    search: &Search<'_>,
    key: &[u64],
    target: u32,
    possible: impl Fn(u32, bool) -> bool,
) -> Relevant {
    let (layout, op) = (search.layout, search.pending.op(target));
    let mut found = Relevant::default();
    let mut needed: Vec<(u32, i64)> = Vec::new();
    let mut ended: Vec<(u32, i64)> = Vec::new();
    if op.can_stay && !layout.stayed(key, target) {
        needed.extend_from_slice(op.nodes());
    }
    let moves = |op: &Op, needed: &mut Vec<_>, ended: &mut Vec<_>| {
        if let Some(needs) = op.needs() {
            needed.extend_from_slice(&needs);
            ended.extend_from_slice(&needs);
        }
    };
    moves(op, &mut needed, &mut ended);
    let words = layout.words;
    let (mut moving, mut staying) = (vec![0u64; words], vec![0u64; words]);
    loop {
        if let Some((account, value)) = needed.pop() {
            for entry in search.pending.at(account) {
                let fits = entry.mover && entry.seen == value && entry.slot != target;
                let open = fits && !bit(&moving, entry.slot) && !layout.moved(key, entry.slot);
                if open && possible(entry.slot, true) {
                    moving[entry.slot as usize / 64] |= 1 << (entry.slot % 64);
                    found.movers.push(entry.slot);
                    moves(search.pending.op(entry.slot), &mut needed, &mut ended);
                }
            }
        } else if let Some((account, value)) = ended.pop() {
            for entry in search.pending.at(account) {
                let fits = entry.stay && entry.seen == value && entry.slot != target;
                let explained = || layout.moved(key, entry.slot) || layout.stayed(key, entry.slot);
                if fits && !bit(&staying, entry.slot) && !explained() && possible(entry.slot, false) {
                    staying[entry.slot as usize / 64] |= 1 << (entry.slot % 64);
                    found.stayers.push(entry.slot);
                    needed.extend_from_slice(search.pending.op(entry.slot).nodes());
                }
            }
        } else {
            return found;
        }
    }
}

/// What known results lead to, account by account.
struct Forward<'a> {
    search: &'a Search<'a>,
    key: &'a [u64],
    reached: FxHashSet<(u32, i64)>,
    movers: FxHashSet<u32>,
}

impl<'a> Forward<'a> {
    fn new(search: &'a Search<'a>, key: &'a [u64], movers: &[u32]) -> Self {
        let mut forward = Self { search, key, reached: FxHashSet::default(), movers: FxHashSet::default() };
        let mut waiting = movers.to_vec();
        loop {
            let before = waiting.len();
            waiting.retain(|&slot| {
                let op = search.pending.op(slot);
                let ready = op.needs().is_some_and(|needs| forward.may_hold(&needs));
                if ready {
                    forward.movers.insert(slot);
                    forward.reached.extend(op.nodes());
                }
                !ready
            });
            if waiting.len() == before {
                return forward;
            }
        }
    }

    fn may_hold(&self, nodes: &[(u32, i64)]) -> bool {
        nodes
            .iter()
            .all(|node| self.search.layout.balance(self.key, node.0) == node.1 || self.reached.contains(node))
    }
}

/// Everything that a batch ending in `target` can need when indeterminate
/// operations may come in between. `wide`: anywhere (an exact search must assume it).
pub fn relevant(search: &Search<'_>, key: &[u64], target: u32, wide: bool) -> Relevant {
    let layout = search.layout;
    let everything = search.pending.any_blind();
    let mut closure =
        Closure { search, wide: wide && !search.classes.is_empty(), live: Vec::new(), leaving: Vec::new() };
    closure.seed(search.pending.op(target), layout.stayed(key, target));
    let open =
        || search.pending.open().iter().copied().filter(|&slot| slot != target && !layout.moved(key, slot));
    let mut found = Relevant::default();
    loop {
        let before = (found.movers.len(), found.stayers.len());
        for slot in open() {
            let op = search.pending.op(slot);
            let movable = op.before.is_some() || op.blind.is_some();
            if movable && !found.movers.contains(&slot) && (everything || closure.feeds(op)) {
                found.movers.push(slot);
                closure.move_too(op);
            }
            let unseen = op.can_stay && !layout.stayed(key, slot);
            if unseen && !found.stayers.contains(&slot) && (everything || closure.endangers(op)) {
                found.stayers.push(slot);
                closure.need(op.nodes());
            }
        }
        if before == (found.movers.len(), found.stayers.len()) {
            return found;
        }
    }
}

struct Closure<'a> {
    search: &'a Search<'a>,
    wide: bool,
    /// Values that something in the batch needs.
    live: Vec<(u32, i64)>,
    /// Values that something in the batch puts an end to.
    leaving: Vec<(u32, i64)>,
}

impl Closure<'_> {
    fn seed(&mut self, op: &Op, stayed: bool) {
        if op.can_stay && !stayed {
            self.need(op.nodes());
        }
        self.move_too(op);
    }

    fn need(&mut self, nodes: &[(u32, i64)]) {
        self.live.extend_from_slice(nodes);
    }

    fn move_too(&mut self, op: &Op) {
        if let Some(needs) = op.needs() {
            self.need(&needs);
            self.leaving.extend_from_slice(&needs);
        }
    }

    /// Whether a move leaves a value that is needed.
    fn feeds(&self, op: &Op) -> bool {
        op.nodes().iter().any(|&node| self.meets(&self.live, node) || self.disturbed(node.0))
    }

    /// Whether an observation may be impossible once the batch is through.
    fn endangers(&self, op: &Op) -> bool {
        op.nodes().iter().any(|&node| {
            self.meets(&self.leaving, node)
                || (self.wide && (self.meets(&self.live, node) || self.disturbed(node.0)))
        })
    }

    fn meets(&self, nodes: &[(u32, i64)], (account, value): (u32, i64)) -> bool {
        nodes.iter().any(|&(other, wanted)| {
            other == account
                && (wanted == value
                    || (self.wide && self.search.classes.reaches(account, wanted.wrapping_sub(value))))
        })
    }

    /// Whether an indeterminate operation that serves a needed account would
    /// change this one too.
    fn disturbed(&self, account: u32) -> bool {
        self.wide
            && self.search.classes.touching(account).iter().any(|&class| {
                let effect = self.search.classes.class(class).effect;
                self.live.iter().any(|&(live, _)| live == effect.from || live == effect.to)
            })
    }
}
