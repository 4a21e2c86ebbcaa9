//! What the machine can take away in the middle of a run: the room on the disk, the run
//! directory, open files. The run ends as `infra`, in words, and keeps what it recorded.

use std::process::Stdio;

use serde_json::json;

use crate::support::{Bench, RSM_CHECK, Said, eventually, project};
use crate::{COORD, SRV};

/// Long enough to be interfered with; it never comes to its own end.
fn endless(bench: &Bench, clients: u64) -> String {
    let text = json!({
        "name": "endless", "duration": "10m", "seed": 1,
        "cluster": { "srv": { "command": format!("{SRV} {{data}}") }, "coord": { "command": format!("{COORD} {{ports}}") } },
        "clients": { "count": clients, "rate": 200 },
        "budgets": { "stop": "500ms" },
    });
    bench.workload(&text.to_string()).display().to_string()
}

const ACKNOWLEDGED: &str = r#""type":"ok""#;

/// The kept part of a history is a history: whole lines, with acknowledged operations.
#[track_caller]
fn is_kept(bench: &Bench) {
    assert!(bench.history().matches(ACKNOWLEDGED).count() > 5, "{}", bench.history());
    let history = bench.run_dir().join("history.jsonl");
    let said = bench.output(&["check", history.to_str().unwrap()]);
    assert!(matches!(said.exit, Some(0 | 3)), "{said:?}");
}

/// A mount that only the run sees needs a namespace of its own.
fn may_mount() -> bool {
    let probe = "unshare --user --map-root-user --mount sh -c 'mount -t tmpfs none /mnt'";
    let may = std::process::Command::new("sh").args(["-c", probe]).stderr(Stdio::null()).status();
    let may = may.is_ok_and(|status| status.success());
    let must = std::env::var("RSM_CHECK_MUST_OFFER").unwrap_or_default();
    assert!(may || !must.contains("disk"), "no tmpfs can be mounted in a user namespace");
    if !may {
        eprintln!("skipped: no tmpfs can be mounted in a user namespace");
    }
    may
}

/// Runs on a small disk of its own that is filled with `filler`, a command that writes
/// to `ballast` there, once operations are acknowledged. What is left is copied out.
fn on_a_disk_that_fills(bench: &Bench, filler: &str) -> Said {
    let (place, kept) = (bench.path("small"), bench.run_dir());
    std::fs::create_dir(&place).unwrap();
    let workload = endless(bench, 4);
    let inside = bench.path("inside.sh");
    let script = format!(
        "mount -t tmpfs -o size=48m none '{place}' || exit 99\n\
         cd '{place}'\n\
         '{RSM_CHECK}' run '{workload}' --out run & harness=$!\n\
         while [ -d /proc/$harness ]; do n=$(grep -c '{ACKNOWLEDGED}' run/history.jsonl); [ \"${{n:-0}}\" -lt 20 ] || break; done 2>/dev/null\n\
         {filler} 2>/dev/null\n\
         wait $harness; code=$?\n\
         cp -r run '{kept}'\n\
         exit $code\n",
        place = place.display(),
        kept = kept.display(),
    );
    std::fs::write(&inside, script).unwrap();
    bench.shell(&format!("exec unshare --user --map-root-user --mount sh '{}'", inside.display()))
}

#[test]
fn a_disk_with_little_room_left_ends_the_run_while_it_can_still_be_recorded() {
    if !may_mount() {
        return;
    }
    let bench = Bench::new();
    let said = on_a_disk_that_fills(&bench, "head -c 36m /dev/zero >ballast").exits(4);
    assert!(said.out.starts_with("infra: the disk under"), "{said:?}");
    assert!(said.out.contains("is full") && said.out.contains("--out"), "{said:?}");
    bench.assert_no_process_is_left();
    is_kept(&bench);
    let run = bench.run_dir();
    for file in ["run.json", "report.html", "junit.xml"] {
        assert!(run.join(file).is_file(), "{file} is missing");
    }
    let said = bench.output(&["check", run.to_str().unwrap()]).exits(4);
    assert!(said.out.starts_with("infra: the disk under"), "{said:?}");
}

#[test]
fn a_disk_that_is_full_to_the_brim_blames_nobody_and_keeps_the_history() {
    if !may_mount() {
        return;
    }
    let bench = Bench::new();
    let said = on_a_disk_that_fills(&bench, "cat /dev/zero >ballast").exits(4);
    let told = ["the disk under", "the history cannot be written"];
    assert!(told.iter().any(|words| said.out.starts_with(&format!("infra: {words}"))), "{said:?}");
    bench.assert_no_process_is_left();
    is_kept(&bench);
    // Its record says that it was under way: nothing is claimed.
    let said = bench.output(&["check", bench.run_dir().to_str().unwrap()]);
    assert!(matches!(said.exit, Some(3 | 4)), "{said:?}");
}

#[test]
fn a_run_directory_that_is_taken_away_ends_the_run() {
    let bench = Bench::new();
    let workload = endless(&bench, 4);
    let run_dir = bench.run_dir();
    let mut command = bench.command(&["run", &workload, "--out", run_dir.to_str().unwrap()]);
    let harness = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    eventually("operations are acknowledged", || {
        let count = bench.history().matches(ACKNOWLEDGED).count();
        if count > 20 { Ok(()) } else { Err(format!("{count} so far")) }
    });
    // Moved, not removed: what was recorded is looked at afterwards.
    let aside = bench.path("aside");
    std::fs::rename(&run_dir, &aside).unwrap();
    let said = Said::of(harness.wait_with_output().unwrap()).exits(4);
    assert!(said.out.starts_with("infra: the run directory"), "{said:?}");
    assert!(said.out.contains("was taken away"), "{said:?}");
    bench.assert_no_process_is_left();
    assert!(!run_dir.exists(), "nothing is written where it was");
    std::fs::rename(&aside, &run_dir).unwrap();
    is_kept(&bench);
}

#[test]
fn a_run_directory_that_is_removed_in_mid_run_ends_the_run() {
    let bench = Bench::new();
    let workload = endless(&bench, 4);
    let run_dir = bench.run_dir();
    let mut command = bench.command(&["run", &workload, "--out", run_dir.to_str().unwrap()]);
    let harness = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    eventually("operations are acknowledged", || {
        let count = bench.history().matches(ACKNOWLEDGED).count();
        if count > 20 { Ok(()) } else { Err(format!("{count} so far")) }
    });
    // A node may make a file just then.
    eventually("it is removed", || match std::fs::remove_dir_all(&run_dir) {
        Ok(()) => Ok(()),
        Err(_) if !run_dir.exists() => Ok(()),
        Err(why) => Err(why.to_string()),
    });
    let said = Said::of(harness.wait_with_output().unwrap()).exits(4);
    assert!(said.out.starts_with("infra: the run directory"), "{said:?}");
    bench.assert_no_process_is_left();
    assert!(!run_dir.exists(), "nothing is written where it was");
}

#[test]
fn too_few_open_files_are_refused_before_anything_starts() {
    let bench = Bench::new();
    let workload = endless(&bench, 20);
    let said = bench.shell(&format!("ulimit -n 64; exec '{RSM_CHECK}' run '{workload}' --out run")).exits(4);
    assert!(said.out.starts_with("infra: 116 open files are needed, 64 are permitted"), "{said:?}");
    assert!(!bench.run_dir().exists(), "the run directory was created");
}

/// The coordinator keeps on opening connections, and never closes one.
#[test]
fn open_files_that_run_out_in_mid_run_end_it_and_nobody_is_blamed() {
    let bench = Bench::new();
    let server = project("tests/misbehaviour/server.py").display().to_string();
    let exercise = project("tests/exercise/srv.py").display().to_string();
    let text = json!({
        "name": "leak", "duration": "10m", "seed": 1,
        "cluster": {
            "srv": { "command": format!("python3 {exercise} {{data}}") },
            "coord": { "command": format!("python3 {server} leaks coord {{ports}}") },
        },
        "clients": { "count": 4, "rate": 50, "deadline": "500ms" },
        "budgets": { "stop": "500ms" },
    });
    let workload = bench.workload(&text.to_string());
    let run = format!("ulimit -n 100; exec '{RSM_CHECK}' run '{}' --out run", workload.display());
    let said = bench.shell(&run).exits(4);
    assert!(
        said.out.starts_with("infra: the proxy of ") || said.out.starts_with("infra: a client"),
        "{said:?}"
    );
    assert!(said.out.contains("open files") && said.out.contains("ulimit -Hn"), "{said:?}");
    bench.assert_no_process_is_left();
    is_kept(&bench);
}
