//! Random small histories: right by construction, then perhaps spoilt.
//!
//! Everything that an engine might get wrong is likely here: guards that matter,
//! indeterminate transfers, transfers onto the same account, unknown results,
//! negative and huge amounts, files that differ. A second mix has many operations
//! open at once, all of them with known results: batches of several moves.

use rsm_check::checker::bank::{BankModel, Guard, Negative};
use rsm_check::checker::linearizability::Final;
use rsm_check::history::data_file::DataFile;
use rsm_check::history::{AccountId, Call, Completion, History, Observed, Operation};
use rsm_check::op::Outcome;

/// A tiny seeded generator (splitmix64, Steele and others 2014).
#[derive(Clone)]
pub struct Rng(pub u64);

impl Rng {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Below `bound`, which is not 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    pub fn chance(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    pub fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len() as u64) as usize]
    }
}

/// One case: a history with its model and final files.
#[derive(Clone, Debug)]
pub struct Case {
    pub model: BankModel,
    pub history: History,
    pub finals: Vec<Final>,
    /// Nothing was spoilt: it must be accepted.
    pub right: bool,
}

#[derive(Clone)]
struct Sketch {
    call: Call,
    outcome: Outcome,
    observed: Observed,
    done: bool,
    closed: bool,
    delivered: bool,
}

/// What random histories are made of.
struct Mix {
    initial: &'static [i64],
    amounts: &'static [i64],
    /// Fewest accounts, and how many numbers of them there may be.
    accounts: (u32, u64),
    /// Most operations open at once, and how many such bounds there are from there on.
    open: (usize, u64),
    /// How likely an operation begins rather than ends, in percent.
    invoke: u64,
    /// How likely operations take effect first, before one that did returns, in percent.
    late: u64,
    /// Chances of an operation without a definite end, in percent.
    doubt: &'static [u64],
    /// How likely a transfer tells no balances, in percent.
    silent: u64,
}

const EVERYTHING: Mix = Mix {
    initial: &[1, 2, 3, 5, 10, 100, 0, -1, i64::MAX - 2],
    amounts: &[1, 1, 2, 2, 3, 4, 5, 0, -1, -2, 60, i64::MAX, i64::MIN],
    accounts: (2, 3),
    open: (1, 6),
    invoke: 40,
    late: 0,
    doubt: &[0, 0, 15, 40],
    silent: 12,
};

const CROWDED: Mix = Mix {
    initial: &[1, 2, 3, 4],
    amounts: &[1, 1, 2, 2, 3, 4],
    accounts: (2, 5),
    open: (5, 6),
    invoke: 75,
    late: 70,
    doubt: &[0],
    silent: 0,
};

/// A random case of at most `most` operations.
pub fn case(seed: u64, most: u64) -> Case {
    mixed(seed, most, &EVERYTHING)
}

/// A random case in which up to ten operations with known results are open at once.
pub fn crowded(seed: u64, most: u64) -> Case {
    mixed(seed, most, &CROWDED)
}

fn mixed(seed: u64, most: u64, mix: &Mix) -> Case {
    let mut rng = Rng(seed);
    let model = BankModel {
        initial: rng.pick(mix.initial),
        guard: rng.pick(&[Guard::Strict, Guard::Strict, Guard::AtLeast, Guard::None]),
        negative: rng.pick(&[Negative::Allowed, Negative::Refused]),
    };
    let accounts = mix.accounts.0 + rng.below(mix.accounts.1) as u32;
    let mut bank = vec![model.initial; accounts as usize];
    let (mut sketches, mut lines): (Vec<Sketch>, Vec<(usize, bool)>) = (Vec::new(), Vec::new());
    let (total, open_most, doubt) =
        (1 + rng.below(most), mix.open.0 + rng.below(mix.open.1) as usize, rng.pick(mix.doubt));
    let earlier = bank.clone();
    loop {
        let open: Vec<usize> = (0..sketches.len()).filter(|&at| !sketches[at].closed).collect();
        if open.is_empty() && sketches.len() as u64 == total {
            break;
        }
        let room = (sketches.len() as u64) < total && open.len() < open_most;
        let invoke = room && (open.is_empty() || rng.chance(mix.invoke));
        if invoke {
            lines.push((sketches.len(), false));
            sketches.push(sketch(&mut rng, accounts, doubt, mix));
            continue;
        }
        let undone: Vec<usize> = open.iter().copied().filter(|&at| !sketches[at].done).collect();
        let first = mix.late > 0 && !undone.is_empty() && rng.chance(mix.late);
        let at = rng.pick(if first { &undone } else { &open });
        if !sketches[at].done {
            happen(&mut rng, &mut sketches[at], &mut bank, &model, mix.silent);
        } else {
            sketches[at].closed = true;
            if sketches[at].outcome != Outcome::Info || rng.chance(50) {
                lines.push((at, true));
            }
        }
    }
    let mut finals = finals(&mut rng, &bank, &earlier, accounts);
    let right = rng.chance(40)
        && finals.iter().all(|file| file.file.balances.iter().map(|pair| pair.1).eq(bank.iter().copied()));
    if !right {
        spoil(&mut rng, &mut sketches, &mut lines, &mut finals);
    }
    Case { model, history: history(&sketches, &lines, accounts), finals, right }
}

fn sketch(rng: &mut Rng, accounts: u32, doubt: u64, mix: &Mix) -> Sketch {
    let account = |rng: &mut Rng| AccountId(rng.below(u64::from(accounts)) as u32);
    let call = if rng.chance(15) {
        Call::Read
    } else {
        Call::Transfer { from: account(rng), to: account(rng), amount: rng.pick(mix.amounts) }
    };
    let outcome = match rng.below(100) {
        part if part < doubt => Outcome::Info,
        part if part < doubt + 3 => Outcome::Fail,
        _ => Outcome::Ok,
    };
    let delivered = outcome != Outcome::Info || rng.chance(90);
    Sketch { call, outcome, observed: Observed::Nothing, done: false, closed: false, delivered }
}

/// The operation takes effect now, if it does at all.
fn happen(rng: &mut Rng, sketch: &mut Sketch, bank: &mut [i64], model: &BankModel, silent: u64) {
    sketch.done = true;
    let happens = match sketch.outcome {
        Outcome::Ok => true,
        Outcome::Fail => false,
        Outcome::Info => sketch.delivered && rng.chance(60),
    };
    if !happens {
        return;
    }
    match sketch.call {
        Call::Transfer { from, to, amount } => {
            let (from, to) = (from.0 as usize, to.0 as usize);
            if from != to
                && let Some(after) = model.transfer(bank[from], bank[to], amount)
            {
                (bank[from], bank[to]) = (after[0], after[1]);
            }
            if sketch.outcome == Outcome::Ok && !rng.chance(silent) {
                sketch.observed = Observed::Pair([bank[from], bank[to]]);
            }
        }
        Call::Read => {
            let named = (0..).zip(bank.iter()).filter(|_| rng.chance(70));
            let seen = named.map(|(account, &value)| (AccountId(account), value)).collect();
            if sketch.outcome == Outcome::Ok && !rng.chance(silent / 2) {
                sketch.observed = Observed::Balances(seen);
            }
        }
    }
}

fn finals(rng: &mut Rng, bank: &[i64], earlier: &[i64], accounts: u32) -> Vec<Final> {
    let count = rng.pick(&[0, 0, 1, 2, 3]);
    let file = |rng: &mut Rng, node: u64| {
        let values = if rng.chance(5) { earlier } else { bank };
        let named = (0..accounts).zip(values).map(|(account, &value)| (name(account), value));
        Final {
            node: format!("srv-{node}"),
            file: DataFile { time: String::new(), balances: named.collect() },
        }
    };
    (0..count).map(|node| file(rng, node + 1)).collect()
}

fn name(account: u32) -> String {
    format!("acc{account}")
}

/// One or two changes that may, or may not, make it wrong.
fn spoil(rng: &mut Rng, sketches: &mut [Sketch], lines: &mut [(usize, bool)], finals: &mut [Final]) {
    for _ in 0..1 + rng.below(2) {
        let at = rng.below(sketches.len() as u64) as usize;
        let delta = rng.pick(&[-2, -1, 1, 2, 5]);
        match rng.below(6) {
            0 | 1 => match &mut sketches[at].observed {
                Observed::Pair(seen) => seen[0] = seen[0].wrapping_add(delta),
                Observed::Balances(seen) => {
                    seen.iter_mut().take(1).for_each(|(_, v)| *v = v.wrapping_add(delta))
                }
                Observed::Nothing => {}
            },
            2 => {
                if sketches[at].outcome == Outcome::Ok {
                    sketches[at].outcome = Outcome::Info;
                    sketches[at].observed = Observed::Nothing;
                }
            }
            3 => {
                let other = rng.below(sketches.len() as u64) as usize;
                if let (Observed::Pair(one), Observed::Pair(two)) =
                    (sketches[at].observed.clone(), sketches[other].observed.clone())
                {
                    sketches[at].observed = Observed::Pair(two);
                    sketches[other].observed = Observed::Pair(one);
                }
            }
            4 => {
                for _ in 0..3 {
                    let line = rng.below(lines.len() as u64) as usize;
                    if line > 0 && lines[line].0 != lines[line - 1].0 {
                        lines.swap(line, line - 1);
                    }
                }
            }
            _ => {
                if let Some(file) = finals.first_mut() {
                    match file.file.balances.first_mut() {
                        Some((_, value)) if rng.chance(70) => *value = value.wrapping_add(delta),
                        _ => drop(file.file.balances.pop()),
                    }
                }
            }
        }
    }
}

fn history(sketches: &[Sketch], lines: &[(usize, bool)], accounts: u32) -> History {
    let mut history = History { accounts: (0..accounts).map(name).collect(), ..History::default() };
    let mut place = vec![usize::MAX; sketches.len()];
    for (index, &(at, completes)) in lines.iter().enumerate() {
        let (sketch, index) = (&sketches[at], index as u64);
        if completes {
            let completion = Completion {
                index,
                time: index,
                outcome: sketch.outcome,
                observed: sketch.observed.clone(),
                error: None,
            };
            history.operations[place[at]].completion = Some(completion);
        } else {
            place[at] = history.operations.len();
            history.operations.push(Operation {
                invoke: index,
                process: at as u64,
                invoked: index,
                call: sketch.call.clone(),
                completion: None,
                never_delivered: !sketch.delivered,
            });
        }
    }
    history
}
