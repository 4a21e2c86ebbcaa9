//! A client of bad requests, requests in pieces, bursts and a replica that comes late:
//! what makes a run harder without a fault of its own.

mod support;

use std::path::Path;

use support::Bench;

const HARDER: &str = r#"{"name":"harder","duration":"2s",
    "clients":{"count":4,"rate":50,"accounts":4,"bad":50,"split":0.2,"burst":{"every":"500ms","for":"100ms"}},
    "latecomer":true}"#;

/// The commands of the durable edition with one bug planted in both programs.
fn planted(bug: &str) -> [String; 2] {
    let beside = |name: &str| Path::new(support::RSM_CHECK).with_file_name(name).display().to_string();
    [("srv", "{data}"), ("coord", "{ports}")]
        .map(|(name, place)| format!("{} --bug {bug} {place}", shell_words::quote(&beside(name))))
}

#[test]
fn the_durable_edition_carries_out_no_bad_request_and_the_history_shows_them() {
    let bench = Bench::new();
    bench.run(&bench.workload(HARDER), &[]).exits(0);
    let history = bench.history();
    let bad: Vec<&str> = history.lines().filter(|line| line.contains(r#""f":"bad""#)).collect();
    assert!(bad.iter().any(|line| line.contains("refused malformed")), "{bad:?}");
    bench.assert_no_process_is_left();
}

#[test]
fn who_carries_out_an_amount_beyond_64_bits_is_caught() {
    let bench = Bench::new();
    let [srv, coord] = planted("wrap-around");
    let words = ["--srv", &srv, "--coord", &coord, "--expect", "violation:linearizable"];
    bench.run(&bench.workload(HARDER), &words).exits(0);
}

#[test]
fn who_takes_what_one_read_brings_for_the_whole_request_is_caught() {
    let bench = Bench::new();
    let [srv, coord] = planted("one-read");
    let words = ["--srv", &srv, "--coord", &coord, "--expect", "violation:linearizable"];
    bench.run(&bench.workload(HARDER), &words).exits(0);
}

#[test]
fn a_replica_comes_late_after_the_heal_and_the_last_operation_moves_money() {
    let bench = Bench::new();
    bench.run(&bench.workload(HARDER), &[]).exits(0);
    let history = bench.history();
    let healed = history.find(r#""value":"heal""#).expect("the heal is recorded");
    assert!(history[healed..].contains(r#""f":"kill""#), "{}", &history[healed..]);
    let acknowledged = history.lines().rfind(|line| line.contains(r#""type":"ok""#)).unwrap();
    assert!(acknowledged.contains(r#""amount":1,"#), "{acknowledged}");
}
