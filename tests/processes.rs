//! Process faults, their moments and their budget, in whole runs with real processes.

mod support;

use serde_json::Value;
use support::{Bench, project};

/// The lines of the nemesis about a fault, with an edge.
fn lines(bench: &Bench, fault: &str, edge: &str) -> Vec<Value> {
    let history = bench.history();
    let lines = history.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    lines.filter(|line| line["f"] == fault && line["edge"] == edge).collect()
}

/// Exits of a node that the harness asked for, in words.
fn exits(bench: &Bench, node: &str) -> Vec<String> {
    let history = bench.history();
    let lines = history.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    lines
        .filter(|line| line["f"] == "exit" && line.to_string().contains(node))
        .map(|line| line.to_string())
        .collect()
}

#[test]
fn a_terminated_node_ends_in_order_and_starts_again() {
    let bench = Bench::new();
    let workload = bench.workload(
        r#"{"name":"terminate","duration":"4s","seed":1,"clients":{"count":4,"rate":40},"nemesis":[
            {"fault":"terminate","target":"srv-2","at":"500ms","for":"500ms"},
            {"fault":"terminate","target":"coord","at":"2s","for":"300ms"}]}"#,
    );
    bench.run(&workload, &[]).exits(0);
    let ends = lines(&bench, "terminate", "end");
    assert_eq!(ends.len(), 2);
    for end in ends {
        assert_eq!(
            (&end["held"], &end["observed"]["killed_after_grace"]),
            (&true.into(), &0.into()),
            "{end}"
        );
    }
    assert!(exits(&bench, "srv-2").iter().all(|exit| !exit.contains("SIGKILL")), "no kill was needed");
}

#[test]
fn a_node_that_ignores_its_stop_signal_is_killed_after_its_grace() {
    let bench = Bench::new();
    let srv = env!("CARGO_BIN_EXE_srv");
    let workload = bench.workload(&format!(
        r#"{{"name":"stubborn","duration":"3s","seed":1,"clients":{{"count":2,"rate":20}},
            "cluster":{{"srv":{{"command":"sh -c 'trap \"\" TERM; {srv} $0 & while true; do wait; sleep 1; done' {{data}}"}}}},
            "budgets":{{"stop":"200ms"}},"checks":{{"available":false}},
            "nemesis":[{{"fault":"terminate","target":"srv-2","at":"500ms","for":"300ms"}}]}}"#
    ));
    bench.run(&workload, &[]).exits(0);
    let end = &lines(&bench, "terminate", "end")[0];
    assert_eq!((&end["held"], &end["observed"]["killed_after_grace"]), (&true.into(), &1.into()), "{end}");
}

#[test]
fn a_crash_loop_kills_again_and_again_and_leaves_the_node_up() {
    let bench = Bench::new();
    let workload = bench.workload(
        r#"{"name":"crash_loop","duration":"5s","seed":1,"clients":{"count":4,"rate":40},"nemesis":[
            {"fault":"crash-loop","target":"srv-2","at":"500ms","for":"2s","period":"50ms"}]}"#,
    );
    bench.run(&workload, &[]).exits(0);
    let end = &lines(&bench, "crash-loop", "end")[0];
    let crashes = end["observed"]["crashes"].as_u64().unwrap();
    assert!(crashes >= 2, "{end}");
    let kills = exits(&bench, "srv-2").iter().filter(|exit| exit.contains("SIGKILL")).count() as u64;
    assert_eq!(kills, crashes + 1, "the first kill and each of the loop");
}

#[test]
fn a_wiped_replica_rejoins_from_nothing_and_catches_up() {
    let bench = Bench::new();
    let workload = bench.workload(
        r#"{"name":"wipe","duration":"4s","seed":1,"clients":{"count":4,"rate":50},"nemesis":[
            {"fault":"wipe","target":"srv-2","at":"1500ms","for":"300ms"}]}"#,
    );
    bench.run(&workload, &[]).exits(0);
    let end = &lines(&bench, "wipe", "end")[0];
    assert!(end["observed"]["files_wiped"].as_u64().unwrap() >= 2, "data file and log: {end}");
    let record = std::fs::read_to_string(bench.run_dir().join("run.json")).unwrap();
    assert!(record.contains("damaged synced data: 1 of 3 replicas at most, once"), "{record}");
}

#[test]
fn what_exceeds_the_budget_is_skipped_with_the_reason_and_other_faults_are_not() {
    let bench = Bench::new();
    let workload = bench.workload(
        r#"{"name":"budget","duration":"4s","seed":1,"clients":{"count":4,"rate":50},"nemesis":[
            {"fault":"wipe","target":"all","at":"1s","for":"300ms"},
            {"fault":"kill","target":"srv-2","at":"1100ms","for":"300ms"},
            {"fault":"kill","target":"srv-3","at":"2900ms","for":"500ms"},
            {"fault":"wipe","target":"srv-2","at":"3s","for":"300ms"}]}"#,
    );
    bench.run(&workload, &[]).exits(0);
    let wipes = lines(&bench, "wipe", "skipped");
    assert_eq!(wipes.len(), 2, "two of three");
    assert!(wipes[0]["error"].as_str().unwrap().contains("at most 1"), "{}", wipes[0]);
    assert!(lines(&bench, "kill", "skipped").is_empty());
    assert_eq!(lines(&bench, "wipe", "begin").len(), 2, "the first one said that it had caught up");
}

#[test]
fn beyond_the_budget_acknowledged_operations_are_lost_and_the_loss_is_found() {
    let bench = Bench::new();
    let workload = bench.workload(
        r#"{"name":"beyond","duration":"5s","seed":1,"beyond_budget":true,"clients":{"count":4,"rate":50},
            "nemesis":[{"fault":"wipe","target":"all","at":"1500ms","for":"500ms"},
            {"fault":"kill","target":"coord","at":"1400ms","for":"800ms"}]}"#,
    );
    bench.run(&workload, &["--expect", "violation:linearizable"]).exits(0);
}

#[test]
fn a_fault_comes_at_a_message_and_at_a_line_of_a_node_each_once() {
    let bench = Bench::new();
    let workload = bench.workload(
        r#"{"name":"events","duration":"4s","seed":1,"clients":{"count":4,"rate":50},"nemesis":[
            {"fault":"pause","target":"srv-2","for":"200ms","when":{"message":{"link":"coord-srv-2","count":100}}},
            {"fault":"kill","target":"srv-3","for":"200ms","at":"1s"},
            {"fault":"pause","target":"srv-1","for":"200ms","when":{"log":{"node":"srv-3","pattern":"^Listening on"}}}]}"#,
    );
    bench.run(&workload, &[]).exits(0);
    let pauses = lines(&bench, "pause", "begin");
    assert_eq!(pauses.len(), 2);
    let counted = pauses.iter().find(|line| line["value"][0] == "srv-2").unwrap();
    let messages = counted["place"]["messages"]["coord-srv-2"].as_u64().unwrap();
    assert!(messages >= 100, "{counted}");
    let heard = pauses.iter().find(|line| line["value"][0] == "srv-1").unwrap();
    let killed = &lines(&bench, "kill", "begin")[0];
    assert!(
        heard["time"].as_u64() > killed["time"].as_u64(),
        "only its second start is after the clients began"
    );
}

#[test]
fn an_event_that_never_comes_is_told_with_how_far_it_got() {
    let bench = Bench::new();
    let workload = bench.workload(
        r#"{"name":"never","duration":"1s","seed":1,"clients":{"count":2,"rate":20},"nemesis":[
            {"fault":"pause","target":"srv-2","when":{"message":{"link":"coord-srv-2","count":100000000}}}]}"#,
    );
    bench.run(&workload, &[]).exits(3);
    let skipped = &lines(&bench, "pause", "skipped")[0];
    assert!(skipped["error"].as_str().unwrap().contains("message 100000000 on coord-srv-2"), "{skipped}");
}

#[test]
fn everything_hostile_passes_on_the_durable_edition_and_leaves_nothing() {
    let bench = Bench::new();
    bench.run(&project("workloads/everything.json"), &[]).exits(0);
    bench.assert_no_process_is_left();
}
