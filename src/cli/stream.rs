//! `rsm-check check --stream`: a history that is too long to be held.
//!
//! Reads, searches and replays in one pass and holds only the operations that
//! overlap. What it accepts was replayed by a judge of its own ([`Replay`]), which
//! hears of operations from the reader, not from the search. Where it cannot decide,
//! the whole history is read after all, if it can be read again.

use std::fs::File;
use std::io::{self, BufWriter};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use super::Failure;
use super::args::CheckArgs;
use super::input::Input;
use super::judging::{self, Judged};
use crate::checker::BankEngine;
use crate::checker::bank::BankModel;
use crate::checker::linearizability::{Budget, Halt, Online, Stop, refuted_in_words};
use crate::checker::replay::Replay;
use crate::history::stream::{Tail, Told, stream};
use crate::history::{Operation, formats};
use crate::op::Outcome;
use crate::proof::OrderWriter;
use crate::record::Operations;
use crate::recorded::Recorded;
use crate::verdict::{CheckName, CheckResult};

/// Lines that may wait for the end of an operation before them.
const MOST_WAITING: usize = 1 << 20;
/// Why the other checks are not made.
const ONLY: &str = "not made of a history that is not held";

/// Checks a history of the bank in one pass; `None`: that did not decide it.
pub(super) fn check(
    args: &CheckArgs,
    recorded: &Recorded,
    command: String,
) -> Result<Option<Judged>, Failure> {
    let model = recorded.workload.model.parse().map_err(Failure::bad_input)?;
    let witness = args.witness.as_deref().map(Witness::create).transpose()?;
    let (from, told) = Input::open(&args.what, args.words.quiet)?.split();
    let mut lines = formats::lines(from).map_err(|why| told.refused(&why))?;
    let mut pass = Pass::new(model, BankEngine::new(recorded).budget, witness);
    let tail = stream(&mut lines, |line| pass.take(line)).map_err(|why| told.refused(&why))?;
    told.done();
    let mut warnings = tail.history.warnings.clone();
    warnings.extend(lines.warnings());
    warnings.iter().for_each(|warning| told.warn(args.words.quiet, warning));
    let operations = pass.operations(&tail);
    let result = match pass.finish(tail)? {
        Ok(result) => result,
        Err(why) if args.what != Path::new("-") => {
            told.warn(
                args.words.quiet,
                &format!("not decided in one pass ({why}): the whole history is read, no witness is written"),
            );
            return Ok(None);
        }
        Err(why) => {
            let advice = "give a file instead of standard input, to have it read whole";
            CheckResult::undecided(
                CheckName::Linearizable,
                format!("not decided in one pass: {why}; {advice}"),
            )
        }
    };
    Ok(Some(judging::judge_pass(recorded, result, operations, (warnings, ONLY), command)))
}

/// One pass under way.
struct Pass {
    online: Online,
    replay: Replay,
    budget: Budget,
    witness: Option<Witness>,
    counts: Operations,
    over: Option<Over>,
}

/// Why a pass reads no further.
enum Over {
    Halted(Halt),
    /// Neither accepted nor refuted.
    Lost(String),
    Unwritable(io::Error),
}

impl Pass {
    fn new(model: BankModel, budget: Budget, witness: Option<Witness>) -> Self {
        let mut online = Online::new(model, budget.memory, Arc::new(AtomicBool::new(false)));
        online.allow(budget.time);
        let (replay, counts) = (Replay::new(model), Operations::default());
        Self { online, replay, budget, witness, counts, over: None }
    }

    /// Takes in a line; whether it wants another one.
    fn take(&mut self, told: Told<'_>) -> bool {
        match told {
            Told::Invoked(_, operation) => drop(self.online.invoke(operation.clone())),
            Told::Ended(number, operation) => self.ended(number, operation),
            Told::NeverDelivered(number) => {
                self.online.never_delivered(number);
                self.over = self.replay.never_delivered(number).err().map(Over::Lost);
            }
            Told::TooLate => self.over = Some(Over::Lost("evidence came too late".into())),
        }
        if self.over.is_none() {
            self.advance(false);
        }
        if self.online.waiting() > MOST_WAITING {
            self.over.get_or_insert(Over::Lost("an operation stays open for too long".into()));
        }
        self.over.is_none()
    }

    fn ended(&mut self, number: u32, operation: &Operation) {
        match operation.outcome() {
            Outcome::Ok => self.counts.ok += 1,
            Outcome::Fail => self.counts.fail += 1,
            Outcome::Info => self.counts.info += 1,
        }
        self.replay.operation(number, operation.clone());
        operation.completion.iter().for_each(|end| self.online.complete(number, end.clone()));
    }

    /// Lets the search go on; what it is sure of is replayed and written at once.
    fn advance(&mut self, last: bool) {
        let Self { online, replay, witness, .. } = self;
        let mut wrong = None;
        let mut take = |number: u32| {
            if wrong.is_some() {
                return;
            }
            let replayed = replay.next(number).map_err(Over::Lost);
            let mut written =
                || witness.as_mut().map_or(Ok(()), |file| file.name(number)).map_err(Over::Unwritable);
            wrong = replayed.and_then(|()| written()).err();
        };
        let halt = if last { online.close(&mut take) } else { online.advance(&mut take) };
        self.over = wrong.or(halt.err().map(Over::Halted));
    }

    /// Operations by outcome; those that did not end are indeterminate.
    fn operations(&self, tail: &Tail) -> Operations {
        let mut counts = self.counts;
        for open in tail.history.operations.iter().filter(|one| one.completion.is_none()) {
            *(if open.never_delivered { &mut counts.fail } else { &mut counts.info }) += 1;
        }
        counts
    }

    /// What was found; an inner error says why nothing was.
    fn finish(mut self, tail: Tail) -> Result<Result<CheckResult, String>, Failure> {
        if self.over.is_none() {
            let open =
                (tail.first..).zip(&tail.history.operations).filter(|(_, one)| one.completion.is_none());
            // One that evidence closed was told of, and did not happen.
            let open = open.filter(|(_, one)| !one.never_delivered);
            open.for_each(|(number, one)| self.replay.operation(number, one.clone()));
            self.advance(true);
        }
        let budget = self.budget;
        Ok(match self.over {
            None => match self.replay.finish() {
                Ok(named) => {
                    self.witness.map_or(Ok(()), Witness::keep)?;
                    Ok(accepted(self.counts.ok, named))
                }
                Err(why) => Err(why),
            },
            Some(Over::Halted(Halt::Refuted(mut refuted))) => {
                Ok(refuted_in_words(&tail.history, tail.first, &mut refuted))
            }
            Some(Over::Halted(Halt::Stopped(Stop::Time))) => Err(format!("{:?} ran out", budget.time)),
            Some(Over::Halted(Halt::Stopped(Stop::Memory))) => {
                Err(format!("{} bytes ran out", budget.memory))
            }
            Some(Over::Lost(why)) => Err(why),
            Some(Over::Unwritable(why)) => {
                return Err(self
                    .witness
                    .map_or_else(|| Failure::infra(why.to_string()), |file| file.unwritable(&why)));
            }
        })
    }
}

fn accepted(required: u64, named: u64) -> CheckResult {
    let happened = named - required.min(named);
    let more =
        if happened > 0 { format!(" and has {happened} indeterminate ones happen") } else { String::new() };
    let message = format!("one order explains all {required} acknowledged operations{more}; it was replayed");
    CheckResult::pass(CheckName::Linearizable, message)
}

/// The order, on its way to a file; the file goes unless it is kept.
struct Witness {
    file: OrderWriter<BufWriter<File>>,
    path: PathBuf,
    kept: bool,
}

impl Witness {
    fn create(path: &Path) -> Result<Self, Failure> {
        let made = File::create_new(path).and_then(|file| OrderWriter::begin(BufWriter::new(file)));
        let file = made.map_err(|why| {
            Failure::bad_input(format!(
                "--witness: {}: {why}; name a file that does not exist",
                path.display()
            ))
        })?;
        Ok(Self { file, path: path.to_owned(), kept: false })
    }

    fn name(&mut self, number: u32) -> io::Result<()> {
        self.file.name(number)
    }

    fn keep(mut self) -> Result<(), Failure> {
        match self.file.end() {
            Ok(()) => {
                self.kept = true;
                Ok(())
            }
            Err(why) => Err(self.unwritable(&why)),
        }
    }

    fn unwritable(&self, why: &io::Error) -> Failure {
        Failure::infra(format!("--witness: {} cannot be written: {why}", self.path.display()))
    }
}

impl Drop for Witness {
    fn drop(&mut self) {
        if !self.kept {
            // Half an order explains nothing; it was made by us and just now.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}
