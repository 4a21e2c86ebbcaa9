//! What tells one judged history from another: a checksum over its operations and
//! the final files, not over the bytes of a file.
//!
//! So a history keeps its fingerprint when it is compressed or converted, and loses
//! it when an outcome changes. The text that is summed is fixed in `docs/VERIFY.md`:
//! other programs compute it too. Must not know what a right result would be.

use std::fmt::{self, Write};

use serde_json::Value;

use super::data_file::DataFile;
use super::untyped::UntypedHistory;
use super::{Call, History, Observed};
use crate::op::Outcome;

/// The fingerprint of a bank's history with the files that count as last reads.
pub fn of_bank<'a>(history: &History, finals: impl IntoIterator<Item = &'a DataFile>) -> String {
    let mut sum = Sum::default();
    for operation in &history.operations {
        let outcome = operation.outcome();
        let completion = operation.completion.as_ref().filter(|_| outcome == Outcome::Ok);
        sum.head(operation.invoke, outcome, completion.map(|completion| completion.index));
        match &operation.call {
            Call::Transfer { from, to, amount } => {
                let (from, to) = (history.account(*from), history.account(*to));
                sum.text(format_args!("transfer {from} {to} {amount}"));
            }
            Call::Read => sum.text(format_args!("read")),
        }
        match completion.map(|completion| &completion.observed) {
            Some(Observed::Pair([from, to])) => sum.text(format_args!(" {from} {to}")),
            Some(Observed::Balances(seen)) => {
                sum.balances(seen.iter().map(|&(account, balance)| (history.account(account), balance)));
            }
            _ => {}
        }
        sum.end_line();
    }
    for file in finals {
        sum.text(format_args!("final"));
        sum.balances(file.balances.iter().map(|(name, balance)| (name.as_str(), *balance)));
        sum.end_line();
    }
    sum.finish()
}

/// The fingerprint of a history of another model.
pub fn of_untyped(history: &UntypedHistory) -> String {
    let mut sum = Sum::default();
    for operation in &history.operations {
        let outcome = operation.outcome();
        let completion = operation.completion.as_ref().filter(|_| outcome == Outcome::Ok);
        sum.head(operation.invoke, outcome, completion.map(|completion| completion.index));
        sum.text(format_args!("{} {}", operation.f, canonical(&operation.input)));
        if let Some(completion) = completion {
            sum.text(format_args!(" {}", canonical(&completion.output)));
        }
        sum.end_line();
    }
    sum.finish()
}

/// A text that is the same for equal values: keys sorted, no spaces, a whole number
/// below 2^53 without a fraction.
pub fn canonical(value: &Value) -> String {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    match value {
        Value::Number(number) => match number.as_f64() {
            Some(float) if number.is_f64() && float.fract() == 0.0 && float.abs() < EXACT => {
                (float as i64).to_string()
            }
            _ => number.to_string(),
        },
        Value::Array(items) => format!("[{}]", items.iter().map(canonical).collect::<Vec<_>>().join(",")),
        Value::Object(fields) => {
            let mut fields: Vec<(&String, &Value)> = fields.iter().collect();
            fields.sort_unstable_by_key(|&(name, _)| name);
            let pair = |(name, value): (&String, &Value)| {
                format!("{}:{}", Value::from(name.as_str()), canonical(value))
            };
            format!("{{{}}}", fields.into_iter().map(pair).collect::<Vec<_>>().join(","))
        }
        other => other.to_string(),
    }
}

/// Bytes that are gathered before they are summed.
const GATHERED: usize = 1 << 16;

#[derive(Default)]
struct Sum {
    gathered: String,
    crc: crc32fast::Hasher,
}

impl Sum {
    fn text(&mut self, text: fmt::Arguments<'_>) {
        // Writing into a string cannot fail.
        let _ = self.gathered.write_fmt(text);
    }

    /// `4 ok 7 ` or `4 info - `.
    fn head(&mut self, invoke: u64, outcome: Outcome, returns: Option<u64>) {
        let outcome = match outcome {
            Outcome::Ok => "ok",
            Outcome::Fail => "fail",
            Outcome::Info => "info",
        };
        self.text(format_args!("{invoke} {outcome} "));
        match returns {
            Some(index) => self.text(format_args!("{index} ")),
            None => self.text(format_args!("- ")),
        }
    }

    /// ` a=95 b=105`, sorted by name.
    fn balances<'a>(&mut self, balances: impl Iterator<Item = (&'a str, i64)>) {
        let mut balances: Vec<(&str, i64)> = balances.collect();
        balances.sort_unstable();
        for (name, balance) in balances {
            self.text(format_args!(" {name}={balance}"));
        }
    }

    fn end_line(&mut self) {
        self.gathered.push('\n');
        if self.gathered.len() > GATHERED {
            self.crc.update(self.gathered.as_bytes());
            self.gathered.clear();
        }
    }

    fn finish(mut self) -> String {
        self.crc.update(self.gathered.as_bytes());
        format!("{:08x}", self.crc.finalize())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::read::read;
    use crate::history::untyped::read_untyped;

    const HISTORY: &str = concat!(
        r#"{"index":0,"time":1,"process":3,"type":"invoke","f":"transfer","value":{"from":"a","to":"b","amount":5}}"#,
        "\n",
        r#"{"index":1,"time":2,"process":4,"type":"invoke","f":"read","value":null}"#,
        "\n",
        r#"{"index":2,"time":3,"process":4,"type":"ok","f":"read","value":{"b":105,"a":95}}"#,
        "\n"
    );

    #[test]
    fn the_text_that_is_summed_is_the_one_that_the_docs_tell() {
        let file = DataFile { time: "now".into(), balances: vec![("b".into(), 105), ("a".into(), 95)] };
        let text = "0 info - transfer a b 5\n1 ok 2 read a=95 b=105\nfinal a=95 b=105\n";
        let expected = format!("{:08x}", crc32fast::hash(text.as_bytes()));
        assert_eq!(of_bank(&read(HISTORY.as_bytes()).unwrap(), [&file]), expected);
        let text = "0 info - transfer {\"amount\":5,\"from\":\"a\",\"to\":\"b\"}\n\
                    1 ok 2 read null {\"a\":95,\"b\":105}\n";
        let expected = format!("{:08x}", crc32fast::hash(text.as_bytes()));
        assert_eq!(of_untyped(&read_untyped(HISTORY.as_bytes()).unwrap()), expected);
    }

    #[test]
    fn another_result_is_another_fingerprint_and_another_time_is_not() {
        let of = |text: &str| of_bank(&read(text.as_bytes()).unwrap(), []);
        assert_ne!(of(HISTORY), of(&HISTORY.replace("105", "106")));
        assert_eq!(of(HISTORY), of(&HISTORY.replace("\"time\":3", "\"time\":4")));
    }
}
