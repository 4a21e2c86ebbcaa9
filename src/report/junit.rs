//! `junit.xml`: a case per check, as CI systems show them.
//!
//! Renders what a judgement says and decides nothing. A violation is a failure;
//! undecided and infra are errors, never passes; skipped is skipped. The text of
//! a failure is its explanation.

use std::time::Duration;

use quick_junit::{NonSuccessKind, Property, Report, TestCase, TestCaseStatus, TestSuite};

use crate::record::{Judged, RunRecord};
use crate::verdict::{CheckResult, Verdict};

/// The document.
///
/// # Errors
/// In words, if it cannot be serialized.
pub fn render(record: &RunRecord) -> Result<String, String> {
    let mut suite = TestSuite::new(record.name.as_str());
    suite.set_time(length(record));
    suite.extra.insert("timestamp".into(), record.started.as_str().into());
    suite.add_property(Property::new("seed", record.seed.to_string()));
    suite.add_property(Property::new("rsm-check", record.rsm_check.as_str()));
    suite.add_property(Property::new("reproduce", record.reproduce.as_str()));
    let cases = cases(record);
    let skipped = cases.iter().filter(|case| matches!(case.status, TestCaseStatus::Skipped { .. })).count();
    suite.extra.insert("skipped".into(), skipped.to_string().into());
    suite.add_test_cases(cases);
    let mut report = Report::new("rsm-check");
    report.set_time(length(record)).add_test_suite(suite);
    report.to_string().map(|xml| without_disabled(&xml)).map_err(|why| why.to_string())
}

/// The library counts disabled cases in an attribute that the schema of CI systems does
/// not know; they count skipped ones, which stand in an attribute of their own. No text
/// from outside can look like it before it comes: in attributes quotes are escaped.
pub(super) fn without_disabled(xml: &str) -> String {
    let Some((before, rest)) = xml.split_once(" disabled=\"") else { return xml.into() };
    let Some((_, after)) = rest.split_once('"') else { return xml.into() };
    format!("{before}{after}")
}

/// The phases together, a hint for the eye: not the wall clock of the harness.
fn length(record: &RunRecord) -> Duration {
    let last = record.phases.last();
    Duration::from_nanos(last.map_or(0, |phase| phase.end.unwrap_or(phase.begin)))
}

fn cases(record: &RunRecord) -> Vec<TestCase> {
    let Some(judged) = &record.judgement else {
        return vec![unfinished(record, "the harness was killed before the run was judged")];
    };
    let mut cases: Vec<TestCase> = judged.checks.iter().map(|check| case(record, check)).collect();
    if judged.verdict == Verdict::Infra || (judged.verdict == Verdict::Violation && record.reason.is_some()) {
        cases.push(unfinished(record, record.reason.as_deref().unwrap_or(&judged.sentence)));
    }
    cases.extend(noted(record, judged));
    cases
}

/// Notes have no place of their own in the format; a passed case carries them.
fn noted(record: &RunRecord, judged: &Judged) -> Option<TestCase> {
    let mut case = TestCase::new("notes", TestCaseStatus::success());
    case.set_classname(record.name.as_str()).set_system_out(judged.notes.join("\n"));
    (!judged.notes.is_empty()).then_some(case)
}

fn unfinished(record: &RunRecord, why: &str) -> TestCase {
    let mut status = TestCaseStatus::non_success(NonSuccessKind::Error);
    status.set_type("infra").set_message(why).set_description(why);
    let mut case = TestCase::new("run finished", status);
    case.set_classname(record.name.as_str());
    case
}

fn case(record: &RunRecord, check: &CheckResult) -> TestCase {
    let mut status = match check.verdict {
        None => TestCaseStatus::skipped(),
        Some(Verdict::Pass) => TestCaseStatus::success(),
        Some(Verdict::Violation) => TestCaseStatus::non_success(NonSuccessKind::Failure),
        Some(Verdict::Undecided | Verdict::Infra) => TestCaseStatus::non_success(NonSuccessKind::Error),
    };
    let passed = check.verdict == Some(Verdict::Pass);
    if !passed {
        let kind = check.verdict.map_or("skipped", Verdict::name);
        status.set_type(kind).set_message(check.message.as_str()).set_description(explanation(record, check));
    }
    let mut case = TestCase::new(check.name.name(), status);
    case.set_classname(record.name.as_str());
    if passed {
        case.set_system_out(check.message.as_str());
    }
    case
}

fn explanation(record: &RunRecord, check: &CheckResult) -> String {
    let mut lines = vec![check.message.clone()];
    lines.extend(check.details.iter().cloned());
    if check.verdict.is_some() {
        lines.push(format!("run it again: {}", record.reproduce));
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample;

    #[test]
    fn every_check_is_a_case_and_no_doubt_is_a_pass() {
        let xml = render(&sample::divergence().record).unwrap();
        assert!(xml.contains(r#"<testcase name="replicas identical" classname="classic_kill">"#), "{xml}");
        assert!(xml.contains(r#"tests="9" errors="0" failures="3""#), "{xml}");
        assert!(xml.contains(r#"skipped="1""#), "{xml}");
        assert!(xml.contains("run it again: rsm-check run workloads/classic_kill.json --seed 7"), "{xml}");
    }

    #[test]
    fn undecided_and_infra_are_errors() {
        let xml = render(&sample::undecided().record).unwrap();
        assert!(xml.contains(r#"errors="1""#) && xml.contains(r#"type="undecided""#), "{xml}");
        let xml = render(&sample::killed().record).unwrap();
        assert!(xml.contains(r#"<testcase name="run finished""#) && xml.contains(r#"errors="1""#), "{xml}");
    }

    #[test]
    fn hostile_text_is_escaped_and_the_document_stays_well_formed() {
        let xml = render(&sample::hostile().record).unwrap();
        assert!(!xml.contains("<script") && !xml.contains('\u{1b}'), "{xml}");
    }
}
