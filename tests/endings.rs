//! However a run ends, nothing of it is left behind and nothing recorded is lost.

mod support;

use std::os::unix::process::ExitStatusExt;
use std::process::Child;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use support::{Bench, eventually, project};

const SRV: &str = env!("CARGO_BIN_EXE_srv");

/// Long enough for a test to interfere; replicas are started through a wrapper
/// that leaves a process in a session of its own behind.
fn workload(bench: &Bench) -> std::path::PathBuf {
    let wrapper = bench.path("wrapper.sh");
    std::fs::write(&wrapper, "#!/bin/sh\nsetsid tail -F \"$2\" & exec \"$1\" \"$2\"\n").unwrap();
    let command = format!("sh {} {SRV} {{data}}", wrapper.display());
    let text = serde_json::json!({
        "name": "long", "duration": "10m", "seed": 1,
        "cluster": { "srv": { "command": command } },
        "clients": { "count": 4, "rate": 50 },
    });
    bench.workload(&text.to_string())
}

fn signal(harness: &Child, signal: Signal) {
    kill(Pid::from_raw(harness.id() as i32), signal).unwrap();
}

fn wait_until_acknowledged(bench: &Bench) {
    eventually("operations are acknowledged", || {
        let count = bench.history().matches(r#""type":"ok""#).count();
        if count > 20 { Ok(()) } else { Err(format!("{count} so far")) }
    });
}

/// Some operations have been acknowledged: the run is in full swing.
fn wait_until_busy(bench: &Bench) {
    wait_until_acknowledged(bench);
    eventually("the stray processes run", || {
        let strays = bench.processes().iter().filter(|words| words.contains("tail -F")).count();
        if strays == 3 { Ok(()) } else { Err(format!("{strays} of 3")) }
    });
}

fn killed_harness_leaves_nothing(containment: Option<&str>) {
    let bench = Bench::new();
    let workload = workload(&bench);
    let run_dir = bench.run_dir();
    let mut command =
        bench.command(&["run", workload.to_str().unwrap(), "--out", run_dir.to_str().unwrap(), "--quiet"]);
    if let Some(means) = containment {
        command.env("RSM_CHECK_CONTAINMENT", means);
    }
    let mut harness = command.spawn().unwrap();
    wait_until_busy(&bench);
    signal(&harness, Signal::SIGKILL);
    assert_eq!(harness.wait().unwrap().signal(), Some(9));
    bench.assert_no_process_is_left();
    // What was recorded until then can still be judged and drawn.
    let said = bench.output(&["check", run_dir.to_str().unwrap()]);
    assert!(matches!(said.exit, Some(3 | 4)), "{said:?}");
    bench.output(&["report", run_dir.to_str().unwrap()]);
    assert!(run_dir.join("report.html").is_file());
}

#[test]
fn a_killed_harness_leaves_no_process_and_keeps_its_records() {
    killed_harness_leaves_nothing(None);
}

#[test]
fn without_namespaces_a_killed_harness_leaves_no_process_either() {
    killed_harness_leaves_nothing(Some("mark"));
}

#[test]
fn an_interrupted_run_stops_its_children_and_writes_what_it_has() {
    for asked in [Signal::SIGINT, Signal::SIGTERM] {
        let bench = Bench::new();
        let mut harness = bench.start(&workload(&bench));
        wait_until_busy(&bench);
        signal(&harness, asked);
        assert_eq!(harness.wait().unwrap().code(), Some(4));
        bench.assert_no_process_is_left();
        for file in ["run.json", "history.jsonl", "report.html", "junit.xml"] {
            assert!(bench.run_dir().join(file).is_file(), "{file} is missing after {asked}");
        }
    }
}

#[test]
fn a_second_signal_ends_the_harness_at_once() {
    let bench = Bench::new();
    // Replicas that ignore the stop signal, and a grace far beyond this test's
    // patience: in good order this run would not end.
    let srv = format!("sh -c 'trap \"\" TERM; \"$0\" \"$1\" & while :; do sleep 1000; done' {SRV} {{data}}");
    let text = serde_json::json!({
        "name": "stubborn", "duration": "10m", "seed": 1,
        "cluster": { "srv": { "command": srv } },
        "budgets": { "stop": "10m" },
    });
    let mut harness = bench.start(&bench.workload(&text.to_string()));
    wait_until_acknowledged(&bench);
    signal(&harness, Signal::SIGINT);
    // The second may come before the first has been taken; then it is the first.
    eventually("the harness has ended", || {
        let _ = kill(Pid::from_raw(harness.id() as i32), Signal::SIGINT);
        match harness.try_wait().unwrap() {
            Some(_) => Ok(()),
            None => Err("it runs".into()),
        }
    });
    assert_eq!(harness.wait().unwrap().code(), Some(4));
    bench.assert_no_process_is_left();
}

#[test]
fn a_signal_while_the_run_is_judged_ends_the_harness() {
    let bench = Bench::new();
    let workload = bench.workload(r#"{"name":"short","operations":20,"checks":{"available":false}}"#);
    let run_dir = bench.run_dir();
    std::fs::create_dir(&run_dir).unwrap();
    let mut harness = bench.start(&workload);
    eventually("the run has begun", || {
        if run_dir.join("run.json").is_file() { Ok(()) } else { Err("no run.json".into()) }
    });
    // A pipe that nobody reads holds up whoever draws the report.
    nix::unistd::mkfifo(&run_dir.join("report.html.part"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    eventually("the run is judged", || {
        let record = std::fs::read_to_string(run_dir.join("run.json")).unwrap_or_default();
        if record.contains("\"judgement\"") { Ok(()) } else { Err("it is not".into()) }
    });
    signal(&harness, Signal::SIGINT);
    let ended = std::cell::RefCell::new(None);
    eventually("the harness has ended", || {
        *ended.borrow_mut() = harness.try_wait().unwrap();
        if ended.borrow().is_some() { Ok(()) } else { Err("it runs".into()) }
    });
    assert_eq!(ended.into_inner().unwrap().code(), Some(4));
}

/// It had printed its port, but the cluster was not yet complete.
#[test]
fn a_node_that_ends_before_all_have_started_is_the_surroundings_fault() {
    let bench = Bench::new();
    let workload = bench.workload(
        r#"{"name":"early","duration":"1s","checks":{"unrequested_exit":"note"},"cluster":{
            "srv":{"command":"sh -c 'echo Listening on port 4711; exit 7' {data}"},
            "coord":{"command":"sh -c 'sleep 1; echo Listening on port 4712; sleep 1000' {ports}"}}}"#,
    );
    let said = bench.run(&workload, &[]).exits(4);
    assert!(said.out.contains("ended before every node had printed its port"), "{}", said.out);
}

#[test]
fn a_node_that_never_prints_its_port_is_the_surroundings_fault() {
    let bench = Bench::new();
    let workload = bench.workload(
        r#"{"name":"silent","duration":"1s",
            "cluster":{"srv":{"command":"sh -c 'sleep 1000' {data}","start_ceiling":"300ms"}}}"#,
    );
    let said = bench.run(&workload, &[]).exits(4);
    assert!(said.out.starts_with("infra"), "{}", said.out);
    said.tells(&["did not print its port within 300ms"]);
    bench.assert_no_process_is_left();
}

#[test]
fn a_run_that_acknowledged_nothing_proves_nothing() {
    let bench = Bench::new();
    let coord = r#"python3 -c "import socket,sys; s=socket.socket(); s.bind(('127.0.0.1',0)); s.listen(); print('Listening on port',s.getsockname()[1])
while True: s.accept()[0].close()" {ports}"#;
    let more = ["--coord", coord];
    let said = bench.run(&project("workloads/classic_quiet.json"), &more).exits(3);
    assert!(said.out.starts_with("undecided"), "{}", said.out);
}
