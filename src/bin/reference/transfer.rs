//! A client's request, and what counts as one.
//!
//! The one place that decides which account names and amounts exist. It must not know balances:
//! whether a transfer moves money is the bank's business.

use std::fmt;
use std::num::IntErrorKind;

use super::bug::Bug;

/// Longest account name, in bytes.
pub const MAX_NAME: usize = 64;
/// Longest request line, in bytes, its newline not counted.
pub const MAX_REQUEST: usize = 256;

/// Move `amount` from one account to another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transfer {
    /// The account that gives, and whose balance the guard looks at.
    pub from: String,
    /// The account that takes.
    pub to: String,
    /// Never negative here; the classic edition, which allows it, has a parser of its own.
    pub amount: i64,
}

/// Why a line is not a request. Said to the client, so in the client's words.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// Longer than any request can be.
    #[error("longer than {MAX_REQUEST} bytes")]
    TooLong,
    /// Bytes that are no text.
    #[error("not UTF-8")]
    NotText,
    /// Not three fields.
    #[error("expected `FROM TO AMOUNT` with single spaces")]
    Fields,
    /// A name that no account can have.
    #[error("an account name is 1 to {MAX_NAME} printable ASCII characters, no space, no leading #")]
    Name,
    /// Not a whole number.
    #[error("the amount is not a whole number")]
    Amount,
    /// A whole number, but too large.
    #[error("the amount does not fit in 64 bits")]
    AmountRange,
    /// Below zero.
    #[error("the amount is negative")]
    Negative,
}

impl TryFrom<&[u8]> for Transfer {
    type Error = Malformed;

    fn try_from(line: &[u8]) -> Result<Self, Malformed> {
        if line.len() > MAX_REQUEST {
            return Err(Malformed::TooLong);
        }
        let text = std::str::from_utf8(line).map_err(|_| Malformed::NotText)?;
        let fields: Vec<&str> = text.split(' ').collect();
        let [from, to, amount] = fields[..] else {
            return Err(Malformed::Fields);
        };
        Ok(Self { from: name(from)?, to: name(to)?, amount: parse_amount(amount)? })
    }
}

/// A leading `#` would make an account look like the data file's time line.
fn name(text: &str) -> Result<String, Malformed> {
    let printable = text.bytes().all(|byte| byte.is_ascii_graphic());
    if text.is_empty() || text.len() > MAX_NAME || !printable || text.starts_with('#') {
        return Err(Malformed::Name);
    }
    Ok(text.to_owned())
}

fn parse_amount(text: &str) -> Result<i64, Malformed> {
    let wrapped = text.parse().ok().filter(|_: &i128| Bug::WrapAround.is_planted()).map(|wide| wide as i64);
    let amount: i64 =
        wrapped.map_or_else(|| text.parse(), Ok).map_err(|error: std::num::ParseIntError| {
            match error.kind() {
                IntErrorKind::PosOverflow | IntErrorKind::NegOverflow => Malformed::AmountRange,
                _ => Malformed::Amount,
            }
        })?;
    if amount < 0 { Err(Malformed::Negative) } else { Ok(amount) }
}

impl fmt::Display for Transfer {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} {} {}", self.from, self.to, self.amount)
    }
}

#[cfg(test)]
mod tests {
    use super::{Malformed, Transfer};

    fn parse(line: &str) -> Result<Transfer, Malformed> {
        Transfer::try_from(line.as_bytes())
    }

    #[test]
    fn a_request_is_written_as_it_was_read() {
        assert_eq!(parse("a b 5").unwrap().to_string(), "a b 5");
    }

    #[test]
    fn what_is_no_request_is_named() {
        let long = format!("{} b 1", "x".repeat(300));
        let wide = format!("{} b 1", "x".repeat(65));
        let cases = [
            ("", Malformed::Fields),
            ("a b", Malformed::Fields),
            ("a  b 1", Malformed::Fields),
            (" b 1", Malformed::Name),
            ("#a b 1", Malformed::Name),
            ("\u{e9} b 1", Malformed::Name),
            ("a\tb c 1", Malformed::Name),
            ("a b 1\r", Malformed::Amount),
            ("a b 1.5", Malformed::Amount),
            ("a b -1", Malformed::Negative),
            ("a b 9223372036854775808", Malformed::AmountRange),
            ("a b -9223372036854775809", Malformed::AmountRange),
            (wide.as_str(), Malformed::Name),
            (long.as_str(), Malformed::TooLong),
        ];
        for (line, expected) in cases {
            assert_eq!(parse(line), Err(expected), "{line:?}");
        }
        assert_eq!(Transfer::try_from(&b"a \xff 1"[..]), Err(Malformed::NotText));
    }
}
