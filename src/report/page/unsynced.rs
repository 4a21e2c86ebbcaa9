//! How many bytes that nobody had synced each power failure took.
//!
//! Nothing is drawn where no power failed. A node that syncs before it answers may well
//! have nothing to lose: then the points lie at the bottom, which is worth seeing.

use maud::{Markup, html};

use super::plots::{Axis, Sheet, one, sheet, y};
use super::words::names;
use crate::checker::count;
use crate::checker::node_life::seconds;
use crate::history::{FaultSpan, History};

/// Points at most.
const POINTS: usize = 1000;

/// The plot, if any power failed.
pub fn draw(history: &History) -> Markup {
    let lost = |fault: &FaultSpan| fault.observed.get("bytes_lost").copied();
    let failures: Vec<(&FaultSpan, u64)> =
        history.faults.iter().filter_map(|fault| Some((fault, lost(fault)?))).collect();
    if failures.is_empty() {
        return html! {};
    }
    let axis = Axis { end: history.end.max(1) };
    let most = failures.iter().map(|failure| failure.1).max().unwrap_or(0);
    // A little above the bottom and below the top, so that the edge cuts no point.
    let scale = |bytes: u64| 0.05 + 0.85 * (bytes as f64 + 1.0).log10() / (most.max(9) as f64 + 1.0).log10();
    let inner = html! {
        @for (fault, bytes) in failures.iter().take(POINTS) {
            path class="dots wrong" d={ "M" (one(axis.x(fault.begin))) " " (y(scale(*bytes))) "h0" } {
                title { (count(*bytes, "byte")) " of " (names(&fault.nodes)) " at " (seconds(fault.begin)) }
            }
        }
    };
    let marks = vec![(scale(0), "0".to_owned()), (scale(most.max(9)), most.max(9).to_string())];
    let told = format!(
        "{}, which took at most {}",
        count(failures.len() as u64, "power failure"),
        count(most, "unsynced byte")
    );
    sheet(
        history,
        &Sheet { title: "Unsynced bytes lost", told, key: &[("wrong", "a power failure")], marks },
        &inner,
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checker::testing::*;
    use crate::fault::{FaultKind, Node};

    #[test]
    fn power_failures_are_drawn_at_what_they_took_and_other_runs_have_no_such_plot() {
        let quiet = || Build::new().ok((S, 2 * S), ("a", "b", 1), [99, 101]);
        assert_eq!(draw(&quiet().history()).into_string(), "");
        let mut history =
            quiet().fault(2 * S, Some(3 * S), FaultKind::PowerFailure, &[Node::Srv(2)]).history();
        history.faults[0].observed.insert("bytes_lost".into(), 4096);
        let plot = draw(&history).into_string();
        assert!(plot.contains("4096 bytes of srv-2 at 2.00 s"), "{plot}");
    }
}
