//! How fast histories of registers and of keys with values are judged.
//!
//! Clients ask one after another, a random one goes on next; operations overlap, and
//! each takes effect somewhere between its two ends. Prints the time of the search
//! (reading is not in it) and operations a second; the figures of one machine stand in
//! docs/benchmarks-models.md. Run with `cargo bench --bench models`.

use std::time::Instant;

use rsm_check::checker::linearizability::Budget;
use rsm_check::checker::models::{KeyValue, Model, Outcome, Register, check, typed};
use rsm_check::history::untyped::read_untyped;

/// splitmix64 (Steele and others 2014).
struct Rng(u64);

impl Rng {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % bound
    }
}

/// What a client is at: nothing, asked, or done with the value that it saw.
#[derive(Clone, Copy)]
enum At {
    Idle,
    Asked { key: u64, write: Option<u64> },
    Done { key: u64, write: Option<u64>, seen: Option<u64> },
}

struct Shape {
    clients: u64,
    operations: u64,
    keys: u64,
    /// Of 1000 operations so many are indeterminate.
    lost: u64,
    /// One read in the middle gives what was never written.
    wrong: bool,
}

fn history(shape: &Shape) -> String {
    let mut rng = Rng(1);
    let mut clients: Vec<(u64, At)> = (0..shape.clients).map(|number| (number, At::Idle)).collect();
    let mut store = vec![None; shape.keys as usize];
    let (mut text, mut index, mut begun, mut next, mut spoilt) =
        (String::new(), 0u64, 0, shape.clients, !shape.wrong);
    while begun < shape.operations {
        let at = rng.below(shape.clients) as usize;
        let (process, state) = clients[at];
        clients[at].1 = match state {
            At::Idle => {
                begun += 1;
                let key = rng.below(shape.keys);
                let write = (rng.below(2) == 0).then(|| rng.below(5));
                line(&mut text, &mut index, process, "invoke", key, write, None);
                At::Asked { key, write }
            }
            At::Asked { key, write } => {
                let value = &mut store[key as usize];
                if write.is_some() {
                    *value = write;
                }
                At::Done { key, write, seen: *value }
            }
            At::Done { .. } if rng.below(1000) < shape.lost => {
                clients[at].0 = next;
                next += 1;
                At::Idle
            }
            At::Done { key, write, seen } => {
                let spoil = !spoilt && begun > shape.operations / 2 && write.is_none();
                spoilt |= spoil;
                let seen = if spoil { Some(99) } else { seen };
                line(&mut text, &mut index, process, "ok", key, write, seen);
                At::Idle
            }
        };
    }
    text
}

fn line(
    text: &mut String,
    index: &mut u64,
    process: u64,
    kind: &str,
    key: u64,
    write: Option<u64>,
    seen: Option<u64>,
) {
    let f = if write.is_some() { "write" } else { "read" };
    let value = write.or(seen).map_or("null".into(), |value| value.to_string());
    text.push_str(&format!(
        "{{\"index\":{index},\"time\":{index},\"process\":{process},\"type\":\"{kind}\",\"f\":\"{f}\",\"value\":[{key},{value}]}}\n"
    ));
    *index += 1;
}

fn judge<M: Model>(name: &str, mut model: M, shape: &Shape) {
    let mut history = read_untyped(history(shape).as_bytes()).expect("the generator writes histories");
    if shape.keys == 1 {
        for operation in &mut history.operations {
            operation.input = operation.input[1].take();
            if let Some(completion) = &mut operation.completion {
                completion.output = completion.output[1].take();
            }
        }
    }
    let operations = typed(&mut model, &history).expect("the model knows its operations");
    let start = Instant::now();
    let outcome =
        check(&model, &operations, &Budget { time: std::time::Duration::from_secs(2), ..Budget::default() });
    let time = start.elapsed();
    let verdict = match outcome {
        Outcome::Linearizable { .. } => "pass",
        Outcome::Violation(_) => "violation",
        Outcome::Undecided { .. } => "undecided",
    };
    let rate = operations.len() as f64 / time.as_secs_f64();
    println!("{name:<44} {:>8}  {verdict:<10} {time:>10.2?} {rate:>12.0} ops/s", operations.len());
}

fn main() {
    for operations in [10_000, 100_000] {
        let plain = Shape { clients: 10, operations, keys: 1, lost: 0, wrong: false };
        judge(&format!("register, 10 clients, {operations}"), Register::default(), &plain);
        let wrong = Shape { wrong: true, ..plain };
        judge(&format!("register, 10 clients, {operations}, one wrong"), Register::default(), &wrong);
        let lost = Shape { lost: 10, wrong: false, ..wrong };
        judge(&format!("register, 10 clients, {operations}, 1 % lost"), Register::default(), &lost);
        let keyed = Shape { keys: 10, lost: 0, wrong: false, ..lost };
        judge(&format!("kv, 10 keys, 10 clients, {operations}"), KeyValue::default(), &keyed);
        let lost = Shape { lost: 10, ..keyed };
        judge(&format!("kv, 10 keys, 10 clients, {operations}, 1 % lost"), KeyValue::default(), &lost);
    }
}
