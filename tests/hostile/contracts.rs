//! What every parser owes to whatever it is given: an answer or a refusal that names the
//! place, within bounds; never a panic. What it accepted must then be usable.
//!
//! Shared by the tests here and by the fuzz targets in `fuzz/`. A broken promise panics.

use std::io::Cursor;
use std::time::Duration;

use rsm_check::checker::{BankEngine, judge};
use rsm_check::history::data_file::parse_data_file;
use rsm_check::history::formats::write::{Converter, Target};
use rsm_check::history::read::{Failure, Malformed};
use rsm_check::history::untyped::read_untyped_lines;
use rsm_check::history::{History, formats};
use rsm_check::plan::Plan;
use rsm_check::recorded::{Recorded, ReplicaFile};
use rsm_check::verdict::Verdict;
use rsm_check::{fault::Node, workload};

use super::inputs::Parser;

/// No refusal is longer than this, but for the line of the file that it shows.
const LONGEST: usize = 4096;
/// A history of a few lines is decided long before; what is not is called off.
const BUDGET: Duration = Duration::from_millis(200);

/// What a parser said to an input: `None` if it took it.
pub fn kept(parser: Parser, bytes: &[u8]) -> Option<String> {
    match parser {
        Parser::Workload => workload_kept(bytes),
        Parser::Jsonl | Parser::Edn | Parser::Log => history_kept(bytes),
        Parser::DataFile => data_file_kept(bytes),
    }
}

fn lines_of(bytes: &[u8]) -> usize {
    bytes.iter().filter(|byte| **byte == b'\n').count() + 1
}

fn workload_kept(bytes: &[u8]) -> Option<String> {
    // That a file is no text is said by the one who reads it.
    let Ok(text) = std::str::from_utf8(bytes) else { return Some("not UTF-8".into()) };
    match workload::parse("w.json", text) {
        Ok(workload) => {
            let count = workload.clients.count;
            let plan = Plan::draw(workload, 1);
            assert_eq!(plan.first_operations.len(), count as usize);
            assert!(plan.to_json().len() > 2);
            None
        }
        Err(why) => {
            let told = why.to_string();
            assert!(!why.message.trim().is_empty(), "a refusal without a reason: {told}");
            assert!(told.contains("w.json"), "the file is not named: {told}");
            assert!(why.line() <= lines_of(bytes), "a line beyond the end: {told}");
            assert!(
                why.line() > 0 || !why.field.is_empty() || text.trim().is_empty(),
                "no place is named: {told}"
            );
            assert!(told.len() < LONGEST, "{} bytes of refusal: {told}", told.len());
            Some(told)
        }
    }
}

fn refusal(why: &Malformed, bytes: &[u8]) -> String {
    let told = why.to_string();
    let last = lines_of(bytes) as u64;
    assert!((1..=last).contains(&why.line), "line {} of {last}: {told}", why.line);
    assert!(!why.reason.trim().is_empty(), "a refusal without a reason: {told}");
    assert!(told.len() < LONGEST, "{} bytes of refusal: {told}", told.len());
    told
}

fn told(failure: Failure, bytes: &[u8]) -> String {
    match failure {
        Failure::Malformed(why) => refusal(&why, bytes),
        Failure::Io(why) => panic!("no file is read here: {why}"),
    }
}

/// Whatever the format turns out to be.
fn history_kept(bytes: &[u8]) -> Option<String> {
    converts(bytes);
    let lines = formats::lines(bytes);
    if let Ok(lines) = lines.map_err(|why| told(why, bytes)) {
        let _ = read_untyped_lines(lines).map_err(|why| told(why, bytes));
    }
    match formats::read(Cursor::new(bytes)) {
        Ok(history) => {
            is_judged(history);
            None
        }
        Err(why) => Some(told(why, bytes)),
    }
}

fn converts(bytes: &[u8]) {
    for target in [Target::Edn, Target::Porcupine] {
        let Ok(lines) = formats::lines(bytes) else { return };
        let mut converter = Converter::new(target, std::io::sink());
        for line in lines.take_while(Result::is_ok).flatten() {
            if converter.line(&line.1).is_err() {
                break;
            }
        }
        converter.finish().expect("a sink takes everything");
    }
}

/// A checker that breaks down says so instead of panicking.
fn is_judged(history: History) {
    let mut recorded = Recorded::bare(history, None, Vec::new());
    recorded.workload.budgets.check.0 = BUDGET;
    is_sound(&recorded);
}

fn is_sound(recorded: &Recorded) {
    let judgement = judge(recorded, &BankEngine::new(recorded));
    for check in &judgement.checks {
        assert!(!check.message.starts_with("the checker broke down"), "{}", check.message);
    }
    assert_eq!(judgement.line().lines().count(), 1);
}

fn data_file_kept(bytes: &[u8]) -> Option<String> {
    // Beside a good one, as two replicas would leave them.
    let file = |number, bytes: &[u8]| ReplicaFile::new(Node::Srv(number), Some(bytes.to_vec()));
    let good = b"# t\na 100\n";
    let files = vec![file(1, good), file(2, bytes)];
    let recorded = Recorded::bare(History::default(), None, files);
    is_sound(&recorded);
    let verdict = judge(&recorded, &BankEngine::new(&recorded)).verdict;
    match parse_data_file(bytes) {
        Ok(file) => {
            assert!(file.balances.iter().all(|(name, _)| file.balance(name).is_some()));
            None
        }
        Err(why) => {
            let told = why.to_string();
            assert!((1..=lines_of(bytes)).contains(&why.line), "line {}: {told}", why.line);
            assert!(!why.reason.trim().is_empty() && told.len() < LONGEST, "{told}");
            assert_eq!(verdict, Verdict::Violation, "{told}");
            Some(told)
        }
    }
}
