//! Runs for the tests of reports, made by hand and judged like real ones.
//!
//! Compiled for tests only.

use crate::checker::testing::{Build, S};
use crate::checker::{BankEngine, judge};
use crate::fault::{FaultKind, Node};
use crate::history::{Phase, SkippedFault};
use crate::op::Outcome;
use crate::record::{Beginning, NodeCommand, RunRecord};
use crate::recorded::{Recorded, Rest, RunState};
use crate::run_dir::{LoadedRun, NodeLog, RunDir};

const MS: u64 = 1_000_000;

/// A run as it would be loaded again, of what was recorded.
pub fn loaded(recorded: Recorded, logs: &[(Node, &str)]) -> LoadedRun {
    let name = recorded.workload.name.to_string();
    let beginning = Beginning {
        workload: recorded.workload.clone(),
        seed: 7,
        started: "2026-11-22T14:50:09Z".into(),
        plan: serde_json::json!({ "faults": recorded.history.faults.len() }),
        reproduce: format!("rsm-check run workloads/{name}.json --seed 7"),
    };
    let mut record = RunRecord::begin(beginning);
    record.containment = "a PID namespace of its own".into();
    let words = ["target/debug/srv", "nodes/srv-1/data/balances.txt"].map(String::from).to_vec();
    record.commands = vec![NodeCommand { node: Node::Srv(1), words }];
    let judgement = judge(&recorded, &BankEngine::new(&recorded));
    record.finish(&recorded, &judgement);
    let log = |&(node, tail): &(Node, &str)| NodeLog { node, tail: tail.into(), cut: false };
    let Recorded { history, files, .. } = recorded;
    let dir = RunDir::at("reports/sample");
    LoadedRun { dir, record, history, files, logs: logs.iter().map(log).collect() }
}

fn started() -> Build {
    let mut build = Build::new().phase(0, Phase::Setup);
    for node in [Node::Srv(1), Node::Srv(2), Node::Srv(3), Node::Coord] {
        build = build.started(100 * MS, node).ready(300 * MS, node);
    }
    build.phase(400 * MS, Phase::Faulty)
}

fn ended(build: Build, at: u64) -> Build {
    let probe = build.phase(at, Phase::Heal).ok((at, at + 50 * MS), ("a", "b", 0), [9, 191]);
    probe.phase(at + S, Phase::Settle).phase(at + 2 * S, Phase::Collect)
}

/// Money to and fro, all of it refused or undone, so that the end is known.
fn traffic(mut build: Build, tenths: std::ops::Range<u64>) -> Build {
    for tenth in tenths {
        let at = tenth * 100 * MS;
        build = build.ok((at, at + 50 * MS), ("a", "b", 100), [9, 191]);
    }
    build
}

const RIGHT: &str = "# Sun, 22 Nov 2026 11:58:40 +0000\na 9\nb 191\n";

/// A durable run with a kill, a pause and a delay: nothing wrong.
pub fn pass() -> LoadedRun {
    let first = started().ok((400 * MS, 450 * MS), ("a", "b", 91), [9, 191]);
    let build = traffic(first, 5..30)
        .fault(3 * S, Some(4 * S), FaultKind::Kill, &[Node::Srv(2)])
        .exit(3 * S + 5 * MS, Node::Srv(2), true, "signal 9")
        .started(3900 * MS, Node::Srv(2))
        .ready(3980 * MS, Node::Srv(2));
    let build = traffic(build, 30..60).fault(5 * S, Some(5500 * MS), FaultKind::Pause, &[Node::Coord]).fault(
        6 * S,
        Some(8 * S),
        FaultKind::Delay,
        &[Node::Srv(1), Node::Srv(3)],
    );
    let workload = r#"{"name":"concurrent_xfer","duration":"10s","checks":{"available":false},"nemesis":[
        {"fault":"kill","target":"one","every":"1s"},{"fault":"pause","target":"any","every":"1s"},
        {"fault":"delay","target":"one","every":"1s","latency":"50ms"}]}"#;
    let mut recorded = ended(traffic(build, 60..100), 10 * S).recorded(workload, &[Some(RIGHT); 3]);
    recorded.history.skipped_faults.push(SkippedFault {
        kind: FaultKind::Pause,
        nodes: vec![Node::Srv(2)],
        time: 3500 * MS,
        reason: "srv-2 is down".into(),
    });
    let log = "\nListening on port 40123 ...\nrecovered 0 entries, term 1\n";
    loaded(recorded, &[(Node::Srv(1), log), (Node::Coord, "\nListening on port 40127 ...")])
}

/// A classic run: the restarted replica deleted its file, and coord died.
pub fn divergence() -> LoadedRun {
    let first = started().ok((400 * MS, 450 * MS), ("a", "b", 91), [9, 191]);
    let build = traffic(first, 19..30)
        .fault(3 * S, Some(5 * S), FaultKind::Kill, &[Node::Srv(2)])
        .exit(3 * S, Node::Srv(2), true, "signal 9")
        .started(4 * S, Node::Srv(2))
        .ready(4 * S + 80 * MS, Node::Srv(2))
        .lost((4 * S, 4 * S + 20 * MS), ("b", "a", 5), Outcome::Fail)
        .ok((5 * S, 5 * S + 50 * MS), ("a", "b", 20), [9, 191])
        .fault(6 * S, Some(7 * S), FaultKind::Kill, &[Node::Srv(3)])
        .lost((6100 * MS, 8100 * MS), ("b", "a", 0), Outcome::Info)
        .pending(6200 * MS, ("b", "a", 0))
        .exit(
            8 * S,
            Node::Coord,
            false,
            "exit status 1\nConnectionRefusedError: [Errno 111] Connection refused",
        )
        .phase(9 * S, Phase::Heal)
        .phase(10 * S, Phase::Collect);
    let workload = r#"{"name":"classic_kill","duration":"10s","cluster":{"edition":"classic"},
        "nemesis":[{"fault":"kill","target":"one","every":"2s"}]}"#;
    let forgot = Some("# Sun, 22 Nov 2026 11:58:40 +0000\na 80\nb 120\n");
    let mut recorded = build.recorded(workload, &[Some(RIGHT), forgot, Some(RIGHT)]);
    recorded.rest = Rest::Differing;
    let trace = "Traceback (most recent call last):\n  File \"coord.py\", line 31, in <module>\n    \
                 s.connect(('localhost', port))\nConnectionRefusedError: [Errno 111] Connection refused";
    loaded(recorded, &[(Node::Srv(2), "Listening on port 40124 ..."), (Node::Coord, trace)])
}

/// Too little happened.
pub fn undecided() -> LoadedRun {
    let first = started().ok((400 * MS, 450 * MS), ("a", "b", 91), [9, 191]);
    let workload = r#"{"name":"short","duration":"10s"}"#;
    loaded(ended(first, S).recorded(workload, &[Some(RIGHT); 3]), &[])
}

/// What a harness leaves that was killed in the middle: judged by nobody.
pub fn killed() -> LoadedRun {
    let mut run = pass();
    run.record.judgement = None;
    run.record.state = RunState::Running;
    run.record.rest = Rest::NotReached;
    run
}

/// Text that would like to be markup, script or a terminal's command.
pub const HOSTILE: &str =
    "<script>alert(1)</script>\"'><img/src=x\u{a0}onerror=alert(1)>\u{1b}[2J]]>&amp;\u{202e}x";

/// Every place that a program under test can write to holds [`HOSTILE`].
pub fn hostile() -> LoadedRun {
    let name = HOSTILE.replace(' ', "");
    let build = started()
        .ok((S, 2 * S), (&name, "b", 5), [-95, 105])
        .lost((2 * S, 3 * S), (&name, "b", 5), Outcome::Info)
        .error(&format!("unparsable reply: {HOSTILE}"))
        .fault(4 * S, Some(5 * S), FaultKind::Kill, &[Node::Srv(2)])
        .exit(6 * S, Node::Coord, false, &format!("{HOSTILE}\n{HOSTILE}"))
        .phase(7 * S, Phase::Heal)
        .phase(8 * S, Phase::Collect);
    let file = |balance: i64| format!("# {HOSTILE}\n{name} {balance}\nb 105\n");
    let (left, right) = (file(-95), file(1));
    let workload = r#"{"name":"hostile","duration":"10s"}"#;
    let mut recorded = build.recorded(workload, &[Some(&left), Some(&right), Some(HOSTILE)]);
    recorded.history.warnings.push(HOSTILE.into());
    recorded.history.faults[0].error = Some(HOSTILE.into());
    loaded(recorded, &[(Node::Coord, HOSTILE), (Node::Srv(2), HOSTILE)])
}
