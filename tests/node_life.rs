//! Nodes as the cluster runs them: real processes, wrappers, descendants that
//! try to get away. Needs only a POSIX shell as the program under test.

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use nix::unistd::Pid;
use regex::Regex;
use rsm_check::clock::RunClock;
use rsm_check::cluster::launch::{Launch, Placeholders};
use rsm_check::cluster::node::{Life, NodeProcess, Setup, StartError, Watcher};
use rsm_check::cluster::proxy::{Proxy, ProxyThread};
use rsm_check::fault::{Link, Node};
use rsm_check::workload::{self, Workload};

/// Starts a grandchild in a session of its own, which names the node's directory
/// on its command line, and prints its port.
const WRAPPER: &str = r#"sh -c '
    : > {dir}/grandchild
    setsid tail -f {dir}/grandchild &
    echo "Listening on port 4711 ..."
    sleep 1000 & wait' {data}"#;

#[derive(Default)]
struct Notes(Mutex<Vec<String>>);

impl Watcher for Notes {
    fn started(&self, node: Node) {
        self.0.lock().unwrap().push(format!("{node} started"));
    }
    fn ready(&self, node: Node) {
        self.0.lock().unwrap().push(format!("{node} ready"));
    }
    fn exited(&self, node: Node, asked: bool, status: &str) {
        self.0.lock().unwrap().push(format!("{node} exited asked={asked} {status}"));
    }
}

struct Stage {
    node: NodeProcess,
    notes: Arc<Notes>,
    dir: tempfile::TempDir,
    _proxies: ProxyThread,
}

fn stage(command: &str, start_ceiling: Duration) -> Stage {
    stage_with(command, start_ceiling, false)
}

fn stage_with(command: &str, start_ceiling: Duration, clocks: bool) -> Stage {
    let dir = tempfile::tempdir().unwrap();
    let text = serde_json::json!({"name": "x", "duration": "1s", "cluster": {"srv": {"command": command}}});
    let workload: Workload = workload::parse("test", &text.to_string()).unwrap();
    let proxies = ProxyThread::start().unwrap();
    let link = Link::CoordSrv(1);
    let proxy = Proxy::start(link, Arc::new(()), RunClock::start(), proxies.handle()).unwrap();
    let notes = Arc::new(Notes::default());
    let setup = Setup {
        node: Node::Srv(1),
        launch: Launch::srv(&workload).unwrap(),
        placeholders: Placeholders {
            data: dir.path().join("data"),
            dir: dir.path().into(),
            name: Node::Srv(1),
            ports: vec![],
        },
        log: dir.path().join("output.log"),
        ready: Regex::new(&workload.cluster.srv.ready).unwrap(),
        start_ceiling,
        stop_signal: Signal::SIGTERM,
        clocks,
        proxy: Arc::new(proxy),
        watcher: notes.clone(),
    };
    Stage { node: NodeProcess::new(setup), notes, dir, _proxies: proxies }
}

/// The process that follows the file in this directory.
fn grandchild(dir: &Path) -> Option<Pid> {
    let file = dir.join("grandchild").display().to_string();
    let follows = |pid: &i32| {
        let words = std::fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        words.split('\0').collect::<Vec<_>>().starts_with(&["tail", "-f", &file])
    };
    let entries = std::fs::read_dir("/proc").unwrap();
    let mut pids = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    pids.find(follows).map(Pid::from_raw)
}

fn state(pid: Pid) -> Option<char> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(") ")?.1.chars().next()
}

async fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let ceiling = Instant::now() + Duration::from_secs(20);
    while !holds() {
        assert!(Instant::now() < ceiling, "waited 20 s in vain: {what}");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

async fn running_grandchild(stage: &Stage) -> Pid {
    eventually("the grandchild runs", || grandchild(stage.dir.path()).is_some()).await;
    grandchild(stage.dir.path()).unwrap()
}

const CEILING: Duration = Duration::from_secs(20);

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_reaches_a_grandchild_in_a_session_of_its_own() {
    let stage = stage(WRAPPER, CEILING);
    stage.node.start().await.unwrap();
    assert_eq!(stage.node.life(), Life::Up);
    let pid = running_grandchild(&stage).await;
    stage.node.kill().await.unwrap();
    assert_eq!(stage.node.life(), Life::Down);
    eventually("the grandchild is gone", || state(pid).is_none()).await;
    let notes = stage.notes.0.lock().unwrap().join("; ");
    assert_eq!(notes, "srv-1 started; srv-1 ready; srv-1 exited asked=true ended by SIGKILL");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pause_stops_wrapper_and_grandchild_and_a_resume_lets_them_go_on() {
    let stage = stage(WRAPPER, CEILING);
    stage.node.start().await.unwrap();
    let pid = running_grandchild(&stage).await;
    assert!(stage.node.pause().await.unwrap());
    assert_eq!(state(pid), Some('T'));
    assert_eq!(stage.node.life(), Life::Paused);
    assert!(stage.node.resume().await.unwrap());
    assert_ne!(state(pid), Some('T'));
    stage.node.kill().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_comes_back_after_a_kill() {
    let stage = stage(WRAPPER, CEILING);
    for _ in 0..3 {
        stage.node.start().await.unwrap();
        stage.node.kill().await.unwrap();
    }
    assert!(matches!(stage.node.kill().await, Err(StartError::Unfit { life: Life::Down, .. })));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_exit_that_nobody_asked_for_is_told_with_status_and_last_lines() {
    let command = r#"sh -c 'echo "Listening on port 4711"; echo "I give up"; exit 7' {data}"#;
    let stage = stage(command, CEILING);
    let _ = stage.node.start().await;
    let last = || stage.notes.0.lock().unwrap().last().unwrap().clone();
    eventually("the watcher hears of it", || last().contains("exited")).await;
    assert_eq!(stage.node.life(), Life::Gone);
    let last = last();
    assert!(last.starts_with("srv-1 exited asked=false exit status 7"), "{last}");
    assert!(last.contains("I give up"), "{last}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_stays_silent_is_given_up_after_its_ceiling() {
    let stage = stage("sh -c 'echo hello; sleep 1000' {data}", Duration::from_millis(300));
    let error = stage.node.start().await.unwrap_err().to_string();
    assert!(error.contains("did not print its port within 300ms") && error.contains("hello"), "{error}");
    assert_eq!(stage.node.life(), Life::Gone);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_ends_before_it_is_ready_is_told_with_its_words() {
    let stage = stage("sh -c 'echo no such disk; exit 3' {data}", CEILING);
    let error = stage.node.start().await.unwrap_err().to_string();
    assert!(error.contains("exit status 3") && error.contains("no such disk"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_ignores_the_stop_signal_is_killed_after_its_grace() {
    let command =
        r#"sh -c 'trap "" TERM; echo "Listening on port 4711"; while :; do sleep 1000; done' {data}"#;
    let stage = stage(command, CEILING);
    stage.node.start().await.unwrap();
    assert!(!stage.node.stop(Duration::from_millis(100)).await);
    assert_eq!(stage.node.life(), Life::Down);
}

/// The wrapper dies of the signal at once, the program behind it writes its file
/// first: that is what the grace is for.
#[tokio::test(flavor = "multi_thread")]
async fn a_program_behind_a_wrapper_gets_its_grace_too() {
    let command = r#"sh -c '
        sh -c "trap \"sleep 0.3; echo all > {dir}/written; exit 0\" TERM
            echo Listening on port 4711
            while :; do sleep 0.05; done" &
        wait' {data}"#;
    let stage = stage(command, CEILING);
    stage.node.start().await.unwrap();
    assert!(stage.node.stop(CEILING).await);
    let written = std::fs::read_to_string(stage.dir.path().join("written"));
    assert_eq!(written.ok().as_deref(), Some("all\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paused_node_ends_on_its_stop_signal() {
    let command =
        r#"sh -c 'trap "exit 0" TERM; echo "Listening on port 4711"; while :; do sleep 0.05; done' {data}"#;
    let stage = stage(command, CEILING);
    stage.node.start().await.unwrap();
    stage.node.pause().await.unwrap();
    assert!(stage.node.stop(CEILING).await);
}

/// Writes the time of day, as a program that it executes anew each time tells it.
#[cfg(target_arch = "x86_64")]
const CLOCK: &str = r#"sh -c '
    echo "Listening on port 4711 ..."
    while true; do date +%s > {dir}/part; mv {dir}/part {dir}/time; done' {data}"#;

/// Waits until a node's programs show a time so many seconds from the host's.
#[cfg(target_arch = "x86_64")]
async fn shows(stage: &Stage, ahead: i64) {
    let file = stage.dir.path().join("time");
    let _ = std::fs::remove_file(&file);
    eventually("the node shows the time", || {
        let host = std::time::UNIX_EPOCH.elapsed().unwrap().as_secs() as i64;
        let told = std::fs::read_to_string(&file).ok().and_then(|text| text.trim().parse::<i64>().ok());
        told.is_some_and(|told| (told - ahead - host).abs() <= 3)
    })
    .await;
}

#[cfg(target_arch = "x86_64")]
#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_clock_reaches_what_a_node_executes_and_outlasts_pause_and_restart() {
    use rsm_check::cluster::clock::Change;
    let hour = 3_600;
    let stage = stage_with(CLOCK, CEILING, true);
    stage.node.start().await.unwrap();
    shows(&stage, 0).await;
    let applied = stage.node.change_clock(Change::Jump(hour * 1_000_000_000)).await.unwrap();
    assert!(applied.held(), "{applied:?}");
    shows(&stage, hour).await;
    for _ in 0..50 {
        assert!(stage.node.pause().await.unwrap());
        assert!(stage.node.resume().await.unwrap());
    }
    shows(&stage, hour).await;
    stage.node.kill().await.unwrap();
    let applied = stage.node.change_clock(Change::Jump(hour * 1_000_000_000)).await.unwrap();
    assert!(!applied.held(), "nobody is there: {applied:?}");
    stage.node.start().await.unwrap();
    shows(&stage, 2 * hour).await;
    assert!(stage.node.change_clock(Change::Heal).await.unwrap().held());
    shows(&stage, 0).await;
    assert!(stage.node.stop(Duration::from_secs(5)).await);
    let notes = stage.notes.0.lock().unwrap().join("; ");
    assert!(
        notes.contains("exited asked=true ended by SIGKILL")
            && notes.ends_with("asked=true ended by SIGTERM"),
        "{notes}"
    );
}

#[tokio::test]
async fn the_clock_of_a_node_that_is_not_traced_cannot_be_changed_and_says_so() {
    use rsm_check::cluster::clock::Change;
    let stage = stage(WRAPPER, CEILING);
    stage.node.start().await.unwrap();
    let refused = stage.node.change_clock(Change::Jump(1)).await.unwrap_err();
    assert!(refused.contains("srv-1") && refused.contains("not traced"), "{refused}");
    stage.node.kill().await.unwrap();
}
