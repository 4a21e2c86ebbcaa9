//! Latency and throughput over the time of the run, faults shaded behind; the sheet on
//! which the other plots are drawn too.
//!
//! SVG that stretches with the page while lines keep their width, so that it needs no
//! script; its labels stand beside it. Every operation counts in the curves; of the
//! single points a bounded number is drawn, the slowest of each window always.

use maud::{Markup, html};

use super::shell::Page;
use super::windows::{self, Windows};
use super::words::span;
use super::{clocks, colour, unsynced};
use crate::checker::node_life::seconds;
use crate::history::History;
use crate::op::Outcome;

/// Faults shaded at most.
const SHADES: usize = 400;
/// Points of latency at most.
const POINTS: usize = 4000;
const WIDTH: f64 = 1000.0;
const HEIGHT: f64 = 100.0;

/// All plots.
pub fn draw(page: &Page<'_>) -> Markup {
    let history = &page.run.history;
    if history.operations.is_empty() {
        return html! { section #plots { h2 { "Plots" } p.quiet { "No operation was recorded." } } };
    }
    let windows = windows::of(history);
    html! {
        section #plots aria-labelledby="plots-title" {
            h2 #plots-title { "Plots" }
            p.quiet { "In windows of " (span(windows.width)) "; shaded: faults, in the colours of the timeline." }
            (latency(history, &windows))
            (throughput(history, &windows))
            (clocks::draw(page))
            (unsynced::draw(history))
        }
    }
}

/// One plot: its title and key, what is drawn, labels of its axes from the top.
pub struct Sheet<'a> {
    /// The words above it.
    pub title: &'a str,
    /// What a screen reader is told.
    pub told: String,
    /// Classes and names of what is drawn.
    pub key: &'a [(&'a str, &'a str)],
    /// Heights (0 is the bottom, 1 the top) and texts.
    pub marks: Vec<(f64, String)>,
}

/// A sheet with faults shaded and `inner` drawn over them.
pub fn sheet(history: &History, sheet: &Sheet<'_>, inner: &Markup) -> Markup {
    let axis = Axis { end: history.end.max(1) };
    html! {
        figure.plot {
            figcaption { strong { (sheet.title) } @for (class, name) in sheet.key { span.key { span class={ "swatch " (class) } {} (name) } } }
            div.sheet {
                svg.marks width="64" height="170" aria-hidden="true" {
                    @for (at, text) in &sheet.marks { text x="58" y=(format!("{:.0}", 164.0 - 158.0 * at)) text-anchor="end" { (text) } }
                }
                svg.drawn viewBox="0 0 1000 100" preserveAspectRatio="none" role="img" aria-label=(sheet.told) {
                    @for (at, _) in &sheet.marks { line.grid x1="0" x2="1000" y1=(y(*at)) y2=(y(*at)) {} }
                    @for fault in history.faults.iter().take(SHADES) {
                        @let (left, right) = (axis.x(fault.begin), axis.x(fault.end.unwrap_or(u64::MAX)));
                        rect class={ "shade " (colour::class(fault.kind)) } x=(one(left)) y="0" width=(one((right - left).max(1.0))) height="100" {
                            title { (fault.kind) " of " (super::words::names(&fault.nodes)) " from " (seconds(fault.begin)) }
                        }
                    }
                    (inner)
                }
            }
            div.times aria-hidden="true" { @for part in 0..=4_u64 { span { (seconds(axis.end / 4 * part)) } } }
        }
    }
}

/// Where things lie on the axis of time.
pub struct Axis {
    /// Nanoseconds at the right edge.
    pub end: u64,
}

impl Axis {
    /// The place of a time.
    pub fn x(&self, time: u64) -> f64 {
        WIDTH * time.min(self.end) as f64 / self.end as f64
    }
}

/// The place of a height between 0 (the bottom) and 1.
pub fn y(at: f64) -> String {
    one(HEIGHT * (1.0 - at.clamp(0.0, 1.0)))
}

/// With one decimal.
pub fn one(value: f64) -> String {
    format!("{value:.1}")
}

/// Powers of ten that hold all values.
struct Log {
    low: i32,
    high: i32,
}

impl Log {
    fn of(least: u64, most: u64) -> Self {
        let low = (least.max(1000) as f64).log10().floor() as i32;
        let high = (most.max(1000) as f64).log10().ceil() as i32;
        Self { low, high: high.max(low + 1) }
    }

    fn at(&self, nanos: u64) -> f64 {
        ((nanos.max(1) as f64).log10() - f64::from(self.low)) / f64::from(self.high - self.low)
    }

    fn marks(&self) -> Vec<(f64, String)> {
        let mark = |power: i32| {
            let nanos = 10u64.saturating_pow(power.unsigned_abs());
            let text = match nanos {
                0..1_000_000 => format!("{} \u{b5}s", nanos / 1000),
                1_000_000..1_000_000_000 => format!("{} ms", nanos / 1_000_000),
                _ => format!("{} s", nanos / 1_000_000_000),
            };
            (self.at(nanos), text)
        };
        (self.low..=self.high).map(mark).collect()
    }
}

fn latency(history: &History, windows: &Windows) -> Markup {
    let axis = Axis { end: history.end.max(1) };
    let times: Vec<(u64, u64, Outcome)> = history
        .operations
        .iter()
        .filter_map(|operation| {
            let end = operation.completion.as_ref()?.time;
            Some((end, end.saturating_sub(operation.invoked), operation.outcome()))
        })
        .collect();
    let (least, most) =
        times.iter().fold((u64::MAX, 0), |(least, most), &(_, took, _)| (least.min(took), most.max(took)));
    let log = Log::of(least.min(most), most);
    let inner = html! {
        @for (outcome, class) in [(Outcome::Ok, "ok"), (Outcome::Fail, "fail"), (Outcome::Info, "info")] {
            path class={ "dots " (class) } d=(dots(&times, outcome, &axis, &log)) {}
        }
        @for (quantile, class) in [(0, "p50"), (1, "p95"), (2, "p99")] {
            path class={ "curve " (class) } d=(curve(windows, quantile, &axis, &log)) {}
        }
    };
    let key = [
        ("ok", "acknowledged"),
        ("info", "unknown"),
        ("fail", "failed"),
        ("p50", "median"),
        ("p95", "95 %"),
        ("p99", "99 %"),
    ];
    let told = format!("Latency on a logarithmic scale, from {} to {}", span(least.min(most)), span(most));
    sheet(history, &Sheet { title: "Latency", told, key: &key, marks: log.marks() }, &inner)
}

/// Points as strokes without length, evenly chosen; every tenth-slowest stays visible
/// through the curves.
fn dots(times: &[(u64, u64, Outcome)], wanted: Outcome, axis: &Axis, log: &Log) -> String {
    let own: Vec<_> = times.iter().filter(|(_, _, outcome)| *outcome == wanted).collect();
    let every = own.len().div_ceil(POINTS).max(1);
    let group =
        |group: &[&(u64, u64, Outcome)]| group.iter().map(|&&point| point).max_by_key(|point| point.1);
    let chosen = own.chunks(every).filter_map(group);
    chosen.map(|(end, took, _)| format!("M{:.1} {}h0", axis.x(end), y(log.at(took)))).collect()
}

/// A line through the middles of windows; a window without a value breaks it.
fn curve(windows: &Windows, quantile: usize, axis: &Axis, log: &Log) -> String {
    let mut text = String::new();
    let mut pen = 'M';
    for (at, window) in (0u64..).zip(&windows.windows) {
        match window.quantiles {
            None => pen = 'M',
            Some(values) => {
                let x = axis.x(at * windows.width + windows.width / 2);
                text += &format!("{pen}{x:.1} {}", y(log.at(values[quantile])));
                // A single window between gaps is a point.
                text += if pen == 'M' { "h0" } else { "" };
                pen = 'L';
            }
        }
    }
    text
}

fn throughput(history: &History, windows: &Windows) -> Markup {
    let axis = Axis { end: history.end.max(1) };
    let per_second = |count: u64| count as f64 * 1e9 / windows.width as f64;
    let most =
        windows.windows.iter().map(|window| window.counts.iter().sum::<u64>()).max().unwrap_or(0).max(1);
    let bars = |outcome: usize| -> String {
        let bar = |(at, window): (u64, &windows::Window)| {
            let below: u64 = window.counts[..outcome].iter().sum();
            let (left, right) = (axis.x(at * windows.width), axis.x((at + 1) * windows.width));
            let (low, high) =
                (below as f64 / most as f64, (below + window.counts[outcome]) as f64 / most as f64);
            (window.counts[outcome] > 0).then(|| {
                let (gap, low, high) = ((right - left) * 0.08, y(low), y(high));
                format!("M{:.1} {low}V{high}H{:.1}V{low}Z", left + gap, right - gap)
            })
        };
        (0..).zip(&windows.windows).filter_map(bar).collect()
    };
    let inner = html! {
        @for (outcome, class) in [(0, "ok"), (1, "info"), (2, "fail")] { path class={ "bars " (class) } d=(bars(outcome)) {} }
    };
    let marks = [0.0, 0.5, 1.0].map(|at| (at, format!("{:.0}/s", per_second(most) * at))).to_vec();
    let told = format!("Operations per second by outcome, at most {:.0}", per_second(most));
    let key = [("ok", "acknowledged"), ("info", "unknown"), ("fail", "failed")];
    sheet(history, &Sheet { title: "Throughput by outcome", told, key: &key, marks }, &inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checker::testing::*;

    #[test]
    fn a_long_run_draws_no_more_points_than_a_short_one_may_and_keeps_the_slowest() {
        let mut build = Build::new();
        for at in 0..20_000_u64 {
            let took = if at == 777 { 900_000_000 } else { 2_000_000 };
            build = build.ok((at * 1_000_000, at * 1_000_000 + took), ("a", "b", 0), [100, 100]);
        }
        let history = build.history();
        let plot = latency(&history, &windows::of(&history)).into_string();
        let points = plot.split("h0").count();
        assert!((POINTS / 2..POINTS + 300).contains(&points), "{points}");
        assert!(plot.contains(">1 s</text>"), "the scale reaches the slowest one");
    }

    #[test]
    fn a_logarithmic_scale_has_whole_powers_of_ten() {
        let log = Log::of(40_000, 3_000_000);
        let texts: Vec<String> = log.marks().into_iter().map(|mark| mark.1).collect();
        assert_eq!(texts, ["10 \u{b5}s", "100 \u{b5}s", "1 ms", "10 ms"]);
        assert_eq!(log.at(1_000_000), 2.0 / 3.0);
    }
}
