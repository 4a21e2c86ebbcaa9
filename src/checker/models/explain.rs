//! Says in words what the search found; decides nothing.

use super::problem::{Operation, Operations};
use super::{Model, Outcome, Violation};
use crate::verdict::{CheckName, CheckResult};

/// Words an outcome for a report.
pub fn in_words<M: Model>(model: &M, operations: &Operations<M>, outcome: &Outcome) -> CheckResult {
    let name = CheckName::Linearizable;
    let required = operations.iter().filter(|operation| operation.returns.is_some()).count();
    match outcome {
        Outcome::Linearizable { .. } if required == 0 => {
            CheckResult::undecided(name, "no operation was acknowledged: this proves nothing")
        }
        Outcome::Linearizable { orders } => {
            let used = orders.iter().flatten().filter(|&&number| is_open::<M>(operations, number)).count();
            let parts = if orders.len() > 1 { format!(" in {} parts", orders.len()) } else { String::new() };
            let message = format!("one order explains all {required} acknowledged operations{parts}");
            CheckResult::pass(name, message).with_details(open::<M>(operations, Some(used)))
        }
        Outcome::Violation(violation) => violated(model, operations, violation),
        Outcome::Undecided { reason, explained, required } => {
            let share = 100.0 * *explained as f64 / (*required).max(1) as f64;
            let so_far = format!("explained {explained} of {required} operations ({share:.0} %)");
            CheckResult::undecided(name, format!("not decided: {reason}; {so_far}"))
                .with_details(open::<M>(operations, None))
        }
    }
}

fn violated<M: Model>(model: &M, operations: &Operations<M>, violation: &Violation) -> CheckResult {
    let at = |number: u32| one(model, &operations[number as usize]);
    let part = model.describe_part(violation.part).map(|part| format!(" of {part}")).unwrap_or_default();
    let before = if violation.prefix.is_empty() && violation.explained > 0 {
        format!(" and the {} acknowledged{part} before it together", violation.explained)
    } else {
        format!("; the {} acknowledged{part} before it can be explained", violation.explained)
    };
    let message = format!("no order explains {}{before}", at(violation.operation));
    let mut lines = vec![why(violation)];
    lines.extend(
        violation.concurrent.iter().take(10).map(|&open| format!("open at that moment: {}", at(open))),
    );
    if violation.concurrent.len() > 10 {
        lines.push(format!("and {} more open operations", violation.concurrent.len() - 10));
    }
    lines.extend(last_steps(model, operations, &violation.prefix));
    lines.extend(open::<M>(operations, None));
    CheckResult::violation(CheckName::Linearizable, message).with_details(lines)
}

fn why(violation: &Violation) -> String {
    match violation.states.as_slice() {
        [] => "no order of what came before leaves any state".into(),
        states => format!("it is right in none of the states that orders give: {}", states.join("; ")),
    }
}

/// The last ten operations of the longest order that holds, each with the state after it.
fn last_steps<M: Model>(model: &M, operations: &Operations<M>, order: &[u32]) -> Vec<String> {
    if order.is_empty() {
        return Vec::new();
    }
    let mut lines =
        vec![format!("the longest order that holds has {} operations; it ends with", order.len())];
    let mut state = model.initial();
    for (at, &number) in order.iter().enumerate() {
        let operation = &operations[number as usize];
        let Some(after) = model.apply(&state, &operation.input, operation.output.as_ref()) else { break };
        state = after;
        if at + 10 >= order.len() {
            lines.push(format!("  {}; then {}", one(model, operation), model.describe_state(&state)));
        }
    }
    lines
}

/// One operation in one phrase.
fn one<M: Model>(model: &M, operation: &Operation<M::Input, M::Output>) -> String {
    let words = model.describe(&operation.input, operation.output.as_ref());
    let perhaps = if operation.returns.is_none() { " (indeterminate)" } else { "" };
    format!("#{} {words}{perhaps} by process {}", operation.invoke, operation.process)
}

fn is_open<M: Model>(operations: &Operations<M>, number: u32) -> bool {
    operations[number as usize].returns.is_none()
}

fn open<M: Model>(operations: &Operations<M>, used: Option<usize>) -> Option<String> {
    let open = operations.iter().filter(|operation| operation.returns.is_none()).count();
    let used = used.map(|used| format!("; in the order found {used} of them happened")).unwrap_or_default();
    (open > 0).then(|| format!("{open} operations remain indeterminate{used}"))
}
