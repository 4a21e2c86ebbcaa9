//! Joins the lines of a history into operations, faults and cluster events.
//!
//! Holds the rules of the format that concern more than one line. Knows nothing
//! of files, and nothing of what a right result would be.

use std::collections::BTreeMap;

use rustc_hash::{FxHashMap, FxHashSet};

use super::line::{Edge, Kind, f};
use super::raw::{RawBalances, RawLine, RawTransfer, RawWriter, json};
use super::sequence::{Sequence, closes, evidence_against_ok, no_invocation, ok_against_evidence};
use super::{
    AccountId, Call, ClusterEvent, ClusterWhat, Completion, FaultSpan, History, Observed, Operation, Phase,
    SkippedFault,
};
use crate::fault::{FaultKind, Node};
use crate::op::Outcome;

/// The state of reading: what was joined so far and who still waits.
#[derive(Debug, Default)]
pub(super) struct Pairing {
    history: History,
    accounts: FxHashMap<String, AccountId>,
    sequence: Sequence,
    faults: FxHashMap<u64, usize>,
    warned: FxHashSet<String>,
    change: Option<Change>,
    /// Operations that are no longer held; positions go on counting them.
    forgotten: usize,
    forget_at: usize,
}

/// What a line said of an operation, by position.
#[derive(Debug, Clone, Copy)]
pub(super) enum Change {
    Invoked(usize),
    Ended(usize),
    NeverDelivered(usize),
    TooLate,
}

/// Operations that are held at least, where the ended ones are forgotten.
const HELD: usize = 1 << 13;

impl Pairing {
    /// Takes in one line; `number` counts from 1 and is for warnings only.
    pub fn line(&mut self, text: &str, number: u64) -> Result<(), String> {
        let line = RawLine::parse(text)?;
        self.sequence.in_order(line.index, line.time)?;
        match &line.process {
            RawWriter::Client(process) => self.client(&line, *process),
            RawWriter::Harness(part) if part == "evidence" => self.evidence(&line, number),
            RawWriter::Harness(_) => self.harness(line, number),
        }
    }

    /// What the last line said of an operation, once.
    pub fn change(&mut self) -> Option<Change> {
        self.change.take()
    }

    /// An operation that is held.
    pub fn operation(&self, at: usize) -> &Operation {
        &self.history.operations[at - self.forgotten]
    }

    /// Operations that are no longer held.
    pub fn forgotten(&self) -> usize {
        self.forgotten
    }

    /// Forgets the first operations, up to one that is open, but for the last ones.
    pub fn forget_the_ended(&mut self) {
        let operations = &mut self.history.operations;
        if operations.len() < self.forget_at.max(2 * HELD) {
            return;
        }
        let ended = operations.iter().take_while(|operation| operation.completion.is_some()).count();
        let count = ended.min(operations.len() - HELD);
        operations.drain(..count);
        self.forgotten += count;
        self.forget_at = 2 * operations.len();
    }

    /// Takes in a line of the harness that concerns no operation; where it stands
    /// among the others is the caller's concern.
    pub fn harness(&mut self, line: RawLine<'_>, number: u64) -> Result<(), String> {
        match &line.process {
            RawWriter::Harness(part) if part == "nemesis" => self.nemesis(line, number),
            RawWriter::Harness(part) if part == "cluster" => self.cluster(line, number),
            // What is no request is no operation either.
            RawWriter::Harness(part) if part == f::BAD => Ok(()),
            RawWriter::Harness(other) => {
                self.warn_once(number, format!("`{other}` is no known writer: its lines are left out"));
                Ok(())
            }
            RawWriter::Client(_) => Ok(()),
        }
    }

    /// The history as it stands after `lines` lines.
    pub fn finish(mut self, lines: u64) -> History {
        self.history.lines = lines;
        self.history.end = self.sequence.end();
        self.history
    }

    /// Notes something that a reader should know.
    pub fn warn(&mut self, warning: String) {
        self.history.warnings.push(warning);
    }

    fn warn_once(&mut self, number: u64, warning: String) {
        if self.warned.insert(warning.clone()) {
            self.warn(format!("line {number}: {warning}"));
        }
    }

    fn client(&mut self, line: &RawLine<'_>, process: u64) -> Result<(), String> {
        match line.kind {
            Kind::Invoke => self.invoke(line, process),
            Kind::Ok => self.complete(line, process, Outcome::Ok),
            Kind::Fail => self.complete(line, process, Outcome::Fail),
            Kind::Info => self.complete(line, process, Outcome::Info),
        }
    }

    fn invoke(&mut self, line: &RawLine<'_>, process: u64) -> Result<(), String> {
        self.sequence.may_invoke(process)?;
        let call = self.call(line)?;
        let at = self.forgotten + self.history.operations.len();
        self.sequence.open(process, at, line.index);
        self.change = Some(Change::Invoked(at));
        self.history.operations.push(Operation {
            invoke: line.index,
            process,
            invoked: line.time,
            call,
            completion: None,
            never_delivered: false,
        });
        Ok(())
    }

    fn call(&mut self, line: &RawLine<'_>) -> Result<Call, String> {
        match line.f.as_ref() {
            f::TRANSFER => {
                let transfer: RawTransfer<'_> = transfer(line)?;
                if transfer.balances.is_some() {
                    return Err("an invocation cannot know `balances`".into());
                }
                let (from, to) = (self.account(&transfer.from), self.account(&transfer.to));
                Ok(Call::Transfer { from, to, amount: transfer.amount })
            }
            f::READ => Ok(Call::Read),
            other => Err(format!("`{other}` is no operation of a client; accepted: transfer, read")),
        }
    }

    fn complete(&mut self, line: &RawLine<'_>, process: u64, outcome: Outcome) -> Result<(), String> {
        let open = self.sequence.opened(process)?;
        let observed = self.observed(line, open)?;
        let operation = &mut self.history.operations[open - self.forgotten];
        if outcome == Outcome::Ok && operation.never_delivered {
            return Err(ok_against_evidence(operation.invoke));
        }
        let (index, time, error) = (line.index, line.time, line.error.clone());
        operation.completion = Some(Completion { index, time, outcome, observed, error });
        self.sequence.close(process, outcome);
        self.change = Some(Change::Ended(open));
        Ok(())
    }

    fn observed(&mut self, line: &RawLine<'_>, open: usize) -> Result<Observed, String> {
        match (&self.history.operations[open - self.forgotten].call, line.f.as_ref()) {
            (&Call::Transfer { from, to, amount }, f::TRANSFER) => {
                if line.value() == "null" {
                    return Ok(Observed::Nothing);
                }
                let told: RawTransfer<'_> = transfer(line)?;
                let same = (told.from.as_ref(), told.to.as_ref(), told.amount)
                    == (self.history.account(from), self.history.account(to), amount);
                let observed = told.balances.map_or(Observed::Nothing, Observed::Pair);
                if same { Ok(observed) } else { Err(self.contradicts(open)) }
            }
            (Call::Read, f::READ) => self.balances(line),
            _ => Err(self.contradicts(open)),
        }
    }

    fn contradicts(&self, open: usize) -> String {
        let invoke = self.history.operations[open - self.forgotten].invoke;
        format!(
            "the completion contradicts its invocation of index {invoke}; f, from, to and amount must agree"
        )
    }

    fn balances(&mut self, line: &RawLine<'_>) -> Result<Observed, String> {
        let told: Option<RawBalances<'_>> = json(line.value()).map_err(|reason| {
            format!("value of a read: {reason}; accepted is {{\"a\":95,\"b\":105}} or null")
        })?;
        let Some(RawBalances(told)) = told else { return Ok(Observed::Nothing) };
        let mut pairs: Vec<_> = told.iter().map(|(name, balance)| (self.account(name), *balance)).collect();
        pairs.sort_unstable_by_key(|&(account, _)| account);
        match pairs.windows(2).find(|two| two[0].0 == two[1].0) {
            Some(two) => Err(format!("the read names account `{}` twice", self.history.account(two[0].0))),
            None => Ok(Observed::Balances(pairs)),
        }
    }

    fn account(&mut self, name: &str) -> AccountId {
        if let Some(&id) = self.accounts.get(name) {
            return id;
        }
        let id = AccountId(self.history.accounts.len() as u32);
        self.history.accounts.push(name.to_owned());
        self.accounts.insert(name.to_owned(), id);
        id
    }

    fn evidence(&mut self, line: &RawLine<'_>, number: u64) -> Result<(), String> {
        if line.f != f::NEVER_DELIVERED {
            self.unknown_evidence(number, &line.f);
            return Ok(());
        }
        let invoke = closes(line)?;
        let operations = &mut self.history.operations;
        if self.forgotten > 0 && operations.first().is_none_or(|first| invoke < first.invoke) {
            self.change = Some(Change::TooLate);
            return Ok(());
        }
        let Ok(found) = operations.binary_search_by_key(&invoke, |operation| operation.invoke) else {
            return Err(no_invocation(invoke));
        };
        let operation = &mut operations[found];
        if operation.completion.as_ref().is_some_and(|completion| completion.outcome == Outcome::Ok) {
            return Err(evidence_against_ok(invoke));
        }
        operation.never_delivered = true;
        self.change = Some(Change::NeverDelivered(self.forgotten + found));
        Ok(())
    }

    /// Says once that lines of this evidence are left out.
    pub fn unknown_evidence(&mut self, number: u64, f: &str) {
        self.warn_once(number, format!("`{f}` is no known evidence: its lines are left out"));
    }

    fn nemesis(&mut self, line: RawLine<'_>, number: u64) -> Result<(), String> {
        let Some(kind) = FaultKind::from_name(&line.f) else {
            self.warn_once(number, format!("`{}` is no known fault: its lines are left out", line.f));
            return Ok(());
        };
        // Other tools name their faults alike and write anything beside the name.
        if line.edge.is_none() || (line.fault.is_none() && line.edge != Some(Edge::Skipped)) {
            self.warn_once(number, format!("`{kind}` without `fault` and `edge`: such lines are left out"));
            return Ok(());
        }
        let nodes: Vec<Node> = nodes(&line)?;
        match (line.edge, line.fault) {
            (Some(Edge::Skipped), _) => {
                let reason = line.error.unwrap_or_default();
                self.history.skipped_faults.push(SkippedFault { kind, nodes, time: line.time, reason });
            }
            (Some(Edge::Begin), Some(id)) => self.fault_begins(id, kind, nodes, line),
            (Some(Edge::End), Some(id)) => self.fault_ends(id, &line, number),
            _ => {}
        }
        Ok(())
    }

    fn fault_begins(&mut self, id: u64, kind: FaultKind, nodes: Vec<Node>, line: RawLine<'_>) {
        self.faults.insert(id, self.history.faults.len());
        let (begin, error, place) = (line.time, line.error, line.place.unwrap_or_default());
        let observed = BTreeMap::new();
        let span = FaultSpan { id, kind, nodes, begin, end: None, held: false, error, place, observed };
        self.history.faults.push(span);
    }

    fn fault_ends(&mut self, id: u64, line: &RawLine<'_>, number: u64) {
        let Some(&at) = self.faults.get(&id) else {
            return self.warn(format!("line {number}: fault {id} ends but never began"));
        };
        let span = &mut self.history.faults[at];
        span.end = Some(line.time);
        span.held = line.held.unwrap_or(false);
        // Counts alone; other tools may write anything there.
        span.observed = line.observed.and_then(|counts| json(counts.get()).ok()).unwrap_or_default();
        if line.error.is_some() {
            span.error.clone_from(&line.error);
        }
    }

    fn cluster(&mut self, line: RawLine<'_>, number: u64) -> Result<(), String> {
        let time = line.time;
        let mut push = |what| self.history.cluster.push(ClusterEvent { time, what });
        match line.f.as_ref() {
            f::PHASE => {
                let phase: Phase =
                    json(line.value()).map_err(|reason| format!("value of a phase: {reason}"))?;
                push(ClusterWhat::Phase(phase));
            }
            f::START => nodes(&line)?.into_iter().for_each(|node| push(ClusterWhat::Start(node))),
            f::READY => nodes(&line)?.into_iter().for_each(|node| push(ClusterWhat::Ready(node))),
            f::EXIT => {
                let (asked, status) = (line.asked.unwrap_or(false), line.error.clone().unwrap_or_default());
                for node in nodes(&line)? {
                    push(ClusterWhat::Exit { node, asked, status: status.clone() });
                }
            }
            other => self.warn_once(number, format!("`{other}` is no known cluster event: left out")),
        }
        Ok(())
    }
}

fn transfer<'a>(line: &RawLine<'a>) -> Result<RawTransfer<'a>, String> {
    let value = line.value.map_or("null", |raw| raw.get());
    json(value).map_err(|reason| {
        format!(
            "value of a transfer: {reason}; accepted is {{\"from\":\"a\",\"to\":\"b\",\"amount\":5}}, \
             with \"balances\":[95,105] once known, all signed 64-bit integers"
        )
    })
}

fn nodes(line: &RawLine<'_>) -> Result<Vec<Node>, String> {
    json(line.value()).map_err(|reason| format!("value: {reason}; accepted is a list of node names"))
}
