//! Confirms a core: it asks for no more than the history, things can stand at its cut
//! only as it says, and from none of its starts an order meets its constraints.
//!
//! A core whose start states are too many to be found anew is not confirmed, only its
//! part from the cut on. Must not know how a core was found.

use rustc_hash::FxHashSet;

use super::constraints::{self, Task};
use super::starts::{self, Standing};
use super::{Effort, Finding, Moment, Subject, grouped, search};
use crate::op::Outcome;
use crate::proof::{Core, Start};

/// Confirms a core or says what is wrong with it.
pub(super) fn confirm<S: Subject>(subject: &S, core: &Core, effort: &mut Effort<'_>) -> Finding {
    let honest = constraints::tasks(subject, core).and_then(|tasks| Ok((tasks, standings(subject, core)?)));
    let (tasks, starts) = match honest {
        Ok(honest) => honest,
        Err(why) => return Finding::Refuted(why),
    };
    for (at, (state, happened)) in starts.iter().enumerate() {
        let left: Vec<Task> =
            tasks.iter().filter(|task| !happened.contains(&(task.number as u32))).copied().collect();
        match search::order(subject, &left, state.clone(), effort) {
            Ok(None) => {}
            Ok(Some(order)) => return Finding::Refuted(meets(core, at, &order)),
            Err(spent) => return Finding::Undecided(format!("{spent}: the core may or may not hold")),
        }
    }
    derived(subject, core, &tasks, &starts, effort)
}

/// Compares the starts with those that are found anew.
fn derived<S: Subject>(
    subject: &S,
    core: &Core,
    tasks: &[Task],
    starts: &[Standing<S::State>],
    effort: &mut Effort<'_>,
) -> Finding {
    let count = core.constraints.len();
    let confirmed = format!("no order meets the {} constraint{} of the core", grouped(count), plural(count));
    if core.cut == 0 {
        return Finding::Confirmed(confirmed);
    }
    let listed: FxHashSet<u32> = tasks.iter().map(|task| task.number as u32).collect();
    // Whether an observation that is not listed took place is nothing to the core.
    let counts = |number: u32| listed.contains(&number) || !subject.observes(number as usize);
    let missing = starts::at(subject, core.part, core.cut, effort)
        .and_then(|found| starts::missing(subject, starts, found, counts, effort));
    match missing {
        Ok(None) => {
            let count = starts.len();
            let states = format!("from any of the {} start state{}", grouped(count), plural(count));
            Finding::Confirmed(format!("{confirmed}, {states} at line index {}", core.cut))
        }
        Ok(Some((_, happened))) => Finding::Refuted(format!(
            "at the cut things can stand in a way that is no start state: with {} that had taken effect",
            listing("no open operation", &happened)
        )),
        Err(spent) => Finding::Undecided(format!(
            "confirmed from the cut on; the start states were not confirmed: {spent}"
        )),
    }
}

/// The starts that a core tells; without a cut the beginning of everything.
fn standings<S: Subject>(subject: &S, core: &Core) -> Result<Vec<Standing<S::State>>, String> {
    match (core.cut, core.start.as_slice()) {
        (0, []) => Ok(vec![(subject.initial(), Vec::new())]),
        (0, _) => Err("nothing is cut off, yet there are start states".into()),
        (_, starts) => {
            starts.iter().enumerate().map(|(at, start)| standing(subject, core, at, start)).collect()
        }
    }
}

fn standing<S: Subject>(
    subject: &S,
    core: &Core,
    at: usize,
    start: &Start,
) -> Result<Standing<S::State>, String> {
    let state = subject.state(&start.state).map_err(|why| format!("start {at}: {why}"))?;
    if start.happened.windows(2).any(|two| two[0] >= two[1]) {
        return Err(format!("start {at}: `happened` is not ascending"));
    }
    let cut = Moment::from(core.cut);
    let open = |&&number: &&u32| {
        let number = number as usize;
        let span = (number < subject.count()).then(|| subject.span(number));
        let open = span.is_some_and(|span| {
            span.outcome != Outcome::Fail
                && span.invoke < cut
                && span.returns.is_none_or(|returns| returns >= cut)
        });
        open && subject.part(number) == core.part
    };
    match start.happened.iter().find(|number| !open(number)) {
        Some(number) => Err(format!("start {at}: operation {number} is not open at the cut")),
        None => Ok((state, start.happened.clone())),
    }
}

fn meets(core: &Core, start: usize, order: &[u32]) -> String {
    let from = if core.cut == 0 { String::new() } else { format!("from start {start}, ") };
    format!("{from}this order meets every constraint of the core: {}", listing("nothing at all", order))
}

fn listing(none: &str, numbers: &[u32]) -> String {
    let shown: Vec<String> = numbers.iter().take(20).map(u32::to_string).collect();
    match numbers.len() {
        0 => none.into(),
        more @ 21.. => format!("operations {} and {} more", shown.join(", "), more - 20),
        _ => format!("operations {}", shown.join(", ")),
    }
}

fn plural(count: usize) -> &'static str {
    if count == 1 { "" } else { "s" }
}
