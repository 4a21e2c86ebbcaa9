//! `rsm-check check --model`, typed: verdict line, exit code, what is refused.

use std::process::{Command, Stdio};

/// The program under test.
const RSM_CHECK: &str = env!("CARGO_BIN_EXE_rsm-check");

fn check(args: &[&str], exit: i32) -> (String, String) {
    let mut command = Command::new(RSM_CHECK);
    let output = command.current_dir(env!("CARGO_MANIFEST_DIR")).arg("check").args(args).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert_eq!(output.status.code(), Some(exit), "{output:?}");
    (text(&output.stdout), text(&output.stderr))
}

#[test]
fn another_model_is_judged_for_linearizability_alone() {
    let right = "tests/histories/ok/kv_keys_apart.jsonl";
    let (line, words) = check(&[right, "--model", "kv"], 0);
    assert!(line.starts_with("pass (not tested: replicas identical, not a bank; conserved"), "{line}");
    assert!(words.contains("4 operations (4 ok"), "{words}");
    let wrong = "tests/histories/violation/kv_wrong_key.jsonl";
    let (line, words) = check(&[wrong, "--model", "kv"], 1);
    assert!(line.starts_with("violation: linearizable: no order explains #2 read of 1"), "{line}");
    assert!(words.contains("none of the states that orders give: null"), "{words}");
    let (line, _) = check(&[wrong, "--model", "kv", "--json", "--quiet"], 1);
    assert!(line.contains(r#"{"message":"not a bank""#) || line.contains("not a bank"), "{line}");
}

#[test]
fn options_are_taken_or_refused_with_what_is_accepted() {
    let history = "tests/histories/ok/register_initial_null.jsonl";
    check(&[history, "--model", "register:initial=null"], 0);
    let (line, _) = check(&[history, "--model", "register:initial=7"], 1);
    assert!(line.contains("read of null"), "{line}");
    let refused = |args: &[&str], says: &str| {
        let (_, words) = check(args, 2);
        assert!(words.contains(says), "{words}");
    };
    refused(&[history, "--model", "register:colour=red"], "accepted: initial");
    refused(&[history, "--model", "stack"], "accepted: bank, register, cas-register, kv");
    refused(&[history, "--model", "mutex"], "line 1: `read` is no operation of mutex");
    refused(&[history, "--model", "set", "--replicas", "x"], "--replicas");
    refused(&["tests", "--model", "set"], "accepted: bank");
    refused(&["tests/none.jsonl", "--model", "set"], "cannot be read");
}

#[test]
fn nothing_acknowledged_is_no_pass() {
    let mut command = Command::new(RSM_CHECK);
    let output = command.args(["check", "-", "--model", "set"]).stdin(Stdio::null()).output().unwrap();
    assert_eq!(output.status.code(), Some(3), "{output:?}");
}
