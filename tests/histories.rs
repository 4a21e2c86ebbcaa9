//! The histories of `tests/histories`: a folder per verdict, one line in each file
//! (`note`) that says what it shows. `undecided` ones get a budget of a second.

use std::path::Path;
use std::time::Duration;

use rsm_check::checker::bank::BankModel;
use rsm_check::checker::linearizability::{Budget, check_result};
use rsm_check::history::read::read_file;
use rsm_check::verdict::Verdict;

/// Every history of a folder gets the verdict that the folder is named after.
fn check(folder: &str, model: &str, verdict: Verdict, seconds: u64) {
    let model: BankModel = model.parse().unwrap();
    let budget = Budget { time: Duration::from_secs(seconds), memory: 1 << 30 };
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/histories").join(folder);
    let mut seen = 0;
    for entry in std::fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.lines().next().unwrap_or_default().contains("\"note\":"), "{path:?} says nothing");
        let result = check_result(&read_file(&path).unwrap(), &model, &[], &budget);
        assert_eq!(result.verdict, Some(verdict), "{path:?}: {result:#?}");
        assert!(!result.message.is_empty());
        seen += 1;
    }
    assert!(seen > 0, "{folder:?} is empty");
}

#[test]
fn what_is_right_passes() {
    check("ok", "bank", Verdict::Pass, 10);
}

#[test]
fn what_is_wrong_is_a_violation() {
    check("violation", "bank", Verdict::Violation, 10);
}

#[test]
fn what_cannot_be_decided_in_time_says_so() {
    check("undecided", "bank:initial=1000000,guard=none", Verdict::Undecided, 1);
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
