//! What a run leaves for other programs: JUnit for CI systems, `run.json` with its
//! schema, annotations and a summary for GitHub, a trace for Perfetto.
//!
//! Two validators are programs of other people; a machine without them is told so, and
//! `RSM_CHECK_MUST_OFFER=validators` makes that a failure.

mod support;

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use support::{Bench, project};

/// Runs a validator; says that it skipped where there is none.
#[track_caller]
fn validate(program: &str, words: &[&Path], before: &[&str]) {
    match Command::new(program).args(before).args(words).output() {
        Ok(output) => {
            let said = String::from_utf8_lossy(&output.stderr) + String::from_utf8_lossy(&output.stdout);
            assert!(output.status.success(), "{program} {words:?}: {said}");
        }
        Err(why) => {
            let must = std::env::var("RSM_CHECK_MUST_OFFER").unwrap_or_default();
            assert!(!must.split(',').any(|word| word == "validators"), "{program}: {why}");
            eprintln!("SKIPPED: {program} cannot be run ({why}); {words:?} was not validated");
        }
    }
}

/// `xmllint` of libxml2, against the schema of Jenkins' xUnit plugin.
#[track_caller]
fn validate_junit(file: &Path) {
    let schema = project("tests/schemas/junit-10.xsd");
    validate("xmllint", &[&schema, file], &["--noout", "--nonet", "--schema"]);
}

/// Debian's `python3-jsonschema`, asked through its own interpreter.
#[track_caller]
fn validate_run(file: &Path) {
    let schema = project("docs/run.schema.json");
    validate("/usr/bin/python3", &[&project("tests/schemas/validate.py"), &schema, file], &["-I"]);
}

fn text(path: PathBuf) -> String {
    std::fs::read_to_string(&path).unwrap_or_else(|why| panic!("{}: {why}", path.display()))
}

#[test]
fn the_validator_of_junit_refuses_what_is_wrong() {
    if Command::new("xmllint").arg("--version").output().is_err() {
        return validate_junit(Path::new("none"));
    }
    let bench = Bench::new();
    let file = bench.path("wrong.xml");
    std::fs::write(&file, r#"<testsuites><testsuite name="x" tests="1"/></testsuites>"#).unwrap();
    let refused = std::panic::catch_unwind(|| validate_junit(&file));
    assert!(refused.is_err(), "a suite without its counts was taken");
}

#[test]
fn every_kind_of_junit_file_is_valid_by_the_schema_of_ci_systems() {
    for entry in std::fs::read_dir(project("src/report/golden")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "xml") {
            validate_junit(&path);
        }
    }
}

#[test]
fn the_published_schema_of_run_json_is_the_one_that_is_printed() {
    let printed = Bench::new().output(&["schema", "run"]).exits(0).out;
    let published = text(project("docs/run.schema.json"));
    assert_eq!(printed, published, "write it anew: rsm-check schema run > docs/run.schema.json");
}

#[test]
fn a_run_is_told_to_ci_and_to_perfetto() {
    let bench = Bench::new();
    let trace = bench.path("trace.json");
    let step = bench.path("step.md");
    let run_dir = bench.run_dir();
    let workload = project("workloads/classic_kill.json");
    let words = ["run", workload.to_str().unwrap(), "--seed", "3", "--out", run_dir.to_str().unwrap()];
    let more = ["--github", "--summary", "summary.md", "--trace", trace.to_str().unwrap(), "--quiet"];
    let output =
        bench.command(&[&words[..], &more].concat()).env("GITHUB_STEP_SUMMARY", &step).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.lines().all(|line| line.starts_with("::")), "{said}");
    assert!(
        said.starts_with("::error title=classic_kill (seed 3)%3A violation%3A replicas identical::"),
        "{said}"
    );
    let summary = text(bench.path("summary.md"));
    assert!(summary.starts_with("## \u{274c} violation: classic\\_kill, seed 3"), "{summary}");
    assert_eq!(text(step), summary);
    let trace: Value = serde_json::from_str(&text(trace)).unwrap();
    let named =
        |name: &str| trace["traceEvents"].as_array().unwrap().iter().any(|event| event["name"] == name);
    assert!(named("process_name") && named("faulty") && named("start"));
    validate_junit(&run_dir.join("junit.xml"));
    validate_run(&run_dir.join("run.json"));
}

#[test]
fn a_report_tells_the_same_afterwards_and_overwrites_no_trace() {
    let bench = Bench::new();
    let run_dir = bench.run_dir();
    let run_dir = run_dir.to_str().unwrap();
    bench.run(&project("workloads/classic_quiet.json"), &["--quiet"]).exits(0);
    let words = ["report", run_dir, "--github", "--summary", "s.md", "--trace", "t.json"];
    let said = bench.output(&words).exits(0);
    assert!(said.err.lines().all(|line| line.starts_with("::warning ")), "{}", said.err);
    assert!(text(bench.path("s.md")).contains("pass: classic\\_quiet"));
    bench.output(&words).exits(2).tells(&["--trace t.json: it exists, and nothing is overwritten"]);
    bench
        .output(&["report", run_dir, "--summary", "no/such/s.md"])
        .exits(2)
        .tells(&["--summary no/such/s.md"]);
    validate_run(&bench.run_dir().join("run.json"));
}

#[test]
fn the_list_of_runs_is_written_anew_after_each() {
    let bench = Bench::new();
    let workload = bench.workload(
        r#"{"name":"listed","clients":{"count":1},"checks":{"minimum_acknowledged":1},
            "script":[{"client":0,"from":"a","to":"b","amount":30}]}"#,
    );
    for seed in ["1", "2"] {
        bench.output(&["run", workload.to_str().unwrap(), "--seed", seed, "--quiet"]).exits(0);
    }
    let page = text(bench.path("reports/index.html"));
    assert_eq!(page.matches("report.html").count(), 2, "{page}");
    let (first, second) = (page.find("listed-1-").unwrap(), page.find("listed-2-").unwrap());
    assert!(second < first, "the newest comes first: {page}");
}
