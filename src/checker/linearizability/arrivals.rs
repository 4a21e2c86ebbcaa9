//! All operations in the order of their invocation, with what each needs and does.
//!
//! The material of [`super::server`], where positions in this order stand for
//! operations. Knows nothing of states or searches.

use rustc_hash::FxHashMap;

use super::problem::{Effect, Event, Op, Problem};

/// The place of a return that never comes.
pub const NEVER: u32 = u32::MAX;

/// What is known of an operation.
#[derive(Debug, Clone)]
pub enum Kind {
    /// It has a known result.
    Known(Op),
    /// It took effect if its guard allowed it, and nobody knows what it saw.
    Blind(Effect),
    /// It may have happened.
    Perhaps(Effect),
}

/// One operation.
#[derive(Debug, Clone)]
pub struct Arrival {
    /// Its number in the history.
    pub number: u32,
    /// Place of its invocation among all events.
    pub invoked: u32,
    /// Place of its return among all events, or [`NEVER`].
    pub returned: u32,
    /// What is known of it.
    pub kind: Kind,
    /// Where its places among the operations of its accounts stand.
    places: u32,
}

impl Arrival {
    /// Whether it may never have happened.
    pub fn perhaps(&self) -> bool {
        matches!(self.kind, Kind::Perhaps(_))
    }

    /// Accounts that it touches.
    pub fn accounts(&self) -> impl Iterator<Item = u32> + '_ {
        let (seen, moved) = match &self.kind {
            Kind::Known(op) => (op.nodes(), None),
            Kind::Blind(effect) | Kind::Perhaps(effect) => (&[][..], Some([effect.from, effect.to])),
        };
        seen.iter().map(|&(account, _)| account).chain(moved.into_iter().flatten())
    }
}

/// All operations, and which of them touch each account, by invocation.
#[derive(Debug)]
pub struct Arrivals {
    /// By invocation.
    pub list: Vec<Arrival>,
    touching: Vec<Vec<u32>>,
    /// For each operation its place among those of each of its accounts.
    places: Vec<u32>,
}

impl Arrivals {
    /// Reads a whole problem.
    pub fn new(problem: &Problem<'_>) -> Self {
        let mut list = read(problem);
        let (mut touching, mut places) = (vec![Vec::new(); problem.accounts.len()], Vec::new());
        for (at, arrival) in (0..).zip(&mut list) {
            arrival.places = places.len() as u32;
            for account in arrival.accounts() {
                places.push(touching[account as usize].len() as u32);
                touching[account as usize].push(at);
            }
        }
        Self { list, touching, places }
    }

    /// Approximate size in bytes.
    pub fn bytes(&self) -> usize {
        self.list.len() * size_of::<Arrival>() + 8 * self.places.len()
    }

    /// Number of accounts.
    pub fn accounts(&self) -> usize {
        self.touching.len()
    }

    /// For each account of an operation the operations that touch it, from `base` on.
    pub fn neighbours(&self, at: u32, base: u32) -> impl Iterator<Item = (u32, &[u32])> {
        let arrival = &self.list[at as usize];
        arrival.accounts().zip(&self.places[arrival.places as usize..]).map(move |(account, &place)| {
            let (touching, mut first) = (&self.touching[account as usize], place as usize);
            if at < base {
                first += touching[first..].partition_point(|&other| other < base);
            }
            while first > 0 && touching[first - 1] >= base {
                first -= 1;
            }
            (account, &touching[first..])
        })
    }
}

fn read(problem: &Problem<'_>) -> Vec<Arrival> {
    let mut open: FxHashMap<u32, usize> = FxHashMap::default();
    let mut list: Vec<Arrival> = Vec::with_capacity(problem.required());
    for (place, event) in (0..).zip(problem.events()) {
        let (number, kind) = match event {
            Event::Invoke(op) => (op.number, known(op)),
            Event::Perhaps(number, effect) => (number, Kind::Perhaps(effect)),
            Event::Return(number) => {
                if let Some(at) = open.remove(&number) {
                    list[at].returned = place;
                }
                continue;
            }
        };
        if !matches!(kind, Kind::Perhaps(_)) {
            open.insert(number, list.len());
        }
        list.push(Arrival { number, invoked: place, returned: NEVER, kind, places: 0 });
    }
    list
}

fn known(op: Op) -> Kind {
    match op.blind {
        Some(amount) => Kind::Blind(Effect { from: op.nodes()[0].0, to: op.nodes()[1].0, amount }),
        None => Kind::Known(op),
    }
}
