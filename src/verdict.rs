//! Verdicts, their precedence and the exit codes that follow from them.
//!
//! Plain data: decides nothing about a run, only what the words mean.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The judgement of a run or of one check.
///
/// The order is the precedence: of several verdicts the greatest holds.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// Checked, and right.
    Pass,
    /// Not decided: a budget ran out, or the run proves nothing.
    Undecided,
    /// The harness or the machine, not the system under test.
    Infra,
    /// The system under test is wrong.
    Violation,
}

impl Verdict {
    /// The word of the verdict line, of `--expect` and of `run.json`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Undecided => "undecided",
            Self::Infra => "infra",
            Self::Violation => "violation",
        }
    }

    /// Back from [`name`](Verdict::name).
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Pass, Self::Undecided, Self::Infra, Self::Violation]
            .into_iter()
            .find(|verdict| verdict.name() == name)
    }

    /// The exit code that this verdict earns.
    pub fn exit(self) -> Exit {
        match self {
            Self::Pass => Exit::Pass,
            Self::Undecided => Exit::Undecided,
            Self::Infra => Exit::Infra,
            Self::Violation => Exit::Violation,
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// The exit codes of `rsm-check`; the numbers are a contract with CI jobs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// Pass, or `--expect` was met.
    Pass = 0,
    /// A violation, or `--expect` was not met by a judged run.
    Violation = 1,
    /// Usage error or bad input.
    BadInput = 2,
    /// Undecided.
    Undecided = 3,
    /// The machine or the harness's surroundings.
    Infra = 4,
    /// A defect of rsm-check itself.
    Defect = 70,
}

impl From<Exit> for std::process::ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// The checks, by the names that `--expect violation:CHECK`, reports and CI use.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema,
)]
pub enum CheckName {
    /// The replica files hold the same bytes.
    #[serde(rename = "replicas identical")]
    ReplicasIdentical,
    /// One order explains every outcome.
    #[serde(rename = "linearizable")]
    Linearizable,
    /// Money is neither made nor lost.
    #[serde(rename = "conserved")]
    Conserved,
    /// No balance falls below what the guard allows.
    #[serde(rename = "overdraft")]
    Overdraft,
    /// No node ended without being asked.
    #[serde(rename = "unrequested exit")]
    UnrequestedExit,
    /// Every reply could be read.
    #[serde(rename = "protocol")]
    Protocol,
    /// Service was given when it was possible.
    #[serde(rename = "available")]
    Available,
    /// The run proves something.
    #[serde(rename = "assumptions")]
    Assumptions,
}

impl CheckName {
    /// Every check, in the order of reports.
    pub const ALL: [Self; 8] = [
        Self::ReplicasIdentical,
        Self::Linearizable,
        Self::Conserved,
        Self::Overdraft,
        Self::UnrequestedExit,
        Self::Protocol,
        Self::Available,
        Self::Assumptions,
    ];

    /// The words of reports; `--expect` also takes them with `-` for the space.
    pub fn name(self) -> &'static str {
        match self {
            Self::ReplicasIdentical => "replicas identical",
            Self::Linearizable => "linearizable",
            Self::Conserved => "conserved",
            Self::Overdraft => "overdraft",
            Self::UnrequestedExit => "unrequested exit",
            Self::Protocol => "protocol",
            Self::Available => "available",
            Self::Assumptions => "assumptions",
        }
    }

    /// Back from [`name`](CheckName::name), spaces or hyphens.
    pub fn from_name(name: &str) -> Option<Self> {
        let wanted = name.replace('-', " ");
        Self::ALL.into_iter().find(|check| check.name() == wanted)
    }
}

impl fmt::Display for CheckName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// What one checker found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct CheckResult {
    /// Which check.
    pub name: CheckName,
    /// `None`: skipped, and the message says why. A skipped check is no pass.
    pub verdict: Option<Verdict>,
    /// One sentence for the terminal and the verdict line.
    pub message: String,
    /// More lines for the report, most important first; may be empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub details: Vec<String>,
    /// The proof as a small graph, where it is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub picture: Option<Picture>,
}

/// A proof that is a small graph: what must precede what, or how its cases part.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Picture {
    /// What its arrows mean.
    pub shape: Shape,
    /// Its nodes, each with a few lines.
    pub boxes: Vec<Vec<String>>,
    /// Its edges.
    pub arrows: Vec<Arrow>,
}

/// What the arrows of a picture mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Shape {
    /// Each box must precede the next, and the last one the first.
    Cycle,
    /// A tree of cases, each of which ends in a contradiction.
    Cases,
}

/// An arrow of a picture, between boxes by position.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Arrow {
    /// Where it begins.
    pub from: usize,
    /// Where it ends.
    pub to: usize,
    /// Why, in words; may be empty.
    pub why: String,
}

impl CheckResult {
    /// Checked, and right.
    pub fn pass(name: CheckName, message: impl Into<String>) -> Self {
        Self::new(name, Some(Verdict::Pass), message)
    }

    /// The system under test is wrong.
    pub fn violation(name: CheckName, message: impl Into<String>) -> Self {
        Self::new(name, Some(Verdict::Violation), message)
    }

    /// It could not be decided.
    pub fn undecided(name: CheckName, message: impl Into<String>) -> Self {
        Self::new(name, Some(Verdict::Undecided), message)
    }

    /// Not checked at all, for a reason.
    pub fn skipped(name: CheckName, why: impl Into<String>) -> Self {
        Self::new(name, None, why)
    }

    /// Adds lines for the report.
    pub fn with_details(mut self, details: impl IntoIterator<Item = String>) -> Self {
        self.details.extend(details);
        self
    }

    fn new(name: CheckName, verdict: Option<Verdict>, message: impl Into<String>) -> Self {
        Self { name, verdict, message: message.into(), details: Vec::new(), picture: None }
    }
}

/// The verdict of several checks: the greatest by precedence.
pub fn merge(results: &[CheckResult]) -> Verdict {
    results.iter().filter_map(|result| result.verdict).max().unwrap_or(Verdict::Undecided)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_violation_outweighs_infra_and_infra_outweighs_undecided() {
        assert!(Verdict::Violation > Verdict::Infra);
        assert!(Verdict::Infra > Verdict::Undecided);
        assert!(Verdict::Undecided > Verdict::Pass);
    }

    #[test]
    fn nothing_checked_is_never_a_pass() {
        let skipped = CheckResult::skipped(CheckName::Conserved, "no files");
        assert_eq!(merge(&[]), Verdict::Undecided);
        assert_eq!(merge(&[skipped]), Verdict::Undecided);
    }

    #[test]
    fn checks_are_found_by_name_with_spaces_or_hyphens() {
        assert_eq!(CheckName::from_name("replicas-identical"), Some(CheckName::ReplicasIdentical));
        assert_eq!(CheckName::from_name("unrequested exit"), Some(CheckName::UnrequestedExit));
        assert_eq!(CheckName::from_name("nothing"), None);
    }
}
