//! Room for what damages synced data, in a mix that was not written by hand.
//!
//! The nemesis lets such a fault begin only where replicas agree, and nothing else
//! before its replica has caught up. In a dense mix that would hardly ever be; so
//! what would stand in its way is taken out of the plan beforehand.

use super::schedule::{Begins, PlannedFault};
use crate::fault::{Family, Node};
use crate::workload::QUIET;

/// Takes out what begins or lasts too close to a fault that damages synced data; of
/// two such faults the later one. `planned` is in order of time.
pub(super) fn clear(planned: &mut Vec<PlannedFault>) {
    let mut rooms: Vec<(u64, u64)> = Vec::new();
    planned.retain(|fault| {
        let room = room(fault);
        let damaging = fault.fault.damages_synced();
        let free = !damaging || rooms.iter().all(|other| !meet(*other, room));
        if damaging && free {
            rooms.push(room);
        }
        free
    });
    planned.retain(|fault| {
        let span = span(fault);
        fault.fault.damages_synced() || harmless(fault) || rooms.iter().all(|room| !meet(*room, span))
    });
}

/// Clients that cannot reach the coordinator hinder no replica.
fn harmless(fault: &PlannedFault) -> bool {
    fault.fault.family() == Family::Network && fault.nodes == [Node::Coord]
}

fn span(fault: &PlannedFault) -> (u64, u64) {
    let begin = if let Begins::At(time) = fault.begins { time } else { 0 };
    (begin, begin.saturating_add(fault.lasts_ns))
}

fn room(fault: &PlannedFault) -> (u64, u64) {
    let (begin, end) = span(fault);
    let quiet = QUIET.as_nanos() as u64;
    (begin.saturating_sub(quiet), end.saturating_add(quiet))
}

fn meet(a: (u64, u64), b: (u64, u64)) -> bool {
    a.0 <= b.1 && b.0 <= a.1
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::schedule::draw;
    use crate::workload::parse;

    fn drawn(intensity: &str, duration: &str, seed: u64) -> Vec<PlannedFault> {
        let text = format!(
            r#"{{"name":"x","duration":"{duration}","latecomer":false,"nemesis":{{"all":{{"intensity":"{intensity}"}}}}}}"#
        );
        draw(&parse("w.json", &text).unwrap(), seed)
    }

    #[test]
    fn nothing_that_hinders_a_replica_comes_near_a_wipe() {
        let mut wipes = 0;
        for seed in 0..20 {
            let faults = drawn("hostile", "120s", seed);
            for wipe in faults.iter().filter(|fault| fault.fault.damages_synced()) {
                wipes += 1;
                let near = faults.iter().filter(|other| !harmless(other) && meet(room(wipe), span(other)));
                assert_eq!(near.count(), 1, "itself alone");
            }
        }
        assert!(wipes > 20, "{wipes}");
    }

    #[test]
    fn the_rate_of_everything_together_is_what_the_intensity_says() {
        for (intensity, expected) in [("calm", 100.0), ("rough", 333.3), ("hostile", 1000.0)] {
            let faults = (0..20).map(|seed| drawn(intensity, "1000s", seed).len()).sum::<usize>();
            let mean = faults as f64 / 20.0;
            assert!((mean / expected - 1.0).abs() < 0.1, "{intensity}: {mean}, {expected} expected");
        }
    }

    #[test]
    fn even_the_shortest_run_of_everything_has_a_fault() {
        for seed in 0..50 {
            assert!(!drawn("calm", "1s", seed).is_empty());
        }
    }
}
