//! The beginning that all explanations share, handed over and forgotten.
//!
//! Orders are kept as a tree; what lies before its first branching will not change
//! any more, so a witness can go to disk while the search goes on, and what is held
//! does not grow with the history. One thing may still change: an operation that was
//! explained as having changed nothing may move later instead (a revocable no-op),
//! so the beginning ends before the first one of which that is open. Must not know
//! where operations go, nor how orders are found.

use rustc_hash::FxHashSet;

use super::config::{START, Step, Trail};
use super::pending::Pending;
use super::perhaps::Classes;

/// What of the operations handed over must be remembered.
#[derive(Debug, Clone, Default)]
pub struct Settled {
    /// Handed over as having changed nothing, and named again in what is held.
    stays: FxHashSet<u32>,
    /// How many of each class of indeterminate operations were handed over.
    used: Vec<usize>,
}

impl Settled {
    /// Hands over, in order, what every order that ends in a tip begins with.
    pub(super) fn take_off(
        &mut self,
        trail: &mut Trail,
        mut tips: Vec<&mut u32>,
        pending: &Pending,
        classes: &Classes,
        take: &mut dyn FnMut(u32),
    ) {
        trail.collect(tips.iter_mut().map(|tip| &mut **tip));
        let shared = shared(trail, &tips);
        let (mut moved, mut moves_later) = (FxHashSet::default(), FxHashSet::default());
        for (at, (_, step)) in trail.nodes().enumerate() {
            if let Step::Moved(number) = step {
                let _ = if at < shared { moved.insert(number) } else { moves_later.insert(number) };
            }
        }
        let open = |number| pending.slot(number).is_some() || moves_later.contains(&number);
        let mut taken = 0;
        for (_, step) in trail.nodes().take(shared) {
            match step {
                Step::Moved(number) => take(number),
                Step::Stayed(number) if moved.contains(&number) => {}
                Step::Stayed(number) if open(number) => break,
                Step::Stayed(number) if self.stays.insert(number) => take(number),
                Step::Stayed(_) => {}
                Step::Used(class) => take(self.next_of(class, classes)),
            }
            taken += 1;
        }
        trail.take_off(taken, tips.into_iter());
        self.forget(trail);
    }

    /// Members of a class are used in the order of their invocations.
    fn next_of(&mut self, class: u32, classes: &Classes) -> u32 {
        if self.used.len() <= class as usize {
            self.used.resize(class as usize + 1, 0);
        }
        let used = &mut self.used[class as usize];
        *used += 1;
        classes.class(class).members[*used - 1]
    }

    /// An operation that has returned is named by what is held, or never again.
    fn forget(&mut self, trail: &Trail) {
        let stayed = |(_, step)| if let Step::Stayed(number) = step { Some(number) } else { None };
        let named: FxHashSet<u32> = trail.nodes().filter_map(stayed).collect();
        self.stays.retain(|number| named.contains(number));
    }
}

/// How many nodes after the root all tips descend from (or are). Every node of a
/// collected trail leads to a tip and parents come first, so these are the first ones.
fn shared(trail: &Trail, tips: &[&mut u32]) -> usize {
    let tips: FxHashSet<u32> = tips.iter().map(|tip| **tip).collect();
    let mut children = vec![0u8; trail.len()];
    for (parent, _) in trail.nodes() {
        children[parent as usize] = children[parent as usize].saturating_add(1);
    }
    let goes_on = |node: &u32| children[*node as usize] == 1 && !tips.contains(node);
    (START..trail.len() as u32).take_while(goes_on).count()
}
