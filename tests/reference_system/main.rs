//! The reference system as it is shipped: real binaries, real sockets, real files.
//!
//! The simulation shows that the order is right; this shows that the programs keep it. What it
//! cannot show is a power failure (`tests/reference_simulation`).

mod programs;

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::process::Command;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use programs::{CEILING, Cluster, Program, ask, read, wait_for};

#[test]
fn transfers_are_answered_and_all_files_become_identical() {
    let cluster = Cluster::start("durable", &[]);
    assert_eq!(cluster.ask_until_done("a b 5\n"), "95 105\n");
    assert_eq!(cluster.ask("a b 95\n"), "95 105\n");
    assert_eq!(cluster.ask("c c 50"), "100 100\n");
    let file = cluster.wait_for_files("c 100");
    assert!(file.starts_with("# ") && file.lines().next().is_some_and(|line| line.ends_with(" +0000")));
    assert_eq!(file.lines().skip(1).collect::<Vec<_>>(), ["a 95", "b 105", "c 100"]);
}

#[test]
fn a_bad_request_is_refused_with_its_reason() {
    let cluster = Cluster::start("durable", &[]);
    let long = "x".repeat(100_000);
    for request in ["\n", "a b\n", "a b -1\n", "a b 9223372036854775808\n", "a  b 1\n", &long] {
        let reply = cluster.ask(request);
        assert!(reply.starts_with("refused malformed: "), "{request:.20}: {reply}");
    }
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, cluster.port())).unwrap();
    stream.write_all(b"\xff b 1\n").unwrap();
    let mut reply = String::new();
    stream.read_to_string(&mut reply).unwrap();
    assert_eq!(reply, "refused malformed: not UTF-8\n");
}

#[test]
fn a_client_that_stalls_in_its_request_holds_up_nobody() {
    let cluster = Cluster::start("durable", &[]);
    cluster.ask_until_done("a b 1\n");
    let stalled: Vec<TcpStream> = (0..100)
        .map(|_| {
            let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, cluster.port())).unwrap();
            stream.write_all(b"a b ").unwrap();
            stream
        })
        .collect();
    assert_eq!(cluster.ask("a b 1\n"), "98 102\n");
    drop(stalled);
    assert_eq!(cluster.ask("a b 0\n"), "98 102\n");
}

#[test]
fn what_was_acknowledged_survives_the_death_of_everybody_again_and_again() {
    let mut cluster = Cluster::start("durable", &["--compact-bytes", "500"]);
    for round in 1..=5 {
        for _ in 0..10 {
            cluster.ask_until_done(&format!("bank round{round} 1\n"));
        }
        cluster.kill_all();
        cluster.restart_all();
        let reply = cluster.ask_until_done(&format!("round{round} bank 0\n"));
        let kept: i64 = reply.split(' ').next().unwrap().parse().unwrap();
        assert!(kept >= 110, "round {round}: {reply}");
        cluster.wait_for_files(&format!("round{round} {kept}"));
    }
}

#[test]
fn a_replica_that_was_down_catches_up_and_the_others_go_on() {
    for compact in ["200", "1000000"] {
        let mut cluster = Cluster::start("durable", &["--compact-bytes", compact]);
        cluster.ask_until_done("a b 1\n");
        cluster.replicas[2] = None;
        for _ in 0..50 {
            cluster.ask_until_done("a b 1\n");
        }
        cluster.coordinator = None;
        cluster.start_coordinator();
        cluster.ask_until_done("a c 1\n");
        cluster.start_replica(2);
        cluster.wait_for_files("c 101");
    }
}

#[test]
fn a_paused_replica_catches_up_when_it_wakes() {
    let cluster = Cluster::start("durable", &[]);
    cluster.ask_until_done("a b 1\n");
    let paused = cluster.replicas[0].as_ref().unwrap();
    paused.signal(Signal::SIGSTOP);
    for _ in 0..20 {
        cluster.ask_until_done("a b 1\n");
    }
    paused.signal(Signal::SIGCONT);
    cluster.wait_for_files("b 121");
}

#[test]
fn without_a_majority_requests_are_refused_at_once_and_never_applied() {
    let mut cluster = Cluster::start("durable", &[]);
    cluster.ask_until_done("a b 1\n");
    cluster.replicas[0] = None;
    cluster.replicas[1] = None;
    wait_for("a refusal", || {
        let begin = Instant::now();
        let reply = cluster.ask("a b 1\n");
        assert!(begin.elapsed() < Duration::from_secs(3), "took {:?}", begin.elapsed());
        if reply.starts_with("refused no majority") { Ok(()) } else { Err(reply) }
    });
    for _ in 0..20 {
        assert_eq!(cluster.ask("x y 1\n"), "refused no majority of replicas is reachable\n");
    }
    cluster.start_replica(0);
    cluster.start_replica(1);
    assert_eq!(cluster.ask_until_done("x z 0\n"), "100 100\n");
    let file = cluster.wait_for_files("z 100");
    assert!(!file.contains("y "), "{file}");
}

#[test]
fn both_programs_end_well_when_asked_to() {
    let mut cluster = Cluster::start("durable", &[]);
    cluster.ask_until_done("a b 1\n");
    cluster.wait_for_files("b 101");
    let mut coordinator = cluster.coordinator.take().unwrap();
    coordinator.signal(Signal::SIGTERM);
    assert!(coordinator.wait().success());
    for replica in cluster.replicas.iter_mut().flatten() {
        replica.signal(Signal::SIGTERM);
        assert!(replica.wait().success());
        wait_for("last words", || {
            replica.output().contains("stopped: position 3").then_some(()).ok_or(replica.output())
        });
    }
}

#[test]
fn a_damaged_log_is_set_aside_and_learned_anew_and_a_torn_one_is_cut() {
    let mut cluster = Cluster::start("durable", &[]);
    (0..5).for_each(|_| drop(cluster.ask_until_done("a b 1\n")));
    cluster.wait_for_files("b 105");
    cluster.replicas[0] = None;
    let log = cluster.data(0).with_extension("log");
    let mut torn = std::fs::read(&log).unwrap();
    torn.extend_from_slice(b"0123abcd after 9 1 2 no");
    std::fs::write(&log, &torn).unwrap();
    cluster.start_replica(0);
    cluster.wait_for_told(0, "torn bytes cut 23");
    cluster.replicas[0] = None;
    let mut damaged = std::fs::read(&log).unwrap();
    let middle = damaged.len() / 2;
    damaged[middle] ^= 4;
    std::fs::write(&log, &damaged).unwrap();
    cluster.start_replica(0);
    let output = cluster.replicas[0].as_ref().unwrap().output();
    assert!(output.contains("is damaged at byte") && output.contains("replica-0.log"), "{output}");
    assert_eq!(std::fs::read(log.with_extension("log.damaged")).unwrap(), damaged, "kept as it was");
    cluster.ask_until_done("a b 1\n");
    cluster.wait_for_files("b 106");
}

#[test]
fn a_data_file_without_its_log_is_no_vote_and_the_replica_learns_anew() {
    let mut cluster = Cluster::start("durable", &[]);
    cluster.ask_until_done("a b 1\n");
    cluster.wait_for_files("b 101");
    cluster.kill_all();
    std::fs::remove_file(cluster.data(0).with_extension("log")).unwrap();
    cluster.restart_all();
    cluster.wait_for_told(0, "what it knew is lost");
    assert_eq!(cluster.ask_until_done("a b 1\n"), "98 102\n");
    cluster.wait_for_files("b 102");
}

#[test]
fn a_replica_whose_files_are_gone_has_no_vote_before_the_others_agreed_on_it() {
    let mut cluster = Cluster::start("durable", &[]);
    cluster.ask_until_done("a b 1\n");
    cluster.wait_for_files("b 101");
    cluster.replicas[2] = None;
    (0..5).for_each(|_| drop(cluster.ask_until_done("a b 1\n")));
    cluster.kill_all();
    cluster.wipe(0);
    cluster.start_replica(0);
    cluster.start_replica(2);
    cluster.start_coordinator();
    // The one that lacks the latest and the one that lost everything are no majority.
    for _ in 0..5 {
        let reply = cluster.ask("a b 1\n");
        assert!(reply.starts_with("refused no majority"), "{reply}");
    }
    cluster.start_replica(1);
    assert_eq!(cluster.ask_until_done("a b 0\n"), "94 106\n");
    cluster.wait_for_told(0, "in step");
    // Now its word counts, and it holds what the others hold.
    cluster.replicas[1] = None;
    cluster.coordinator = None;
    cluster.start_coordinator();
    assert_eq!(cluster.ask_until_done("a b 1\n"), "93 107\n");
    cluster.start_replica(1);
    cluster.wait_for_files("b 107");
}

#[test]
fn a_log_that_lost_synced_entries_at_its_end_is_taken_for_damaged() {
    let mut cluster = Cluster::start("durable", &[]);
    (0..5).for_each(|_| drop(cluster.ask_until_done("a b 1\n")));
    cluster.wait_for_files("b 105");
    cluster.replicas[0] = None;
    let log = cluster.data(0).with_extension("log");
    let sound = std::fs::read(&log).unwrap();
    // Two frames: it may have been killed before it noted that the last one was synced.
    let ends: Vec<usize> = (0..sound.len()).filter(|&at| sound[at] == b'\n').collect();
    std::fs::write(&log, &sound[..=ends[ends.len() - 3]]).unwrap();
    cluster.start_replica(0);
    cluster.wait_for_told(0, "bytes were synced");
    cluster.ask_until_done("a b 1\n");
    cluster.wait_for_files("b 106");
}

#[test]
fn bad_arguments_exit_with_two() {
    let cases: [(&str, &[&str]); 4] = [
        (env!("CARGO_BIN_EXE_srv"), &[]),
        (env!("CARGO_BIN_EXE_srv"), &["--edition", "gold", "x"]),
        (env!("CARGO_BIN_EXE_coord"), &[]),
        (env!("CARGO_BIN_EXE_coord"), &["70000"]),
    ];
    for (binary, arguments) in cases {
        let output = Command::new(binary).args(arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(!output.stderr.is_empty());
    }
}

#[test]
fn the_classic_edition_transfers_and_answers_without_a_newline() {
    let cluster = Cluster::start("classic", &[]);
    assert_eq!(cluster.ask("a b 5\n"), "95 105");
    assert_eq!(cluster.ask("a b -5"), "100 100");
    assert_eq!(cluster.ask("a b\n"), "");
    assert_eq!(cluster.wait_for_files("a 100").lines().count(), 3);
}

#[test]
fn a_classic_replica_forgets_everything_when_it_starts() {
    let mut cluster = Cluster::start("classic", &[]);
    cluster.ask("a b 5\n");
    assert!(read(&cluster.data(1)).contains("a 95"));
    cluster.replicas[1] = None;
    cluster.start_replica(1);
    assert!(!cluster.data(1).exists());
    cluster.ask("a b 5\n");
    assert!(read(&cluster.data(1)).contains("a 95") && read(&cluster.data(0)).contains("a 90"));
}

#[test]
fn a_classic_replica_takes_one_read_for_one_message() {
    let cluster = Cluster::start("classic", &[]);
    let mut stream =
        TcpStream::connect((Ipv4Addr::LOCALHOST, cluster.replicas[0].as_ref().unwrap().port)).unwrap();
    stream.set_read_timeout(Some(CEILING)).unwrap();
    stream.write_all(b"a b ").unwrap();
    let mut reply = Vec::new();
    let _ = stream.read_to_end(&mut reply);
    assert!(reply.is_empty());
}

#[test]
fn a_classic_coordinator_dies_when_a_replica_refuses() {
    let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port();
    let arguments = ["--edition".into(), "classic".into(), free.to_string()];
    let mut coordinator = Program::start(env!("CARGO_BIN_EXE_coord"), &arguments);
    let _ = ask(coordinator.port, "a b 1\n");
    assert_eq!(coordinator.wait().code(), Some(1));
}

#[test]
fn a_classic_coordinator_waits_for_a_replica_that_never_answers() {
    let silent = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let arguments = ["--edition".into(), "classic".into(), silent.local_addr().unwrap().port().to_string()];
    let coordinator = Program::start(env!("CARGO_BIN_EXE_coord"), &arguments);
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, coordinator.port)).unwrap();
    stream.write_all(b"a b 1\n").unwrap();
    let (mut replica, _) = silent.accept().unwrap();
    let mut request = [0; 100];
    let count = replica.read(&mut request).unwrap();
    assert!(request[..count].starts_with(b"a b 1;# ") && request[..count].ends_with(b" +0000\n"));
    // A second client is not even looked at while the first one waits.
    stream.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
    assert!(stream.read(&mut request).is_err());
    replica.write_all(b"7 8").unwrap();
    drop(replica);
    let mut reply = String::new();
    stream.set_read_timeout(Some(CEILING)).unwrap();
    stream.read_to_string(&mut reply).unwrap();
    assert_eq!(reply, "7 8");
}
