//! The content of `run.json`: what a run was, what happened, how it was judged.
//!
//! Written when the run begins and again when it ends, so that a killed harness
//! leaves what it had. Plain data with a published schema; [`facts`] counts what
//! a history holds. Must not know where it is stored ([`crate::run_dir`]) nor how
//! it is drawn, and judges nothing.

pub mod coverage;
pub mod facts;
pub mod moments;
pub mod recovery;
mod watched;

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::checker::refused_share::RefusedShare;
use crate::checker::{self, Judgement};
use crate::fault::{FaultKind, Node};
use crate::history::Phase;
use crate::proof::PackedOrder;
use crate::recorded::{Lacking, Recorded, Rest, RunState};
use crate::verdict::{CheckResult, Verdict};
use crate::workload::Workload;
use moments::Moment;
use recovery::Recovery;

/// The version of the format. It grows when a reader of an older one would be misled.
pub const FORMAT: u32 = 1;

/// A run, as `run.json` tells it. Times are nanoseconds since the run began.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RunRecord {
    /// Version of this format, [`FORMAT`].
    pub format: u32,
    /// Version of rsm-check that made the run.
    pub rsm_check: String,
    /// The workload's name.
    pub name: String,
    /// The seed that everything was drawn from.
    pub seed: u64,
    /// When the run began, UTC, such as `2026-11-22T14:50:09Z`.
    pub started: String,
    /// The command that runs the same again.
    pub reproduce: String,
    /// How far the run came.
    pub state: RunState,
    /// Why it did not finish; absent if it did or is under way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The judgement; absent until there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub judgement: Option<Judged>,
    /// Whether the replicas' files came to rest.
    #[serde(default)]
    pub rest: Rest,
    /// The workload as it was used.
    pub workload: Workload,
    /// Every option that was drawn from the seed.
    #[serde(default)]
    pub plan: Value,
    /// How each node was started.
    #[serde(default)]
    pub commands: Vec<NodeCommand>,
    /// What sees to it that no process of a node outlives the harness.
    #[serde(default)]
    pub containment: String,
    /// Families of faults that the workload asks for and this machine cannot carry out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lacking: Vec<Lacking>,
    /// What the check that went on during the run saw; absent if there was none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub online: Option<OnlineCheck>,
    /// The phases that the run went through.
    #[serde(default)]
    pub phases: Vec<PhaseSpan>,
    /// The faults that were begun.
    #[serde(default)]
    pub faults: Vec<FaultRecord>,
    /// The faults that were due and left out.
    #[serde(default)]
    pub skipped_faults: Vec<SkippedRecord>,
    /// How service came back after each fault, in the order of `faults`.
    #[serde(default)]
    pub recovery: Vec<Recovery>,
    /// Which faults met which role in which phase.
    #[serde(default)]
    pub coverage: coverage::Coverage,
    /// Operations of clients by outcome.
    #[serde(default)]
    pub operations: Operations,
    /// Times from invocation to acknowledgement.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latency: Option<Latency>,
}

/// The judgement as recorded.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Judged {
    /// Of all checks and the end of the run, by precedence.
    pub verdict: Verdict,
    /// The exit code that it earns (before `--expect`).
    pub exit: u8,
    /// The verdict line.
    pub line: String,
    /// The sentence that matters most.
    pub sentence: String,
    /// One per check.
    pub checks: Vec<CheckResult>,
    /// Checks that were not made, with reasons.
    #[serde(default)]
    pub not_tested: Vec<String>,
    /// What a reader should know and what changed no verdict.
    #[serde(default)]
    pub notes: Vec<String>,
    /// How many transfers the guard refused; absent if it cannot be told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<RefusedShare>,
    /// Where in the run each violation is, and what went on there.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub moments: Vec<Moment>,
    /// An order that explains the operations, as far as one does; absent if none was found.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order: Option<FoundOrder>,
}

/// An order that was found for the operations of the history.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FoundOrder {
    /// Whether it explains everything; otherwise nothing goes further.
    pub whole: bool,
    /// Operations by number (position among invocations, from 0), in this order: the
    /// difference between each number and the successor of the one before it (0 at
    /// first), zigzag-coded, in LEB128, deflated, in base64.
    pub operations: PackedOrder,
    /// Number of the operation at which every attempt fails; absent if it is a final
    /// file, or nothing fails.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fails_at: Option<u32>,
}

impl From<&checker::Order> for FoundOrder {
    fn from(order: &checker::Order) -> Self {
        let pack = |order: &[usize]| {
            let numbers: Vec<u32> = order.iter().filter_map(|&at| u32::try_from(at).ok()).collect();
            PackedOrder::pack(&numbers)
        };
        match order {
            checker::Order::Whole(order) => Self { whole: true, operations: pack(order), fails_at: None },
            checker::Order::Part(stuck) => Self {
                whole: false,
                operations: pack(&stuck.prefix),
                fails_at: stuck.at.and_then(|at| u32::try_from(at).ok()),
            },
        }
    }
}

impl From<&Judgement> for Judged {
    fn from(judgement: &Judgement) -> Self {
        Self {
            verdict: judgement.verdict,
            exit: judgement.verdict.exit() as u8,
            line: judgement.line(),
            sentence: judgement.sentence(),
            checks: judgement.checks.clone(),
            not_tested: judgement.not_tested.clone(),
            notes: judgement.notes.clone(),
            refused: judgement.refused,
            moments: Vec::new(),
            order: judgement.order.as_ref().map(FoundOrder::from),
        }
    }
}

impl Judged {
    /// The first check that earned a verdict other than a pass.
    pub fn leading(&self) -> Option<&CheckResult> {
        let wrong = self.verdict != Verdict::Pass;
        self.checks.iter().find(|check| wrong && check.verdict == Some(self.verdict))
    }
}

/// How a node was started.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct NodeCommand {
    /// Which node.
    #[schemars(with = "String")]
    pub node: Node,
    /// Program and arguments; placeholders such as `{data}` as they stand.
    pub words: Vec<String>,
}

/// What the linearizability check that went on during the run saw. It decides when
/// the faulty phase may end, never the verdict.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct OnlineCheck {
    /// Operations that returned while it watched and could be explained.
    pub explained: u64,
    /// The first operation that no order explains; absent if it found none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub violation: Option<OnlineViolation>,
    /// Whether the faulty phase was ended because of it.
    pub stopped: bool,
    /// The most lines of operations that it was behind the run.
    pub most_behind: u64,
    /// Why it watched no further; absent if it did or found a violation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gave_up: Option<String>,
}

/// A violation as seen during a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct OnlineViolation {
    /// `index` of the completion that nothing explains, in `history.jsonl`.
    pub index: u64,
    /// When that line was written, nanoseconds.
    pub time: u64,
    /// How much later the check had found it, in nanoseconds.
    pub found_after: u64,
}

/// One phase of the run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PhaseSpan {
    /// Which.
    pub phase: Phase,
    /// When it began, nanoseconds.
    pub begin: u64,
    /// When it ended, nanoseconds; absent if the record ends first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end: Option<u64>,
}

/// One fault as it was executed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FaultRecord {
    /// Number within the run: of the plan, and of its two lines in the history.
    #[serde(default)]
    pub id: u64,
    /// What was done.
    pub kind: FaultKind,
    /// To whom.
    #[schemars(with = "Vec<String>")]
    pub nodes: Vec<Node>,
    /// When it began, nanoseconds.
    pub begin: u64,
    /// When it was healed, nanoseconds; absent if the record ends first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end: Option<u64>,
    /// Whether it was seen to take hold.
    pub held: bool,
    /// Client operations that overlapped it.
    pub overlapped: u64,
    /// Acknowledged operations when it began: its place on a faster machine.
    pub acknowledged_before: u64,
    /// What it was seen to do, by count; names that end in `_us` are microseconds.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub observed: BTreeMap<String, u64>,
    /// Why it could not be applied or healed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// One fault that was due and left out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SkippedRecord {
    /// What was planned.
    pub kind: FaultKind,
    /// To whom.
    #[schemars(with = "Vec<String>")]
    pub nodes: Vec<Node>,
    /// When it was due, nanoseconds.
    pub time: u64,
    /// Why not.
    pub reason: String,
}

/// Operations of clients by outcome.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Operations {
    /// Acknowledged.
    pub ok: u64,
    /// Certainly did not happen.
    pub fail: u64,
    /// Nobody knows.
    pub info: u64,
}

impl Operations {
    /// All of them.
    pub fn total(self) -> u64 {
        self.ok + self.fail + self.info
    }
}

/// Times from invocation to acknowledgement, nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Latency {
    /// Half of the operations took at most this.
    pub p50: u64,
    /// 99 of 100 took at most this.
    pub p99: u64,
    /// The longest.
    pub max: u64,
}

/// What is known when a run begins.
#[derive(Debug, Clone)]
pub struct Beginning {
    /// The workload as it will be used.
    pub workload: Workload,
    /// The seed.
    pub seed: u64,
    /// UTC, such as `2026-11-22T14:50:09Z`.
    pub started: String,
    /// Every option that was drawn.
    pub plan: Value,
    /// The command that runs the same again.
    pub reproduce: String,
}

impl RunRecord {
    /// The record of a run that is about to begin.
    pub fn begin(beginning: Beginning) -> Self {
        let Beginning { workload, seed, started, plan, reproduce } = beginning;
        Self {
            format: FORMAT,
            rsm_check: env!("CARGO_PKG_VERSION").into(),
            name: workload.name.to_string(),
            seed,
            started,
            reproduce,
            state: RunState::Running,
            reason: None,
            judgement: None,
            rest: Rest::NotReached,
            workload,
            plan,
            commands: Vec::new(),
            containment: String::new(),
            lacking: Vec::new(),
            online: None,
            phases: Vec::new(),
            faults: Vec::new(),
            skipped_faults: Vec::new(),
            recovery: Vec::new(),
            coverage: coverage::Coverage::default(),
            operations: Operations::default(),
            latency: None,
        }
    }

    /// Takes over how the run ended, what it holds and how it was judged.
    pub fn finish(&mut self, recorded: &Recorded, judgement: &Judgement) {
        self.state = recorded.state;
        self.reason = judgement.reason.clone();
        self.rest = recorded.rest;
        let mut judged = Judged::from(judgement);
        judged.moments = moments::of(&judged, recorded);
        self.judgement = Some(judged);
        facts::take(self, &recorded.history);
        watched::note(self);
    }

    /// The JSON Schema of `run.json`, pretty-printed.
    pub fn json_schema() -> String {
        format!("{:#}\n", schemars::schema_for!(RunRecord).as_value())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checker::testing::{Build, PLAIN};
    use crate::checker::{BankEngine, judge};

    fn finished() -> RunRecord {
        let build = Build::new().phase(0, Phase::Faulty).ok((0, 10), ("a", "b", 5), [95, 105]);
        let recorded = build.recorded(PLAIN, &[Some("# t\na 95\nb 105\n"); 3]);
        let beginning = Beginning {
            workload: recorded.workload.clone(),
            seed: u64::MAX,
            started: "2026-11-22T14:50:09Z".into(),
            plan: serde_json::json!({ "faults": [] }),
            reproduce: "rsm-check run w.json".into(),
        };
        let mut record = RunRecord::begin(beginning);
        record.finish(&recorded, &judge(&recorded, &BankEngine::new(&recorded)));
        record
    }

    #[test]
    fn a_record_is_read_back_as_it_was_written() {
        let record = finished();
        let json = serde_json::to_string(&record).unwrap();
        assert_eq!(serde_json::from_str::<RunRecord>(&json).unwrap(), record);
        let judged = record.judgement.unwrap();
        assert_eq!((judged.verdict, judged.exit), (Verdict::Undecided, 3), "too few operations");
    }

    #[test]
    fn every_field_that_is_written_stands_in_the_schema() {
        let schema: Value = serde_json::from_str(&RunRecord::json_schema()).unwrap();
        let record = serde_json::to_value(finished()).unwrap();
        for field in record.as_object().unwrap().keys() {
            assert!(schema["properties"][field].is_object(), "{field}");
        }
    }
}
