//! Thousands of broken inputs for every reader: an error or a history, never a
//! panic, never a hang. Seeded, so that a failure comes again.

use std::time::{Duration, Instant};

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};

use super::formats_tests::{gzip, zstd};
use super::source::decompressed;
use super::write::{Converter, Target};
use super::{lines, read};

const INPUTS: usize = 10_000;
const SAMPLES: [&[u8]; 3] = [
    include_bytes!("../../../tests/histories-other/bank.jsonl"),
    include_bytes!("../../../tests/histories-other/bank.edn"),
    include_bytes!("../../../tests/histories-other/register.log"),
];

/// Bytes that mean something to one of the readers.
const TELLING: &[u8] = b"{}[]()\"\\#_:;,.+-/^'0123456789NMexu \t\r\n\0\x1f\x8b\xb5\xff\xc3";

struct Chance(ChaCha8Rng);

impl Chance {
    fn below(&mut self, bound: usize) -> usize {
        (self.0.next_u64() % bound.max(1) as u64) as usize
    }

    fn byte(&mut self) -> u8 {
        if self.below(4) == 0 { self.0.next_u32() as u8 } else { TELLING[self.below(TELLING.len())] }
    }

    fn noise(&mut self) -> Vec<u8> {
        let length = self.below(300);
        (0..length).map(|_| self.byte()).collect()
    }

    /// One to six changes: bytes replaced, cut out, put in, repeated; the rest cut off.
    fn mutate(&mut self, mut bytes: Vec<u8>) -> Vec<u8> {
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
}

/// Goes through everything that is done with an input; its errors are fine.
fn survive(bytes: &[u8]) {
    let began = Instant::now();
    if let Ok(from) = decompressed(bytes) {
        let _ = read(from);
    }
    for target in [Target::Edn, Target::Porcupine] {
        let Ok(lines) = decompressed(bytes).map_err(drop).and_then(|from| lines(from).map_err(drop)) else {
            continue;
        };
        let mut converter = Converter::new(target, std::io::sink());
        for line in lines.take_while(Result::is_ok).flatten() {
            if converter.line(&line.1).is_err() {
                break;
            }
        }
        converter.finish().unwrap();
    }
    assert!(began.elapsed() < Duration::from_secs(20), "a hang: {bytes:?}");
}

fn batter(seed: u64, sample: &[u8]) {
    let mut chance = Chance(ChaCha8Rng::seed_from_u64(seed));
    for _ in 0..INPUTS {
        let input = chance.mutate(sample.to_vec());
        survive(&input);
    }
}

#[test]
fn broken_lines_of_ours() {
    batter(1, SAMPLES[0]);
}

#[test]
fn broken_edn() {
    batter(2, SAMPLES[1]);
    batter(
        3,
        b"[{:process 0 :type :invoke :f :read :value #{[1 2N] #t (\\a \"\\u00e9\") {nil ##Inf}}} #_ x]",
    );
}

#[test]
fn broken_logs() {
    batter(4, SAMPLES[2]);
}

#[test]
fn broken_archives() {
    batter(5, &gzip(SAMPLES[0]));
    batter(6, &zstd(SAMPLES[0]));
    batter(7, &zstd(&SAMPLES[2].repeat(40)));
}

#[test]
fn noise() {
    let mut chance = Chance(ChaCha8Rng::seed_from_u64(8));
    for start in
        [b"".as_slice(), b"{:", b"[{:process ", b"{\"", b"3\t:ok\t:f\t", b"\x1f\x8b\x08", b"\x28\xb5\x2f\xfd"]
    {
        for _ in 0..INPUTS / 4 {
            survive(&[start, &chance.noise()].concat());
        }
    }
}

/// What is written as EDN is read again as it was, whatever JSON it was.
#[test]
fn any_json_survives_the_way_through_edn() {
    let mut chance = Chance(ChaCha8Rng::seed_from_u64(9));
    for _ in 0..INPUTS {
        let value = json(&mut chance, 4);
        let f = ["enqueue", "read", "cas", "a b"][chance.below(4)];
        let line =
            serde_json::json!({"index":0,"time":0,"process":1,"type":"invoke","f":f,"value":value,"x":value});
        let line = line.to_string();
        let mut edn = Vec::new();
        Converter::new(Target::Edn, &mut edn).line(&line).unwrap();
        let back = lines(edn.as_slice()).unwrap().next().unwrap();
        assert_eq!(back.unwrap().1, line, "{}", String::from_utf8_lossy(&edn));
    }
}

fn json(chance: &mut Chance, depth: usize) -> serde_json::Value {
    match chance.below(if depth == 0 { 5 } else { 8 }) {
        0 => serde_json::Value::Null,
        1 => (chance.below(2) == 0).into(),
        2 => (chance.0.next_u64() as i64 >> chance.below(64)).into(),
        3 => (f64::from(chance.0.next_u32()) / 7.0).into(),
        4 => text(chance).into(),
        5 => (0..chance.below(4)).map(|_| json(chance, depth - 1)).collect::<Vec<_>>().into(),
        _ => {
            let entries = (0..chance.below(4)).map(|_| (text(chance), json(chance, depth - 1)));
            entries.collect::<serde_json::Map<_, _>>().into()
        }
    }
}

fn text(chance: &mut Chance) -> String {
    const WORDS: [&str; 12] =
        ["a", "0", "-5", "007", "nil", "from", "to", "é\u{1f600}", "a b", "\"\\\n\u{1}", "", ":k"];
    WORDS[chance.below(WORDS.len())].into()
}
