//! `check --stream`: one pass over a history that need not be held.

mod support;

use std::io::Write;
use std::process::{Command, Stdio};

use support::{Bench, Said, project};

/// A generated history; the result of operation number `wrong_at` is wrong.
fn history(bench: &Bench, operations: u32, wrong_at: Option<u32>) -> String {
    let mut command = Command::new("python3");
    command.arg(project("benches/histories/generate.py")).arg(operations.to_string());
    command.args(wrong_at.map(|at| at.to_string()));
    let text = command.output().unwrap().stdout;
    let path = bench.path("history.jsonl");
    std::fs::write(&path, &text).unwrap();
    path.to_str().unwrap().to_owned()
}

fn check(bench: &Bench, history: &str, more: &[&str]) -> Said {
    let mut words = vec!["check", history, "--stream"];
    words.extend(more);
    bench.output(&words)
}

/// The numbers of a witness file, as docs/HISTORY.md describes it.
fn order(bench: &Bench, name: &str) -> Vec<i64> {
    let bytes = std::fs::read(bench.path(name)).unwrap();
    let body = bytes.strip_prefix(b"rsm-check order 1\n").unwrap();
    let (mut numbers, mut next, mut value, mut shift) = (Vec::new(), 0i64, 0u64, 0);
    for byte in body {
        value |= u64::from(byte & 0x7f) << shift;
        shift += 7;
        if byte & 0x80 == 0 {
            let number = next + ((value >> 1) as i64 ^ -((value & 1) as i64));
            numbers.push(number);
            (next, value, shift) = (number + 1, 0, 0);
        }
    }
    numbers
}

#[test]
fn a_right_history_passes_in_one_pass_and_its_order_is_written() {
    let bench = Bench::new();
    let history = history(&bench, 60_000, None);
    let said = check(&bench, &history, &["--witness", "order"]).exits(0);
    assert!(said.out.starts_with("pass"), "{}", said.out);
    let mut order = order(&bench, "order");
    assert_ne!(order, (0..60_000).collect::<Vec<_>>(), "operations overlap");
    order.sort_unstable();
    assert_eq!(order, (0..60_000).collect::<Vec<_>>());
    check(&bench, &history, &["--witness", "order"]).exits(2).tells(&["name a file that does not exist"]);
    bench.output(&["check", &history]).exits(0);
}

#[test]
fn the_order_of_a_stream_is_verified_in_one_pass_and_a_wrong_one_refuted() {
    let bench = Bench::new();
    let history = history(&bench, 60_000, None);
    check(&bench, &history, &["--witness", "order"]).exits(0);
    let verify = |order: &str, more: &[&str]| {
        bench.output(&[&["verify", &history, "--witness", order], more].concat())
    };
    let said = verify("order", &["--memory", "16MiB"]).exits(0).tells(&["bank:initial=100,guard=strict"]);
    assert_eq!(said.out, "confirmed: an order of 60,000 operations explains everything\n");
    assert!(verify("order", &["--model", "bank:initial=99"]).exits(1).out.contains("was seen"));
    let bytes = std::fs::read(bench.path("order")).unwrap();
    let changed = |name: &str, bytes: &[u8]| std::fs::write(bench.path(name), bytes).unwrap();
    // The last byte is an operation of its own: most follow the one before them.
    changed("short", &bytes[..bytes.len() - 1]);
    assert!(verify("short", &[]).exits(1).out.contains("refuted: operation 59999"));
    changed("long", &[&bytes[..], &[0]].concat());
    assert!(verify("long", &[]).exits(1).out.contains("refuted: operation 60000 does not exist"));
    changed("cut", &[&bytes[..], &[0x80]].concat());
    verify("cut", &[]).exits(2).tells(&["ends within a number"]);
    changed("foreign", b"{}");
    verify("foreign", &[]).exits(2).tells(&["no order"]);
    verify("none", &[]).exits(2).tells(&["cannot be read"]);
    verify("order", &["--model", "kv"]).exits(2).tells(&["accepted with --witness: bank"]);
    bench.output(&["verify", &history, "--proof", "order"]).exits(2).tells(&["give it with --witness"]);
    bench.output(&["verify", ".", "--witness", "order"]).exits(2).tells(&["history.jsonl"]);
}

#[test]
fn a_wrong_result_is_found_in_one_pass_as_it_is_in_the_whole() {
    let bench = Bench::new();
    let history = history(&bench, 60_000, Some(50_000));
    let streamed = check(&bench, &history, &["--witness", "order"]).exits(1);
    let whole = bench.output(&["check", &history]).exits(1);
    let operation = |said: &Said| said.out.split("; ").next().unwrap().to_owned();
    assert!(streamed.out.contains("no order explains #"), "{}", streamed.out);
    assert_eq!(operation(&streamed), operation(&whole));
    assert!(!bench.path("order").exists(), "half an order was left");
}

#[test]
fn what_one_pass_cannot_decide_is_read_whole_from_a_file_and_undecided_from_a_pipe() {
    let bench = Bench::new();
    let history = history(&bench, 60_000, None);
    let mut text = std::fs::read_to_string(&history).unwrap();
    let evidence = r#"{"index":99999999,"time":99999999999,"process":"evidence","type":"info","f":"never-delivered","value":{"invoke":0}}"#;
    text.push_str(evidence);
    text.push('\n');
    std::fs::write(&history, &text).unwrap();
    // The first operation is `ok`: reading whole finds the contradiction.
    check(&bench, &history, &[])
        .exits(2)
        .tells(&["evidence came too late", "yet the operation of index 0 is ok"]);
    let mut command = bench.command(&["check", "-", "--stream"]);
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let writer = std::thread::spawn(move || stdin.write_all(text.as_bytes()));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap().unwrap();
    assert_eq!(output.status.code(), Some(3));
    assert!(String::from_utf8_lossy(&output.stdout).contains("give a file"), "{output:?}");
}

#[test]
fn one_pass_is_refused_where_it_would_leave_something_out() {
    let bench = Bench::new();
    let dir = bench.dir.path().to_str().unwrap();
    check(&bench, dir, &[]).exits(2).tells(&["give its history.jsonl"]);
    check(&bench, "h", &["--model", "register"]).exits(2).tells(&["accepted: bank"]);
    check(&bench, "h", &["--replicas", "f"]).exits(2);
}
