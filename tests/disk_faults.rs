//! Disk faults of whole runs: what a node sees of them from inside, and what is left.

mod support;

use std::process::Child;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use support::{Bench, eventually, lacks, project};

/// A replica of the classic protocol that tells at each start what it finds in its
/// directory, writes on request and tells of every error. It goes on after errors.
const WITNESS: &str = r#"
import os, socket, sys
data, place = sys.argv[1], os.path.dirname(sys.argv[1])
def tell(*words): print(*words, flush=True)
def found(name):
    try: return open(os.path.join(place, name)).read() or 'empty'
    except OSError as error: return os.strerror(error.errno).replace(' ', '-')
tell('found', *sorted(os.listdir(place)), 'synced=' + found('synced'), 'unsynced=' + found('unsynced'))
def attempt(what, act):
    try: act(); tell(what, 'done')
    except OSError as error: tell(what, 'errno', error.errno)
def write(name, sync):
    with open(os.path.join(place, name), 'a') as file:
        file.write('x'); file.flush()
        if sync: os.fsync(file.fileno())
attempt('synced', lambda: write('synced', True))
attempt('unsynced', lambda: write('unsynced', False))
s = socket.socket(); s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
s.bind(('127.0.0.1', 0)); s.listen(64)
tell('Listening on port', s.getsockname()[1])
balances = {}
while True:
    c, _ = s.accept()
    words = c.recv(1024).decode().split(';')[0].split()
    if len(words) == 3:
        a, b, amount = words[0], words[1], int(words[2])
        left = balances.get(a, 100) - amount
        attempt('during', lambda: write('during', True))
        if left >= 0 or amount == 0:
            balances[a] = left
            balances[b] = balances.get(b, 100) + amount
        c.sendall(f"{balances.get(a, 100)} {balances.get(b, 100)}".encode())
    c.close()
"#;

/// Runs the classic coordinator over one witness behind a script that waits for it; what
/// it printed comes back.
fn witnessed(fault: &str) -> Option<(String, String)> {
    if lacks("disk") {
        return None;
    }
    let bench = Bench::new();
    std::fs::write(bench.path("witness.py"), WITNESS).unwrap();
    std::fs::write(bench.path("wrapper.sh"), "#!/bin/sh\npython3 witness.py \"$1\"\nexit $?\n").unwrap();
    let text = format!(
        r#"{{"name":"witness","duration":"3s","seed":1,"beyond_budget":true,
            "cluster":{{"replicas":1,"edition":"classic","srv":{{"command":"sh wrapper.sh {{data}}"}}}},
            "clients":{{"count":1,"rate":40,"mix":{{"transfer":0,"read":1}}}},
            "checks":{{"available":false,"linearizable":false,"replicas_identical":false,"unrequested_exit":"note"}},
            "nemesis":[{fault}]}}"#
    );
    let said = bench.run(&bench.workload(&text), &[]);
    let log = std::fs::read_to_string(bench.run_dir().join("nodes/srv-1/output.log"));
    bench.assert_no_process_is_left();
    Some((log.unwrap_or_else(|why| panic!("{why}: {said:?}")), bench.history()))
}

#[track_caller]
fn shows(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "`{part}` is not in:\n{text}");
    }
}

#[test]
fn after_a_power_failure_a_node_finds_what_it_had_synced_and_nothing_else() {
    let fault = r#"{"fault":"power-failure","target":"srv-1","when":{"acknowledged":5},"for":"100ms"}"#;
    let Some((log, history)) = witnessed(fault) else { return };
    let second = log.split("\nfound").nth(1).unwrap_or_else(|| panic!("one start only:\n{log}"));
    shows(second, &["synced=x", "unsynced=empty"]);
    shows(
        &history,
        &[r#""held":true,"observed":{"bytes_lost":1,"files_lost":1,"names_lost":0}"#, r#""syncs":{"srv-1":"#],
    );
}

#[test]
fn a_node_gets_eio_of_failing_requests_and_goes_on_when_they_are_healed() {
    let fault =
        r#"{"fault":"disk-errors","target":"srv-1","when":{"acknowledged":5},"for":"300ms","on":["fsyncs"]}"#;
    let Some((log, history)) = witnessed(fault) else { return };
    shows(&log, &["during done\nduring errno 5\n", "during errno 5\nduring done\n"]);
    shows(&history, &[r#""fsyncs_failed":"#]);
}

#[test]
fn a_node_meets_a_full_and_a_read_only_disk() {
    let full = r#"{"fault":"disk-full","target":"srv-1","when":{"acknowledged":5},"for":"300ms"}"#;
    let Some((log, _)) = witnessed(full) else { return };
    shows(&log, &["during done\nduring errno 28\n", "during errno 28\nduring done\n"]);
    let fixed = r#"{"fault":"disk-read-only","target":"srv-1","when":{"acknowledged":5},"for":"300ms"}"#;
    let Some((log, _)) = witnessed(fixed) else { return };
    shows(&log, &["during done\nduring errno 30\n", "during errno 30\nduring done\n"]);
}

#[test]
fn a_slow_disk_makes_requests_wait() {
    let fault =
        r#"{"fault":"disk-slow","target":"srv-1","when":{"acknowledged":5},"for":"500ms","fsync":"100ms"}"#;
    let Some((_, history)) = witnessed(fault) else { return };
    shows(&history, &[r#""held":true,"observed":{"requests_slowed":"#]);
}

#[test]
fn a_node_finds_its_files_damaged_or_as_they_were_when_the_fault_began() {
    let cut = r#"{"fault":"truncate-file","target":"srv-1","when":{"acknowledged":5},"for":"100ms"}"#;
    let (_, history) = witnessed(cut).unwrap();
    shows(&history, &[r#""held":true,"observed":{"bytes_cut_off":1}"#]);
    let flip = r#"{"fault":"bit-flip","target":"srv-1","when":{"acknowledged":5},"for":"100ms","bits":2}"#;
    let (_, history) = witnessed(flip).unwrap();
    shows(&history, &[r#""held":true,"observed":{"bits_flipped":2}"#]);
    let old = r#"{"fault":"old-copy","target":"srv-1","when":{"acknowledged":5},"for":"300ms"}"#;
    let (log, history) = witnessed(old).unwrap();
    let found: Vec<&str> = log.lines().filter(|line| line.starts_with("found")).collect();
    assert_eq!(found.len(), 3, "{log}");
    assert_eq!(found[1], found[2], "the second start wrote, the third finds nothing of it");
    shows(&history, &[r#""files_restored":3"#]);
}

#[test]
fn a_fault_of_any_family_comes_at_the_sync_of_a_replica_that_it_names() {
    if lacks("disk") {
        return;
    }
    let bench = Bench::new();
    let workload = bench.workload(
        r#"{"name":"syncs","duration":"4s","seed":1,"clients":{"count":4,"rate":50},"nemesis":[
            {"fault":"kill","target":"srv-2","for":"200ms","when":{"fsync":{"node":"srv-2","count":40}}},
            {"fault":"pause","target":"srv-3","for":"100ms","when":{"fsync":{"node":"srv-2","count":60}}},
            {"fault":"kill","target":"srv-1","when":{"fsync":{"node":"srv-1","count":100000000}}}]}"#,
    );
    bench.run(&workload, &[]).exits(0);
    let lines = |fault: &str, edge: &str| {
        let history = bench.history();
        let lines = history.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
        lines.filter(|line| line["f"] == fault && line["edge"] == edge).collect::<Vec<_>>()
    };
    let syncs = |line: &serde_json::Value| line["place"]["syncs"]["srv-2"].as_u64().unwrap();
    let [killed] = &lines("kill", "begin")[..] else { panic!("one kill: {}", bench.history()) };
    let [paused] = &lines("pause", "begin")[..] else { panic!("one pause: {}", bench.history()) };
    assert_eq!((&killed["value"][0], &paused["value"][0]), (&"srv-2".into(), &"srv-3".into()));
    assert!(syncs(killed) >= 40 && syncs(paused) >= 60, "{killed}\n{paused}");
    assert!(syncs(&lines("kill", "end")[0]) < 60, "the second event is not the first");
    let [skipped] = &lines("kill", "skipped")[..] else { panic!("one that never came") };
    let why = skipped["error"].as_str().unwrap();
    assert!(why.contains("sync 100000000 of srv-1") && !why.ends_with("after 0"), "{why}");
}

#[test]
fn the_durable_edition_keeps_what_it_acknowledged_when_all_lose_power() {
    if lacks("disk") {
        return;
    }
    let bench = Bench::new();
    bench.run(&project("workloads/power_failure.json"), &[]).exits(0);
    assert!(bench.run_dir().join("nodes/srv-3/data/balances.txt.log").is_file(), "the files are kept");
    bench.assert_no_process_is_left();
}

#[test]
fn the_durable_edition_stops_rather_than_lie_when_its_disk_fails_and_comes_back() {
    if lacks("disk") {
        return;
    }
    let bench = Bench::new();
    bench.run(&project("workloads/disk_errors.json"), &[]).exits(0);
    shows(&bench.history(), &[r#""nodes_ended":"#]);
}

/// A run with disks that is in full swing.
fn busy(bench: &Bench) -> Child {
    let text = r#"{"name":"long","duration":"10m","seed":1,"disk":{},"clients":{"count":2,"rate":50}}"#;
    let harness = bench.start(&bench.workload(text));
    eventually("operations are acknowledged", || {
        let count = bench.history().matches(r#""type":"ok""#).count();
        if count > 20 { Ok(()) } else { Err(format!("{count} so far")) }
    });
    harness
}

fn mounts(bench: &Bench) -> bool {
    let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap();
    mounts.contains(bench.dir.path().to_str().unwrap())
}

#[test]
fn a_killed_harness_leaves_no_mount_and_an_interrupted_one_keeps_the_files() {
    if lacks("disk") {
        return;
    }
    let bench = Bench::new();
    let mut harness = busy(&bench);
    assert!(!mounts(&bench), "nobody else sees the mounts");
    let data = bench.run_dir().join("nodes/srv-1/data");
    assert_eq!(std::fs::read_dir(&data).unwrap().count(), 0, "the disk lies over the directory");
    harness.kill().unwrap();
    harness.wait().unwrap();
    bench.assert_no_process_is_left();
    assert!(!mounts(&bench));

    let bench = Bench::new();
    let mut harness = busy(&bench);
    kill(Pid::from_raw(harness.id() as i32), Signal::SIGINT).unwrap();
    assert_eq!(harness.wait().unwrap().code(), Some(4));
    let data = bench.run_dir().join("nodes/srv-1/data");
    assert!(data.join("balances.txt.log").is_file());
    bench.assert_no_process_is_left();
}
