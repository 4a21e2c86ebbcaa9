//! Walls around a run: no shell, no path outside the run directory, no listening socket
//! beyond loopback, nothing that others may read.

use std::collections::BTreeSet;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use serde_json::json;

use crate::support::{Bench, RSM_CHECK, eventually, project};
use crate::{COORD, SRV};

#[test]
fn no_word_of_a_command_reaches_a_shell() {
    let bench = Bench::new();
    // Tells its words, then is the exercise's replica.
    let tell = "import runpy, sys\nopen(sys.argv[1] + '.words', 'w').write(repr(sys.argv[3:]))\n\
                script = sys.argv[2]\nsys.argv[2:] = []\nrunpy.run_path(script, run_name='__main__')\n";
    std::fs::write(bench.path("tell.py"), tell).unwrap();
    let exercise = |name: &str| project(&format!("tests/exercise/{name}.py")).display().to_string();
    let words = r#"';' touch pwned ';' '$(touch pwned)' '`touch pwned`' '*' '>pwned' '|' '$HOME' '~' '\n'"#;
    let text = json!({
        "name": "words", "duration": "1s", "seed": 1,
        "cluster": {
            "replicas": 1,
            "srv": { "command": format!("python3 tell.py {{data}} {} {words}", exercise("srv")) },
            "coord": { "command": format!("python3 {} {{ports}}", exercise("coord")) },
        },
        "clients": { "count": 2, "rate": 50 },
        "checks": { "available": false },
    });
    bench.run(&bench.workload(&text.to_string()), &[]).exits(0);
    let told = std::fs::read_to_string(bench.run_dir().join("nodes/srv-1/data/balances.txt.words")).unwrap();
    let expected = "[';', 'touch', 'pwned', ';', '$(touch pwned)', '`touch pwned`', '*', '>pwned', '|', '$HOME', '~', '\\\\n']";
    assert_eq!(told, expected);
    assert!(find(bench.dir.path(), "pwned").is_empty());
}

/// Files of that name, wherever they are below.
fn find(place: &Path, name: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(place).unwrap().map(|entry| entry.unwrap().path());
    let mut found = Vec::new();
    for path in entries {
        found.extend((path.file_name().unwrap() == name).then(|| path.clone()));
        if path.is_dir() && !path.is_symlink() {
            found.extend(find(&path, name));
        }
    }
    found
}

#[test]
fn a_name_that_would_be_a_path_is_refused() {
    for name in ["../evil", "/tmp/evil", "a/b", "..", ".", "", "a\u{0}b", "a\nb", "\u{e9}"] {
        let bench = Bench::new();
        let path = bench.workload(&json!({ "name": name, "duration": "1s" }).to_string());
        bench.output(&["run", path.to_str().unwrap()]).exits(2).tells(&["workload.json", "name"]);
        assert!(!bench.path("reports").exists(), "{name:?}");
    }
}

#[test]
fn accounts_named_like_paths_stay_text() {
    let bench = Bench::new();
    let names = ["../../../escape", "/escape", "$(escape)", "con:escape"];
    let text = json!({
        "name": "paths", "duration": "1s", "seed": 1, "clients": { "count": 2, "rate": 50, "accounts": names },
        "cluster": { "srv": { "command": format!("{SRV} {{data}}") }, "coord": { "command": format!("{COORD} {{ports}}") } },
    });
    let said = bench.run(&bench.workload(&text.to_string()), &[]);
    assert!(matches!(said.exit, Some(0 | 2)), "{said:?}");
    assert!(find(bench.dir.path(), "escape").is_empty());
    assert!(!Path::new("/escape").exists());
}

/// A recorded run that says of itself what it likes: nothing outside it is read as part
/// of it, nothing outside it is written.
#[test]
fn a_run_directory_made_by_another_leads_nowhere() {
    let bench = Bench::new();
    let text = json!({
        "name": "links", "duration": "1s", "seed": 1, "clients": { "count": 2, "rate": 50 },
        "cluster": { "srv": { "command": format!("{SRV} {{data}}") }, "coord": { "command": format!("{COORD} {{ports}}") } },
    });
    bench.run(&bench.workload(&text.to_string()), &[]).exits(0);
    let run = bench.run_dir();
    let precious = bench.path("precious");
    std::fs::write(&precious, "mine\n").unwrap();
    for name in
        ["report.html", "junit.xml", "proof.json", "nodes/coord/output.log", "nodes/srv-1/data/balances.txt"]
    {
        let path = run.join(name);
        if path.exists() {
            std::fs::remove_file(&path).unwrap();
        }
        symlink(&precious, &path).unwrap();
    }
    for part in ["report.html.part", "run.json.part", "junit.xml.part", "proof.json.part"] {
        symlink(&precious, run.join(part)).unwrap();
    }
    let said = bench.output(&["check", run.to_str().unwrap()]);
    assert!(matches!(said.exit, Some(1 | 3)), "a data file behind a link is no data file: {said:?}");
    bench.output(&["report", run.to_str().unwrap()]);
    assert_eq!(std::fs::read_to_string(&precious).unwrap(), "mine\n");
    let page = std::fs::read_to_string(run.join("report.html")).unwrap();
    assert!(!page.contains("mine\n"), "what a link leads to is shown");
}

/// Inodes of the sockets that a process holds.
fn sockets(pid: &str) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(format!("/proc/{pid}/fd")) else { return Vec::new() };
    let links = entries.filter_map(|entry| std::fs::read_link(entry.ok()?.path()).ok());
    let names =
        links.filter_map(|link| Some(link.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.to_owned()));
    names.collect()
}

/// Local addresses, as the kernel's table has them, of sockets that others may send to.
fn open_doors(inodes: &BTreeSet<String>) -> Vec<String> {
    let mut doors = Vec::new();
    for (table, open) in
        [("tcp", Some("0A")), ("tcp6", Some("0A")), ("udp", None), ("udp6", None), ("raw", None)]
    {
        let text = std::fs::read_to_string(format!("/proc/net/{table}")).unwrap_or_default();
        for line in text.lines().skip(1) {
            let words: Vec<_> = line.split_ascii_whitespace().collect();
            let ours = words.get(9).is_some_and(|inode| inodes.contains(*inode));
            if ours && open.is_none_or(|state| words[3] == state) {
                doors.push(format!("{table} {}", words[1]));
            }
        }
    }
    doors
}

#[test]
#[cfg(target_endian = "little")]
fn everything_that_listens_during_a_run_listens_on_loopback_alone() {
    let bench = Bench::new();
    let text = json!({
        "name": "doors", "duration": "10m", "seed": 1, "clients": { "count": 2, "rate": 50 },
        "cluster": { "srv": { "command": format!("{SRV} {{data}}") }, "coord": { "command": format!("{COORD} {{ports}}") } },
    });
    let mut harness = bench.start(&bench.workload(&text.to_string()));
    eventually("operations are acknowledged", || {
        if bench.history().contains(r#""type":"ok""#) { Ok(()) } else { Err(bench.history()) }
    });
    let pids = bench.processes().into_iter().map(|line| line.split(':').next().unwrap().to_owned());
    let inodes: BTreeSet<_> = pids.flat_map(|pid| sockets(&pid)).collect();
    let doors = open_doors(&inodes);
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(harness.id() as i32), nix::sys::signal::Signal::SIGINT)
        .unwrap();
    harness.wait().unwrap();
    // A node each for three replicas and the coordinator, and a proxy before each.
    assert!(doors.len() >= 8, "{doors:?}");
    let beyond: Vec<_> = doors.iter().filter(|door| !door.starts_with("tcp 0100007F:")).collect();
    assert!(beyond.is_empty(), "{beyond:?}");
    bench.assert_no_process_is_left();
}

/// What of it the user's group or others may touch.
fn open_to_others(place: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(place).unwrap() {
        let path = entry.unwrap().path();
        let meta = std::fs::symlink_metadata(&path).unwrap();
        if meta.is_symlink() {
            continue;
        }
        if meta.permissions().mode() & 0o077 != 0 {
            found.push(path.clone());
        }
        // Within a closed directory nobody gets further.
        if meta.is_dir() && meta.permissions().mode() & 0o077 != 0 {
            open_to_others(&path, found);
        }
    }
}

#[test]
fn a_run_is_private_whatever_the_mask_and_whoever_made_its_directory() {
    let bench = Bench::new();
    let text = json!({
        "name": "private", "duration": "1s", "seed": 1, "clients": { "count": 2, "rate": 50 },
        "cluster": { "srv": { "command": format!("{SRV} {{data}}") }, "coord": { "command": format!("{COORD} {{ports}}") } },
    });
    let workload = bench.workload(&text.to_string()).display().to_string();
    bench.shell(&format!("umask 0; exec '{RSM_CHECK}' run '{workload}'")).exits(0);
    let latest = std::fs::canonicalize(bench.path("reports/latest")).unwrap();
    assert_eq!(std::fs::metadata(&latest).unwrap().permissions().mode() & 0o777, 0o700);
    // One that is there already keeps its own rights; what is put into it is closed.
    bench
        .shell(&format!("umask 0; mkdir -m 777 run; exec '{RSM_CHECK}' run '{workload}' --out run"))
        .exits(0);
    let mut found = Vec::new();
    open_to_others(&bench.run_dir(), &mut found);
    assert!(found.is_empty(), "{found:#?}");
}
