//! `overdraft`: no balance falls below what the guard can leave.
//!
//! Verifies every balance in replies, in reads and in final files. With amounts
//! that are not negative, the strict guard leaves at least 1 and the guard
//! `at-least` at least 0 (or the initial balance, if that is lower already).
//!
//! Does not verify balances between replies that nobody saw, and cannot say
//! anything where there is no guard, or where a negative amount may have been
//! applied: it debits the receiver, whom no guard protects.

use super::bank::{BankModel, Guard, Negative};
use super::{final_files, quote};
use crate::history::data_file::parse_data_file;
use crate::history::{Call, History, Observed, Operation};
use crate::op::Outcome;
use crate::recorded::{Recorded, ReplicaFile};
use crate::verdict::{CheckName, CheckResult};

/// Checks every balance that was seen.
pub fn check(recorded: &Recorded) -> CheckResult {
    let name = CheckName::Overdraft;
    let floor = match floor(recorded) {
        Ok(floor) => floor,
        Err(why) => return CheckResult::skipped(name, why),
    };
    let history = &recorded.history;
    let mut below: Vec<String> = history
        .operations
        .iter()
        .filter_map(|operation| low_reply(history, operation, floor))
        .take(20)
        .collect();
    below.extend(final_files(recorded).files.into_iter().filter_map(|file| low_file(file, floor)));
    match below.first() {
        Some(first) => CheckResult::violation(name, first.clone()).with_details(below.drain(1..)),
        None => CheckResult::pass(name, format!("no balance below {floor} in any reply or file")),
    }
}

fn floor(recorded: &Recorded) -> Result<i64, String> {
    let model = recorded.workload.model.parse::<BankModel>()?;
    let floor = match model.guard {
        Guard::Strict => model.initial.min(1),
        Guard::AtLeast => model.initial.min(0),
        Guard::None => return Err("the model has no guard".into()),
    };
    let negative = recorded.history.operations.iter().find(|operation| may_debit_receiver(operation));
    match negative.filter(|_| model.negative == Negative::Allowed) {
        Some(negative) => Err(format!(
            "the negative amount of the operation at line {} may have been applied, which no guard stops",
            negative.invoke
        )),
        None => Ok(floor),
    }
}

fn may_debit_receiver(operation: &Operation) -> bool {
    matches!(operation.call, Call::Transfer { amount: ..=-1, .. }) && operation.outcome() != Outcome::Fail
}

fn low_reply(history: &History, operation: &Operation, floor: i64) -> Option<String> {
    let completion = operation.completion.as_ref()?;
    let (account, balance) = seen(operation).into_iter().find(|&(_, balance)| balance < floor)?;
    let account = quote(history.account(account).as_bytes());
    let line = completion.index;
    Some(format!(
        "account {account} held {balance} in the reply at line {line}; the guard leaves at least {floor}"
    ))
}

fn seen(operation: &Operation) -> Vec<(crate::history::AccountId, i64)> {
    match (&operation.call, operation.completion.as_ref().map(|completion| &completion.observed)) {
        (Call::Transfer { from, to, .. }, Some(Observed::Pair([debited, credited]))) => {
            vec![(*from, *debited), (*to, *credited)]
        }
        (_, Some(Observed::Balances(balances))) => balances.clone(),
        _ => Vec::new(),
    }
}

fn low_file(file: &ReplicaFile, floor: i64) -> Option<String> {
    let parsed = parse_data_file(file.content.as_deref()?).ok()?;
    let (account, balance) = parsed.balances.into_iter().find(|&(_, balance)| balance < floor)?;
    let account = quote(account.as_bytes());
    Some(format!(
        "account {account} holds {balance} in the file of {}; the guard leaves at least {floor}",
        file.node
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checker::testing::*;
    use crate::verdict::Verdict;

    #[test]
    fn a_balance_that_the_guard_cannot_leave_is_a_violation_in_replies_and_files() {
        let reply = Build::new().ok((0, 1), ("a", "b", 105), [-5, 205]).recorded(PLAIN, &[]);
        assert!(check(&reply).message.contains("`a` held -5 in the reply at line 1"), "{:?}", check(&reply));
        let file = Build::new().recorded(PLAIN, &[Some("# t\na 0\nb 200\n")]);
        assert!(check(&file).message.contains("`a` holds 0 in the file of srv-1"), "{:?}", check(&file));
        let right = Build::new().ok((0, 1), ("a", "b", 99), [1, 199]).recorded(PLAIN, &[]);
        assert_eq!(check(&right).verdict, Some(Verdict::Pass));
    }

    #[test]
    fn a_negative_amount_excuses_an_overdraft_only_if_it_may_have_been_applied() {
        let of = |outcome| {
            let lost = Build::new().lost((0, 1), ("a", "b", -200), outcome);
            check(&lost.ok((2, 3), ("a", "b", 0), [300, -100]).recorded(PLAIN, &[])).verdict
        };
        assert_eq!(of(Outcome::Info), None);
        assert_eq!(of(Outcome::Fail), Some(Verdict::Violation));
    }

    #[test]
    fn without_a_guard_nothing_is_forbidden() {
        let text = r#"{"name":"x","duration":"1s","model":"bank:guard=none"}"#;
        let recorded = Build::new().ok((0, 1), ("a", "b", 105), [-5, 205]).recorded(text, &[]);
        assert_eq!(check(&recorded).verdict, None);
    }
}
