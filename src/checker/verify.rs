//! Replays a witness of the bank: an independent judge of every acceptance.
//!
//! Only words the question for [`crate::verifier`], which shares the parsed history
//! with the search and nothing else.

use super::bank::{BankModel, Guard, Negative};
use super::linearizability::Final;
use crate::history::History;
use crate::verifier::{Bank, Rules, replay};

/// Replays `order` (operation numbers, final files numbered after the operations).
///
/// # Errors
/// The first thing that is wrong with the order, in words.
pub fn witness(history: &History, model: &BankModel, finals: &[Final], order: &[u32]) -> Result<(), String> {
    let least_left = match model.guard {
        Guard::Strict => Some(1),
        Guard::AtLeast => Some(0),
        Guard::None => None,
    };
    let rules = Rules { initial: model.initial, least_left, negative: model.negative == Negative::Allowed };
    let files = finals.iter().map(|file| (file.node.as_str(), &file.file));
    replay(&Bank::new(rules, history, files), &[order])
}
