//! `conserved`: money is neither made nor lost.
//!
//! Verifies that every read of all accounts, and every replica's final file,
//! sums to the initial balance times the number of accounts. A transfer moves
//! money between two accounts that the same request names, so whatever accounts
//! a file lists, its sum is fixed.
//!
//! Does not verify that the right transfers were applied, nor pairs of balances
//! in replies (two accounts of many have no fixed sum), nor files of replicas
//! that were down at the end (a crash may cut them anywhere).

use super::{bank::BankModel, final_files, quote};
use crate::history::data_file::parse_data_file;
use crate::history::{Observed, Operation};
use crate::recorded::{Recorded, ReplicaFile};
use crate::verdict::{CheckName, CheckResult};

/// Checks sums of full reads and of files.
pub fn check(recorded: &Recorded) -> CheckResult {
    let name = CheckName::Conserved;
    let model = match recorded.workload.model.parse::<BankModel>() {
        Ok(model) => model,
        Err(why) => return CheckResult::skipped(name, why),
    };
    let reads: Vec<_> = recorded.history.operations.iter().filter_map(|op| full_read(recorded, op)).collect();
    let files = final_files(recorded).files;
    let mut wrong: Vec<String> = reads.iter().filter_map(|read| wrong_read(read, model.initial)).collect();
    wrong.extend(files.iter().filter_map(|file| wrong_file(file, model.initial)));
    match wrong.first() {
        Some(first) => CheckResult::violation(name, first.clone()).with_details(wrong.drain(1..).take(20)),
        None if reads.is_empty() && files.is_empty() => {
            CheckResult::skipped(name, "no read of all accounts and no file at rest")
        }
        None => CheckResult::pass(name, passed(reads.len(), files.len())),
    }
}

fn passed(reads: usize, files: usize) -> String {
    let files = super::count(files as u64, "file");
    match reads {
        0 => format!("{files} add up"),
        reads => format!("{files} and {} of all accounts add up", super::count(reads as u64, "read")),
    }
}

struct FullRead {
    line: u64,
    sum: i128,
    accounts: usize,
}

/// A read that names every account of the history.
fn full_read(recorded: &Recorded, operation: &Operation) -> Option<FullRead> {
    let completion = operation.completion.as_ref()?;
    let Observed::Balances(balances) = &completion.observed else { return None };
    let full = balances.len() == recorded.history.accounts.len() && !balances.is_empty();
    full.then(|| FullRead {
        line: completion.index,
        sum: balances.iter().map(|&(_, balance)| i128::from(balance)).sum(),
        accounts: balances.len(),
    })
}

fn wrong_read(read: &FullRead, initial: i64) -> Option<String> {
    let difference = read.sum - i128::from(initial) * read.accounts as i128;
    let line = read.line;
    (difference != 0)
        .then(|| format!("the read of all accounts at line {line} sums to {}, {}", read.sum, off(difference)))
}

fn wrong_file(file: &ReplicaFile, initial: i64) -> Option<String> {
    let node = file.node;
    if file.unreadable.is_some() {
        return None;
    }
    let parsed = match parse_data_file(file.content.as_deref()?) {
        Ok(parsed) => parsed,
        Err(why) => return Some(format!("the file of {node} is no data file: {}", quote_error(&why))),
    };
    let sum: i128 = parsed.balances.iter().map(|&(_, balance)| i128::from(balance)).sum();
    let accounts = parsed.balances.len();
    let difference = sum - i128::from(initial) * accounts as i128;
    let accounts = super::count(accounts as u64, "account");
    (difference != 0)
        .then(|| format!("the file of {node} sums to {sum} over {accounts}, {}", off(difference)))
}

fn quote_error(why: &dyn std::fmt::Display) -> String {
    quote(why.to_string().as_bytes()).trim_matches('`').into()
}

fn off(difference: i128) -> String {
    let word = if difference > 0 { "more" } else { "less" };
    format!("{} {word} than there ever was", difference.unsigned_abs())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checker::testing::*;
    use crate::verdict::Verdict;

    #[track_caller]
    fn judged(build: Build, files: &[Option<&str>], verdict: Option<Verdict>, part: &str) {
        let result = check(&build.recorded(PLAIN, files));
        assert_eq!(result.verdict, verdict, "{result:?}");
        assert!(result.message.contains(part), "{}", result.message);
    }

    #[test]
    fn a_file_that_does_not_add_up_is_a_violation() {
        let violation = Some(Verdict::Violation);
        judged(Build::new(), &[Some("# t\na 95\nb 105\n")], Some(Verdict::Pass), "1 file add");
        judged(
            Build::new(),
            &[Some("# t\na 95\nb 106\n")],
            violation,
            "srv-1 sums to 201 over 2 accounts, 1 more",
        );
        judged(
            Build::new(),
            &[None, Some("# t\na 95\n")],
            violation,
            "srv-2 sums to 95 over 1 account, 5 less",
        );
        judged(Build::new(), &[Some("# t\na x\n")], violation, "no data file: line 2");
    }

    #[test]
    fn sums_beyond_64_bits_are_told_and_not_wrapped() {
        let file = "# t\na 9223372036854775807\nb 9223372036854775807\n";
        judged(Build::new(), &[Some(file)], Some(Verdict::Violation), "18446744073709551614");
    }

    #[test]
    fn only_a_read_of_all_accounts_has_a_fixed_sum() {
        let part = Build::new().ok((0, 1), ("a", "b", 5), [95, 105]).read((2, 3), &[("a", 95)]);
        judged(part, &[], None, "no read of all accounts");
        let full = Build::new().read((2, 3), &[("a", 95), ("b", 100)]);
        judged(full, &[], Some(Verdict::Violation), "line 1 sums to 195, 5 less");
    }
}
