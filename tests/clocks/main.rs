//! Clock faults, seen from inside real programs: static and dynamic C, Python behind a
//! wrapper script, children that are forked and that execute something else.
//!
//! Needs a C compiler (which Rust needs to link) and Python 3.

#![cfg(target_arch = "x86_64")]

use std::io::{BufRead, BufReader, PipeReader, PipeWriter, Write};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use rsm_check::cluster::clock::{Change, Clocks, Skew, Traced, spawn};

const SECOND: i64 = 1_000_000_000;
/// What a reading may lie outside its bracket: it is told in whole microseconds.
const GRAIN: i64 = 1_000;
/// The coarse clock and `time` follow the timer interrupt.
const TICK: i64 = 20_000_000;

/// A program that answers each line with the time, and its clocks.
struct Teller {
    clocks: Clocks,
    exit: tokio::sync::oneshot::Receiver<std::process::ExitStatus>,
    ask: PipeWriter,
    told: BufReader<PipeReader>,
}

impl Teller {
    fn start(mut command: Command) -> Self {
        let (theirs, ask) = std::io::pipe().unwrap();
        let (told, tell) = std::io::pipe().unwrap();
        command.stdin(theirs).stdout(tell);
        let ((), Traced { clocks, exit }) = spawn(command, Skew::default(), || Ok(())).unwrap();
        Self { clocks, exit, ask, told: BufReader::new(told) }
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.told.read_line(&mut line).unwrap();
        line.trim().to_owned()
    }

    /// What it tells, and the host's time just before and just after.
    fn reading(&mut self) -> (i64, Vec<i64>, i64) {
        let before = host();
        self.ask.write_all(b"\n").unwrap();
        let line = self.line();
        (before, line.split(' ').map(|word| word.parse().expect(&line)).collect(), host())
    }

    /// Asserts that what it shows first is `ahead` of the host's clock.
    fn shows(&mut self, ahead: i64) -> Vec<i64> {
        let (before, told, after) = self.reading();
        let host = told[0] - ahead;
        let bracket = before - GRAIN..=after + GRAIN;
        assert!(bracket.contains(&host), "{host} is not in {bracket:?}: off by {} ns", host - before);
        told
    }

    fn end(mut self) {
        drop(self.ask);
        assert_eq!(self.told.read_line(&mut String::new()).unwrap(), 0);
        assert!(self.exit.blocking_recv().unwrap().success());
    }
}

fn host() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos() as i64
}

fn compiled(dir: &Path, name: &str, flags: &[&str]) -> PathBuf {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clocks").join(name).with_extension("c");
    let program = dir.join(name);
    let mut compiler = Command::new("cc");
    compiler.args(["-O2", "-pthread"]).args(flags).arg("-o").arg(&program).arg(source);
    assert!(compiler.status().unwrap().success(), "cc {flags:?} cannot compile {name}.c");
    program
}

fn python(code: &str) -> Command {
    let mut command = Command::new("python3");
    command.args(["-u", "-c", code]);
    command
}

const TELL: &str = "import sys, time
for line in sys.stdin: print(time.time_ns(), flush=True)";

/// A jump, another, a rate, and back to the right time.
fn goes_through_everything(teller: &mut Teller) {
    teller.shows(0);
    assert!(teller.clocks.change(Change::Jump(3_600 * SECOND)).held());
    teller.shows(3_600 * SECOND);
    assert!(teller.clocks.change(Change::Jump(-7_200 * SECOND)).held());
    teller.shows(-3_600 * SECOND);
    let applied = teller.clocks.change(Change::Rate(2.0));
    assert!(applied.held());
    let (begun, told, _) = teller.reading();
    let skew = teller.clocks.skew();
    assert!(told[0] >= skew.at(begun) - GRAIN && told[0] <= skew.at(host()) + GRAIN);
    assert!(teller.clocks.change(Change::Heal).held());
    teller.shows(0);
}

#[test]
fn a_static_program_sees_every_change_by_every_call_and_its_monotonic_clock_does_not_move() {
    let dir = tempfile::tempdir().unwrap();
    let mut teller = Teller::start(Command::new(compiled(dir.path(), "teller", &["-static"])));
    let steady = teller.shows(0)[2];
    let ahead = -86_400 * SECOND;
    assert!(teller.clocks.change(Change::Jump(ahead)).held());
    let told = teller.shows(ahead);
    let (real, coarse, even, day, seconds) = (told[0], told[1], told[2], told[3], told[4]);
    assert!((real - TICK..=real).contains(&coarse), "{told:?}");
    assert!((real - GRAIN..real + SECOND).contains(&day), "{told:?}");
    assert!(((real - TICK) / SECOND..=real / SECOND + 1).contains(&seconds), "{told:?}");
    assert!((steady..steady + 60 * SECOND).contains(&even), "{told:?}");
    assert!(teller.clocks.change(Change::Heal).held());
    goes_through_everything(&mut teller);
    teller.end();
}

#[test]
fn a_dynamic_program_sees_every_change() {
    let dir = tempfile::tempdir().unwrap();
    let mut teller = Teller::start(Command::new(compiled(dir.path(), "teller", &[])));
    goes_through_everything(&mut teller);
    teller.end();
}

#[test]
fn python_behind_a_script_that_executes_it_sees_every_change() {
    let dir = tempfile::tempdir().unwrap();
    let script = dir.path().join("wrapper");
    std::fs::write(&script, format!("#!/bin/sh\nexec python3 -u -c '{TELL}'\n")).unwrap();
    let mut command = Command::new("sh");
    command.arg(script);
    let mut teller = Teller::start(command);
    goes_through_everything(&mut teller);
    teller.end();
}

#[test]
fn python_behind_a_script_that_waits_for_it_sees_every_change_and_so_does_a_forked_child() {
    let dir = tempfile::tempdir().unwrap();
    let script = dir.path().join("wrapper");
    let forks = "import os, sys, time
if os.fork():
    os.wait()
    sys.exit(0)
for line in sys.stdin: print(time.time_ns(), flush=True)";
    std::fs::write(&script, format!("#!/bin/sh\npython3 -u -c '{forks}'\nexit 0\n")).unwrap();
    let mut command = Command::new("sh");
    command.arg(script);
    let mut teller = Teller::start(command);
    goes_through_everything(&mut teller);
    let applied = teller.clocks.change(Change::Jump(1));
    assert_eq!(applied.processes.len(), 3, "the shell, Python and its child: {applied:?}");
    teller.end();
}

#[test]
fn a_child_that_begins_while_the_clock_is_wrong_is_born_with_the_wrong_clock() {
    let children = "import subprocess, sys
for line in sys.stdin:
    print(subprocess.run([sys.executable, \"-c\", \"import time; print(time.time_ns())\"],
                         capture_output=True, text=True).stdout.strip(), flush=True)";
    let mut teller = Teller::start(python(children));
    teller.shows(0);
    for ahead in [1_000 * SECOND, 2_000 * SECOND] {
        assert!(teller.clocks.change(Change::Jump(1_000 * SECOND)).held());
        teller.shows(ahead);
    }
    teller.end();
}

#[test]
fn a_thousand_live_changes_under_four_busy_threads_show_old_or_new_and_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let mut busy = Teller::start(Command::new(compiled(dir.path(), "busy", &["-static"])));
    assert_eq!(busy.line(), "ready");
    for change in 0..1_000 {
        let by = if change % 3 == 2 { -1_000 } else { 1_000 };
        let applied = busy.clocks.change(Change::Jump(by * SECOND));
        assert!(applied.held(), "{applied:?}");
    }
    let Teller { ask, mut told, exit, .. } = busy;
    drop(ask);
    let mut line = String::new();
    told.read_line(&mut line).unwrap();
    let (answers, wrong) = line.trim().split_once(' ').unwrap();
    assert!(answers.parse::<u64>().unwrap() > 1_000, "{line}");
    assert_eq!(wrong, "0", "of {answers} answers");
    assert!(exit.blocking_recv().unwrap().success());
}

/// The monotonic clock, and how far real time is ahead of it: the smallest of brackets.
fn monotonic() -> i64 {
    let now = nix::time::clock_gettime(nix::time::ClockId::CLOCK_MONOTONIC).unwrap();
    now.tv_sec() * SECOND + now.tv_nsec()
}

fn real_ahead() -> i64 {
    let bracket = || {
        let (before, real, after) = (monotonic(), host(), monotonic());
        (after - before, real - (before + after) / 2)
    };
    (0..1_000).map(|_| bracket()).min().unwrap().1
}

/// What was in force from the moment when its change began to the end of the next one.
struct InForce {
    ahead: i64,
    since: i64,
    until: i64,
}

/// Whether a program that has just been executed told a time that was right for it.
fn fits(told: &str, base: i64, spans: &[InForce]) -> bool {
    const TOLERANCE: i64 = 200_000;
    let words: Vec<i64> = told.trim().split(' ').map(|word| word.parse().expect(told)).collect();
    let &[before, real, after] = &words[..] else { panic!("{told}") };
    spans.iter().any(|span| {
        let host = real - span.ahead - base;
        span.since <= after
            && before <= span.until
            && (before - TOLERANCE..=after + TOLERANCE).contains(&host)
    })
}

#[test]
fn a_change_while_programs_are_being_executed_reaches_each_from_its_first_instruction_on() {
    let dir = tempfile::tempdir().unwrap();
    let Teller { clocks, exit, ask, told } =
        Teller::start(Command::new(compiled(dir.path(), "execs", &["-static"])));
    let base = real_ahead();
    let (tell, hear) = std::sync::mpsc::channel();
    let listener = std::thread::spawn(move || {
        told.lines().map(Result::unwrap).for_each(|line| tell.send(line).unwrap());
    });
    let mut spans = vec![InForce { ahead: 0, since: 0, until: i64::MAX }];
    let mut heard: Vec<String> = Vec::new();
    for turn in 0.. {
        heard.extend(hear.try_iter());
        if heard.len() >= 300 && turn >= 400 {
            break;
        }
        let since = monotonic();
        let change = if turn % 5 == 4 { Change::Heal } else { Change::Jump(1_000 * SECOND) };
        let mut applied = clocks.change(change);
        let until = monotonic();
        while !applied.pending.is_empty() {
            std::thread::yield_now();
            applied = clocks.look();
        }
        assert!(applied.held(), "{applied:?}");
        let skew = clocks.skew();
        spans.last_mut().unwrap().until = until;
        spans.push(InForce { ahead: skew.shown_ns - skew.since_ns, since, until: i64::MAX });
    }
    drop(ask);
    assert!(exit.blocking_recv().unwrap().success());
    listener.join().unwrap();
    heard.extend(hear.try_iter());
    let wrong: Vec<_> = heard.iter().filter(|told| !fits(told, base, &spans)).collect();
    assert!(wrong.is_empty(), "{} of {}, first {:?}", wrong.len(), heard.len(), wrong.first());
}

#[test]
fn a_program_whose_clock_cannot_be_changed_is_named_though_it_came_and_went_meanwhile() {
    let dir = tempfile::tempdir().unwrap();
    let old = compiled(dir.path(), "old", &["-m32", "-static", "-nostdlib", "-fno-pie"]);
    let mut shell = Command::new("sh");
    shell.arg("-c").arg("while read line; do \"$0\"; echo $?; done").arg(&old);
    let mut shell = Teller::start(shell);
    assert!(shell.clocks.change(Change::Jump(SECOND)).held());
    shell.ask.write_all(b"\n").unwrap();
    let status = shell.line();
    if status == "126" || status == "127" {
        eprintln!("skipped: this kernel executes no 32-bit programs");
        return;
    }
    assert_eq!(status, "0");
    let applied = shell.clocks.change(Change::Heal);
    let [(_, why)] = &applied.missed[..] else { panic!("{applied:?}") };
    assert!(why.contains("64-bit") && !applied.held(), "{applied:?}");
    shell.ask.write_all(b"\n").unwrap();
    assert_eq!(shell.line(), "0");
    assert!(shell.clocks.change(Change::Jump(SECOND)).held(), "under the right clock nothing was missed");
    shell.end();
}

#[test]
fn a_program_under_a_wrong_clock_can_be_paused_and_resumed_and_signals_reach_it() {
    let code = "import os, signal, sys, time
signal.signal(signal.SIGUSR1, lambda *_: print(\"usr1\", flush=True))
print(os.getpid(), flush=True)
for line in sys.stdin: print(time.time_ns(), flush=True)";
    let mut teller = Teller::start(python(code));
    let pid = Pid::from_raw(teller.line().parse().unwrap());
    let state = || {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
        stat.rsplit_once(") ").unwrap().1.chars().next().unwrap()
    };
    let wait = |what: &str, condition: &dyn Fn() -> bool| {
        let began = std::time::Instant::now();
        while !condition() {
            assert!(began.elapsed() < Duration::from_secs(20), "{what}; it is in state {}", state());
            std::thread::yield_now();
        }
    };
    teller.shows(0);
    kill(pid, Signal::SIGSTOP).unwrap();
    wait("it stops", &|| matches!(state(), 'T' | 't'));
    assert!(teller.clocks.change(Change::Jump(5 * SECOND)).held(), "while it is stopped");
    kill(pid, Signal::SIGCONT).unwrap();
    wait("it goes on", &|| !matches!(state(), 'T' | 't'));
    teller.shows(5 * SECOND);
    kill(pid, Signal::SIGUSR1).unwrap();
    assert_eq!(teller.line(), "usr1");
    let reached = teller.clocks.clone();
    teller.end();
    assert!(!reached.change(Change::Jump(1)).held(), "nobody is left");
}

#[test]
fn a_killed_program_is_reported_with_its_signal_and_a_missing_one_is_an_error() {
    let mut teller =
        Teller::start(python("import os, sys\nprint(os.getpid(), flush=True)\nsys.stdin.read()"));
    let pid = Pid::from_raw(teller.line().parse().unwrap());
    kill(pid, Signal::SIGKILL).unwrap();
    use std::os::unix::process::ExitStatusExt;
    assert_eq!(teller.exit.blocking_recv().unwrap().signal(), Some(9));
    assert!(spawn(Command::new("/no/such/program"), Skew::default(), || Ok(())).is_err());
}

#[test]
#[ignore = "needs a Java runtime"]
fn java_sees_every_change() {
    let dir = tempfile::tempdir().unwrap();
    let source = dir.path().join("Teller.java");
    let code = "class Teller { public static void main(String[] a) throws Exception {
        var in = new java.io.BufferedReader(new java.io.InputStreamReader(System.in));
        while (in.readLine() != null) { var now = java.time.Instant.now();
            System.out.println(now.getEpochSecond() * 1_000_000_000L + now.getNano()); } } }";
    std::fs::write(&source, code).unwrap();
    let mut command = Command::new("java");
    command.arg(source);
    let mut teller = Teller::start(command);
    goes_through_everything(&mut teller);
    teller.end();
}

#[test]
#[ignore = "needs a Go compiler"]
fn go_sees_every_change() {
    let dir = tempfile::tempdir().unwrap();
    let source = dir.path().join("teller.go");
    let code = "package main
import (\"bufio\"; \"fmt\"; \"os\"; \"time\")
func main() { in := bufio.NewScanner(os.Stdin); for in.Scan() { fmt.Println(time.Now().UnixNano()) } }";
    std::fs::write(&source, code).unwrap();
    let program = dir.path().join("teller");
    let mut compiler = Command::new("go");
    compiler.arg("build").arg("-o").arg(&program).arg(&source).current_dir(dir.path());
    assert!(compiler.env("GOFLAGS", "-mod=mod").env("GO111MODULE", "off").status().unwrap().success());
    let mut teller = Teller::start(Command::new(program));
    goes_through_everything(&mut teller);
    teller.end();
}
