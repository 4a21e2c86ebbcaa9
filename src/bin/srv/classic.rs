//! The exercise's replica, fault for fault.
//!
//! Every fault here is deliberate (DESIGN section 1): it deletes its data file at start, rewrites
//! it in place for every request, syncs nothing, takes one read for one message, and serves one
//! connection at a time. It must not be repaired, and shares no code with the durable edition.

use std::collections::BTreeMap;
use std::error::Error;
use std::fs;
use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::path::Path;

use crate::launch::listen;

const INITIAL: i64 = 100;

/// Serves until killed.
pub fn run(data: &Path) -> Result<(), Box<dyn Error>> {
    forget(data).map_err(|error| format!("cannot remove {}: {error}", data.display()))?;
    let listener = listen()?;
    let mut accounts = BTreeMap::new();
    loop {
        let Ok((stream, _)) = listener.accept() else { continue };
        // A peer that is gone, or a disk that is full: the exercise goes on with the next request.
        let _ = serve(stream, data, &mut accounts);
    }
}

fn forget(data: &Path) -> io::Result<()> {
    match fs::remove_file(data) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn serve(mut stream: TcpStream, data: &Path, accounts: &mut BTreeMap<String, i64>) -> io::Result<()> {
    let mut bytes = [0; 1024];
    let count = stream.read(&mut bytes)?;
    let Some(request) = std::str::from_utf8(&bytes[..count]).ok().and_then(Request::parse) else {
        return Ok(());
    };
    let (from, to) = transfer(accounts, &request);
    rewrite(data, request.time, accounts)?;
    write!(stream, "{from} {to}")
}

/// `FROM TO AMOUNT;# TIME`
struct Request<'a> {
    from: &'a str,
    to: &'a str,
    amount: i64,
    time: &'a str,
}

impl<'a> Request<'a> {
    fn parse(text: &'a str) -> Option<Self> {
        let (transfer, time) = text.trim_end_matches('\n').split_once(';')?;
        let mut fields = transfer.split_whitespace();
        let request =
            Self { from: fields.next()?, to: fields.next()?, amount: fields.next()?.parse().ok()?, time };
        fields.next().is_none().then_some(request)
    }
}

/// A negative amount is applied as written: the guard looks at the giver only. Sums saturate,
/// which the exercise's unbounded integers would not.
fn transfer(accounts: &mut BTreeMap<String, i64>, request: &Request<'_>) -> (i64, i64) {
    let from = *accounts.entry(request.from.to_owned()).or_insert(INITIAL);
    let to = *accounts.entry(request.to.to_owned()).or_insert(INITIAL);
    if request.from == request.to || from <= request.amount {
        return (from, to);
    }
    let after = (from.saturating_sub(request.amount), to.saturating_add(request.amount));
    accounts.insert(request.from.to_owned(), after.0);
    accounts.insert(request.to.to_owned(), after.1);
    after
}

fn rewrite(data: &Path, time: &str, accounts: &BTreeMap<String, i64>) -> io::Result<()> {
    let mut file = fs::File::create(data)?;
    writeln!(file, "{time}")?;
    accounts.iter().try_for_each(|(name, balance)| writeln!(file, "{name} {balance}"))
}

#[cfg(test)]
mod tests {
    use super::{Request, transfer};
    use std::collections::BTreeMap;

    fn apply(accounts: &mut BTreeMap<String, i64>, text: &str) -> (i64, i64) {
        transfer(accounts, &Request::parse(text).unwrap())
    }

    #[test]
    fn a_negative_amount_is_applied_as_written() {
        let mut accounts = BTreeMap::new();
        assert_eq!(apply(&mut accounts, "a b -5;# now\n"), (105, 95));
        assert_eq!(apply(&mut accounts, "a b 105;# now\n"), (105, 95));
    }

    #[test]
    fn what_one_read_did_not_bring_is_no_request() {
        assert!(Request::parse("a b 5").is_none());
        assert!(Request::parse("a b;# now\n").is_none());
        assert!(Request::parse("a b 5 6;# now\n").is_none());
    }
}
