//! The run at a glance: operations per slice of time by outcome, and a lane per
//! node with its faults and outages.
//!
//! Bounded: a fixed number of slices and at most some hundred marks per lane,
//! whatever the run's length. Renders only.

use maud::{Markup, html};

use super::colour;
use crate::checker::node_life::{Interval, down, of_operation, seconds};
use crate::fault::{FaultKind, Node};
use crate::history::{FaultSpan, History};
use crate::op::Outcome;

/// Slices of time.
const SLICES: usize = 120;
/// Marks in one lane; more are left out, and the legend says so.
const MARKS: usize = 300;

const LEFT: f64 = 70.0;
const WIDTH: f64 = 960.0;
const BARS: f64 = 120.0;
const LANE: f64 = 22.0;

/// Where things lie on the time axis.
struct Axis {
    end: u64,
}

impl Axis {
    fn x(&self, time: u64) -> f64 {
        LEFT + WIDTH * time.min(self.end) as f64 / self.end as f64
    }

    /// Left edge and width, never too thin to be seen.
    fn span(&self, span: Interval) -> (f64, f64) {
        let (left, right) = (self.x(span.begin), self.x(span.end));
        (left, (right - left).max(1.5))
    }
}

/// The picture, with a legend and a text that says the same to a screen reader.
pub fn draw(history: &History, nodes: &[Node]) -> Markup {
    let axis = Axis { end: history.end.max(1) };
    let slices = slices(history, &axis);
    let most = slices.iter().map(|slice| slice.iter().sum::<u64>()).max().unwrap_or(0).max(1);
    let height = BARS + LANE * nodes.len() as f64 + 34.0;
    html! {
        figure.timeline {
            svg viewBox={ "0 0 1040 " (height) } role="img" aria-label=(told(history)) {
                @for fault in history.faults.iter().take(MARKS) { (shade(&axis, fault)) }
                @for (at, slice) in slices.iter().enumerate() { (bar(at, slice, most)) }
                text.axis x=(LEFT - 6.0) y="14" text-anchor="end" { (per_second(most, &axis)) }
                text.axis x=(LEFT - 6.0) y=(BARS) text-anchor="end" { "0" }
                @for (row, node) in nodes.iter().enumerate() { (lane(history, &axis, *node, row)) }
                (ticks(&axis, height))
            }
            (legend(history))
        }
    }
}

fn told(history: &History) -> String {
    let (operations, faults) = (history.operations.len(), history.faults.len());
    format!(
        "{operations} operations over {}, with {faults} faults; the tables below list them",
        seconds(history.end)
    )
}

/// Operations that ended in each slice: acknowledged, unknown, failed.
fn slices(history: &History, axis: &Axis) -> Vec<[u64; 3]> {
    let mut slices = vec![[0; 3]; SLICES];
    for operation in &history.operations {
        let ended = of_operation(history, operation).end;
        let at = (u128::from(ended.min(axis.end)) * SLICES as u128 / u128::from(axis.end)) as usize;
        let outcome = match operation.outcome() {
            Outcome::Ok => 0,
            Outcome::Info => 1,
            Outcome::Fail => 2,
        };
        slices[at.min(SLICES - 1)][outcome] += 1;
    }
    slices
}

fn per_second(most: u64, axis: &Axis) -> String {
    let slice = axis.end as f64 / SLICES as f64 / 1e9;
    format!("{:.0}/s", most as f64 / slice)
}

fn bar(at: usize, slice: &[u64; 3], most: u64) -> Markup {
    let step = WIDTH / SLICES as f64;
    let x = LEFT + step * at as f64;
    let tall = |count: u64| (BARS - 8.0) * count as f64 / most as f64;
    let mut top = BARS;
    html! {
        @for (count, class) in slice.iter().zip(["ok", "info", "fail"]) {
            @if *count > 0 {
                @let height = tall(*count);
                rect class=(class) x=(round(x)) y=(round({ top -= height; top })) width=(round(step - 0.8)) height=(round(height)) {}
            }
        }
    }
}

fn round(value: f64) -> String {
    format!("{value:.1}")
}

fn ends(fault: &FaultSpan) -> Interval {
    Interval { begin: fault.begin, end: fault.end.unwrap_or(u64::MAX) }
}

fn shade(axis: &Axis, fault: &FaultSpan) -> Markup {
    let (x, width) = axis.span(ends(fault));
    html! { rect class={ "shade " (colour::class(fault.kind)) } x=(round(x)) y="0" width=(round(width)) height=(BARS) {} }
}

fn lane(history: &History, axis: &Axis, node: Node, row: usize) -> Markup {
    let y = BARS + 8.0 + LANE * row as f64;
    let faults = history.faults.iter().filter(|fault| fault.nodes.contains(&node)).take(MARKS);
    html! {
        text.axis x=(LEFT - 6.0) y=(y + 12.0) text-anchor="end" { (node) }
        rect.up x=(LEFT) y=(y) width=(WIDTH) height=(LANE - 6.0) {}
        @for fault in faults {
            @let (x, width) = axis.span(ends(fault));
            rect class=(colour::class(fault.kind)) x=(round(x)) y=(y) width=(round(width)) height=(LANE - 6.0) {
                title { (fault.kind) " of " (node) " from " (seconds(fault.begin)) " to " (fault.end.map_or("the end".into(), seconds)) }
            }
        }
        @for span in down(history, node).into_iter().take(MARKS) {
            @let (x, width) = axis.span(span);
            rect.down x=(round(x)) y=(y + LANE - 11.0) width=(round(width)) height="5" {
                title { (node) " was not up from " (seconds(span.begin)) }
            }
        }
    }
}

fn ticks(axis: &Axis, height: f64) -> Markup {
    html! {
        @for part in 0..=4_u64 {
            @let time = axis.end / 4 * part;
            @let anchor = match part { 0 => "start", 4 => "end", _ => "middle" };
            text.axis x=(round(axis.x(time))) y=(height - 6.0) text-anchor=(anchor) { (seconds(time)) }
        }
    }
}

fn legend(history: &History) -> Markup {
    let kinds =
        FaultKind::ALL.into_iter().filter(|kind| history.faults.iter().any(|fault| fault.kind == *kind));
    html! {
        figcaption {
            span.key { span class="swatch ok" {} "acknowledged" }
            span.key { span class="swatch info" {} "outcome unknown" }
            span.key { span class="swatch fail" {} "did not happen" }
            @for kind in kinds { span.key { span class={ "swatch " (colour::class(kind)) } {} (kind) } }
            span.key { span class="swatch down" {} "not up" }
            @if history.faults.len() > MARKS { span.key { "only the first " (MARKS) " faults are drawn" } }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checker::testing::*;

    #[test]
    fn a_long_run_draws_no_more_than_a_short_one() {
        let mut build = Build::new();
        for at in 0..20_000_u64 {
            build = build.ok((at * 1000, at * 1000 + 10), ("a", "b", 0), [100, 100]);
            build = build.fault(at * 1000, Some(at * 1000 + 5), FaultKind::Pause, &[Node::Srv(1)]);
        }
        let picture = draw(&build.history(), &[Node::Srv(1)]).into_string();
        assert!(picture.len() < 200_000, "{} bytes", picture.len());
        assert!(picture.contains("only the first 300 faults are drawn"));
    }

    #[test]
    fn a_history_without_a_single_line_is_drawn_too() {
        assert!(draw(&History::default(), &[Node::Coord]).into_string().contains("0 operations"));
    }
}
