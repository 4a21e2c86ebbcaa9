//! Cores and witnesses written by hand: honest ones hold, dishonest ones do not.

use serde_json::{Value, json};

use super::model::Kind;
use super::*;
use crate::history::History;
use crate::history::data_file::DataFile;
use crate::history::read::read;
use crate::history::untyped::read_untyped;
use crate::proof::{About, Constraint, Core, Demand, Orders, Start};

/// One line of a history: process, type, f, value.
fn line(index: usize, (process, kind, f, value): &(u64, &str, &str, Value)) -> String {
    json!({"index": index, "time": index, "process": process, "type": kind, "f": f, "value": value})
        .to_string()
}

type Lines = Vec<(u64, &'static str, &'static str, Value)>;

fn text(lines: &Lines) -> String {
    lines.iter().enumerate().map(|(index, told)| line(index, told) + "\n").collect()
}

fn asked(from: &str, to: &str, amount: i64) -> Value {
    json!({"from": from, "to": to, "amount": amount})
}

fn told(from: &str, to: &str, amount: i64, balances: [i64; 2]) -> Value {
    json!({"from": from, "to": to, "amount": amount, "balances": balances})
}

const RULES: Rules = Rules { initial: 100, least_left: Some(1), negative: true };

/// What is found about a claim, with a clock that never stops anybody.
fn found<S: Subject>(subject: &S, claim: Claim) -> Finding {
    let about = About { operations: 0, finals: 0, fingerprint: String::new() };
    verify(subject, &Proof::new("", about, claim), &mut Effort::new(&|| false, 1 << 30))
}

#[track_caller]
fn confirmed(finding: Finding) -> String {
    match finding {
        Finding::Confirmed(words) => words,
        other => panic!("{other:?}"),
    }
}

#[track_caller]
fn refuted(finding: Finding, says: &str) {
    assert!(matches!(&finding, Finding::Refuted(why) if why.contains(says)), "{says}: {finding:?}");
}

fn core(constraints: &[(u32, Demand)]) -> Core {
    let constraints = constraints.iter().map(|&(operation, demand)| Constraint { operation, demand });
    Core { constraints: constraints.collect(), ..Core::default() }
}

use Demand::{Explained, HappenedInTime, MayHaveHappened};

/// 0: a->b 5 seen; 1: b->a 1 nobody knows; 2: a->b 5 that saw the state before 0 and 1;
/// 3: failed; 4: an unrelated read; 5: a transfer after everything.
fn lost_update() -> History {
    let lines = vec![
        (0, "invoke", "transfer", asked("a", "b", 5)),
        (0, "ok", "transfer", told("a", "b", 5, [95, 105])),
        (1, "invoke", "transfer", asked("b", "a", 1)),
        (1, "info", "transfer", asked("b", "a", 1)),
        (2, "invoke", "transfer", asked("a", "b", 7)),
        (3, "invoke", "transfer", asked("a", "b", 50)),
        (3, "fail", "transfer", asked("a", "b", 50)),
        (4, "invoke", "read", Value::Null),
        (4, "ok", "read", json!({"c": 100})),
        (2, "ok", "transfer", told("a", "b", 7, [93, 107])),
        (5, "invoke", "transfer", asked("a", "b", 1)),
        (5, "ok", "transfer", told("a", "b", 1, [92, 108])),
    ];
    read(text(&lines).as_bytes()).unwrap()
}

fn judge(history: &History, core: Core) -> Finding {
    found(&Bank::new(RULES, history, []), Claim::Core(core))
}

#[test]
fn an_honest_core_is_confirmed() {
    let history = lost_update();
    let words = confirmed(judge(&history, core(&[(0, Explained), (1, MayHaveHappened), (2, Explained)])));
    assert_eq!(words, "no order meets the 3 constraints of the core");
    confirmed(judge(&history, core(&[(0, HappenedInTime), (1, MayHaveHappened), (2, Explained)])));
}

#[test]
fn a_core_that_some_order_meets_is_refuted_with_that_order() {
    let history = lost_update();
    let weak = core(&[(0, MayHaveHappened), (1, MayHaveHappened), (2, Explained)]);
    refuted(judge(&history, weak), "this order meets every constraint of the core: operations 2");
    refuted(judge(&history, core(&[])), "order meets every constraint of the core: nothing at all");
}

#[test]
fn a_core_that_asks_for_more_or_leaves_out_what_matters_is_refuted() {
    let history = lost_update();
    let refused =
        |constraints: &[(u32, Demand)], says: &str| refuted(judge(&history, core(constraints)), says);
    refused(&[(0, Explained), (2, Explained)], "operation 1 may have an effect that matters and is left out");
    refused(&[(1, MayHaveHappened), (2, Explained)], "operation 0 may have an effect");
    refused(&[(0, Explained), (1, HappenedInTime), (2, Explained)], "nobody knows whether operation 1");
    refused(
        &[(0, Explained), (1, MayHaveHappened), (2, Explained), (3, MayHaveHappened)],
        "operation 3 did not",
    );
    refused(
        &[(0, Explained), (1, MayHaveHappened), (2, Explained), (9, Explained)],
        "operation 9 does not exist",
    );
    refused(
        &[(2, Explained), (1, MayHaveHappened), (0, Explained)],
        "operation 1 is not listed in ascending",
    );
    refused(&[(0, Explained), (0, Explained)], "operation 0 is not listed in ascending");
    let elsewhere = Core { part: 1, ..core(&[(0, Explained)]) };
    refuted(judge(&history, elsewhere), "operation 0 is of another part");
}

#[test]
fn a_final_file_is_a_constraint_like_any_other_and_comes_after_all() {
    let history = lost_update();
    let good = DataFile { time: String::new(), balances: vec![("a".into(), 1)] };
    let bank = Bank::new(RULES, &history, [("srv-1", &good)]);
    let all = [0, 1, 2, 5].map(|number| (number, MayHaveHappened));
    let with = |more: &[(u32, Demand)]| found(&bank, Claim::Core(core(&[&all[..], more].concat())));
    confirmed(with(&[(6, Explained)]));
    refuted(with(&[(6, HappenedInTime)]), "this order meets");
    let without = core(&[(0, MayHaveHappened), (1, MayHaveHappened), (2, MayHaveHappened), (6, Explained)]);
    refuted(found(&bank, Claim::Core(without)), "operation 5 may have an effect");
}

/// 0: a->b 5 seen; 1: a->b 10 open over the cut at index 4; 2: a read open over it;
/// 3: a read that sees neither what was nor what can be.
fn cut_history() -> History {
    let lines = vec![
        (0, "invoke", "transfer", asked("a", "b", 5)),
        (1, "invoke", "transfer", asked("a", "b", 10)),
        (2, "invoke", "read", Value::Null),
        (0, "ok", "transfer", told("a", "b", 5, [95, 105])),
        (3, "invoke", "read", Value::Null),
        (2, "ok", "read", json!({"a": 100})),
        (1, "ok", "transfer", asked("a", "b", 10)),
        (3, "ok", "read", json!({"a": 100})),
    ];
    read(text(&lines).as_bytes()).unwrap()
}

fn start(a: i64, b: i64, happened: &[u32]) -> Start {
    Start { state: json!({"a": a, "b": b}), happened: happened.to_vec() }
}

fn cut(start: &[Start], constraints: &[(u32, Demand)]) -> Core {
    Core { cut: 4, start: start.to_vec(), ..core(constraints) }
}

const AFTER: [(u32, Demand); 3] = [(1, Explained), (2, Explained), (3, Explained)];

#[test]
fn start_states_are_found_anew_and_a_superset_is_fine() {
    let history = cut_history();
    let honest = [start(95, 105, &[]), start(95, 105, &[2])];
    let words = confirmed(judge(&history, cut(&honest, &AFTER)));
    assert!(words.ends_with("from any of the 2 start states at line index 4"), "{words}");
    let more = [&honest[..], &[start(85, 115, &[1]), start(85, 115, &[1, 2])]].concat();
    confirmed(judge(&history, cut(&more, &AFTER)));
    // The read that is open at the cut is not listed, so whether it took place is nothing.
    confirmed(judge(&history, cut(&[start(95, 105, &[])], &[(1, MayHaveHappened), (3, Explained)])));
}

#[test]
fn start_states_that_are_wrong_or_too_few_are_refuted() {
    let history = cut_history();
    let refused = |start: &[Start], constraints: &[(u32, Demand)], says: &str| {
        refuted(judge(&history, cut(start, constraints)), says);
    };
    let few = [start(95, 105, &[])];
    refused(&few, &AFTER, "in a way that is no start state: with operations 2 that had taken effect");
    refused(&[], &AFTER, "in a way that is no start state");
    refused(&[start(90, 110, &[]), start(90, 110, &[2])], &AFTER, "in a way that is no start state");
    refused(&[start(100, 100, &[])], &[(1, MayHaveHappened), (3, Explained)], "from start 0, this order");
    refused(&few, &[(0, Explained), (3, Explained)], "operation 0 returned before the cut");
    refused(&few, &[(3, Explained)], "operation 1 may have an effect that matters");
    refused(&[start(95, 105, &[1])], &[(3, Explained)], "in a way that is no start state");
    refused(&[start(95, 105, &[0])], &AFTER, "operation 0 is not open at the cut");
    refused(&[start(95, 105, &[3])], &AFTER, "operation 3 is not open at the cut");
    refused(&[start(95, 105, &[2, 1])], &AFTER, "not ascending");
    let stranger = Start { state: json!({"z": 1}), happened: vec![] };
    refused(&[stranger], &AFTER, "knows no account `z`");
    let uncut = Core { start: few.to_vec(), ..core(&[&[(0, Explained)][..], &AFTER].concat()) };
    refuted(judge(&history, uncut), "nothing is cut off");
}

#[test]
fn what_the_search_has_no_time_for_is_undecided_and_says_how_far_it_came() {
    let history = cut_history();
    let bank = Bank::new(RULES, &history, []);
    let honest = [start(95, 105, &[]), start(95, 105, &[2])];
    let about = About { operations: 4, finals: 0, fingerprint: String::new() };
    let proof = Proof::new("bank", about, Claim::Core(cut(&honest, &AFTER)));
    let mut words = Vec::new();
    for memory in 0..2000 {
        let never = || false;
        match verify(&bank, &proof, &mut Effort::new(&never, memory)) {
            Finding::Undecided(why) => words.push(why),
            Finding::Confirmed(_) => break,
            Finding::Refuted(why) => panic!("{why}"),
        }
    }
    words.dedup();
    let says = ["the core may or may not hold", "the start states were not confirmed"];
    assert_eq!(words.len(), 2, "{words:?}");
    assert!(words.iter().zip(says).all(|(word, says)| word.contains(says)), "{words:?}");
}

#[test]
fn time_is_looked_at_too() {
    let lines: Lines = (0..12).map(|p| (p, "invoke", "transfer", asked("a", "b", p as i64 + 1))).collect();
    let mut lines = lines;
    lines.extend((0..12).map(|p| (p, "ok", "transfer", told("a", "b", p as i64 + 1, [-1, 1]))));
    let history = read(text(&lines).as_bytes()).unwrap();
    let bank = Bank::new(RULES, &history, []);
    let all: Vec<_> = (0..12).map(|number| (number, HappenedInTime)).chain([]).collect();
    let mut one = core(&all);
    one.constraints[11].demand = Explained;
    let about = About { operations: 12, finals: 0, fingerprint: String::new() };
    let proof = Proof::new("bank", about, Claim::Core(one));
    let finding = verify(&bank, &proof, &mut Effort::new(&|| true, 1 << 30));
    assert!(matches!(&finding, Finding::Undecided(why) if why.contains("ran out of time")), "{finding:?}");
    confirmed(verify(&bank, &proof, &mut Effort::new(&|| false, 1 << 30)));
}

fn others(kind: Kind, lines: &Lines) -> Others {
    let history = read_untyped(text(lines).as_bytes()).unwrap();
    let initial = if kind == Kind::Counter { json!(0) } else { Value::Null };
    Others::new(kind, &initial, &history).unwrap()
}

#[test]
fn a_core_of_one_key_leaves_the_other_keys_alone() {
    let lines = vec![
        (0, "invoke", "write", json!(["x", 1])),
        (0, "ok", "write", json!(["x", 1])),
        (0, "invoke", "write", json!(["y", 2])),
        (0, "ok", "write", json!(["y", 2])),
        (0, "invoke", "read", json!(["y", null])),
        (0, "ok", "read", json!(["y", 1])),
    ];
    let history = others(Kind::Kv, &lines);
    let of = |part, constraints: &[(u32, Demand)]| {
        found(&history, Claim::Core(Core { part, ..core(constraints) }))
    };
    confirmed(of(1, &[(1, Explained), (2, Explained)]));
    refuted(of(0, &[(1, Explained), (2, Explained)]), "of another part");
    refuted(of(1, &[(2, Explained)]), "operation 1 may have an effect");
    let cut = |value| Core {
        part: 1,
        cut: 4,
        start: vec![Start { state: value, happened: vec![] }],
        ..core(&[(2, Explained)])
    };
    confirmed(found(&history, Claim::Core(cut(json!(2)))));
    refuted(found(&history, Claim::Core(cut(json!(1)))), "from start 0");
    refuted(found(&history, Claim::Core(cut(json!(null)))), "in a way that is no start state");
    refuted(found(&history, Claim::Core(cut(json!("no such value")))), "never names");
}

#[test]
fn states_of_every_model_are_told_in_their_notation() {
    let kinds = [
        (Kind::Mutex, "acquire", json!(null), json!(true), json!("held")),
        (Kind::FifoQueue, "enqueue", json!(7), json!([7]), json!(7)),
        (Kind::Set, "add", json!(7), json!([7]), json!({"7": true})),
        (Kind::Counter, "add", json!(7), json!(7), json!([7])),
        (Kind::Register, "write", json!(7), json!(7), json!(8)),
    ];
    for (kind, f, value, right, wrong) in kinds {
        let lines = vec![(0, "invoke", f, value.clone()), (0, "ok", f, value)];
        let subject = others(kind, &lines);
        let cut = |state| Core { cut: 2, start: vec![Start { state, happened: vec![] }], ..Core::default() };
        // Nothing is asked, so an order of nothing meets it; the state was understood.
        refuted(found(&subject, Claim::Core(cut(right))), "from start 0, this order meets every constraint");
        refuted(found(&subject, Claim::Core(cut(wrong))), "start 0: ");
    }
}

#[test]
fn a_witness_that_mixes_parts_or_gives_a_part_twice_is_refuted() {
    let lines = vec![
        (0, "invoke", "write", json!(["x", 1])),
        (1, "invoke", "write", json!(["y", 2])),
        (2, "invoke", "read", json!(["x", null])),
        (0, "ok", "write", json!(null)),
        (1, "ok", "write", json!(null)),
        (2, "ok", "read", json!(["x", 1])),
    ];
    let history = others(Kind::Kv, &lines);
    let of = |orders: &[&[u32]]| {
        found(&history, Claim::Witness(Orders(orders.iter().map(|order| order.to_vec()).collect())))
    };
    assert_eq!(confirmed(of(&[&[0, 2], &[1]])), "an order of 3 operations in 2 parts explains everything");
    confirmed(of(&[&[1], &[], &[0, 2]]));
    refuted(of(&[&[0, 1, 2]]), "operation 1 is of another part");
    refuted(of(&[&[0], &[2], &[1]]), "part 0 has two orders");
    refuted(of(&[&[0, 2]]), "operation 1 is missing");
    refuted(of(&[&[2, 0], &[1]]), "operation 2");
    refuted(of(&[&[0, 2, 2], &[1]]), "operation 2 is listed twice");
    refuted(of(&[&[0, 2], &[1, 4_000_000_000]]), "operation 4000000000 does not exist");
}
