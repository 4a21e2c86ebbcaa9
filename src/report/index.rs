//! `reports/index.html`: all runs of a folder in a table, newest first.
//!
//! Renders what the records say and decides nothing. No script and no request to any
//! host; text from outside is escaped and freed of what misleads.

use std::io;
use std::path::Path;

use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::text::{one_line, shorten};
use crate::checker::count;
use crate::checker::node_life::seconds;
use crate::run_dir::shelf::{Glance, runs};
use crate::run_dir::write_atomically;
use crate::verdict::Verdict;

/// The name of the page.
pub const PAGE: &str = "index.html";

const STYLE: &str = include_str!("index.css");
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'";

/// Rows; older runs are counted, not shown.
const ROWS: usize = 1000;
/// Characters of a sentence.
const TEXT: usize = 300;

/// Writes the page of a folder anew, whole or not at all.
///
/// # Errors
/// The folder cannot be read or written.
pub fn refresh(folder: &Path) -> io::Result<()> {
    let page = page(folder)?;
    // Two runs may end at the same moment: each has a draft of its own.
    let draft = folder.join(format!(".{PAGE}-{}", std::process::id()));
    write_atomically(&draft, page.as_bytes())?;
    std::fs::rename(&draft, folder.join(PAGE)).inspect_err(|_| {
        let _ = std::fs::remove_file(&draft);
    })
}

/// The page of a folder as it is now.
///
/// # Errors
/// The folder cannot be read.
pub fn page(folder: &Path) -> io::Result<String> {
    let (runs, left_out) = runs(folder, ROWS)?;
    Ok(render(&runs, left_out))
}

/// The page; `left_out` older runs are only counted.
pub fn render(runs: &[Glance], left_out: usize) -> String {
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta http-equiv="Content-Security-Policy" content=(POLICY);
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="referrer" content="no-referrer";
                title { "Runs of rsm-check" }
                style { (PreEscaped(STYLE)) }
            }
            body { main {
                h1 { "Runs" }
                @if runs.is_empty() { p { "There is no run in this folder." } } @else { (table(runs)) }
                @if left_out > 0 { p.quiet { (count(left_out as u64, "older run")) " not shown." } }
            } }
        }
    };
    page.into_string()
}

fn table(runs: &[Glance]) -> Markup {
    html! {
        div.wide { table {
            thead { tr {
                th scope="col" { "Began (UTC)" }
                th scope="col" { "Workload" }
                th scope="col" { "Seed" }
                th scope="col" { "Verdict" }
                th scope="col" { "Faults that took hold" }
                th scope="col" { "Took" }
                th scope="col" { "Report" }
            } }
            tbody { @for run in runs { (row(run)) } }
        } }
    }
}

fn row(run: &Glance) -> Markup {
    let (word, class) = match run.verdict {
        Some(verdict) => (verdict.name(), verdict.name()),
        None => ("not judged", "unjudged"),
    };
    let told = matches!(run.verdict, Some(Verdict::Violation | Verdict::Undecided | Verdict::Infra));
    html! {
        tr {
            td.time { time datetime=(one_line(&run.started)) { (when(&run.started)) } }
            td { (shorten(&one_line(&run.name), 64)) }
            td.number { (run.seed) }
            td {
                span class={ "verdict " (class) } { (word) }
                @if told { br; span.quiet { (shorten(&one_line(&run.sentence), TEXT)) } }
            }
            td { (faults(run)) }
            td.number { @if let Some(lasted) = run.lasted { (seconds(lasted)) } }
            td { (link(run)) }
        }
    }
}

fn when(started: &str) -> String {
    shorten(&one_line(started), 20).replace('T', " ").replace('Z', "")
}

fn faults(run: &Glance) -> String {
    let parts: Vec<String> = run.faults.iter().map(|(kind, count)| format!("{count} {kind}")).collect();
    if parts.is_empty() { "none".into() } else { parts.join(", ") }
}

fn link(run: &Glance) -> Markup {
    let place = |file: &str| format!("./{}/{file}", encode(&run.leaf));
    html! {
        @if run.report { a href=(place("report.html")) { (shorten(&one_line(&run.leaf), 100)) } }
        @else { a href=(place("run.json")) { (shorten(&one_line(&run.leaf), 100)) } span.quiet { " (no report)" } }
    }
}

/// A name as one part of a relative address.
pub fn encode(leaf: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    leaf.bytes()
        .map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fault::FaultKind;
    use crate::recorded::RunState;

    fn run(leaf: &str) -> Glance {
        Glance {
            leaf: leaf.into(),
            name: "concurrent_xfer".into(),
            seed: 7,
            started: "2026-11-22T14:50:09Z".into(),
            state: RunState::Finished,
            verdict: Some(Verdict::Violation),
            sentence: "<script>alert(1)</script>\u{202e}".into(),
            faults: vec![(FaultKind::Kill, 2), (FaultKind::Delay, 1)],
            lasted: Some(12_340_000_000),
            report: true,
        }
    }

    #[test]
    fn a_row_tells_name_seed_verdict_faults_time_and_where_the_report_is() {
        let page = render(&[run("a b-7")], 3);
        for part in [
            "concurrent_xfer",
            ">7<",
            r#"class="verdict violation">violation<"#,
            "2 kill, 1 delay",
            "12.34 s",
            r#"href="./a%20b-7/report.html""#,
            "3 older runs not shown",
        ] {
            assert!(page.contains(part), "{part} is missing: {page}");
        }
    }

    #[test]
    fn hostile_text_is_escaped_and_no_host_is_asked() {
        let mut hostile = run("javascript:alert(1)//\"><script>");
        hostile.name = "<img src=x onerror=alert(1)>".into();
        let page = render(&[hostile], 0);
        assert!(!page.contains("<script") && !page.contains("<img") && !page.contains('\u{202e}'), "{page}");
        assert!(page.contains(r#"href="./javascript%3Aalert"#), "{page}");
        assert!(!page.contains("http:") && !page.contains("https:"), "{page}");
    }

    #[test]
    fn a_run_that_nobody_judged_is_no_pass() {
        let page = render(&[Glance { verdict: None, report: false, ..run("x") }], 0);
        assert!(page.contains("not judged") && page.contains("x/run.json"), "{page}");
    }

    #[test]
    fn the_page_is_replaced_and_no_draft_is_left() {
        let folder = tempfile::tempdir().unwrap();
        refresh(folder.path()).unwrap();
        refresh(folder.path()).unwrap();
        let left: Vec<_> =
            std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(left, [PAGE]);
    }
}
