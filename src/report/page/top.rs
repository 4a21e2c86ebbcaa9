//! The first screen: verdict, the sentence that matters, where and when, the command
//! that runs it again, the checks, what was not tested.

use maud::{Markup, html};

use super::shell::Page;
use super::words::{ROWS, linked, operation, plain, span};
use crate::checker::node_life::seconds;
use crate::history::History;
use crate::record::coverage::Coverage;
use crate::record::moments::Moment;
use crate::record::{Judged, RunRecord};
use crate::recorded::RunState;
use crate::verdict::{CheckResult, Verdict};

/// Operations named at the top.
const OPERATIONS: usize = 4;

/// Verdict card and what belongs beside it.
pub fn draw(page: &Page<'_>) -> Markup {
    let record = &page.run.record;
    html! {
        (card(page))
        (figures(record))
        @if let Some(judged) = &record.judgement { (checks(judged)) }
        (coverage(record))
        @if let Some(judged) = &record.judgement { (not_tested(judged)) }
    }
}

fn card(page: &Page<'_>) -> Markup {
    let record = &page.run.record;
    let judged = record.judgement.as_ref();
    let (class, word) = judged.map_or(("skipped", "not judged"), |judged| {
        let name = judged.verdict.name();
        (name, name)
    });
    html! {
        section class={ "card " (class) } aria-label="Verdict" {
            p.verdict { (word) }
            h1.sentence { @match judged { Some(judged) => (linked(&page.run.history, &judged.sentence)), None => (unjudged(record)) } }
            @if let Some(reason) = &record.reason { p { "The run did not go through all its phases: " (plain(reason)) "." } }
            dl.facts {
                @if let Some((at, moment)) = leading(judged) { (moment_rows(&page.run.history, at, moment)) }
                div { dt { "Run it again" } dd { (again(record)) } }
            }
        }
    }
}

fn again(record: &RunRecord) -> Markup {
    html! { div.command { code #again { (plain(&record.reproduce)) } button type="button" data-copy="again" hidden { "Copy" } } }
}

/// The moment of the check that leads, with its number.
fn leading(judged: Option<&Judged>) -> Option<(usize, &Moment)> {
    let leads = judged?.leading()?.name;
    judged?.moments.iter().enumerate().find(|(_, moment)| moment.check == leads)
}

fn moment_rows(history: &History, at: usize, moment: &Moment) -> Markup {
    let operations =
        moment.operations.iter().take(OPERATIONS).filter_map(|&invoke| operation(history, invoke));
    html! {
        @if !moment.operations.is_empty() {
            div { dt { "Which operation" } dd { ul.plain { @for told in operations { li { (told) } } }
                @if moment.operations.len() > OPERATIONS { span.quiet { "and " (moment.operations.len() - OPERATIONS) " more, see below" } } } }
        }
        div { dt { "When" } dd { (seconds(moment.time)) " after the run began " button.jump type="button" data-moment=(at) hidden { "Show in the timeline" } } }
        @if !moment.around.is_empty() {
            div { dt { "What was going on" } dd { ul.plain { @for said in &moment.around { li { (plain(said)) } } } } }
        }
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

fn figures(record: &RunRecord) -> Markup {
    let operations = record.operations;
    let refused = record.judgement.as_ref().and_then(|judged| judged.refused);
    html! {
        dl.figures aria-label="Figures" {
            (figure("acknowledged", operations.ok.to_string()))
            (figure("did not happen", operations.fail.to_string()))
            (figure("outcome unknown", operations.info.to_string()))
            @if let Some(latency) = record.latency {
                (figure("latency p50", span(latency.p50)))
                (figure("latency p99", span(latency.p99)))
                (figure("latency max", span(latency.max)))
            }
            (figure("faults", record.faults.len().to_string()))
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

fn checks(judged: &Judged) -> Markup {
    html! {
        section aria-labelledby="checks-title" {
            h2 #checks-title { "Checks" }
            ul.checks { @for check in &judged.checks { (check_row(check)) } }
        }
    }
}

fn check_row(check: &CheckResult) -> Markup {
    let word = check.verdict.map_or("skipped", Verdict::name);
    let told = matches!(check.verdict, Some(Verdict::Violation | Verdict::Undecided | Verdict::Infra));
    html! {
        li class=(word) {
            span.badge { (word) }
            strong { @if told { a href={ "#why-" (check.name.name().replace(' ', "-")) } { (check.name) } } @else { (check.name) } }
            span.said { (plain(&check.message)) }
        }
    }
}

/// Fault x phase x role, as `run.json` has it.
fn coverage(record: &RunRecord) -> Markup {
    let covered = &record.coverage;
    html! {
        @if !(covered.rows.is_empty() && covered.never.is_empty()) {
            section #coverage aria-labelledby="coverage-title" {
                h2 #coverage-title { "Coverage" }
                @if !covered.rows.is_empty() { (coverage_table(covered)) }
                @if covered.rows.len() > ROWS { p.quiet { (covered.rows.len() - ROWS) " more are in run.json." } }
                @if !covered.never.is_empty() {
                    p { "Asked for, and never took hold: " (covered.never.iter().map(|kind| kind.name()).collect::<Vec<_>>().join(", ")) "." }
                }
            }
        }
    }
}

fn coverage_table(covered: &Coverage) -> Markup {
    html! {
        div.wide tabindex="0" role="group" aria-label="Coverage of faults" { table {
            thead { tr {
                th scope="col" { "Fault" } th scope="col" { "Phase" } th scope="col" { "Where" }
                th.number scope="col" { "Begun" } th.number scope="col" { "Took hold" } th.number scope="col" { "How long" }
                th.number scope="col" { "Operations overlapped" }
            } }
            tbody { @for row in covered.rows.iter().take(ROWS) { tr {
                th scope="row" { (row.fault) } td { (row.phase.name()) } td { (row.role.name()) }
                td.number { (row.begun) } td.number { (row.held) } td.number { (span(row.nanos)) }
                td.number { (row.operations) }
            } } }
        } }
    }
}

fn not_tested(judged: &Judged) -> Markup {
    html! {
        @if !judged.not_tested.is_empty() || !judged.notes.is_empty() {
            section.columns {
                @if !judged.not_tested.is_empty() { div { h2 { "Not tested" } ul { @for line in &judged.not_tested { li { (plain(line)) } } } } }
                @if !judged.notes.is_empty() { div { h2 { "Notes" } ul { @for line in judged.notes.iter().take(ROWS) { li { (plain(line)) } } } } }
            }
        }
    }
}
