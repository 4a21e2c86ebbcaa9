//! The faults as they were executed, how service came back, what was left out, and
//! what was covered.

use maud::{Markup, html};

use super::colour;
use super::did;
use super::shell::Page;
use super::words::{ROWS, names, plain, span};
use crate::checker::count;
use crate::checker::node_life::seconds;
use crate::record::recovery::catch_up;
use crate::record::{FaultRecord, RunRecord};

/// Faults of which the wire is asked when replicas caught up.
const CAUGHT: usize = 300;

/// The section.
pub fn draw(page: &Page<'_>) -> Markup {
    let record = &page.run.record;
    html! {
        section #faults aria-labelledby="faults-title" {
            h2 #faults-title { "Faults and recovery" }
            @if record.faults.is_empty() { p { "No fault was injected." } } @else { (table(page)) (meaning(record)) }
            (skipped(record))
        }
    }
}

fn table(page: &Page<'_>) -> Markup {
    let record = &page.run.record;
    html! {
        div.wide tabindex="0" role="group" aria-label="Faults" { table {
            thead { tr {
                th scope="col" { "Fault" } th scope="col" { "Nodes" } th.number scope="col" { "Begin" } th.number scope="col" { "End" }
                th.number scope="col" { "Operations overlapped" } th.number scope="col" { "Next acknowledged" }
                th.number scope="col" { "No service" } th.number scope="col" { "Caught up" } th scope="col" { "Took hold" }
                th scope="col" { "What it did" }
            } }
            tbody { @for (at, fault) in record.faults.iter().enumerate().take(ROWS) { (row(page, at, fault)) } }
        } }
        @if record.faults.len() > ROWS { p.quiet { (record.faults.len() - ROWS) " more are in run.json." } }
    }
}

fn row(page: &Page<'_>, at: usize, fault: &FaultRecord) -> Markup {
    let recovery = page.run.record.recovery.get(at);
    let executed = page.run.history.faults.get(at).filter(|_| at < CAUGHT);
    let caught = executed.and_then(|fault| catch_up(fault, &page.wire.positions));
    let dash = || "\u{2013}".to_owned();
    html! {
        tr {
            th scope="row" { span class={ "swatch " (colour::class(fault.kind)) } {} (fault.kind) }
            td { (names(&fault.nodes)) }
            td.number { (seconds(fault.begin)) }
            td.number { (fault.end.map_or("never".into(), seconds)) }
            td.number { (fault.overlapped) }
            td.number { (recovery.and_then(|recovery| recovery.next_acknowledged).map_or("never".into(), span)) }
            td.number { (recovery.map_or_else(dash, |recovery| if recovery.unavailable == 0 { "none".into() } else { span(recovery.unavailable) })) }
            td.number { (caught.map_or_else(dash, span)) }
            td { @if fault.held { "yes" } @else { "no" } @if let Some(error) = &fault.error { ", " (plain(error)) } }
            td { (did::words(&fault.observed)) }
        }
    }
}

fn meaning(record: &RunRecord) -> Markup {
    let gap = record.recovery.first().map_or(0, |recovery| recovery.gap);
    html! {
        p.quiet {
            "Next acknowledged: from the beginning of the fault to the first acknowledgement of an operation invoked after it. "
            "No service: gaps of more than " (span(gap)) " between acknowledgements, from the beginning to the first one after the end. "
            "Caught up: from the end until the replica had what the furthest one had by then, where the wire tells."
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
                        td { (skipped.kind) } td { (names(&skipped.nodes)) } td.number { (seconds(skipped.time)) } td { (plain(&skipped.reason)) }
                    } } }
                } }
                @if record.skipped_faults.len() > ROWS { p.quiet { (record.skipped_faults.len() - ROWS) " more are in run.json." } }
            }
        }
    }
}
