//! What the trials of a self-test come to together, and whether that is enough.
//!
//! Plain computation. The target: every bug that can be tested here is caught in at least
//! 19 of 20 seeds; no run of the correct system is a violation, and 195 of 200 are `pass`;
//! a bug without the faults that it needs always passes.

use std::time::Duration;

use super::bugs::Bug;
use super::trial::{Found, Subject};
use crate::fault::Family;
use crate::verdict::{CheckName, Exit, Verdict};

/// One bug's row.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Row {
    pub bug: Bug,
    /// Whether this machine has a family of faults that brings it out.
    pub testable: bool,
    /// Seeds tried.
    pub seeds: usize,
    /// Of them caught, by a check that must, in time.
    pub caught: usize,
    /// The checks that caught it, each with how often, most often first.
    pub by: Vec<(CheckName, usize)>,
    /// Median of those caught.
    pub operations: Option<u64>,
    /// Median of those caught.
    pub seconds: Option<f64>,
    /// Of the checkout at which it was caught last.
    pub commit: Option<String>,
    /// Tried without the faults that it needs, and of these passed.
    pub calm: (usize, usize),
}

/// Everything.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Figures {
    pub rows: Vec<Row>,
    /// Runs of the correct system.
    pub correct: usize,
    /// Of them `pass`.
    pub passed: usize,
    /// Of them violations.
    pub false_alarms: usize,
}

impl Figures {
    pub(super) fn of(bugs: &[Bug], lacking: &[Family], trials: &[Found], ceiling: Duration) -> Self {
        let correct: Vec<&Found> = trials.iter().filter(|found| found.subject == Subject::Correct).collect();
        let of_verdict = |verdict| correct.iter().filter(|found| found.verdict == Some(verdict)).count();
        Self {
            rows: bugs.iter().map(|bug| row(bug, lacking, trials, ceiling)).collect(),
            correct: correct.len(),
            passed: of_verdict(Verdict::Pass),
            false_alarms: of_verdict(Verdict::Violation),
        }
    }

    /// Bugs of which enough seeds were caught, and bugs that were tried.
    pub(super) fn bugs(&self) -> (usize, usize) {
        let tried = self.rows.iter().filter(|row| row.seeds > 0);
        (tried.clone().filter(|row| row.is_enough()).count(), tried.count())
    }

    /// Seeds caught, and seeds tried.
    pub(super) fn detection(&self) -> (usize, usize) {
        (self.rows.iter().map(|row| row.caught).sum(), self.rows.iter().map(|row| row.seeds).sum())
    }

    fn is_met(&self) -> bool {
        let (enough, tried) = self.bugs();
        let calm = self.rows.iter().all(|row| row.calm.0 == row.calm.1);
        enough == tried && calm && self.false_alarms == 0 && self.passed * 40 >= self.correct * 39
    }

    /// The last line, and the exit code. What was not tried is never claimed.
    pub(super) fn conclusion(&self, interrupted: bool) -> (String, Exit) {
        let untested = self.rows.iter().filter(|row| !row.testable).count();
        let (word, exit) = match (self.is_met(), interrupted) {
            (false, _) => ("target missed", Exit::Violation),
            (true, true) => ("interrupted", Exit::Infra),
            (true, false) if untested > 0 => ("target met as far as it can be tested here", Exit::Undecided),
            (true, false) => ("target met", Exit::Pass),
        };
        let (enough, tried) = self.bugs();
        let mut line = format!("{word}: {enough} of {tried} bugs caught in at least 19 of 20 seeds");
        if untested > 0 {
            line += &format!(", {untested} not testable here");
        }
        line += &format!("; false alarms in {} of {} correct runs", self.false_alarms, self.correct);
        (line, exit)
    }
}

impl Row {
    /// 19 of 20, or of fewer as many as that comes to.
    pub(super) fn is_enough(&self) -> bool {
        self.seeds > 0 && self.caught * 20 >= self.seeds * 19
    }
}

fn row(bug: &Bug, lacking: &[Family], trials: &[Found], ceiling: Duration) -> Row {
    let of = |subject| {
        let its = trials.iter().filter(|found| found.bug.as_deref() == Some(&bug.name));
        its.filter(move |found| found.subject == subject).collect::<Vec<_>>()
    };
    let (planted, calm) = (of(Subject::Planted), of(Subject::Calm));
    let caught: Vec<&Found> = planted.iter().copied().filter(|found| found.is_caught(ceiling)).collect();
    let passed = calm.iter().filter(|found| found.verdict == Some(Verdict::Pass)).count();
    Row {
        testable: bug.is_testable(lacking),
        seeds: planted.len(),
        caught: caught.len(),
        by: by(&caught),
        operations: median(caught.iter().map(|found| found.operations).collect()),
        seconds: median(caught.iter().map(|found| (found.seconds * 1e3) as u64).collect())
            .map(|millis| millis as f64 / 1e3),
        commit: caught.last().map(|found| found.commit.clone()),
        calm: (calm.len(), passed),
        bug: bug.clone(),
    }
}

fn by(caught: &[&Found]) -> Vec<(CheckName, usize)> {
    let count = |name| caught.iter().filter(|found| found.caught_by == Some(name)).count();
    let mut by: Vec<(CheckName, usize)> =
        CheckName::ALL.into_iter().map(|name| (name, count(name))).collect();
    by.retain(|(_, times)| *times > 0);
    by.sort_by_key(|(_, times)| std::cmp::Reverse(*times));
    by
}

/// The lower one of two.
fn median(mut values: Vec<u64>) -> Option<u64> {
    values.sort_unstable();
    values.get(values.len().saturating_sub(1) / 2).copied()
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in super::super) fn bug(name: &str, needs: &[Family]) -> Bug {
        let caught_by = vec![CheckName::Linearizable];
        Bug { name: name.into(), what: "something".into(), needs: needs.to_vec(), caught_by }
    }

    pub(in super::super) fn found(bug: Option<&str>, seed: u64, verdict: Verdict) -> Found {
        let violation = verdict == Verdict::Violation;
        Found {
            subject: if bug.is_some() { Subject::Planted } else { Subject::Correct },
            bug: bug.map(Into::into),
            seed,
            verdict: Some(verdict),
            fired: Vec::new(),
            caught_by: (violation && bug.is_some()).then_some(CheckName::Linearizable),
            operations: seed * 10,
            seconds: seed as f64,
            message: String::new(),
            commit: format!("c{seed}"),
        }
    }

    const MINUTE: Duration = Duration::from_secs(60);

    fn figures(trials: &[Found]) -> Figures {
        Figures::of(&[bug("a", &[]), bug("b", &[Family::Disk])], &[Family::Disk], trials, MINUTE)
    }

    #[test]
    fn medians_and_the_last_commit_are_those_of_the_seeds_that_were_caught() {
        let mut trials: Vec<Found> = (1..=3).map(|seed| found(Some("a"), seed, Verdict::Violation)).collect();
        trials.push(found(Some("a"), 4, Verdict::Pass));
        let row = figures(&trials).rows[0].clone();
        assert_eq!((row.seeds, row.caught, row.operations, row.seconds), (4, 3, Some(20), Some(2.0)));
        assert_eq!((row.commit.as_deref(), row.is_enough()), (Some("c3"), false));
    }

    #[test]
    fn the_exit_code_says_whether_the_target_is_met_missed_or_not_testable() {
        let caught = found(Some("a"), 1, Verdict::Violation);
        let ended = |trials: &[Found], interrupted| figures(trials).conclusion(interrupted).1;
        let right = found(None, 1, Verdict::Pass);
        assert_eq!(ended(&[caught.clone(), right.clone()], false), Exit::Undecided, "b is not testable");
        assert_eq!(ended(&[caught.clone(), right], true), Exit::Infra);
        assert_eq!(ended(&[caught, found(None, 1, Verdict::Violation)], false), Exit::Violation);
        assert_eq!(ended(&[found(Some("a"), 1, Verdict::Pass)], false), Exit::Violation);
        let all = Figures::of(&[bug("a", &[])], &[], &[found(Some("a"), 1, Verdict::Violation)], MINUTE);
        assert_eq!(all.conclusion(false).1, Exit::Pass);
    }
}
