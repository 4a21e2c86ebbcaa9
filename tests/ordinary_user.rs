//! Everything works without root. Where the tests run as root, this one becomes
//! an ordinary user; where they do not, all the others show it already.

mod support;

use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

use nix::unistd::Uid;
use support::{Bench, project};

/// The user "nobody" of most systems; any number without a home or rights will do.
const NOBODY: u32 = 65534;

/// Copies the programs to where that user can reach them.
fn programs(bench: &Bench) {
    for program in [support::RSM_CHECK, env!("CARGO_BIN_EXE_srv"), env!("CARGO_BIN_EXE_coord")] {
        let name = Path::new(program).file_name().unwrap();
        std::fs::copy(program, bench.dir.path().join(name)).unwrap();
    }
    std::fs::copy(project("workloads/smoke.json"), bench.path("smoke.json")).unwrap();
    std::fs::create_dir(bench.path("home")).unwrap();
    std::os::unix::fs::chown(bench.path("home"), Some(NOBODY), Some(NOBODY)).unwrap();
    std::fs::set_permissions(bench.dir.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn an_ordinary_user_runs_the_smoke_workload_with_nothing_left_behind() {
    if !Uid::effective().is_root() {
        return;
    }
    let bench = Bench::new();
    programs(&bench);
    let mut command = Command::new(bench.path("rsm-check"));
    command.args(["run", "../smoke.json", "--out", "run"]).current_dir(bench.path("home"));
    command.uid(NOBODY).gid(NOBODY).stdin(Stdio::null());
    let output = command.output().unwrap();
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(0), "{out}\n{err}");
    assert!(out.starts_with("pass"), "{out}\n{err}");
    bench.assert_no_process_is_left();
}
