//! The summary of a run in Markdown, for the page of a CI job.
//!
//! Renders what a judgement says and decides nothing. Bounded, since GitHub takes
//! at most 1 MiB for a step. Text from outside is escaped: neither markup nor HTML
//! of the system under test is ever in force.

use super::text::{clean, one_line, shorten};
use crate::record::{FaultRecord, Judged, RunRecord};
use crate::verdict::{CheckResult, Verdict};

/// Lines of evidence of one check; the report holds the others.
const EVIDENCE: usize = 30;
/// Characters of one text.
const TEXT: usize = 1000;

/// The summary. `report` says where the page is, as a reader would look for it.
pub fn summary(record: &RunRecord, report: &str) -> String {
    let mut text = format!("## {} {}, seed {}\n\n", sign(record), escape(&record.name), record.seed);
    match &record.judgement {
        None => text.push_str("**Not judged**: the harness was killed before its end.\n\n"),
        Some(judged) => text.push_str(&judgement(judged)),
    }
    text.push_str(&ran(record));
    text.push_str(&faults(&record.faults));
    text.push_str(&format!("Run it again:\n\n{}\n", block(&record.reproduce)));
    text.push_str(&format!("The report is {}.\n", code(report)));
    text
}

/// A word, not a colour alone.
fn sign(record: &RunRecord) -> &'static str {
    match record.judgement.as_ref().map(|judged| judged.verdict) {
        Some(Verdict::Pass) => "\u{2705} pass:",
        Some(Verdict::Violation) => "\u{274c} violation:",
        Some(Verdict::Undecided) => "\u{2754} undecided:",
        Some(Verdict::Infra) => "\u{26a0}\u{fe0f} infra:",
        None => "\u{26a0}\u{fe0f} not judged:",
    }
}

fn judgement(judged: &Judged) -> String {
    let mut text =
        format!("{}\n\n| check | verdict | what was found |\n|---|---|---|\n", escape(&judged.sentence));
    for check in &judged.checks {
        let verdict = check.verdict.map_or("skipped", Verdict::name);
        text.push_str(&format!("| {} | {verdict} | {} |\n", check.name, escape(&check.message)));
    }
    text.push('\n');
    judged.checks.iter().for_each(|check| text.push_str(&evidence(check)));
    for line in &judged.not_tested {
        text.push_str(&format!("- not tested: {}\n", escape(line)));
    }
    for line in judged.notes.iter().take(EVIDENCE) {
        text.push_str(&format!("- note: {}\n", escape(line)));
    }
    if !(judged.not_tested.is_empty() && judged.notes.is_empty()) {
        text.push('\n');
    }
    text
}

fn evidence(check: &CheckResult) -> String {
    let passed = matches!(check.verdict, None | Some(Verdict::Pass));
    if passed || check.details.is_empty() {
        return String::new();
    }
    let mut lines: Vec<String> =
        check.details.iter().take(EVIDENCE).map(|line| shorten(&one_line(line), TEXT)).collect();
    let more = check.details.len().saturating_sub(EVIDENCE);
    if more > 0 {
        lines.push(format!("... and {more} more in the report"));
    }
    format!(
        "<details><summary>Evidence: {}</summary>\n\n{}\n</details>\n\n",
        check.name,
        block(&lines.join("\n"))
    )
}

fn ran(record: &RunRecord) -> String {
    let operations = record.operations;
    format!(
        "{} operations: {} ok, {} failed, {} indeterminate.\n\n",
        operations.total(),
        operations.ok,
        operations.fail,
        operations.info
    )
}

/// A row per kind, in the order in which they first came.
fn faults(faults: &[FaultRecord]) -> String {
    if faults.is_empty() {
        return "No fault was begun.\n\n".into();
    }
    let mut kinds = Vec::new();
    for fault in faults {
        if !kinds.contains(&fault.kind) {
            kinds.push(fault.kind);
        }
    }
    let mut text =
        String::from("| fault | begun | took hold | operations that overlapped it |\n|---|---|---|---|\n");
    for kind in kinds {
        let of_kind = || faults.iter().filter(|fault| fault.kind == kind);
        let held = of_kind().filter(|fault| fault.held).count();
        let overlapped: u64 = of_kind().map(|fault| fault.overlapped).sum();
        text.push_str(&format!("| {kind} | {} | {held} | {overlapped} |\n", of_kind().count()));
    }
    text + "\n"
}

/// Text that is nothing but text: no markup, no HTML, one line, no end of a cell.
pub(super) fn escape(text: &str) -> String {
    let mut escaped = String::new();
    for letter in shorten(&one_line(text), TEXT).chars() {
        match letter {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '\\' | '`' | '*' | '_' | '[' | ']' | '#' | '|' | '~' | '!' | '$' | '@' => {
                escaped.push('\\');
                escaped.push(letter);
            }
            _ => escaped.push(letter),
        }
    }
    escaped
}

/// A fence that is longer than any that the text holds.
fn fence(text: &str, least: usize) -> String {
    let mut longest = 0;
    let mut length = 0;
    for letter in text.chars() {
        length = if letter == '`' { length + 1 } else { 0 };
        longest = longest.max(length);
    }
    "`".repeat((longest + 1).max(least))
}

pub(super) fn block(text: &str) -> String {
    let text = clean(text);
    let fence = fence(&text, 3);
    format!("{fence}text\n{text}\n{fence}\n")
}

fn code(text: &str) -> String {
    let text = one_line(text);
    let fence = fence(&text, 1);
    format!("{fence} {text} {fence}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample;

    #[test]
    fn hostile_text_stays_text() {
        let text = summary(&sample::hostile().record, "reports/x/report.html");
        let fenced: Vec<&str> = text.split("```").collect();
        let outside: String = fenced.iter().step_by(2).copied().collect();
        let ours =
            outside.replace("<details><summary>", "").replace("</summary>", "").replace("</details>", "");
        assert!(!ours.contains('<') && !text.contains('\u{1b}') && !text.contains('\u{202e}'), "{text}");
    }

    #[test]
    fn markup_and_the_end_of_a_cell_are_escaped() {
        assert_eq!(escape("a|b*c*\n[x](y) <b> `d` @me"), "a\\|b\\*c\\* \\[x\\](y) &lt;b&gt; \\`d\\` \\@me");
    }

    #[test]
    fn a_fence_is_longer_than_what_it_holds() {
        assert_eq!(block("a ```` b"), "`````text\na ```` b\n`````\n");
        assert_eq!(code("a`b"), "`` a`b ``");
    }

    #[test]
    fn evidence_is_bounded() {
        let mut run = sample::divergence();
        run.record.judgement.as_mut().unwrap().checks[0].details = vec!["x".repeat(5000); 10_000];
        let text = summary(&run.record, "r.html");
        assert!(text.len() < 1 << 16, "{} bytes", text.len());
        assert!(text.contains("... and 9970 more in the report"));
    }
}
