//! The main job, end to end: the shipped workloads against real processes.

mod support;

use support::{Bench, project};

#[test]
fn the_smoke_workload_passes_and_leaves_its_records_and_nothing_else() {
    let bench = Bench::new();
    let said = bench.run(&project("workloads/smoke.json"), &[]).exits(0);
    assert!(said.out.starts_with("pass"), "{}", said.out);
    assert_eq!(said.out.lines().count(), 1, "{}", said.out);
    for file in
        ["run.json", "history.jsonl", "wire.jsonl", "report.html", "junit.xml", "nodes/srv-1/output.log"]
    {
        assert!(bench.run_dir().join(file).is_file(), "{file} is missing");
    }
    bench.assert_no_process_is_left();
    let left: Vec<_> =
        std::fs::read_dir(bench.dir.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["run"]);
}

#[test]
fn every_fault_of_the_smoke_workload_took_hold() {
    let bench = Bench::new();
    bench.run(&project("workloads/smoke.json"), &["--seed", "7"]).exits(0);
    let held = |name: &str| {
        let fault = format!(r#""f":"{name}""#);
        bench.history().lines().any(|line| line.contains(&fault) && line.contains(r#""held":true"#))
    };
    assert!(held("kill") && held("pause") && held("delay"));
}

#[test]
fn the_classic_edition_passes_when_nothing_disturbs_it() {
    let bench = Bench::new();
    bench.run(&project("workloads/classic_quiet.json"), &[]).exits(0);
}

#[test]
fn a_killed_classic_replica_diverges_and_the_run_says_so() {
    let bench = Bench::new();
    let said = bench.run(&project("workloads/classic_kill.json"), &["--seed", "3"]).exits(1);
    assert!(said.out.starts_with("violation: replicas identical"), "{}", said.out);
    assert!(said.err.contains("rsm-check run"), "how to run it again is missing:\n{}", said.err);
    assert!(said.err.contains("report.html"), "where the report is, is missing:\n{}", said.err);
}

#[test]
fn an_expected_violation_is_a_success_and_another_one_is_not() {
    let workload = project("workloads/classic_kill.json");
    Bench::new().run(&workload, &["--expect", "violation:replicas-identical", "--quiet"]).exits(0);
    Bench::new().run(&workload, &["--expect", "pass", "--quiet"]).exits(1);
}

#[test]
fn the_json_verdict_is_one_object_with_every_check() {
    let bench = Bench::new();
    let said = bench.run(&project("workloads/classic_kill.json"), &["--json", "--quiet"]).exits(1);
    let verdict: serde_json::Value = serde_json::from_str(&said.out).unwrap();
    assert_eq!(verdict["verdict"], "violation");
    assert_eq!(verdict["exit"], 1);
    assert_eq!(verdict["run_dir"], bench.run_dir().to_str().unwrap());
    let names: Vec<&str> =
        verdict["checks"].as_array().unwrap().iter().map(|check| check["name"].as_str().unwrap()).collect();
    assert!(names.contains(&"replicas identical") && names.contains(&"linearizable"), "{names:?}");
    assert_eq!(said.err, "");
}

#[test]
fn the_verdict_can_be_computed_again_from_what_was_recorded() {
    let bench = Bench::new();
    let run_dir = bench.run_dir();
    let run_dir = run_dir.to_str().unwrap();
    bench.run(&project("workloads/classic_kill.json"), &[]).exits(1);
    let again = bench.output(&["check", run_dir]).exits(1);
    assert!(again.out.starts_with("violation: replicas identical"), "{}", again.out);
    std::fs::remove_file(bench.run_dir().join("report.html")).unwrap();
    bench.output(&["report", run_dir]);
    assert!(bench.run_dir().join("report.html").is_file());
}

#[test]
fn the_exercises_own_programs_in_python_are_judged_by_the_same_rules() {
    let srv = format!("python3 {} {{data}}", project("tests/exercise/srv.py").display());
    let coord = format!("python3 {} {{ports}}", project("tests/exercise/coord.py").display());
    let more = ["--srv", srv.as_str(), "--coord", coord.as_str()];
    Bench::new().run(&project("workloads/classic_quiet.json"), &more).exits(0);
    let bench = Bench::new();
    let said = bench.run(&project("workloads/classic_kill.json"), &more).exits(1);
    assert!(said.out.starts_with("violation: replicas identical"), "{}", said.out);
    bench.assert_no_process_is_left();
}

#[test]
fn a_plan_is_the_same_bytes_every_time() {
    let bench = Bench::new();
    let workload = project("workloads/concurrent_xfer.json");
    let plan = |seed: &str| bench.output(&["plan", workload.to_str().unwrap(), "--seed", seed]).exits(0).out;
    assert_eq!(plan("5"), plan("5"));
    assert_ne!(plan("5"), plan("6"));
}

#[test]
fn scripted_operations_are_carried_out_in_order() {
    let bench = Bench::new();
    let workload = bench.workload(
        r#"{"name":"scripted","clients":{"count":1},"checks":{"minimum_acknowledged":2},
            "script":[{"client":0,"from":"a","to":"b","amount":30},{"client":0,"from":"b","to":"a","amount":0}]}"#,
    );
    bench.run(&workload, &[]).exits(0);
    let acknowledged: Vec<String> =
        bench.history().lines().filter(|line| line.contains(r#""type":"ok""#)).map(str::to_string).collect();
    assert!(acknowledged[0].contains(r#""amount":30,"balances":[70,130]"#), "{acknowledged:#?}");
    assert!(acknowledged[1].contains(r#""amount":0,"balances":[130,70]"#), "{acknowledged:#?}");
}

/// A delay that is healed holds what it took for its time; the classic coordinator
/// stands still until then, and the replicas differ though nothing is wrong.
#[test]
fn what_a_healed_delay_still_holds_back_is_waited_for() {
    let bench = Bench::new();
    let workload = bench.workload(
        r#"{"name":"held","duration":"1s","cluster":{"edition":"classic"},
            "clients":{"count":4,"rate":100,"deadline":"1s"},
            "nemesis":[{"fault":"delay","target":"coord-srv-2","at":"300ms","for":"200ms","latency":"6s"}]}"#,
    );
    bench.run(&workload, &[]).exits(0);
}

#[test]
fn the_published_schema_is_the_one_that_is_printed_and_every_shipped_workload_names_it() {
    let printed = Bench::new().output(&["schema"]).exits(0).out;
    let published = std::fs::read_to_string(project("workloads/schema.json")).unwrap();
    assert_eq!(printed, published, "write it anew: rsm-check schema > workloads/schema.json");
    for entry in std::fs::read_dir(project("workloads")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|kind| kind == "json") && !path.ends_with("schema.json") {
            let workload = rsm_check::workload::load(&path).unwrap_or_else(|why| panic!("{why}"));
            assert_eq!(workload.schema.as_deref(), Some("schema.json"), "{}", path.display());
            assert_eq!(path.file_stem().unwrap(), workload.name.as_str());
        }
    }
}
