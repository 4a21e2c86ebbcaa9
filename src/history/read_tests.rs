//! What the reader accepts and refuses, line by line.

use super::read::{Failure, MAX_LINE, read};
use super::{Call, ClusterWhat, History, Observed, Phase};
use crate::op::Outcome;

const INVOKE: &str = r#"{"index":0,"time":1,"process":3,"type":"invoke","f":"transfer","value":{"from":"a","to":"b","amount":5}}"#;
const OK: &str = r#"{"index":1,"time":2,"process":3,"type":"ok","f":"transfer","value":{"from":"a","to":"b","amount":5,"balances":[95,105]}}"#;
const INFO: &str = r#"{"index":1,"time":2,"process":3,"type":"info","f":"transfer","value":{"from":"a","to":"b","amount":5},"error":"timeout"}"#;
const EVIDENCE: &str =
    r#"{"index":2,"time":3,"process":"evidence","type":"info","f":"never-delivered","value":{"invoke":0}}"#;

fn accepted(lines: &[&str]) -> History {
    let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
    read(text.as_bytes()).unwrap()
}

fn refused(lines: &[&str]) -> String {
    let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
    match read(text.as_bytes()) {
        Err(Failure::Malformed(malformed)) => malformed.to_string(),
        other => panic!("not refused: {other:?}"),
    }
}

#[test]
fn an_invocation_and_its_completion_become_one_operation() {
    let history = accepted(&[INVOKE, OK]);
    let operation = &history.operations[0];
    let (from, to) = (super::AccountId(0), super::AccountId(1));
    assert_eq!(operation.call, Call::Transfer { from, to, amount: 5 });
    assert_eq!(operation.completion.as_ref().unwrap().observed, Observed::Pair([95, 105]));
    assert_eq!((history.accounts.len(), history.lines, history.end), (2, 2, 2));
}

#[test]
fn what_contradicts_the_format_is_refused_with_its_line() {
    let other = OK.replace("\"amount\":5", "\"amount\":6");
    let big = OK.replace("105", "9223372036854775808");
    let float = OK.replace("105", "105.5");
    let unknown = INVOKE.replace("transfer", "withdraw");
    let back = OK.replace("\"time\":2", "\"time\":0");
    let same_index = OK.replace("\"index\":1", "\"index\":0");
    let second = INVOKE.replace("\"index\":0", "\"index\":1");
    let again = INVOKE.replace("\"index\":0,\"time\":1", "\"index\":2,\"time\":2");
    let nothing = EVIDENCE.replace("\"invoke\":0", "\"invoke\":7");
    let cases: [(&[&str], &str); 13] = [
        (&[OK], "line 1: process 3 completes"),
        (&[INVOKE, &second], "line 2: process 3 invokes while"),
        (&[INVOKE, &back], "line 2: time 0 follows time 1"),
        (&[INVOKE, &same_index], "line 2: index 0 follows index 0"),
        (&[&unknown], "line 1: `withdraw` is no operation of a client; accepted: transfer, read"),
        (&[INVOKE, &other], "line 2: the completion contradicts its invocation"),
        (&[INVOKE, &big], "integer `9223372036854775808`"),
        (&[INVOKE, &float], "floating point `105.5`"),
        (&[INVOKE, INFO, &again], "line 3: process 3 goes on after `info`"),
        (&[INVOKE, OK, EVIDENCE], "yet the operation of index 0 is ok"),
        (&[INVOKE, INFO, &nothing], "evidence names index 7"),
        (&["{}"], "missing field"),
        (&["nonsense"], "line 1: expected"),
    ];
    for (lines, expected) in cases {
        let message = refused(lines);
        assert!(message.contains(expected), "{message}\nexpected: {expected}");
    }
}

#[test]
fn a_cut_off_last_line_is_dropped_with_a_warning() {
    let history = read(format!("{INVOKE}\n{}", &OK[..60]).as_bytes()).unwrap();
    assert_eq!((history.lines, history.operations.len()), (1, 1));
    assert_eq!(history.operations[0].outcome(), Outcome::Info);
    assert!(history.warnings[0].contains("line 2"), "{:?}", history.warnings);
}

#[test]
fn a_line_without_end_is_refused_before_it_fills_the_memory() {
    let endless = std::io::BufReader::new(std::io::repeat(b'x'));
    let message = read(endless).unwrap_err().to_string();
    assert!(message.contains(&MAX_LINE.to_string()), "{message}");
}

#[test]
fn bytes_that_are_not_text_are_refused() {
    let message = read(&b"{\"index\":\xff}\n"[..]).unwrap_err().to_string();
    assert_eq!(message, "line 1: byte 10 is not UTF-8 text");
}

#[test]
fn evidence_closes_an_operation_and_strangers_are_warned_of_once() {
    let stranger = r#"{"index":3,"time":3,"process":"oracle","type":"info","f":"hint","value":{"x":[1]}}"#;
    let again = stranger.replace("\"index\":3", "\"index\":4");
    let fault = r#"{"index":5,"time":3,"process":"nemesis","type":"info","f":"flood","value":["srv-1"]}"#;
    let history = accepted(&[INVOKE, INFO, EVIDENCE, stranger, &again, fault]);
    assert_eq!(history.operations[0].outcome(), Outcome::Fail);
    assert_eq!(history.warnings.len(), 2, "{:?}", history.warnings);
}

#[test]
fn what_a_client_of_bad_requests_sent_is_no_operation_and_no_stranger() {
    let sent = r#"{"index":2,"time":3,"process":"bad","type":"info","f":"bad","value":"\"a b 5x\\n\""}"#;
    let answered = r#"{"index":3,"time":4,"process":"bad","type":"info","f":"bad","value":"\"a b 5x\\n\"","error":"closed without a word"}"#;
    let history = accepted(&[INVOKE, INFO, sent, answered]);
    assert_eq!(history.operations.len(), 1);
    assert!(history.warnings.is_empty(), "{:?}", history.warnings);
}

#[test]
fn reads_faults_and_cluster_events_are_read() {
    let history = accepted(&[
        r#"{"index":0,"time":0,"process":"cluster","type":"info","f":"phase","value":"setup"}"#,
        r#"{"index":1,"time":0,"process":1,"type":"invoke","f":"read","value":null,"note":"unknown fields are fine"}"#,
        r#"{"time":1,"index":2,"f":"kill","process":"nemesis","type":"info","value":["srv-2"],"fault":0,"edge":"begin","place":{"acknowledged":7}}"#,
        r#"{"index":3,"time":2,"process":1,"type":"ok","f":"read","value":{"a":95,"b":105}}"#,
        r#"{"index":4,"time":3,"process":"nemesis","type":"info","f":"kill","value":["srv-2"],"fault":0,"edge":"end","held":true}"#,
        r#"{"index":5,"time":4,"process":"cluster","type":"info","f":"exit","value":["srv-2"],"asked":true,"error":"signal 9"}"#,
    ]);
    assert_eq!(history.cluster[0].what, ClusterWhat::Phase(Phase::Setup));
    assert!(matches!(history.cluster[1].what, ClusterWhat::Exit { asked: true, .. }));
    let span = &history.faults[0];
    assert_eq!((span.begin, span.end, span.held, span.place.acknowledged), (1, Some(3), true, 7));
    assert!(
        matches!(&history.operations[0].completion.as_ref().unwrap().observed, Observed::Balances(pairs) if pairs.len() == 2)
    );
}
