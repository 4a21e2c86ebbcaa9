//! `rsm-check verify`, typed: verdict line, exit code, what is refused.

mod support;

use serde_json::{Value, json};
use support::{Bench, Said};

/// Two transfers of the bank that follow one another; the second sees `seen`.
fn history(seen: [i64; 2]) -> String {
    let value = |balances: Option<[i64; 2]>| {
        let mut value = json!({"from": "a", "to": "b", "amount": 5});
        balances.into_iter().for_each(|told| value["balances"] = json!(told));
        value
    };
    let lines = [
        ("invoke", value(None)),
        ("ok", value(Some([95, 105]))),
        ("invoke", value(None)),
        ("ok", value(Some(seen))),
    ];
    let line = |(index, (kind, value)): (usize, &(&str, Value))| {
        let line = json!({"index": index, "time": index, "process": 0, "type": kind, "f": "transfer", "value": value});
        line.to_string() + "\n"
    };
    lines.iter().enumerate().map(line).collect()
}

fn bench() -> Bench {
    let bench = Bench::new();
    std::fs::write(bench.path("right.jsonl"), history([90, 110])).unwrap();
    std::fs::write(bench.path("wrong.jsonl"), history([95, 105])).unwrap();
    bench
}

/// The proof of the right history, with something changed.
fn changed(bench: &Bench, change: impl Fn(&mut Value)) {
    let _ = std::fs::remove_file(bench.path("p.json"));
    bench.output(&["check", "right.jsonl", "--proof", "p.json"]).exits(0);
    let mut proof: Value = serde_json::from_slice(&std::fs::read(bench.path("p.json")).unwrap()).unwrap();
    change(&mut proof);
    std::fs::write(bench.path("p.json"), proof.to_string()).unwrap();
}

fn verify(bench: &Bench, what: &str, more: &[&str]) -> Said {
    bench.output(&[&["verify", what, "--proof", "p.json"], more].concat())
}

#[test]
fn a_witness_that_check_wrote_is_confirmed_and_nothing_is_overwritten() {
    let bench = bench();
    changed(&bench, |_| {});
    let said = verify(&bench, "right.jsonl", &[]).exits(0).tells(&["bank:initial=100,guard=strict"]);
    assert_eq!(said.out, "confirmed: an order of 2 operations explains everything\n");
    let said = verify(&bench, "right.jsonl", &["--json", "--quiet"]).exits(0);
    let told: Value = serde_json::from_str(&said.out).unwrap();
    assert_eq!(
        (told["finding"].as_str(), told["exit"].as_u64(), said.err.as_str()),
        (Some("confirmed"), Some(0), "")
    );
    bench.output(&["check", "right.jsonl", "--proof", "p.json"]).exits(2).tells(&["nothing is overwritten"]);
    verify(&bench, "right.jsonl", &["--model", "bank"]).exits(0);
}

#[test]
fn a_wrong_order_is_refuted() {
    let bench = bench();
    // 1, 0: differences 1 and -2, zigzag 2 and 3, stored as raw deflate.
    changed(&bench, |proof| proof["witness"] = json!(["AQIA/f8CAw=="]));
    let said = verify(&bench, "right.jsonl", &[]).exits(1);
    assert!(said.out.starts_with("refuted: operation 0 had returned before operation 1"), "{}", said.out);
}

#[test]
fn what_is_no_proof_of_this_history_is_bad_input() {
    let bench = bench();
    changed(&bench, |_| {});
    verify(&bench, "wrong.jsonl", &[]).exits(2).tells(&["about another history", "2 operations"]);
    verify(&bench, "right.jsonl", &["--model", "bank:guard=none"]).exits(2).tells(&["not that of --model"]);
    verify(&bench, "right.jsonl", &["--model", "kv"]).exits(2).tells(&["not that of --model"]);
    bench.output(&["verify", "right.jsonl"]).exits(2).tells(&["name one with --proof"]);
    bench.output(&["verify", "right.jsonl", "--proof", "none"]).exits(2).tells(&["cannot be read"]);
    let refused = |change: &dyn Fn(&mut Value), says: &str| {
        changed(&bench, change);
        verify(&bench, "right.jsonl", &[]).exits(2).tells(&["p.json", says]);
    };
    refused(&|proof| proof["version"] = json!(2), "reads version 1");
    refused(&|proof| proof["witness"] = json!(["?"]), "no base64");
    refused(&|proof| proof["witness"] = Value::Null, "either `witness` or `core`");
    refused(&|proof| proof["model"] = json!("bnk"), "`model`: `bnk` is no model");
    refused(&|proof| *proof = json!([]), "no proof");
}

#[test]
fn a_core_is_confirmed_or_refuted() {
    let bench = bench();
    let core = |first: &str| {
        // Of the history at hand, whose fingerprint a refusal tells.
        let told = verify(&bench, "wrong.jsonl", &[]).exits(2).err;
        let print = told.rsplit(' ').next().unwrap_or_default().trim().to_owned();
        changed(&bench, |proof| {
            proof.as_object_mut().unwrap().remove("witness");
            proof["fingerprint"] = json!(print);
            proof["core"] = json!({"cut": 0, "constraints": [
                {"operation": 0, "demand": first}, {"operation": 1, "demand": "explained"}]});
        });
    };
    changed(&bench, |_| {});
    core("explained");
    let said = verify(&bench, "wrong.jsonl", &[]).exits(0);
    assert_eq!(said.out, "confirmed: no order meets the 2 constraints of the core\n");
    changed(&bench, |_| {});
    core("may-have-happened");
    let said = verify(&bench, "wrong.jsonl", &[]).exits(1);
    assert!(said.out.starts_with("refuted: this order meets every constraint"), "{}", said.out);
}

/// Twenty transfers at once and a read that none of their sums explains: a million
/// states, for which a millisecond is not enough.
#[test]
fn a_core_beyond_the_budget_is_undecided() {
    let bench = bench();
    let mut lines = Vec::new();
    let mut line = |process: u32, kind: &str, f: &str, value: Value| {
        let index = lines.len();
        lines.push(
            json!({"index": index, "time": index, "process": process, "type": kind, "f": f, "value": value}),
        );
    };
    for process in 0..20 {
        line(process, "invoke", "transfer", json!({"from": "a", "to": "b", "amount": 1u32 << process}));
    }
    line(20, "invoke", "read", Value::Null);
    line(20, "ok", "read", json!({"a": -1, "b": 0}));
    let text: String = lines.iter().map(|line| line.to_string() + "\n").collect();
    std::fs::write(bench.path("many.jsonl"), text).unwrap();
    let demands = (0..20).map(|operation| json!({"operation": operation, "demand": "may-have-happened"}));
    let demands: Vec<Value> = demands.chain([json!({"operation": 20, "demand": "explained"})]).collect();
    let mut proof = json!({"version": 1, "model": "bank:guard=none", "operations": 21, "finals": 0,
        "fingerprint": "", "core": {"cut": 0, "constraints": demands}});
    std::fs::write(bench.path("p.json"), proof.to_string()).unwrap();
    let told = verify(&bench, "many.jsonl", &[]).exits(2).err;
    proof["fingerprint"] = json!(told.rsplit(' ').next().unwrap_or_default().trim());
    std::fs::write(bench.path("p.json"), proof.to_string()).unwrap();
    let said = verify(&bench, "many.jsonl", &["--budget", "1ms"]).exits(3);
    assert!(said.out.starts_with("undecided: the plain search ran out of time"), "{}", said.out);
}

#[test]
fn other_models_have_proofs_too() {
    let bench = bench();
    let history = support::project("tests/histories/ok/kv_keys_apart.jsonl");
    let history = history.to_str().unwrap();
    bench.output(&["check", history, "--model", "kv", "--proof", "p.json"]).exits(0);
    let said = verify(&bench, history, &[]).exits(0);
    assert!(said.out.contains("in 2 parts explains everything"), "{}", said.out);
}

/// The model that a history of `tests/histories` names in its file name.
fn model(name: &str) -> &str {
    let first = name.split(['_', '.']).next().unwrap_or_default();
    let known = ["register", "cas-register", "kv", "mutex", "fifo-queue", "set", "counter"];
    if known.contains(&first) { first } else { "bank" }
}

#[test]
fn every_violation_that_is_kept_has_a_core_that_is_confirmed() {
    let bench = bench();
    let kept = std::fs::read_dir(support::project("tests/histories/violation")).unwrap();
    let mut count = 0;
    for history in kept.map(|entry| entry.unwrap().path()) {
        let name = history.file_name().unwrap().to_str().unwrap().to_owned();
        let proof = format!("{name}.proof");
        let history = history.to_str().unwrap();
        bench.output(&["check", history, "--model", model(&name), "--proof", &proof]).exits(1);
        assert!(bench.path(&proof).exists(), "{name} has no core");
        let said = bench.output(&["verify", history, "--proof", &proof]).exits(0);
        assert!(said.out.starts_with("confirmed: no order meets"), "{name}: {}", said.out);
        count += 1;
    }
    assert!(count >= 29, "{count}");
}
