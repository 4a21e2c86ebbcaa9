//! The models against brute force, and the properties that must hold of them.

#[path = "../../benches/models/history.rs"]
mod history;
mod long;
mod notation;
mod oracle;
mod properties;
#[path = "../linearizability/sessions.rs"]
mod sessions;
mod small;
mod weaker;

use std::time::Duration;

use oracle::Kind;
use rsm_check::checker::linearizability::Budget;
use rsm_check::checker::models::{STAGES, Stage, by_text};
use rsm_check::history::untyped::{UntypedHistory, read_untyped};
use rsm_check::verdict::Verdict;
use small::{Case, case};

fn budget() -> Budget {
    Budget { time: Duration::from_secs(20), memory: 1 << 30 }
}

/// Stages that small histories would not come to, made as narrow as they can be.
const LATE: [Stage; 5] =
    [Stage::Narrow(1), Stage::Relaxed(64), Stage::Beam(1), Stage::Beam(3), Stage::Exact(usize::MAX)];

fn read(case: &Case) -> UntypedHistory {
    read_untyped(case.text().as_bytes()).unwrap_or_else(|why| panic!("{why}\n{}", case.text()))
}

/// The verdict as a boolean. A pass was replayed by the checker itself: an order that
/// does not hold is `undecided`, which is an error here.
fn judged(kind: Kind, history: &UntypedHistory) -> Result<bool, String> {
    judged_in(kind, history, &STAGES)
}

fn judged_in(kind: Kind, history: &UntypedHistory, stages: &[Stage]) -> Result<bool, String> {
    let result = by_text(kind.name())
        .unwrap()
        .judge_in_stages(history, &budget(), stages)
        .map_err(|why| why.to_string())?;
    match result.verdict {
        Some(Verdict::Pass) => Ok(true),
        Some(Verdict::Violation) if !result.details.is_empty() => Ok(false),
        _ if result.message.contains("no operation was acknowledged") => Ok(true),
        _ => Err(format!("{result:?}")),
    }
}

/// Compares `count` random histories from `first` on; says how many were wrong ones.
fn compare(kind: Kind, first: u64, count: u64, most: u64) -> u64 {
    let mut violations = 0;
    for seed in first..first + count {
        let case = case(kind, seed, most);
        let truth = oracle::linearizable(kind, &case.ops());
        assert!(
            truth || !case.right,
            "{}, seed {seed}: the generator is wrong\n{}",
            kind.name(),
            case.text()
        );
        let history = read(&case);
        for stages in [&STAGES[..], &LATE] {
            let verdict = judged_in(kind, &history, stages);
            assert_eq!(
                verdict,
                Ok(truth),
                "{}, seed {seed}, most {most}, {stages:?}:\n{}",
                kind.name(),
                case.text()
            );
        }
        violations += u64::from(!truth);
    }
    violations
}

fn some(kind: Kind) {
    let violations = compare(kind, 0, 2_500, 6) + compare(kind, 1_000_000, 1_500, 10);
    assert!((200..3_600).contains(&violations), "{violations} of 4000 are violations: no even mix");
}

#[test]
fn registers_agree_with_brute_force() {
    some(Kind::Register);
}

#[test]
fn registers_with_cas_agree_with_brute_force() {
    some(Kind::CasRegister);
}

#[test]
fn keys_with_values_agree_with_brute_force() {
    some(Kind::Kv);
}

#[test]
fn locks_agree_with_brute_force() {
    some(Kind::Mutex);
}

#[test]
fn queues_agree_with_brute_force() {
    some(Kind::FifoQueue);
}

#[test]
fn sets_agree_with_brute_force() {
    some(Kind::Set);
}

#[test]
fn counters_agree_with_brute_force() {
    some(Kind::Counter);
}

#[test]
fn nothing_happens_more_often_than_it_was_asked_for_while_room_is_scarce() {
    // The lost enqueue may come first; if it could come again, the queue would grow for ever.
    let lines = [
        r#"{"index":0,"time":0,"process":1,"type":"invoke","f":"enqueue","value":1}"#,
        r#"{"index":1,"time":1,"process":2,"type":"invoke","f":"enqueue","value":0}"#,
        r#"{"index":2,"time":2,"process":1,"type":"ok","f":"enqueue","value":1}"#,
        r#"{"index":3,"time":3,"process":2,"type":"info","f":"enqueue","value":0}"#,
        r#"{"index":4,"time":4,"process":3,"type":"invoke","f":"dequeue","value":null}"#,
        r#"{"index":5,"time":5,"process":3,"type":"ok","f":"dequeue","value":0}"#,
        r#"{"index":6,"time":6,"process":4,"type":"invoke","f":"dequeue","value":null}"#,
        r#"{"index":7,"time":7,"process":4,"type":"ok","f":"dequeue","value":1}"#,
    ];
    let history = read_untyped((lines.join("\n") + "\n").as_bytes()).unwrap();
    let scarce = Budget { memory: 1 << 20, ..budget() };
    let result = by_text("fifo-queue").unwrap().judge_in_stages(&history, &scarce, &LATE).unwrap();
    assert_eq!(result.verdict, Some(Verdict::Pass), "{result:?}");
}

/// `RSM_CHECK_MODEL` chooses one model, `RSM_CHECK_CASES` how many each.
#[test]
#[ignore = "minutes; run it in release: cargo test --release --test models -- --ignored --nocapture"]
fn very_many_small_histories_agree_with_brute_force() {
    let number =
        |name: &str, default| std::env::var(name).ok().and_then(|n| n.parse().ok()).unwrap_or(default);
    let (count, first) = (number("RSM_CHECK_CASES", 200_000), number("RSM_CHECK_SEED", 10_000_000));
    let only = std::env::var("RSM_CHECK_MODEL").ok();
    for kind in Kind::ALL {
        if only.as_ref().is_none_or(|only| only == kind.name()) {
            // What is decided without a search must hold where more is open, too.
            let most = if matches!(kind, Kind::FifoQueue | Kind::Counter) { 13 } else { 10 };
            let violations =
                compare(kind, first, count / 2, 7) + compare(kind, first + count, count - count / 2, most);
            eprintln!("{}: {count} histories compared, {violations} violations among them", kind.name());
        }
    }
}

#[test]
fn processes_and_times_do_not_matter() {
    for kind in Kind::ALL {
        for seed in 500_000..500_300 {
            let plain = read(&case(kind, seed, 8));
            let mut other = plain.clone();
            for operation in &mut other.operations {
                operation.process = 1_000_000 - operation.process;
                operation.invoke += 77;
                if let Some(completion) = &mut operation.completion {
                    completion.index += 77;
                }
            }
            assert_eq!(judged(kind, &plain), judged(kind, &other), "{}, seed {seed}", kind.name());
        }
    }
}
