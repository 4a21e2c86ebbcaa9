//! The engine for linearizability as the pipeline sees it, for the bank.
//!
//! Chooses what the engine is given (model, last reads, budget) and hands back
//! what it says. Does not verify anything itself. A file that is no data file
//! cannot be a last read: it is left out here and named, and `conserved` and
//! `replicas identical` convict it.

use std::time::{Duration, Instant};

use super::bank::BankModel;
use super::judgement::{Explained, Linearized, Linearizer, Stuck};
use super::linearizability::{Budget, Final, Outcome, check, in_words};
use super::{core, count, cycle, diagnosis, final_files, list};
use crate::fault::Node;
use crate::history::data_file::{DataFile, parse_data_file};
use crate::proof::{Claim, Orders};
use crate::recorded::{Recorded, ReplicaFile};
use crate::verdict::{CheckName, CheckResult, Verdict};

/// Just-in-time linearization of the bank.
#[derive(Debug, Clone, Copy, Default)]
pub struct BankEngine {
    /// What the check may take.
    pub budget: Budget,
}

/// For the sentence about the replica that disagrees: worth a few seconds each.
const FOR_A_SENTENCE: Duration = Duration::from_secs(5);

impl BankEngine {
    /// With the budgets of the workload.
    pub fn new(recorded: &Recorded) -> Self {
        let budgets = &recorded.workload.budgets;
        let memory = usize::try_from(budgets.memory_mib.saturating_mul(1 << 20)).unwrap_or(usize::MAX);
        Self { budget: Budget { time: budgets.check.0, memory } }
    }
}

impl Linearizer for BankEngine {
    fn judge(&self, recorded: &Recorded) -> Linearized {
        let model = match recorded.workload.model.parse::<BankModel>() {
            Ok(model) => model,
            Err(why) => {
                let result = CheckResult::undecided(CheckName::Linearizable, why);
                return Linearized::without_order(result);
            }
        };
        let (finals, unfit) = last_reads(recorded);
        if finals.is_empty() && recorded.history.operations.is_empty() {
            let result = CheckResult::skipped(CheckName::Linearizable, "nothing was recorded");
            return Linearized::without_order(result);
        }
        let started = Instant::now();
        let outcome = check(&recorded.history, &model, &finals, &self.budget);
        let mut result =
            in_words(&recorded.history, &model, &finals, &outcome).with_details(left_out(&unfit));
        let mut found = None;
        if let Outcome::Violation(violation) = &outcome {
            let left = self.budget.time.saturating_sub(started.elapsed()).min(FOR_A_SENTENCE);
            let budget = Budget { time: left, ..self.budget };
            found = core::find(&recorded.history, &model, &finals, violation, &budget);
            // A proof in words says more than the place where the search ended: the cycle
            // first, then the reasons, then the core.
            let cycle = cycle::find(&recorded.history, &model, &finals);
            let reasons = violation.reasons.len().min(result.details.len());
            result.details.splice(reasons..reasons, of_core(found.as_ref(), cycle.is_none()));
            let (sentences, drawn) = cycle.map(|cycle| (cycle.sentences, cycle.picture)).unzip();
            let cases = || core::picture::draw(&found.as_ref()?.proof);
            result.picture = drawn.or_else(cases);
            result.details.splice(0..0, sentences.unwrap_or_default());
            let judged_files = !finals.is_empty();
            result.details.extend(diagnosis::explain(&recorded.history, &model, judged_files, &self.budget));
        }
        let claim = claim(&result, &outcome, found);
        let stuck = stuck(recorded, &outcome);
        Linearized { result, order: order(recorded, outcome), stuck, claim }
    }

    fn explains(&self, recorded: &Recorded, file: &ReplicaFile) -> Explained {
        let Ok(model) = recorded.workload.model.parse::<BankModel>() else { return Explained::Unknown };
        let Some(last) = last_read(file) else { return Explained::No };
        let budget = Budget { time: self.budget.time.min(FOR_A_SENTENCE), ..self.budget };
        match check(&recorded.history, &model, &[last], &budget) {
            Outcome::Violation(_) => Explained::No,
            Outcome::Undecided { .. } => Explained::Unknown,
            found => Explained::Yes(order(recorded, found)),
        }
    }
}

/// What the core demands and, where no cycle says it shorter, its proof.
fn of_core(core: Option<&core::Explanation>, with_proof: bool) -> Vec<String> {
    let lines = core.map(|core| core.demands.iter().chain(core.proof.iter().filter(|_| with_proof)));
    lines.into_iter().flatten().cloned().collect()
}

/// The final files that count as last reads, in the order of replicas, and the
/// replicas whose files cannot be taken as such.
pub fn last_reads(recorded: &Recorded) -> (Vec<Final>, Vec<Node>) {
    let files = final_files(recorded).files;
    let unfit = files.iter().filter(|&&file| last_read(file).is_none()).map(|file| file.node).collect();
    (files.into_iter().filter_map(last_read).collect(), unfit)
}

fn last_read(file: &ReplicaFile) -> Option<Final> {
    let read = match (&file.unreadable, &file.content) {
        (Some(_), _) => return None,
        (None, None) => DataFile::default(),
        (None, Some(bytes)) => parse_data_file(bytes).ok()?,
    };
    Some(Final { node: file.node.to_string(), file: read })
}

fn left_out(unfit: &[Node]) -> Option<String> {
    let files = count(unfit.len() as u64, "file");
    (!unfit.is_empty()).then(|| format!("{files} could not be taken as last reads: of {}", list(unfit)))
}

/// What can be verified of a verdict; a pass that proves nothing claims nothing.
fn claim(result: &CheckResult, outcome: &Outcome, found: Option<core::Explanation>) -> Option<Claim> {
    match outcome {
        Outcome::Violation(_) => found.map(|found| Claim::Core(found.core)),
        Outcome::Linearizable { witness } if result.verdict == Some(Verdict::Pass) => {
            Some(Claim::Witness(Orders(vec![witness.clone()])))
        }
        _ => None,
    }
}

/// The witness without the last reads, as positions in the history's operations.
fn order(recorded: &Recorded, outcome: Outcome) -> Option<Vec<usize>> {
    let Outcome::Linearizable { witness } = outcome else { return None };
    let operations = recorded.history.operations.len();
    Some(witness.into_iter().map(|number| number as usize).filter(|&number| number < operations).collect())
}

/// How far a violation can be explained.
fn stuck(recorded: &Recorded, outcome: &Outcome) -> Option<Stuck> {
    let Outcome::Violation(violation) = outcome else { return None };
    let operations = recorded.history.operations.len();
    let known = |&number: &u32| Some(number as usize).filter(|&number| number < operations);
    Some(Stuck {
        prefix: violation.prefix.iter().filter_map(known).collect(),
        at: known(&violation.operation),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checker::judge;
    use crate::checker::testing::*;
    use crate::fault::FaultKind;

    const QUIET: &str = r#"{"name":"q","duration":"1s",
        "checks":{"available":false,"minimum_acknowledged":1,"unrequested_exit":"note"}}"#;

    #[test]
    fn the_whole_pipeline_passes_what_is_right_and_counts_the_refused_exactly() {
        let build =
            Build::new().ok((0, 10), ("a", "b", 60), [40, 160]).ok((20, 30), ("a", "b", 60), [40, 160]);
        let recorded = build.recorded(QUIET, &[Some("# t\na 40\nb 160\n"); 3]);
        let judgement = judge(&recorded, &BankEngine::new(&recorded));
        assert_eq!(judgement.verdict, Verdict::Pass, "{judgement:#?}");
        assert_eq!(judgement.notes, ["the guard refused 50.0 % of 2 transfers"]);
    }

    #[test]
    fn the_replica_that_forgot_everything_at_its_restart_is_found_against_the_majority() {
        let build = Build::new()
            .ok((S, 2 * S), ("a", "b", 90), [10, 190])
            .fault(3 * S, Some(5 * S), FaultKind::Kill, &[Node::Srv(1), Node::Srv(2)])
            .exit(3 * S, Node::Srv(1), true, "")
            .started(4 * S, Node::Srv(1))
            .ready(4 * S, Node::Srv(1))
            .ok((6 * S, 7 * S), ("a", "c", 20), [10, 100]);
        let forgot = Some("# t\na 80\nc 120\n");
        let recorded = build.recorded(QUIET, &[forgot, forgot, Some("# t\na 10\nb 190\nc 100\n")]);
        let judgement = judge(&recorded, &BankEngine::new(&recorded));
        let said = "violation: replicas identical: srv-1 and srv-2 differ from srv-3 and from what clients were told";
        assert!(judgement.line().starts_with(said), "{}", judgement.line());
    }
}
