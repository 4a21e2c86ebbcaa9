//! Servers that misbehave: every one ends as a named verdict, in words that say what
//! was wrong, and leaves nothing behind. A row of [`EVERY_WAY`] each.

#[path = "../support/mod.rs"]
mod support;

mod disk;
mod walls;

use serde_json::json;
use support::{Bench, Said, project};

const SRV: &str = env!("CARGO_BIN_EXE_srv");
const COORD: &str = env!("CARGO_BIN_EXE_coord");

/// Whose programs run beside the one that misbehaves.
#[derive(Clone, Copy)]
enum Beside {
    /// The exercise's, of which no service is demanded.
    Exercise,
    /// The exercise's, and service is demanded.
    Demanding,
    /// The durable edition's, with srv-2 misbehaving among three.
    Durable,
}
use Beside::{Demanding, Durable, Exercise};

/// Mode, role, what runs beside it, exit code, how the verdict line begins, and what is
/// on stderr.
type Row = (&'static str, &'static str, Beside, i32, &'static str, &'static [&'static str]);

const EVERY_WAY: &[Row] = &[
    // Before the port is told.
    (
        "silent",
        "srv",
        Exercise,
        4,
        "infra: srv-",
        &["did not print its port within 2s", "it printed nothing"],
    ),
    (
        "rubbish",
        "coord",
        Exercise,
        4,
        "infra: coord did not print its port within 2s",
        &["characters that are no text", "Listening on port 99999999"],
    ),
    (
        "exits",
        "srv",
        Exercise,
        4,
        "infra: srv-",
        &["ended before it printed its port: exit status 3", "no such disk"],
    ),
    ("floods_first", "srv", Exercise, 0, "pass", &[]),
    // What is wrong with the port.
    (
        "no_listener",
        "coord",
        Exercise,
        4,
        "infra: coord printed port",
        &["nothing listened there on 127.0.0.1", "the port that it listens on"],
    ),
    ("no_listener", "srv", Exercise, 4, "infra: srv-1 printed port", &["nothing listened there"]),
    ("other_port", "coord", Exercise, 4, "infra: coord printed port", &["nothing listened there"]),
    ("argument", "coord", Exercise, 4, "infra: coord printed port", &["srv-1 is reached through its proxy"]),
    ("all_addresses", "srv", Exercise, 0, "pass", &["srv-1 listens on more than 127.0.0.1"]),
    // What is wrong with the replies.
    (
        "closes",
        "coord",
        Exercise,
        3,
        "undecided: assumptions: only 0 operations acknowledged",
        &["most frequent end: "],
    ),
    ("closes", "coord", Demanding, 1, "violation: available: nothing was acknowledged", &["the last one: "]),
    ("resets", "coord", Exercise, 3, "undecided: assumptions", &["most frequent end: connection reset"]),
    (
        "garbage",
        "coord",
        Exercise,
        1,
        "violation: protocol",
        &[r#"unparsable reply: "\x00\xff balances? <none>\x1b[2J""#],
    ),
    ("late", "coord", Exercise, 3, "undecided: assumptions", &["most frequent end: timeout"]),
    ("trickle", "coord", Exercise, 3, "undecided: assumptions", &["most frequent end: timeout"]),
    ("gigabyte", "coord", Exercise, 1, "violation: protocol", &["unparsable reply: \"1111"]),
    // A durable system begins when all its replicas have answered.
    ("gigabyte", "srv", Durable, 3, "undecided: assumptions: only 0 operations acknowledged", &[]),
    ("garbage", "srv", Durable, 3, "undecided: assumptions: only 0 operations acknowledged", &[]),
    ("trickle", "srv", Durable, 3, "undecided: assumptions: only 0 operations acknowledged", &[]),
    // What is wrong with its processes.
    ("floods", "srv", Exercise, 0, "pass", &[]),
    ("escapes", "srv", Exercise, 0, "pass", &["srv-1 did not end within 500ms of its stop signal: killed"]),
    ("zombies", "srv", Exercise, 0, "pass", &[]),
    (
        "ignores_stop",
        "coord",
        Exercise,
        0,
        "pass",
        &["coord did not end within 500ms of its stop signal: killed"],
    ),
    ("crashes_at_stop", "srv", Exercise, 0, "pass", &["srv-2 crashed with SIGABRT when it was asked to end"]),
    // Perhaps between two replicas, which then differ.
    ("stops_itself", "coord", Demanding, 1, "violation: ", &["available: nothing was acknowledged"]),
];

/// Address space of the harness and of each node, KiB: a gigabyte does not fit beside
/// what they need.
const MEMORY_KIB: u64 = 900 << 10;

fn commands(mode: &str, role: &str, beside: Beside) -> (String, String) {
    let server = project("tests/misbehaviour/server.py").display().to_string();
    let exercise = |name: &str| project(&format!("tests/exercise/{name}.py")).display().to_string();
    let (srv, coord) = match beside {
        Durable => {
            let choice = format!(
                "case {{name}} in srv-2) exec python3 {server} {mode} srv \"$0\";; *) exec {SRV} \"$0\";; esac"
            );
            (format!("sh -c '{choice}' {{data}}"), format!("{COORD} {{ports}}"))
        }
        _ => (
            format!("python3 {} {{data}}", exercise("srv")),
            format!("python3 {} {{ports}}", exercise("coord")),
        ),
    };
    match (role, beside) {
        (_, Durable) => (srv, coord),
        ("srv", _) => (format!("python3 {server} {mode} srv {{data}}"), coord),
        _ => (srv, format!("python3 {server} {mode} coord {{ports}}")),
    }
}

/// `passes`: whether the run ends well; then it lasts for some operations, however long a
/// busy machine takes for them, else for a second.
fn run(bench: &Bench, mode: &str, role: &str, beside: Beside, passes: bool) -> Said {
    let (srv, coord) = commands(mode, role, beside);
    let ceiling = |of: &str| if SILENT.contains(&mode) && of == role { "2s" } else { "60s" };
    let (lasts, how_long) = if passes { ("operations", json!(60)) } else { ("duration", json!("1s")) };
    let text = json!({
        "name": "misbehaviour", "seed": 1, lasts: how_long,
        "cluster": {
            "replicas": if matches!(beside, Durable) { 3 } else { 2 },
            "srv": { "command": srv, "start_ceiling": ceiling("srv") },
            "coord": { "command": coord, "start_ceiling": ceiling("coord") },
        },
        "clients": { "count": 4, "rate": 50, "deadline": "500ms" },
        "budgets": { "stop": "500ms", "settle": "3s" },
        "checks": { "available": matches!(beside, Demanding), "available_window": "500ms" },
    });
    let workload = bench.workload(&text.to_string());
    let run = format!(
        "ulimit -v {MEMORY_KIB}; exec '{}' run '{}' --out '{}'",
        support::RSM_CHECK,
        workload.display(),
        bench.run_dir().display()
    );
    bench.shell(&run)
}

/// Modes that are waited for in vain; the others may take their time on a busy machine.
const SILENT: [&str; 4] = ["silent", "rubbish", "no_listener", "other_port"];

fn misbehaves(rows: impl Iterator<Item = &'static Row>) {
    let mut wrong = Vec::new();
    for &(mode, role, beside, exit, line, told) in rows {
        let bench = Bench::new();
        let said = run(&bench, mode, role, beside, exit == 0);
        let missing: Vec<_> = told.iter().filter(|part| !said.err.contains(**part)).collect();
        if said.exit != Some(exit) || !said.out.starts_with(line) || said.out.lines().count() != 1 {
            wrong.push(format!("{mode} {role}: wanted {exit} `{line}`\n{said:#?}"));
        } else if !missing.is_empty() {
            wrong.push(format!("{mode} {role}: {missing:?} is not on stderr:\n{}", said.err));
        }
        bench.assert_no_process_is_left();
        bench.output(&["check", bench.run_dir().to_str().unwrap(), "--quiet"]).exits(exit);
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

/// Shared out, so that the test runner has something to do side by side.
fn every(part: usize) -> impl Iterator<Item = &'static Row> {
    EVERY_WAY.iter().skip(part).step_by(3)
}

#[test]
fn every_misbehaviour_ends_as_its_verdict_and_is_told_in_words() {
    misbehaves(every(0));
}

#[test]
fn every_misbehaviour_ends_as_its_verdict_and_is_told_in_words_second_part() {
    misbehaves(every(1));
}

#[test]
fn every_misbehaviour_ends_as_its_verdict_and_is_told_in_words_third_part() {
    misbehaves(every(2));
}

#[test]
fn every_mode_of_the_server_is_tried() {
    let text = std::fs::read_to_string(project("tests/misbehaviour/server.py")).unwrap();
    let (_, modes) = text.split_once("MODES = [").unwrap();
    let modes = modes.split(']').next().unwrap().split(',').map(str::trim).filter(|mode| !mode.is_empty());
    for mode in modes {
        let tried = EVERY_WAY.iter().any(|row| row.0 == mode) || mode == "leaks";
        assert!(tried, "{mode} is in no row");
    }
}

#[test]
fn a_flood_of_output_is_kept_to_its_limit() {
    let bench = Bench::new();
    run(&bench, "floods_first", "srv", Exercise, true).exits(0);
    let log = std::fs::metadata(bench.run_dir().join("nodes/srv-1/output.log")).unwrap();
    let limit = rsm_check::cluster::output::LOG_LIMIT;
    assert!((limit..limit + 200).contains(&log.len()), "{} bytes", log.len());
}
