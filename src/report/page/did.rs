//! What a fault was seen to do, in words: from the counts of its end line.
//!
//! A count without words here is told by its name, so that nothing observed is left out.

use std::collections::BTreeMap;

use super::words::span;
use crate::report::text::{one_line, shorten};

/// Counts with their words: of one, of several.
const WORDS: &[(&str, &str, &str)] = &[
    ("bits_flipped", "bit flipped", "bits flipped"),
    ("black_holes", "connection lost bytes", "connections lost bytes"),
    ("bytes_cut_off", "byte cut off", "bytes cut off"),
    ("bytes_dropped", "byte dropped", "bytes dropped"),
    ("bytes_lost", "unsynced byte lost", "unsynced bytes lost"),
    ("bytes_wiped", "byte wiped", "bytes wiped"),
    ("chunks_delayed", "piece delayed", "pieces delayed"),
    ("chunks_sliced", "piece sliced", "pieces sliced"),
    ("clock_processes", "process with a wrong clock", "processes with a wrong clock"),
    ("connections_cut", "connection cut", "connections cut"),
    ("connections_held", "connection held", "connections held"),
    ("connections_reset", "connection reset", "connections reset"),
    ("crashes", "crash", "crashes"),
    ("files_lost", "unsynced file lost", "unsynced files lost"),
    ("files_restored", "file as it was", "files as they were"),
    ("files_wiped", "file wiped", "files wiped"),
    ("fsyncs_failed", "sync failed", "syncs failed"),
    ("killed_after_grace", "killed after the grace", "killed after the grace"),
    ("messages_duplicated", "message doubled", "messages doubled"),
    ("names_lost", "unsynced name lost", "unsynced names lost"),
    ("nodes_ended", "node ended of it", "nodes ended of it"),
    ("refusals_seen", "connection refused", "connections refused"),
    ("requests_failed", "request failed", "requests failed"),
    ("requests_slowed", "request slowed", "requests slowed"),
    ("writes_cut_short", "write cut short", "writes cut short"),
];

/// Times with what they are times of.
const TIMES: &[(&str, &str)] = &[
    ("clock_off_us", "off by"),
    ("delay_max_us", "at most"),
    ("delay_mean_us", "on average"),
    ("stop_us", "stopped within"),
];

/// The words, joined; empty if nothing was observed. Zeros are left out, unless they are
/// all there is.
pub fn words(observed: &BTreeMap<String, u64>) -> String {
    let some: Vec<String> = observed.iter().filter(|(_, count)| **count > 0).map(word).collect();
    if some.is_empty() && !observed.is_empty() {
        let all: Vec<String> = observed.iter().map(word).collect();
        return all.join(", ");
    }
    some.join(", ")
}

fn word((name, count): (&String, &u64)) -> String {
    if let Some((_, what)) = TIMES.iter().find(|(known, _)| known == name) {
        return format!("{what} {}", span(count.saturating_mul(1000)));
    }
    match WORDS.iter().find(|(known, ..)| known == name) {
        Some((_, one, _)) if *count == 1 => format!("1 {one}"),
        Some((_, _, several)) => format!("{count} {several}"),
        None => format!("{}: {count}", shorten(&one_line(name), 40)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(counts: &[(&str, u64)]) -> String {
        words(&counts.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect())
    }

    #[test]
    fn counts_are_told_in_words_and_unknown_ones_by_their_name() {
        assert_eq!(
            told(&[("bytes_lost", 4096), ("names_lost", 1), ("files_lost", 0), ("zebras", 3)]),
            "4096 unsynced bytes lost, 1 unsynced name lost, zebras: 3"
        );
        assert_eq!(told(&[("delay_mean_us", 2_500)]), "on average 2.5 ms");
        assert_eq!(told(&[]), "");
    }

    #[test]
    fn a_fault_that_was_looked_at_and_did_nothing_says_so() {
        assert_eq!(told(&[("bytes_lost", 0)]), "0 unsynced bytes lost");
    }
}
