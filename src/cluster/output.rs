//! What a node prints: a pseudo-terminal, so that programs that do not flush
//! are heard line by line; a bounded log file; the line that tells the port.
//!
//! Knows nothing of the node's life: it reads until the other side is gone.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use nix::fcntl::{OFlag, open};
use nix::pty::{grantpt, posix_openpt, ptsname_r, unlockpt};
use nix::sys::stat::Mode;
use nix::sys::termios::{OutputFlags, SetArg, cfmakeraw, tcgetattr, tcsetattr};
use regex::Regex;
use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe;
use tokio::sync::watch;

use super::heard::Heard;

/// A log file never grows beyond this; what comes later is counted, not kept.
pub const LOG_LIMIT: u64 = 16 << 20;
/// The last lines that are kept for a finding.
const LAST_LINES: usize = 12;
/// A line longer than this is cut for the port's pattern and for findings.
const LONGEST_LINE: usize = 4096;
/// A node may have put a link or a pipe in the log's place before it is started again.
const NO_OTHER: i32 = libc::O_NOFOLLOW | libc::O_NONBLOCK;
/// Characters of a line that a finding quotes.
const LONGEST_QUOTE: usize = 300;

/// Both ends of a pseudo-terminal: one is read here, one becomes a node's output.
pub struct Terminal {
    ours: File,
    /// Standard output and error of the node.
    pub theirs: OwnedFd,
}

impl Terminal {
    /// Opens a pair that passes bytes on as they are.
    pub fn open() -> io::Result<Self> {
        // Closed on exec from the first instant, which openpty(3) cannot do: nodes
        // are started side by side, and one that inherited another's terminal would
        // keep it open beyond that one's end.
        let common = OFlag::O_RDWR | OFlag::O_NOCTTY | OFlag::O_CLOEXEC;
        let ours = posix_openpt(common | OFlag::O_NONBLOCK)?;
        grantpt(&ours)?;
        unlockpt(&ours)?;
        let theirs = open(ptsname_r(&ours)?.as_str(), common, Mode::empty())?;
        let mut mode = tcgetattr(&theirs)?;
        cfmakeraw(&mut mode);
        mode.output_flags.remove(OutputFlags::OPOST);
        tcsetattr(&theirs, SetArg::TCSANOW, &mode)?;
        Ok(Self { ours: File::from(OwnedFd::from(ours)), theirs })
    }

    /// Splits into the end that a [`Listener`] reads and the end for the node.
    pub fn split(self) -> (File, OwnedFd) {
        (self.ours, self.theirs)
    }
}

/// The last lines that a node printed, shared with whoever reports its end.
#[derive(Debug, Clone, Default)]
pub struct LastLines(Arc<Mutex<VecDeque<String>>>);

impl LastLines {
    fn push(&self, line: String) {
        let mut lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if lines.len() == LAST_LINES {
            lines.pop_front();
        }
        lines.push_back(line);
    }

    /// Oldest first.
    pub fn get(&self) -> Vec<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }
}

/// Reads a node's output until nobody holds the other end.
pub struct Listener {
    ready: Regex,
    port: watch::Sender<Option<u16>>,
    last: LastLines,
    log: File,
    logged: u64,
    dropped: u64,
    line: Vec<u8>,
    heard: Heard,
    last_was_text: bool,
}

impl Listener {
    /// Appends to the log at `log`; the port is told on the returned channel as
    /// soon as a line matches `ready`, whose first group is the port.
    pub fn new(
        ready: Regex,
        log: &Path,
        last: LastLines,
    ) -> io::Result<(Self, watch::Receiver<Option<u16>>)> {
        let log = File::options().create(true).append(true).mode(0o600).custom_flags(NO_OTHER).open(log)?;
        let logged = log.metadata()?.len();
        let (port, receiver) = watch::channel(None);
        let heard = Heard::default();
        Ok((
            Self { ready, port, last, log, logged, dropped: 0, line: Vec::new(), heard, last_was_text: true },
            receiver,
        ))
    }

    /// Tells those who wait there for a line, too.
    pub fn telling(self, heard: Heard) -> Self {
        Self { heard, ..self }
    }

    /// Runs until the node's side of the terminal is closed.
    pub async fn run(mut self, terminal: File) {
        // To the runtime a terminal is like the reading end of a pipe, but for its
        // end: it answers EIO once all who could write are gone.
        if let Ok(mut terminal) = pipe::Receiver::from_file_unchecked(terminal) {
            let mut chunk = vec![0u8; 16 << 10];
            while let Ok(count @ 1..) = terminal.read(&mut chunk).await {
                self.take(&chunk[..count]);
            }
        }
        self.end_line();
        if self.dropped > 0 {
            let _ = writeln!(
                self.log,
                "\n[{} bytes more were not kept: the log ends at {LOG_LIMIT}]",
                self.dropped
            );
        }
    }

    fn take(&mut self, bytes: &[u8]) {
        let room = LOG_LIMIT.saturating_sub(self.logged).min(bytes.len() as u64) as usize;
        // A log that cannot be written must not stop the node from being heard.
        let kept = if self.log.write_all(&bytes[..room]).is_ok() { room } else { 0 };
        self.logged += kept as u64;
        self.dropped += (bytes.len() - kept) as u64;
        for &byte in bytes {
            match byte {
                b'\n' => self.end_line(),
                _ if self.line.len() < LONGEST_LINE => self.line.push(byte),
                _ => {}
            }
        }
    }

    fn end_line(&mut self) {
        let line = String::from_utf8_lossy(&self.line).trim_end().to_string();
        self.line.clear();
        if line.is_empty() {
            return;
        }
        if self.port.borrow().is_none() {
            let port = self.ready.captures(&line).and_then(|found| found.get(1)?.as_str().parse().ok());
            if port.is_some_and(|port: u16| port > 0) {
                self.port.send_replace(port);
            }
        }
        self.heard.line(&line);
        // Of many lines in a row that are no text, one tells as much.
        let (line, is_text) = legible(line);
        if is_text || self.last_was_text {
            self.last.push(line);
        }
        self.last_was_text = is_text;
    }
}

/// A line as a finding may quote it: what is no text is only counted. Tabs and the
/// colours of a terminal are no reason to keep a message from its reader.
fn legible(line: String) -> (String, bool) {
    let strange = |letter: &char| {
        let usual = matches!(letter, '\t' | '\r' | '\u{1b}');
        *letter == char::REPLACEMENT_CHARACTER || letter.is_control() && !usual
    };
    let letters = line.chars().count();
    if line.chars().filter(strange).count() * 10 > letters {
        let noun = if letters == 1 { "character" } else { "characters" };
        return (format!("({letters} {noun} that are no text)"), false);
    }
    let quote = match line.char_indices().nth(LONGEST_QUOTE) {
        Some((end, _)) => format!("{}...", &line[..end]),
        None => line,
    };
    (quote, true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_text_is_not_quoted_and_what_is_long_is_cut() {
        let bytes: Vec<u8> = (128..255).collect();
        let quote = |line: String| legible(line).0;
        assert_eq!(quote(String::from_utf8_lossy(&bytes).into()), "(127 characters that are no text)");
        assert_eq!(quote("\u{1b}[31merr\u{1b}[0m\tx".into()), "\u{1b}[31merr\u{1b}[0m\tx");
        assert_eq!(quote("panicked at \u{e9}t\u{e9}".into()), "panicked at été");
        assert_eq!(quote("x".repeat(5000)).len(), LONGEST_QUOTE + 3);
    }

    fn listener(dir: &Path) -> (Listener, watch::Receiver<Option<u16>>, LastLines) {
        let last = LastLines::default();
        let ready = Regex::new(r"Listening on port (\d+)").unwrap();
        let (listener, port) = Listener::new(ready, &dir.join("output.log"), last.clone()).unwrap();
        (listener, port, last)
    }

    #[tokio::test]
    async fn the_port_is_heard_after_a_blank_line_and_without_a_flush_at_the_end() {
        let dir = tempfile::tempdir().unwrap();
        let (listener, port, last) = listener(dir.path());
        let (ours, theirs) = Terminal::open().unwrap().split();
        let mut node = File::from(theirs);
        node.write_all(b"\nListening on port 4711 ...\nlast words").unwrap();
        drop(node);
        listener.run(ours).await;
        assert_eq!(*port.borrow(), Some(4711));
        assert_eq!(last.get(), ["Listening on port 4711 ...", "last words"]);
        let log = std::fs::read(dir.path().join("output.log")).unwrap();
        assert_eq!(log, b"\nListening on port 4711 ...\nlast words");
    }

    #[tokio::test]
    async fn a_flood_fills_the_log_to_its_limit_and_no_further() {
        let dir = tempfile::tempdir().unwrap();
        let (mut listener, _, _) = listener(dir.path());
        listener.logged = LOG_LIMIT - 10;
        let (ours, theirs) = Terminal::open().unwrap().split();
        let mut node = File::from(theirs);
        node.write_all(&[b'x'; 100]).unwrap();
        drop(node);
        listener.run(ours).await;
        let log = std::fs::read_to_string(dir.path().join("output.log")).unwrap();
        assert!(log.starts_with("xxxxxxxxxx\n[90 bytes more"), "{log}");
    }

    #[test]
    fn a_port_beyond_sixteen_bits_is_no_port() {
        let dir = tempfile::tempdir().unwrap();
        let (mut listener, port, _) = listener(dir.path());
        listener.take(b"Listening on port 99999\nListening on port 0\n");
        assert_eq!(*port.borrow(), None);
    }
}
