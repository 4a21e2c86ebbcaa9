//! Configurations: one way in which the history so far can be explained.
//!
//! Nothing here grows with the history: masks over reusable slots, balances, and
//! a number that stands for the indeterminate operations used. Knows no search.

use rustc_hash::FxHashMap;

/// One explanation of everything that returned so far.
#[derive(Debug, Clone)]
pub struct Config {
    /// `[moved; words] [stayed; words] [balance; accounts] [uses]`: compared in
    /// full, never by hash alone.
    pub key: Box<[u64]>,
    /// Last step of its order, in [`Trail`].
    pub trail: u32,
    /// How unlikely it looks; only beams read it.
    pub cost: u32,
}

/// How a key is laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Layout {
    /// Words of 64 slots per mask.
    pub words: usize,
    /// Number of accounts.
    pub accounts: usize,
}

impl Layout {
    /// Length of a key in words.
    pub fn len(self) -> usize {
        2 * self.words + self.accounts + 1
    }

    /// Position of the first balance.
    #[inline]
    pub fn balances(self) -> usize {
        2 * self.words
    }

    #[inline]
    pub fn balance(self, key: &[u64], account: u32) -> i64 {
        key[2 * self.words + account as usize] as i64
    }

    #[inline]
    pub fn set_balance(self, key: &mut [u64], account: u32, balance: i64) {
        key[2 * self.words + account as usize] = balance as u64;
    }

    /// The operation in this slot took effect and moved money.
    #[inline]
    pub fn moved(self, key: &[u64], slot: u32) -> bool {
        bit(&key[..self.words], slot)
    }

    #[inline]
    pub fn set_moved(self, key: &mut [u64], slot: u32) {
        key[slot as usize / 64] |= 1 << (slot % 64);
        key[self.words + slot as usize / 64] &= !(1 << (slot % 64));
    }

    /// The operation in this slot was explained as one that changed nothing; it
    /// is still free to move instead (a revocable no-op).
    #[inline]
    pub fn stayed(self, key: &[u64], slot: u32) -> bool {
        bit(&key[self.words..], slot)
    }

    #[inline]
    pub fn set_stayed(self, key: &mut [u64], slot: u32) {
        key[self.words + slot as usize / 64] |= 1 << (slot % 64);
    }

    /// Forgets a slot, so that no stale bit survives its reuse.
    #[inline]
    pub fn clear(self, key: &mut [u64], slot: u32) {
        key[slot as usize / 64] &= !(1 << (slot % 64));
        key[self.words + slot as usize / 64] &= !(1 << (slot % 64));
    }

    #[inline]
    pub fn uses(self, key: &[u64]) -> u32 {
        key[self.len() - 1] as u32
    }

    #[inline]
    pub fn set_uses(self, key: &mut [u64], uses: u32) {
        key[self.len() - 1] = u64::from(uses);
    }

    /// The same key for more accounts, each of which holds `initial`.
    pub fn with_accounts(self, key: &[u64], accounts: usize, initial: i64) -> Box<[u64]> {
        let (known, uses) = key.split_at(self.len() - 1);
        let mut more = known.to_vec();
        more.resize(self.balances() + accounts, initial as u64);
        more.extend_from_slice(uses);
        more.into()
    }

    /// The same key with more room in its masks.
    pub fn widen(self, key: &[u64], words: usize) -> Box<[u64]> {
        let mut wide = vec![0; 2 * words];
        wide[..self.words].copy_from_slice(&key[..self.words]);
        wide[words..words + self.words].copy_from_slice(&key[self.words..2 * self.words]);
        wide.extend_from_slice(&key[2 * self.words..]);
        wide.into()
    }
}

/// Whether a mask has a bit.
#[inline]
pub fn bit(mask: &[u64], slot: u32) -> bool {
    mask[slot as usize / 64] >> (slot % 64) & 1 == 1
}

/// Slots whose bit is set.
pub fn bits(mask: &[u64]) -> impl Iterator<Item = u32> + '_ {
    (0u32..).zip(mask).flat_map(|(word, &bits)| {
        let mut rest = bits;
        std::iter::from_fn(move || {
            let low = (rest != 0).then(|| rest.trailing_zeros())?;
            rest &= rest - 1;
            Some(word * 64 + low)
        })
    })
}

/// Multisets of used indeterminate operations, each stored once: equal numbers
/// mean equal multisets.
#[derive(Debug, Clone)]
pub struct Uses {
    lists: Vec<Box<[(u32, u32)]>>,
    numbers: FxHashMap<Box<[(u32, u32)]>, u32>,
    /// Approximate size in bytes.
    pub bytes: usize,
}

impl Default for Uses {
    fn default() -> Self {
        let empty: Box<[(u32, u32)]> = Box::default();
        Self { lists: vec![empty.clone()], numbers: FxHashMap::from_iter([(empty, 0)]), bytes: 0 }
    }
}

impl Uses {
    /// Pairs of (class, count), sorted by class.
    pub fn list(&self, uses: u32) -> &[(u32, u32)] {
        &self.lists[uses as usize]
    }

    /// How often a class was used.
    pub fn count(&self, uses: u32, class: u32) -> u32 {
        let list = self.list(uses);
        list.binary_search_by_key(&class, |&(class, _)| class).map_or(0, |at| list[at].1)
    }

    /// The multiset with these classes (repeated if used repeatedly) added.
    pub fn add(&mut self, uses: u32, classes: &[u32]) -> u32 {
        if classes.is_empty() {
            return uses;
        }
        let mut list = self.list(uses).to_vec();
        for &class in classes {
            match list.binary_search_by_key(&class, |&(class, _)| class) {
                Ok(at) => list[at].1 += 1,
                Err(at) => list.insert(at, (class, 1)),
            }
        }
        self.number(list.into())
    }

    fn number(&mut self, list: Box<[(u32, u32)]>) -> u32 {
        if let Some(&number) = self.numbers.get(&list) {
            return number;
        }
        let number = self.lists.len() as u32;
        self.bytes += 96 + 16 * list.len();
        self.lists.push(list.clone());
        self.numbers.insert(list, number);
        number
    }

    /// Whether the first multiset is contained in the second.
    pub fn within(&self, small: u32, large: u32) -> bool {
        small == large
            || small == 0
            || self.list(small).iter().all(|&(class, count)| count <= self.count(large, class))
    }
}

/// One step of an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// An operation with a known result took effect and moved money.
    Moved(u32),
    /// An operation was explained as having changed nothing at this point;
    /// void if the same operation moves later.
    Stayed(u32),
    /// One indeterminate operation of this class took effect.
    Used(u32),
}

/// The orders of all configurations, as a tree of shared prefixes.
#[derive(Debug, Clone)]
pub struct Trail {
    nodes: Vec<(u32, u32)>,
}

/// The root of every order.
pub const START: u32 = 0;
const KIND: u32 = 30;

impl Default for Trail {
    fn default() -> Self {
        Self { nodes: vec![(START, 0)] }
    }
}

impl Trail {
    /// Extends an order by one step.
    #[inline]
    pub fn push(&mut self, parent: u32, step: Step) -> u32 {
        let packed = match step {
            Step::Moved(number) => number,
            Step::Stayed(number) => number | 1 << KIND,
            Step::Used(class) => class | 2 << KIND,
        };
        self.nodes.push((parent, packed));
        (self.nodes.len() - 1) as u32
    }

    fn unpack(packed: u32) -> Step {
        let number = packed & ((1 << KIND) - 1);
        match packed >> KIND {
            0 => Step::Moved(number),
            1 => Step::Stayed(number),
            _ => Step::Used(number),
        }
    }

    /// The step of each node but the root, with its parent; parents come first.
    pub fn nodes(&self) -> impl Iterator<Item = (u32, Step)> + '_ {
        self.nodes.iter().skip(1).map(|&(parent, packed)| (parent, Self::unpack(packed)))
    }

    /// Takes off the first `count` nodes after the root. They must be a path from the
    /// root that every other node, and every given one, descends from (or is its end).
    pub fn take_off<'a>(&mut self, count: u32, live: impl Iterator<Item = &'a mut u32>) {
        self.nodes.drain(1..=count as usize);
        self.nodes.iter_mut().for_each(|(parent, _)| *parent = parent.saturating_sub(count));
        live.for_each(|node| *node = node.saturating_sub(count));
    }

    /// The steps up to a node, first to last.
    pub fn steps(&self, mut node: u32) -> Vec<Step> {
        let mut steps = Vec::new();
        while node != START {
            let (parent, packed) = self.nodes[node as usize];
            steps.push(Self::unpack(packed));
            node = parent;
        }
        steps.reverse();
        steps
    }

    /// Number of steps stored.
    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Forgets steps that no given node leads back to; renumbers the nodes.
    pub fn collect<'a>(&mut self, live: impl Iterator<Item = &'a mut u32>) {
        let mut live: Vec<&mut u32> = live.collect();
        let mut renumbered = vec![u32::MAX; self.nodes.len()];
        renumbered[START as usize] = START;
        for node in &live {
            let mut node = **node as usize;
            while renumbered[node] == u32::MAX {
                renumbered[node] = 1;
                node = self.nodes[node].0 as usize;
            }
        }
        let mut next = 0;
        for node in 0..self.nodes.len() {
            if renumbered[node] != u32::MAX {
                let (parent, step) = self.nodes[node];
                renumbered[node] = next;
                self.nodes[next as usize] = (renumbered[parent as usize], step);
                next += 1;
            }
        }
        self.nodes.truncate(next as usize);
        live.iter_mut().for_each(|node| **node = renumbered[**node as usize]);
    }
}
