//! A stream of EDN as a stream of operations: one map after another, or all of
//! them in one vector or list, with tags, comments and discarded forms between.
//!
//! One operation is held at a time. Must not know what its fields mean.

use std::io::Read;
use std::ops::Range;

use super::bytes::Bytes;
use super::edn::{Edn, push_string};
use super::op::{Op, Renderer};
use crate::history::read::{Failure, Malformed};

/// The operations of an EDN stream, each as one line of ours.
pub(super) struct EdnOps<R> {
    edn: Edn<R>,
    around: Around,
    pub renderer: Renderer,
}

/// What is around the operations.
#[derive(Clone, Copy, PartialEq)]
enum Around {
    /// Nothing so far.
    Unknown,
    /// Nothing: one map after another.
    Nothing,
    /// A vector or list that began in this line and ends with this byte.
    Open(u64, u8),
    /// It has ended.
    Closed,
}

/// Where the known fields of an operation stand in the text of all of them.
#[derive(Default)]
struct Fields {
    known: [Option<Range<usize>>; KNOWN.len()],
    rest: Vec<u8>,
}

const KNOWN: [&str; 7] = ["index", "time", "process", "type", "f", "value", "error"];

impl<R: Read> EdnOps<R> {
    pub fn new(from: R) -> Self {
        let edn = Edn::new(Bytes::new(from, 1));
        Self { edn, around: Around::Unknown, renderer: Renderer::default() }
    }

    /// The next operation with the number of its first line.
    pub fn next(&mut self) -> Result<Option<(u64, String)>, Failure> {
        loop {
            self.edn.bytes.mark();
            match (self.edn.blank(0)?, self.around) {
                (None, Around::Open(line, _)) => {
                    let reason = "the vector that begins here is never closed: the input was cut off";
                    return Err(Malformed { line, reason: reason.into() }.into());
                }
                (None, _) => return Ok(None),
                (Some(_), Around::Closed) => {
                    return Err(self.edn.refuse("more after the end of the vector of operations"));
                }
                (Some(b'#'), _) => self.edn.tag()?,
                (Some(b'{'), _) => return self.op().map(Some),
                (Some(open @ (b'[' | b'(')), Around::Unknown) => self.open(open),
                (Some(close), Around::Open(_, end)) if close == end => {
                    self.edn.bytes.bump();
                    self.around = Around::Closed;
                }
                (Some(other), _) => return Err(self.no_operation(other)),
            }
        }
    }

    fn open(&mut self, open: u8) {
        let end = if open == b'[' { b']' } else { b')' };
        self.around = Around::Open(self.edn.bytes.line(), end);
        self.edn.bytes.bump();
    }

    fn no_operation(&self, found: u8) -> Failure {
        let found = super::quoted(&String::from_utf8_lossy(&[found]));
        self.edn.refuse(format!(
            "found `{found}`, expected an operation: a map such as {{:process 0, :type :invoke, :f :read, :value nil}}"
        ))
    }

    fn op(&mut self) -> Result<(u64, String), Failure> {
        if self.around == Around::Unknown {
            self.around = Around::Nothing;
        }
        let line = self.edn.bytes.line();
        let at = |reason: String| Failure::from(Malformed { line, reason });
        let fields = self.fields()?;
        let text =
            std::str::from_utf8(&self.edn.out).map_err(|_| at("bytes that are not UTF-8 text".into()))?;
        let rest =
            std::str::from_utf8(&fields.rest).map_err(|_| at("bytes that are not UTF-8 text".into()))?;
        let [index, time, process, kind, f, value, error] =
            fields.known.map(|range| range.and_then(|range| text.get(range)));
        let op = Op { index, time, process, kind, f, value, error, rest };
        self.renderer.line(&op).map(|text| (line, text)).map_err(at)
    }

    /// Reads the map that begins here; its values are left in `out`.
    fn fields(&mut self) -> Result<Fields, Failure> {
        let mut fields = Fields::default();
        self.edn.out.clear();
        self.edn.bytes.bump();
        loop {
            match self.edn.blank(0)? {
                Some(b'}') => break,
                Some(b':') => self.field(&mut fields)?,
                None => return Err(self.edn.refuse("the input ends within an operation")),
                Some(_) => {
                    return Err(self.edn.refuse(
                        "an operation's fields are named by keywords such as :type (for JSON, one object a line is accepted)",
                    ));
                }
            }
        }
        self.edn.bytes.bump();
        Ok(fields)
    }

    fn field(&mut self, fields: &mut Fields) -> Result<(), Failure> {
        let name = self.edn.out.len();
        self.edn.keyword()?;
        let start = self.edn.out.len();
        self.edn.value(1)?;
        let known = known(&self.edn.out[name..start]);
        let Some(slot) = known else {
            fields.rest.push(b',');
            fields.rest.extend(&self.edn.out[name..start]);
            fields.rest.push(b':');
            fields.rest.extend(&self.edn.out[start..]);
            self.edn.out.truncate(name);
            return Ok(());
        };
        match fields.known[slot].replace(start..self.edn.out.len()) {
            Some(_) => Err(self.edn.refuse(format!("the field `{}` twice in one operation", KNOWN[slot]))),
            None => Ok(()),
        }
    }
}

/// Which known field a name in quotes is.
fn known(quoted: &[u8]) -> Option<usize> {
    let name = &quoted[1..quoted.len() - 1];
    KNOWN.iter().position(|known| known.as_bytes() == name)
}

/// The forms of a short text: the first as JSON, the text after it; `None` if it
/// does not begin with a form.
pub(super) fn first_form(text: &str) -> Option<(String, &str)> {
    let mut unread = text.as_bytes();
    let mut edn = Edn::new(Bytes::with_chunk(&mut unread, 1, text.len().clamp(2, 1 << 12)));
    edn.value(0).ok()?;
    let left = edn.bytes.left();
    let json = String::from_utf8(std::mem::take(&mut edn.out)).ok()?;
    let left = left + unread.len();
    Some((json, text.get(text.len() - left..)?))
}

/// Some text as a JSON string.
pub(super) fn json_string(text: &str) -> String {
    let mut out = Vec::with_capacity(text.len() + 2);
    push_string(&mut out, text.as_bytes());
    String::from_utf8_lossy(&out).into_owned()
}
