//! Histories of other tools and compressed ones, as users hand them in: by file or
//! by pipe, judged or converted.

mod support;

use std::io::Write;
use std::path::PathBuf;
use std::process::Stdio;

use support::{Bench, Said, project};

const BANK: &str = "bank:initial=10,guard=at-least";

fn other(name: &str) -> PathBuf {
    project("tests/histories-other").join(name)
}

fn packed_gz(bench: &Bench, name: &str) -> PathBuf {
    let path = bench.path("renamed-by-someone.txt");
    let file = std::fs::File::create(&path).unwrap();
    let mut packer = flate2::write::GzEncoder::new(file, flate2::Compression::fast());
    packer.write_all(&std::fs::read(other(name)).unwrap()).unwrap();
    packer.finish().unwrap();
    path
}

fn packed_zst(bench: &Bench, name: &str) -> PathBuf {
    let path = bench.path("h.zst");
    let text = std::fs::read(other(name)).unwrap();
    let level = ruzstd::encoding::CompressionLevel::Fastest;
    std::fs::write(&path, ruzstd::encoding::compress_to_vec(text.as_slice(), level)).unwrap();
    path
}

/// What a command says to bytes on its standard input.
fn piped(bench: &Bench, words: &[&str], input: &[u8]) -> Said {
    let mut command = bench.command(words);
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // A refusal may come before everything is written.
    let _ = child.stdin.take().unwrap().write_all(input);
    let output = child.wait_with_output().unwrap();
    Said {
        exit: output.status.code(),
        out: String::from_utf8_lossy(&output.stdout).into_owned(),
        err: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

fn converted(bench: &Bench, words: &[&str]) -> String {
    let said = bench.output(&[&["convert", "--quiet"], words].concat()).exits(0);
    assert_eq!(said.err, "");
    said.out
}

#[test]
fn a_bank_of_jepsens_is_judged() {
    let bench = Bench::new();
    let path = other("bank.edn");
    // Three acknowledged operations prove little, but nothing in them is wrong.
    let said = bench.output(&["check", path.to_str().unwrap(), "--model", BANK]);
    assert!(said.exit != Some(1) && said.exit != Some(2), "{said:?}");
    said.tells(&["bank.edn", "hold a value of another shape"]);
    let stale = std::fs::read_to_string(&path).unwrap().replace("{0 5, 1 12, 2 13}", "{0 10, 1 10, 2 10}");
    let wrong = bench.path("wrong.edn");
    std::fs::write(&wrong, stale).unwrap();
    bench.output(&["check", wrong.to_str().unwrap(), "--model", BANK]).exits(1);
}

#[test]
fn compression_is_found_whatever_the_name() {
    let bench = Bench::new();
    let plain = converted(&bench, &[other("bank.edn").to_str().unwrap()]);
    for path in [packed_gz(&bench, "bank.edn"), packed_zst(&bench, "bank.edn")] {
        assert_eq!(converted(&bench, &[path.to_str().unwrap()]), plain);
        let bytes = std::fs::read(&path).unwrap();
        assert_eq!(piped(&bench, &["convert", "-"], &bytes).exits(0).out, plain);
        let said = piped(&bench, &["check", "-", "--model", BANK], &bytes);
        assert!(said.exit != Some(2), "{said:?}");
        std::fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
        let name = path.file_name().unwrap().to_str().unwrap();
        bench.output(&["check", path.to_str().unwrap()]).exits(2).tells(&[name, "broken"]);
    }
}

#[test]
fn a_log_becomes_lines_of_ours_and_says_what_it_passed_over() {
    let bench = Bench::new();
    let said = bench.output(&["convert", other("register.log").to_str().unwrap()]).exits(0);
    assert_eq!(said.out.lines().count(), 12);
    said.tells(&["register.log", "6 lines are no operations"]);
}

#[test]
fn ours_comes_back_from_edn_as_it_was() {
    let bench = Bench::new();
    let (ours, edn) = (other("bank.jsonl"), bench.path("h.edn"));
    let said =
        bench.output(&["convert", ours.to_str().unwrap(), "--to", "edn", "--out", edn.to_str().unwrap()]);
    assert_eq!(said.exits(0).out, "");
    let back = converted(&bench, &[edn.to_str().unwrap(), "--to", "jsonl"]);
    assert_eq!(back, std::fs::read_to_string(ours).unwrap());
}

#[test]
fn porcupines_events_are_calls_and_returns() {
    let bench = Bench::new();
    let said =
        bench.output(&["convert", other("register.log").to_str().unwrap(), "--to", "porcupine"]).exits(0);
    let events: Vec<serde_json::Value> =
        said.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let ids = |kind: &str| -> Vec<u64> {
        let of_kind = events.iter().filter(|event| event["kind"] == kind);
        of_kind.map(|event| event["id"].as_u64().unwrap()).collect()
    };
    assert_eq!((ids("call"), ids("return")), ((0..5).collect(), vec![2, 0, 4, 1, 3]));
    said.tells(&["2 lines are not by clients"]);
}

#[test]
fn nothing_is_overwritten_and_no_half_history_is_left() {
    let bench = Bench::new();
    let path = bench.path("precious.jsonl");
    std::fs::copy(other("bank.jsonl"), &path).unwrap();
    let name = path.to_str().unwrap();
    bench.output(&["convert", name, "--out", name]).exits(2).tells(&["nothing is overwritten"]);
    assert_eq!(std::fs::read(&path).unwrap(), std::fs::read(other("bank.jsonl")).unwrap());
    let broken = bench.path("broken.edn");
    std::fs::write(&broken, "{:process 0 :type :invoke :f :read}\n{:process 0 :type :invoke :f :read}\n")
        .unwrap();
    let out = bench.path("out.jsonl");
    let said = bench.output(&["convert", broken.to_str().unwrap(), "--out", out.to_str().unwrap()]);
    said.exits(2).tells(&["broken.edn, line 2: process 0 invokes while"]);
    assert!(!out.exists());
}

#[test]
fn what_is_no_history_is_bad_input() {
    let bench = Bench::new();
    let long = bench.path("long.edn");
    std::fs::write(&long, [b"{:process \"".as_slice(), &vec![b'x'; 100 << 20]].concat()).unwrap();
    bench.output(&["check", long.to_str().unwrap()]).exits(2).tells(&["long.edn, line 1", "longer than"]);
    bench.output(&["convert", "no/such"]).exits(2).tells(&["no/such"]);
    piped(&bench, &["check", "-"], b"nonsense\n").exits(2).tells(&[
        "standard input, line 1",
        "`nonsense`",
        "EDN",
    ]);
    piped(&bench, &["convert", "-"], b"[{\"index\":0}]").exits(2).tells(&["line 1", "one object a line"]);
    bench.output(&["convert", "x", "--to", "xml"]).exits(2).tells(&["porcupine"]);
}
