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
fn an_interruption_does_not_wait_for_the_deadlines_of_clients() {
    let bench = Bench::new();
    let deaf = "import socket\ns = socket.socket()\ns.bind(('127.0.0.1', 0))\ns.listen()\n\
                print('Listening on port', s.getsockname()[1])\nkept = []\n\
                while True: kept.append(s.accept())\n";
    std::fs::write(bench.path("deaf.py"), deaf).unwrap();
    let text = serde_json::json!({
        "name": "deaf", "duration": "1h", "clients": { "count": 2, "deadline": "1h" },
        "cluster": { "coord": { "command": "python3 deaf.py {ports}" } },
    });
    let mut harness = bench.start(&bench.workload(&text.to_string()));
    eventually("a client waits", || {
        if bench.history().contains(r#""type":"invoke""#) { Ok(()) } else { Err(bench.history()) }
    });
    signal(&harness, Signal::SIGINT);
    eventually("the harness has ended", || {
        harness.try_wait().unwrap().map(|_| ()).ok_or_else(|| "it runs".into())
    });
    assert_eq!(harness.wait().unwrap().code(), Some(4));
    bench.assert_no_process_is_left();
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

/// The replica puts a pipe in the place of the history: reading it takes for ever,
/// as a long search would.
#[test]
fn a_signal_while_judging_ends_the_harness() {
    let bench = Bench::new();
    let wrapper = bench.path("wrapper.sh");
    let srv = env!("CARGO_BIN_EXE_srv");
    let pipe = bench.run_dir().join("history.jsonl").display().to_string();
    std::fs::write(&wrapper, format!("rm {pipe}; mkfifo {pipe}; exec {srv} \"$1\"\n")).unwrap();
    let text = serde_json::json!({
        "name": "judging", "operations": 20,
        "cluster": { "replicas": 1, "srv": { "command": format!("sh {} {{data}}", wrapper.display()) } },
    });
    let mut harness = bench.start(&bench.workload(&text.to_string()));
    eventually("the run has ended and is being judged", || {
        let record = std::fs::read_to_string(bench.run_dir().join("run.json")).unwrap_or_default();
        if record.contains(r#""state": "finished""#) { Ok(()) } else { Err(record) }
    });
    // The very first may come before judging has begun: it is then told to nobody.
    eventually("the harness has ended", || {
        let _ = kill(Pid::from_raw(harness.id() as i32), Signal::SIGINT);
        harness.try_wait().unwrap().map(|_| ()).ok_or_else(|| "it runs".into())
    });
    assert_eq!(harness.wait().unwrap().code(), Some(4));
    bench.assert_no_process_is_left();
}

/// The coordinator prints its port only when the history tells of the exit.
#[test]
fn a_node_that_ends_before_all_have_started_is_the_surroundings_fault() {
    let bench = Bench::new();
    let coord = env!("CARGO_BIN_EXE_coord");
    let wrapper = bench.path("wrapper.sh");
    let patient = r#"until grep -q '"f":"exit"' "$1/../../../history.jsonl"; do :; done; shift; exec"#;
    std::fs::write(&wrapper, format!("{patient} {coord} \"$@\"\n")).unwrap();
    let text = serde_json::json!({
        "name": "early", "duration": "1s", "checks": { "unrequested_exit": "note" },
        "cluster": {
            "replicas": 1,
            "srv": { "command": "echo Listening on port 9 {data}" },
            "coord": { "command": format!("sh {} {{dir}} {{ports}}", wrapper.display()) },
        },
    });
    let said = bench.run(&bench.workload(&text.to_string()), &[]).exits(4);
    assert!(said.out.starts_with("infra: srv-1 ended before every node had printed"), "{}", said.out);
}

/// With fewer, the harness would cut connections and blame the nodes.
#[test]
fn too_few_open_files_for_the_clients_are_the_surroundings_fault() {
    let bench = Bench::new();
    let workload = bench.workload(r#"{"name":"many","duration":"1s","clients":{"count":1000}}"#);
    let run = format!("ulimit -n 1000; exec '{}' run '{}'", support::RSM_CHECK, workload.display());
    let output = std::process::Command::new("sh").args(["-c", &run]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(4), "{said}");
    assert!(said.contains("3056 open files are needed, 1000 are permitted"), "{said}");
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
