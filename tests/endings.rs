//! However a run ends, nothing of it is left behind and nothing recorded is lost.

mod support;

use std::os::unix::process::ExitStatusExt;
use std::process::Child;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use support::{Bench, eventually, lacks, project};

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

/// Every family of faults, on at the same time and for longer than this test lasts.
const LOADED: &str = r#"{"name":"loaded","duration":"10m","seed":1,"clients":{"count":4,"rate":100},
    "nemesis":[
        {"fault":"disk-slow","target":"all","at":"100ms","for":"9m","write":"1ms","fsync":"2ms"},
        {"fault":"clock-strobe","target":["coord","srv-2","srv-3"],"at":"100ms","for":"9m","by":"+5m","period":"10ms"},
        {"fault":"crash-loop","target":"srv-1","at":"500ms","for":"9m","period":"100ms"},
        {"fault":"hold","target":"srv-3","at":"1s","for":"9m"},
        {"fault":"drop","target":"coord","direction":"to-client","at":"1500ms","for":"9m"},
        {"fault":"pause","target":"srv-2","at":"1s","for":"9m"}]}"#;

/// A process and the moment of its start, which together are never used again.
type Identity = (i32, String);

/// A line of /proc/PID/stat, from the state on, and one of /proc/PID/status.
fn stat(pid: i32) -> Option<Vec<String>> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    Some(stat.rsplit_once(") ")?.1.split(' ').map(str::to_owned).collect())
}

fn identity(pid: i32) -> Option<Identity> {
    Some((pid, stat(pid)?.get(19)?.clone()))
}

fn every_process() -> Vec<i32> {
    let entries = std::fs::read_dir("/proc").unwrap();
    entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()).collect()
}

/// The harness and what descends from it: nodes, what they started, keepers, watchdog.
fn family_of(harness: i32) -> Vec<i32> {
    let parents: Vec<(i32, i32)> =
        every_process().into_iter().filter_map(|pid| Some((pid, stat(pid)?.get(1)?.parse().ok()?))).collect();
    let mut family = vec![harness];
    let mut at = 0;
    while let Some(&parent) = family.get(at) {
        family.extend(parents.iter().filter(|(_, of)| *of == parent).map(|(pid, _)| pid));
        at += 1;
    }
    family
}

/// Where in /proc/PID/mountinfo of anyone this place is named.
fn mounts(bench: &Bench) -> Vec<String> {
    let place = bench.dir.path().to_str().unwrap();
    let of = |pid: i32| std::fs::read_to_string(format!("/proc/{pid}/mountinfo")).unwrap_or_default();
    let lines: Vec<String> = every_process().into_iter().map(of).collect();
    lines
        .iter()
        .flat_map(|text| text.lines())
        .filter(|line| line.contains(place))
        .map(str::to_owned)
        .collect()
}

/// Locks of files that these processes hold.
fn locks(pids: &[i32]) -> usize {
    let all = std::fs::read_to_string("/proc/locks").unwrap_or_default();
    let holder = |line: &str| line.split_whitespace().nth(4).and_then(|word| word.parse::<i32>().ok());
    all.lines().filter(|line| holder(line).is_some_and(|pid| pids.contains(&pid))).count()
}

fn under_full_load(containment: Option<&str>) {
    if lacks("clock") || lacks("disk") {
        return;
    }
    let bench = Bench::new();
    let (workload, run_dir) = (bench.workload(LOADED), bench.run_dir());
    let mut command =
        bench.command(&["run", workload.to_str().unwrap(), "--out", run_dir.to_str().unwrap(), "--quiet"]);
    command.env_remove("RSM_CHECK_CONTAINMENT");
    command.envs(containment.map(|means| ("RSM_CHECK_CONTAINMENT", means)));
    let mut harness = command.spawn().unwrap();
    let pid = harness.id() as i32;
    eventually("every fault is on, and a node has crashed and come again", || {
        let history = bench.history();
        let begun = history.matches(r#""edge":"begin""#).count();
        let starts = history.matches(r#""f":"start""#).count();
        let state = format!("{begun} faults, {starts} starts");
        assert!(harness.try_wait().unwrap().is_none(), "the run has ended: {state}\n{history}");
        if begun == 6 && starts >= 7 { Ok(()) } else { Err(state) }
    });
    // What must be gone afterwards is there now. A node in a crash loop may be between
    // two lives: so look until all is seen at once.
    let (mut family, mut held) = (Vec::new(), Vec::new());
    eventually("paused and traced processes, mounts and locks", || {
        family = family_of(pid);
        held = family.iter().filter_map(|&pid| identity(pid)).collect();
        let is = |pid: &&i32, what: char| stat(**pid).is_some_and(|stat| stat[0].starts_with(what));
        let stopped = family.iter().filter(|pid| is(pid, 'T') || is(pid, 't')).count();
        let traced = |pid: &&i32| {
            let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
            status.lines().any(|line| line.starts_with("TracerPid:") && !line.ends_with("\t0"))
        };
        let seen = (stopped, family.iter().filter(traced).count(), mounts(&bench).len(), locks(&family));
        let all = seen.0 >= 1 && seen.1 >= 3 && seen.2 >= 3 && seen.3 >= 1;
        if all { Ok(()) } else { Err(format!("{seen:?} of {family:?}")) }
    });
    signal(&harness, Signal::SIGKILL);
    assert_eq!(harness.wait().unwrap().signal(), Some(9));
    eventually("no process of the run is left", || {
        let left: Vec<&Identity> = held.iter().filter(|was| identity(was.0).as_ref() == Some(was)).collect();
        if left.is_empty() { Ok(()) } else { Err(format!("{left:?}")) }
    });
    // Nor one that was started between the look and the end.
    bench.assert_no_process_is_left();
    assert_eq!(mounts(&bench), [""; 0]);
    assert_eq!(locks(&family), 0);
    let said = bench.output(&["check", run_dir.to_str().unwrap()]);
    assert!(matches!(said.exit, Some(3 | 4)), "{said:?}");
}

#[test]
fn a_harness_that_is_killed_under_every_family_of_faults_leaves_no_process_no_mount_and_no_lock() {
    under_full_load(None);
}

#[test]
fn without_namespaces_it_leaves_no_process_no_mount_and_no_lock_either() {
    under_full_load(Some("mark"));
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
