//! The recorder's lines, read back as text: the file is the contract.

use std::net::{Ipv4Addr, SocketAddrV4};

use super::*;

struct Written {
    folder: tempfile::TempDir,
    recorder: Recorder,
}

impl Written {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let recorder = Recorder::create(&folder.path().join("history.jsonl"), RunClock::start()).unwrap();
        Self { folder, recorder }
    }

    /// Each line without its time, after checking that times never go back.
    fn lines(&self) -> Vec<String> {
        self.recorder.finish().unwrap();
        let text = std::fs::read_to_string(self.folder.path().join("history.jsonl")).unwrap();
        let mut last = 0;
        let timeless = |line: &str| {
            let (before, rest) = line.split_once(r#""time":"#).unwrap();
            let (time, after) = rest.split_once(',').unwrap();
            let time: u64 = time.parse().unwrap();
            assert!(time >= last);
            last = time;
            format!("{before}{after}")
        };
        text.lines().map(timeless).collect()
    }
}

fn closed(source: Ipv4Addr, port: u16, delivered: u64) -> Closed {
    Closed { link: Link::ClientsCoord, connection: 0, client: SocketAddrV4::new(source, port), delivered }
}

#[test]
fn operations_are_written_in_the_order_in_which_they_were_told() {
    let written = Written::new();
    let first = written.recorder.invoke(3, Transfer::request("a", "b", 5));
    let second = written.recorder.invoke(4, Transfer::request("b", "a", 0));
    written.recorder.complete(second, None, Err(Reason::ConnectionRefused));
    written.recorder.complete(first, None, Ok([95, 105]));
    assert_eq!(
        written.lines(),
        [
            r#"{"index":0,"process":3,"type":"invoke","f":"transfer","value":{"from":"a","to":"b","amount":5}}"#,
            r#"{"index":1,"process":4,"type":"invoke","f":"transfer","value":{"from":"b","to":"a","amount":0}}"#,
            r#"{"index":2,"process":4,"type":"fail","f":"transfer","value":{"from":"b","to":"a","amount":0},"error":"connection refused"}"#,
            r#"{"index":3,"process":3,"type":"ok","f":"transfer","value":{"from":"a","to":"b","amount":5,"balances":[95,105]}}"#,
        ]
    );
    assert_eq!(*written.recorder.acknowledged().borrow(), 1);
}

#[test]
fn a_request_that_was_never_delivered_is_closed_by_an_evidence_line() {
    let written = Written::new();
    let operation = written.recorder.invoke(0, Transfer::request("a", "b", 5));
    let source = operation.source;
    let local = SocketAddrV4::new(source, 999);
    written.recorder.closed(&closed(source, 999, 0));
    written.recorder.complete(operation, Some(local), Err(Reason::Reset));
    assert_eq!(
        written.lines()[2],
        r#"{"index":2,"process":"evidence","type":"info","f":"never-delivered","value":{"invoke":0}}"#
    );
}

#[test]
fn what_came_on_a_connection_that_a_fault_has_maimed_is_indeterminate_however_it_reads() {
    let written = Written::new();
    let replies = [Ok([95, 10]), Err(Reason::Refused("no".into())), Err(Reason::Unparsable("x".into()))];
    for reply in replies {
        let operation = written.recorder.invoke(0, Transfer::request("a", "b", 5));
        let client = SocketAddrV4::new(operation.source, 999);
        written.recorder.tampered(&Tampered { link: Link::ClientsCoord, connection: 0, client });
        assert_eq!(written.recorder.complete(operation, Some(client), reply), Outcome::Info);
        written.recorder.closed(&closed(*client.ip(), 999, 6));
    }
    let sound = written.recorder.invoke(1, Transfer::request("a", "b", 5));
    let client = SocketAddrV4::new(sound.source, 999);
    written.recorder.tampered(&Tampered { link: Link::CoordSrv(1), connection: 0, client });
    assert_eq!(written.recorder.complete(sound, None, Ok([95, 105])), Outcome::Ok);
    assert_eq!(*written.recorder.acknowledged().borrow(), 1);
    assert!(written.lines()[1].contains(r#""type":"info""#) && written.lines()[1].contains("a fault lost"));
}

#[test]
fn a_replica_links_reports_are_no_evidence_about_clients() {
    let written = Written::new();
    let operation = written.recorder.invoke(0, Transfer::request("a", "b", 5));
    let report = Closed { link: Link::CoordSrv(1), ..closed(operation.source, 999, 0) };
    written.recorder.complete(operation, None, Err(Reason::Timeout));
    written.recorder.closed(&report);
    assert_eq!(written.lines().len(), 2);
}

#[test]
fn faults_and_the_cluster_tell_their_places() {
    let written = Written::new();
    let fault = || FaultLine {
        id: 0,
        kind: FaultKind::Kill,
        nodes: &[Node::Srv(2)],
        messages: BTreeMap::from([(Link::CoordSrv(2), 8)]),
        syncs: BTreeMap::new(),
        links: BTreeMap::new(),
        observed: BTreeMap::new(),
    };
    written.recorder.phase(Phase::Setup, None);
    written.recorder.node_ready(Node::Coord);
    written.recorder.fault_begin(fault());
    written.recorder.fault_end(fault(), true, None);
    written.recorder.fault_skipped(FaultLine { id: 1, ..fault() }, "already down");
    written.recorder.node_exited(Node::Srv(2), true, "signal 9");
    let place = r#""place":{"acknowledged":0,"messages":{"coord-srv-2":8}}"#;
    assert_eq!(
        written.lines(),
        [
            r#"{"index":0,"process":"cluster","type":"info","f":"phase","value":"setup"}"#.to_owned(),
            r#"{"index":1,"process":"cluster","type":"info","f":"ready","value":["coord"]}"#.to_owned(),
            format!(
                r#"{{"index":2,"process":"nemesis","type":"info","f":"kill","value":["srv-2"],"fault":0,"edge":"begin",{place}}}"#
            ),
            format!(
                r#"{{"index":3,"process":"nemesis","type":"info","f":"kill","value":["srv-2"],"fault":0,"edge":"end","held":true,{place}}}"#
            ),
            format!(
                r#"{{"index":4,"process":"nemesis","type":"info","f":"kill","value":["srv-2"],"error":"already down","fault":1,"edge":"skipped",{place}}}"#
            ),
            r#"{"index":5,"process":"cluster","type":"info","f":"exit","value":["srv-2"],"error":"signal 9","asked":true}"#.to_owned(),
        ]
    );
}

#[test]
fn a_full_disk_is_told_once_and_kept_for_the_end() {
    let full = File::options().write(true).open("/dev/full").unwrap();
    let recorder = Recorder::new(full, RunClock::start()).unwrap();
    let failed = recorder.failed();
    assert_eq!(*failed.borrow(), None);
    recorder.phase(Phase::Setup, None);
    assert_eq!(recorder.finish().unwrap_err().kind(), io::ErrorKind::StorageFull);
    assert!(failed.borrow().as_deref().unwrap().contains("No space"));
    recorder.phase(Phase::Heal, None);
    assert_eq!(recorder.finish().unwrap_err().kind(), io::ErrorKind::StorageFull);
}

#[test]
fn an_existing_history_is_not_overwritten() {
    let written = Written::new();
    let path = written.folder.path().join("history.jsonl");
    assert!(Recorder::create(&path, RunClock::start()).is_err());
}
