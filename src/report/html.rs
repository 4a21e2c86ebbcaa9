//! `report.html`: one self-contained page that tells what broke, what was going
//! on and how to run it again.
//!
//! Renders what was recorded and decides nothing. No script, no request to any
//! host: the page's own policy forbids both. Every text from outside is escaped
//! and freed of characters that mislead; every list is bounded, whatever the run.

use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::text::{clean, one_line, shorten};
use super::{files, timeline};
use crate::checker::count;
use crate::checker::node_life::seconds;
use crate::fault::Node;
use crate::record::{Judged, RunRecord};
use crate::recorded::{Rest, RunState};
use crate::run_dir::{LoadedRun, NodeLog};
use crate::verdict::{CheckResult, Verdict};

const STYLE: &str = include_str!("assets/report.css");
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'";

/// Rows of a table, lines of a list; more are counted, not shown.
const ROWS: usize = 300;
/// Lines of evidence at the top of the page.
const EVIDENCE: usize = 12;
/// Characters of a text that a program under test wrote.
const TEXT: usize = 2000;

/// The whole page.
pub fn render(run: &LoadedRun) -> String {
    let record = &run.record;
    let verdict = record.judgement.as_ref().map_or("not judged", |judged| judged.verdict.name());
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta http-equiv="Content-Security-Policy" content=(POLICY);
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="referrer" content="no-referrer";
                title { (verdict) ": " (record.name) ", seed " (record.seed) }
                style { (PreEscaped(STYLE)) }
            }
            body { main { (body(run)) } }
        }
    };
    page.into_string()
}

fn body(run: &LoadedRun) -> Markup {
    let record = &run.record;
    let replicas = (1..=record.workload.cluster.replicas).map(Node::Srv);
    let nodes: Vec<Node> = std::iter::once(Node::Coord).chain(replicas).collect();
    html! {
        h1 { (record.name) ", seed " (record.seed) ", " time datetime=(record.started) { (record.started) } }
        (top(record))
        @if let Some(judged) = &record.judgement { (checks(judged)) (not_tested(judged)) }
        h2 { "The run at a glance" }
        (timeline::draw(&run.history, &nodes))
        (figures(record))
        h2 { "Replicas' files" }
        (rest(record.rest))
        (files::draw(&run.files))
        (executed(record))
        (coverage(record))
        (skipped(record))
        (logs(run))
        (circumstances(record))
    }
}

fn top(record: &RunRecord) -> Markup {
    match &record.judgement {
        Some(judged) => html! {
            section class={ "card " (judged.verdict.name()) } {
                p.verdict { (judged.verdict.name()) }
                p.sentence { (text(&judged.sentence)) }
                (evidence(judged.leading()))
                (again(record))
            }
        },
        None => html! {
            section class="card skipped" {
                p.verdict { "not judged" }
                p.sentence { (unjudged(record)) }
                (again(record))
            }
        },
    }
}

fn unjudged(record: &RunRecord) -> &'static str {
    match record.state {
        RunState::Running => {
            "The record says that the run is under way, or the harness was killed: nothing was decided."
        }
        _ => "The run ended before anything was decided.",
    }
}

fn evidence(leading: Option<&CheckResult>) -> Markup {
    let details = leading.map_or(&[][..], |check| &check.details);
    html! { @if !details.is_empty() { ul.evidence { @for line in details.iter().take(EVIDENCE) { li { (text(line)) } } } } }
}

fn again(record: &RunRecord) -> Markup {
    html! { p.quiet { "Run it again:" } pre { (text(&record.reproduce)) } }
}

fn text(text: &str) -> String {
    shorten(&clean(text), TEXT)
}

fn checks(judged: &Judged) -> Markup {
    html! {
        h2 { "Checks" }
        div.wide { table.checks {
            thead { tr { th scope="col" { "Check" } th scope="col" { "Verdict" } th scope="col" { "What was found" } } }
            tbody { @for check in &judged.checks { (check_row(check, shown_above(judged, check))) } }
        } }
    }
}

/// How many details of a check stand at the top of the page already.
fn shown_above(judged: &Judged, check: &CheckResult) -> usize {
    let leads = judged.leading().is_some_and(|leading| leading.name == check.name);
    if leads { EVIDENCE } else { 0 }
}

fn check_row(check: &CheckResult, above: usize) -> Markup {
    let word = check.verdict.map_or("skipped", Verdict::name);
    let details = &check.details[above.min(check.details.len())..];
    html! {
        tr {
            th scope="row" { (check.name) }
            td { span class={ "badge " (word) } { (word) } }
            td {
                (text(&check.message))
                @if !details.is_empty() { ul { @for line in details.iter().take(ROWS) { li { (text(line)) } } } }
            }
        }
    }
}

fn not_tested(judged: &Judged) -> Markup {
    html! {
        @if !judged.not_tested.is_empty() {
            h2 { "Not tested" }
            ul { @for line in &judged.not_tested { li { (text(line)) } } }
        }
        @if !judged.notes.is_empty() {
            h2 { "Notes" }
            ul { @for line in judged.notes.iter().take(ROWS) { li { (text(line)) } } }
        }
    }
}

fn figures(record: &RunRecord) -> Markup {
    let operations = record.operations;
    let refused = record.judgement.as_ref().and_then(|judged| judged.refused);
    html! {
        h2 { "Operations" }
        dl.figures {
            (figure("acknowledged", operations.ok.to_string()))
            (figure("certainly did not happen", operations.fail.to_string()))
            (figure("outcome unknown", operations.info.to_string()))
            @if let Some(latency) = record.latency {
                (figure("latency p50", millis(latency.p50)))
                (figure("latency p99", millis(latency.p99)))
                (figure("latency max", millis(latency.max)))
            }
            @if let Some(share) = refused {
                @let about = if share.exact { "refused by the guard" } else { "refused by the guard, estimate" };
                (figure(about, format!("{:.1} %", share.percent())))
            }
        }
    }
}

fn figure(name: &str, value: String) -> Markup {
    html! { div { dt { (name) } dd { (value) } } }
}

fn millis(nanos: u64) -> String {
    format!("{:.1} ms", nanos as f64 / 1e6)
}

fn rest(rest: Rest) -> Markup {
    let sentence = match rest {
        Rest::NotReached => {
            "The run ended before the files came to rest: they may be in mid-rewrite and prove nothing."
        }
        Rest::Settled => "As collected after they had come to rest.",
        Rest::Differing => "As collected when none of them changed any more, though they differed.",
        Rest::Changing => "As collected when the time for settling was over: they were still changing.",
    };
    html! { p.quiet { (sentence) } }
}

fn nodes(nodes: &[Node]) -> String {
    nodes.iter().map(Node::to_string).collect::<Vec<_>>().join(", ")
}

fn executed(record: &RunRecord) -> Markup {
    html! {
        h2 { "Faults" }
        @if record.faults.is_empty() { p { "None was injected." } } @else {
            div.wide { table {
                thead { tr {
                    th scope="col" { "Fault" } th scope="col" { "Nodes" } th scope="col" { "Begin" } th scope="col" { "End" }
                    th.number scope="col" { "After acknowledged" } th.number scope="col" { "Operations overlapped" } th scope="col" { "Took hold" }
                } }
                tbody { @for fault in record.faults.iter().take(ROWS) { tr {
                    td { (fault.kind) } td { (nodes(&fault.nodes)) }
                    td.time { (seconds(fault.begin)) } td.time { (fault.end.map_or("never".into(), seconds)) }
                    td.number { (fault.acknowledged_before) } td.number { (fault.overlapped) }
                    td { @if fault.held { "yes" } @else { "no" } @if let Some(error) = &fault.error { ", " (text(error)) } }
                } } }
            } }
            (more(record.faults.len()))
        }
    }
}

fn coverage(record: &RunRecord) -> Markup {
    let covered = &record.coverage;
    html! {
        @if !(covered.rows.is_empty() && covered.never.is_empty()) {
            h2 { "Coverage" }
            div.wide { table {
                thead { tr {
                    th scope="col" { "Fault" } th scope="col" { "Phase" } th scope="col" { "Where" }
                    th.number scope="col" { "Begun" } th.number scope="col" { "Took hold" } th.number scope="col" { "How long" }
                    th.number scope="col" { "Operations overlapped" }
                } }
                tbody { @for row in covered.rows.iter().take(ROWS) { tr {
                    td { (row.fault) } td { (row.phase.name()) } td { (row.role.name()) }
                    td.number { (row.begun) } td.number { (row.held) } td.number { (seconds(row.nanos)) }
                    td.number { (row.operations) }
                } } }
            } }
            @if !covered.never.is_empty() {
                p.quiet { "Asked for, and never took hold: " (covered.never.iter().map(|kind| kind.name()).collect::<Vec<_>>().join(", ")) "." }
            }
        }
    }
}

fn skipped(record: &RunRecord) -> Markup {
    html! {
        @if !record.skipped_faults.is_empty() {
            details {
                summary { (count(record.skipped_faults.len() as u64, "planned fault")) " left out" }
                div.wide { table {
                    thead { tr { th scope="col" { "Fault" } th scope="col" { "Nodes" } th scope="col" { "Due" } th scope="col" { "Why not" } } }
                    tbody { @for skipped in record.skipped_faults.iter().take(ROWS) { tr {
                        td { (skipped.kind) } td { (nodes(&skipped.nodes)) } td.time { (seconds(skipped.time)) } td { (text(&skipped.reason)) }
                    } } }
                } }
                (more(record.skipped_faults.len()))
            }
        }
    }
}

fn more(all: usize) -> Markup {
    html! { @if all > ROWS { p.quiet { (all - ROWS) " more are in run.json." } } }
}

/// Open for the nodes that a check found fault with.
fn logs(run: &LoadedRun) -> Markup {
    let judged = run.record.judgement.as_ref();
    let found = judged.into_iter().flat_map(|judged| &judged.checks);
    let found: Vec<&CheckResult> = found.filter(|check| check.verdict == Some(Verdict::Violation)).collect();
    let concerned = |log: &NodeLog| found.iter().any(|check| check.message.contains(&log.node.to_string()));
    html! {
        @if !run.logs.is_empty() { h2 { "Last words of the nodes" } }
        @for log in &run.logs {
            details open[concerned(log)] {
                summary { (log.node) @if log.cut { span.quiet { " (the end of its log)" } } }
                pre { (last_lines(&log.tail)) }
            }
        }
    }
}

fn last_lines(tail: &str) -> String {
    let tail = clean(tail.trim());
    let lines: Vec<&str> = tail.lines().collect();
    lines[lines.len().saturating_sub(40)..].join("\n")
}

fn circumstances(record: &RunRecord) -> Markup {
    html! {
        h2 { "Circumstances" }
        dl.figures {
            (figure("rsm-check", record.rsm_check.clone()))
            (figure("seed", record.seed.to_string()))
            @for phase in &record.phases { (figure(&format!("{} began", phase.phase.name()), seconds(phase.begin))) }
        }
        @if !record.containment.is_empty() { p { "Processes were contained by " (text(&record.containment)) "." } }
        @if !record.commands.is_empty() {
            details { summary { "Commands" } @for command in record.commands.iter().take(ROWS) {
                pre { (command.node) ": " (one_line(&command.words.join(" "))) }
            } }
        }
        details { summary { "Workload as used" } pre { (pretty(&record.workload)) } }
    }
}

fn pretty(value: &impl serde::Serialize) -> String {
    let text = serde_json::to_string_pretty(value).unwrap_or_default();
    shorten(&clean(&text), 20_000)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample;

    #[test]
    fn the_page_says_what_broke_and_how_to_run_it_again() {
        let page = render(&sample::divergence());
        for part in [
            r#"<p class="verdict">violation</p>"#,
            "it lacks everything from before its restart",
            "rsm-check run workloads/classic_kill.json --seed 7",
            "coord ended unasked at 8.00 s",
            r#"<tr class="differs">"#,
            "<details open><summary>coord",
        ] {
            assert!(page.contains(part), "{part}");
        }
    }

    #[test]
    fn the_page_asks_nobody_and_runs_nothing() {
        for run in [sample::pass(), sample::divergence(), sample::hostile()] {
            let page = render(&run);
            for forbidden in [
                "<script",
                "<img",
                "<link",
                "<iframe",
                "http://",
                "https://",
                "url(",
                "@import",
                "javascript:",
            ] {
                let found = page.to_lowercase().matches(forbidden).count();
                assert_eq!(found, 0, "{forbidden}");
            }
            assert!(page.contains("default-src 'none'"));
        }
    }

    #[test]
    fn hostile_text_is_inert_wherever_it_stands() {
        let page = render(&sample::hostile());
        assert!(page.matches("&lt;script&gt;alert(1)").count() > 10, "it is shown");
        for character in ['\u{1b}', '\u{202e}'] {
            assert!(!page.contains(character), "{character:?}");
        }
        assert!(!page.contains("\"'>"), "no attribute is left early");
    }

    #[test]
    fn a_run_that_nobody_judged_is_drawn_and_says_so() {
        let page = render(&sample::killed());
        assert!(page.contains("not judged") && page.contains("they may be in mid-rewrite"));
    }

    #[test]
    fn a_page_stays_small_whatever_was_recorded() {
        let mut run = sample::pass();
        let fault = run.record.faults[0].clone();
        run.record.faults = vec![fault; 100_000];
        run.logs[0].tail = "x".repeat(8 << 10);
        assert!(render(&run).len() < 1 << 20, "{} bytes", render(&run).len());
    }

    /// Not a test: pages to look at. `cargo test --lib pages_to_look_at -- --ignored`
    #[test]
    #[ignore = "writes pages for the eye"]
    fn pages_to_look_at() {
        let runs = [
            ("pass", sample::pass()),
            ("divergence", sample::divergence()),
            ("hostile", sample::hostile()),
            ("undecided", sample::undecided()),
            ("killed", sample::killed()),
        ];
        std::fs::create_dir_all("target/pages").unwrap();
        for (name, run) in runs {
            std::fs::write(format!("target/pages/{name}.html"), render(&run)).unwrap();
        }
    }
}
