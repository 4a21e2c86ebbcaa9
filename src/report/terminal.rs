//! The last words on a terminal: what went wrong, the evidence, where the report
//! is, how to run it again. At most [`MOST_LINES`] lines, unless no report holds the
//! evidence: then all of it stands here.
//!
//! Renders what a judgement says and decides nothing. Whether there is a terminal
//! with colours is told by the caller. Every text may come from the system under
//! test: control characters are taken out, long lines are cut.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::text::{one_line, shorten};
use crate::checker::count;
use crate::record::coverage::Coverage;
use crate::record::{Judged, Latency, RunRecord};
use crate::verdict::{CheckResult, Verdict};

/// The summary of what has a report is never longer.
pub const MOST_LINES: usize = 15;

/// The summary of what has none is never longer.
const MOST_ALONE: usize = 500;

/// Longer lines are cut, in characters.
const WIDEST: usize = 400;

/// How lines may look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Colours {
    /// Escape sequences for a terminal.
    On,
    /// Text alone.
    Off,
}

impl Colours {
    /// On for a terminal, unless the environment variable `NO_COLOR` is set and
    /// not empty; `no_color` is its value.
    pub fn choose(terminal: bool, no_color: Option<&std::ffi::OsStr>) -> Self {
        let unwanted = no_color.is_some_and(|value| !value.is_empty());
        if terminal && !unwanted { Self::On } else { Self::Off }
    }

    fn paint(self, verdict: Option<Verdict>, text: &str) -> String {
        let code = match verdict {
            Some(Verdict::Pass) => "32",
            Some(Verdict::Violation) => "31",
            Some(Verdict::Undecided | Verdict::Infra) => "33",
            None => "2",
        };
        match self {
            Self::On => format!("\u{1b}[1;{code}m{text}\u{1b}[0m"),
            Self::Off => text.to_owned(),
        }
    }
}

/// A line: a word in colour, and what it says.
struct Line {
    word: Option<(Option<Verdict>, String)>,
    text: String,
}

impl Line {
    fn plain(text: String) -> Self {
        Self { word: None, text }
    }

    fn painted(verdict: Option<Verdict>, word: String, text: String) -> Self {
        Self { word: Some((verdict, word)), text }
    }

    fn render(&self, colours: Colours) -> String {
        let text = shorten(&one_line(&self.text), WIDEST);
        match &self.word {
            Some((verdict, word)) => format!("{} {text}", colours.paint(*verdict, word)),
            None => text,
        }
    }
}

/// The summary, one string per line, without line breaks. `report` is the path of
/// the page, as the user should type it; without one the evidence is nowhere else.
pub fn summary(record: &RunRecord, report: Option<&str>, colours: Colours) -> Vec<String> {
    let most = if report.is_some() { MOST_LINES } else { MOST_ALONE };
    let report = report.unwrap_or("none is drawn of a history alone");
    let ending = [format!("report: {report}"), format!("again:  {}", record.reproduce)].map(Line::plain);
    let mut lines = match &record.judgement {
        None => vec![Line::painted(None, "NOT JUDGED".into(), ran(record))],
        Some(judged) => {
            let word = judged.verdict.name().to_uppercase();
            let headline = Line::painted(Some(judged.verdict), word, judged.sentence.clone());
            vec![headline, Line::plain(ran(record))]
        }
    };
    let room = most - lines.len() - ending.len();
    lines.extend(record.judgement.iter().flat_map(|judged| body(judged, room)));
    if lines.len() + ending.len() < most {
        lines.extend(covered(record));
    }
    lines.extend(ending);
    lines.iter().map(|line| line.render(colours)).collect()
}

fn ran(record: &RunRecord) -> String {
    let operations = record.operations;
    let faults = record.faults.iter().filter(|fault| fault.held).count();
    format!(
        "{}, seed {}: {} operations ({} ok, {} failed, {} indeterminate){}, {} took hold",
        record.name,
        record.seed,
        operations.total(),
        operations.ok,
        operations.fail,
        operations.info,
        record.latency.map_or(String::new(), latency),
        count(faults as u64, "fault"),
    )
}

/// Coverage in a line: how many kinds of fault met how many roles, and what never came.
fn covered(record: &RunRecord) -> Option<Line> {
    let Coverage { rows, never } = &record.coverage;
    let held = rows.iter().filter(|row| row.held > 0);
    let places: BTreeSet<_> = held.map(|row| (row.fault, row.role)).collect();
    let kinds: BTreeSet<_> = places.iter().map(|(fault, _)| fault).collect();
    let roles: BTreeSet<_> = places.iter().map(|(_, role)| role.name()).collect();
    let mut text = format!(
        "coverage: {}",
        match kinds.len() {
            1 => "1 kind of fault".into(),
            many => format!("{many} kinds of fault"),
        }
    );
    if !roles.is_empty() {
        text += &format!(" at {}", roles.into_iter().collect::<Vec<_>>().join(", "));
    }
    if !never.is_empty() {
        let names: Vec<&str> = never.iter().map(|kind| kind.name()).collect();
        text += &format!("; never took hold: {}", names.join(", "));
    }
    (!rows.is_empty() || !never.is_empty()).then(|| Line::plain(text))
}

fn latency(latency: Latency) -> String {
    format!(", p50 {:.1} ms, p99 {:.1} ms", latency.p50 as f64 / 1e6, latency.p99 as f64 / 1e6)
}

/// Evidence of the check that matters, then the other checks that are no pass,
/// then what was not tested and the notes; as far as there is room.
fn body(judged: &Judged, room: usize) -> Vec<Line> {
    let leading = judged.leading();
    let wrong = |check: &&CheckResult| check.verdict.is_some_and(|found| found != Verdict::Pass);
    let others = judged
        .checks
        .iter()
        .filter(wrong)
        .filter(|check| leading.is_none_or(|first| first.name != check.name));
    let mut rest: Vec<Line> = others.map(other).collect();
    rest.extend(not_tested(judged));
    rest.extend(judged.notes.iter().map(|note| Line::plain(format!("note: {note}"))));
    let evidence = leading.map_or(&[][..], |check| &check.details);
    let kept = room - rest.len().min(room / 2);
    let mut lines: Vec<Line> =
        evidence.iter().take(kept).map(|line| Line::plain(format!("  {line}"))).collect();
    rest.truncate(room - lines.len());
    lines.extend(rest);
    lines
}

fn other(check: &CheckResult) -> Line {
    let word = check.verdict.map_or("skipped", Verdict::name).into();
    Line::painted(check.verdict, word, format!("{}: {}", check.name, check.message))
}

fn not_tested(judged: &Judged) -> Option<Line> {
    let text = || format!("not tested: {}", judged.not_tested.join("; "));
    (!judged.not_tested.is_empty()).then(|| Line::plain(text()))
}

/// The object that `--json` prints on standard output.
pub fn json(record: &RunRecord, exit: u8, run_dir: &str) -> Value {
    let judged = record.judgement.as_ref();
    let checks = judged.map_or(&[][..], |judged| &judged.checks);
    json!({
        "verdict": judged.map_or("infra", |judged| judged.verdict.name()),
        "exit": exit,
        "run_dir": run_dir,
        "checks": checks.iter().map(check).collect::<Vec<_>>(),
    })
}

fn check(check: &CheckResult) -> Value {
    let verdict = check.verdict.map_or("skipped", Verdict::name);
    json!({ "name": check.name, "verdict": verdict, "message": check.message })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample;

    #[test]
    fn a_violation_is_told_with_its_evidence_the_report_and_the_way_back() {
        let run = sample::divergence();
        let lines = summary(&run.record, Some("reports/latest/report.html"), Colours::Off);
        let expected = r"VIOLATION replicas identical: srv-2 differs from srv-1 and srv-3 and from what clients were told: it lacks everything from before its restart and holds only the effects of 1 transfer after it; srv-2 was killed at 3.00 s (after 12 acknowledged operations) and started again at 4.00 s
classic_kill, seed 7: 16 operations (13 ok, 1 failed, 2 indeterminate), p50 50.0 ms, p99 50.0 ms, 2 faults took hold
  srv-2's file lacks #10 a->b 91, acknowledged (in an order that explains the history and gives the file of srv-1 and srv-3)
";
        insta_free(&lines, expected);
        assert!(lines.len() <= MOST_LINES, "{lines:#?}");
        assert!(
            lines.iter().any(|line| line.starts_with("violation unrequested exit: coord ended")),
            "{lines:#?}"
        );
        let ending = &lines[lines.len() - 2..];
        assert_eq!(
            ending,
            [
                "report: reports/latest/report.html",
                "again:  rsm-check run workloads/classic_kill.json --seed 7"
            ]
        );
    }

    #[track_caller]
    fn insta_free(lines: &[String], expected: &str) {
        let wanted: Vec<&str> = expected.lines().collect();
        assert_eq!(lines[..wanted.len()], wanted, "{lines:#?}");
    }

    #[test]
    fn a_pass_says_what_it_does_not_cover() {
        let lines = summary(&sample::pass().record, Some("r.html"), Colours::Off);
        assert!(
            lines[0].starts_with("PASS checked and right: replicas identical, linearizable"),
            "{lines:#?}"
        );
        assert!(lines.iter().any(|line| line.starts_with("not tested: available,")), "{lines:#?}");
    }

    #[test]
    fn evidence_that_no_report_holds_is_told_in_full() {
        let mut run = sample::divergence();
        let checks = &mut run.record.judgement.as_mut().unwrap().checks;
        let leading = checks.iter_mut().find(|check| check.verdict == Some(Verdict::Violation)).unwrap();
        leading.details = (0..60).map(|step| format!("step {step}")).collect();
        let told = |report| {
            let lines = summary(&run.record, report, Colours::Off);
            lines.iter().filter(|line| line.starts_with("  step ")).count()
        };
        assert!(told(Some("r.html")) < 15);
        assert_eq!(told(None), 60);
    }

    #[test]
    fn colours_are_ours_alone() {
        let hostile = sample::hostile();
        for colours in [Colours::On, Colours::Off] {
            let text = summary(&hostile.record, Some("r.html"), colours).join("");
            let escapes = text.matches('\u{1b}').count();
            let ours = text.matches("\u{1b}[1;").count() + text.matches("\u{1b}[0m").count();
            assert_eq!(escapes, ours, "{text:?}");
            assert_eq!(colours == Colours::On, escapes > 0);
        }
    }

    #[test]
    fn no_color_and_pipes_switch_colours_off() {
        use std::ffi::OsStr;
        assert_eq!(Colours::choose(true, None), Colours::On);
        assert_eq!(Colours::choose(true, Some(OsStr::new(""))), Colours::On);
        assert_eq!(Colours::choose(true, Some(OsStr::new("1"))), Colours::Off);
        assert_eq!(Colours::choose(false, None), Colours::Off);
    }

    #[test]
    fn the_object_for_scripts_has_a_verdict_per_check() {
        let object = json(&sample::divergence().record, 1, "reports/x");
        assert_eq!(
            (&object["verdict"], &object["exit"], &object["run_dir"]),
            (&json!("violation"), &json!(1), &json!("reports/x"))
        );
        assert_eq!(object["checks"][0]["name"], "replicas identical");
        assert_eq!(object["checks"][6]["verdict"], "skipped");
    }
}
