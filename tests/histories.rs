//! The histories of `tests/histories`: a folder per verdict, and in each file a note
//! that says what it shows. A name begins with its model, up to the first `_`; without
//! a model it is a bank. Any format that `check` reads, compressed or not.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rsm_check::checker::bank::BankModel;
use rsm_check::checker::linearizability::{Budget, check_result};
use rsm_check::checker::models::{NAMES, by_text};
use rsm_check::history::formats::source::decompressed;
use rsm_check::history::formats::{self, lines};
use rsm_check::history::read::read_file;
use rsm_check::history::untyped::read_untyped_lines;
use rsm_check::verdict::{CheckResult, Verdict};

const AMPLE: Budget = Budget { time: Duration::from_secs(20), memory: 1 << 30 };
/// Memory, not time, so that the machine's speed does not matter.
const TINY: Budget = Budget { time: Duration::from_secs(60), memory: 1 << 10 };
/// A bank that cannot be decided is found out by time alone.
const SECOND: Budget = Budget { time: Duration::from_secs(1), memory: 1 << 30 };

fn files(folder: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/histories").join(folder);
    std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect()
}

/// The model that a file's name begins with, if it is not the bank.
fn model(path: &Path) -> Option<&'static str> {
    let name = path.file_name().unwrap().to_str().unwrap();
    NAMES.split(", ").find(|model| name.starts_with(&format!("{model}_")))
}

fn text(path: &Path) -> String {
    let mut text = String::new();
    decompressed(std::fs::File::open(path).unwrap()).unwrap().read_to_string(&mut text).unwrap();
    text
}

fn judge(path: &Path, bank: &str, budget: &Budget) -> CheckResult {
    let text = text(path);
    let Some(name) = model(path) else {
        let history = formats::read(text.as_bytes()).unwrap_or_else(|why| panic!("{path:?}: {why}"));
        return check_result(&history, &bank.parse::<BankModel>().unwrap(), &[], budget);
    };
    let mut lines = lines(text.as_bytes()).unwrap();
    let history = read_untyped_lines(&mut lines).unwrap_or_else(|why| panic!("{path:?}: {why}"));
    by_text(name).unwrap().judge(&history, budget).unwrap()
}

/// Every history of a folder gets the verdict that the folder is named after, and
/// every model has one there.
fn check(folder: &str, bank: &str, verdict: Verdict, for_banks: &Budget, for_others: &Budget) {
    let mut lacking: Vec<Option<&str>> = NAMES.split(", ").map(Some).chain([None]).collect();
    for path in files(folder) {
        let said = text(&path);
        assert!(said.lines().next().unwrap_or_default().contains("note"), "{path:?} says nothing");
        let budget = if model(&path).is_some() { for_others } else { for_banks };
        let result = judge(&path, bank, budget);
        assert_eq!(result.verdict, Some(verdict), "{path:?}: {result:#?}");
        assert!(!result.message.is_empty());
        lacking.retain(|&name| name != model(&path));
    }
    assert!(lacking.is_empty(), "{folder} lacks {lacking:?}");
}

#[test]
fn what_is_right_passes() {
    check("ok", "bank", Verdict::Pass, &AMPLE, &AMPLE);
}

#[test]
fn what_is_wrong_is_a_violation() {
    check("violation", "bank", Verdict::Violation, &AMPLE, &AMPLE);
}

#[test]
fn what_cannot_be_decided_within_the_budget_says_so() {
    check("undecided", "bank:initial=1000000,guard=none", Verdict::Undecided, &SECOND, &TINY);
}

#[test]
fn a_violation_says_what_would_have_to_hold() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/histories/violation/lost_update.jsonl");
    let result = check_result(&read_file(&path).unwrap(), &BankModel::default(), &[], &Budget::default());
    assert!(result.message.contains("#2 transfer a -> b of 7 giving 93 and 107 by process 1"), "{result:#?}");
    assert!(
        result.details[0].contains("account a would have to hold 100; every order gives 95"),
        "{result:#?}"
    );
}

#[test]
fn a_file_that_lacks_an_acknowledged_transfer_is_named() {
    use rsm_check::checker::linearizability::Final;
    use rsm_check::history::data_file::{DataFile, parse_data_file};
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/histories/ok/sequence.jsonl");
    let history = read_file(&path).unwrap();
    let good = parse_data_file(b"# t\na 90\nb 110\n").unwrap();
    let finals = |second: DataFile| {
        let file = |node: &str, file: DataFile| Final { node: node.into(), file };
        [file("srv-1", good.clone()), file("srv-2", second), file("srv-3", good.clone())]
    };
    let judge = |finals: &[Final]| check_result(&history, &BankModel::default(), finals, &Budget::default());
    assert_eq!(judge(&finals(good.clone())).verdict, Some(Verdict::Pass));
    let missing = judge(&finals(DataFile::default()));
    assert_eq!(missing.verdict, Some(Verdict::Violation));
    assert!(missing.message.contains("the final file of srv-2"), "{missing:#?}");
}
