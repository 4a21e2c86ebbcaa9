//! The check that goes on during a run, against a real coordinator that lies once.

mod support;

use serde_json::Value;
use support::{Bench, Said, project};

/// Runs against a coordinator that lies at one request and perhaps lets one hang.
fn run(bench: &Bench, lie_at: u32, hang_at: u32, workload: &str) -> Said {
    let workload = bench.workload(workload);
    let srv = format!("python3 {} {{data}}", project("tests/exercise/srv.py").display());
    let liar = project("tests/exercise/liar.py");
    let coord = format!("python3 {} {lie_at} {hang_at} {{ports}}", liar.display());
    bench.run(&workload, &["--srv", &srv, "--coord", &coord])
}

fn record(bench: &Bench) -> Value {
    serde_json::from_slice(&std::fs::read(bench.run_dir().join("run.json")).unwrap()).unwrap()
}

fn lines(bench: &Bench) -> Vec<Value> {
    bench.history().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn place(lines: &[Value], wanted: impl Fn(&Value) -> bool) -> usize {
    lines.iter().position(wanted).expect("such a line is in the history")
}

#[test]
fn the_first_violation_ends_the_faulty_phase_and_the_run_goes_on_in_order() {
    let bench = Bench::new();
    let said = run(&bench, 200, 0, r#"{"name":"liar","operations":50000,"clients":{"count":4}}"#).exits(1);
    assert!(said.out.starts_with("violation: linearizable"), "{}", said.out);
    let said = said.tells(&[
        "the faulty phase ends early: no order explains",
        "lines behind",
        "note: stopped early: the online check found that no order explains",
    ]);
    let record = record(&bench);
    let online = &record["online"];
    let note = record["judgement"]["notes"][0].as_str().unwrap();
    assert!(note.contains(&format!("ended at index {}", online["violation"]["index"])), "{note}");
    assert_eq!((&online["stopped"], &online["gave_up"]), (&Value::Bool(true), &Value::Null), "{online}");
    let invoked = record["operations"]["ok"].as_u64().unwrap();
    assert!((200..10_000).contains(&invoked), "{invoked} operations: {}", said.err);
    let lines = lines(&bench);
    let wrong = lines.iter().find(|line| line["index"] == online["violation"]["index"]).unwrap();
    assert!(wrong["value"]["balances"][0].as_i64().unwrap() > 1000, "{wrong}");
    let heal = &lines[place(&lines, |line| line["f"] == "phase" && line["value"] == "heal")];
    assert!(heal["error"].as_str().unwrap().contains("no order explains"), "{heal}");
    for phase in ["settle", "collect"] {
        place(&lines, |line| line["f"] == "phase" && line["value"] == phase);
    }
    bench.assert_no_process_is_left();
}

#[test]
fn a_violation_ends_nothing_where_that_was_not_asked_for() {
    let bench = Bench::new();
    let workload = r#"{"name":"liar","operations":600,"clients":{"count":4},"stop_on_violation":false}"#;
    run(&bench, 200, 0, workload).exits(1);
    let record = record(&bench);
    assert_eq!(record["operations"]["ok"], 600);
    assert_eq!(record["online"]["stopped"], false);
    assert!(record["online"]["violation"]["index"].as_u64().unwrap() < 500, "{}", record["online"]);
}

#[test]
fn an_operation_that_hangs_does_not_hold_the_check_back() {
    let bench = Bench::new();
    let workload = r#"{"name":"liar","operations":50000,"clients":{"count":4,"deadline":"10s"}}"#;
    run(&bench, 200, 100, workload).exits(1);
    assert_eq!(record(&bench)["online"]["stopped"], true);
    let lines = lines(&bench);
    let heal = place(&lines, |line| line["f"] == "phase" && line["value"] == "heal");
    let timeout = place(&lines, |line| line["type"] == "info" && line["error"] == "timeout");
    assert!(heal < timeout, "the faulty phase ended only after the operation that hung");
}

#[test]
fn an_online_check_that_is_not_wanted_is_not_made() {
    let bench = Bench::new();
    let workload =
        r#"{"name":"liar","operations":60,"checks":{"linearizable":false,"minimum_acknowledged":1}}"#;
    run(&bench, 1000, 0, workload).exits(0);
    assert_eq!(record(&bench)["online"], Value::Null);
}
