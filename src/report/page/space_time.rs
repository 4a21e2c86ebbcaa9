//! Messages around a moment as a space-time diagram: a line of life for each party,
//! time downwards in the order of events, an arrow for each message.
//!
//! What is drawn was seen by the proxies between the parties: a message leaves its
//! sender when the proxy has read it, and arrives when the proxy has written it. One
//! that was lost never arrived and is not in the record.

use maud::{Markup, html};

use super::words::span;
use crate::checker::node_life::{down, seconds};
use crate::fault::{Link, Node};
use crate::history::History;
use crate::record::moments::Moment;
use crate::report::text::{one_line, shorten};
use crate::run_dir::wire::Message;

const LEFT: usize = 84;
const COLUMN: usize = 150;
const TOP: usize = 34;
const ROW: usize = 15;

/// One end of a message on the sheet.
struct Event {
    time: u64,
    message: usize,
    arrives: bool,
}

/// The diagram.
pub fn draw(history: &History, nodes: &[Node], messages: &[Message], moment: &Moment) -> Markup {
    let events = events(messages);
    let width = LEFT + COLUMN * (nodes.len() + 1) - 40;
    let height = TOP + ROW * (events.len() + 2);
    let begin = messages.first().map_or(0, |message| message.received);
    let row_of = |message: usize, arrives: bool| {
        let at = events.iter().position(|event| event.message == message && event.arrives == arrives);
        TOP + ROW * (at.unwrap_or(0) + 1)
    };
    let here = events.partition_point(|event| event.time < moment.time);
    html! {
        div.wide tabindex="0" role="group" aria-label="Space-time diagram of messages" {
            svg.wire width=(width) height=(height) viewBox={ "0 0 " (width) " " (height) } role="img" aria-label=(told(messages)) {
                (lives(history, nodes, &events, height))
                @if (1..events.len()).contains(&here) { (marker(TOP + ROW * here + ROW / 2, width, moment.time)) }
                @for (at, event) in events.iter().enumerate().filter(|(at, _)| at % 3 == 0) {
                    text.when x="0" y=(TOP + ROW * (at + 1) + 4) { "+" (span(event.time - begin)) }
                }
                @for (at, message) in messages.iter().enumerate() { (arrow(nodes, message, row_of(at, false), row_of(at, true))) }
            }
        }
        p.quiet { "The first event is at " (seconds(begin)) "; times count from there. As the proxies saw it; hover for a whole message." }
    }
}

fn told(messages: &[Message]) -> String {
    format!("{} messages in the order of time", messages.len())
}

fn events(messages: &[Message]) -> Vec<Event> {
    let ends = messages.iter().enumerate().flat_map(|(message, seen)| {
        let arrival = seen.released.max(seen.received);
        [
            Event { time: seen.received, message, arrives: false },
            Event { time: arrival, message, arrives: true },
        ]
    });
    let mut events: Vec<Event> = ends.collect();
    events.sort_by_key(|event| (event.time, event.arrives, event.message));
    events
}

/// Clients stand at the left, then the nodes.
fn column(nodes: &[Node], node: Option<Node>) -> usize {
    let at = node.and_then(|node| nodes.iter().position(|known| *known == node)).map_or(0, |at| at + 1);
    LEFT + COLUMN * at
}

fn lives(history: &History, nodes: &[Node], events: &[Event], height: usize) -> Markup {
    let parties = std::iter::once(None).chain(nodes.iter().copied().map(Some));
    html! {
        @for party in parties {
            @let x = column(nodes, party);
            text.party x=(x) y="16" text-anchor="middle" { @match party { Some(node) => (node), None => "clients" } }
            line.life x1=(x) x2=(x) y1=(TOP - 8) y2=(height) {}
            @for (from, until) in party.map(|node| outages(history, node, events)).unwrap_or_default() {
                line.gone x1=(x) x2=(x) y1=(TOP + ROW * from + ROW / 2) y2=(TOP + ROW * (until + 1)) { title { "not up" } }
            }
        }
    }
}

/// Ranges of events during which a node was not up.
fn outages(history: &History, node: Node, events: &[Event]) -> Vec<(usize, usize)> {
    let place = |time: u64| events.partition_point(|event| event.time < time);
    let spans = down(history, node);
    spans
        .iter()
        .map(|span| (place(span.begin), place(span.end)))
        .filter(|(from, until)| from < until)
        .collect()
}

fn marker(y: usize, width: usize, time: u64) -> Markup {
    html! {
        line.moment x1="0" x2=(width) y1=(y) y2=(y) {}
        text.moment x=(width) y=(y - 3) text-anchor="end" { (seconds(time)) ", the moment" }
    }
}

fn arrow(nodes: &[Node], message: &Message, sent: usize, arrived: usize) -> Markup {
    let client = match message.link {
        Link::ClientsCoord => None,
        Link::CoordSrv(_) => Some(Node::Coord),
    };
    let (mut from, mut to) = (column(nodes, client), column(nodes, Some(message.link.server())));
    if !message.to_server {
        std::mem::swap(&mut from, &mut to);
    }
    let side: isize = if to > from { -1 } else { 1 };
    let (tip, back) = (to.saturating_add_signed(side), to.saturating_add_signed(7 * side));
    let text = one_line(message.first.trim_end());
    let class = if message.to_server { "message" } else { "message reply" };
    html! {
        g class=(class) {
            title { (message.link) ", connection " (message.connection) ", " (message.size) " bytes, under way " (span(message.released.saturating_sub(message.received))) ": " (text) }
            line x1=(from) y1=(sent) x2=(tip) y2=(arrived) {}
            path d={ "M" (tip) " " (arrived) "L" (back) " " (arrived.saturating_sub(4)) "L" (back) " " (arrived + 4) "Z" } {}
            // At the sender's end and above it: the arrow leads down and away from there.
            text x=(from.saturating_add_signed(-10 * side)) y=(sent - 3) text-anchor=(if side < 0 { "start" } else { "end" }) { (shorten(&text, if from.abs_diff(to) > COLUMN { 44 } else { 20 })) }
        }
    }
}
