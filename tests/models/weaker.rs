//! Sequential consistency and session guarantees of all models against brute force.

use std::collections::BTreeMap;

use rsm_check::checker::diagnosis::{Answer, Guarantee};
use rsm_check::checker::models::by_text;
use rsm_check::op::Outcome;

use super::oracle::{self, Kind, Op};
use super::sessions::{Act, truth};
use super::small::case;
use super::{budget, read};

fn process(seed: u64, at: usize) -> u64 {
    (at as u64 * 5 + seed) % (1 + seed % 3)
}

fn act(seed: u64, at: usize, op: &Op) -> Act {
    let required = op.returns.is_some();
    let tells = match op.ask.f {
        "read" | "dequeue" | "cas" | "acquire" | "release" => required,
        _ => false,
    };
    Act { process: process(seed, at), required, writes: op.ask.f != "read", tells }
}

fn agrees(kind: Kind, count: u64, different: usize) {
    use Guarantee::{ConsistentPrefix, MonotonicReads, ReadYourWrites, Sequential};
    let mut kinds = BTreeMap::new();
    for seed in 0..count {
        let case = case(kind, seed, 6);
        let ops = case.ops();
        let acts: Vec<Act> = ops.iter().enumerate().map(|(at, op)| act(seed, at, op)).collect();
        let truth = truth(&acts, kind.initial(), &|state, at| {
            let mut after = state.clone();
            oracle::right(kind, &mut after, &ops[at]).then_some(after)
        });
        let mut history = read(&case);
        let happened = history.operations.iter_mut().filter(|asked| asked.outcome() != Outcome::Fail);
        happened.enumerate().for_each(|(at, operation)| operation.process = process(seed, at));
        for (guarantee, truth) in
            [Sequential, MonotonicReads, ReadYourWrites, ConsistentPrefix].into_iter().zip(truth)
        {
            let mut model = by_text(kind.name()).unwrap();
            let found = match model.diagnose(&history, guarantee, &budget()).unwrap() {
                Answer::Yes(_) => Some(true),
                Answer::No => Some(false),
                Answer::Unknown => None,
            };
            assert_eq!(found, Some(truth), "{}, seed {seed}, {guarantee:?}:\n{}", kind.name(), case.text());
        }
        *kinds.entry(truth).or_insert(0) += 1;
    }
    eprintln!("{}: {kinds:?}", kind.name());
    assert!(kinds.len() >= different, "{}: no mix: {kinds:?}", kind.name());
}

#[test]
fn weaker_guarantees_of_registers_and_keys_agree_with_brute_force() {
    agrees(Kind::Register, 3_000, 5);
    agrees(Kind::CasRegister, 3_000, 5);
    agrees(Kind::Kv, 3_000, 5);
}

#[test]
fn weaker_guarantees_of_the_other_models_agree_with_brute_force() {
    agrees(Kind::Mutex, 1_000, 2);
    agrees(Kind::FifoQueue, 3_000, 3);
    agrees(Kind::Set, 3_000, 5);
    agrees(Kind::Counter, 3_000, 5);
}

#[test]
fn a_violation_of_a_model_tells_which_process_read_backwards() {
    let line = |index: u32, process: u32, kind: &str, f: &str, value: &str| {
        format!(
            r#"{{"index":{index},"time":{index},"process":{process},"type":"{kind}","f":"{f}","value":{value}}}"#
        )
    };
    let both = |index, process, f, asked, told| {
        [line(index, process, "invoke", f, asked), line(index + 1, process, "ok", f, told)].join("\n")
    };
    let text = [
        both(0, 0, "write", "1", "1"),
        both(2, 0, "write", "2", "2"),
        both(4, 3, "read", "null", "2"),
        both(6, 3, "read", "null", "1"),
        both(8, 4, "read", "null", "2"),
        both(10, 5, "read", "null", "1"),
    ];
    let (first, all) = (text[..4].join("\n") + "\n", text.join("\n") + "\n");
    let said = |text: &str| {
        let history = rsm_check::history::untyped::read_untyped(text.as_bytes()).unwrap();
        let (result, _) = by_text("register").unwrap().judge_and_claim(&history, &budget()).unwrap();
        result.details.into_iter().filter(|line| line.starts_with("diagnosis")).collect::<Vec<_>>()
    };
    // Writes of one process may come in another order there: nothing is read backwards.
    assert!(said(&first).iter().any(|line| line.ends_with("keeps monotonic reads (an order is known)")));
    assert_eq!(said(&all), said(&first));
    let twice = first + &both(12, 3, "read", "null", "2") + "\n";
    let lines = said(&twice);
    assert!(
        lines
            .iter()
            .any(|line| line.contains("breaks monotonic reads for process 3")
                && line.contains("#12 read of 2")),
        "{lines:#?}"
    );
}
