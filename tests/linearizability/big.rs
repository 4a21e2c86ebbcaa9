//! Large histories from a simulated serial bank: deterministic, by seed.
//!
//! Clients ask in a closed loop, one server answers in order of arrival, delays
//! vary. Replies may be lost at random; pauses let requests pile up and time out
//! (all of them take effect afterwards), kills lose what is in flight.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

use rsm_check::checker::bank::BankModel;
use rsm_check::checker::linearizability::Final;
use rsm_check::history::data_file::DataFile;
use rsm_check::history::{AccountId, Call, Completion, History, Observed, Operation};
use rsm_check::op::Outcome;

use crate::small::Rng;

/// What to simulate; times in nanoseconds.
#[derive(Clone)]
pub struct Shape {
    pub clients: usize,
    pub operations: usize,
    pub accounts: u32,
    pub amount: u64,
    /// Replies lost at random, per 100,000.
    pub lost: u64,
    /// Requests lost on the way, per 100,000: they never take effect.
    pub unfired: u64,
    /// A client waits up to this long between operations.
    pub think: u64,
    pub timeout: u64,
    /// Every so many operations the server stops for a while; 0: never.
    pub fault_every: usize,
    /// Share of faults that are kills rather than pauses, in percent.
    pub kills: u64,
    /// Reads of all balances and blind transfers of 5 instead of transfers with balances.
    pub blind: bool,
    pub finals: usize,
    pub seed: u64,
}

impl Default for Shape {
    fn default() -> Self {
        Self {
            clients: 10,
            operations: 10_000,
            accounts: 8,
            amount: 100,
            lost: 0,
            unfired: 0,
            think: 0,
            timeout: 1_000_000_000,
            fault_every: 0,
            kills: 50,
            blind: false,
            finals: 3,
            seed: 1,
        }
    }
}

/// A simulated history with its final files and some counts.
pub struct Big {
    pub history: History,
    pub finals: Vec<Final>,
    pub refused: usize,
    pub indeterminate: usize,
}

#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Tick {
    Invoke(usize),
    Arrive(usize),
    Serve,
    Reply(usize, Option<[i64; 2]>, Vec<i64>),
    Timeout(usize),
}

struct Sim {
    shape: Shape,
    rng: Rng,
    now: u64,
    order: u64,
    ticks: BinaryHeap<Reverse<(u64, u64, Tick)>>,
    queue: VecDeque<usize>,
    serving: bool,
    stopped_until: u64,
    served: usize,
    bank: Vec<i64>,
    history: History,
    client: Vec<usize>,
    next_process: u64,
    refused: usize,
}

/// Simulates one run.
pub fn simulate(shape: &Shape) -> Big {
    let accounts = (0..shape.accounts).map(|account| format!("acc{account}")).collect();
    let mut sim = Sim {
        rng: Rng(shape.seed),
        now: 0,
        order: 0,
        ticks: BinaryHeap::new(),
        queue: VecDeque::new(),
        serving: false,
        stopped_until: 0,
        served: 0,
        bank: vec![100; shape.accounts as usize],
        history: History { accounts, ..History::default() },
        client: Vec::new(),
        next_process: shape.clients as u64,
        refused: 0,
        shape: shape.clone(),
    };
    for client in 0..shape.clients {
        let start = sim.rng.below(10_000);
        sim.after(start, Tick::Invoke(client));
    }
    while let Some(Reverse((time, _, tick))) = sim.ticks.pop() {
        sim.now = time;
        sim.tick(tick);
    }
    sim.finish()
}

impl Sim {
    fn after(&mut self, delay: u64, tick: Tick) {
        self.order += 1;
        self.ticks.push(Reverse((self.now + delay, self.order, tick)));
    }

    fn line(&mut self) -> u64 {
        self.history.lines += 1;
        self.history.lines - 1
    }

    fn tick(&mut self, tick: Tick) {
        match tick {
            Tick::Invoke(client) => self.invoke(client),
            Tick::Arrive(operation) => {
                self.queue.push_back(operation);
                self.serve_soon();
            }
            Tick::Serve => self.serve(),
            Tick::Reply(operation, balances, read) => self.reply(operation, balances, &read),
            Tick::Timeout(operation) => self.complete(operation, Outcome::Info, Observed::Nothing),
        }
    }

    fn invoke(&mut self, client: usize) {
        if self.history.operations.len() >= self.shape.operations {
            return;
        }
        let accounts = u64::from(self.shape.accounts);
        let from = self.rng.below(accounts);
        let to = (from + 1 + self.rng.below(accounts - 1)) % accounts;
        let amount = if self.shape.blind { 5 } else { 1 + self.rng.below(self.shape.amount) as i64 };
        let call = if self.shape.blind && self.rng.chance(50) {
            Call::Read
        } else {
            Call::Transfer { from: AccountId(from as u32), to: AccountId(to as u32), amount }
        };
        let (invoke, number) = (self.line(), self.history.operations.len());
        let process = client as u64;
        self.client.push(client);
        self.history.operations.push(Operation {
            invoke,
            process,
            invoked: self.now,
            call,
            completion: None,
            never_delivered: false,
        });
        let delay = 20_000 + self.rng.below(30_000);
        if self.shape.unfired == 0 || self.rng.below(100_000) >= self.shape.unfired {
            self.after(delay, Tick::Arrive(number));
        }
        self.after(self.shape.timeout, Tick::Timeout(number));
    }

    fn serve_soon(&mut self) {
        if !self.serving && !self.queue.is_empty() {
            self.serving = true;
            let service = 5_000 + self.rng.below(10_000);
            let wait = self.stopped_until.saturating_sub(self.now) + service;
            self.after(wait, Tick::Serve);
        }
    }

    fn serve(&mut self) {
        self.serving = false;
        if let Some(number) = self.queue.pop_front() {
            let balances = self.apply(number);
            self.served += 1;
            let all = if self.history.operations[number].call == Call::Read {
                self.bank.clone()
            } else {
                Vec::new()
            };
            if self.shape.lost == 0 || self.rng.below(100_000) >= self.shape.lost {
                let delay = 20_000 + self.rng.below(60_000);
                self.after(delay, Tick::Reply(number, balances, all));
            }
        }
        if self.shape.fault_every > 0 && self.served % self.shape.fault_every == self.shape.fault_every - 1 {
            self.served += 1;
            self.stopped_until = self.now + self.shape.timeout * 3 / 2;
            if self.rng.chance(self.shape.kills) {
                self.queue.clear();
            }
        }
        self.serve_soon();
    }

    fn apply(&mut self, number: usize) -> Option<[i64; 2]> {
        let Call::Transfer { from, to, amount } = self.history.operations[number].call else { return None };
        let (from, to) = (from.0 as usize, to.0 as usize);
        match BankModel::default().transfer(self.bank[from], self.bank[to], amount) {
            Some(after) => (self.bank[from], self.bank[to]) = (after[0], after[1]),
            None => self.refused += 1,
        }
        (!self.shape.blind).then(|| [self.bank[from], self.bank[to]])
    }

    fn reply(&mut self, number: usize, balances: Option<[i64; 2]>, read: &[i64]) {
        let observed = match balances {
            Some(balances) => Observed::Pair(balances),
            None if read.is_empty() => Observed::Nothing,
            None => Observed::Balances((0..).map(AccountId).zip(read.iter().copied()).collect()),
        };
        self.complete(number, Outcome::Ok, observed);
    }

    fn complete(&mut self, number: usize, outcome: Outcome, observed: Observed) {
        if self.history.operations[number].completion.is_some() {
            return;
        }
        let (index, time) = (self.line(), self.now);
        self.history.operations[number].completion =
            Some(Completion { index, time, outcome, observed, error: None });
        let client = self.client[number];
        let think = if self.shape.think > 0 { self.rng.below(self.shape.think) } else { 0 };
        if outcome == Outcome::Info {
            self.next_process += 1;
        }
        self.after(think + 1_000, Tick::Invoke(client));
    }

    fn finish(mut self) -> Big {
        self.history.end = self.now;
        let named = self.history.accounts.iter().cloned().zip(self.bank.iter().copied());
        let file = DataFile { time: "now".into(), balances: named.collect() };
        let finals =
            (1..=self.shape.finals).map(|node| Final { node: format!("srv-{node}"), file: file.clone() });
        let finals = finals.collect();
        let info = |operation: &&Operation| operation.outcome() == Outcome::Info;
        let indeterminate = self.history.operations.iter().filter(info).count();
        Big { finals, refused: self.refused, indeterminate, history: self.history }
    }
}

/// One result near the end becomes wrong by one unit.
pub fn spoil(history: &mut History) {
    let from = history.operations.len() * 9 / 10;
    for operation in &mut history.operations[from..] {
        if let Some(Completion { outcome: Outcome::Ok, observed: Observed::Pair(seen), .. }) =
            &mut operation.completion
        {
            seen[0] += 1;
            return;
        }
    }
}
