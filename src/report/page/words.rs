//! Words of checks for the page: escaped, shortened, and each operation that they name
//! linked with the timeline.

use maud::{Markup, html};

use crate::fault::Node;
use crate::history::{Call, History, Observed};
use crate::op::Outcome;
use crate::report::text::{clean, one_line, shorten};

/// Rows of a table, lines of a list; more are counted, not shown.
pub const ROWS: usize = 300;
/// Characters of a text that a program under test may have written.
const TEXT: usize = 2000;

/// Without what misleads, and not too long.
pub fn plain(text: &str) -> String {
    shorten(&clean(text), TEXT)
}

/// The same, with links from `#INDEX` to the operation that it names.
pub fn linked(history: &History, text: &str) -> Markup {
    let text = plain(text);
    let mut pieces = text.split('#');
    let first = pieces.next().unwrap_or_default();
    html! {
        (first)
        @for piece in pieces {
            @let end = piece.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(piece.len());
            @let (number, rest) = piece.split_at(end);
            @if known(history, number) { (link(number)) (rest) } @else { "#" (piece) }
        }
    }
}

fn known(history: &History, number: &str) -> bool {
    let found = |invoke: u64| history.operations.binary_search_by_key(&invoke, |operation| operation.invoke);
    number.parse().is_ok_and(|invoke| found(invoke).is_ok())
}

fn link(number: &str) -> Markup {
    html! { a.op href="#timeline" data-op=(number) { "#" (number) } }
}

/// An operation by the index of its invocation: a link, what was asked and what came of it.
pub fn operation(history: &History, invoke: u64) -> Option<Markup> {
    let at = history.operations.binary_search_by_key(&invoke, |operation| operation.invoke).ok()?;
    let operation = &history.operations[at];
    let name = |account| shorten(&one_line(history.account(account)), 60);
    let asked = match operation.call {
        Call::Transfer { from, to, amount } => format!("{} \u{2192} {} {amount}", name(from), name(to)),
        Call::Read => "read".into(),
    };
    let end = operation.completion.as_ref();
    let told = match end.map(|end| &end.observed) {
        Some(Observed::Pair([from, to])) => format!(", told balances {from} and {to}"),
        _ => String::new(),
    };
    let outcome = match operation.outcome() {
        Outcome::Ok => "acknowledged",
        Outcome::Info => "outcome unknown",
        Outcome::Fail => "did not happen",
    };
    let process = operation.process;
    Some(
        html! { (link(&invoke.to_string())) " " (asked) span.quiet { ", process " (process) ", " (outcome) (told) } },
    )
}

/// `srv-1, srv-2`.
pub fn names(nodes: &[Node]) -> String {
    nodes.iter().map(Node::to_string).collect::<Vec<_>>().join(", ")
}

/// A span of nanoseconds in the unit that suits it.
pub fn span(nanos: u64) -> String {
    match nanos {
        0..1_000_000 => format!("{} \u{b5}s", nanos / 1000),
        1_000_000..10_000_000 => format!("{:.1} ms", nanos as f64 / 1e6),
        10_000_000..1_000_000_000 => format!("{} ms", nanos / 1_000_000),
        _ => format!("{:.2} s", nanos as f64 / 1e9),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checker::testing::*;

    #[test]
    fn only_what_names_an_operation_becomes_a_link() {
        let history = Build::new().ok((0, 1), ("a", "b", 5), [95, 105]).history();
        let text = linked(&history, "no order explains #0 (a -> b), nor #1, #x <b>").into_string();
        assert_eq!(text.matches("<a ").count(), 1, "{text}");
        assert!(text.contains(r##"data-op="0">#0</a> (a -&gt; b), nor #1, #x &lt;b&gt;"##), "{text}");
        let told = operation(&history, 0).unwrap().into_string();
        assert!(
            told.contains("a \u{2192} b 5") && told.contains("acknowledged, told balances 95 and 105"),
            "{told}"
        );
    }

    #[test]
    fn spans_have_the_unit_that_suits_them() {
        assert_eq!(
            [span(900), span(2_500_000), span(40_000_000), span(2_000_000_000)].join(" "),
            "0 \u{b5}s 2.5 ms 40 ms 2.00 s"
        );
    }
}
