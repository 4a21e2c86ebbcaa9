//! Random small histories of any model: right by construction, then perhaps spoilt.

use std::fmt::Write;

use super::oracle::{Ask, Kind, NULL, Op, run};

/// A tiny seeded generator (splitmix64, Steele and others 2014).
struct Rng(u64);

impl Rng {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % bound as u64) as usize
    }

    fn chance(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum End {
    Ok,
    Fail,
    Info,
}

#[derive(Clone, Debug)]
pub(super) struct Sketch {
    pub ask: Ask,
    pub told: Vec<i64>,
    pub end: End,
    ran: bool,
    closed: bool,
    never_delivered: bool,
}

/// One case: what was asked, and the order of lines (operation, whether it returns).
#[derive(Clone)]
pub struct Case {
    pub(super) kind: Kind,
    pub(super) sketches: Vec<Sketch>,
    pub(super) lines: Vec<(usize, bool)>,
    /// Nothing was spoilt: it must be accepted.
    pub right: bool,
}

/// A random case of at most `most` operations.
pub fn case(kind: Kind, seed: u64, most: u64) -> Case {
    let mut rng = Rng(seed.wrapping_mul(0x1000_0001) ^ kind as u64);
    let (total, width) = (1 + rng.below(most as usize), 1 + rng.below(6));
    let (doubt, values) = (rng.pick(&[0, 0, 15, 40]), rng.pick(&[2, 3, 10]));
    let mut state = kind.initial();
    let mut case = Case { kind, sketches: Vec::new(), lines: Vec::new(), right: true };
    loop {
        let open: Vec<usize> = (0..case.sketches.len()).filter(|&at| !case.sketches[at].closed).collect();
        if open.is_empty() && case.sketches.len() == total {
            break;
        }
        if case.sketches.len() < total && open.len() < width && (open.is_empty() || rng.chance(45)) {
            case.lines.push((case.sketches.len(), false));
            case.sketches.push(sketch(&mut rng, kind, doubt, values));
            continue;
        }
        let at = rng.pick(&open);
        let sketch = &mut case.sketches[at];
        if !sketch.ran {
            happen(&mut rng, sketch, &mut state, kind);
        } else {
            sketch.closed = true;
            if sketch.end != End::Info || rng.chance(50) {
                case.lines.push((at, true));
            }
        }
    }
    if rng.chance(65) {
        case.right = false;
        (0..1 + rng.below(2)).for_each(|_| spoil(&mut rng, &mut case));
    }
    case
}

fn sketch(rng: &mut Rng, kind: Kind, doubt: usize, values: usize) -> Sketch {
    let fs: &[&'static str] = match kind {
        Kind::Register => &["read", "write"],
        Kind::CasRegister | Kind::Kv => &["read", "write", "cas"],
        Kind::Mutex => &["acquire", "release"],
        Kind::FifoQueue => &["enqueue", "dequeue"],
        Kind::Set | Kind::Counter => &["add", "add", "read"],
    };
    let value = |rng: &mut Rng| {
        if rng.chance(5) && matches!(kind, Kind::Register | Kind::CasRegister | Kind::Kv) {
            return NULL;
        }
        rng.below(values) as i64 - i64::from(kind == Kind::Counter)
    };
    let key = if kind == Kind::Kv { rng.below(2) } else { 0 };
    let ask = Ask { f: rng.pick(fs), key, a: value(rng), b: value(rng) };
    let end = if rng.chance(doubt) {
        End::Info
    } else if rng.chance(3) {
        End::Fail
    } else {
        End::Ok
    };
    Sketch { ask, told: Vec::new(), end, ran: false, closed: false, never_delivered: false }
}

/// The operation takes effect now, if it does at all.
fn happen(rng: &mut Rng, sketch: &mut Sketch, state: &mut Vec<i64>, kind: Kind) {
    sketch.ran = true;
    if sketch.end == End::Fail || (sketch.end == End::Info && rng.chance(40)) {
        sketch.never_delivered = sketch.end == End::Info && rng.chance(20);
        return;
    }
    let mut after = state.clone();
    match run(&mut after, &sketch.ask, kind) {
        Some(told) => (*state, sketch.told) = (after, told),
        None if sketch.end == End::Ok => sketch.end = End::Fail,
        None => {}
    }
}

/// Something is told, ordered or known otherwise than it was; it may still be right.
fn spoil(rng: &mut Rng, case: &mut Case) {
    let at = rng.below(case.sketches.len());
    match rng.below(6) {
        0..=2 => {
            let from = rng.below(case.sketches.len());
            let (told, f) = (case.sketches[from].told.clone(), case.sketches[from].ask.f);
            let sketch = &mut case.sketches[at];
            if case.kind == Kind::Mutex {
                sketch.ask.f = if sketch.ask.f == "acquire" { "release" } else { "acquire" };
            } else if case.kind == Kind::Set && f == "read" && sketch.ask.f == "read" && rng.chance(60) {
                let value = rng.below(3) as i64;
                match sketch.told.binary_search(&value) {
                    Ok(found) => drop(sketch.told.remove(found)),
                    Err(missing) => sketch.told.insert(missing, value),
                }
            } else if f == sketch.ask.f && rng.chance(40) && (case.kind == Kind::Set || !told.is_empty()) {
                sketch.told = told;
            } else if let Some(value) = sketch.told.first_mut() {
                *value = rng.below(4) as i64;
                sketch.told.sort_unstable();
                sketch.told.dedup();
            }
        }
        3 => {
            let end = rng.pick(&[End::Ok, End::Fail, End::Info]);
            let sketch = &mut case.sketches[at];
            let knows = case.kind != Kind::FifoQueue || sketch.ask.f != "dequeue" || !sketch.told.is_empty();
            let knows =
                knows && (sketch.ask.f != "read" || case.kind == Kind::Set || !sketch.told.is_empty());
            if knows && case.lines.contains(&(at, true)) {
                (sketch.end, sketch.never_delivered) = (end, false);
            }
        }
        4 => {
            let sketch = &mut case.sketches[at];
            sketch.ask.a = rng.below(3) as i64;
        }
        _ => {
            // A return moves towards its invocation: fewer orders respect real time.
            let Some(from) = case.lines.iter().position(|&line| line == (at, true)) else { return };
            let first = case.lines.iter().position(|&line| line == (at, false)).unwrap_or(0);
            let line = case.lines.remove(from);
            case.lines.insert(first + 1 + rng.below(from - first), line);
        }
    }
}

fn json(value: i64) -> String {
    if value == NULL { "null".into() } else { value.to_string() }
}

impl Case {
    /// What brute force judges.
    pub fn ops(&self) -> Vec<Op> {
        let position = |line| self.lines.iter().position(|&found| found == line);
        let listed = (0..self.sketches.len())
            .filter(|&at| self.sketches[at].end != End::Fail && !self.sketches[at].never_delivered);
        let op = |at: usize| {
            let sketch = &self.sketches[at];
            let returns = if sketch.end == End::Ok { position((at, true)) } else { None };
            let told = (returns.is_some()).then(|| sketch.told.clone());
            Op { ask: sketch.ask.clone(), told, invoke: position((at, false)).unwrap_or(0), returns }
        };
        listed.map(op).collect()
    }

    /// The same as a history file.
    pub fn text(&self) -> String {
        let mut text = String::new();
        for (index, &(at, returns)) in self.lines.iter().enumerate() {
            let sketch = &self.sketches[at];
            let kind = match (returns, sketch.end) {
                (false, _) => "invoke",
                (true, End::Ok) => "ok",
                (true, End::Fail) => "fail",
                (true, End::Info) => "info",
            };
            let value = self.value(sketch, kind == "ok");
            let f = sketch.ask.f;
            let _ = writeln!(
                text,
                r#"{{"index":{index},"time":{index},"process":{at},"type":"{kind}","f":"{f}","value":{value}}}"#
            );
        }
        self.evidence(&mut text);
        text
    }

    fn evidence(&self, text: &mut String) {
        let closed = (0..self.sketches.len()).filter(|&at| self.sketches[at].never_delivered);
        for (index, at) in (self.lines.len()..).zip(closed) {
            let invoke = self.lines.iter().position(|&line| line == (at, false)).unwrap_or(0);
            let _ = writeln!(
                text,
                r#"{{"index":{index},"time":{index},"process":"evidence","type":"info","f":"never-delivered","value":{{"invoke":{invoke}}}}}"#
            );
        }
    }

    fn value(&self, sketch: &Sketch, ok: bool) -> String {
        let Ask { f, key, a, b } = sketch.ask;
        let told = || sketch.told.iter().map(|&value| json(value)).collect::<Vec<_>>().join(",");
        let value = match f {
            "read" if ok && self.kind == Kind::Set => format!("[{}]", told()),
            "read" | "dequeue" if ok => told(),
            "read" | "dequeue" | "acquire" | "release" => "null".into(),
            "cas" => format!("[{},{}]", json(a), json(b)),
            _ => json(a),
        };
        if self.kind == Kind::Kv { format!("[{key},{value}]") } else { value }
    }
}
