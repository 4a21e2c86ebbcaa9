//! What the timeline of the page draws from: the run as columns.
//!
//! Up to [`LIMIT`] operations are there one and all. Of a longer run calm stretches
//! are thinned out, never the neighbourhood of a violation, and the page says so.
//! Names and log lines stand in the packed part, where no markup can arise.

use std::collections::{BTreeMap, HashMap};

use serde_json::{Map, Value, json};

use super::columns::{Column, Columns};
use super::{colour, lanes};
use crate::checker::bank::{BankModel, Guard, Negative};
use crate::checker::node_life::down;
use crate::fault::Node;
use crate::history::{Call, History, Observed, Operation};
use crate::op::Outcome;
use crate::record::recovery::Position;
use crate::record::{Judged, RunRecord};
use crate::report::text::{one_line, shorten};

/// So many operations are shown at most, but for the neighbourhoods of violations.
pub const LIMIT: usize = 1_000_000;
/// How far around a violation everything is shown, nanoseconds.
const NEAR: u64 = 2_000_000_000;
/// Operations around a violation that are shown in any case.
const AROUND: usize = 50_000;
/// Error texts that are told apart.
const ERRORS: usize = 5_000;
/// Characters of a name or an error.
const TEXT: usize = 200;

/// What of the run goes into the page.
pub struct Packed {
    /// Base64 for the page.
    pub text: String,
    /// Operations shown.
    pub shown: usize,
}

/// Packs a run; `positions` are in the order of time, `limit` as [`LIMIT`].
pub fn pack(
    record: &RunRecord,
    history: &History,
    nodes: &[Node],
    positions: &[Position],
    limit: usize,
) -> Packed {
    let judged = record.judgement.as_ref();
    let shown = chosen(history, judged, limit);
    let (rows, count) = lanes::of(history);
    let mut errors = Errors::default();
    let mut columns = Columns::default();
    operations(&mut columns, history, &shown, &rows, &mut errors);
    progress(&mut columns, nodes, positions);
    let whole = shown.len() == history.operations.len();
    let order = judged.and_then(|judged| order(&mut columns, judged, history.operations.len(), whole));
    let mut head = head(record, history, nodes, judged);
    head.insert("rows".into(), count.into());
    head.insert("shown".into(), shown.len().into());
    head.insert("errors".into(), errors.texts.into());
    head.insert("order".into(), order.unwrap_or(Value::Null));
    Packed { text: columns.pack(head), shown: shown.len() }
}

/// Positions in the history's operations, ascending.
fn chosen(history: &History, judged: Option<&Judged>, limit: usize) -> Vec<usize> {
    let all = history.operations.len();
    if all <= limit {
        return (0..all).collect();
    }
    let moments = judged.map_or(&[][..], |judged| &judged.moments);
    let mut kept = vec![false; all];
    let every = all.div_ceil(limit.max(1));
    (0..all).step_by(every).for_each(|at| kept[at] = true);
    for moment in moments {
        let at = |time: u64| history.operations.partition_point(|operation| operation.invoked < time);
        let middle = at(moment.time);
        let from = at(moment.time.saturating_sub(NEAR)).max(middle.saturating_sub(AROUND));
        let until = at(moment.time.saturating_add(NEAR)).min(middle + AROUND);
        kept[from..until].fill(true);
        for invoke in &moment.operations {
            if let Ok(at) = history.operations.binary_search_by_key(invoke, |operation| operation.invoke) {
                kept[at] = true;
            }
        }
    }
    (0..all).filter(|&at| kept[at]).collect()
}

#[derive(Default)]
struct Errors {
    texts: Vec<String>,
    known: HashMap<String, u64>,
}

impl Errors {
    /// Number of a text, from 1; 0: none, or one too many.
    fn number(&mut self, text: Option<&str>) -> u64 {
        let Some(text) = text else { return 0 };
        if let Some(&number) = self.known.get(text) {
            return number;
        }
        if self.texts.len() >= ERRORS {
            return 0;
        }
        self.texts.push(shorten(&one_line(text), TEXT));
        self.known.insert(text.into(), self.texts.len() as u64);
        self.texts.len() as u64
    }
}

/// Bits beside the outcome.
mod bit {
    pub const OPEN: u64 = 4;
    pub const NEVER_DELIVERED: u64 = 8;
    pub const PAIR: u64 = 16;
    pub const BALANCES: u64 = 32;
}

fn flags(operation: &Operation) -> u64 {
    let outcome = match operation.outcome() {
        Outcome::Ok => 0,
        Outcome::Info => 1,
        Outcome::Fail => 2,
    };
    let seen = match operation.completion.as_ref().map(|end| &end.observed) {
        Some(Observed::Pair(_)) => bit::PAIR,
        Some(Observed::Balances(_)) => bit::BALANCES,
        _ => 0,
    };
    let open = if operation.completion.is_none() { bit::OPEN } else { 0 };
    let never = if operation.never_delivered { bit::NEVER_DELIVERED } else { 0 };
    outcome | seen | open | never
}

fn operations(
    columns: &mut Columns,
    history: &History,
    shown: &[usize],
    rows: &BTreeMap<u64, u32>,
    errors: &mut Errors,
) {
    let [mut number, mut invoke, mut process, mut row, mut time, mut took, mut flag] = Default::default();
    let [mut from, mut to, mut amount, mut seen, mut error]: [Column; 5] = Default::default();
    let columns_of: [&mut Column; 7] =
        [&mut number, &mut invoke, &mut process, &mut row, &mut time, &mut took, &mut flag];
    let [number_of, invoke_of, process_of, row_of, time_of, took_of, flag_of] = columns_of;
    for &at in shown {
        let operation = &history.operations[at];
        let end = operation.completion.as_ref();
        number_of.put_step(at as u64);
        invoke_of.put_step(operation.invoke);
        process_of.put(operation.process);
        row_of.put(rows.get(&operation.process).copied().unwrap_or(0).into());
        time_of.put_step(operation.invoked / 1000);
        took_of.put(end.map_or(0, |end| (end.time / 1000).saturating_sub(operation.invoked / 1000)));
        flag_of.put(flags(operation));
        if let Call::Transfer { from: debited, to: credited, amount: money } = operation.call {
            from.put(u64::from(debited.0) + 1);
            to.put(u64::from(credited.0) + 1);
            amount.put_signed(money);
        } else {
            [&mut from, &mut to, &mut amount].into_iter().for_each(|column| column.put(0));
        }
        observed(&mut seen, end.map(|end| &end.observed));
        error.put(errors.number(end.and_then(|end| end.error.as_deref())));
    }
    let named = [("number", number), ("invoke", invoke), ("process", process), ("row", row), ("time", time)];
    named.into_iter().for_each(|(name, column)| columns.add(name, column));
    let named = [("took", took), ("flags", flag), ("from", from), ("to", to), ("amount", amount)];
    named.into_iter().for_each(|(name, column)| columns.add(name, column));
    columns.add("seen", seen);
    columns.add("error", error);
}

fn observed(seen: &mut Column, observed: Option<&Observed>) {
    match observed {
        Some(Observed::Pair(pair)) => pair.iter().for_each(|&balance| seen.put_signed(balance)),
        Some(Observed::Balances(balances)) => {
            seen.put(balances.len() as u64);
            for &(account, balance) in balances {
                seen.put(account.0.into());
                seen.put_signed(balance);
            }
        }
        _ => {}
    }
}

/// Of each node: how many positions, then times (microseconds) and indexes as steps.
fn progress(columns: &mut Columns, nodes: &[Node], positions: &[Position]) {
    let mut column = Column::default();
    for node in nodes {
        let own: Vec<&Position> = positions.iter().filter(|at| at.node == *node).collect();
        column.put(own.len() as u64);
        let (mut time, mut index) = (0, 0);
        for at in own {
            column.put((at.time / 1000).saturating_sub(time));
            column.put_signed(at.index as i64 - index);
            (time, index) = (at.time / 1000, at.index as i64);
        }
    }
    columns.add("progress", column);
}

/// The order that was found, as positions among the operations that are shown, if all
/// of them are.
fn order(columns: &mut Columns, judged: &Judged, operations: usize, whole: bool) -> Option<Value> {
    let found = judged.order.as_ref().filter(|_| whole)?;
    let order = found.operations.unpack(operations).ok()?;
    let mut column = Column::default();
    order.iter().for_each(|&number| column.put_step(number.into()));
    columns.add("order", column);
    Some(json!({ "whole": found.whole, "length": order.len(), "fails": found.fails_at }))
}

fn head(
    record: &RunRecord,
    history: &History,
    nodes: &[Node],
    judged: Option<&Judged>,
) -> Map<String, Value> {
    let name = |name: &String| Value::from(shorten(&one_line(name), TEXT));
    let place = |node: &Node| nodes.iter().position(|known| known == node);
    let places = |list: &[Node]| list.iter().filter_map(place).collect::<Vec<_>>();
    let faults = history.faults.iter().map(|fault| {
        json!({ "kind": fault.kind.name(), "colour": colour::class(fault.kind), "nodes": places(&fault.nodes),
            "begin": fault.begin / 1000, "end": fault.end.map(|end| end / 1000), "held": fault.held })
    });
    let life = nodes.iter().map(|&node| {
        let spans = down(history, node);
        spans
            .iter()
            .map(|span| json!([span.begin / 1000, span.end.min(history.end) / 1000]))
            .collect::<Value>()
    });
    let phases =
        record.phases.iter().map(|phase| json!({ "name": phase.phase.name(), "begin": phase.begin / 1000 }));
    let moments = judged.map_or(&[][..], |judged| &judged.moments).iter().map(|moment| {
        json!({ "check": moment.check.name(), "time": moment.time / 1000, "operations": moment.operations,
            "nodes": places(&moment.nodes) })
    });
    let head = json!({
        "end": history.end / 1000,
        "total": history.operations.len(),
        "accounts": history.accounts.iter().map(name).collect::<Value>(),
        "nodes": nodes.iter().map(Node::to_string).collect::<Vec<_>>(),
        "model": model(record),
        "faults": faults.collect::<Value>(),
        "life": life.collect::<Value>(),
        "phases": phases.collect::<Value>(),
        "moments": moments.collect::<Value>(),
    });
    match head {
        Value::Object(head) => head,
        _ => Map::new(),
    }
}

/// The rules of the bank, for the state after each step; null if it is none.
fn model(record: &RunRecord) -> Value {
    let Ok(bank) = record.workload.model.parse::<BankModel>() else { return Value::Null };
    let guard = match bank.guard {
        Guard::Strict => "strict",
        Guard::AtLeast => "at-least",
        Guard::None => "none",
    };
    json!({ "initial": bank.initial, "guard": guard, "negative": bank.negative == Negative::Allowed })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::sample;

    #[test]
    fn calm_stretches_are_thinned_out_and_the_neighbourhood_of_a_violation_is_not() {
        let run = sample::divergence();
        let judged = run.record.judgement.as_ref().unwrap();
        let concerned = &judged.moments[0].operations;
        assert!(!concerned.is_empty());
        let shown = chosen(&run.history, Some(judged), 2);
        assert!(shown.len() < run.history.operations.len());
        for invoke in concerned {
            assert!(shown.iter().any(|&at| run.history.operations[at].invoke == *invoke), "{invoke}");
        }
        let near = |operation: &Operation| operation.invoked.abs_diff(judged.moments[0].time) < NEAR;
        let near =
            (0..).zip(&run.history.operations).filter(|(_, operation)| near(operation)).map(|(at, _)| at);
        assert!(near.into_iter().all(|at: usize| shown.contains(&at)));
    }

    #[test]
    fn a_hundred_thousand_operations_take_less_than_two_megabytes() {
        let mut build = crate::checker::testing::Build::new();
        for at in 0..100_000_u64 {
            let took = 300_000 + at * 7919 % 900_000;
            let account = ["a", "b", "c", "d", "e", "f"][(at * 31 % 5) as usize];
            build = build.ok(
                (at * 150_000, at * 150_000 + took),
                (account, "z", (at % 97) as i64),
                [100 - at as i64, 7],
            );
        }
        let (history, record) = (build.history(), sample::pass().record);
        let packed = pack(&record, &history, &[Node::Coord], &[], LIMIT);
        assert_eq!(packed.shown, 100_000);
        assert!(packed.text.len() < 2_000_000, "{} bytes", packed.text.len());
    }
}
