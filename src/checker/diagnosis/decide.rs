//! Decides guarantees of any state machine, and finds what a broken one is broken by.
//!
//! A "yes" is told only with an order that keeps the guarantee ([`keeps`]) and that the
//! subject has replayed; what is blamed is itself proven: the guarantee for that process
//! alone, then for the fewest of its first operations, then for two of them alone.

use std::time::Duration;

use super::rules::{Fact, Guarantee, Rule, Sessions, keeps};
use super::search::{Answer, Machine, Task, search};
use crate::checker::linearizability::{Budget, budget::Meter};

/// The most time for each guarantee, and for finding what breaks one.
pub(super) const TIME: Duration = Duration::from_secs(2);
/// Earlier operations that are tried as the other half of a pair.
const PARTNERS: usize = 32;

/// What a diagnosis needs to know of a history and its state machine.
pub(super) trait Subject: Machine {
    /// What happened, or may have, in the order of invocations.
    fn facts(&self) -> Vec<Fact>;

    /// Replays an order without the search's help.
    fn replays(&self, order: &[usize]) -> bool;

    /// One operation in words, with what it told.
    fn words(&self, operation: usize) -> String;
}

/// The share of a budget that one question may take.
fn share(budget: &Budget) -> Budget {
    Budget { time: budget.time.min(TIME), memory: budget.memory / 4 }
}

fn ask(subject: &impl Subject, task: &Task, meter: &mut Meter) -> Answer {
    meter.unit = 1;
    search(subject, task, |held| meter.tick(held).is_ok())
}

/// Whether a guarantee holds for all processes.
pub(super) fn decide(subject: &impl Subject, guarantee: Guarantee, budget: &Budget) -> Answer {
    let sessions = Sessions::new(subject.facts());
    match ask(subject, &sessions.task(guarantee), &mut Meter::of(budget)) {
        Answer::Yes(order) if !keeps(&sessions, guarantee, &order) || !subject.replays(&order) => {
            Answer::Unknown
        }
        answer => answer,
    }
}

/// Sentences on sequential consistency and on the two guarantees; none on what was not
/// decided. `timely` is what to add where real time alone is violated.
pub(super) fn sentences(subject: &impl Subject, timely: &str, budget: &Budget) -> Vec<String> {
    let budget = share(budget);
    let sequential = decide(subject, Guarantee::Sequential, &budget);
    if let Answer::Yes(_) = sequential {
        let first = format!("is sequentially consistent (an order is known){timely}");
        return vec![first, "keeps monotonic reads and read-your-writes: that order does".into()];
    }
    let mut said = Vec::new();
    if sequential == Answer::No {
        said.push("is not even sequentially consistent".into());
    }
    let weaker = [Guarantee::MonotonicReads, Guarantee::ReadYourWrites];
    let answers = weaker.map(|guarantee| decide(subject, guarantee, &budget));
    if answers.contains(&Answer::No) {
        match decide(subject, Guarantee::ConsistentPrefix, &budget) {
            Answer::Yes(_) => {}
            Answer::No => {
                said.push(NO_PREFIX.into());
                return said;
            }
            // Whether it is the session that breaks it is open.
            Answer::Unknown => return said,
        }
    }
    for (guarantee, answer) in weaker.into_iter().zip(answers) {
        match answer {
            Answer::Yes(_) => said.push(format!("keeps {} (an order is known)", guarantee.name())),
            Answer::No => said.push(broken(subject, guarantee, &budget)),
            Answer::Unknown => {}
        }
    }
    said
}

const NO_PREFIX: &str = "keeps neither monotonic reads nor read-your-writes: no one order of the \
                         effects comes by all states that were observed, whoever observed them when";

impl Guarantee {
    fn name(self) -> &'static str {
        match self {
            Self::Sequential => "sequential consistency",
            Self::MonotonicReads => "monotonic reads",
            Self::ReadYourWrites => "read-your-writes",
            Self::ConsistentPrefix => "a consistent prefix",
        }
    }
}

/// A process for which alone a guarantee is broken already.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Blame {
    pub process: u64,
    /// Nothing that the process asked up to before this breaks it.
    pub at: Option<usize>,
    /// With this alone the other is in contradiction.
    pub with: Option<usize>,
}

fn broken(subject: &impl Subject, guarantee: Guarantee, budget: &Budget) -> String {
    let name = guarantee.name();
    let Some(Blame { process, at, with }) = blame(subject, guarantee, budget) else {
        return format!("breaks {name}: no order keeps it for all processes");
    };
    let words = |operation: usize| subject.words(operation);
    match (at, with, guarantee) {
        (Some(at), Some(with), Guarantee::MonotonicReads) => format!(
            "breaks {name} for process {process}: first {}, then {}, and no order of the effects has the \
             second state after the first",
            words(with),
            words(at)
        ),
        (Some(at), Some(with), _) => format!(
            "breaks {name} for process {process}: after its own {} came {}, and no order of the effects \
             comes by that state with the former done",
            words(with),
            words(at)
        ),
        (Some(at), None, _) => {
            format!("breaks {name} for process {process}: up to {}, and not without it", words(at))
        }
        _ => format!("breaks {name} for process {process}"),
    }
}

/// Looks for the process, then for its first operation, then for the partner. Rests on
/// the consistent prefix: without rules there is an order.
pub(super) fn blame(subject: &impl Subject, guarantee: Guarantee, budget: &Budget) -> Option<Blame> {
    let sessions = Sessions::new(subject.facts());
    let mut meter = Meter::of(budget);
    let mut answer = |session: usize, rule: Rule| {
        let task = sessions.with(|other| if other == session { rule } else { Rule::Free });
        ask(subject, &task, &mut meter)
    };
    let all = 0..sessions.processes.len();
    let session = all.into_iter().find(|&one| answer(one, guarantee.rule(usize::MAX)) == Answer::No)?;
    let items = &sessions.task.sessions[session];
    let mut blame = Blame { process: sessions.processes[session], at: None, with: None };
    // More of a session demands more: what `low` first ones keep, `high` break.
    let (mut low, mut high) = (0, items.len());
    while low + 1 < high {
        let middle = low.midpoint(high);
        match answer(session, guarantee.rule(middle)) {
            Answer::No => high = middle,
            Answer::Yes(_) => low = middle,
            Answer::Unknown => return Some(blame),
        }
    }
    let at = high - 1;
    blame.at = Some(items[at].operation);
    let demanded = |&before: &usize| guarantee.rule(usize::MAX).demands(items, before, at);
    let mut partners = (0..at).rev().filter(demanded).take(PARTNERS);
    let with = partners.find(|&before| answer(session, Rule::Pair(before, at)) == Answer::No);
    blame.with = with.map(|with| items[with].operation);
    Some(blame)
}
