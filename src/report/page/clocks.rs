//! How far off the clock of each node was, over the time of the run.
//!
//! Drawn from what was planned for the clock faults that took hold: each was read back
//! from the processes when it was applied, so the plan tells what they saw. Offsets reach
//! from milliseconds to minutes: the scale is logarithmic, both ways from a millisecond.

use maud::{Markup, html};
use serde::Deserialize;
use serde_json::Value;

use super::plots::{Axis, Sheet, one, sheet, y};
use super::shell::Page;
use crate::fault::Node;
use crate::history::FaultSpan;

/// Classes of nodes, in the order of rows.
const CLASSES: [&str; 6] = ["p50", "p99", "p95", "ok", "fail", "lag"];
const MILLISECOND: f64 = 1e6;
/// Points along a clock that runs at another rate.
const STEPS: u32 = 24;

/// The parameters of a clock fault, as the plan writes them.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(tag = "act", rename_all = "kebab-case")]
enum How {
    Jump { by_ns: i64 },
    Rate { rate: f64 },
    Strobe { by_ns: i64 },
}

impl How {
    /// Nanoseconds off, so many nanoseconds after the fault began.
    fn off(self, since: f64) -> f64 {
        match self {
            Self::Jump { by_ns } | Self::Strobe { by_ns } => by_ns as f64,
            Self::Rate { rate } => (rate - 1.0) * since,
        }
    }
}

/// One clock that was wrong for a while.
struct Wrong<'a> {
    fault: &'a FaultSpan,
    until: u64,
    how: How,
}

impl Wrong<'_> {
    fn lasted(&self) -> f64 {
        self.until.saturating_sub(self.fault.begin) as f64
    }
}

/// The plot, if any clock was wrong.
pub fn draw(page: &Page<'_>) -> Markup {
    let history = &page.run.history;
    let wrong: Vec<Wrong<'_>> = history
        .faults
        .iter()
        .filter(|fault| fault.held)
        .filter_map(|fault| {
            let until = fault.end.unwrap_or(history.end);
            Some(Wrong { fault, until, how: planned(&page.run.record.plan, fault.id)? })
        })
        .collect();
    if wrong.is_empty() {
        return html! {};
    }
    let most = wrong.iter().map(|wrong| wrong.how.off(wrong.lasted()).abs()).fold(0.0, f64::max);
    let scale = Scale::of(most);
    let axis = Axis { end: history.end.max(1) };
    let hit = |node: &Node| wrong.iter().any(|wrong| wrong.fault.nodes.contains(node));
    let nodes: Vec<(Node, String, &str)> = page
        .nodes
        .iter()
        .zip(CLASSES.into_iter().cycle())
        .filter(|(node, _)| hit(node))
        .map(|(node, class)| (*node, node.to_string(), class))
        .collect();
    let inner = html! {
        @for (node, _, class) in &nodes {
            @for wrong in wrong.iter().filter(|wrong| wrong.fault.nodes.contains(node)) {
                path class={ (class) @if matches!(wrong.how, How::Strobe { .. }) { " band" } @else { " curve" } } d=(line(wrong, &axis, &scale)) {}
            }
        }
    };
    let key: Vec<(&str, &str)> = nodes.iter().map(|(_, name, class)| (*class, name.as_str())).collect();
    let told = format!("Clocks of {} nodes, off by at most {}", nodes.len(), amount(most));
    sheet(history, &Sheet { title: "Clocks, off by", told, key: &key, marks: scale.marks() }, &inner)
}

/// What the plan says of a fault's clock; nothing for faults of other kinds.
fn planned(plan: &Value, id: u64) -> Option<How> {
    let fault = plan.as_array()?.iter().find(|fault| fault["id"].as_u64() == Some(id))?;
    serde_json::from_value(fault["how"].clone()).ok()
}

/// From right to wrong and back; a strobe as the band that it jumps through.
fn line(wrong: &Wrong<'_>, axis: &Axis, scale: &Scale) -> String {
    let zero = y(scale.at(0.0));
    let mut text = format!("M{} {zero}", one(axis.x(wrong.fault.begin)));
    let steps = if matches!(wrong.how, How::Rate { .. }) { STEPS } else { 1 };
    for step in 0..=steps {
        let since = wrong.lasted() * f64::from(step) / f64::from(steps);
        let x = axis.x(wrong.fault.begin + since as u64);
        text += &format!("L{} {}", one(x), y(scale.at(wrong.how.off(since))));
    }
    text + &format!("L{} {zero}", one(axis.x(wrong.until)))
}

/// Logarithmic both ways from a millisecond, up to a power of ten.
struct Scale {
    high: i32,
}

impl Scale {
    fn of(most: f64) -> Self {
        Self { high: (most / MILLISECOND).log10().ceil().max(1.0) as i32 }
    }

    fn at(&self, off: f64) -> f64 {
        let top = (10f64.powi(self.high) + 1.0).log10();
        0.5 + off.signum() * (off.abs() / MILLISECOND + 1.0).log10() / top / 2.0
    }

    fn marks(&self) -> Vec<(f64, String)> {
        let mut powers = vec![self.high];
        if self.high > 1 {
            powers.push(self.high / 2);
        }
        let mut marks = vec![(0.5, "right".to_owned())];
        for power in powers {
            let off = MILLISECOND * 10f64.powi(power);
            marks.push((self.at(off), format!("+{}", amount(off))));
            marks.push((self.at(-off), format!("\u{2212}{}", amount(off))));
        }
        marks
    }
}

fn amount(nanos: f64) -> String {
    if nanos < 1e9 { format!("{:.0} ms", nanos / 1e6) } else { format!("{:.0} s", nanos / 1e9) }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::history::Place;

    fn wrong(fault: &FaultSpan, how: How) -> Wrong<'_> {
        Wrong { fault, until: fault.end.unwrap(), how }
    }

    fn fault() -> FaultSpan {
        let (kind, nodes, place) = (crate::fault::FaultKind::ClockRate, vec![Node::Coord], Place::default());
        let observed = std::collections::BTreeMap::new();
        let (begin, end) = (1_000_000_000, Some(3_000_000_000));
        FaultSpan { id: 4, kind, nodes, begin, end, held: true, error: None, place, observed }
    }

    #[test]
    fn the_plan_of_a_fault_is_found_by_its_number_and_other_kinds_have_no_clock() {
        let plan = json!([{"id": 3, "how": {"act": "cut", "links": []}}, {"id": 4, "how": {"act": "rate", "rate": 2.0}}, {"id": 5}]);
        assert_eq!(planned(&plan, 4), Some(How::Rate { rate: 2.0 }));
        assert_eq!((planned(&plan, 3), planned(&plan, 5), planned(&plan, 6)), (None, None, None));
    }

    #[test]
    fn a_clock_that_runs_too_fast_moves_away_from_right_and_comes_back_at_the_heal() {
        let (fault, axis) = (fault(), Axis { end: 4_000_000_000 });
        let scale = Scale::of(2e9);
        let path = line(&wrong(&fault, How::Rate { rate: 2.0 }), &axis, &scale);
        assert!(path.starts_with("M250.0 50.0L250.0 50.0L"), "{path}");
        assert!(path.ends_with("L750.0 50.0"), "{path}");
        let top: f64 = path.split('L').rev().nth(1).unwrap().split(' ').nth(1).unwrap().parse().unwrap();
        assert!(top < 15.0, "2 s of at most 10 s lie high: {path}");
    }

    #[test]
    fn the_scale_is_even_by_powers_of_ten_both_ways() {
        let scale = Scale::of(40e9);
        let texts: Vec<String> = scale.marks().into_iter().map(|mark| mark.1).collect();
        assert_eq!(texts, ["right", "+100 s", "\u{2212}100 s", "+100 ms", "\u{2212}100 ms"]);
        assert!((scale.at(-5e9) + scale.at(5e9) - 1.0).abs() < 1e-9);
    }
}
