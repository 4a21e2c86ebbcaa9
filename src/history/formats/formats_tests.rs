//! What each format's reader accepts, refuses and makes of it.

use std::io::{BufReader, Read, Write};

use super::source::decompressed;
use super::write::{Converter, Target};
use super::{Format, lines, read};
use crate::history::Observed;
use crate::history::read::{Failure, MAX_LINE};
use crate::op::Outcome;

const EDN: &str = include_str!("../../../tests/histories-other/bank.edn");
const LOG: &str = include_str!("../../../tests/histories-other/register.log");
const OURS: &str = include_str!("../../../tests/histories-other/bank.jsonl");

fn turned(text: &str) -> Vec<(u64, String)> {
    lines(text.as_bytes()).unwrap().collect::<Result<_, _>>().unwrap()
}

fn only(text: &str) -> String {
    turned(text).into_iter().map(|(_, line)| line).collect()
}

fn refused(text: &[u8]) -> String {
    let mut all = lines(text).unwrap();
    match all.find_map(Result::err) {
        Some(Failure::Malformed(why)) => why.to_string(),
        other => panic!("not refused: {other:?}"),
    }
}

fn converted(text: &str, target: Target) -> String {
    let mut out = Vec::new();
    let mut converter = Converter::new(target, &mut out);
    turned(text).iter().for_each(|(_, line)| converter.line(line).unwrap());
    converter.finish().unwrap();
    String::from_utf8(out).unwrap()
}

#[test]
fn the_format_is_told_by_the_first_bytes() {
    let cases: [(&str, Format); 14] = [
        ("", Format::Jsonl),
        ("\n \n", Format::Jsonl),
        (OURS, Format::Jsonl),
        ("{ \"index\":0}\n", Format::Jsonl),
        ("{:type :invoke}", Format::Edn),
        ("{ ,:type :invoke}", Format::Edn),
        ("; comment\n{}", Format::Edn),
        ("#jepsen.history.Op{:index 0}", Format::Edn),
        ("#_ {} {}", Format::Edn),
        ("\n[{:type :invoke}]", Format::Edn),
        ("(\n  #jepsen.history.Op{})", Format::Edn),
        (LOG, Format::Log),
        ("0\t:invoke\t:read\tnil\n", Format::Log),
        ("[main] INFO jepsen.core - hello\n", Format::Log),
    ];
    for (text, format) in cases {
        assert_eq!(lines(text.as_bytes()).unwrap().format(), format, "{text:.40}");
        // A pipe may give one byte at a time.
        assert_eq!(lines(BufReader::with_capacity(1, text.as_bytes())).unwrap().format(), format);
    }
}

#[test]
fn a_bank_of_jepsens_is_a_bank_of_ours() {
    let history = read(EDN.as_bytes()).unwrap();
    assert_eq!(history.accounts, ["0", "1", "2"]);
    let outcomes: Vec<Outcome> = history.operations.iter().map(|operation| operation.outcome()).collect();
    assert_eq!(outcomes, [Outcome::Ok, Outcome::Ok, Outcome::Fail, Outcome::Info, Outcome::Ok]);
    let read = history.operations[4].completion.as_ref().unwrap();
    assert!(matches!(&read.observed, Observed::Balances(pairs) if pairs.len() == 3));
    assert_eq!(
        history.operations[2].completion.as_ref().unwrap().error.as_deref(),
        Some(r#"["negative",0,-1]"#)
    );
    assert!(history.faults.is_empty());
}

#[test]
fn edn_becomes_our_lines() {
    let op = |value: &str| format!("{{:process 0, :type :ok, :f :read, :value {value}, :index 4, :time 5}}");
    let cases = [
        ("{0 10, 1 20}", r#"{"0":10,"1":20}"#),
        ("{:a 1 \"b\" -2, nil 3 [1 2] 4}", r#"{"a":1,"b":-2,"null":3,"[1,2]":4}"#),
        ("[:write 4]", r#"["write",4]"#),
        ("#{1 2}", "[1,2]"),
        ("(1 #_2 #_ #_ 3 4 5)", "[1,5]"),
        ("#inst \"2026-11-22T00:00:00Z\"", r#""2026-11-22T00:00:00Z""#),
        ("#jepsen.independent.Tuple[0 nil]", "[0,null]"),
        ("[5N 1.5M +7 -0 007.5e1 1e3]", "refused"),
        ("[5N 1.5M +7 -0 1e3 -2.50]", "[5,1.5,7,0,1e3,-2.50]"),
        ("[1/2 ##Inf ##-Inf ##NaN 0x1f]", r###"["1/2","##Inf","##-Inf","##NaN","0x1f"]"###),
        (r#"[\a \newline \é \(]"#, r#"["a","\n","é","("]"#),
        (r#""tab\tquote\"uni\u00e9oct\101""#, r#""tab\tquote\"uni\u00e9oct\u0041""#),
        ("\"two\nlines\"", r#""two\nlines""#),
        (r##"#"a\d\"b""##, r#""a\\d\\\"b""#),
        ("[foo a/b - +x :n/k true]", r#"["foo","a/b","-","+x","n/k",true]"#),
        ("; comment }\n 3", "3"),
    ];
    for (value, expected) in cases {
        if expected == "refused" {
            assert!(refused(op(value).as_bytes()).contains("`007.5e1` is no number"));
            continue;
        }
        let line = format!(r#"{{"index":4,"time":5,"process":0,"type":"ok","f":"read","value":{expected}}}"#);
        assert_eq!(only(&op(value)), line, "{value}");
    }
}

#[test]
fn maps_come_one_a_line_or_in_one_vector_over_many_lines() {
    let map = "{:process 1\n :type :invoke,\n :f :read}";
    for text in [
        format!("{map}\n{map}"),
        format!("[{map} {map}]"),
        format!("#jepsen.history.History [\n#jepsen.history.Op{map}; x\n#_{map}\n,#a #b {map}\n]\n; end"),
    ] {
        let lines = turned(&text);
        assert_eq!(lines.len(), 2, "{text}");
        assert_eq!(lines[1].1, r#"{"index":1,"time":0,"process":1,"type":"invoke","f":"read","value":null}"#);
    }
    let multi = "{:process 1 :type :ok :f :read :value [#\"a\n\" \"b\n\"]}\n{:process 1 :type :ok :f :read}";
    assert_eq!(turned(multi)[1].0, 4);
    assert_eq!(turned(&format!("\n\n{map} {map}")).iter().map(|(at, _)| *at).collect::<Vec<_>>(), [3, 5]);
}

#[test]
fn what_is_no_edn_is_refused_with_its_line() {
    let deep = format!("{{:process 0 :value {}", "[".repeat(100_000));
    let tags = format!("{{:process 0 :value {}", "#a ".repeat(100_000));
    let discards = format!("{{:process 0 :value {}", "#_ ".repeat(100_000));
    let cases: [(&str, &str); 18] = [
        ("{:process 0}", "line 1: an operation without `type`"),
        ("{:type :ok}", "line 1: an operation without `process`"),
        ("\n{:process 0\n :type :ok", "line 3: the input ends within an operation"),
        ("\n[{:process 0 :type :ok :f :read}", "line 2: the vector that begins here is never closed"),
        ("[{:process 0 :type :ok :f :read}] {}", "more after the end"),
        ("[{:process 0 :type :ok :f :read})", "found `)`, expected an operation"),
        ("[[1 2]]", "found `[`, expected an operation"),
        ("{:process 0 :process 1 :type :ok}", "`process` twice"),
        ("{:process 0 :value {:a}}", "a key that has no value"),
        ("{:process 0 :value}", "found `}`, expected a form"),
        ("{:process 0 :value 12abc}", "`12abc` is no number"),
        ("{:process 0 :value \"a\\qb\"}", "`\\q` is no escape"),
        ("{:process 0 :value #<Object x>}", "accepted is a tag"),
        ("{:process : }", "no name after it"),
        ("[{\"process\": 0}]", "one object a line is accepted"),
        (&deep, "nested deeper than 100"),
        (&tags, "nested deeper than 100"),
        (&discards, "nested deeper than 100"),
    ];
    for (text, expected) in cases {
        let message = refused(text.as_bytes());
        assert!(message.contains(expected), "{message}\nexpected: {expected}");
    }
    assert!(refused(b"{:process 0 :type :ok :f :read :value \"\xff\"}").contains("not UTF-8"));
}

#[test]
fn index_and_time_are_mended_with_a_warning() {
    let text = "{:process 0 :type :invoke :f :read :time 5}\n{:process 0 :type :ok :f :read :time 3 :index 7}\n\
        {:process 0 :type :invoke :f :read :time 1.5 :index 7}\n";
    let history = read(text.as_bytes()).unwrap();
    assert_eq!((history.operations[1].invoke, history.end), (8, 5));
    assert!(
        history.warnings[0].starts_with("2 operations without an index that grows"),
        "{:?}",
        history.warnings
    );
    assert!(
        history.warnings[1].starts_with("2 operations with a time that runs back"),
        "{:?}",
        history.warnings
    );
}

#[test]
fn operations_are_found_among_the_lines_of_a_log() {
    let found = turned(LOG);
    let line = |at: usize| found[at].1.as_str();
    assert_eq!(found[0].0, 3);
    assert_eq!(line(0), r#"{"index":0,"time":0,"process":3,"type":"invoke","f":"cas","value":[3,0]}"#);
    assert!(
        line(1).contains(r#""process":"nemesis","type":"info","f":"start","value":"Cut off {:n1 #{:n2}}""#)
    );
    assert!(
        line(3).ends_with(r#""type":"info","f":"write","value":null,"error":"timed-out"}"#),
        "{}",
        line(3)
    );
    assert!(line(5).ends_with(r#""f":"read","value":null,"error":"timed-out"}"#), "{}", line(5));
    assert!(line(7).ends_with(r#""type":"info","f":"write","value":2,"error":"timed-out"}"#), "{}", line(7));
    assert_eq!(found.len(), 12);
    let mut all = lines(LOG.as_bytes()).unwrap();
    assert_eq!(all.by_ref().count(), 12);
    assert_eq!(all.warnings(), ["6 lines are no operations and were passed over"]);
}

#[test]
fn a_text_without_operations_is_refused() {
    let message = refused(b"nonsense\nand more\n");
    assert!(message.contains("line 1: found `nonsense`") && message.contains("Jepsen's EDN"), "{message}");
    assert!(refused(b"no newline").contains("`no newline`"));
    assert!(refused(b"3\t:ok\t:write\t}\n").contains("`}` is no value"));
}

#[test]
fn a_process_that_goes_on_after_info_is_refused_in_every_format() {
    let log = "1\t:invoke\t:read\tnil\n1\t:info\t:read\t:timed-out\n1\t:invoke\t:read\tnil\n";
    let edn = "{:process 1 :type :invoke :f :read} {:process 1 :type :info :f :read}\n\
        {:process 1 :type :invoke :f :read}";
    for (text, line) in [(log, 3), (edn, 2)] {
        let message = read(text.as_bytes()).unwrap_err().to_string();
        assert!(message.starts_with(&format!("line {line}: process 1 goes on")), "{message}");
    }
}

#[test]
fn a_line_or_form_without_end_is_refused_before_it_fills_the_memory() {
    for start in ["{\"index\":", "{:process 0 :value \"", "[{:process ", "{:process 0 :value [1 #_\"", "x"] {
        let endless = BufReader::new(start.as_bytes().chain(std::io::repeat(b'1')));
        let message = read(endless).unwrap_err().to_string();
        assert!(message.contains(&MAX_LINE.to_string()), "{start}: {message}");
    }
}

#[test]
fn our_lines_come_back_from_edn_as_they_were() {
    let edn = converted(OURS, Target::Edn);
    assert!(edn.starts_with("{:index 0, :time 0, :process :cluster, :type :info, :f :phase,"), "{edn}");
    assert!(
        edn.contains(":f :transfer, :value {:from 0, :to \"b\", :amount 5, :balances [95, 105]}}"),
        "{edn}"
    );
    assert!(edn.contains(":value {0 95, \"b\" 105, \"a b\" 18446744073709551615N}"), "{edn}");
    assert_eq!(converted(&edn, Target::Jsonl), OURS);
    assert_eq!(converted(&converted(EDN, Target::Jsonl), Target::Jsonl), converted(EDN, Target::Jsonl));
}

#[test]
fn porcupines_events_return_what_nobody_knows_at_the_end() {
    let events = converted(LOG, Target::Porcupine);
    let events: Vec<&str> = events.lines().collect();
    assert_eq!(events[0], r#"{"id":0,"kind":"call","client":3,"value":{"f":"cas","value":[3,0]}}"#);
    assert_eq!(
        events.last(),
        Some(&r#"{"id":3,"kind":"return","client":7,"value":{"type":"info","value":null}}"#)
    );
    let count = |kind: &str| events.iter().filter(|event| event.contains(kind)).count();
    assert_eq!((count(r#""kind":"call""#), count(r#""kind":"return""#)), (5, 5));
    let evidence = converted(OURS, Target::Porcupine);
    assert!(evidence.ends_with("\"value\":{\"type\":\"fail\",\"value\":null}}\n"), "{evidence}");
}

#[test]
fn what_breaks_the_rules_is_not_converted() {
    let invoke = r#"{"index":0,"time":1,"process":3,"type":"invoke","f":"x","value":1}"#;
    let later = invoke.replace("\"index\":0", "\"index\":1");
    let ok = later.replace("invoke", "ok");
    let cases: [(&[&str], &str); 6] = [
        (&[&ok], "did not invoke"),
        (&[invoke, &later], "is open"),
        (&[invoke, invoke], "index 0 follows index 0"),
        (&["[0,0,1,\"invoke\",\"read\",null,null,null,null,null,null,null]"], "one object"),
        (&["nonsense"], "found `nonsense`"),
        (&["{]"], "column 2"),
    ];
    for (lines, expected) in cases {
        let mut converter = Converter::new(Target::Edn, Vec::new());
        let refused = lines.iter().find_map(|line| converter.line(line).err()).unwrap().to_string();
        assert!(refused.contains(expected), "{refused}");
    }
}

fn gzip(text: &[u8]) -> Vec<u8> {
    let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packer.write_all(text).unwrap();
    packer.finish().unwrap()
}

fn zstd(text: &[u8]) -> Vec<u8> {
    ruzstd::encoding::compress_to_vec(text, ruzstd::encoding::CompressionLevel::Fastest)
}

fn unpacked(bytes: &[u8]) -> Result<Vec<u8>, String> {
    let mut text = Vec::new();
    let mut from = decompressed(bytes).map_err(|why| why.to_string())?;
    from.read_to_end(&mut text).map_err(|why| why.to_string()).map(|_| text)
}

#[test]
fn compression_is_taken_off_whatever_pieces_it_comes_in() {
    let two = |pack: fn(&[u8]) -> Vec<u8>| [pack(b"one\n"), pack(b"two\n")].concat();
    let skippable = [b"\x50\x2a\x4d\x18\x03\0\0\0abc".as_slice(), &two(zstd)].concat();
    for packed in [b"one\ntwo\n".to_vec(), two(gzip), two(zstd), skippable] {
        assert_eq!(unpacked(&packed).unwrap(), b"one\ntwo\n");
    }
    assert_eq!(unpacked(b"").unwrap(), b"");
}

#[test]
fn broken_archives_are_named() {
    let text = OURS.as_bytes().repeat(50);
    for (packed, name) in [(gzip(&text), "broken gzip data"), (zstd(&text), "broken zstd data")] {
        let why = unpacked(&packed[..packed.len() / 2]).unwrap_err();
        assert!(why.contains(name), "{why}");
        let mut flipped = packed.clone();
        let last = flipped.len() - if name.contains("gzip") { 8 } else { 1 };
        flipped[last] ^= 1;
        assert!(unpacked(&flipped).unwrap_err().contains(name));
    }
}

#[test]
fn a_bomb_is_refused_as_the_line_that_it_is() {
    let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    std::io::copy(&mut std::io::repeat(b'{').take(100 << 20), &mut packer).unwrap();
    let bomb = packer.finish().unwrap();
    assert!(bomb.len() < 1 << 20);
    let message = read(decompressed(bomb.as_slice()).unwrap()).unwrap_err().to_string();
    assert!(message.contains("operation's fields") || message.contains(&MAX_LINE.to_string()), "{message}");
}
