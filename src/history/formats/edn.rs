//! EDN as it streams by, turned into JSON text without a tree in between.
//!
//! Keywords, symbols, characters, ratios and infinities become strings, sets and
//! lists become arrays, tags fall away: whoever needs a number refuses the string
//! that came instead, and whoever does not look at it need not care. Depth and
//! length are bounded. Must not know what an operation is.

use std::io::Read;

use super::bytes::Bytes;
use crate::history::read::Failure;

/// The deepest nesting that is accepted; the JSON reader's own bound is a little
/// above it.
const MAX_DEPTH: usize = 100;

/// A reader of forms; what it has read stands in `out` as JSON.
pub(super) struct Edn<R> {
    pub bytes: Bytes<R>,
    pub out: Vec<u8>,
    token: Vec<u8>,
}

impl<R: Read> Edn<R> {
    pub fn new(bytes: Bytes<R>) -> Self {
        Self { bytes, out: Vec::new(), token: Vec::new() }
    }

    /// Passes blanks, commas, comments and discarded forms; shows the byte after.
    pub fn blank(&mut self, depth: usize) -> Result<Option<u8>, Failure> {
        loop {
            match self.bytes.peek()? {
                Some(byte) if is_blank(byte) => self.bytes.bump(),
                Some(b';') => self.bytes.skip_line()?,
                Some(b'#') if self.bytes.second()? == Some(b'_') => self.discard(depth)?,
                other => return Ok(other),
            }
        }
    }

    fn discard(&mut self, depth: usize) -> Result<(), Failure> {
        self.bytes.bump();
        self.bytes.bump();
        let keep = self.out.len();
        self.value(depth + 1)?;
        self.out.truncate(keep);
        Ok(())
    }

    /// Appends the next form to `out`.
    pub fn value(&mut self, depth: usize) -> Result<(), Failure> {
        if depth > MAX_DEPTH {
            return Err(self.refuse(format!("nested deeper than {MAX_DEPTH}, which is not accepted")));
        }
        match self.blank(depth)? {
            None => Err(self.refuse("the input ends within a form")),
            Some(b'{') => self.map(depth),
            Some(b'[') => self.sequence(b']', depth),
            Some(b'(') => self.sequence(b')', depth),
            Some(b'"') => self.string(),
            Some(b':') => self.keyword(),
            Some(b'\\') => self.character(),
            Some(b'#') => self.dispatch(depth),
            Some(close @ (b'}' | b']' | b')')) => {
                Err(self.refuse(format!("found `{}`, expected a form before it", close as char)))
            }
            Some(_) => self.atom(),
        }
    }

    fn map(&mut self, depth: usize) -> Result<(), Failure> {
        self.bytes.bump();
        self.out.push(b'{');
        let empty = self.out.len();
        while self.blank(depth)? != Some(b'}') {
            if self.out.len() > empty {
                self.out.push(b',');
            }
            self.key(depth)?;
            self.out.push(b':');
            if self.blank(depth)? == Some(b'}') {
                return Err(self.refuse("a map with a key that has no value"));
            }
            self.value(depth + 1)?;
        }
        self.bytes.bump();
        self.out.push(b'}');
        Ok(())
    }

    /// JSON's keys are strings: what is none becomes the string of its JSON text.
    fn key(&mut self, depth: usize) -> Result<(), Failure> {
        let start = self.out.len();
        self.value(depth + 1)?;
        if self.out[start] != b'"' {
            let text = self.out.split_off(start);
            push_string(&mut self.out, &text);
        }
        Ok(())
    }

    fn sequence(&mut self, close: u8, depth: usize) -> Result<(), Failure> {
        self.bytes.bump();
        self.out.push(b'[');
        let empty = self.out.len();
        while self.blank(depth)? != Some(close) {
            if self.out.len() > empty {
                self.out.push(b',');
            }
            self.value(depth + 1)?;
        }
        self.bytes.bump();
        self.out.push(b']');
        Ok(())
    }

    /// `#{set}`, `#"regular expression"`, `##Inf`, `#tag form`.
    fn dispatch(&mut self, depth: usize) -> Result<(), Failure> {
        match self.bytes.second()? {
            Some(b'{') => {
                self.bytes.bump();
                self.sequence(b'}', depth)
            }
            Some(b'"') => {
                self.bytes.bump();
                self.pattern()
            }
            Some(b'#') => {
                self.token()?;
                push_string(&mut self.out, &self.token);
                Ok(())
            }
            _ => {
                self.tag()?;
                self.value(depth + 1)
            }
        }
    }

    /// Passes `#tag`.
    pub fn tag(&mut self) -> Result<(), Failure> {
        self.bytes.bump();
        self.token()?;
        match self.token.first() {
            Some(first) if first.is_ascii_alphabetic() || *first == b':' => Ok(()),
            _ => Err(self.refuse(format!("found `#{}`, accepted is a tag such as `#inst`", self.shown()))),
        }
    }

    /// Appends the name of a keyword as a string.
    pub fn keyword(&mut self) -> Result<(), Failure> {
        self.bytes.bump();
        self.token()?;
        if self.token.is_empty() {
            return Err(self.refuse("found `:` with no name after it"));
        }
        push_string(&mut self.out, &self.token);
        Ok(())
    }

    fn string(&mut self) -> Result<(), Failure> {
        self.bytes.bump();
        self.out.push(b'"');
        loop {
            self.bytes.until(&mut self.out, |byte| byte == b'"' || byte == b'\\' || byte < b' ')?;
            match self.bytes.peek()? {
                None => return Err(self.refuse("the input ends within a string")),
                Some(b'"') => break,
                Some(b'\\') => self.escape()?,
                Some(control) => {
                    self.bytes.bump();
                    push_escaped(&mut self.out, control);
                }
            }
        }
        self.bytes.bump();
        self.out.push(b'"');
        Ok(())
    }

    fn escape(&mut self) -> Result<(), Failure> {
        self.bytes.bump();
        let letter = self.bytes.peek()?.unwrap_or(b' ');
        match letter {
            b't' | b'r' | b'n' | b'b' | b'f' | b'\\' | b'"' => self.out.extend([b'\\', letter]),
            b'u' => return self.unicode(),
            b'0'..=b'7' => return self.octal(),
            _ => return Err(self.refuse(format!("`\\{}` is no escape in a string", letter as char))),
        }
        self.bytes.bump();
        Ok(())
    }

    fn unicode(&mut self) -> Result<(), Failure> {
        self.bytes.bump();
        self.out.extend(b"\\u");
        for _ in 0..4 {
            match self.bytes.peek()? {
                Some(digit) if digit.is_ascii_hexdigit() => self.out.push(digit),
                _ => return Err(self.refuse("`\\u` needs four hexadecimal digits")),
            }
            self.bytes.bump();
        }
        Ok(())
    }

    fn octal(&mut self) -> Result<(), Failure> {
        let mut code = 0;
        for _ in 0..3 {
            let Some(digit @ b'0'..=b'7') = self.bytes.peek()? else { break };
            code = code * 8 + u32::from(digit - b'0');
            self.bytes.bump();
        }
        self.out.extend(format!("\\u{code:04x}").as_bytes());
        Ok(())
    }

    /// A regular expression: its backslashes mean themselves.
    fn pattern(&mut self) -> Result<(), Failure> {
        self.bytes.bump();
        self.token.clear();
        loop {
            self.bytes.until(&mut self.token, |byte| matches!(byte, b'"' | b'\\' | b'\n'))?;
            match self.bytes.peek()? {
                None => return Err(self.refuse("the input ends within a regular expression")),
                Some(b'"') => break,
                Some(b'\n') => {
                    self.bytes.bump();
                    self.token.push(b'\n');
                }
                Some(_) => {
                    self.bytes.bump();
                    self.token.extend([Some(b'\\'), self.bytes.peek()?].into_iter().flatten());
                    self.bytes.bump();
                }
            }
        }
        self.bytes.bump();
        push_string(&mut self.out, &self.token);
        Ok(())
    }

    fn character(&mut self) -> Result<(), Failure> {
        self.bytes.bump();
        self.token.clear();
        self.token.extend(self.bytes.peek()?);
        self.bytes.bump();
        self.bytes.until(&mut self.token, is_delimiter)?;
        let named: &[u8] = match self.token.as_slice() {
            b"newline" => b"\n",
            b"return" => b"\r",
            b"space" => b" ",
            b"tab" => b"\t",
            other => other,
        };
        push_string(&mut self.out, named);
        Ok(())
    }

    /// Numbers, `nil`, truth values and symbols.
    fn atom(&mut self) -> Result<(), Failure> {
        self.token()?;
        let token = self.token.as_slice();
        let digits = token.strip_prefix(b"-").or(token.strip_prefix(b"+")).unwrap_or(token);
        match token {
            b"nil" => self.out.extend(b"null"),
            b"true" | b"false" => self.out.extend(token),
            _ if digits.first().is_some_and(u8::is_ascii_digit) => {
                if !push_number(&mut self.out, token) {
                    let shown = self.shown();
                    return Err(self.refuse(format!("`{shown}` is no number that EDN knows")));
                }
            }
            _ => push_string(&mut self.out, token),
        }
        Ok(())
    }

    fn token(&mut self) -> Result<(), Failure> {
        self.token.clear();
        // A leading `#` belongs to `##Inf` and to symbols such as `foo#`.
        self.bytes.until(&mut self.token, is_delimiter)
    }

    fn shown(&self) -> String {
        super::quoted(&String::from_utf8_lossy(&self.token))
    }

    pub fn refuse(&self, reason: impl Into<String>) -> Failure {
        self.bytes.malformed(reason)
    }
}

fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b',' | b'\n' | b'\r' | b'\t' | 0x0b | 0x0c)
}

fn is_delimiter(byte: u8) -> bool {
    is_blank(byte) || matches!(byte, b';' | b'"' | b'(' | b')' | b'[' | b']' | b'{' | b'}')
}

/// Appends a number as JSON; ratios and hexadecimals as strings, since JSON has none.
fn push_number(out: &mut Vec<u8>, token: &[u8]) -> bool {
    let token = token.strip_prefix(b"+").unwrap_or(token);
    let digits = token.strip_prefix(b"-").unwrap_or(token);
    let plain = digits.strip_suffix(b"N").or(digits.strip_suffix(b"M")).unwrap_or(digits);
    if plain == b"0" {
        out.push(b'0');
    } else if is_json_number(plain) {
        out.extend(if digits.len() < token.len() { b"-".as_slice() } else { b"" });
        out.extend(plain);
    } else if is_ratio(digits) || digits.starts_with(b"0x") {
        push_string(out, token);
    } else {
        return false;
    }
    true
}

fn is_json_number(text: &[u8]) -> bool {
    match text {
        [b'1'..=b'9', rest @ ..] if rest.iter().all(u8::is_ascii_digit) => true,
        [b'0'..=b'9', ..] => serde_json::from_slice::<&serde_json::value::RawValue>(text).is_ok(),
        _ => false,
    }
}

fn is_ratio(text: &[u8]) -> bool {
    let all_digits = |part: &[u8]| !part.is_empty() && part.iter().all(u8::is_ascii_digit);
    let slash = text.iter().position(|&byte| byte == b'/');
    slash.is_some_and(|at| all_digits(&text[..at]) && all_digits(&text[at + 1..]))
}

/// Appends text as a JSON string.
pub(super) fn push_string(out: &mut Vec<u8>, text: &[u8]) {
    out.push(b'"');
    if text.iter().any(|&byte| byte < b' ' || byte == b'"' || byte == b'\\') {
        text.iter().for_each(|&byte| push_escaped(out, byte));
    } else {
        out.extend_from_slice(text);
    }
    out.push(b'"');
}

fn push_escaped(out: &mut Vec<u8>, byte: u8) {
    match byte {
        b'"' | b'\\' => out.extend([b'\\', byte]),
        b'\n' => out.extend(b"\\n"),
        b'\t' => out.extend(b"\\t"),
        0..=0x1f => out.extend(format!("\\u{byte:04x}").as_bytes()),
        _ => out.push(byte),
    }
}
