//! Histories of thousands of operations, as the benchmark has them, are decided, but for
//! long queues with a wrong result.

use rsm_check::history::untyped::read_untyped;
use rsm_check::verdict::Verdict;

use super::history::{Shape, history};
use super::oracle::Kind;
use super::{budget, by_text};

fn verdict(kind: Kind, lost: u64, wrong: bool) -> Option<Verdict> {
    let shape = Shape { model: kind.name(), clients: 10, operations: 3_000, lost, wrong };
    let read = read_untyped(history(&shape).as_bytes()).unwrap();
    by_text(kind.name()).unwrap().judge(&read, &budget()).unwrap().verdict
}

#[test]
fn long_histories_are_accepted_with_lost_replies_and_without() {
    for kind in Kind::ALL {
        for lost in [0, 10] {
            assert_eq!(verdict(kind, lost, false), Some(Verdict::Pass), "{}, {lost}", kind.name());
        }
    }
}

#[test]
fn one_wrong_result_in_a_long_history_is_found() {
    // Of a lock nothing is told that could be wrong; long queues are only accepted.
    for kind in Kind::ALL.into_iter().filter(|kind| !matches!(kind, Kind::Mutex | Kind::FifoQueue)) {
        for lost in [0, 10] {
            assert_eq!(verdict(kind, lost, true), Some(Verdict::Violation), "{}, {lost}", kind.name());
        }
    }
}
