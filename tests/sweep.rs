//! `rsm-check sweep` and `rsm-check merge` with real runs.

mod support;

use support::{Bench, project};

const CALM: &str = r#"{"name":"calm","clients":{"count":1},"checks":{"minimum_acknowledged":1},
    "script":[{"client":0,"from":"a","to":"b","amount":30}]}"#;

#[test]
fn shards_are_joined_and_a_seed_that_none_ran_is_no_pass() {
    let bench = Bench::new();
    bench.workload(CALM);
    for shard in ["1/2", "2/2"] {
        let dir = shard.replace('/', "-");
        let words =
            ["sweep", "workload.json", "--seeds", "1..4", "--jobs", "2", "--shard", shard, "--out", &dir];
        bench.output(&words).exits(0);
    }
    let both = bench.output(&["merge", "1-2", "2-2"]).exits(0);
    assert_eq!(both.out, "pass: 0 of 4 runs violated something\n");
    let one = bench.output(&["merge", "1-2"]).exits(3);
    assert!(one.out.contains("2 seeds were not run (the first: 2)"), "{}", one.out);
}

#[test]
fn a_sweep_goes_on_where_it_was_ended() {
    let bench = Bench::new();
    bench.workload(CALM);
    let words = ["sweep", "workload.json", "--seeds", "1..3", "--out", "s"];
    bench.output(&words).exits(0);
    let path = bench.path("s/results.jsonl");
    let lines = std::fs::read_to_string(&path).unwrap();
    let kept = lines.lines().next().unwrap();
    std::fs::write(&path, format!("{kept}\n{{\"seed\":2,\"verd")).unwrap();
    let said = bench.output(&words).exits(0);
    assert!(!said.err.contains("seed 1 ") && said.err.contains("seed 2 "), "{}", said.err);
    assert_eq!(std::fs::read_to_string(&path).unwrap().lines().count(), 3);
}

#[test]
fn violations_are_grouped_and_their_seeds_are_run_first_next_time() {
    let bench = Bench::new();
    let workload = project("workloads/classic_kill.json");
    let workload = workload.to_str().unwrap();
    let words = ["sweep", workload, "--seeds", "3..4", "--stop", "--regressions", "r.txt", "--out"];
    let said = bench.output(&[&words[..], &["s"]].concat()).exits(1);
    assert!(said.out.starts_with("violation: 1 of 1 runs violated something; 1 seeds"), "{}", said.out);
    said.tells(&["     1  violation: replicas identical", "seeds 3"]);
    assert!(std::fs::read_to_string(bench.path("r.txt")).unwrap().starts_with("3 # violation: "));
    std::fs::write(bench.path("r.txt"), "4 # first\n").unwrap();
    bench.output(&[&words[..], &["t"]].concat()).exits(1).tells(&["     1/2  seed 4 "]);
}

#[test]
fn what_cannot_be_swept_is_refused() {
    let bench = Bench::new();
    bench.workload(CALM);
    let refused = |words: &[&str], told: &str| {
        let all = [&["sweep", "workload.json", "--out", "s"], words].concat();
        bench.output(&all).exits(2).tells(&[told, "accepted"]);
    };
    refused(&["--seeds", "9..1"], "`9..1` is no range of seeds");
    refused(&["--seeds", "1..9", "--shard", "17/16"], "`17/16` is no shard");
    refused(&["--seeds", "1..2", "--shard", "3/3"], "no seed falls to this shard");
    std::fs::write(bench.path("r.txt"), "x\n").unwrap();
    refused(&["--seeds", "1..2", "--regressions", "r.txt"], "line 1: `x` is no seed");
    bench.output(&["merge", "nowhere"]).exits(2).tells(&["nowhere/sweep.json", "accepted"]);
}
