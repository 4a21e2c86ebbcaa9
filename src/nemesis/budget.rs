//! The fault budget: how much synced data may be damaged at a time.
//!
//! No replicated system survives the loss of what a majority had synced. So a fault
//! that damages synced data begins only where at most a minority of replicas is
//! damaged with it, and a replica is not damaged again before it has caught up. Whatever
//! else hinders nodes may do so meanwhile.
//!
//! A replica that noticed its damage has caught up when it says so ([`CAUGHT_UP`]). For
//! those that never say, a condition stands for it that asks for more than enough: no fault was active anywhere
//! for [`CALM`], and [`ACKNOWLEDGED`] operations were acknowledged in that time.
//!
//! Old files, all of them sound, cannot be noticed by the replica that finds them: it can
//! outvote, together with one that had not yet heard of what it had acknowledged, those
//! that remember. So before such damage that condition must hold, too, and until the
//! replica has caught up nothing else may hinder a node.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::time::Duration;

use tokio::time::Instant;

use crate::fault::{Family, FaultKind, Node};
use crate::plan::PlannedFault;
use crate::sync::lock;

/// What a replica prints once it holds again all that is acknowledged.
pub(super) const CAUGHT_UP: &str = r"\bin step\b";
/// How long no fault was active when replicas count as equal again.
pub const CALM: Duration = Duration::from_secs(1);
/// How many operations were acknowledged in that time.
pub const ACKNOWLEDGED: u64 = 20;

/// A moment of the run.
#[derive(Debug, Clone, Copy)]
pub(super) struct Moment {
    /// When.
    pub(super) at: Instant,
    /// Acknowledged operations until then.
    pub(super) acknowledged: u64,
}

/// Keeps account of what is damaged.
pub(super) struct Budget {
    most: usize,
    state: Option<Mutex<State>>,
}

#[derive(Default)]
struct State {
    active: BTreeSet<u64>,
    last_end: Option<Moment>,
    damaged: BTreeMap<Node, FaultKind>,
    /// Damaged and never healed: the replica does not come back.
    lost: BTreeSet<Node>,
}

impl Budget {
    /// For so many replicas; `beyond` lets everything through.
    pub(super) fn new(replicas: usize, beyond: bool) -> Self {
        Self { most: replicas.saturating_sub(1) / 2, state: (!beyond).then(Mutex::default) }
    }

    /// Lets a fault begin at a node, or says why not.
    pub(super) fn admit(&self, fault: &PlannedFault, node: Node, now: Moment) -> Result<(), String> {
        let Some(state) = &self.state else { return Ok(()) };
        if harmless(fault.fault, node) {
            return Ok(());
        }
        let mut state = lock(state);
        let calm = state.calm(fault.id, now);
        if calm && state.active.is_empty() {
            state.caught_up();
        }
        if fault.fault.damages_synced() {
            state.may_damage(fault, node, calm, self.most)?;
            state.damaged.insert(node, fault.fault);
        } else {
            state.may_hinder()?;
        }
        state.active.insert(fault.id);
        Ok(())
    }

    /// A replica said that it has caught up, whatever damaged it.
    pub(super) fn caught_up(&self, node: Node) {
        if let Some(state) = &self.state {
            let mut state = lock(state);
            let noticed = state.damaged.get(&node).is_some_and(|kind| !kind.goes_unnoticed());
            if noticed {
                state.damaged.remove(&node);
                state.lost.remove(&node);
            }
        }
    }

    /// A fault has ended at all its nodes; `healed` says whether they are back.
    pub(super) fn end(&self, fault: &PlannedFault, nodes: &[Node], healed: bool, now: Moment) {
        let Some(state) = &self.state else { return };
        let mut state = lock(state);
        if !state.active.remove(&fault.id) {
            return;
        }
        state.last_end = Some(now);
        if fault.fault.damages_synced() && !healed {
            state.lost.extend(nodes);
        }
    }
}

/// Clients that cannot reach the coordinator hinder no replica.
fn harmless(kind: FaultKind, node: Node) -> bool {
    kind.family() == Family::Network && node == Node::Coord
}

impl State {
    /// Whether nothing but fault `id` has hindered anybody lately.
    fn calm(&self, id: u64, now: Moment) -> bool {
        let others = self.active.iter().any(|other| *other != id);
        let lately = self.last_end.is_some_and(|end| {
            now.at.duration_since(end.at) < CALM || now.acknowledged < end.acknowledged + ACKNOWLEDGED
        });
        !others && !lately
    }

    fn caught_up(&mut self) {
        let lost = &self.lost;
        self.damaged.retain(|node, _| lost.contains(node));
    }

    /// Nothing may meet a replica that does not know what it lost.
    fn may_hinder(&self) -> Result<(), String> {
        let mut unaware = self.damaged.iter().filter(|(_, kind)| kind.goes_unnoticed());
        match unaware.find(|(node, _)| !self.lost.contains(node)) {
            None => Ok(()),
            Some((node, kind)) => {
                Err(format!("the fault budget: {node} may not have caught up yet after a `{kind}`"))
            }
        }
    }

    fn may_damage(&self, fault: &PlannedFault, node: Node, calm: bool, most: usize) -> Result<(), String> {
        if self.damaged.contains_key(&node) {
            return Err(format!("the fault budget: {node} may not have caught up yet since it was damaged"));
        }
        if self.damaged.len() >= most {
            return Err(format!(
                "the fault budget: synced data of at most {most} replicas may be damaged at a time"
            ));
        }
        self.may_hinder()?;
        if !calm && fault.fault.goes_unnoticed() {
            return Err(format!(
                "the fault budget: a `{}` needs replicas that agree, and others were hindered less than {} s or {ACKNOWLEDGED} acknowledged operations ago",
                fault.fault,
                CALM.as_secs()
            ));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::{Begins, Parameters};

    fn fault(id: u64, kind: FaultKind) -> PlannedFault {
        let (begins, parameters) = (Begins::At(0), Parameters::None);
        PlannedFault { id, rule: 0, fault: kind, nodes: Vec::new(), begins, lasts_ns: 1, parameters }
    }

    struct Clock(Instant);

    impl Clock {
        fn at(&self, millis: u64, acknowledged: u64) -> Moment {
            Moment { at: self.0 + Duration::from_millis(millis), acknowledged }
        }
    }

    const ONE: Node = Node::Srv(1);
    const TWO: Node = Node::Srv(2);

    #[test]
    fn at_most_a_minority_is_damaged_and_not_again_before_it_has_caught_up() {
        let (budget, clock) = (Budget::new(3, false), Clock(Instant::now()));
        let (first, second) = (fault(1, FaultKind::Wipe), fault(2, FaultKind::Wipe));
        assert!(budget.admit(&first, ONE, clock.at(0, 100)).is_ok());
        assert!(budget.admit(&first, TWO, clock.at(0, 100)).unwrap_err().contains("at most 1"));
        budget.end(&first, &[ONE], true, clock.at(500, 150));
        assert!(budget.admit(&second, ONE, clock.at(1000, 900)).unwrap_err().contains("caught up"));
        assert!(budget.admit(&second, ONE, clock.at(9000, 160)).is_err(), "too little was acknowledged");
        assert!(budget.admit(&second, TWO, clock.at(1600, 180)).is_ok());
    }

    #[test]
    fn whatever_else_hinders_nodes_may_begin_while_a_replica_knows_that_it_was_damaged() {
        let (budget, clock) = (Budget::new(3, false), Clock(Instant::now()));
        budget.admit(&fault(1, FaultKind::Pause), TWO, clock.at(0, 0)).unwrap();
        for kind in [FaultKind::Wipe, FaultKind::BitFlip, FaultKind::TruncateFile] {
            assert!(budget.admit(&fault(2, kind), ONE, clock.at(1, 0)).is_ok());
            assert!(budget.admit(&fault(3, FaultKind::PowerFailure), TWO, clock.at(2, 0)).is_ok());
            assert!(budget.admit(&fault(4, kind), TWO, clock.at(3, 0)).is_err());
            assert!(budget.admit(&fault(4, kind), ONE, clock.at(3, 0)).is_err());
            budget.caught_up(ONE);
        }
    }

    #[test]
    fn nothing_else_begins_before_old_files_have_caught_up_but_faults_of_clients() {
        let (budget, clock) = (Budget::new(3, false), Clock(Instant::now()));
        let (wipe, kill) = (fault(1, FaultKind::OldCopy), fault(2, FaultKind::Kill));
        budget.admit(&wipe, ONE, clock.at(0, 0)).unwrap();
        let why = budget.admit(&kill, TWO, clock.at(10, 10)).unwrap_err();
        assert!(why.contains("srv-1 may not have caught up yet after a `old-copy`"), "{why}");
        assert!(budget.admit(&fault(3, FaultKind::Drop), Node::Coord, clock.at(10, 10)).is_ok());
        budget.end(&wipe, &[ONE], true, clock.at(500, 10));
        assert!(budget.admit(&kill, TWO, clock.at(1400, 100)).is_err());
        assert!(budget.admit(&kill, TWO, clock.at(1500, 100)).is_ok());
    }

    #[test]
    fn old_files_wait_until_replicas_that_were_hindered_agree_again() {
        let (budget, clock) = (Budget::new(5, false), Clock(Instant::now()));
        let (pause, wipe) = (fault(1, FaultKind::Pause), fault(2, FaultKind::OldCopy));
        budget.admit(&pause, ONE, clock.at(0, 0)).unwrap();
        assert!(budget.admit(&wipe, TWO, clock.at(5000, 500)).unwrap_err().contains("agree"));
        budget.end(&pause, &[ONE], true, clock.at(6000, 500));
        assert!(budget.admit(&wipe, TWO, clock.at(6500, 900)).is_err());
        assert!(budget.admit(&wipe, TWO, clock.at(7000, 900)).is_ok());
        assert!(budget.admit(&fault(3, FaultKind::Wipe), ONE, clock.at(7000, 900)).is_err());
    }

    #[test]
    fn a_replica_that_never_came_back_stays_in_the_account_but_hinders_no_other_fault() {
        let (budget, clock) = (Budget::new(3, false), Clock(Instant::now()));
        let wipe = fault(1, FaultKind::Wipe);
        budget.admit(&wipe, ONE, clock.at(0, 0)).unwrap();
        budget.end(&wipe, &[ONE], false, clock.at(500, 10));
        assert!(budget.admit(&fault(2, FaultKind::Wipe), TWO, clock.at(9000, 900)).is_err());
        assert!(budget.admit(&fault(3, FaultKind::Kill), TWO, clock.at(9000, 900)).is_ok());
    }

    #[test]
    fn beyond_the_budget_everything_may_begin() {
        let (budget, clock) = (Budget::new(3, true), Clock(Instant::now()));
        for node in [ONE, TWO, Node::Srv(3)] {
            assert!(budget.admit(&fault(1, FaultKind::Wipe), node, clock.at(0, 0)).is_ok());
        }
    }
}
