//! What JUnit, Markdown, annotations and the terminal show, byte for byte.
//!
//! The files lie in `golden/`. After a wanted change `RSM_CHECK_GOLDEN=write cargo test
//! --lib golden` writes them anew, and the difference is for whoever reviews it.

use std::fs;
use std::path::Path;

use super::sample::HOSTILE;
use super::terminal::Colours;
use super::{github, junit, markdown, sample, terminal};
use crate::record::Judged;
use crate::run_dir::LoadedRun;
use crate::verdict::{CheckName, CheckResult, Exit, merge};

#[track_caller]
fn same(name: &str, found: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/report/golden").join(name);
    if std::env::var_os("RSM_CHECK_GOLDEN").is_some_and(|asked| asked == "write") {
        fs::write(&path, found).unwrap();
    }
    let wanted = fs::read_to_string(&path).unwrap_or_else(|why| panic!("{}: {why}", path.display()));
    assert_eq!(found, wanted, "{} differs", path.display());
}

/// The judgement is written here rather than made: a checker that finds better words
/// changes nothing that is tested here.
fn samples() -> [(&'static str, LoadedRun, Exit); 5] {
    let available = || CheckResult::skipped(CheckName::Available, "not demanded of this system");
    let same = |text: &str| CheckResult::pass(CheckName::ReplicasIdentical, text);
    let broken = CheckResult::violation(CheckName::Linearizable, "no order explains #10 (a -> b 91)")
        .with_details([
            "account a would have to hold 80; every order gives 9".into(),
            "  100 % | sure".into(),
        ]);
    let ended = CheckResult::violation(CheckName::UnrequestedExit, "coord ended unasked at 8.00 s");
    let few = CheckResult::undecided(CheckName::Assumptions, "only 2 operations acknowledged");
    let hostile = CheckResult::violation(CheckName::Protocol, HOSTILE).with_details([HOSTILE.into()]);
    [
        (
            "pass",
            judged(sample::pass(), vec![same("3 files hold the same 44 bytes"), available()]),
            Exit::Pass,
        ),
        ("divergence", judged(sample::divergence(), vec![broken, same("3 files"), ended]), Exit::Violation),
        ("undecided", judged(sample::undecided(), vec![same("3 files"), few]), Exit::Undecided),
        ("killed", sample::killed(), Exit::Infra),
        ("hostile", judged(sample::hostile(), vec![hostile]), Exit::Violation),
    ]
}

fn judged(mut run: LoadedRun, checks: Vec<CheckResult>) -> LoadedRun {
    let verdict = merge(&checks);
    let leading = checks.iter().find(|check| check.verdict == Some(verdict));
    let sentence = leading.map_or(String::new(), |check| format!("{}: {}", check.name, check.message));
    let skipped = checks.iter().filter(|check| check.verdict.is_none());
    let not_tested = skipped.map(|check| format!("{}, {}", check.name, check.message)).collect();
    run.record.judgement = Some(Judged {
        verdict,
        exit: verdict.exit() as u8,
        line: format!("{verdict}: {sentence}"),
        sentence,
        checks,
        not_tested,
        notes: vec!["the guard refused 92.3 % of 13 transfers".into()],
        refused: None,
        moments: Vec::new(),
        order: None,
    });
    run
}

#[test]
fn junit_is_the_golden_one() {
    for (name, run, _) in samples() {
        same(&format!("{name}.junit.xml"), &junit::render(&run.record).unwrap());
    }
}

#[test]
fn markdown_is_the_golden_one() {
    for (name, run, _) in samples() {
        same(&format!("{name}.md"), &markdown::summary(&run.record, "reports/sample/report.html"));
    }
}

#[test]
fn annotations_are_the_golden_ones() {
    for (name, run, exit) in samples() {
        let lines = github::annotations(&run.record, exit);
        same(
            &format!("{name}.github.txt"),
            &lines.iter().map(|line| format!("{line}\n")).collect::<String>(),
        );
    }
}

#[test]
fn the_terminal_summary_is_the_golden_one() {
    for (name, run, _) in samples() {
        let lines = terminal::summary(&run.record, Some("reports/sample/report.html"), Colours::Off);
        assert!(lines.len() <= terminal::MOST_LINES, "{name}: {lines:#?}");
        same(
            &format!("{name}.terminal.txt"),
            &lines.iter().map(|line| format!("{line}\n")).collect::<String>(),
        );
    }
    let lines =
        terminal::summary(&sample::divergence().record, Some("reports/sample/report.html"), Colours::On);
    same("divergence.colours.txt", &lines.iter().map(|line| format!("{line}\n")).collect::<String>());
}
