//! Histories of any size for the models: right by construction, or spoilt in one place.
//!
//! Clients ask one after another, a random one goes on next; operations overlap, and
//! each takes effect somewhere between its two ends. Does not judge.

use std::collections::VecDeque;
use std::fmt::Write;

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

/// What is to be written.
#[derive(Clone, Copy)]
pub struct Shape {
    pub model: &'static str,
    pub clients: u64,
    pub operations: u64,
    /// Of 1000 operations so many are indeterminate; every second of them took effect.
    pub lost: u64,
    /// One result after the middle is changed into another that is possible elsewhere.
    pub wrong: bool,
}

/// The store that the clients use.
#[derive(Default)]
struct Store {
    cells: [Option<u64>; 10],
    held: bool,
    queue: VecDeque<u64>,
    members: Vec<u64>,
    sum: u64,
    next: u64,
}

struct Call {
    f: &'static str,
    key: usize,
    a: u64,
    b: u64,
}

enum At {
    Idle,
    Asked(Call),
    /// What is told, or that it failed.
    Done(Call, Option<String>),
}

/// Different values of a register, and of a key.
const VALUES: u64 = 5;
/// Different members of a set.
const MEMBERS: u64 = 200;

/// The history as JSON lines.
pub fn history(shape: &Shape) -> String {
    let mut rng = Rng(1);
    let mut clients: Vec<(u64, At)> = (0..shape.clients).map(|number| (number, At::Idle)).collect();
    let (mut store, mut text, mut index) = (Store::default(), String::new(), 0u64);
    let (mut begun, mut next, mut spoilt) = (0, shape.clients, !shape.wrong);
    while begun < shape.operations {
        let at = rng.below(shape.clients) as usize;
        let process = clients[at].0;
        let mut tell = |kind: &str, f: &str, value: &str| {
            let _ = writeln!(
                text,
                r#"{{"index":{index},"time":{index},"process":{process},"type":"{kind}","f":"{f}","value":{value}}}"#
            );
            index += 1;
        };
        clients[at].1 = match std::mem::replace(&mut clients[at].1, At::Idle) {
            At::Idle => {
                begun += 1;
                let call = ask(&mut rng, shape.model, &mut store);
                tell("invoke", call.f, &asked(shape.model, &call));
                At::Asked(call)
            }
            At::Asked(call) if waits(&call, &store) => At::Asked(call),
            At::Asked(call) if rng.below(1000) < shape.lost => {
                // A lock that was never taken or given back would stop all clients.
                if shape.model == "mutex" || rng.below(2) == 0 {
                    run(shape.model, &call, &mut store);
                }
                clients[at].0 = next;
                next += 1;
                At::Idle
            }
            At::Asked(call) => {
                let told = run(shape.model, &call, &mut store);
                At::Done(call, told)
            }
            At::Done(call, Some(told)) => {
                let spoil = !spoilt && begun > shape.operations / 2;
                let other = if spoil { spoil_it(shape.model, &call, &told, &store) } else { None };
                spoilt |= other.is_some();
                tell("ok", call.f, &other.unwrap_or(told));
                At::Idle
            }
            At::Done(call, None) => {
                tell("fail", call.f, &asked(shape.model, &call));
                At::Idle
            }
        };
    }
    text
}

fn ask(rng: &mut Rng, model: &str, store: &mut Store) -> Call {
    let f = match model {
        "register" | "kv" => ["read", "write"][rng.below(2) as usize],
        "cas-register" => ["read", "write", "cas"][rng.below(3) as usize],
        "mutex" => ["acquire", "release"][usize::from(store.next == 1)],
        "fifo-queue" => ["enqueue", "dequeue"][rng.below(2) as usize],
        _ => ["add", "read"][rng.below(2) as usize],
    };
    store.next += u64::from(f == "enqueue");
    if model == "mutex" {
        // The next that is asked is the other one, so that one release follows each.
        store.next = 1 - store.next;
    }
    let (a, b) = match model {
        "fifo-queue" => (store.next, 0),
        "set" => (rng.below(MEMBERS), 0),
        _ => (rng.below(VALUES), rng.below(VALUES)),
    };
    Call { f, key: if model == "kv" { rng.below(10) as usize } else { 0 }, a, b }
}

/// Whoever wants what another has waits for it.
fn waits(call: &Call, store: &Store) -> bool {
    call.f == "acquire" && store.held || call.f == "release" && !store.held
}

/// Carries out; what is told, or `None` if it failed.
fn run(model: &str, call: &Call, store: &mut Store) -> Option<String> {
    let Call { f, key, a, b } = *call;
    let keyed = |value: String| if model == "kv" { format!("[{key},{value}]") } else { value };
    match (model, f) {
        ("set", "read") => Some(format!("{:?}", store.members)),
        ("counter", "read") => Some(store.sum.to_string()),
        (_, "read") => Some(keyed(json(store.cells[key]))),
        (_, "write") => {
            store.cells[key] = Some(a);
            Some(asked(model, call))
        }
        (_, "cas") => (store.cells[key] == Some(a)).then(|| {
            store.cells[key] = Some(b);
            asked(model, call)
        }),
        (_, "acquire" | "release") => {
            store.held = f == "acquire";
            Some("null".into())
        }
        (_, "enqueue") => {
            store.queue.push_back(a);
            Some(a.to_string())
        }
        (_, "dequeue") => store.queue.pop_front().map(|value| value.to_string()),
        ("counter", _) => {
            store.sum += a;
            Some(a.to_string())
        }
        _ => {
            if let Err(at) = store.members.binary_search(&a) {
                store.members.insert(at, a);
            }
            Some(a.to_string())
        }
    }
}

fn json(value: Option<u64>) -> String {
    value.map_or("null".into(), |value| value.to_string())
}

fn asked(model: &str, call: &Call) -> String {
    let value = match call.f {
        "read" | "dequeue" | "acquire" | "release" => "null".into(),
        "cas" => format!("[{},{}]", call.a, call.b),
        _ => call.a.to_string(),
    };
    if model == "kv" { format!("[{},{value}]", call.key) } else { value }
}

/// Another result for this operation, if it tells something that can be changed.
fn spoil_it(model: &str, call: &Call, told: &str, store: &Store) -> Option<String> {
    match (model, call.f) {
        ("register" | "cas-register", "read") => Some("99".into()),
        ("kv", "read") => Some(format!("[{},99]", call.key)),
        // What was taken is taken once more.
        ("fifo-queue", "dequeue") => told.parse::<u64>().ok().map(|value| (value - 1).to_string()),
        ("set", "read") => Some(format!("{:?}", &store.members[1..])),
        ("counter", "read") => Some((store.sum + 1_000).to_string()),
        _ => None,
    }
}
