//! Why one replica's file differs: which transfers it lacks, has twice, or has in
//! another order.
//!
//! Verifies nothing: it explains a difference that `replicas` found. It takes an
//! order of transfers that gives the file of the other replicas, and looks for the
//! simplest change of it that gives exactly the odd file: a lost prefix, suffix or
//! window; one to three transfers missing, one or two applied twice, two near ones
//! swapped, one that the guard refuses, one of unknown outcome. Each change is
//! replayed. Another change, and another order, may give the same file: the words
//! say how many are equally simple. Not looked for: changes beyond these kinds, and
//! transfers that nobody asked for.
//!
//! [`change`] names the kinds, [`replay`] applies them, [`search`] chooses, [`words`]
//! tells. Must not know how the order was found, nor files or nodes as such.

mod change;
mod replay;
mod search;
#[cfg(test)]
mod search_tests;
mod words;

use std::collections::BTreeMap;

use super::bank::BankModel;
use super::explain::acknowledged_order;
use super::node_life::{hindered, of_operation};
use crate::fault::Node;
use crate::history::data_file::DataFile;
use crate::history::{Call, History, Operation};
use crate::op::Outcome;
use replay::{Goal, Replays, Spare, Step};
use search::{Answer, simplest};
use words::Words;

/// What is asked: why `odd` is not `reference`.
pub struct Question<'a> {
    /// What clients and nodes did.
    pub history: &'a History,
    /// The rules.
    pub bank: BankModel,
    /// The replicas with the odd file.
    pub nodes: &'a [Node],
    /// Their file.
    pub odd: &'a DataFile,
    /// The file of the other replicas, and who they are.
    pub reference: (&'a DataFile, String),
    /// An order that explains the history and the reference, as positions in its
    /// operations; without one, the order of acknowledgements is tried.
    pub order: Option<&'a [usize]>,
}

/// Places of interest that are looked around.
const PLACES: usize = 40;

/// One or two sentences, most important first; empty if there is nothing to tell.
pub fn explain(question: &Question<'_>) -> Vec<String> {
    let order = question.order.map_or_else(|| acknowledged_order(question.history), <[usize]>::to_vec);
    let steps = steps(question.history, &order);
    let spares = spares(question.history, &order, &steps, &question.bank);
    if steps.is_empty() {
        return Vec::new();
    }
    let words = Words { question, steps: &steps, spares: &spares };
    let Some(names_count) = gives_reference(question, &steps) else {
        return vec![words.no_order()];
    };
    let goal = goal(question.history, question.odd, names_count);
    let Some(mut replays) = Replays::new(question.bank, &steps, &spares, &goal) else {
        return vec![words.too_long()];
    };
    let places = places(question.history, question.nodes, &steps);
    match simplest(&mut replays, &places) {
        Answer::Same => Vec::new(),
        Answer::Changed(found) => std::iter::once(words.found(&found)).chain(words.time_line()).collect(),
        Answer::Nothing { cut_short } => {
            std::iter::once(words.nothing(cut_short)).chain(words.time_line()).collect()
        }
    }
}

fn steps(history: &History, order: &[usize]) -> Vec<Step> {
    order.iter().filter_map(|&at| step(at, history.operations.get(at)?)).collect()
}

fn step(at: usize, operation: &Operation) -> Option<Step> {
    match operation.call {
        Call::Transfer { from, to, amount } => Some(Step { operation: at, from: from.0, to: to.0, amount }),
        Call::Read => None,
    }
}

/// Operations of unknown outcome that the order leaves out and that would matter.
fn spares(history: &History, order: &[usize], steps: &[Step], bank: &BankModel) -> Vec<Spare> {
    let mut listed = vec![false; history.operations.len()];
    for &at in order {
        listed.get_mut(at).into_iter().for_each(|listed| *listed = true);
    }
    let ended = |step: &Step| history.operations[step.operation].completion.as_ref().map(|end| end.index);
    let unknown = history
        .operations
        .iter()
        .enumerate()
        .filter(|(at, operation)| operation.outcome() == Outcome::Info && !listed[*at]);
    unknown
        .filter_map(|(at, operation)| Some((step(at, operation)?, operation.invoke)))
        .filter(|(step, _)| step.from != step.to && bank.effective(step.amount))
        .map(|(step, invoke)| {
            let before = |other: &Step| ended(other).is_some_and(|ended| ended < invoke);
            let earliest = steps.iter().rposition(before).map_or(0, |last| last + 1);
            Spare { step, earliest }
        })
        .collect()
}

/// Whether the order ends in the reference, and then whether names count.
fn gives_reference(question: &Question<'_>, steps: &[Step]) -> Option<bool> {
    [true, false].into_iter().find(|&names_count| {
        let goal = goal(question.history, question.reference.0, names_count);
        Replays::new(question.bank, steps, &[], &goal).is_none_or(|mut replays| replays.holds())
    })
}

/// A file as balances by account number; names that no client used come last.
fn goal(history: &History, file: &DataFile, names_count: bool) -> Goal {
    let mut named: BTreeMap<&str, i64> =
        file.balances.iter().map(|(name, balance)| (name.as_str(), *balance)).collect();
    let known = history.accounts.iter().map(|name| named.remove(name.as_str()));
    let mut balances: Vec<Option<i64>> = known.collect();
    balances.extend(named.into_values().map(Some));
    Goal { balances, names_count }
}

/// Places in the order where something happened to one of the replicas.
fn places(history: &History, nodes: &[Node], steps: &[Step]) -> Vec<usize> {
    let spans = nodes.iter().flat_map(|&node| hindered(history, node));
    let of = |step: &Step| of_operation(history, &history.operations[step.operation]);
    let place = |time: u64| steps.iter().position(|step| of(step).end >= time).unwrap_or(steps.len());
    let mut places: Vec<usize> = spans.flat_map(|span| [place(span.begin), place(span.end)]).collect();
    places.sort_unstable();
    places.dedup();
    places.truncate(PLACES);
    places
}
