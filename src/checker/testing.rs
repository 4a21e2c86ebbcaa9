//! Histories for the checkers' tests, written by hand in a few words.
//!
//! Times are nanoseconds unless a name says otherwise. Compiled for tests only.

use crate::fault::{FaultKind, Node};
use crate::history::*;
use crate::op::Outcome;
use crate::recorded::{Recorded, ReplicaFile, Rest, RunState};
use crate::workload::parse;

/// A second in nanoseconds.
pub const S: u64 = 1_000_000_000;

/// Builds a history line by line.
#[derive(Default)]
pub struct Build {
    history: History,
    index: u64,
}

impl Build {
    /// Nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    fn next(&mut self, time: u64) -> u64 {
        self.history.end = self.history.end.max(time);
        self.index += 1;
        self.index - 1
    }

    fn account(&mut self, name: &str) -> AccountId {
        let known = self.history.accounts.iter().position(|account| account == name);
        let id = known.unwrap_or_else(|| {
            self.history.accounts.push(name.into());
            self.history.accounts.len() - 1
        });
        AccountId(id as u32)
    }

    fn event(mut self, time: u64, what: ClusterWhat) -> Self {
        self.next(time);
        self.history.cluster.push(ClusterEvent { time, what });
        self
    }

    /// A phase begins.
    pub fn phase(self, time: u64, phase: Phase) -> Self {
        self.event(time, ClusterWhat::Phase(phase))
    }

    /// A process is started.
    pub fn started(self, time: u64, node: Node) -> Self {
        self.event(time, ClusterWhat::Start(node))
    }

    /// A node prints its port.
    pub fn ready(self, time: u64, node: Node) -> Self {
        self.event(time, ClusterWhat::Ready(node))
    }

    /// A node ends.
    pub fn exit(self, time: u64, node: Node, asked: bool, status: &str) -> Self {
        self.event(time, ClusterWhat::Exit { node, asked, status: status.into() })
    }

    /// A fault that held.
    pub fn fault(mut self, begin: u64, end: Option<u64>, kind: FaultKind, nodes: &[Node]) -> Self {
        self.next(end.unwrap_or(begin));
        let id = self.history.faults.len() as u64;
        let (nodes, place) = (nodes.to_vec(), Place::default());
        let observed = std::collections::BTreeMap::new();
        let span = FaultSpan { id, kind, nodes, begin, end, held: true, error: None, place, observed };
        self.history.faults.push(span);
        self
    }

    fn operation(mut self, at: (u64, u64), call: Call, outcome: Option<Outcome>, seen: Observed) -> Self {
        let invoke = self.next(at.0);
        let completion = outcome.map(|outcome| {
            let error = (outcome != Outcome::Ok).then(|| "timeout".into());
            Completion { index: self.next(at.1), time: at.1, outcome, observed: seen, error }
        });
        let process = self.history.operations.len() as u64;
        let never_delivered = false;
        let operation = Operation { invoke, process, invoked: at.0, call, completion, never_delivered };
        self.history.operations.push(operation);
        self
    }

    fn transfer(&mut self, from: &str, to: &str, amount: i64) -> Call {
        Call::Transfer { from: self.account(from), to: self.account(to), amount }
    }

    /// A transfer that was acknowledged with balances.
    pub fn ok(mut self, at: (u64, u64), words: (&str, &str, i64), balances: [i64; 2]) -> Self {
        let call = self.transfer(words.0, words.1, words.2);
        self.operation(at, call, Some(Outcome::Ok), Observed::Pair(balances))
    }

    /// A transfer that failed or whose outcome nobody knows.
    pub fn lost(mut self, at: (u64, u64), words: (&str, &str, i64), outcome: Outcome) -> Self {
        let call = self.transfer(words.0, words.1, words.2);
        self.operation(at, call, Some(outcome), Observed::Nothing)
    }

    /// A transfer that never returns.
    pub fn pending(mut self, at: u64, words: (&str, &str, i64)) -> Self {
        let call = self.transfer(words.0, words.1, words.2);
        self.operation((at, at), call, None, Observed::Nothing)
    }

    /// A read of balances.
    pub fn read(mut self, at: (u64, u64), balances: &[(&str, i64)]) -> Self {
        let seen = balances.iter().map(|(name, balance)| (self.account(name), *balance)).collect();
        self.operation(at, Call::Read, Some(Outcome::Ok), Observed::Balances(seen))
    }

    /// The error text of the latest operation.
    pub fn error(mut self, text: &str) -> Self {
        let last = self.history.operations.last_mut().and_then(|last| last.completion.as_mut());
        last.expect("an operation that ended").error = Some(text.into());
        self
    }

    /// What was built.
    pub fn history(self) -> History {
        self.history
    }

    /// What was built, as a finished run with these files (`None` is missing).
    pub fn recorded(self, workload: &str, files: &[Option<&str>]) -> Recorded {
        let nodes = (1..).map(Node::Srv);
        let read = |(node, text): (Node, &Option<&str>)| ReplicaFile::new(node, text.map(|text| text.into()));
        Recorded {
            workload: parse("w.json", workload).expect("a valid workload"),
            history: self.history,
            files: nodes.zip(files).map(read).collect(),
            rest: Rest::Settled,
            state: RunState::Finished,
            reason: None,
            lacking: Vec::new(),
        }
    }
}

/// The least workload that is valid.
pub const PLAIN: &str = r#"{"name":"test","duration":"10s"}"#;
