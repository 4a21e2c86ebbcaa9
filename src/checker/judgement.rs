//! The pipeline of checks: assumptions first, then every check, then one verdict.
//!
//! Verifies nothing itself. It sees to it that a check that was switched off,
//! could not be made or broke down is never counted as passed. The engine for
//! linearizability is handed in, so that its budget and its modes stay its own.

use std::panic::{AssertUnwindSafe, catch_unwind};

use super::refused_share::RefusedShare;
use super::{
    assumptions, available, conserved, evidence, exits, final_files, list, overdraft, protocol,
    refused_share, replicas,
};
use crate::proof::{Claim, Proof};
use crate::recorded::{Recorded, ReplicaFile, RunState};
use crate::verdict::{CheckName, CheckResult, Verdict, merge};

/// What the engine for linearizability found.
#[derive(Debug, Clone)]
pub struct Linearized {
    /// The verdict of the check `linearizable`.
    pub result: CheckResult,
    /// An order that explains everything, as positions in `history.operations`.
    pub order: Option<Vec<usize>>,
    /// Of a violation: how far an order comes.
    pub stuck: Option<Stuck>,
    /// What is claimed, for whoever verifies it.
    pub claim: Option<Claim>,
}

/// How far a history that no order explains can be explained.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Stuck {
    /// A longest order of what returned before, as positions in `history.operations`.
    pub prefix: Vec<usize>,
    /// The operation at which every attempt fails; `None` if it is a final file.
    pub at: Option<usize>,
}

impl Linearized {
    /// A result that nothing can be shown for.
    pub fn without_order(result: CheckResult) -> Self {
        Self { result, order: None, stuck: None, claim: None }
    }
}

/// Whether one order explains the history and this one file as its last read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Explained {
    /// Yes; in this order (positions in `history.operations`), where it is told.
    Yes(Option<Vec<usize>>),
    /// No order does.
    No,
    /// Not found out.
    Unknown,
}

/// An engine for linearizability, as this pipeline sees it.
pub trait Linearizer {
    /// Judges the history with the files of [`super::final_files`] as last reads.
    fn judge(&self, recorded: &Recorded) -> Linearized;

    /// Whether the history may end in this one file; for the sentence about the
    /// replica that disagrees, so a budget of a few seconds is enough.
    fn explains(&self, recorded: &Recorded, file: &ReplicaFile) -> Explained {
        let _ = (recorded, file);
        Explained::Unknown
    }
}

/// The judgement of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Judgement {
    /// Of all checks and the end of the run, by precedence.
    pub verdict: Verdict,
    /// One per check, in the order of [`CheckName::ALL`].
    pub checks: Vec<CheckResult>,
    /// Checks that were not made and files that were not compared, with the reason.
    pub not_tested: Vec<String>,
    /// What a reader should know and what changes no verdict.
    pub notes: Vec<String>,
    /// How many transfers the guard refused; `None` if it cannot be told.
    pub refused: Option<RefusedShare>,
    /// Why the run did not finish; `None` if it did.
    pub reason: Option<String>,
    /// Evidence for the verdict of `linearizable`, where there is some.
    pub proof: Option<Proof>,
    /// An order that explains all operations, or, of a violation, as many as it can.
    pub order: Option<Order>,
}

/// An order that was found, whole or as far as it goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Order {
    /// It explains everything; positions in `history.operations`.
    Whole(Vec<usize>),
    /// Nothing goes further.
    Part(Stuck),
}

/// What the engine hands over beside its verdict.
#[derive(Default)]
struct Found {
    order: Option<Vec<usize>>,
    stuck: Option<Stuck>,
    claim: Option<Claim>,
}

/// Judges what was recorded.
pub fn judge(recorded: &Recorded, engine: &dyn Linearizer) -> Judgement {
    let mut found = Found::default();
    let mut checks = Vec::new();
    for name in CheckName::ALL {
        let result = match switched_off(recorded, name) {
            Some(why) => CheckResult::skipped(name, why),
            None => guarded(name, || check(recorded, engine, name, &mut found)),
        };
        checks.push(result);
    }
    let reason = unfinished(recorded);
    let ending = if reason.is_some() { Verdict::Infra } else { Verdict::Pass };
    let verdict = merge(&checks).max(ending);
    let refused =
        catch_unwind(AssertUnwindSafe(|| refused_share::of(recorded, found.order.as_deref()))).ok().flatten();
    let mut notes = recorded.history.warnings.clone();
    notes.extend(refused.map(RefusedShare::sentence));
    notes.extend(half_tested(&checks));
    notes.extend(exits::crashes_when_asked(&recorded.history));
    let not_tested = not_tested(recorded, &checks);
    let proof = found.claim.map(|claim| evidence::proof(recorded, claim));
    let order = found.order.map(Order::Whole).or(found.stuck.map(Order::Part));
    Judgement { verdict, not_tested, checks, notes, refused, reason, proof, order }
}

/// A judgement that rests on linearizability alone: of a history whose operations
/// are not the bank's, and of which nothing else is known.
pub fn judge_alone(linearizable: CheckResult, notes: Vec<String>) -> Judgement {
    judge_one(linearizable, notes, "not a bank")
}

/// The same of a bank; `why` no other check was made.
pub fn judge_one(linearizable: CheckResult, notes: Vec<String>, why: &str) -> Judgement {
    let checks = CheckName::ALL.map(|name| match name {
        CheckName::Linearizable => linearizable.clone(),
        other => CheckResult::skipped(other, why),
    });
    let checks = Vec::from(checks);
    let (verdict, not_tested) = (merge(&checks), skipped(&checks));
    Judgement { verdict, checks, not_tested, notes, refused: None, reason: None, proof: None, order: None }
}

/// Why a check is not wanted.
fn switched_off(recorded: &Recorded, name: CheckName) -> Option<String> {
    let checks = &recorded.workload.checks;
    let wanted = match name {
        CheckName::ReplicasIdentical => checks.replicas_identical,
        CheckName::Linearizable => checks.linearizable,
        CheckName::Conserved => checks.conserved,
        CheckName::Overdraft => checks.overdraft,
        CheckName::Protocol => checks.protocol,
        CheckName::Available if checks.available.is_none() && !recorded.workload.demands_availability() => {
            return Some("not demanded of this system".into());
        }
        CheckName::Available => recorded.workload.demands_availability(),
        CheckName::UnrequestedExit | CheckName::Assumptions => true,
    };
    (!wanted).then(|| "switched off in the workload".into())
}

fn check(recorded: &Recorded, engine: &dyn Linearizer, name: CheckName, found: &mut Found) -> CheckResult {
    match name {
        CheckName::ReplicasIdentical => replicas::check(recorded, engine),
        CheckName::Linearizable => {
            let linearized = engine.judge(recorded);
            *found = Found { order: linearized.order, stuck: linearized.stuck, claim: linearized.claim };
            linearized.result
        }
        CheckName::Conserved => conserved::check(recorded),
        CheckName::Overdraft => overdraft::check(recorded),
        CheckName::UnrequestedExit => exits::check(recorded),
        CheckName::Protocol => protocol::check(recorded),
        CheckName::Available => available::check(recorded),
        CheckName::Assumptions => assumptions::check(recorded),
    }
}

/// A checker that breaks down has decided nothing.
fn guarded(name: CheckName, check: impl FnOnce() -> CheckResult) -> CheckResult {
    catch_unwind(AssertUnwindSafe(check)).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no message");
        CheckResult::undecided(name, format!("the checker broke down, a defect of rsm-check: {text}"))
    })
}

fn unfinished(recorded: &Recorded) -> Option<String> {
    let default = match recorded.state {
        RunState::Finished => return None,
        RunState::Running => "the harness was killed before the run ended",
        RunState::Interrupted => "interrupted",
        RunState::Infra => "the machine did not allow the run",
    };
    Some(recorded.reason.clone().unwrap_or_else(|| default.into()))
}

/// Skipped checks, and files that no check could look at.
fn not_tested(recorded: &Recorded, checks: &[CheckResult]) -> Vec<String> {
    let down = final_files(recorded).left_out;
    let down = (!down.is_empty()).then(|| format!("the data of {}, down at the end", list(&down)));
    let lacking =
        recorded.lacking.iter().map(|lacking| format!("{} faults, {}", lacking.family, lacking.reason));
    skipped(checks).into_iter().chain(lacking).chain(down).collect()
}

fn skipped(checks: &[CheckResult]) -> Vec<String> {
    let skipped = checks.iter().filter(|check| check.verdict.is_none());
    skipped.map(|check| format!("{}, {}", check.name, check.message)).collect()
}

/// A pass of `available` that no window without faults stands behind.
fn half_tested(checks: &[CheckResult]) -> Option<String> {
    let available =
        |check: &&CheckResult| check.name == CheckName::Available && check.verdict == Some(Verdict::Pass);
    let detail = checks.iter().find(available)?.details.first()?;
    Some(format!("available: {detail}"))
}

impl Judgement {
    /// The final line of standard output: `pass`, `pass (not tested: ...)`,
    /// `violation: CHECK: ...`, `undecided: CHECK: ...`, `infra: ...`. One line,
    /// whatever bytes the system under test put into a message.
    pub fn line(&self) -> String {
        one_line(&match self.verdict {
            Verdict::Pass if self.not_tested.is_empty() => "pass".into(),
            Verdict::Pass => format!("pass (not tested: {})", self.not_tested.join("; ")),
            Verdict::Infra => format!("infra: {}", self.sentence()),
            verdict => format!("{verdict}: {}", self.sentence()),
        })
    }

    /// The sentence that matters most: of the first check that earned the verdict.
    pub fn sentence(&self) -> String {
        match (self.verdict, self.leading()) {
            (Verdict::Infra, _) if self.reason.is_some() => self.reason.clone().unwrap_or_default(),
            (Verdict::Pass, _) | (_, None) => self.line_of_passes(),
            (_, Some(check)) => format!("{}: {}", check.name, check.message),
        }
    }

    /// The first check that earned the verdict.
    pub fn leading(&self) -> Option<&CheckResult> {
        self.checks.iter().find(|check| check.verdict == Some(self.verdict))
    }

    fn line_of_passes(&self) -> String {
        let passed = self.checks.iter().filter(|check| check.verdict == Some(Verdict::Pass));
        let names: Vec<&str> = passed.map(|check| check.name.name()).collect();
        format!("checked and right: {}", names.join(", "))
    }
}

/// Characters of a verdict line; what is longer is told whole elsewhere.
const LONGEST_LINE: usize = 1000;

/// Lines become parts of one; other control characters (terminal escapes) become
/// spaces.
fn one_line(text: &str) -> String {
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let joined = lines.collect::<Vec<_>>().join(" | ");
    let mut letters = joined.chars().map(|letter| if letter.is_control() { ' ' } else { letter });
    let line: String = letters.by_ref().take(LONGEST_LINE).collect();
    if letters.next().is_some() { line + "..." } else { line }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checker::testing::*;

    struct Says(fn() -> CheckResult);

    impl Linearizer for Says {
        fn judge(&self, _: &Recorded) -> Linearized {
            Linearized::without_order((self.0)())
        }
    }

    fn passes() -> CheckResult {
        CheckResult::pass(CheckName::Linearizable, "one order explains everything")
    }

    fn quiet(workload: &str) -> Recorded {
        let mut build = Build::new().phase(0, crate::history::Phase::Faulty);
        for at in 0..20 {
            build = build.ok((at, at), ("a", "b", 0), [100, 100]);
        }
        build = build.phase(20, crate::history::Phase::Collect);
        build.recorded(workload, &[Some("# t\na 100\nb 100\n"); 3])
    }

    const QUIET: &str = r#"{"name":"q","duration":"1s","checks":{"available":false}}"#;

    #[test]
    fn what_was_not_made_is_named_in_the_verdict_line() {
        let line = judge(&quiet(QUIET), &Says(passes)).line();
        assert_eq!(line, "pass (not tested: available, switched off in the workload)");
    }

    #[test]
    fn faults_that_the_machine_could_not_carry_out_are_named_in_the_verdict_line() {
        let mut recorded = quiet(
            r#"{"name":"q","duration":"1s","checks":{"available":false},"unsupported":"skip",
            "nemesis":[{"fault":"clock-jump","target":"one","at":"10ms"}]}"#,
        );
        let lacking = crate::recorded::Lacking {
            family: crate::fault::Family::Clock,
            reason: "ptrace is not permitted".into(),
        };
        recorded.lacking.push(lacking);
        let line = judge(&recorded, &Says(passes)).line();
        assert!(
            line.starts_with("pass (not tested: ") && line.contains("clock faults, ptrace is not permitted"),
            "{line}"
        );
        recorded.lacking.clear();
        let line = judge(&recorded, &Says(passes)).line();
        assert!(line.starts_with("undecided: assumptions: no `clock-jump` was ever begun"), "{line}");
    }

    #[test]
    fn a_file_that_was_not_compared_is_named_in_the_verdict_line() {
        let noted = r#"{"name":"q","duration":"1s","checks":{"available":false,"unrequested_exit":"note"}}"#;
        let mut recorded = quiet(noted);
        let what = crate::history::ClusterWhat::Exit {
            node: crate::fault::Node::Srv(2),
            asked: false,
            status: "exit status 1".into(),
        };
        recorded.history.cluster.push(crate::history::ClusterEvent { time: 5, what });
        let line = judge(&recorded, &Says(passes)).line();
        assert!(line.starts_with("pass") && line.ends_with("the data of srv-2, down at the end)"), "{line}");
    }

    #[test]
    fn a_checker_that_breaks_down_is_undecided_and_never_a_pass() {
        let judgement = judge(&quiet(QUIET), &Says(|| panic!("out of luck")));
        assert_eq!(judgement.verdict, Verdict::Undecided);
        assert!(judgement.line().contains("linearizable: the checker broke down"), "{}", judgement.line());
    }

    #[test]
    fn an_interrupted_run_is_infra_unless_something_was_found() {
        let mut recorded = quiet(QUIET);
        recorded.state = RunState::Interrupted;
        assert_eq!(judge(&recorded, &Says(passes)).line(), "infra: interrupted");
        recorded.files[1].content = Some(b"# t\na 99\nb 101\n".to_vec());
        assert_eq!(judge(&recorded, &Says(passes)).verdict, Verdict::Violation);
    }

    #[test]
    fn a_killed_harness_leaves_no_verdict_about_files_in_motion() {
        let mut recorded = quiet(QUIET);
        (recorded.state, recorded.rest) = (RunState::Running, crate::recorded::Rest::NotReached);
        recorded.files[1].content = Some(b"# t\na".to_vec());
        let judgement = judge(&recorded, &Says(passes));
        assert_eq!(judgement.line(), "infra: the harness was killed before the run ended");
    }

    #[test]
    fn where_nothing_was_recorded_nothing_passes() {
        let recorded = Recorded::bare(crate::history::History::default(), None, Vec::new());
        let judgement = judge(&recorded, &crate::checker::BankEngine::new(&recorded));
        assert_eq!(judgement.verdict, Verdict::Undecided);
        assert!(judgement.checks.iter().all(|check| check.verdict != Some(Verdict::Pass)), "{judgement:#?}");
    }

    #[test]
    fn the_verdict_line_is_one_line_without_terminal_escapes() {
        let result = || CheckResult::violation(CheckName::Linearizable, "a\n\u{1b}[31mb");
        let line = judge(&quiet(QUIET), &Says(result)).line();
        assert_eq!(line, "violation: linearizable: a |  [31mb");
        let long = || CheckResult::violation(CheckName::Linearizable, "x".repeat(5000));
        let line = judge(&quiet(QUIET), &Says(long)).line();
        assert!(line.len() < 1010 && line.ends_with("xxx..."), "{line}");
    }
}
