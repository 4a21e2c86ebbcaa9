//! The sentences about a replica whose file differs.
//!
//! Nearness in time is not cause: a sentence says "during" or "ms after" and no more.
//! Decides nothing.

use jiff::fmt::rfc2822;

use super::Question;
use super::change::Change;
use super::replay::{Spare, Step};
use super::search::Found;
use crate::checker::node_life::{Interval, down, of_operation};
use crate::checker::{count, list};
use crate::fault::Node;
use crate::history::{ClusterWhat, Operation};
use crate::op::Outcome;

/// Words for one question.
pub(super) struct Words<'a> {
    pub question: &'a Question<'a>,
    pub steps: &'a [Step],
    pub spares: &'a [Spare],
}

/// A restart further back than this is not worth mentioning, nanoseconds.
const SOON: u64 = 1_000_000_000;

impl Words<'_> {
    fn file(&self) -> String {
        match self.question.nodes {
            [one] => format!("{one}'s file"),
            several => format!("the file of {}", list(several)),
        }
    }

    fn reference(&self) -> &str {
        &self.question.reference.1
    }

    /// No order is known that the file could be held against.
    pub fn no_order(&self) -> String {
        format!(
            "no order of the transfers is known that gives the file of {}, so it is not told which ones {} lacks",
            self.reference(),
            self.file()
        )
    }

    /// The history is beyond what is kept in memory for this.
    pub fn too_long(&self) -> String {
        format!("the history is too long to find out which transfers {} lacks", self.file())
    }

    /// None of the kinds of changes gives the file.
    pub fn nothing(&self, cut_short: bool) -> String {
        let limit = if cut_short { ", as far as was looked (the search was cut short)" } else { "" };
        format!(
            "no lost prefix, suffix or window of the {} that give the file of {} gives {}, nor do one to three \
             missing, one or two applied twice, or two near ones swapped{limit}",
            count(self.steps.len() as u64, "transfer"),
            self.reference(),
            self.file()
        )
    }

    /// The simplest change in one sentence.
    pub fn found(&self, found: &Found) -> String {
        let Some(change) = found.changes.first() else { return self.nothing(true) };
        let basis = match self.question.order {
            Some(_) => "in an order that explains the history and gives",
            None => "in the order of acknowledgements, which gives",
        };
        let what = self.what(change, found);
        let also = found.also.as_ref().map(|swap| self.also(swap)).unwrap_or_default();
        format!("{} {what} ({basis} the file of {}){also}", self.file(), self.reference())
    }

    fn what(&self, change: &Change, found: &Found) -> String {
        match change {
            Change::Kept { from, until } => self.kept(*from, *until),
            &Change::Window { from, until } if until - from == 1 => self.lacks(&[from], found),
            Change::Window { from, until } => self.window(*from, *until, found),
            Change::Lacks(steps) => self.lacks(steps, found),
            Change::Twice(steps) => format!("has {} twice{}", self.names(steps), self.choice(found)),
            Change::Again { step, place } => {
                let before = match self.steps.get(*place) {
                    Some(next) => format!("before {}", self.name(next)),
                    None => "at the end".into(),
                };
                format!("has {} once more, {before}{}", self.names(&[*step]), self.choice(found))
            }
            Change::LacksAndTwice { lacks, twice } => format!(
                "lacks {} and has {} twice{}",
                self.names(&[*lacks]),
                self.names(&[*twice]),
                self.choice(found)
            ),
            Change::Swapped { early, late } => {
                let [early, late] = [self.names(&[*early]), self.names(&[*late])];
                format!(
                    "is what comes out with {late} before {early} instead of after it{}",
                    self.choice(found)
                )
            }
            Change::Unguarded(step) => {
                format!(
                    "moved the money of {}, which the guard refuses{}",
                    self.names(&[*step]),
                    self.choice(found)
                )
            }
            Change::Extra { spare, .. } => {
                let step = self.spares.get(*spare).map(|spare| self.name(&spare.step)).unwrap_or_default();
                format!("has {step} too, whose outcome no client knows{}", self.choice(found))
            }
        }
    }

    fn also(&self, swap: &Change) -> String {
        let Change::Swapped { early, late } = swap else { return String::new() };
        format!("; the same comes out with {} before {}", self.names(&[*late]), self.names(&[*early]))
    }

    fn kept(&self, from: usize, until: usize) -> String {
        let (all, after) = (self.steps.len(), self.steps.len() - until);
        match (from, after) {
            _ if until <= from => format!("lacks all {}{}", count(all as u64, "transfer"), self.told(0, all)),
            (0, after) => {
                self.run(&format!("lacks the last {}", count(after as u64, "transfer")), until, all)
            }
            (from, 0) => self.run(&format!("lacks the first {}", count(from as u64, "transfer")), 0, from),
            (from, after) => {
                let kept = count((until - from) as u64, "transfer");
                let head = self.run(&format!("holds only the effects of {kept} in a row"), from, until);
                format!("{head}; it lacks the {from} before and the {after} after them")
            }
        }
    }

    fn window(&self, from: usize, until: usize, found: &Found) -> String {
        let head = format!("lacks {} in a row", count((until - from) as u64, "transfer"));
        format!("{}{}", self.run(&head, from, until), self.choice(found))
    }

    /// A run of transfers: its first and last one, what clients were told, and when.
    fn run(&self, head: &str, from: usize, until: usize) -> String {
        let ends = match self.steps.get(from..until) {
            Some([only]) => self.name(only),
            Some([first, .., last]) => format!("{} to {}", self.name(first), self.name(last)),
            _ => String::new(),
        };
        format!("{head}, {ends}{}{}", self.told(from, until), self.when(from, until))
    }

    fn lacks(&self, steps: &[usize], found: &Found) -> String {
        let told = match steps {
            &[one] => format!("{}{}", self.told(one, one + 1), self.when(one, one + 1)),
            several => {
                let known = several.iter().filter(|&&step| self.acknowledged(step)).count();
                told(known, several.len())
            }
        };
        format!("lacks {}{}{told}", self.names(steps), self.choice(found))
    }

    /// How many changes of this kind are as simple.
    fn choice(&self, found: &Found) -> String {
        let number = found.changes.len();
        let at_least = if found.more { "at least " } else { "" };
        match number {
            0 | 1 if !found.more => String::new(),
            _ if self.equal(found) => format!(" (one of {at_least}{number} equal ones)"),
            _ => format!(" (for example: one of {at_least}{number} equally simple explanations)"),
        }
    }

    /// Whether all changes name one transfer each, and these are equal.
    fn equal(&self, found: &Found) -> bool {
        let asked = |change: &Change| match change {
            Change::Lacks(steps) | Change::Twice(steps) if steps.len() == 1 => {
                self.steps.get(steps[0]).copied()
            }
            Change::Unguarded(step) | Change::Again { step, .. } => self.steps.get(*step).copied(),
            Change::Extra { spare, .. } => self.spares.get(*spare).map(|spare| spare.step),
            _ => None,
        };
        let first = found.changes.first().and_then(asked);
        first.is_some_and(|first| {
            found.changes.iter().all(|change| asked(change).is_some_and(|it| it.equals(&first)))
        })
    }

    fn names(&self, steps: &[usize]) -> String {
        let names: Vec<String> =
            steps.iter().filter_map(|&at| Some(self.name(self.steps.get(at)?))).collect();
        match names.as_slice() {
            [first @ .., last] if !first.is_empty() => format!("{} and {last}", first.join(", ")),
            _ => names.concat(),
        }
    }

    /// `#4182 a->b 7`.
    fn name(&self, step: &Step) -> String {
        let account = |id: u32| self.question.history.accounts.get(id as usize).map_or("?", String::as_str);
        let line = self.operation(step).map(|operation| operation.invoke).unwrap_or_default();
        format!("#{line} {}->{} {}", account(step.from), account(step.to), step.amount)
    }

    fn operation(&self, step: &Step) -> Option<&Operation> {
        self.question.history.operations.get(step.operation)
    }

    fn acknowledged(&self, at: usize) -> bool {
        let operation = self.steps.get(at).and_then(|step| self.operation(step));
        operation.is_some_and(|operation| operation.outcome() == Outcome::Ok)
    }

    fn told(&self, from: usize, until: usize) -> String {
        told((from..until).filter(|&at| self.acknowledged(at)).count(), until - from)
    }

    /// What happened to the replica while these were under way, or shortly before.
    fn when(&self, from: usize, until: usize) -> String {
        let Some(span) = self.span(from, until) else { return String::new() };
        let said = self.question.nodes.iter().find_map(|&node| self.during(node, span));
        said.map(|said| format!(", {said}")).unwrap_or_default()
    }

    fn span(&self, from: usize, until: usize) -> Option<Interval> {
        let of = |at: usize| Some(of_operation(self.question.history, self.operation(self.steps.get(at)?)?));
        let (first, last) = (of(from)?, of(until.checked_sub(1)?)?);
        Some(Interval { begin: first.begin.min(last.begin), end: first.end.max(last.end) })
    }

    fn during(&self, node: Node, span: Interval) -> Option<String> {
        let history = self.question.history;
        let meets =
            |begin: u64, end: Option<u64>| span.meets(Interval { begin, end: end.unwrap_or(u64::MAX) });
        let mut faults = history.faults.iter().filter(|fault| fault.nodes.contains(&node));
        if let Some(fault) = faults.find(|fault| meets(fault.begin, fault.end)) {
            return Some(format!("during the {} of {node}", fault.kind));
        }
        if down(history, node).iter().any(|outage| outage.meets(span)) {
            return Some(format!("while {node} was down"));
        }
        let started = |what: &ClusterWhat| matches!(what, ClusterWhat::Start(of) if *of == node);
        let starts: Vec<u64> =
            history.cluster.iter().filter(|event| started(&event.what)).map(|event| event.time).collect();
        let restart = starts.iter().skip(1).rev().find(|&&time| time <= span.begin)?;
        let after = span.begin - restart;
        (after <= SOON).then(|| format!("from {} ms after the restart of {node} on", after / 1_000_000))
    }

    /// That the file's time of the latest request is another than the reference's.
    pub fn time_line(&self) -> Option<String> {
        let parse = |text: &str| rfc2822::DateTimeParser::new().parse_timestamp(text).ok();
        let odd = parse(&self.question.odd.time)?.as_second();
        let right = parse(&self.question.reference.0.time)?.as_second();
        let (apart, side) = (odd.abs_diff(right), if odd < right { "earlier" } else { "later" });
        let told = format!(
            "by the first line of {}, its latest request came {apart} s {side} than that of {}",
            self.file(),
            self.reference()
        );
        (apart > 0).then_some(told)
    }
}

fn told(acknowledged: usize, all: usize) -> String {
    match all - acknowledged {
        0 if all == 1 => ", acknowledged".into(),
        0 => ", all acknowledged".into(),
        1 if all == 1 => ", whose outcome no client knows".into(),
        unknown if unknown == all => ", of none of which a client knows the outcome".into(),
        unknown => format!(", {acknowledged} of them acknowledged, {unknown} of unknown outcome"),
    }
}
