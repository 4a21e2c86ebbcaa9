//! What each model's notation accepts and refuses, and whether the examples of
//! docs/HISTORY.md are what they say they are.

use std::path::Path;

use rsm_check::checker::bank::BankModel;
use rsm_check::checker::linearizability::check_result;
use rsm_check::checker::models::{NAMES, by_text};
use rsm_check::history::read::read;
use rsm_check::history::untyped::read_untyped;
use rsm_check::verdict::Verdict;

use super::budget;

/// The indented text after a line that begins so.
fn example(document: &str, after: &str) -> String {
    let from = document.lines().skip_while(|line| !line.starts_with(after)).skip(1);
    let from = from.skip_while(|line| !line.starts_with("    "));
    from.map_while(|line| line.strip_prefix("    ")).map(|line| format!("{line}\n")).collect()
}

#[test]
fn the_documented_example_of_every_model_is_a_right_history() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/HISTORY.md");
    let document = std::fs::read_to_string(path).unwrap();
    for name in NAMES.split(", ") {
        let text = example(&document, &format!("A history of `{name}`"));
        assert!(text.lines().count() >= 4, "docs/HISTORY.md has no example of {name}: {text:?}");
        let history = read_untyped(text.as_bytes()).unwrap_or_else(|why| panic!("{name}: {why}"));
        let result = by_text(name).unwrap().judge(&history, &budget()).unwrap();
        assert_eq!(result.verdict, Some(Verdict::Pass), "{name}: {result:#?}");
    }
    let bank = read(example(&document, "## The bank").as_bytes()).unwrap();
    let result = check_result(&bank, &BankModel::default(), &[], &budget());
    assert_eq!(result.verdict, Some(Verdict::Pass), "{result:#?}");
}

/// One operation that ended `ok`, and the refusal of it.
#[track_caller]
fn refused(model: &str, f: &str, input: &str, output: &str, says: &[&str]) {
    let line = |index: u32, kind: &str, value: &str| {
        format!(r#"{{"index":{index},"time":0,"process":0,"type":"{kind}","f":"{f}","value":{value}}}"#)
    };
    let text = format!("{}\n{}\n", line(0, "invoke", input), line(1, "ok", output));
    let history = read_untyped(text.as_bytes()).unwrap();
    let why = by_text(model).unwrap().judge(&history, &budget()).unwrap_err().to_string();
    for part in says {
        assert!(why.contains(part), "{why}");
    }
}

#[test]
fn what_a_model_does_not_know_is_refused_with_line_and_what_is_accepted() {
    refused("register", "cas", "[1,2]", "[1,2]", &["line 1", "`cas`", "accepted: read, write"]);
    refused("cas-register", "cas", "1", "1", &["line 1", "accepted is [old, new]"]);
    refused("register", "write", "1", "2", &["line 2", "`write` of 1 is completed with 2"]);
    refused("kv", "read", "3", "3", &["line 1", "accepted is [key, value]"]);
    refused("kv", "read", "[1,null]", "[2,0]", &["line 2", "key 1", "key 2"]);
    refused("mutex", "lock", "null", "null", &["accepted: acquire, release"]);
    refused("mutex", "acquire", "1", "1", &["line 1", "accepted is null"]);
    refused("fifo-queue", "dequeue", "null", "null", &["line 2", "found nothing is `fail`"]);
    refused("set", "read", "null", "3", &["line 2", "a list of all members"]);
    refused("counter", "add", "1.5", "1.5", &["line 1", "signed 64-bit integer"]);
}

#[test]
fn a_violation_tells_states_and_the_order_that_holds() {
    let path =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/histories/violation/register_stale_read.jsonl");
    let history = read_untyped(std::fs::read(path).unwrap().as_slice()).unwrap();
    let result = by_text("register").unwrap().judge(&history, &budget()).unwrap();
    assert!(result.message.contains("no order explains #4 read of 1 by process 0"), "{result:#?}");
    assert!(result.details[0].contains("none of the states that orders give: 2"), "{result:#?}");
    assert!(
        result.details.iter().any(|line| line.contains("#2 write of 2 by process 0; then 2")),
        "{result:#?}"
    );
}
