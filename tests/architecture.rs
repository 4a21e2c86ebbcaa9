//! Keeps the walls that ARCHITECTURE.md draws: which module may know which.
//!
//! Reads the sources as text; a wall is a line in [`WALLS`]. Whoever adds an
//! arrow here says why in ARCHITECTURE.md.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use petgraph::graphmap::DiGraphMap;

/// Every module of the library with the modules that it may use, in reading order.
const WALLS: &[(&str, &[&str])] = &[
    ("excerpt", &[]),
    ("op", &[]),
    ("fault", &[]),
    ("verdict", &[]),
    ("proof", &[]),
    ("history", &["excerpt", "op", "fault"]),
    ("clock", &[]),
    ("loopback", &[]),
    ("regular_file", &[]),
    ("sync", &[]),
    ("workload", &["excerpt", "fault"]),
    ("plan", &["op", "fault", "workload"]),
    ("cluster", &["fault", "clock", "loopback", "sync", "workload"]),
    ("client", &["op", "loopback"]),
    ("nemesis", &["fault", "sync", "plan", "cluster"]),
    ("recorder", &["op", "fault", "history", "clock", "sync", "client", "cluster"]),
    ("recorded", &["fault", "history", "workload"]),
    (
        "runner",
        &[
            "op",
            "fault",
            "history",
            "clock",
            "sync",
            "workload",
            "plan",
            "cluster",
            "client",
            "nemesis",
            "recorder",
            "recorded",
            "regular_file",
        ],
    ),
    // Knows neither the search nor its models: a verifier that shared them would share their mistakes.
    ("verifier", &["op", "proof", "history"]),
    ("checker", &["op", "fault", "verdict", "proof", "history", "workload", "recorded", "verifier"]),
    ("record", &["op", "fault", "verdict", "proof", "history", "workload", "recorded", "checker"]),
    ("run_dir", &["fault", "verdict", "history", "regular_file", "workload", "recorded", "record"]),
    ("report", &["op", "fault", "verdict", "history", "recorded", "checker", "record", "run_dir"]),
    (
        "cli",
        &[
            "op",
            "fault",
            "verdict",
            "history",
            "regular_file",
            "sync",
            "workload",
            "plan",
            "cluster",
            "recorded",
            "runner",
            "proof",
            "verifier",
            "checker",
            "record",
            "run_dir",
            "report",
        ],
    ),
];

/// Modules that must be plain computation, and what they must not name.
const PURE: &[&str] = &["op", "fault", "verdict", "proof", "history/line.rs", "plan", "verifier", "checker"];
const WORLD: &[&str] =
    &["tokio", "nix::", "libc::", "socket2", "std::fs", "std::net", "std::process::Command", "std::thread"];

fn source() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

fn files_below(path: &Path, files: &mut Vec<PathBuf>) {
    if path.is_dir() {
        for entry in std::fs::read_dir(path).unwrap() {
            files_below(&entry.unwrap().path(), files);
        }
    } else if path.extension().is_some_and(|extension| extension == "rs") {
        files.push(path.to_path_buf());
    }
}

/// The files of a module: `name.rs`, or everything below `name/`.
fn module(name: &str) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for path in [source().join(name), source().join(format!("{name}.rs"))] {
        if path.exists() {
            files_below(&path, &mut files);
        }
    }
    files
}

/// The lines of code of a file, without comments and without its tests.
fn code(file: &Path) -> String {
    let text = std::fs::read_to_string(file).unwrap();
    let body = text.split("\n#[cfg(test)]\nmod tests {").next().unwrap_or_default();
    let lines = body.lines().filter(|line| !line.trim_start().starts_with("//"));
    lines.collect::<Vec<_>>().join("\n")
}

/// The modules of this library that some code names as `crate::module`.
fn used(code: &str) -> BTreeSet<String> {
    let names = code.split("crate::").skip(1).map(|rest| {
        let end = rest.find(|letter: char| !letter.is_alphanumeric() && letter != '_').unwrap_or(rest.len());
        rest[..end].to_string()
    });
    names.filter(|name| WALLS.iter().any(|(module, _)| module == name)).collect()
}

fn is_test_only(file: &Path) -> bool {
    let name = file.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
    name == "testing" || name == "sample" || name == "tests" || name.ends_with("_tests")
}

fn arrows() -> BTreeMap<&'static str, BTreeSet<String>> {
    let of = |name: &'static str| {
        let files = module(name);
        assert!(!files.is_empty(), "the module `{name}` is gone: mend the walls");
        let code = files.iter().filter(|file| !is_test_only(file)).map(|file| code(file));
        let mut used: BTreeSet<String> = code.flat_map(|code| used(&code)).collect();
        used.remove(name);
        (name, used)
    };
    WALLS.iter().map(|(name, _)| of(name)).collect()
}

#[test]
fn no_module_uses_one_that_it_must_not_know() {
    let arrows = arrows();
    for (name, allowed) in WALLS {
        for used in &arrows[name] {
            assert!(allowed.contains(&used.as_str()), "`{name}` uses `{used}`; it may use {allowed:?}");
        }
    }
}

#[test]
fn every_allowed_arrow_exists_so_that_the_walls_stay_tight() {
    let arrows = arrows();
    let unused = |(name, allowed): &(&'static str, &[&'static str])| -> Vec<String> {
        let gone = allowed.iter().filter(|wanted| !arrows[name].contains(**wanted));
        gone.map(|wanted| format!("{name} -> {wanted}")).collect()
    };
    let unused: Vec<String> = WALLS.iter().flat_map(unused).collect();
    assert!(unused.is_empty(), "no longer used, take them away: {unused:?}");
}

#[test]
fn arrows_never_lead_back() {
    let arrows = arrows();
    let edges = arrows.iter().flat_map(|(from, to)| to.iter().map(move |to| (*from, to.as_str())));
    let graph: DiGraphMap<&str, ()> = edges.collect();
    let knots: Vec<Vec<&str>> =
        petgraph::algo::tarjan_scc(&graph).into_iter().filter(|knot| knot.len() > 1).collect();
    assert!(knots.is_empty(), "modules that know one another: {knots:?}");
}

#[test]
fn every_module_of_the_library_has_its_walls() {
    let lib = std::fs::read_to_string(source().join("lib.rs")).unwrap();
    let declared = lib.lines().filter_map(|line| line.strip_prefix("pub mod ")?.strip_suffix(';'));
    let known: Vec<&str> = WALLS.iter().map(|(name, _)| *name).collect();
    assert_eq!(declared.collect::<BTreeSet<_>>(), known.into_iter().collect());
}

#[test]
fn what_must_be_plain_computation_touches_nothing_of_the_world() {
    for name in PURE {
        let files = if name.ends_with(".rs") { vec![source().join(name)] } else { module(name) };
        for file in files {
            let code = code(&file);
            for word in WORLD {
                assert!(!code.contains(word), "{} names `{word}`", file.display());
            }
        }
    }
}

#[test]
fn the_reference_system_and_the_harness_meet_on_the_wire_alone() {
    let mut files = Vec::new();
    files_below(&source().join("bin"), &mut files);
    assert!(files.len() > 2);
    for file in files {
        assert!(!code(&file).contains("rsm_check"), "{} uses the harness", file.display());
    }
}

#[test]
fn every_file_begins_with_what_it_is_for() {
    let mut files = Vec::new();
    files_below(&source(), &mut files);
    for file in files {
        let text = std::fs::read_to_string(&file).unwrap();
        assert!(text.starts_with("//!"), "{} does not say what it is for", file.display());
    }
}
