//! Room for damage that goes unnoticed, in a mix that was not written by hand.
//!
//! The nemesis lets old files appear only where replicas agree, and nothing else
//! begin before their replica has caught up. In a dense mix that would hardly ever be; so
//! what would stand in its way is taken out of the plan beforehand.

use super::schedule::{Begins, PlannedFault};
use crate::fault::{Family, Node};
use crate::workload::QUIET;

/// Takes out what begins or lasts too close to damage that goes unnoticed; of
/// two such faults the later one. `planned` is in order of time.
pub(super) fn clear(planned: &mut Vec<PlannedFault>) {
    let mut rooms: Vec<(u64, u64)> = Vec::new();
    planned.retain(|fault| {
        let room = room(fault);
        let damaging = fault.fault.goes_unnoticed();
        let free = !damaging || rooms.iter().all(|other| !meet(*other, room));
        if damaging && free {
            rooms.push(room);
        }
        free
    });
    planned.retain(|fault| {
        let span = span(fault);
        fault.fault.goes_unnoticed() || harmless(fault) || rooms.iter().all(|room| !meet(*room, span))
    });
}

/// Clients that cannot reach the coordinator hinder no replica.
fn harmless(fault: &PlannedFault) -> bool {
    fault.fault.family() == Family::Network && fault.nodes == [Node::Coord]
}

/// From when it may begin, and until when it then lasts.
pub(super) fn span(fault: &PlannedFault) -> (u64, u64) {
    let begin =
        if let Begins::At(time) | Begins::Since { at_ns: time, .. } = fault.begins { time } else { 0 };
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
    fn nothing_that_hinders_a_replica_comes_near_old_files() {
        let mut copies = 0;
        for seed in 0..20 {
            let faults = drawn("hostile", "120s", seed);
            for copy in faults.iter().filter(|fault| fault.fault.goes_unnoticed()) {
                copies += 1;
                let near = faults.iter().filter(|other| !harmless(other) && meet(room(copy), span(other)));
                assert_eq!(near.count(), 1, "itself alone");
            }
        }
        assert!(copies > 10, "{copies}");
    }

    #[test]
    fn the_rate_of_everything_together_is_what_the_intensity_says_and_scenes_come_on_top() {
        for (intensity, expected, most) in
            [("calm", 100.0, 1.1), ("rough", 333.3, 1.7), ("hostile", 1000.0, 1.7)]
        {
            let faults = (0..20).map(|seed| drawn(intensity, "1000s", seed).len()).sum::<usize>();
            let mean = faults as f64 / 20.0;
            assert!((0.9..most).contains(&(mean / expected)), "{intensity}: {mean}, {expected} expected");
        }
    }

    #[test]
    fn even_the_shortest_run_of_everything_has_a_fault() {
        for seed in 0..50 {
            assert!(!drawn("calm", "1s", seed).is_empty());
        }
    }
}
