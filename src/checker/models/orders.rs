//! The orders of all attempts, as one tree: a step knows the step before it.
//!
//! An operation may stand in an order more than once (it was explained as one that
//! changes nothing, later it took effect, or was explained again): the last place
//! counts. Knows no model.

use rustc_hash::FxHashSet;

/// The end of an order: a step of the tree.
pub(super) type Tip = u32;

/// The order of nothing.
pub(super) const EMPTY: Tip = Tip::MAX;

/// Steps that may be dead before the tree is swept.
const SLACK: usize = 1 << 16;

/// The tree.
#[derive(Debug, Default)]
pub(super) struct Orders {
    /// Operation and the step before; a step stands behind the one before it.
    steps: Vec<(u32, Tip)>,
    live: usize,
}

impl Orders {
    /// The order that ends in `tip`, and then this operation.
    pub fn then(&mut self, tip: Tip, operation: u32) -> Tip {
        self.steps.push((operation, tip));
        (self.steps.len() - 1) as Tip
    }

    /// Whether the numbers of steps are about to run out.
    pub fn full(&self) -> bool {
        self.steps.len() >= (EMPTY - 1) as usize
    }

    pub fn bytes(&self) -> usize {
        self.steps.capacity() * size_of::<(u32, Tip)>()
    }

    /// Forgets the steps of abandoned attempts, when there are many.
    pub fn sweep<'a>(&mut self, tips: impl Iterator<Item = &'a mut Tip>) {
        if self.steps.len() < 2 * self.live + SLACK {
            return;
        }
        let mut tips: Vec<&mut Tip> = tips.collect();
        let mut keep = vec![false; self.steps.len()];
        tips.iter().filter(|tip| ***tip != EMPTY).for_each(|tip| keep[**tip as usize] = true);
        for at in (0..self.steps.len()).rev() {
            let before = self.steps[at].1;
            if keep[at] && before != EMPTY {
                keep[before as usize] = true;
            }
        }
        let moved = self.close_ranks(&keep);
        tips.iter_mut().filter(|tip| ***tip != EMPTY).for_each(|tip| **tip = moved[**tip as usize]);
    }

    fn close_ranks(&mut self, keep: &[bool]) -> Vec<Tip> {
        let mut moved = vec![EMPTY; self.steps.len()];
        let mut kept = 0;
        for at in 0..self.steps.len() {
            if keep[at] {
                let (operation, before) = self.steps[at];
                let before = if before == EMPTY { EMPTY } else { moved[before as usize] };
                self.steps[kept] = (operation, before);
                moved[at] = kept as Tip;
                kept += 1;
            }
        }
        self.steps.truncate(kept);
        self.live = kept;
        moved
    }

    /// The operations of an order, first to last.
    pub fn list(&self, tip: Tip) -> Vec<u32> {
        self.list_with_repeats(tip, |_| false)
    }

    /// The same, with every place of those operations that `repeats` names.
    pub fn list_with_repeats(&self, mut tip: Tip, repeats: impl Fn(u32) -> bool) -> Vec<u32> {
        let (mut order, mut listed) = (Vec::new(), FxHashSet::default());
        while tip != EMPTY {
            let (operation, before) = self.steps[tip as usize];
            if repeats(operation) || listed.insert(operation) {
                order.push(operation);
            }
            tip = before;
        }
        order.reverse();
        order
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_place_of_an_operation_counts_and_sweeping_keeps_what_lives() {
        let mut orders = Orders::default();
        let mut tip = EMPTY;
        for operation in [1, 2, 1, 3] {
            orders.then(tip, 9);
            tip = orders.then(tip, operation);
        }
        for _ in 0..SLACK {
            orders.then(tip, 8);
        }
        assert_eq!(orders.list(tip), [2, 1, 3]);
        orders.sweep([&mut tip].into_iter());
        assert_eq!(orders.list(tip), [2, 1, 3]);
        assert_eq!(orders.live, 4);
    }
}
