//! What a browser asks: a method, a path, and the host that it thinks it asks.
//!
//! Only requests to this machine by its own names are taken: a page from elsewhere
//! whose name somebody made lead to 127.0.0.1 must not read reports. Knows no file.

use super::answer::{Answer, Status};

/// Bytes of a request's head; longer ones are refused.
pub(super) const MOST_HEAD: usize = 16 << 10;
/// Header lines; a browser sends some twenty.
const MOST_HEADERS: usize = 64;

/// A request that is understood.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Request {
    /// Whether only the head of the answer is wanted.
    pub head_only: bool,
    /// The parts of the path, decoded; none is empty, `.` or `..`.
    pub path: Vec<String>,
}

/// Whether the empty line that ends the head has come.
pub(super) fn is_whole(head: &[u8]) -> bool {
    head.windows(4).any(|end| end == b"\r\n\r\n") || head.windows(2).any(|end| end == b"\n\n")
}

impl Request {
    /// Reads a head; what cannot be served has its answer.
    pub(super) fn parse(head: &[u8]) -> Result<Self, Answer> {
        let mut headers = [httparse::EMPTY_HEADER; MOST_HEADERS];
        let mut request = httparse::Request::new(&mut headers);
        match request.parse(head) {
            Ok(httparse::Status::Complete(_)) => {}
            Ok(httparse::Status::Partial) if head.len() >= MOST_HEAD => return Err(Status::TooLarge.into()),
            Err(httparse::Error::TooManyHeaders) => return Err(Status::TooLarge.into()),
            _ => return Err(Status::BadRequest.into()),
        }
        let head_only = match request.method {
            Some("GET") => false,
            Some("HEAD") => true,
            _ => return Err(Status::WrongMethod.into()),
        };
        let mut hosts = request.headers.iter().filter(|header| header.name.eq_ignore_ascii_case("host"));
        let host = hosts.next().map(|header| header.value).unwrap_or_default();
        if !is_here(host) || hosts.next().is_some() {
            return Err(Status::WrongHost.into());
        }
        let path = request.path.and_then(parts).ok_or(Status::BadRequest)?;
        Ok(Self { head_only, path })
    }
}

/// Whether a `Host` names this machine, with any port.
fn is_here(host: &[u8]) -> bool {
    let Ok(host) = std::str::from_utf8(host) else { return false };
    let (name, port) = host.rsplit_once(':').unwrap_or((host, "0"));
    let numeric = !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
    numeric && (name == "127.0.0.1" || name.eq_ignore_ascii_case("localhost"))
}

/// The parts of a path without its query; `None` if it leads anywhere but down.
fn parts(target: &str) -> Option<Vec<String>> {
    let path = target.split(['?', '#']).next()?.strip_prefix('/')?;
    let mut parts = Vec::new();
    for part in path.split('/').filter(|part| !part.is_empty()) {
        let part = decode(part)?;
        if part == "." || part == ".." || part.contains(['/', '\\', '\0']) {
            return None;
        }
        parts.push(part);
    }
    Some(parts)
}

/// Without its `%XX`.
fn decode(part: &str) -> Option<String> {
    let mut bytes = Vec::new();
    let mut rest = part.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let digits = [rest.next()?, rest.next()?];
        let digits = std::str::from_utf8(&digits)
            .ok()
            .filter(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()))?;
        bytes.push(u8::from_str_radix(digits, 16).ok()?);
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str, host: &str) -> Result<Request, u16> {
        let head = format!("{line}\r\nHost: {host}\r\nAccept: */*\r\n\r\n");
        Request::parse(head.as_bytes()).map_err(|answer| answer.code())
    }

    #[test]
    fn a_path_is_taken_apart_and_decoded() {
        let request = parsed("GET /a%20b//x.html?y=/../z HTTP/1.1", "127.0.0.1:80").unwrap();
        assert_eq!((request.head_only, request.path), (false, vec!["a b".to_owned(), "x.html".into()]));
        assert!(parsed("HEAD / HTTP/1.0", "LocalHost").unwrap().head_only);
    }

    #[test]
    fn no_path_leads_anywhere_but_down() {
        for path in [
            "/..",
            "/a/../b",
            "/%2e%2e/x",
            "/%2E./",
            "/a%2f..%2fb",
            "/a%00",
            "/%",
            "/%4",
            "/%+1",
            "x",
            "/%ff",
            "/..%5cx",
            "*",
        ] {
            assert_eq!(parsed(&format!("GET {path} HTTP/1.1"), "localhost:1"), Err(400), "{path}");
        }
    }

    #[test]
    fn who_asks_for_another_host_gets_nothing() {
        for host in [
            "evil.example",
            "evil.example:7878",
            "127.0.0.1.evil.example",
            "",
            "localhost:x",
            "localhost:1, a",
        ] {
            assert_eq!(parsed("GET / HTTP/1.1", host), Err(403), "{host}");
        }
        let twice = b"GET / HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n\r\n";
        assert_eq!(Request::parse(twice).map_err(|answer| answer.code()), Err(403));
    }

    #[test]
    fn what_is_no_request_or_asks_for_a_change_is_refused() {
        assert_eq!(parsed("POST / HTTP/1.1", "localhost"), Err(405));
        for noise in [&b""[..], b"\r\n\r\n", b"GET\r\n\r\n", &[0xff; 100], b"GET / HTTP/1.1\r\nHost: local"] {
            assert!(Request::parse(noise).is_err(), "{noise:?}");
        }
        let long = [b"GET /".to_vec(), vec![b'a'; MOST_HEAD]].concat();
        assert_eq!(Request::parse(&long).map_err(|answer| answer.code()), Err(431));
    }
}
