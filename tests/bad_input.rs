//! What is wrong is said with file, line, field, what was found and what is
//! accepted; exit 2, nothing started, nothing overwritten.

mod support;

use support::{Bench, project};

/// Refused before anything starts: the run directory is not even created.
#[track_caller]
fn refused(workload: &str, parts: &[&str]) {
    let bench = Bench::new();
    let path = bench.workload(workload);
    bench.run(&path, &[]).exits(2).tells(&["workload.json"]).tells(parts);
    assert!(!bench.run_dir().exists(), "the run directory was created");
}

#[test]
fn an_unknown_field_is_refused() {
    refused(
        "{\n  \"name\": \"x\",\n  \"duraton\": \"1s\"\n}",
        &[":3", "unknown field `duraton`", "`duration`"],
    );
}

#[test]
fn a_wrong_type_is_refused() {
    refused(
        r#"{"name":"x","duration":"1s","cluster":{"replicas":"three"}}"#,
        &["cluster.replicas", "\"three\"", "u16"],
    );
}

#[test]
fn zero_clients_are_refused() {
    refused(
        r#"{"name":"x","duration":"1s","clients":{"count":0}}"#,
        &["clients.count", "found 0", "1 to 1000"],
    );
}

#[test]
fn a_target_that_does_not_exist_is_refused() {
    let text = r#"{"name":"x","duration":"1s","nemesis":[{"fault":"kill","target":"srv-4","every":"1s"}]}"#;
    refused(text, &["nemesis[0].target", "srv-4", "srv-1 to srv-3"]);
}

#[test]
fn an_impossible_duration_is_refused() {
    refused(r#"{"name":"x","duration":"-3s"}"#, &["duration", "-3s", "20s"]);
}

#[test]
fn what_is_not_json_is_refused() {
    refused("name = x", &["not valid JSON", ":1"]);
}

#[test]
fn an_unknown_model_is_refused() {
    refused(
        r#"{"name":"x","duration":"1s","model":"bank:initial=100,gaurd=strict"}"#,
        &["model", "gaurd", "guard"],
    );
}

#[test]
fn a_missing_program_is_refused() {
    let text = r#"{"name":"x","duration":"1s","cluster":{"srv":{"command":"no-such-srv {data}"}}}"#;
    refused(text, &["no-such-srv", "PATH"]);
}

#[test]
fn a_command_option_with_a_wrong_placeholder_names_the_option() {
    let bench = Bench::new();
    let said = bench.run(&project("workloads/smoke.json"), &["--coord", "python3 coord.py {port}"]);
    said.exits(2).tells(&["--coord", "{port}", "{ports}"]);
    assert!(!bench.run_dir().exists());
}

#[test]
fn a_missing_workload_is_named() {
    let bench = Bench::new();
    bench.output(&["run", "no/such.json"]).exits(2).tells(&["no/such.json"]);
}

#[test]
fn a_run_directory_that_is_not_empty_is_left_alone() {
    let bench = Bench::new();
    std::fs::create_dir(bench.run_dir()).unwrap();
    std::fs::write(bench.run_dir().join("precious"), "mine").unwrap();
    bench.run(&project("workloads/smoke.json"), &[]).exits(2).tells(&["not empty"]);
    assert_eq!(std::fs::read_to_string(bench.run_dir().join("precious")).unwrap(), "mine");
    assert_eq!(std::fs::read_dir(bench.run_dir()).unwrap().count(), 1);
}

#[test]
fn a_malformed_history_is_bad_input_and_names_its_line() {
    let bench = Bench::new();
    let history = bench.path("h.jsonl");
    std::fs::write(
        &history,
        "{\"index\":0,\"time\":1,\"process\":1,\"type\":\"ok\",\"f\":\"transfer\",\"value\":null}\n",
    )
    .unwrap();
    bench.output(&["check", history.to_str().unwrap()]).exits(2).tells(&["h.jsonl", "line 1"]);
}

#[test]
fn usage_errors_exit_with_2() {
    let bench = Bench::new();
    bench.output(&["run"]).exits(2);
    bench.output(&["frobnicate"]).exits(2);
    bench.output(&["run", "x.json", "--expect", "success"]).exits(2).tells(&["accepted: pass"]);
}

/// What `check` says to lines of a bank's history on its standard input.
#[track_caller]
fn malformed(lines: &[&str], parts: &[&str]) {
    let bench = Bench::new();
    let path = bench.path("h.jsonl");
    std::fs::write(&path, lines.iter().map(|line| format!("{line}\n")).collect::<String>()).unwrap();
    bench.output(&["check", path.to_str().unwrap()]).exits(2).tells(parts);
}

#[test]
fn every_kind_of_malformed_history_is_bad_input_with_line_and_reason() {
    let invoke = r#"{"index":0,"time":5,"process":1,"type":"invoke","f":"transfer","value":{"from":"a","to":"b","amount":5}}"#;
    let again = invoke.replace(r#""index":0"#, r#""index":1"#);
    malformed(&[invoke, &again], &["line 2", "process 1"]);
    let ok = again.replace("invoke", "ok");
    let other = ok.replace(r#""process":1"#, r#""process":2"#);
    malformed(&[invoke, &other], &["line 2", "process 2", "did not invoke"]);
    malformed(&[invoke, &ok.replace(r#""time":5"#, r#""time":4"#)], &["line 2", "time"]);
    malformed(&[&invoke.replace("transfer", "withdraw")], &["line 1", "`withdraw`", "transfer, read"]);
    for balances in ["[95.5,105]", "[9223372036854775808,105]", "[\"95\",105]", "[95]", "95"] {
        let told = ok.replace("\"amount\":5", &format!("\"amount\":5,\"balances\":{balances}"));
        malformed(&[invoke, &told], &["line 2", "64-bit integers"]);
    }
}

#[test]
fn a_hundred_megabytes_on_one_line_are_refused_without_being_read() {
    use std::io::Write;
    use std::process::Stdio;
    let bench = Bench::new();
    let mut command = bench.command(&["check", "-", "--quiet"]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    let (begin, much) = (br#"{"index":0,"time":1,"process":1,"type":"#, vec![b'a'; 1 << 20]);
    input.write_all(begin).unwrap();
    let written = (0..100).take_while(|_| input.write_all(&much).is_ok()).count();
    drop(input);
    let output = child.wait_with_output().unwrap();
    let words = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{words}");
    assert!(words.contains("line 1") && words.contains("longest line that is accepted"), "{words}");
    assert!(written < 100, "all of it was read");
}
