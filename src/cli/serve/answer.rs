//! An answer of HTTP: its status, its headers, its body.
//!
//! Every answer forbids what a report never needs: other types than the one told, being
//! kept, being read from other places. Files of programs under test are never pages.

use std::fs::File;
use std::path::Path;

/// What an answer says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Status {
    Fine,
    Elsewhere,
    BadRequest,
    WrongHost,
    NotFound,
    WrongMethod,
    TooLarge,
    Trouble,
}

impl Status {
    fn line(self) -> (u16, &'static str) {
        match self {
            Self::Fine => (200, "OK"),
            Self::Elsewhere => (302, "Found"),
            Self::BadRequest => (400, "Bad Request"),
            Self::WrongHost => (403, "Forbidden"),
            Self::NotFound => (404, "Not Found"),
            Self::WrongMethod => (405, "Method Not Allowed"),
            Self::TooLarge => (431, "Request Header Fields Too Large"),
            Self::Trouble => (500, "Internal Server Error"),
        }
    }
}

/// What a body is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Html,
    Json,
    Xml,
    Text,
    Bytes,
}

impl Kind {
    /// Of a file by its path below the folder. Pages are those that rsm-check draws, by
    /// name and place: what lies in the directories of nodes was written by programs under
    /// test.
    pub(super) fn of(path: &[String]) -> Self {
        let name = path.last().map_or("", String::as_str);
        let foreign = path.len() > 2 && path.iter().any(|part| part == "nodes");
        if foreign {
            return if name.ends_with(".log") || name.ends_with(".txt") { Self::Text } else { Self::Bytes };
        }
        match Path::new(name).extension().and_then(|extension| extension.to_str()) {
            Some("html") => Self::Html,
            Some("json") => Self::Json,
            Some("xml") => Self::Xml,
            Some("jsonl" | "log" | "txt" | "md") => Self::Text,
            _ => Self::Bytes,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Html => "text/html; charset=utf-8",
            Self::Json => "application/json",
            Self::Xml => "application/xml",
            Self::Text => "text/plain; charset=utf-8",
            Self::Bytes => "application/octet-stream",
        }
    }
}

/// What follows the head.
#[derive(Debug)]
pub(super) enum Body {
    /// A few words, or a page that was just drawn.
    Text(String),
    /// So many bytes of a file.
    File(File, u64),
}

/// An answer.
#[derive(Debug)]
pub(super) struct Answer {
    status: Status,
    kind: Kind,
    location: Option<String>,
    head_only: bool,
    body: Body,
}

impl From<Status> for Answer {
    fn from(status: Status) -> Self {
        let (code, words) = status.line();
        Self::new(status, Kind::Text, Body::Text(format!("{code} {words}\n")))
    }
}

impl Answer {
    /// With a body.
    pub(super) fn new(status: Status, kind: Kind, body: Body) -> Self {
        Self { status, kind, location: None, head_only: false, body }
    }

    /// It lies there; `path` is already encoded.
    pub(super) fn elsewhere(path: String) -> Self {
        Self { location: Some(path), ..Self::from(Status::Elsewhere) }
    }

    /// The same, without its body if only the head was asked for.
    pub(super) fn head_only(self, head_only: bool) -> Self {
        Self { head_only, ..self }
    }

    /// The number of its status.
    #[cfg(test)]
    pub(super) fn code(&self) -> u16 {
        self.status.line().0
    }

    /// Everything before the body.
    pub(super) fn head(&self) -> String {
        let (code, words) = self.status.line();
        let length = match &self.body {
            Body::Text(text) => text.len() as u64,
            Body::File(_, length) => *length,
        };
        // Pages bring a policy of their own; nothing else needs to load or run anything.
        let policy = match self.kind {
            Kind::Html => "",
            _ => "Content-Security-Policy: default-src 'none'; sandbox\r\n",
        };
        let location = self.location.as_ref().map_or(String::new(), |path| format!("Location: {path}\r\n"));
        let allow = if self.status == Status::WrongMethod { "Allow: GET, HEAD\r\n" } else { "" };
        format!(
            "HTTP/1.1 {code} {words}\r\nContent-Type: {}\r\nContent-Length: {length}\r\n{location}{allow}{policy}\
             X-Content-Type-Options: nosniff\r\nX-Frame-Options: DENY\r\nReferrer-Policy: no-referrer\r\n\
             Cross-Origin-Resource-Policy: same-origin\r\nCache-Control: no-store\r\nConnection: close\r\n\r\n",
            self.kind.name()
        )
    }

    /// Whether the body is left out, and the body.
    pub(super) fn into_body(self) -> (bool, Body) {
        (self.head_only, self.body)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(path: &str) -> Kind {
        Kind::of(&path.split('/').map(String::from).collect::<Vec<_>>())
    }

    #[test]
    fn the_files_of_a_run_have_their_types() {
        assert_eq!((kind("index.html"), kind("x-7/report.html")), (Kind::Html, Kind::Html));
        assert_eq!((kind("x-7/run.json"), kind("x-7/junit.xml")), (Kind::Json, Kind::Xml));
        assert_eq!((kind("x-7/history.jsonl"), kind("x-7/history.jsonl.zst")), (Kind::Text, Kind::Bytes));
        assert_eq!(kind("x-7/nodes/srv-1/output.log"), Kind::Text);
    }

    #[test]
    fn what_a_program_under_test_wrote_is_never_a_page() {
        assert_eq!(kind("x-7/nodes/srv-1/data/report.html"), Kind::Bytes);
        assert_eq!(kind("sweep/x-7/nodes/srv-1/data/a.xml"), Kind::Bytes);
        let head = Answer::new(Status::Fine, Kind::Bytes, Body::Text(String::new())).head();
        assert!(head.contains("nosniff") && head.contains("sandbox"), "{head}");
    }
}
