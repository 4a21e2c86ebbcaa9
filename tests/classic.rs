//! The classic edition is caught by each kind of fault to which it is open, alone.
//! What each of them shows, and how often, stands in docs/FAULTS.md.

mod support;

use support::{Bench, lacks};

/// A workload whose every transfer moves something, so that a lost one leaves a trace.
fn caught(name: &str, nemesis: &str, expected: &str) {
    let bench = Bench::new();
    let workload = bench.workload(&format!(
        r#"{{"name":"{name}","duration":"4s","seed":1,"cluster":{{"edition":"classic"}},
            "clients":{{"count":4,"mix":{{"transfer":1,"read":0}},"amounts":{{"min":1,"max":3}}}},
            "nemesis":[{nemesis}]}}"#
    ));
    bench.run(&workload, &["--expect", expected]).exits(0);
    bench.assert_no_process_is_left();
}

/// It deletes its file when it starts.
#[test]
fn a_killed_replica_comes_back_without_what_it_had_acknowledged() {
    let kill = r#"{"fault":"kill","target":"srv-2","when":{"acknowledged":100},"for":"1ms"}"#;
    caught("classic_kill_srv", kill, "violation:replicas-identical");
}

/// It asks one replica after the other. The slow link makes the middle of that long; the
/// kill comes when the first one has been asked and the last one has not.
#[test]
fn a_coordinator_killed_in_mid_broadcast_leaves_replicas_that_differ() {
    let kill = r#"{"fault":"delay","target":"coord-srv-2","at":"10ms","for":"3900ms","latency":"30ms"},
        {"fault":"kill","target":"coord","for":"100ms","when":{"message":{"link":"coord-srv-1","count":41}}}"#;
    caught("classic_kill_coord", kill, "violation:replicas-identical");
}

#[test]
fn a_coordinator_whose_connection_is_refused_dies() {
    let refuse = r#"{"fault":"refuse","target":"srv-2","at":"500ms","for":"1s"}"#;
    caught("classic_refuse", refuse, "violation:unrequested-exit");
}

/// It assumes that one read is one message.
#[test]
fn a_replica_takes_a_slice_of_a_message_for_the_message() {
    let slice = r#"{"fault":"slice","target":"srv-2","at":"500ms","for":"2s","bytes":3,"gap":"5ms","direction":"to-server"}"#;
    caught("classic_slice", slice, "violation");
}

#[test]
fn a_power_failure_of_a_replica_takes_what_it_had_acknowledged() {
    if lacks("disk") {
        return;
    }
    let power = r#"{"fault":"power-failure","target":"srv-2","when":{"acknowledged":100},"for":"1ms"}"#;
    caught("classic_power", power, "violation:replicas-identical");
}
