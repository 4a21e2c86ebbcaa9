//! Bad inputs by the thousand for everything that parses a file, from a seed: samples with
//! bytes, lines and values replaced, repeated, cut out; and noise that begins well.
//!
//! Shared by the tests here and by the fuzz targets in `fuzz/`. Knows what inputs look
//! like, not what becomes of them.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};
use serde_json::Value;

/// What parses files that people, other tools or programs under test have written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Parser {
    Workload,
    Jsonl,
    Edn,
    Log,
    DataFile,
}

impl Parser {
    /// Good inputs to begin with.
    fn samples(self) -> &'static [&'static [u8]] {
        match self {
            Self::Workload => &[
                include_bytes!("../../workloads/smoke.json"),
                include_bytes!("../../workloads/clocks.json"),
                include_bytes!("../../workloads/disk_errors.json"),
                include_bytes!("../../workloads/everything.json"),
                include_bytes!("../../workloads/network.json"),
                include_bytes!("../../workloads/power_failure.json"),
            ],
            Self::Jsonl => &[include_bytes!("../histories-other/bank.jsonl"), HARNESS],
            Self::Edn => &[include_bytes!("../histories-other/bank.edn"), ODD_EDN],
            Self::Log => &[include_bytes!("../histories-other/register.log")],
            Self::DataFile => &[DATA],
        }
    }

    /// How an input begins that this parser takes for its own.
    fn beginnings(self) -> &'static [&'static [u8]] {
        match self {
            Self::Workload => &[b"", b"{\"name\":\"x\",\"duration\":\"1s\",", b"{\"nemesis\":[{"],
            Self::Jsonl => &[
                b"{\"",
                b"{\"index\":0,\"time\":1,\"process\":",
                b"{\"index\":0,\"time\":1,\"process\":3,\"type\":\"invoke\",\"f\":\"transfer\",\"value\":",
            ],
            Self::Edn => &[b"{:", b"[{:process ", b"#jepsen.history.Op{"],
            Self::Log => &[b"3\t:ok\t:f\t", b"INFO  jepsen.util - 3\t:invoke\t:read\t"],
            Self::DataFile => &[b"", b"# Sun, 22 Nov 2026 11:58:40 +0000\n", b"#\na "],
        }
    }

    /// The next input.
    pub fn input(self, chance: &mut Chance) -> Vec<u8> {
        let samples = self.samples();
        let sample = samples[chance.below(samples.len())].to_vec();
        match (chance.below(10), self) {
            (0, _) => {
                let starts = self.beginnings();
                [starts[chance.below(starts.len())], &chance.noise()].concat()
            }
            (1..=4, Self::Workload) => crooked(chance, &sample),
            (1..=4, Self::Jsonl) => {
                let lines: Vec<_> = sample.split(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect();
                let at = chance.below(lines.len());
                let bent = |(number, line): (usize, &Vec<u8>)| {
                    if number == at { crooked(chance, line) } else { line.clone() }
                };
                lines.iter().enumerate().map(bent).collect::<Vec<_>>().join(&b'\n')
            }
            (5..=6, _) => chance.shuffled(&sample),
            _ => chance.mutate(sample),
        }
    }
}

/// A history with what the harness itself writes.
const HARNESS: &[u8] = br#"{"index":0,"time":1,"process":"cluster","type":"info","f":"phase","value":"setup"}
{"index":1,"time":2,"process":"cluster","type":"info","f":"start","value":["srv-1"]}
{"index":2,"time":3,"process":"cluster","type":"info","f":"ready","value":["srv-1"]}
{"index":3,"time":4,"process":"cluster","type":"info","f":"phase","value":"faulty"}
{"index":4,"time":5,"process":0,"type":"invoke","f":"transfer","value":{"from":"a","to":"b","amount":5}}
{"index":5,"time":6,"process":"nemesis","type":"info","f":"kill","value":["srv-1"],"fault":0,"edge":"begin","place":{"acknowledged":0,"messages":{"clients-coord":1},"syncs":{}}}
{"index":6,"time":7,"process":0,"type":"info","f":"transfer","value":{"from":"a","to":"b","amount":5},"error":"timeout"}
{"index":7,"time":8,"process":"evidence","type":"info","f":"never-delivered","value":{"invoke":4}}
{"index":8,"time":9,"process":"nemesis","type":"info","f":"kill","value":["srv-1"],"fault":0,"edge":"end","held":true,"place":{"acknowledged":0,"messages":{},"syncs":{}}}
{"index":9,"time":10,"process":"cluster","type":"info","f":"exit","value":["srv-1"],"error":"ended by SIGKILL","asked":true}
{"index":10,"time":11,"process":1,"type":"invoke","f":"transfer","value":{"from":"b","to":"a","amount":9223372036854775807}}
{"index":11,"time":12,"process":1,"type":"ok","f":"transfer","value":{"from":"b","to":"a","amount":9223372036854775807,"balances":[100,100]}}
{"index":12,"time":13,"process":2,"type":"invoke","f":"read","value":null}
{"index":13,"time":14,"process":2,"type":"ok","f":"read","value":{"a":100,"b":100}}
"#;

const ODD_EDN: &[u8] =
    b"[{:process 0 :type :invoke :f :read :value #{[1 2N] #t (\\a \"\\u00e9\") {nil ##Inf}}} #_ x]";

const DATA: &[u8] =
    b"# Sun, 22 Nov 2026 11:58:40 +0000\na 95\nb 105\nc 9223372036854775807\nd -9223372036854775808\n";

/// Bytes that mean something to one of the parsers.
const TELLING: &[u8] = b"{}[]()\"\\#_:;,.+-/^'0123456789NMexu \t\r\n\0\x1f\x8b\xb5\xff\xc3";

/// Where what happens by chance comes from.
pub struct Chance(ChaCha8Rng);

impl Chance {
    pub fn new(seed: u64) -> Self {
        Self(ChaCha8Rng::seed_from_u64(seed))
    }

    pub fn bits(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// Below `bound`, and 0 for 0.
    pub fn below(&mut self, bound: usize) -> usize {
        (self.bits() % bound.max(1) as u64) as usize
    }

    fn byte(&mut self) -> u8 {
        if self.below(4) == 0 { self.bits() as u8 } else { TELLING[self.below(TELLING.len())] }
    }

    pub fn noise(&mut self) -> Vec<u8> {
        let length = self.below(300);
        (0..length).map(|_| self.byte()).collect()
    }

    /// One to six changes: bytes replaced, cut out, put in, repeated; the rest cut off.
    pub fn mutate(&mut self, mut bytes: Vec<u8>) -> Vec<u8> {
        for _ in 0..=self.below(6) {
            let at = self.below(bytes.len());
            let end = (at + self.below(20)).min(bytes.len());
            match self.below(5) {
                0 if at < bytes.len() => bytes[at] = self.byte(),
                1 => drop(bytes.drain(at..end)),
                2 => bytes.insert(at, self.byte()),
                3 => {
                    let part = bytes[at..end].to_vec();
                    bytes.splice(at..at, part);
                }
                _ => {
                    if self.below(4) == 0 {
                        bytes.truncate(at);
                    }
                }
            }
        }
        bytes
    }

    /// Lines dropped, said twice, in another order.
    fn shuffled(&mut self, bytes: &[u8]) -> Vec<u8> {
        let mut lines: Vec<&[u8]> = bytes.split_inclusive(|byte| *byte == b'\n').collect();
        for _ in 0..=self.below(3) {
            let (one, other) = (self.below(lines.len()), self.below(lines.len()));
            match self.below(3) {
                0 if lines.len() > 1 => drop(lines.remove(one)),
                1 => lines.insert(other, lines[one]),
                _ => lines.swap(one, other),
            }
        }
        lines.concat()
    }
}

/// JSON with one to three of its values or keys bent, or what it was if it is none.
fn crooked(chance: &mut Chance, json: &[u8]) -> Vec<u8> {
    let Ok(mut value) = serde_json::from_slice::<Value>(json) else { return json.to_vec() };
    for _ in 0..=chance.below(3) {
        bend(chance, &mut value);
    }
    serde_json::to_vec_pretty(&value).map_or(json.to_vec(), |text| {
        // A history's lines stay lines.
        if json.contains(&b'\n') { text } else { value.to_string().into_bytes() }
    })
}

fn bend(chance: &mut Chance, value: &mut Value) {
    let deeper = chance.below(5) > 0;
    match value {
        Value::Object(fields) if deeper && !fields.is_empty() => {
            let key = fields.keys().nth(chance.below(fields.len())).cloned().unwrap_or_default();
            match chance.below(8) {
                0 => drop(fields.remove(&key)),
                1 => {
                    let moved = fields.remove(&key).unwrap_or_default();
                    fields.insert(odd_text(chance), moved);
                }
                2 => drop(fields.insert(odd_text(chance), odd(chance, 2))),
                _ => {
                    if let Some(inner) = fields.get_mut(&key) {
                        bend(chance, inner);
                    }
                }
            }
        }
        Value::Array(items) if deeper && !items.is_empty() => {
            let at = chance.below(items.len());
            match chance.below(6) {
                0 => drop(items.remove(at)),
                1 => items.insert(at, items[at].clone()),
                _ => bend(chance, &mut items[at]),
            }
        }
        _ => *value = odd(chance, 3),
    }
}

/// A value that stands where nobody expects it.
pub fn odd(chance: &mut Chance, depth: usize) -> Value {
    const NUMBERS: [i64; 10] = [
        0,
        1,
        -1,
        100,
        65_536,
        i32::MAX as i64 + 1,
        u32::MAX as i64 + 1,
        i64::MAX,
        i64::MIN,
        1_000_000_000_000,
    ];
    match chance.below(if depth == 0 { 6 } else { 8 }) {
        0 => Value::Null,
        1 => (chance.below(2) == 0).into(),
        2 => NUMBERS[chance.below(NUMBERS.len())].into(),
        3 => u64::MAX.into(),
        4 => (chance.bits() as f64 / 7.0).into(),
        5 => odd_text(chance).into(),
        6 => (0..chance.below(4)).map(|_| odd(chance, depth - 1)).collect::<Vec<_>>().into(),
        _ => {
            let entries = (0..chance.below(4)).map(|_| (odd_text(chance), odd(chance, depth - 1)));
            entries.collect::<serde_json::Map<_, _>>().into()
        }
    }
}

fn odd_text(chance: &mut Chance) -> String {
    const WORDS: [&str; 30] = [
        "",
        "a",
        "0",
        "-5",
        "007",
        "nil",
        "from",
        "to",
        "é\u{1f600}",
        "a b",
        "\"\\\n\u{1}",
        ":k",
        "0s",
        "1ns",
        "500ms",
        "10000h",
        "99999999999999999999s",
        "-1s",
        "all",
        "any",
        "coord",
        "srv-1",
        "srv-0",
        "srv-65535",
        "one",
        "../../etc/passwd",
        "$(touch x)",
        "\u{1b}[2J",
        "{data}",
        "duration",
    ];
    match chance.below(40) {
        0 => "x".repeat(20_000),
        _ => WORDS[chance.below(WORDS.len())].into(),
    }
}
