//! What still holds of a history that is not linearizable: the diagnosis.
//!
//! **Sequential consistency** as Lamport defines it (1979): one legal order of all
//! operations exists in which those of each process come in the order in which it
//! asked. Real time between processes does not count. An indeterminate operation may
//! be left out, or come anywhere after what its process asked before; what its process
//! asked afterwards does not wait for it. Final files are asked by no process and are
//! left out.
//!
//! **Monotonic reads** and **read-your-writes** are two of the session guarantees of
//! Terry and others (1994), in the form of the predicates that Viotti and Vukolić give
//! (2016: "a vis b, b so c: a vis c" and "a so b: a vis b"), over a replicated log: what
//! is visible to an observation is a prefix of one total order of the effectful
//! operations (the consistent prefix of Terry, 2013), the order is legal, and what is
//! observed is the state after the prefix. Of the observations of one process, in the
//! order in which it asked,
//! - monotonic reads: the prefixes never become shorter;
//! - read-your-writes: each contains all effects that the process had asked for before
//!   and that were acknowledged.
//!
//! An operation that both changes and observes (a transfer that tells balances, a
//! dequeue, a cas that succeeded) observes where it stands: the prefix ends with it.
//! Neither guarantee wants the effects of one process in the order in which it asked
//! for them (monotonic writes), nor behind what it had observed (writes follow reads):
//! those are guarantees of their own. An indeterminate operation may stand anywhere or
//! nowhere. Sequential consistency implies both guarantees.
//!
//! Every "yes" has an order that was replayed without the search. Nothing is said where
//! the budget did not suffice. Does not decide whether a history is linearizable.

mod bank;
mod decide;
mod model;
mod rules;
mod search;

use super::bank::BankModel;
use super::linearizability::{Budget, Outcome, check};
use super::models::{Model, Operation};
use crate::history::History;
use bank::Bank;
use model::Parts;

pub use rules::Guarantee;
pub use search::Answer;

/// What is added where everything but real time is kept.
const TIMELY: &str = ": only real time between processes is violated";

/// Sentences for a report about a history that no order explains; none where nothing
/// was found out. `finals` tells whether final files were judged too.
pub fn explain(history: &History, model: &BankModel, finals: bool, budget: &Budget) -> Vec<String> {
    let share = Budget { time: budget.time.min(decide::TIME), memory: budget.memory / 4 };
    let alone = if finals { Some(check(history, model, &[], &share)) } else { None };
    let said = match alone {
        Some(Outcome::Linearizable { .. }) => {
            vec!["is linearizable, only the final files do not fit".into()]
        }
        Some(Outcome::Undecided { .. }) => decide::sentences(&Bank { history, model }, "", budget),
        _ => decide::sentences(&Bank { history, model }, TIMELY, budget),
    };
    told(said)
}

/// The same for operations of another model.
pub fn explain_model<M: Model>(
    model: &M,
    operations: &[Operation<M::Input, M::Output>],
    budget: &Budget,
) -> Vec<String> {
    told(decide::sentences(&Parts::new(model, operations), TIMELY, budget))
}

fn told(said: Vec<String>) -> Vec<String> {
    said.into_iter().map(|said| format!("diagnosis: what clients were told {said}")).collect()
}

/// Whether a guarantee holds of a history of the bank; an order that is told lists
/// positions in its operations.
pub fn holds(history: &History, model: &BankModel, guarantee: Guarantee, budget: &Budget) -> Answer {
    decide::decide(&Bank { history, model }, guarantee, budget)
}

/// The same for operations of another model.
pub fn holds_in_model<M: Model>(
    model: &M,
    operations: &[Operation<M::Input, M::Output>],
    guarantee: Guarantee,
    budget: &Budget,
) -> Answer {
    decide::decide(&Parts::new(model, operations), guarantee, budget)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checker::testing::Build;
    use crate::op::Outcome as End;

    #[track_caller]
    fn diagnosed(history: &History, finals: bool, told: &[&str]) {
        let said = explain(history, &BankModel::default(), finals, &Budget::default());
        let told = told.iter().map(|told| format!("diagnosis: what clients were told {told}"));
        assert_eq!(said, told.collect::<Vec<_>>());
    }

    fn stale() -> History {
        Build::new().ok((0, 1), ("a", "b", 5), [95, 105]).read((2, 3), &[("a", 100)]).history()
    }

    #[test]
    fn a_stale_read_of_another_process_violates_real_time_alone() {
        let told = [
            "is sequentially consistent (an order is known): only real time between processes is violated",
            "keeps monotonic reads and read-your-writes: that order does",
        ];
        diagnosed(&stale(), false, &told);
        diagnosed(&stale(), true, &told);
    }

    #[test]
    fn a_process_that_does_not_see_its_own_transfer_cannot_read_its_writes() {
        let mut history = stale();
        history.operations[1].process = history.operations[0].process;
        let told = [
            "is not even sequentially consistent",
            "breaks monotonic reads for process 0: first #0 transfer of 5 from a to b that saw a = 95, \
             b = 105, then #2 read that saw a = 100, and no order of the effects has the second state after \
             the first",
            "breaks read-your-writes for process 0: after its own #0 transfer of 5 from a to b that saw \
             a = 95, b = 105 came #2 read that saw a = 100, and no order of the effects comes by that state \
             with the former done",
        ];
        diagnosed(&history, false, &told);
    }

    #[test]
    fn reads_that_go_back_break_monotonic_reads_and_nothing_else() {
        let mut history = Build::new()
            .ok((0, 1), ("a", "b", 5), [95, 105])
            .read((2, 3), &[("a", 95)])
            .read((4, 5), &[("a", 100)])
            .history();
        history.operations[2].process = history.operations[1].process;
        let told = [
            "is not even sequentially consistent",
            "breaks monotonic reads for process 1: first #2 read that saw a = 95, then #4 read that saw \
             a = 100, and no order of the effects has the second state after the first",
            "keeps read-your-writes (an order is known)",
        ];
        diagnosed(&history, false, &told);
    }

    #[test]
    fn a_state_that_no_order_comes_by_is_no_fault_of_a_session() {
        let history = Build::new().read((0, 1), &[("a", 1)]).history();
        let told = [
            "is not even sequentially consistent",
            "keeps neither monotonic reads nor read-your-writes: no one order of the effects comes by all \
             states that were observed, whoever observed them when",
        ];
        diagnosed(&history, false, &told);
    }

    #[test]
    fn files_that_do_not_fit_are_told_apart_from_what_clients_were_told() {
        let right = Build::new().ok((0, 1), ("a", "b", 5), [95, 105]).history();
        diagnosed(&right, true, &["is linearizable, only the final files do not fit"]);
    }

    #[test]
    fn a_budget_of_nothing_says_nothing() {
        let many = (0..400).fold(Build::new(), |build, at| build.read((2 * at, 2 * at + 1), &[("a", 1)]));
        let nothing = Budget { time: std::time::Duration::ZERO, memory: 1 << 20 };
        assert_eq!(explain(&many.history(), &BankModel::default(), false, &nothing), Vec::<String>::new());
    }

    #[test]
    fn an_indeterminate_transfer_explains_only_what_its_process_did_before() {
        let lost = |own: bool| {
            let build = Build::new().read((0, 1), &[("a", 95)]).lost((2, 3), ("a", "b", 5), End::Info);
            let mut history = build.history();
            history.operations[1].process = if own { 0 } else { 1 };
            history
        };
        let order = |own| holds(&lost(own), &BankModel::default(), Guarantee::Sequential, &Budget::default());
        assert_eq!(order(false), Answer::Yes(vec![1, 0]));
        assert_eq!(order(true), Answer::No);
    }
}
