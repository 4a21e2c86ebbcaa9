//! What is left at the end: the replicas' files, the nodes' logs, the circumstances.

use maud::{Markup, html};

use super::files;
use super::shell::Page;
use super::words::plain;
use crate::fault::Node;
use crate::record::RunRecord;
use crate::recorded::Rest;
use crate::report::text::{clean, one_line, shorten};
use crate::run_dir::NodeLog;
use crate::verdict::Verdict;

/// Files, logs, circumstances.
pub fn draw(page: &Page<'_>) -> Markup {
    let run = page.run;
    html! {
        section #files aria-labelledby="files-title" {
            h2 #files-title { "Replicas' files" }
            p.quiet { (at_rest(run.record.rest)) }
            (files::draw(&run.files))
        }
        section #logs aria-labelledby="logs-title" {
            h2 #logs-title { "Logs" }
            @if run.logs.is_empty() { p.quiet { "No node logged anything." } }
            @for log in &run.logs { (log_of(log, failed(&run.record, log.node))) }
        }
        (circumstances(&run.record))
    }
}

fn at_rest(rest: Rest) -> &'static str {
    match rest {
        Rest::NotReached => {
            "The run ended before the files came to rest: they may be in mid-rewrite and prove nothing."
        }
        Rest::Settled => "As collected after they had come to rest.",
        Rest::Differing => "As collected when none of them changed any more, though they differed.",
        Rest::Changing => "As collected when the time for settling was over: they were still changing.",
    }
}

/// Whether a check that went wrong names the node.
fn failed(record: &RunRecord, node: Node) -> bool {
    let checks = record.judgement.as_ref().map_or(&[][..], |judged| &judged.checks);
    let name = node.to_string();
    checks.iter().any(|check| check.verdict == Some(Verdict::Violation) && check.message.contains(&name))
}

fn log_of(log: &NodeLog, open: bool) -> Markup {
    html! {
        details open[open] {
            summary { (log.node) @if log.cut { span.quiet { ", the end of a longer log" } } }
            pre tabindex="0" { (clean(&log.tail)) }
        }
    }
}

fn circumstances(record: &RunRecord) -> Markup {
    html! {
        section aria-labelledby="about-title" {
            h2 #about-title { "Circumstances" }
            p { "rsm-check " (record.rsm_check) ", processes held in " (plain(&record.containment)) "." }
            details { summary { "How the nodes were started" }
                @for command in &record.commands { pre tabindex="0" { (command.node) ": " (one_line(&command.words.join(" "))) } }
            }
            details { summary { "Workload as used" } pre tabindex="0" { (pretty(&record.workload)) } }
        }
    }
}

fn pretty(value: &impl serde::Serialize) -> String {
    let text = serde_json::to_string_pretty(value).unwrap_or_default();
    shorten(&clean(&text), 20_000)
}
