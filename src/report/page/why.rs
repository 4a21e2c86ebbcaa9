//! Why: for each check that did not pass the proof in words, its picture, what went on,
//! the messages on the wire, the files and the logs of the nodes concerned.

use maud::{Markup, html};

use super::shell::Page;
use super::words::{ROWS, linked, operation, plain};
use super::{files, picture, space_time};
use crate::checker::node_life::seconds;
use crate::record::moments::Moment;
use crate::report::text::clean;
use crate::verdict::{CheckName, CheckResult, Verdict};

/// Lines of a log beside a proof.
const LOG_LINES: usize = 12;
/// Operations listed with a moment.
const OPERATIONS: usize = 12;
/// Lines of a proof that are open from the start.
const OPEN: usize = 14;

/// A section for each check that did not pass.
pub fn draw(page: &Page<'_>) -> Markup {
    let Some(judged) = &page.run.record.judgement else { return html! { div #why {} } };
    let told = judged.checks.iter().filter(|check| !matches!(check.verdict, None | Some(Verdict::Pass)));
    let told: Vec<&CheckResult> = told.collect();
    let mut files_shown = false;
    html! {
        section #why aria-labelledby="why-title" {
            h2 #why-title { "Why" }
            @if told.is_empty() { p.quiet { "No check found anything to explain." } }
            @for check in told { (article(page, check, &mut files_shown)) }
        }
    }
}

fn article(page: &Page<'_>, check: &CheckResult, files_shown: &mut bool) -> Markup {
    let word = check.verdict.map_or("skipped", Verdict::name);
    let moments = page.run.record.judgement.as_ref().map_or(&[][..], |judged| &judged.moments);
    let moment = moments.iter().enumerate().find(|(_, moment)| moment.check == check.name);
    let about_files = matches!(check.name, CheckName::ReplicasIdentical | CheckName::Conserved);
    let with_files =
        about_files && check.verdict == Some(Verdict::Violation) && !std::mem::replace(files_shown, true);
    html! {
        article class={ "why " (word) } id={ "why-" (check.name.name().replace(' ', "-")) } {
            h3 { span.badge { (word) } " " (check.name) }
            p.lead { (linked(&page.run.history, &check.message)) }
            (proof(page, check))
            @if let Some(drawn) = &check.picture { (picture::draw(drawn)) }
            @if let Some((at, moment)) = moment { (went_on(page, at, moment)) }
            @if with_files { h4 { "The replicas' files, side by side" } (files::draw(&page.run.files)) }
            @if let Some((_, moment)) = moment { (logs(page, moment)) }
        }
    }
}

/// The words of the check; lines that begin with blanks belong to the one above.
fn proof(page: &Page<'_>, check: &CheckResult) -> Markup {
    let lines = &check.details[..check.details.len().min(ROWS)];
    let (open, more) = lines.split_at(lines.len().min(OPEN));
    let list = |lines: &[String]| {
        html! {
            ul.proof { @for line in lines { li class={ "depth" (depth(line)) } { (linked(&page.run.history, line.trim_start())) } } }
        }
    };
    html! {
        @if !open.is_empty() { (list(open)) }
        @if !more.is_empty() { details { summary { (more.len()) " more lines of the proof" } (list(more)) } }
        @if check.details.len() > ROWS { p.quiet { (check.details.len() - ROWS) " more are in run.json." } }
    }
}

fn depth(line: &str) -> usize {
    ((line.len() - line.trim_start().len()) / 2).min(5)
}

fn went_on(page: &Page<'_>, at: usize, moment: &Moment) -> Markup {
    let history = &page.run.history;
    let listed = moment.operations.iter().take(OPERATIONS).filter_map(|&invoke| operation(history, invoke));
    let messages = page.wire.around.get(at).map_or(&[][..], Vec::as_slice);
    html! {
        h4 { "Around " (seconds(moment.time)) " " button.jump type="button" data-moment=(at) hidden { "Show in the timeline" } }
        @if !moment.around.is_empty() { ul { @for said in &moment.around { li { (plain(said)) } } } }
        @if !moment.operations.is_empty() {
            details open[moment.operations.len() <= 6] {
                summary { "Operations named: " (moment.operations.len()) }
                ul.plain { @for told in listed { li { (told) } } }
                @if moment.operations.len() > OPERATIONS { p.quiet { (moment.operations.len() - OPERATIONS) " more are named in the proof." } }
            }
        }
        @if !messages.is_empty() {
            details open[at == 0] {
                summary { "Messages on the wire around that moment" }
                (space_time::draw(&page.run.history, &page.nodes, messages, moment))
                @if page.wire.left_out > 0 { p.quiet { "The record of the wire was full: it left out its last " (page.wire.left_out) " messages." } }
            }
        }
    }
}

fn logs(page: &Page<'_>, moment: &Moment) -> Markup {
    let concerned = page.run.logs.iter().filter(|log| moment.nodes.contains(&log.node));
    html! {
        @for log in concerned {
            details {
                summary { "The last lines that " (log.node) " logged" }
                pre tabindex="0" { (last_lines(&log.tail)) }
            }
        }
    }
}

fn last_lines(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    clean(&lines[lines.len().saturating_sub(LOG_LINES)..].join("\n"))
}
