//! The operations that are open now, in reusable slots.
//!
//! Indexed by the accounts they touch, so that a return looks only at operations
//! that could matter to it. Knows nothing of configurations.

use rustc_hash::FxHashMap;

use super::problem::Op;

/// What an open operation has to do with one account.
#[derive(Debug, Clone, Copy)]
pub struct Entry {
    /// The operation's slot.
    pub slot: u32,
    /// What it observed there: the value that it leaves if it moves.
    pub seen: i64,
    /// It may have changed nothing.
    pub stay: bool,
    /// It may have moved money.
    pub mover: bool,
    /// Nobody knows what it observed.
    pub blind: bool,
}

/// All open operations.
#[derive(Debug, Clone)]
pub struct Pending {
    slots: Vec<Option<Op>>,
    free: Vec<u32>,
    open: Vec<u32>,
    numbers: FxHashMap<u32, u32>,
    by_account: Vec<Vec<Entry>>,
    blind: usize,
}

impl Pending {
    /// Nothing is open.
    pub fn new(accounts: usize) -> Self {
        Self {
            slots: Vec::new(),
            free: Vec::new(),
            open: Vec::new(),
            numbers: FxHashMap::default(),
            by_account: vec![Vec::new(); accounts],
            blind: 0,
        }
    }

    /// Makes room for more accounts.
    pub fn grow(&mut self, accounts: usize) {
        self.by_account.resize(accounts.max(self.by_account.len()), Vec::new());
    }

    /// Opens an operation and returns its slot.
    pub fn insert(&mut self, op: Op) -> u32 {
        let slot = self.free.pop().unwrap_or(self.slots.len() as u32);
        for &(account, seen) in op.nodes() {
            let (stay, mover, blind) = (op.can_stay, op.before.is_some(), op.blind.is_some());
            self.by_account[account as usize].push(Entry { slot, seen, stay, mover, blind });
        }
        self.blind += usize::from(op.blind.is_some());
        self.numbers.insert(op.number, slot);
        self.open.push(slot);
        if slot as usize == self.slots.len() {
            self.slots.push(None);
        }
        self.slots[slot as usize] = Some(op);
        slot
    }

    /// The slot of an open operation, by its number.
    pub fn slot(&self, number: u32) -> Option<u32> {
        self.numbers.get(&number).copied()
    }

    /// Closes a slot.
    pub fn remove(&mut self, slot: u32) -> Option<Op> {
        let op = self.slots[slot as usize].take()?;
        for &(account, _) in op.nodes() {
            self.by_account[account as usize].retain(|entry| entry.slot != slot);
        }
        self.blind -= usize::from(op.blind.is_some());
        self.numbers.remove(&op.number);
        self.open.retain(|&open| open != slot);
        self.free.push(slot);
        Some(op)
    }

    /// The operation in an open slot.
    ///
    /// # Panics
    /// If the slot is not open, which is a defect of the engine.
    #[inline]
    pub fn op(&self, slot: u32) -> &Op {
        self.slots[slot as usize].as_ref().expect("only open slots are asked for")
    }

    /// The operation in a slot, if it is open.
    pub fn get(&self, slot: u32) -> Option<&Op> {
        self.slots.get(slot as usize)?.as_ref()
    }

    /// Open operations that touch an account.
    #[inline]
    pub fn at(&self, account: u32) -> &[Entry] {
        &self.by_account[account as usize]
    }

    /// Every open slot.
    pub fn open(&self) -> &[u32] {
        &self.open
    }

    /// Whether the result of some open operation is unknown.
    pub fn any_blind(&self) -> bool {
        self.blind > 0
    }

    /// Slots ever needed at once.
    pub fn capacity(&self) -> usize {
        self.slots.len()
    }
}
