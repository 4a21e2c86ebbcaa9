//! A replica's data file, as the exercise writes it.
//!
//! First line `# TIME`, then one line `ACCOUNT BALANCE` for each account that a
//! request ever named. The bytes come from a program under test that may be
//! wrong in any way, so nothing here panics and every refusal names its line.
//! Must not know where files lie, nor what their balances ought to be.

use std::fmt;

/// The largest data file that is parsed, in bytes; a larger one is refused.
pub const MAX_DATA_FILE: usize = 64 << 20;

/// What a data file says. A missing file is the initial state, `DataFile::default()`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DataFile {
    /// The text after `# ` on the first line, uninterpreted; empty if the file was missing.
    pub time: String,
    /// Accounts with their balances in money units, in the order of the file, no name twice.
    pub balances: Vec<(String, i64)>,
}

impl DataFile {
    /// The balance that the file gives for an account, in money units, if it names it.
    pub fn balance(&self, account: &str) -> Option<i64> {
        self.balances.iter().find(|(name, _)| name == account).map(|&(_, balance)| balance)
    }
}

/// Why bytes are no data file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DataFileError {
    /// Line number, from 1.
    pub line: usize,
    /// What was found there and what is accepted.
    pub reason: String,
}

impl fmt::Display for DataFileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.reason)
    }
}

impl std::error::Error for DataFileError {}

/// Parses the bytes of a data file.
///
/// The newline of the last line may be missing, and lines may come in any order:
/// whether files are byte-identical and sorted is another check's business.
///
/// # Errors
/// No `# TIME` on the first line, a line that is not `ACCOUNT BALANCE`, a balance
/// that is no signed 64-bit integer, an account named twice, bytes that are not
/// UTF-8, more than [`MAX_DATA_FILE`] bytes.
pub fn parse_data_file(bytes: &[u8]) -> Result<DataFile, DataFileError> {
    if bytes.len() > MAX_DATA_FILE {
        return Err(error(
            1,
            format!("the file has {} bytes; at most {MAX_DATA_FILE} are read", bytes.len()),
        ));
    }
    let text = std::str::from_utf8(bytes).map_err(|bad| not_utf8(bytes, bad.valid_up_to()))?;
    let mut lines = text.strip_suffix('\n').unwrap_or(text).split('\n');
    let time = parse_time(lines.next().unwrap_or_default())?;
    let mut balances = Vec::new();
    for (number, line) in (2..).zip(lines) {
        balances.push(parse_balance(line).map_err(|reason| error(number, reason))?);
    }
    refuse_duplicates(&balances)?;
    Ok(DataFile { time, balances })
}

fn error(line: usize, reason: String) -> DataFileError {
    DataFileError { line, reason }
}

fn not_utf8(bytes: &[u8], at: usize) -> DataFileError {
    let line = 1 + bytes[..at].iter().filter(|&&byte| byte == b'\n').count();
    error(line, format!("byte 0x{:02x} is not UTF-8 text", bytes[at]))
}

fn parse_time(line: &str) -> Result<String, DataFileError> {
    let time = line.strip_prefix('#').ok_or_else(|| {
        error(1, format!("found {}, accepted is `# TIME`, the time of the latest request", quote(line)))
    })?;
    Ok(time.strip_prefix(' ').unwrap_or(time).trim_end_matches('\r').to_owned())
}

fn parse_balance(line: &str) -> Result<(String, i64), String> {
    let accepted = "accepted is `ACCOUNT BALANCE` with one space and a signed 64-bit integer";
    let fields = line.split_once(' ').filter(|(account, _)| !account.is_empty());
    let (account, balance) = fields.ok_or_else(|| format!("found {}, {accepted}", quote(line)))?;
    match balance.parse() {
        Ok(balance) => Ok((account.to_owned(), balance)),
        Err(_) => Err(format!("found the balance {}, {accepted}", quote(balance))),
    }
}

fn refuse_duplicates(balances: &[(String, i64)]) -> Result<(), DataFileError> {
    let mut seen = rustc_hash::FxHashSet::default();
    for (number, (account, _)) in (2..).zip(balances) {
        if !seen.insert(account.as_str()) {
            return Err(error(number, format!("the account {} was named before", quote(account))));
        }
    }
    Ok(())
}

/// Found text in back quotes, cut to a length that fits a message.
fn quote(text: &str) -> String {
    let mut shown: String = text.chars().take(40).flat_map(char::escape_debug).collect();
    if text.chars().nth(40).is_some() {
        shown.push_str("...");
    }
    format!("`{shown}`")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_as_the_exercise_writes_it() {
        let file = parse_data_file(b"# Sun, 22 Nov 2026 11:58:40 +0000\na 95\nb 105\n").unwrap();
        assert_eq!(file.time, "Sun, 22 Nov 2026 11:58:40 +0000");
        assert_eq!(file.balances, [("a".to_owned(), 95), ("b".to_owned(), 105)]);
        assert_eq!((file.balance("b"), file.balance("c")), (Some(105), None));
    }

    #[test]
    fn a_time_line_alone_and_a_missing_last_newline_are_accepted() {
        assert_eq!(parse_data_file(b"# now\n").unwrap().balances, []);
        assert_eq!(parse_data_file(b"# now\na -5").unwrap().balances, [("a".to_owned(), -5)]);
    }

    #[test]
    fn every_refusal_names_its_line() {
        let cases: [(&[u8], usize); 10] = [
            (b"", 1),
            (b"a 5\n", 1),
            (b"# t\na\n", 2),
            (b"# t\na 5\n\nb 6\n", 3),
            (b"# t\na 9223372036854775808\n", 2),
            (b"# t\na 1\nb 2\na 3\n", 4),
            (b"# t\na 1\nb  2\n", 3),
            (b"# t\na 1\n\xff 2\n", 3),
            (b"# t\n 1\n", 2),
            (b"\0\0\0\0", 1),
        ];
        for (bytes, line) in cases {
            let refused = parse_data_file(bytes).unwrap_err();
            assert_eq!(refused.line, line, "{refused}");
        }
    }
}
