//! The page around its parts: head, policy, order of sections, script and style.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use maud::{DOCTYPE, Markup, PreEscaped, html};
use sha2::{Digest, Sha256};

use super::words::names;
use super::{data, faults, glance, plots, rest, top, why};
use crate::fault::Node;
use crate::run_dir::LoadedRun;
use crate::run_dir::wire::{self, Wire};

/// The style, file after file.
const STYLE: &str = concat!(
    include_str!("../assets/base.css"),
    include_str!("../assets/parts.css"),
    include_str!("../assets/timeline.css"),
);

/// The script, file after file within one scope.
const SCRIPT: &str = concat!(
    "(() => {\n'use strict';\n",
    include_str!("../assets/decode.js"),
    include_str!("../assets/run.js"),
    include_str!("../assets/search.js"),
    include_str!("../assets/view.js"),
    include_str!("../assets/draw.js"),
    include_str!("../assets/details.js"),
    include_str!("../assets/input.js"),
    include_str!("../assets/page.js"),
    "})();\n",
);

/// Messages around a moment are looked for within this, nanoseconds.
const REACH: u64 = 250_000_000;
/// Messages drawn around one moment.
const MESSAGES: usize = 44;
/// Moments with a diagram of messages.
const DIAGRAMS: usize = 4;

/// The whole page.
pub fn render(run: &LoadedRun) -> String {
    render_with(run, data::LIMIT)
}

/// As [`render`], with at most so many operations in calm stretches.
pub fn render_with(run: &LoadedRun, limit: usize) -> String {
    let moments = run.record.judgement.as_ref().map_or(&[][..], |judged| &judged.moments);
    let times: Vec<u64> = moments.iter().take(DIAGRAMS).map(|moment| moment.time).collect();
    let wire = wire::read(&run.dir, &times, REACH, MESSAGES);
    let page = Page { run, nodes: nodes(run), wire };
    page.draw(limit).into_string()
}

/// Coordinator first, as requests pass them.
fn nodes(run: &LoadedRun) -> Vec<Node> {
    let replicas = (1..=run.record.workload.cluster.replicas).map(Node::Srv);
    std::iter::once(Node::Coord).chain(replicas).collect()
}

/// What all parts of the page draw from.
pub struct Page<'a> {
    /// The run.
    pub run: &'a LoadedRun,
    /// Its nodes, in the order of rows.
    pub nodes: Vec<Node>,
    /// What was taken from `wire.jsonl`.
    pub wire: Wire,
}

fn hash(source: &str) -> String {
    format!("'sha256-{}'", STANDARD.encode(Sha256::digest(source.as_bytes())))
}

fn policy() -> String {
    let (script, style) = (hash(SCRIPT), hash(STYLE));
    format!("default-src 'none'; script-src {script}; style-src {style}; base-uri 'none'; form-action 'none'")
}

impl Page<'_> {
    fn draw(&self, limit: usize) -> Markup {
        let record = &self.run.record;
        let verdict = record.judgement.as_ref().map_or("not judged", |judged| judged.verdict.name());
        html! {
            (DOCTYPE)
            html lang="en" {
                head {
                    meta charset="utf-8";
                    meta http-equiv="Content-Security-Policy" content=(policy());
                    meta name="viewport" content="width=device-width, initial-scale=1";
                    meta name="referrer" content="no-referrer";
                    meta name="color-scheme" content="light dark";
                    title { (verdict) ": " (record.name) ", seed " (record.seed) }
                    style { (PreEscaped(STYLE)) }
                }
                body { (self.body(limit)) }
            }
        }
    }

    fn body(&self, limit: usize) -> Markup {
        let packed =
            data::pack(&self.run.record, &self.run.history, &self.nodes, &self.wire.positions, limit);
        html! {
            a.skip href="#main" { "Skip to the verdict" }
            (self.head())
            main #main tabindex="-1" {
                (top::draw(self))
                (why::draw(self))
                (self.timeline(packed.shown))
                (plots::draw(self))
                (faults::draw(self))
                (rest::draw(self))
            }
            script type="text/plain" #data { (PreEscaped(packed.text)) }
            script { (PreEscaped(SCRIPT)) }
        }
    }

    fn head(&self) -> Markup {
        let record = &self.run.record;
        html! {
            header.bar {
                p.run { strong { (record.name) } " \u{b7} seed " (record.seed) " \u{b7} " time datetime=(record.started) { (record.started) } }
                nav aria-label="Sections" {
                    a href="#main" { "Verdict" } a href="#why" { "Why" } a href="#timeline" { "Timeline" }
                    a href="#plots" { "Plots" } a href="#faults" { "Faults" } a href="#files" { "Files" } a href="#logs" { "Logs" }
                }
            }
        }
    }

    fn timeline(&self, shown: usize) -> Markup {
        let all = self.run.history.operations.len();
        html! {
            section #timeline aria-labelledby="timeline-title" {
                h2 #timeline-title { "Timeline" }
                noscript { p { "The timeline that can be searched and zoomed needs the page's own script. The same at a glance:" } (glance::draw(&self.run.history, &self.nodes)) }
                @if shown < all {
                    p.note role="note" {
                        "Sampled: " (shown) " of " (all) " operations are drawn. Calm stretches were thinned out evenly; around violations everything is there. Plots and figures count all operations."
                    }
                }
                div #tl hidden {
                    (tools())
                    div.chart { canvas #overview aria-hidden="true" {} canvas #chart tabindex="0" role="application" aria-label=(self.label(all)) aria-describedby="keys" {} div #tip role="tooltip" hidden {} }
                    p #status.quiet role="status" aria-live="polite" {}
                    div #pinned aria-live="polite" {}
                    (legend())
                    p #keys.quiet.keys { "Wheel or " kbd { "+" } kbd { "\u{2212}" } " zoom, drag or " kbd { "\u{2190}" } kbd { "\u{2192}" } " move, " kbd { "0" } " shows all, " kbd { "[" } kbd { "]" } " step through operations, " kbd { "<" } kbd { ">" } " through the order found, " kbd { "n" } kbd { "p" } " through violations, " kbd { "/" } " searches, " kbd { "Esc" } " lets go." }
                }
            }
        }
    }

    fn label(&self, all: usize) -> String {
        format!("Timeline of {all} operations, and of {}. Keys are told below.", names(&self.nodes))
    }
}

fn tools() -> Markup {
    html! {
        form.tools role="search" #tools {
            label.grow { span.sr { "Search operations" } input #search type="search" autocomplete="off" spellcheck="false" placeholder="Search: #412, account, p:7, error text\u{2026}"; }
            span #count.quiet role="status" {}
            fieldset { legend.sr { "Outcomes" }
                label { input type="checkbox" name="ok" checked; "ok" }
                label { input type="checkbox" name="info" checked; "unknown" }
                label { input type="checkbox" name="fail" checked; "failed" }
            }
            label { span.sr { "Account" } select #account { option value="" { "any account" } } }
            span.buttons {
                button type="button" #next-violation { "Next violation" }
                button type="button" #zoom-in aria-label="Zoom in" { "+" }
                button type="button" #zoom-out aria-label="Zoom out" { "\u{2212}" }
                button type="button" #zoom-all { "All" }
            }
        }
    }
}

fn legend() -> Markup {
    let outcomes =
        [("ok", "acknowledged"), ("info", "outcome unknown, open to the right"), ("fail", "did not happen")];
    let kinds = [
        ("kill", "killed"),
        ("pause", "paused"),
        ("partition", "cut off"),
        ("packet", "slow or garbled link"),
        ("clock", "wrong clock"),
        ("file", "disk fault"),
    ];
    html! {
        ul.legend {
            @for (class, name) in outcomes.into_iter().chain(kinds) { li { span class={ "swatch " (class) } {} (name) } }
            li { span class="swatch down" {} "node not up" }
            li { span class="swatch lag" {} "behind the furthest replica" }
            li { span class="swatch wrong" {} "named by a violation" }
        }
    }
}
