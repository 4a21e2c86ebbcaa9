//! Everything that `doctor` calls usable for a user works without root. Where the tests
//! run as root, these become an ordinary user; where they do not, they stay who they are.

mod support;

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use nix::sys::stat::{Mode, SFlag, makedev, mknod};
use nix::unistd::Uid;
use serde_json::Value;
use support::{Bench, Said, project};

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
    if Uid::effective().is_root() {
        std::os::unix::fs::chown(bench.path("home"), Some(NOBODY), Some(NOBODY)).unwrap();
    }
    std::fs::set_permissions(bench.dir.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
}

/// A copy of /dev/fuse that everyone may open, as most distributions have it; `None`
/// where no such node can be made or opened.
fn open_to_all(bench: &Bench) -> Option<PathBuf> {
    let there = std::fs::metadata("/dev/fuse").ok()?;
    let node = bench.path("fuse");
    use std::os::unix::fs::MetadataExt;
    let device = makedev(nix::sys::stat::major(there.rdev()), nix::sys::stat::minor(there.rdev()));
    mknod(&node, SFlag::S_IFCHR, Mode::empty(), device).ok()?;
    std::fs::set_permissions(&node, std::fs::Permissions::from_mode(0o666)).ok()?;
    std::fs::File::options().read(true).write(true).open(&node).ok()?;
    Some(node)
}

/// rsm-check as an ordinary user. Root lends that user a /dev/fuse that it may open, in a
/// mount namespace which ends with the command.
fn as_user(bench: &Bench, words: &[&str]) -> Said {
    let mut command = Command::new("../rsm-check");
    if Uid::effective().is_root() {
        let lend = "[ -z \"$1\" ] || mount --bind \"$1\" /dev/fuse; shift; \
                    exec setpriv --reuid \"$0\" --regid \"$0\" --clear-groups ../rsm-check \"$@\"";
        let fuse = Some(bench.path("fuse")).filter(|node| node.exists()).or_else(|| open_to_all(bench));
        command = Command::new(if fuse.is_some() { "unshare" } else { "sh" });
        if fuse.is_some() {
            command.args(["--mount", "sh"]);
        }
        command.args(["-c", lend]).arg(NOBODY.to_string()).arg(fuse.unwrap_or_default());
    }
    command.args(words).current_dir(bench.path("home")).stdin(Stdio::null());
    Said::of(command.output().unwrap())
}

#[test]
fn an_ordinary_user_runs_the_smoke_workload_with_nothing_left_behind() {
    let bench = Bench::new();
    programs(&bench);
    let said = as_user(&bench, &["run", "../smoke.json", "--out", "run"]).exits(0);
    assert!(said.out.starts_with("pass"), "{}\n{}", said.out, said.err);
    bench.assert_no_process_is_left();
}

/// A fault of each family.
const RULES: [(&str, &str, &str); 4] = [
    ("process", "kill", r#""target":"srv-1","at":"300ms","for":"200ms""#),
    ("network", "hold", r#""target":"srv-2","at":"900ms","for":"200ms""#),
    ("clock", "clock-jump", r#""target":"srv-3","at":"300ms","for":"500ms","by":"-1h""#),
    ("disk", "power-failure", r#""target":"srv-1","at":"1500ms","for":"200ms""#),
];

fn workload(bench: &Bench, name: &str, rules: &[&(&str, &str, &str)]) {
    let rules: Vec<String> =
        rules.iter().map(|(_, fault, rest)| format!(r#"{{"fault":"{fault}",{rest}}}"#)).collect();
    let text = format!(
        r#"{{"name":"{name}","duration":"2500ms","seed":1,"clients":{{"count":4,"rate":60}},"nemesis":[{}]}}"#,
        rules.join(",")
    );
    std::fs::write(bench.path(&format!("{name}.json")), text).unwrap();
}

#[test]
fn what_doctor_calls_usable_for_an_ordinary_user_works_and_what_it_does_not_is_refused_in_its_words() {
    let bench = Bench::new();
    programs(&bench);
    let doctor = as_user(&bench, &["doctor", "--json"]).exits(0);
    let probed: Vec<Value> = serde_json::from_str(&doctor.out).unwrap();
    let probe = |family: &str| probed.iter().find(|probed| probed["family"] == family).unwrap();
    let (usable, lacking): (Vec<_>, Vec<_>) =
        RULES.iter().partition(|(family, _, _)| probe(family)["works"] == true);
    workload(&bench, "usable", &usable);
    let said = as_user(&bench, &["run", "../usable.json", "--out", "usable"]).exits(0);
    assert!(said.out.starts_with("pass"), "{}\n{}", said.out, said.err);
    let history = std::fs::read_to_string(bench.path("home/usable/history.jsonl")).unwrap();
    for (_, fault, _) in &usable {
        let lines = history.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        let ends: Vec<Value> = lines.filter(|line| line["f"] == *fault && line["edge"] == "end").collect();
        assert!(!ends.is_empty() && ends.iter().all(|end| end["held"] == true), "{fault}: {ends:?}");
    }
    for rule in &lacking {
        workload(&bench, "lacking", &[rule]);
        let why = probe(rule.0)["why"].as_str().unwrap().to_owned();
        as_user(&bench, &["run", "../lacking.json", "--out", "lacking"]).exits(4).tells(&[&why]);
        assert!(!bench.path("home/lacking/history.jsonl").exists(), "nothing was started");
    }
    bench.assert_no_process_is_left();
}
