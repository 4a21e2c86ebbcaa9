//! `rsm-check verify HISTORY --witness ORDER`: both files pass by, neither is held.
//!
//! Brings history and order together and asks [`crate::verifier::Passing`].

use std::fs::File;
use std::io::BufReader;
use std::path::Path;
use std::time::Instant;

use super::{demanded, tell};
use crate::cli::Failure;
use crate::cli::args::VerifyArgs;
use crate::cli::input::Input;
use crate::history::formats;
use crate::history::stream::{Told, stream};
use crate::proof::OrderReader;
use crate::verdict::Exit;
use crate::verifier::passing::Flaw;
use crate::verifier::{Finding, Model, Passing};

/// What `check --stream` judges by if nothing else is said.
const MODEL: &str = "bank:initial=100,guard=strict";

/// Why a pass goes no further.
enum End {
    Flaw(Flaw),
    Late,
    Undecided(String),
}

pub(super) fn verify(args: &VerifyArgs, path: &Path) -> Result<Exit, Failure> {
    if args.what.is_dir() {
        let why = "--witness: an order is about a history; give the run's history.jsonl";
        return Err(Failure::bad_input(why));
    }
    let text = args.model.as_deref().unwrap_or(MODEL);
    let Model::Bank(rules) = demanded(text)? else {
        return Err(Failure::bad_input(format!(
            "--model: an order of `{text}`; accepted with --witness: bank"
        )));
    };
    let refused = |why: String| Failure::bad_input(format!("{}: {why}", path.display()));
    let file = File::open(path).map_err(|why| refused(format!("the order cannot be read: {why}")))?;
    let mut order = OrderReader::begin(BufReader::new(file)).map_err(refused)?;
    let begin = Instant::now();
    let mut end = None;
    let mut passing = match Passing::new(rules, || order.next_number()) {
        Ok(passing) => passing,
        Err(Flaw::Wrong(why) | Flaw::Unreadable(why)) => return Err(refused(why)),
    };
    let (from, told) = Input::open(&args.what, args.words.quiet)?.split();
    let mut lines = formats::lines(from).map_err(|why| told.refused(&why))?;
    let mut taken = 0u64;
    let tail = stream(&mut lines, |line| {
        taken += 1;
        end = match line {
            Told::Invoked(number, operation) => passing.invoked(number, operation).err().map(End::Flaw),
            Told::Ended(number, operation) => {
                let ended = operation.completion.as_ref();
                ended.and_then(|ended| passing.ended(number, ended).err()).map(End::Flaw)
            }
            Told::NeverDelivered(number) => passing.never_delivered(number).err().map(End::Flaw),
            Told::TooLate => Some(End::Late),
        };
        if end.is_none() && taken.is_multiple_of(1024) {
            end = spent(args, begin, passing.held()).map(End::Undecided);
        }
        end.is_none()
    });
    let tail = tail.map_err(|why| told.refused(&why))?;
    told.done();
    let warnings = tail.history.warnings.iter().cloned().chain(lines.warnings());
    warnings.for_each(|warning| told.warn(args.words.quiet, &warning));
    let finding = match end.map_or_else(|| passing.finish().map_err(End::Flaw), Err) {
        Ok(message) => Finding::Confirmed(message),
        Err(End::Flaw(Flaw::Wrong(why))) => Finding::Refuted(why),
        Err(End::Flaw(Flaw::Unreadable(why))) => return Err(refused(why)),
        Err(End::Late) => Finding::Undecided(
            "evidence about an operation came when it was forgotten; `check --proof` reads a history whole"
                .into(),
        ),
        Err(End::Undecided(why)) => Finding::Undecided(why),
    };
    tell(args.words, &finding, (&path.display().to_string(), text), begin)
}

/// About how many bytes an operation takes that is held.
const EACH: usize = 160;

/// What ran out.
fn spent(args: &VerifyArgs, begin: Instant, held: usize) -> Option<String> {
    let memory = usize::try_from(args.memory.0).unwrap_or(usize::MAX);
    if begin.elapsed() >= args.budget.0 {
        return Some(format!("{:?} ran out before the end of the history", args.budget.0));
    }
    (held.saturating_mul(EACH) >= memory)
        .then(|| format!("{held} operations without a certain end do not fit into --memory"))
}
