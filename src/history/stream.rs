//! Reading a history that is too long to be held.
//!
//! The same rules as [`super::read`], told line by line; operations that have ended
//! are forgotten some time after. Must not know of models or verdicts.

use super::pair::{Change, Pairing};
use super::read::{Failure, Malformed};
use super::{History, Operation};

/// What a line said of an operation; they are numbered in the order of invocation.
#[derive(Debug)]
pub enum Told<'a> {
    /// It begins.
    Invoked(u32, &'a Operation),
    /// It ends, as its completion says.
    Ended(u32, &'a Operation),
    /// It certainly did not happen.
    NeverDelivered(u32),
    /// Evidence about an operation that was forgotten, if it ever was: this way of
    /// reading cannot say.
    TooLate,
}

/// The end of a history, and all that concerns no operation.
#[derive(Debug)]
pub struct Tail {
    /// As after reading whole, but for the operations: the last ones, and those
    /// that did not end.
    pub history: History,
    /// Number of the first operation that `history` holds.
    pub first: u32,
}

/// Hands over what lines say of operations until the lines end or `take` returns
/// false.
///
/// # Errors
/// As [`super::read::read_lines`].
pub fn stream(
    lines: impl Iterator<Item = Result<(u64, String), Failure>>,
    mut take: impl FnMut(Told<'_>) -> bool,
) -> Result<Tail, Failure> {
    let mut pairing = Pairing::default();
    let mut last = 0;
    for line in lines {
        let (number, text) = line?;
        pairing.line(&text, number).map_err(|reason| Malformed { line: number, reason })?;
        last = number;
        let told = match pairing.change() {
            Some(Change::Invoked(at)) => Told::Invoked(at as u32, pairing.operation(at)),
            Some(Change::Ended(at)) => Told::Ended(at as u32, pairing.operation(at)),
            Some(Change::NeverDelivered(at)) => Told::NeverDelivered(at as u32),
            Some(Change::TooLate) => Told::TooLate,
            None => continue,
        };
        if !take(told) {
            break;
        }
        pairing.forget_the_ended();
    }
    let first = pairing.forgotten() as u32;
    Ok(Tail { history: pairing.finish(last), first })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(count: u64) -> impl Iterator<Item = Result<(u64, String), Failure>> {
        (0..2 * count).map(|index| {
            let (kind, balances) = if index % 2 == 0 { ("invoke", "") } else { ("ok", r#","balances":[95,105]"#) };
            let value = format!(r#"{{"from":"a","to":"b","amount":5{balances}}}"#);
            let line = format!(r#"{{"index":{index},"time":{index},"process":0,"type":"{kind}","f":"transfer","value":{value}}}"#);
            Ok((index + 1, line))
        })
    }

    #[test]
    fn operations_that_ended_are_forgotten_and_every_one_is_told() {
        let (mut begun, mut ended) = (0, 0);
        let tail = stream(lines(200_000), |told| {
            match told {
                Told::Invoked(number, operation) => {
                    assert_eq!((number, operation.invoke), (begun, 2 * u64::from(begun)));
                    begun += 1;
                }
                Told::Ended(number, operation) => {
                    assert_eq!(
                        (number, operation.completion.as_ref().unwrap().index),
                        (ended, 2 * u64::from(ended) + 1)
                    );
                    ended += 1;
                }
                other => panic!("{other:?}"),
            }
            true
        });
        let tail = tail.unwrap();
        assert_eq!((begun, ended, tail.history.lines), (200_000, 200_000, 400_000));
        assert!(tail.history.operations.len() < 50_000, "{}", tail.history.operations.len());
        assert_eq!(tail.first as usize + tail.history.operations.len(), 200_000);
    }

    #[test]
    fn evidence_about_a_forgotten_operation_is_no_error_but_cannot_be_judged() {
        let evidence = r#"{"index":1000000,"time":1000000,"process":"evidence","type":"info","f":"never-delivered","value":{"invoke":2}}"#;
        let mut late = 0;
        let all = lines(100_000).chain([Ok((200_001, evidence.to_owned()))]);
        stream(all, |told| {
            late += u32::from(matches!(told, Told::TooLate));
            true
        })
        .unwrap();
        assert_eq!(late, 1);
    }

    #[test]
    fn what_breaks_the_format_is_refused_with_its_line() {
        let twice = lines(2).chain(lines(1));
        let refused = stream(twice, |_| true).unwrap_err();
        assert!(refused.to_string().starts_with("line 1: index 0 follows index 3"), "{refused}");
    }
}
