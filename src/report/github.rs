//! Annotations of GitHub Actions: workflow commands, one per line, which the
//! runner shows beside the job.
//!
//! Renders what a judgement says and decides nothing. A line that reaches the
//! runner unescaped would be a command of the system under test: every value goes
//! through [`data`] or [`property`].

use super::text::{clean, shorten};
use crate::record::{Judged, RunRecord};
use crate::verdict::{CheckResult, Exit, Verdict};

/// Characters of one annotation; the job summary and the report hold the rest.
const LONGEST: usize = 4000;

/// How much attention an annotation asks for.
#[derive(Clone, Copy)]
enum Level {
    Error,
    Warning,
    Notice,
}

impl Level {
    fn word(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Notice => "notice",
        }
    }
}

/// The commands, a line each. `exit` is what the command will end with: where it is
/// 0, as with an expected violation, nothing is shown as an error.
pub fn annotations(record: &RunRecord, exit: Exit) -> Vec<String> {
    let wrong = if exit == Exit::Pass { Level::Notice } else { Level::Error };
    let Some(judged) = &record.judgement else {
        let why = "it was not judged: the harness was killed before its end";
        return vec![annotation(wrong, record, "infra", why)];
    };
    let found = |check: &&CheckResult| check.verdict.is_some_and(|verdict| verdict != Verdict::Pass);
    let mut lines: Vec<String> = judged
        .checks
        .iter()
        .filter(found)
        .map(|check| annotation(wrong, record, &title(check), &explanation(record, check)))
        .collect();
    if lines.is_empty() && judged.verdict != Verdict::Pass {
        lines.push(annotation(wrong, record, judged.verdict.name(), &judged.sentence));
    }
    lines.extend(not_tested(record, judged));
    lines
}

fn title(check: &CheckResult) -> String {
    format!("{}: {}", check.verdict.map_or("skipped", Verdict::name), check.name)
}

fn explanation(record: &RunRecord, check: &CheckResult) -> String {
    let lines = std::iter::once(&check.message).chain(&check.details);
    let text: Vec<String> = lines.map(|line| clean(line)).collect();
    let again = format!("\nrun it again: {}", record.reproduce);
    let room = LONGEST.saturating_sub(again.chars().count());
    shorten(&text.join("\n"), room) + &again
}

fn not_tested(record: &RunRecord, judged: &Judged) -> Option<String> {
    let text = judged.not_tested.join("\n");
    (!text.is_empty()).then(|| annotation(Level::Warning, record, "not tested", &text))
}

fn annotation(level: Level, record: &RunRecord, title: &str, message: &str) -> String {
    let title = format!("{} (seed {}): {title}", record.name, record.seed);
    format!("::{} title={}::{}", level.word(), property(&title), data(&shorten(&clean(message), LONGEST)))
}

/// A message, as the runner reads it back.
fn data(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

/// A property; there `:` and `,` have a meaning too.
fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample;

    #[test]
    fn every_check_that_is_no_pass_is_an_error_with_its_explanation() {
        let lines = annotations(&sample::divergence().record, Exit::Violation);
        let errors: Vec<&String> = lines.iter().filter(|line| line.starts_with("::error ")).collect();
        assert_eq!(errors.len(), 3, "{lines:#?}");
        assert!(
            errors[0].starts_with(
                "::error title=classic_kill (seed 7)%3A violation%3A replicas identical::srv-2 differs"
            ),
            "{errors:#?}"
        );
        assert!(errors[0].ends_with("%0Arun it again: rsm-check run workloads/classic_kill.json --seed 7"));
    }

    #[test]
    fn what_was_not_tested_is_a_warning_and_doubt_is_an_error() {
        let lines = annotations(&sample::pass().record, Exit::Pass);
        assert_eq!(lines.len(), 1, "{lines:#?}");
        assert!(
            lines[0].starts_with("::warning title=concurrent_xfer (seed 7)%3A not tested::"),
            "{lines:#?}"
        );
        let lines = annotations(&sample::undecided().record, Exit::Undecided);
        assert!(lines[0].starts_with("::error ") && lines[0].contains("undecided"), "{lines:#?}");
        let lines = annotations(&sample::killed().record, Exit::Infra);
        assert!(lines[0].starts_with("::error ") && lines[0].contains("infra"), "{lines:#?}");
    }

    #[test]
    fn a_violation_that_was_expected_is_no_error() {
        let lines = annotations(&sample::divergence().record, Exit::Pass);
        assert!(lines.iter().all(|line| !line.starts_with("::error")), "{lines:#?}");
        assert!(lines[0].starts_with("::notice "), "{lines:#?}");
    }

    #[test]
    fn no_text_of_the_system_under_test_becomes_a_command() {
        let mut run = sample::hostile();
        let command = "x\n::set-output name=a::b\r\n::error::100%";
        run.record.name = command.into();
        run.record.judgement.as_mut().unwrap().checks[0].message = command.into();
        let lines = annotations(&run.record, Exit::Violation);
        for line in &lines {
            assert!(!line.contains(['\n', '\r', '\u{1b}']), "{line:?}");
            let title = line.split("::").nth(1).unwrap().split_once(" title=").unwrap().1;
            assert!(!title.contains([':', ',']), "{line}");
        }
        assert!(lines.iter().any(|line| line.contains("100%25")), "{lines:#?}");
    }
}
