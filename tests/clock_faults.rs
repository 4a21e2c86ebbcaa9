//! Clock faults as a workload asks for them, and what `doctor` says of them.

#![cfg(target_arch = "x86_64")]

mod support;

use support::{Bench, lacks};

fn workload(rule: &str) -> String {
    format!(
        r#"{{"name":"clocks","seed":3,"duration":"2s","clients":{{"count":4,"rate":100}},
        "nemesis":[{rule}]}}"#
    )
}

#[test]
fn the_durable_edition_does_not_mind_wrong_clocks_and_each_kind_takes_hold() {
    if lacks("clock") {
        return;
    }
    let bench = Bench::new();
    let rules = r#"
        {"fault":"clock-jump","target":"coord","at":"200ms","for":"1s","by":"-1h"},
        {"fault":"clock-rate","target":"srv-1","at":"200ms","for":"1s","rate":50},
        {"fault":"clock-strobe","target":"srv-2","at":"200ms","for":"1s","by":"+5m","period":"3ms"},
        {"fault":"kill","target":"srv-1","at":"600ms","for":"200ms"}"#;
    let workload = bench.workload(&workload(rules));
    bench.run(&workload, &[]).exits(0);
    let history = std::fs::read_to_string(bench.run_dir().join("history.jsonl")).unwrap();
    for (kind, off_us) in
        [("clock-jump", 3_600_000_000_u64), ("clock-rate", 0), ("clock-strobe", 300_000_000)]
    {
        let ends =
            |line: &&str| line.contains(&format!("\"f\":\"{kind}\"")) && line.contains("\"edge\":\"end\"");
        let end = history.lines().find(ends).unwrap_or_else(|| panic!("no end of {kind} in {history}"));
        let end: serde_json::Value = serde_json::from_str(end).unwrap();
        assert_eq!(end["held"], true, "{end}");
        assert!(end["observed"]["clock_off_us"].as_u64().unwrap().abs_diff(off_us) < 60_000_000, "{end}");
    }
    let first = std::fs::read_to_string(bench.run_dir().join("nodes/srv-1/data/balances.txt")).unwrap();
    assert!(first.starts_with("# "), "{first}");
}

#[test]
fn what_no_clock_can_do_is_refused_with_the_field_and_what_is_accepted() {
    let bench = Bench::new();
    for (rule, parts) in [
        (r#"{"fault":"clock-jump","target":"one","at":"1s","by":"3"}"#, ["nemesis[0].by", "-500ms"]),
        (
            r#"{"fault":"clock-jump","target":"one","at":"1s","by":"+0s"}"#,
            ["nemesis[0].by", "accepted: a jump"],
        ),
        (r#"{"fault":"clock-rate","target":"one","at":"1s","rate":3000}"#, ["nemesis[0].rate", "0 to 1000"]),
        (r#"{"fault":"clock-rate","target":"one","at":"1s","by":"+1s"}"#, ["nemesis[0].by", "rate"]),
        (r#"{"fault":"clock-strobe","target":"one","at":"1s","period":"0s"}"#, ["nemesis[0].period", "1ms"]),
        (r#"{"fault":"clock-jump","at":"1s"}"#, ["nemesis[0]", "target"]),
        (r#"{"fault":"clock-jump","target":"srv-7","at":"1s"}"#, ["nemesis[0].target", "srv-3"]),
    ] {
        let workload = bench.workload(&workload(rule));
        bench.output(&["plan", workload.to_str().unwrap()]).exits(2).tells(&parts);
    }
}

#[test]
fn doctor_has_a_line_for_each_family_and_never_fails() {
    let bench = Bench::new();
    let said = bench.output(&["doctor"]).exits(0);
    for family in ["process", "network", "clock", "disk"] {
        assert!(said.out.lines().any(|line| line.starts_with(family)), "{}", said.out);
    }
    let said = bench.output(&["doctor", "--json"]).exits(0);
    let probed: serde_json::Value = serde_json::from_str(&said.out).unwrap();
    for family in probed.as_array().unwrap() {
        assert!(family["works"].is_boolean() && !family["why"].as_str().unwrap().is_empty(), "{family}");
    }
}
