//! What must hold of every model whatever its history: names do not matter, and one
//! change of a history that was right is judged as brute force judges it.

use serde_json::Value;

use super::oracle::{self, Kind};
use super::small::{Case, End, case};
use super::{LATE, judged, judged_in, read};

/// Another value for each value: a text, or for a counter a multiple.
fn renamed(kind: Kind, value: &Value) -> Value {
    match value {
        Value::Array(items) => items.iter().map(|item| renamed(kind, item)).collect(),
        Value::Number(number) if kind == Kind::Counter => (number.as_i64().unwrap() * -3).into(),
        Value::Number(number) => format!("<{number}>").into(),
        other => other.clone(),
    }
}

#[test]
fn names_of_values_and_keys_do_not_matter() {
    for kind in Kind::ALL {
        for seed in 700_000..700_500 {
            let plain = read(&case(kind, seed, 9));
            let mut other = plain.clone();
            for operation in &mut other.operations {
                operation.input = renamed(kind, &operation.input);
                if let Some(completion) = &mut operation.completion {
                    completion.output = renamed(kind, &completion.output);
                }
            }
            assert_eq!(judged(kind, &plain), judged(kind, &other), "{}, seed {seed}", kind.name());
        }
    }
}

/// The history with one acknowledged operation changed, dropped, doubled or moved.
fn mutations(case: &Case, at: usize) -> Vec<Case> {
    let place = |line| case.lines.iter().position(|&found| found == line);
    let (Some(from), Some(to)) = (place((at, false)), place((at, true))) else { return Vec::new() };
    let made = |change: &dyn Fn(&mut Case)| {
        let mut other = Case { right: false, ..case.clone() };
        change(&mut other);
        other
    };
    vec![
        made(&|other| changed(other, at)),
        made(&|other| {
            other.lines.remove(to);
            other.sketches[at].end = End::Info;
        }),
        made(&|other| {
            let copy = other.sketches.len();
            other.sketches.push(other.sketches[at].clone());
            other.lines.splice(to + 1..to + 1, [(copy, false), (copy, true)]);
        }),
        made(&|other| {
            let line = other.lines.remove(to);
            other.lines.insert(from + 1, line);
        }),
        made(&|other| {
            let line = other.lines.remove(from);
            other.lines.insert(to - 1, line);
        }),
    ]
}

/// Something else was told; where nothing is told, asked.
fn changed(case: &mut Case, at: usize) {
    let sketch = &mut case.sketches[at];
    match (case.kind, sketch.ask.f) {
        (Kind::Mutex, "acquire") => sketch.ask.f = "release",
        (Kind::Mutex, _) => sketch.ask.f = "acquire",
        (Kind::Set, "read") => match sketch.told.binary_search(&1) {
            Ok(found) => drop(sketch.told.remove(found)),
            Err(missing) => sketch.told.insert(missing, 1),
        },
        (_, "read" | "dequeue") => sketch.told = vec![(sketch.told[0].max(0) + 1) % 4],
        _ => sketch.ask.a = (sketch.ask.a.max(0) + 1) % 3,
    }
}

#[test]
fn one_change_of_a_right_history_is_judged_as_brute_force_does() {
    for kind in Kind::ALL {
        let (mut right, mut wrong) = (0, 0);
        for case in (800_000..801_000).map(|seed| case(kind, seed, 8)).filter(|case| case.right) {
            let ended_ok = (0..case.sketches.len()).filter(|&at| case.sketches[at].end == End::Ok);
            for other in ended_ok.flat_map(|at| mutations(&case, at)) {
                let truth = oracle::linearizable(kind, &other.ops());
                let history = read(&other);
                assert_eq!(judged(kind, &history), Ok(truth), "{}:\n{}", kind.name(), other.text());
                assert_eq!(judged_in(kind, &history, &LATE), Ok(truth), "{}:\n{}", kind.name(), other.text());
                (right, wrong) = (right + u64::from(truth), wrong + u64::from(!truth));
            }
        }
        assert!(right > 300 && wrong > 300, "{}: {right} right, {wrong} wrong: no even mix", kind.name());
    }
}
