//! Says in words what the engine found; decides nothing.

use super::config::Config;
use super::engine::Engine;
use super::online::Refuted;
use super::problem::Op;
use super::{Budget, Final, Outcome, Violation, check, closing};
use crate::checker::bank::BankModel;
use crate::checker::count;
use crate::history::{Call, History, Observed};
use crate::op::Outcome as End;
use crate::verdict::{CheckName, CheckResult};

/// States looked at to say what every order gives.
const STATES: usize = 4096;
/// Values listed before a sentence says "or others".
const VALUES: usize = 6;

/// Runs the check and words it for a report.
pub fn check_result(history: &History, model: &BankModel, finals: &[Final], budget: &Budget) -> CheckResult {
    in_words(history, model, finals, &check(history, model, finals, budget))
}

/// Words an outcome for a report.
pub fn in_words(history: &History, model: &BankModel, finals: &[Final], outcome: &Outcome) -> CheckResult {
    let words = Words { history, model, finals };
    let name = CheckName::Linearizable;
    match outcome {
        Outcome::Linearizable { witness } => {
            let happened = witness.iter().filter(|&&number| words.indeterminate(number)).count();
            let message = format!(
                "one order explains all {} acknowledged operations and {} final files",
                words.required(),
                finals.len()
            );
            CheckResult::pass(name, message).with_details(words.closed(Some(happened)))
        }
        Outcome::Violation(violation) => {
            let before = match violation.explained {
                0 => String::new(),
                explained => format!("; the {explained} before it can be explained"),
            };
            let message = format!("no order explains {}{before}", words.operation(violation.operation));
            CheckResult::violation(name, message).with_details(words.violation(violation, model))
        }
        Outcome::Undecided { reason, explained, required } => {
            let share = 100.0 * *explained as f64 / (*required).max(1) as f64;
            let message = format!(
                "not decided: {reason}; explained {explained} of {required} operations ({share:.0} %)"
            );
            CheckResult::undecided(name, message).with_details(words.closed(None))
        }
    }
}

/// Words a refutation of a history that was not held: `history` has its last
/// operations, from number `first` on.
pub fn refuted_in_words(history: &History, first: u32, refuted: &mut Refuted) -> CheckResult {
    let words = Words { history, model: &BankModel::default(), finals: &[] };
    let phrase = |number: u32| {
        let at = number.checked_sub(first).filter(|&at| (at as usize) < history.operations.len());
        at.map(|at| words.operation(at))
    };
    let what = phrase(refuted.operation)
        .unwrap_or_else(|| format!("the operation that ended at index {}", refuted.line.0));
    let message = format!("no order explains {what}; the {} before it can be explained", refuted.explained);
    let mut details = refuted.reasons(&history.accounts);
    let open = refuted.concurrent.iter().take(10).filter_map(|&number| phrase(number));
    details.extend(open.map(|operation| format!("open at that moment: {operation}")));
    CheckResult::violation(CheckName::Linearizable, message).with_details(details)
}

/// Operations open when one returns, without itself.
pub(super) fn concurrent(engine: &Engine, number: u32) -> Vec<u32> {
    let pending = engine.pending();
    let mut open: Vec<u32> = pending.open().iter().map(|&slot| pending.op(slot).number).collect();
    open.retain(|&open| open != number);
    open.sort_unstable();
    open
}

/// Why no explanation can be extended by an operation's return.
pub(super) fn reasons(
    engine: &mut Engine,
    before: &[Config],
    number: u32,
    accounts: &[String],
) -> Vec<String> {
    let states = engine.states_before(before, number, STATES);
    let layout = engine.layout();
    let pending = engine.pending();
    let Some(op) = pending.slot(number).map(|slot| pending.op(slot)) else { return Vec::new() };
    let reach = Reach {
        states: states.iter().map(|key| key[layout.balances()..layout.len() - 1].to_vec()).collect(),
        accounts,
    };
    let mut reasons = Vec::new();
    if let Some(needs) = op.needs() {
        reasons.push(reach.why(&needs, "to have moved the money, "));
    }
    if op.can_stay {
        let changes_nothing = if op.before.is_some() { "to have been refused, " } else { "" };
        reasons.push(reach.why(op.nodes(), changes_nothing));
    }
    if reasons.is_empty() {
        reasons.push(impossible(op));
    }
    reasons
}

fn impossible(op: &Op) -> String {
    match op.blind {
        Some(_) => "no order reaches it".into(),
        None => "no state of the bank gives such a result".into(),
    }
}

struct Reach<'a> {
    states: Vec<Vec<u64>>,
    accounts: &'a [String],
}

impl Reach<'_> {
    /// Names an account that never holds what is needed, or says that the needed
    /// values never meet.
    fn why(&self, needs: &[(u32, i64)], purpose: &str) -> String {
        let name = |account: u32| &self.accounts[account as usize];
        for &(account, value) in needs {
            let values = self.values(account);
            if !values.contains(&value) {
                return format!(
                    "{purpose}account {} would have to hold {value}; every order gives {}",
                    name(account),
                    list(&values)
                );
            }
        }
        let wanted: Vec<String> =
            needs.iter().map(|&(account, value)| format!("{} {value}", name(account))).collect();
        format!("{purpose}these would have to hold at once: {}; no order gives that", wanted.join(", "))
    }

    fn values(&self, account: u32) -> Vec<i64> {
        let mut values: Vec<i64> = self.states.iter().map(|state| state[account as usize] as i64).collect();
        values.sort_unstable();
        values.dedup();
        values
    }
}

fn list(values: &[i64]) -> String {
    let shown: Vec<String> = values.iter().take(VALUES).map(i64::to_string).collect();
    let more = if values.len() > VALUES { " or others" } else { "" };
    format!("{}{more}", shown.join(" or "))
}

/// Words for operations of one history.
pub(super) struct Words<'a> {
    pub history: &'a History,
    pub model: &'a BankModel,
    pub finals: &'a [Final],
}

impl Words<'_> {
    fn required(&self) -> usize {
        self.history.operations.iter().filter(|operation| operation.outcome() == End::Ok).count()
    }

    fn indeterminate(&self, number: u32) -> bool {
        self.history.operations.get(number as usize).is_some_and(|operation| operation.outcome() == End::Info)
    }

    /// One operation in one phrase.
    pub fn operation(&self, number: u32) -> String {
        let Some(operation) = self.history.operations.get(number as usize) else {
            let file = self.finals.get(number as usize - self.history.operations.len());
            return format!("the final file of {}", file.map_or("?", |file| file.node.as_str()));
        };
        let call = match &operation.call {
            Call::Transfer { from, to, amount } => {
                format!(
                    "transfer {} -> {} of {amount}",
                    self.history.account(*from),
                    self.history.account(*to)
                )
            }
            Call::Read => "read".into(),
        };
        let result = match operation.completion.as_ref().map(|completion| &completion.observed) {
            Some(Observed::Pair([from, to])) => format!(" giving {from} and {to}"),
            Some(Observed::Balances(seen)) => {
                let told = seen
                    .iter()
                    .map(|(account, balance)| format!("{} {balance}", self.history.account(*account)));
                format!(" giving {}", told.collect::<Vec<_>>().join(", "))
            }
            _ if self.indeterminate(number) => " (indeterminate)".into(),
            _ => String::new(),
        };
        format!("#{} {call}{result} by process {}", operation.invoke, operation.process)
    }

    fn violation(&self, violation: &Violation, model: &BankModel) -> Vec<String> {
        let mut lines = violation.reasons.clone();
        let open = violation.concurrent.iter().take(10).map(|&number| self.operation(number));
        lines.extend(open.map(|operation| format!("open at that moment: {operation}")));
        if violation.concurrent.len() > 10 {
            lines.push(format!("and {} more open operations", violation.concurrent.len() - 10));
        }
        if !violation.prefix.is_empty() {
            let operations = count(violation.prefix.len() as u64, "operation");
            lines.push(format!("the longest order that holds has {operations}; it ends with"));
            lines.extend(self.last_steps(&violation.prefix, model));
        }
        lines.extend(self.closed(None));
        lines
    }

    /// The last ten operations of an order, each with the balances after it.
    fn last_steps(&self, order: &[u32], model: &BankModel) -> Vec<String> {
        let mut balances = vec![model.initial; self.history.accounts.len()];
        let mut lines = Vec::new();
        for (at, &number) in order.iter().enumerate() {
            let call = self.history.operations.get(number as usize).map(|operation| &operation.call);
            let mut touched = String::new();
            if let Some(&Call::Transfer { from, to, amount }) = call {
                let (debited, credited) = (balances[from.0 as usize], balances[to.0 as usize]);
                let moved = if from == to { None } else { model.transfer(debited, credited, amount) };
                if let Some(after) = moved {
                    (balances[from.0 as usize], balances[to.0 as usize]) = (after[0], after[1]);
                }
                let name = |account| self.history.account(account);
                let (debited, credited) = (balances[from.0 as usize], balances[to.0 as usize]);
                touched = format!("; then {} {debited}, {} {credited}", name(from), name(to));
            }
            if at + 10 >= order.len() {
                lines.push(format!("  {}{touched}", self.operation(number)));
            }
        }
        lines
    }

    /// What is known of operations without a definite end.
    fn closed(&self, happened: Option<usize>) -> Vec<String> {
        let operations = &self.history.operations;
        let closed: Vec<String> = operations
            .iter()
            .filter(|operation| operation.never_delivered)
            .map(|operation| format!("#{}", operation.invoke))
            .collect();
        let open = operations.iter().filter(|operation| operation.outcome() == End::Info).count();
        let mut lines = Vec::new();
        if open > 0 {
            let used = happened.map(|used| format!("; in the order found {used} of them happened"));
            lines.push(format!("{open} operations remain indeterminate{}", used.unwrap_or_default()));
        }
        if !closed.is_empty() {
            lines.push(format!("closed by evidence, never delivered: {}", shorten(&closed)));
        }
        lines.extend(self.closed_by_files());
        lines
    }

    /// What the final files tell of operations without a definite end.
    fn closed_by_files(&self) -> Vec<String> {
        let Some(closing) = closing::by_final_files(self.history, self.model, self.finals) else {
            return Vec::new();
        };
        let names = |numbers: &[u32]| -> Vec<String> {
            let operations =
                numbers.iter().filter_map(|&number| self.history.operations.get(number as usize));
            operations.map(|operation| format!("#{}", operation.invoke)).collect()
        };
        let (mut moved, mut never, mut classes) = (Vec::new(), Vec::new(), Vec::new());
        for class in &closing.closed {
            let (names, all) = (names(&class.operations), class.operations.len());
            match (class.least, class.most) {
                (least, _) if least == all => moved.extend(names),
                (_, 0) => never.extend(names),
                (least, most) => {
                    let number = if least == most { least.to_string() } else { format!("{least} to {most}") };
                    classes.push(format!(
                        "closed by the final files, {number} of these {all} equal ones moved money: {}",
                        shorten(&names)
                    ));
                }
            }
        }
        let told = |what: &str, names: &[String]| {
            (!names.is_empty()).then(|| format!("closed by the final files, {what}: {}", shorten(names)))
        };
        let whole = told("moved money", &moved).into_iter().chain(told("never moved money", &never));
        whole.chain(classes).collect()
    }
}

fn shorten(items: &[String]) -> String {
    let more = if items.len() > 20 { format!(" and {} more", items.len() - 20) } else { String::new() };
    format!("{}{more}", items[..items.len().min(20)].join(" "))
}
