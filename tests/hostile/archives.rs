//! Broken archives, and the way of any JSON through EDN and back.

use std::io::Write;

use rsm_check::history::formats::source::decompressed;
use rsm_check::history::formats::write::{Converter, Target};
use rsm_check::history::formats::{lines, read};

use crate::inputs::{Chance, odd};

const OURS: &[u8] = include_bytes!("../histories-other/bank.jsonl");
const LOG: &[u8] = include_bytes!("../histories-other/register.log");
const INPUTS: usize = 10_000;

fn gzip(text: &[u8]) -> Vec<u8> {
    let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packer.write_all(text).unwrap();
    packer.finish().unwrap()
}

fn zstd(text: &[u8]) -> Vec<u8> {
    ruzstd::encoding::compress_to_vec(text, ruzstd::encoding::CompressionLevel::Fastest)
}

fn batter(seed: u64, archive: &[u8]) {
    let mut chance = Chance::new(seed);
    for _ in 0..INPUTS {
        let input = chance.mutate(archive.to_vec());
        if let Ok(from) = decompressed(input.as_slice()) {
            let _ = read(from);
        }
    }
}

#[test]
fn broken_archives_are_refused_and_never_panic() {
    batter(5, &gzip(OURS));
    batter(6, &zstd(OURS));
    batter(7, &zstd(&LOG.repeat(40)));
}

#[test]
fn noise_that_begins_like_an_archive_is_refused_and_never_panics() {
    let mut chance = Chance::new(8);
    for start in [b"\x1f\x8b\x08".as_slice(), b"\x28\xb5\x2f\xfd"] {
        for _ in 0..INPUTS / 4 {
            let input = [start, &chance.noise()].concat();
            if let Ok(from) = decompressed(input.as_slice()) {
                let _ = read(from);
            }
        }
    }
}

/// A gigabyte of zeros packs into a megabyte; it is refused as one long line.
#[test]
fn an_archive_that_unpacks_without_end_is_refused_within_bounds() {
    let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    let block = vec![b'0'; 1 << 20];
    for _ in 0..256 {
        packer.write_all(&block).unwrap();
    }
    let packed = packer.finish().unwrap();
    let why = read(decompressed(packed.as_slice()).unwrap()).unwrap_err().to_string();
    assert!(why.contains("line 1"), "{why}");
    assert!(crate::peak() < crate::MEMORY_MIB, "{} MiB", crate::peak());
}

/// What is written as EDN is read again as it was, whatever JSON it was.
#[test]
fn any_json_survives_the_way_through_edn() {
    let mut chance = Chance::new(9);
    for _ in 0..INPUTS {
        let value = odd(&mut chance, 4);
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
