//! The self-test, end to end: real runs of the reference system with a bug planted.

mod support;

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::Stdio;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use support::Bench;

/// The one directory below `reports` that is no link.
fn directory(bench: &Bench) -> PathBuf {
    let entries = std::fs::read_dir(bench.path("reports")).unwrap().map(|entry| entry.unwrap().path());
    let mut own = entries.filter(|path| !path.is_symlink());
    own.next().expect("a directory for the results")
}

fn results(bench: &Bench) -> Vec<String> {
    let text = std::fs::read_to_string(directory(bench).join("results.jsonl")).unwrap_or_default();
    text.lines().map(Into::into).collect()
}

#[test]
fn a_bug_that_is_caught_every_time_meets_the_target_and_is_not_tried_again_on_resuming() {
    let bench = Bench::new();
    let quick = ["selftest", "--quick", "--bug", "stale-read", "--seeds", "2"];
    let said = bench.output(&quick).exits(0);
    assert!(said.out.contains("2/2") && said.out.contains("linearizable (2)"), "{}", said.out);
    assert!(said.out.lines().next_back().unwrap().starts_with("target met"), "{}", said.out);
    let before = results(&bench);
    assert_eq!(before.len(), 2);
    let dir = directory(&bench);
    let again = bench.output(&[&quick[..], &["--resume", dir.to_str().unwrap()]].concat()).exits(0);
    assert_eq!((again.out, results(&bench)), (said.out, before));
    bench.assert_no_process_is_left();
}

#[test]
fn the_correct_system_is_accused_of_nothing_and_the_page_is_written() {
    let bench = Bench::new();
    let words = ["selftest", "--quick", "--bug", "wrap-around", "--correct", "1", "--jobs", "2"];
    let said = bench.output(&words).exits(0);
    assert!(said.out.contains("false alarms: 0 of 1 correct runs"), "{}", said.out);
    let page = std::fs::read_to_string(directory(&bench).join("detection.md")).unwrap();
    assert!(page.contains("| wrap-around |") && page.contains("linearizable (1)"), "{page}");
}

#[test]
fn without_the_faults_that_it_needs_a_bug_stays_hidden() {
    let bench = Bench::new();
    let words = ["selftest", "--quick", "--bug", "catch-up-skips", "--calm", "--jobs", "2"];
    // Whether one short run brings the bug out is not what is asked here.
    bench.output(&words);
    let calm: Vec<String> =
        results(&bench).into_iter().filter(|line| line.contains(r#""subject":"calm""#)).collect();
    assert!(matches!(&calm[..], [one] if one.contains(r#""verdict":"pass""#)), "{calm:?}");
}

#[test]
fn an_interruption_keeps_what_there_is() {
    let bench = Bench::new();
    let words = ["selftest", "--quick", "--bug", "stale-read", "--seeds", "1000", "--jobs", "1"];
    let mut child = bench.command(&words).stderr(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    assert!(lines.any(|line| line.unwrap().starts_with("[1/1000]")), "no trial ended");
    kill(Pid::from_raw(child.id() as i32), Signal::SIGINT).unwrap();
    lines.for_each(drop);
    let ended = child.wait_with_output().unwrap();
    let out = String::from_utf8_lossy(&ended.stdout).into_owned();
    assert_eq!(ended.status.code(), Some(4), "{out}");
    assert!(out.lines().next_back().unwrap().starts_with("interrupted"), "{out}");
    assert!(!results(&bench).is_empty());
    bench.assert_no_process_is_left();
}

#[test]
fn a_bug_that_does_not_exist_and_a_directory_of_something_else_are_bad_input() {
    let bench = Bench::new();
    let said = bench.output(&["selftest", "--bug", "nothing"]).exits(2);
    assert!(said.err.contains("`nothing` is no bug") && said.err.contains("stale-read"), "{}", said.err);
    let said = bench.output(&["selftest", "--resume", "elsewhere"]).exits(2);
    assert!(said.err.contains("elsewhere"), "{}", said.err);
    let other = bench.path("other");
    std::fs::create_dir(&other).unwrap();
    std::fs::write(other.join("workload.json"), "{}").unwrap();
    let said = bench.output(&["selftest", "--resume", other.to_str().unwrap()]).exits(2);
    assert!(said.err.contains("another workload"), "{}", said.err);
}
