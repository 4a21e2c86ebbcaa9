//! The models by name: a model of one's own is a line in [`by_text`].
//!
//! Here alone a model's types are forgotten, so that the command line can take any.

use std::time::{Duration, Instant};

use super::{
    CasRegister, Counter, FifoQueue, KeyValue, Model, Mutex, Outcome, Register, STAGES, Set, Stage,
    check_in_stages, in_words, typed,
};
use crate::checker::core;
use crate::checker::diagnosis::{self, Answer, Guarantee};
use crate::checker::linearizability::Budget;
use crate::history::read::Malformed;
use crate::history::untyped::UntypedHistory;
use crate::op::Outcome as End;
use crate::proof::{Claim, Orders};
use crate::verdict::{CheckResult, Verdict};

/// The names that [`by_text`] knows.
pub const NAMES: &str = "register, cas-register, kv, mutex, fifo-queue, set, counter";

/// The most time for making a violation small.
const FOR_A_CORE: Duration = Duration::from_secs(5);

/// A model whose types are forgotten.
pub trait AnyModel {
    /// The name that `--model` takes.
    fn name(&self) -> &'static str;

    /// Takes an option.
    ///
    /// # Errors
    /// What was found and what is accepted.
    fn set_option(&mut self, key: &str, value: &str) -> Result<(), String>;

    /// Judges a history.
    ///
    /// # Errors
    /// An operation that the model does not know, with its line: not a violation.
    fn judge(&mut self, history: &UntypedHistory, budget: &Budget) -> Result<CheckResult, Malformed> {
        self.judge_in_stages(history, budget, &STAGES)
    }

    /// The same with stages of one's own ([`super::check_in_stages`]).
    ///
    /// # Errors
    /// As those of [`judge`](AnyModel::judge).
    fn judge_in_stages(
        &mut self,
        history: &UntypedHistory,
        budget: &Budget,
        stages: &[Stage],
    ) -> Result<CheckResult, Malformed>;

    /// Judges a history and explains a violation; what can be verified of the verdict
    /// comes with it.
    ///
    /// # Errors
    /// As [`judge`](Self::judge).
    fn judge_and_claim(
        &mut self,
        history: &UntypedHistory,
        budget: &Budget,
    ) -> Result<(CheckResult, Option<Claim>), Malformed>;

    /// Whether a weaker guarantee holds; an order lists operations without failed ones.
    ///
    /// # Errors
    /// As those of [`judge`](AnyModel::judge).
    fn diagnose(
        &mut self,
        history: &UntypedHistory,
        guarantee: Guarantee,
        budget: &Budget,
    ) -> Result<Answer, Malformed>;
}

impl<M: Model> AnyModel for M {
    fn name(&self) -> &'static str {
        Model::name(self)
    }

    fn set_option(&mut self, key: &str, value: &str) -> Result<(), String> {
        Model::set_option(self, key, value)
    }

    fn judge_in_stages(
        &mut self,
        history: &UntypedHistory,
        budget: &Budget,
        stages: &[Stage],
    ) -> Result<CheckResult, Malformed> {
        let operations = typed(self, history)?;
        let outcome = check_in_stages(self, &operations, budget, stages);
        Ok(in_words(self, &operations, &outcome))
    }

    fn judge_and_claim(
        &mut self,
        history: &UntypedHistory,
        budget: &Budget,
    ) -> Result<(CheckResult, Option<Claim>), Malformed> {
        let operations = typed(self, history)?;
        let started = Instant::now();
        let outcome = check_in_stages(self, &operations, budget, &STAGES);
        let mut result = in_words(self, &operations, &outcome);
        let numbers = numbers(history);
        let claim = match outcome {
            Outcome::Linearizable { orders } if result.verdict == Some(Verdict::Pass) => {
                Some(witness(&numbers, orders))
            }
            Outcome::Violation(violation) => {
                let time = budget.time.saturating_sub(started.elapsed()).min(FOR_A_CORE);
                let found =
                    core::find_in_model(self, &operations, &numbers, &violation, &Budget { time, ..*budget });
                result.details.extend(diagnosis::explain_model(self, &operations, budget));
                found.map(|found| {
                    let reason = result.details.len().min(1);
                    result.details.splice(reason..reason, found.demands.into_iter().chain(found.proof));
                    Claim::Core(found.core)
                })
            }
            _ => None,
        };
        Ok((result, claim))
    }

    fn diagnose(
        &mut self,
        history: &UntypedHistory,
        guarantee: Guarantee,
        budget: &Budget,
    ) -> Result<Answer, Malformed> {
        let operations = typed(self, history)?;
        Ok(diagnosis::holds_in_model(self, &operations, guarantee, budget))
    }
}

/// The numbers of operations that [`typed`] keeps.
fn numbers(history: &UntypedHistory) -> Vec<u32> {
    let happened = (0u32..).zip(&history.operations).filter(|(_, asked)| asked.outcome() != End::Fail);
    happened.map(|(number, _)| number).collect()
}

/// The search leaves out what failed; a proof counts every operation of the history.
fn witness(numbers: &[u32], mut orders: Vec<Vec<u32>>) -> Claim {
    for place in orders.iter_mut().flatten() {
        *place = numbers[*place as usize];
    }
    Claim::Witness(Orders(orders))
}

/// The model of a text such as `register:initial=null`.
///
/// # Errors
/// What was found and what is accepted.
pub fn by_text(text: &str) -> Result<Box<dyn AnyModel>, String> {
    let (name, options) = text.split_once(':').unwrap_or((text, ""));
    let mut model: Box<dyn AnyModel> = match name {
        "register" => Box::new(Register::default()),
        "cas-register" => Box::new(CasRegister::default()),
        "kv" => Box::new(KeyValue::default()),
        "mutex" => Box::new(Mutex),
        "fifo-queue" => Box::new(FifoQueue::default()),
        "set" => Box::new(Set::default()),
        "counter" => Box::new(Counter::default()),
        _ => return Err(format!("`{name}` is no model; accepted: bank, {NAMES}")),
    };
    for option in options.split(',').filter(|option| !option.is_empty()) {
        let (key, value) = option.split_once('=').unwrap_or((option, ""));
        model.set_option(key, value)?;
    }
    Ok(model)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_a_model_and_others_are_refused_with_what_is_accepted() {
        for name in NAMES.split(", ") {
            assert_eq!(by_text(name).map(|model| model.name()).ok(), Some(name));
        }
        for good in
            ["register:initial=null", "kv:initial=0", "counter:initial=-3", "cas-register:initial=\"x\""]
        {
            assert!(by_text(good).is_ok(), "{good}");
        }
        for bad in ["stack", "register:colour=red", "register:initial=x", "mutex:a=b", "counter:initial=1.5"]
        {
            let why = by_text(bad).err().unwrap_or_default();
            assert!(why.contains("accepted") || why.contains("takes none"), "{bad}: {why}");
        }
    }
}
