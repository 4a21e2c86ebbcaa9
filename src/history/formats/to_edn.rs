//! One line of ours as a map in EDN, as Jepsen would have written it.
//!
//! Text to text, so that no number loses a digit on the way. Reading the map again
//! gives the same line. Must not know whether the line makes sense.

use super::edn::push_string;

/// The words of these fields are keywords in Jepsen's maps.
const WORDS: [&str; 4] = ["process", "type", "f", "edge"];

/// What a value is about: account names are numbers there where they look so.
#[derive(Clone, Copy, PartialEq)]
enum About {
    Transfer,
    Read,
    Other,
}

/// Turns a line that is known to be a JSON object into EDN.
pub(super) fn edn(line: &str, f: &str) -> String {
    let about = match f {
        "transfer" => About::Transfer,
        "read" => About::Read,
        _ => About::Other,
    };
    let writer = Writer {
        rest: line,
        out: Vec::with_capacity(line.len() + 16),
        open: Vec::new(),
        about,
        field: String::new(),
        key: String::new(),
    };
    String::from_utf8_lossy(&writer.write()).into_owned()
}

/// The state of going through a line once, without recursion.
struct Writer<'a> {
    rest: &'a str,
    out: Vec<u8>,
    /// What is open, from the outside in.
    open: Vec<Open>,
    about: About,
    /// The field of the line that is being written.
    field: String,
    /// The latest key.
    key: String,
}

#[derive(Clone, Copy, PartialEq)]
enum Open {
    Array,
    /// An object; whether a key comes next.
    Object(bool),
}

impl Writer<'_> {
    fn write(mut self) -> Vec<u8> {
        while let Some(first) = self.rest.trim_start().chars().next() {
            self.rest = self.rest.trim_start();
            match first {
                '{' => self.begin('{', Open::Object(true)),
                '[' => self.begin('[', Open::Array),
                '}' | ']' => self.end(first),
                ',' => self.comma(),
                ':' => self.colon(),
                '"' => self.string(),
                _ => self.literal(),
            }
        }
        self.out
    }

    fn begin(&mut self, bracket: char, open: Open) {
        self.open.push(open);
        self.pass(bracket);
    }

    fn end(&mut self, bracket: char) {
        self.open.pop();
        self.pass(bracket);
    }

    fn pass(&mut self, bracket: char) {
        self.out.push(bracket as u8);
        self.rest = &self.rest[1..];
    }

    fn comma(&mut self) {
        self.out.extend(b", ");
        self.rest = &self.rest[1..];
        if let Some(Open::Object(key)) = self.open.last_mut() {
            *key = true;
        }
    }

    fn colon(&mut self) {
        self.out.push(b' ');
        self.rest = &self.rest[1..];
        if let Some(Open::Object(key)) = self.open.last_mut() {
            *key = false;
        }
    }

    fn string(&mut self) {
        let mut strings = serde_json::Deserializer::from_str(self.rest).into_iter::<String>();
        let text = strings.next().and_then(Result::ok).unwrap_or_default();
        let length = strings.byte_offset().max(1);
        self.rest = self.rest.get(length..).unwrap_or_default();
        if self.open.last() == Some(&Open::Object(true)) {
            self.name(text);
        } else {
            self.text(&text);
        }
    }

    fn name(&mut self, name: String) {
        if self.in_value() && self.about == About::Read {
            self.account(&name);
        } else if is_keyword(&name) {
            self.out.push(b':');
            self.out.extend(name.as_bytes());
        } else {
            push_string(&mut self.out, name.as_bytes());
        }
        if self.open.len() == 1 {
            self.field.clone_from(&name);
        }
        self.key = name;
    }

    fn text(&mut self, text: &str) {
        let account = self.in_value() && self.about == About::Transfer && self.open.len() == 2;
        if account && matches!(self.key.as_str(), "from" | "to") {
            self.account(text);
        } else if self.open.len() == 1 && WORDS.contains(&self.field.as_str()) && is_keyword(text) {
            self.out.push(b':');
            self.out.extend(text.as_bytes());
        } else {
            push_string(&mut self.out, text.as_bytes());
        }
    }

    fn in_value(&self) -> bool {
        self.open.len() > 1 && self.field == "value"
    }

    /// A number where the name is one, so that it reads back as the same name.
    fn account(&mut self, name: &str) {
        if name.parse::<i64>().is_ok_and(|number| number.to_string() == name) {
            self.out.extend(name.as_bytes());
        } else {
            push_string(&mut self.out, name.as_bytes());
        }
    }

    fn literal(&mut self) {
        let end = self.rest.find(|c: char| matches!(c, ',' | ']' | '}') || c.is_ascii_whitespace());
        let (token, rest) = self.rest.split_at(end.unwrap_or(self.rest.len()).max(1));
        self.rest = rest;
        let integer = !token.contains(['.', 'e', 'E', 't', 'f', 'n']);
        self.out.extend(if token == "null" { b"nil" } else { token.as_bytes() });
        if integer && token.parse::<i64>().is_err() {
            self.out.push(b'N');
        }
    }
}

/// Whether a word can stand after a colon and come back as it was.
fn is_keyword(text: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.*+!?".contains(&byte);
    text.starts_with(|first: char| first.is_ascii_alphabetic()) && text.bytes().all(inner)
}
