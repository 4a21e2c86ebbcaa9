//! Reading `wire.jsonl` back, for pictures: the messages around some moments, and
//! how far each replica had come.
//!
//! One pass, a line at a time, bounded whatever the file holds. A line that is none is
//! passed over: the record is for people who look for a cause, and no verdict depends
//! on it. Judges nothing.

use std::borrow::Cow;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};

use serde::Deserialize;

use super::RunDir;
use crate::fault::{Link, Node};
use crate::record::recovery::Position;

/// The longest line that is looked at, bytes.
const LINE: u64 = 4096;
/// Of one replica, one position in so many nanoseconds is kept.
const STEP: u64 = 2_000_000;
/// Positions that are kept at most.
const POSITIONS: usize = 200_000;

/// What was taken from the record of one run.
#[derive(Debug, Clone, Default)]
pub struct Wire {
    /// One list for each moment that was asked for, in the order of receipt.
    pub around: Vec<Vec<Message>>,
    /// What replicas answered that they hold, in the order of time; empty unless they
    /// speak the durable edition's protocol.
    pub positions: Vec<Position>,
    /// Messages that the record itself left out.
    pub left_out: u64,
}

/// One message, as the proxy of its link saw it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// On which link.
    pub link: Link,
    /// Number of the connection on this link.
    pub connection: u64,
    /// Whether it went to the server of the link; otherwise to its client.
    pub to_server: bool,
    /// Bytes.
    pub size: u64,
    /// Its beginning, a character for each byte.
    pub first: String,
    /// When it was read, nanoseconds since the run began.
    pub received: u64,
    /// When its last byte was written.
    pub released: u64,
}

#[derive(Deserialize)]
struct Line<'a> {
    #[serde(default)]
    left_out: u64,
    link: Option<Link>,
    #[serde(default)]
    connection: u64,
    #[serde(default, borrow)]
    direction: Cow<'a, str>,
    #[serde(default)]
    size: u64,
    #[serde(default, borrow)]
    first: Cow<'a, str>,
    #[serde(default)]
    received: u64,
    #[serde(default)]
    released: u64,
}

/// Reads the record of a run: at most `most` messages around each of `moments`
/// (nanoseconds), those nearest to it and within `reach` of it. What cannot be read
/// is not there.
pub fn read(dir: &RunDir, moments: &[u64], reach: u64, most: usize) -> Wire {
    let mut reading = Reading { moments, reach, wire: Wire::default(), last: Vec::new() };
    reading.wire.around = vec![Vec::new(); moments.len()];
    if let Ok(file) = File::open(dir.wire()) {
        let mut lines = BufReader::with_capacity(1 << 18, file);
        let mut bytes = Vec::new();
        while matches!(next(&mut lines, &mut bytes), Ok(true)) {
            if let Ok(line) = serde_json::from_slice::<Line>(&bytes) {
                reading.line(line);
            }
        }
    }
    for (list, &moment) in reading.wire.around.iter_mut().zip(moments) {
        list.sort_by_key(|message| message.received.abs_diff(moment));
        list.truncate(most);
        list.sort_by_key(|message| message.received);
    }
    reading.wire.positions.sort_by_key(|at| at.time);
    reading.wire
}

/// The next line into `bytes`, of an overlong one only its beginning; false at the end.
fn next(lines: &mut impl BufRead, bytes: &mut Vec<u8>) -> std::io::Result<bool> {
    bytes.clear();
    lines.take(LINE).read_until(b'\n', bytes)?;
    if bytes.len() as u64 == LINE && bytes.last() != Some(&b'\n') {
        lines.skip_until(b'\n')?;
    }
    Ok(!bytes.is_empty())
}

struct Reading<'a> {
    moments: &'a [u64],
    reach: u64,
    wire: Wire,
    /// The latest position of each replica that was kept.
    last: Vec<Position>,
}

/// Messages that are held of one moment before the nearest are chosen.
const HELD: usize = 50_000;

impl Reading<'_> {
    fn line(&mut self, line: Line<'_>) {
        self.wire.left_out += line.left_out;
        let Some(link) = line.link else { return };
        let to_server = line.direction == "to-server";
        if let (Link::CoordSrv(number), false) = (link, to_server) {
            self.answer(Node::Srv(number), line.received, &line.first);
        }
        for (list, &moment) in self.wire.around.iter_mut().zip(self.moments) {
            if line.received.abs_diff(moment) <= self.reach && list.len() < HELD {
                list.push(Message {
                    link,
                    connection: line.connection,
                    to_server,
                    size: line.size,
                    first: line.first.clone().into_owned(),
                    received: line.received,
                    released: line.released,
                });
            }
        }
    }

    /// `appended N INDEX`: the replica holds everything up to there.
    fn answer(&mut self, node: Node, time: u64, text: &str) {
        let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
        let Some(index) = whole.lines().rev().find_map(appended) else { return };
        let position = Position { node, time, index };
        match self.last.iter_mut().find(|last| last.node == node) {
            Some(last) if last.index == index || time.saturating_sub(last.time) < STEP => return,
            Some(last) => *last = position,
            None => self.last.push(position),
        }
        if self.wire.positions.len() < POSITIONS {
            self.wire.positions.push(position);
        }
    }
}

fn appended(line: &str) -> Option<u64> {
    let mut words = line.strip_prefix("appended ")?.split(' ');
    let (_, index) = (words.next()?.parse::<u64>().ok()?, words.next()?);
    index.parse().ok().filter(|_| words.next().is_none())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(text: &str) -> (tempfile::TempDir, RunDir) {
        let folder = tempfile::tempdir().unwrap();
        let dir = RunDir::at(folder.path());
        std::fs::write(dir.wire(), text).unwrap();
        (folder, dir)
    }

    fn line(link: &str, direction: &str, first: &str, received: u64) -> String {
        format!(
            r#"{{"link":"{link}","connection":1,"number":2,"direction":"{direction}","size":9,"first":"{first}","received":{received},"released":{}}}
"#,
            received + 1
        )
    }

    #[test]
    fn the_messages_nearest_to_a_moment_come_in_the_order_of_time() {
        let text: String =
            (0..10).map(|at| line("clients-coord", "to-server", "a b 5\\n", at * 10)).collect();
        let (_folder, dir) = written(&text);
        let wire = read(&dir, &[45, 1000], 30, 3);
        let times: Vec<u64> = wire.around[0].iter().map(|message| message.received).collect();
        assert_eq!(times, [30, 40, 50]);
        assert_eq!((wire.around[0][0].first.as_str(), wire.around[1].len()), ("a b 5\n", 0));
    }

    #[test]
    fn positions_are_what_replicas_answered_and_nothing_that_only_looks_like_it() {
        let text = line("coord-srv-1", "to-client", "appended 1 7\\n", 0)
            + &line("coord-srv-1", "to-client", "appended 1 8\\nappended 1 9\\nappended 1 1", 3_000_000)
            + &line("coord-srv-1", "to-client", "appended 1 10\\n", 3_000_001)
            + &line("coord-srv-2", "to-server", "appended 1 99\\n", 0)
            + &line("coord-srv-2", "to-client", "95 105", 0);
        let (_folder, dir) = written(&text);
        let at = |time, index| Position { node: Node::Srv(1), time, index };
        assert_eq!(read(&dir, &[], 0, 0).positions, [at(0, 7), at(3_000_000, 9)]);
    }

    #[test]
    fn what_is_no_line_is_passed_over_and_what_was_left_out_is_told() {
        let long = line("clients-coord", "to-server", &"x".repeat(100_000), 5);
        let text = format!("nonsense\n{long}{{\"left_out\":12,\"limit\":9}}\n{}", &long[..50]);
        let (_folder, dir) = written(&text);
        let wire = read(&dir, &[5], 10, 10);
        assert_eq!((wire.left_out, wire.around[0].len()), (12, 0));
        let (_empty, gone) = written("");
        std::fs::remove_file(gone.wire()).unwrap();
        assert_eq!(read(&gone, &[5], 10, 10).around, [Vec::new()]);
    }
}
