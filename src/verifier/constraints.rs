//! Whether a core asks for less than its history does, so that no order for the core
//! means no order for the history.
//!
//! An operation that is not listed may be left out only if leaving it out takes no
//! explanation away: it only observes; or it is invoked after everything that must
//! have happened has returned, so that it comes after all of that in every order; or
//! everything it did lies before the cut. Does not search.

use rustc_hash::FxHashSet;

use super::{Moment, Span, Subject};
use crate::op::Outcome;
use crate::proof::{Constraint, Core, Demand};

/// One operation as the plain search takes it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Task {
    pub number: usize,
    pub invoke: Moment,
    /// By then it must have happened; `None`: it need not.
    pub deadline: Option<Moment>,
    /// Whether its result counts.
    pub result: bool,
}

/// The tasks of a core, in the order of their invocations.
///
/// # Errors
/// The core asks for more than the history, or leaves out what may matter; in words.
pub(super) fn tasks<S: Subject>(subject: &S, core: &Core) -> Result<Vec<Task>, String> {
    if let Some(two) = core.constraints.windows(2).find(|two| two[0].operation >= two[1].operation) {
        return Err(format!("operation {} is not listed in ascending order, once", two[1].operation));
    }
    let tasks: Result<Vec<Task>, String> =
        core.constraints.iter().map(|constraint| task(subject, core, constraint)).collect();
    let mut tasks = tasks?;
    tasks.sort_by_key(|task| task.invoke);
    left_out(subject, core, &tasks)?;
    Ok(tasks)
}

/// What one constraint asks for, if the history asks for it too.
fn task<S: Subject>(subject: &S, core: &Core, constraint: &Constraint) -> Result<Task, String> {
    let number = constraint.operation as usize;
    if number >= subject.count() {
        return Err(format!("operation {number} does not exist"));
    }
    let Span { invoke, returns, outcome } = subject.span(number);
    if subject.part(number) != core.part {
        return Err(format!("operation {number} is of another part than the core"));
    }
    if returns.is_some_and(|returns| returns < Moment::from(core.cut)) {
        return Err(format!("operation {number} returned before the cut and counts as happened already"));
    }
    let task = |deadline, result| Ok(Task { number, invoke, deadline, result });
    match (constraint.demand, outcome) {
        (_, Outcome::Fail) => {
            Err(format!("operation {number} did not happen, so nothing can be demanded of it"))
        }
        (Demand::MayHaveHappened, _) => task(None, false),
        (_, Outcome::Info) => {
            Err(format!("nobody knows whether operation {number} happened, yet it is demanded"))
        }
        (Demand::HappenedInTime, Outcome::Ok) => task(returns, false),
        (Demand::Explained, Outcome::Ok) => task(returns, true),
    }
}

/// Nothing that is not listed may matter.
fn left_out<S: Subject>(subject: &S, core: &Core, tasks: &[Task]) -> Result<(), String> {
    let last = tasks.iter().filter_map(|task| task.deadline).max();
    let listed: FxHashSet<usize> = tasks.iter().map(|task| task.number).collect();
    for number in (0..subject.count()).filter(|number| !listed.contains(number)) {
        let span = subject.span(number);
        let matters = span.outcome != Outcome::Fail
            && subject.part(number) == core.part
            && !subject.observes(number)
            && last.is_some_and(|last| span.invoke <= last)
            && !before_the_cut(core, number, span);
        if matters {
            return Err(format!("operation {number} may have an effect that matters and is left out"));
        }
    }
    Ok(())
}

fn before_the_cut(core: &Core, number: usize, span: Span) -> bool {
    let cut = Moment::from(core.cut);
    let happened =
        || core.start.iter().all(|start| start.happened.iter().any(|&done| done as usize == number));
    span.returns.is_some_and(|returns| returns < cut) || (span.invoke < cut && happened())
}
