//! Open operations with known results as a graph: which moves could lead to what a
//! returning operation needs.
//!
//! Its nodes are (account, value) pairs: a move needs two and leaves two on the same
//! accounts. It is brought up to date when it is asked for, so operations that came
//! and went in between cost nothing. Each step of a search narrows it to what is
//! needed backwards from the target and reachable forwards from where the accounts
//! are. Operations that only observe count too: a batch may be the last chance to
//! see a value before something in it changes that value. Decides nothing else.

use rustc_hash::FxHashMap;

use super::config::bit;
use super::pending::Pending;
use super::problem::Op;

/// No node.
const NONE: u32 = u32::MAX;

/// A value of an account, with the slots that have to do with it.
#[derive(Debug, Clone, Default)]
struct Node {
    account: u32,
    value: i64,
    /// Operations that leave it if they move.
    makers: Vec<u32>,
    /// Operations that need it in order to move.
    takers: Vec<u32>,
    /// Operations that saw it if they changed nothing.
    watchers: Vec<u32>,
}

/// What the graph holds of one open operation.
#[derive(Debug, Clone, Default)]
struct Member {
    /// Its number; `None` in a free slot.
    number: Option<u32>,
    /// What it saw, which is also what it leaves.
    seen: Vec<u32>,
    needs: Option<[u32; 2]>,
    can_stay: bool,
}

/// All open operations as a graph.
#[derive(Debug, Clone, Default)]
pub struct Graph {
    nodes: Vec<Node>,
    free: Vec<u32>,
    index: FxHashMap<(u32, i64), u32>,
    members: Vec<Member>,
    /// Kept from search to search: asking for memory would cost more than looking.
    pub room: Narrowed,
}

/// What one search asks of the graph, by slots.
pub struct Question<'a> {
    /// The operation to complete.
    pub target: u32,
    /// It may still be explained as one that changed nothing.
    pub may_stay: bool,
    /// Operations that moved.
    pub moved: &'a [u64],
    /// Operations that were explained as having changed nothing.
    pub stayed: &'a [u64],
    /// The node that each account is at.
    pub at: &'a [u32],
}

/// Room for [`Graph::narrow`], and its answer.
#[derive(Debug, Clone, Default)]
pub struct Narrowed {
    /// Operations that may move next.
    pub ready: Vec<u32>,
    reached: Vec<bool>,
    needed: Vec<bool>,
    ended: Vec<bool>,
    /// By slot: needs that are not reached yet.
    lacks: Vec<u8>,
    taken: Vec<u64>,
    waiting: Vec<u32>,
    ending: Vec<u32>,
}

impl Graph {
    /// Takes in what was opened and forgets what was closed since the last time.
    pub fn update(&mut self, pending: &Pending) {
        self.members.resize_with(pending.capacity().max(self.members.len()), Member::default);
        for slot in 0..self.members.len() as u32 {
            let op = pending.get(slot);
            let member = &mut self.members[slot as usize];
            if member.number == op.map(|op| op.number) {
                continue;
            }
            if member.number.is_some() {
                let gone = std::mem::take(member);
                self.forget(slot, gone);
            }
            if let Some(op) = op {
                self.members[slot as usize] = self.member(slot, op);
            }
        }
    }

    fn member(&mut self, slot: u32, op: &Op) -> Member {
        let seen: Vec<u32> = op.nodes().iter().map(|&node| self.node(node)).collect();
        let needs = op.needs().map(|needs| needs.map(|node| self.node(node)));
        for &node in needs.iter().flatten() {
            self.nodes[node as usize].takers.push(slot);
        }
        for &node in &seen {
            let node = &mut self.nodes[node as usize];
            if needs.is_some() {
                node.makers.push(slot);
            }
            if op.can_stay {
                node.watchers.push(slot);
            }
        }
        Member { number: Some(op.number), seen, needs, can_stay: op.can_stay }
    }

    fn node(&mut self, (account, value): (u32, i64)) -> u32 {
        *self.index.entry((account, value)).or_insert_with(|| {
            let node = self.free.pop().unwrap_or(self.nodes.len() as u32);
            if node as usize == self.nodes.len() {
                self.nodes.push(Node::default());
            }
            (self.nodes[node as usize].account, self.nodes[node as usize].value) = (account, value);
            node
        })
    }

    fn forget(&mut self, slot: u32, gone: Member) {
        for &number in gone.seen.iter().chain(gone.needs.iter().flatten()) {
            let node = &mut self.nodes[number as usize];
            for list in [&mut node.makers, &mut node.takers, &mut node.watchers] {
                list.retain(|&other| other != slot);
            }
            if node.makers.is_empty() && node.takers.is_empty() && node.watchers.is_empty() {
                self.drop_node(number);
            }
        }
    }

    fn drop_node(&mut self, number: u32) {
        let node = &self.nodes[number as usize];
        if self.index.remove(&(node.account, node.value)).is_some() {
            self.free.push(number);
        }
    }

    /// The node that each account is at, where the graph has one.
    pub fn places(&self, balances: &[u64]) -> Box<[u32]> {
        let mut at = vec![NONE; balances.len()].into_boxed_slice();
        for (&(account, value), &node) in &self.index {
            if balances[account as usize] as i64 == value {
                at[account as usize] = node;
            }
        }
        at
    }

    /// An operation moves.
    pub fn fire(&self, slot: u32, at: &mut [u32]) {
        for &left in &self.members[slot as usize].seen {
            at[self.nodes[left as usize].account as usize] = left;
        }
    }

    /// Accounts with their values, where the graph knows them.
    pub fn values<'a>(&'a self, at: &'a [u32]) -> impl Iterator<Item = (u32, i64)> + 'a {
        at.iter().filter_map(|&node| self.nodes.get(node as usize).map(|node| (node.account, node.value)))
    }

    /// Whether the target can be completed here.
    pub fn ends(&self, ask: &Question<'_>) -> bool {
        let target = &self.members[ask.target as usize];
        let stays = target.can_stay && ask.may_stay && self.hold(&target.seen, ask.at);
        stays || target.needs.is_some_and(|needs| self.hold(&needs, ask.at))
    }

    fn hold(&self, nodes: &[u32], at: &[u32]) -> bool {
        nodes.iter().all(|&node| at[self.nodes[node as usize].account as usize] == node)
    }

    /// Finds the operations that may move next: needed backwards and reachable
    /// forwards. None if the target is out of reach.
    pub fn narrow(&self, ask: &Question<'_>, room: &mut Narrowed) {
        room.clear(self);
        self.forward(ask, room);
        self.backward(ask, room);
        let ready = |&slot: &u32| self.members[slot as usize].needs.is_some_and(|n| self.hold(&n, ask.at));
        room.ready.extend(super::config::bits(&room.taken).filter(ready));
    }

    fn forward(&self, ask: &Question<'_>, room: &mut Narrowed) {
        room.waiting.extend(ask.at.iter().copied().filter(|&node| node != NONE));
        while let Some(node) = room.waiting.pop() {
            if std::mem::replace(&mut room.reached[node as usize], true) {
                continue;
            }
            for &slot in &self.nodes[node as usize].takers {
                let lacks = &mut room.lacks[slot as usize];
                *lacks -= 1;
                if *lacks == 0 && slot != ask.target && !bit(ask.moved, slot) {
                    room.waiting.extend_from_slice(&self.members[slot as usize].seen);
                }
            }
        }
    }

    /// Takes what the target needs, backwards.
    fn backward(&self, ask: &Question<'_>, room: &mut Narrowed) {
        let target = &self.members[ask.target as usize];
        if target.can_stay && ask.may_stay && room.may_hold(&target.seen) {
            room.waiting.extend_from_slice(&target.seen);
        }
        if let Some(needs) = target.needs.filter(|needs| room.may_hold(needs)) {
            room.waiting.extend(needs);
            room.ending.extend(needs);
        }
        loop {
            if let Some(node) = room.waiting.pop() {
                if !std::mem::replace(&mut room.needed[node as usize], true) {
                    self.makers(node, ask, room);
                }
            } else if let Some(node) = room.ending.pop() {
                if !std::mem::replace(&mut room.ended[node as usize], true) {
                    self.watchers(node, ask, room);
                }
            } else {
                return;
            }
        }
    }

    /// Moves that lead to a node that is needed.
    fn makers(&self, node: u32, ask: &Question<'_>, room: &mut Narrowed) {
        for &slot in &self.nodes[node as usize].makers {
            let possible = room.lacks[slot as usize] == 0 && slot != ask.target && !bit(ask.moved, slot);
            if possible && !bit(&room.taken, slot) {
                room.taken[slot as usize / 64] |= 1 << (slot % 64);
                let needs = self.members[slot as usize].needs;
                room.waiting.extend(needs.iter().flatten());
                room.ending.extend(needs.iter().flatten());
            }
        }
    }

    /// Observations that have their last chance before a node comes to an end.
    fn watchers(&self, node: u32, ask: &Question<'_>, room: &mut Narrowed) {
        for &slot in &self.nodes[node as usize].watchers {
            let explained = slot == ask.target || bit(ask.moved, slot) || bit(ask.stayed, slot);
            let seen = &self.members[slot as usize].seen;
            if !explained && room.may_hold(seen) {
                room.waiting.extend_from_slice(seen);
            }
        }
    }
}

impl Narrowed {
    fn clear(&mut self, graph: &Graph) {
        for flags in [&mut self.reached, &mut self.needed, &mut self.ended] {
            flags.clear();
            flags.resize(graph.nodes.len(), false);
        }
        self.lacks.clear();
        self.lacks.resize(graph.members.len(), 2);
        self.taken.clear();
        self.taken.resize(graph.members.len().div_ceil(64), 0);
        self.ready.clear();
    }

    fn may_hold(&self, nodes: &[u32]) -> bool {
        nodes.iter().all(|&node| self.reached[node as usize])
    }
}
