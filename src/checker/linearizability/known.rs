//! All ways to complete one operation when only known results lead from one state
//! to the next.
//!
//! A known result pins what its operation found and what it left, so balances
//! follow from the set of operations that moved, in whatever order. A first pass
//! therefore explores these sets alone. The second visits only sets that lead to
//! the target, and carries what depends on the order: which observations were
//! explained on the way, and which moves are loose (nothing depends on them yet).
//! Of two ways to one set, one that explains no less and leaves no more loose
//! covers the other: where only the other makes something depend on a move, the
//! first can do without that move, which may as well begin a later batch. Knows
//! nothing of indeterminate operations nor of unknown results.

use rustc_hash::FxHashMap;

use super::batch::{Search, Work};
use super::budget::Stop;
use super::config::Config;
use super::graph::{Graph, Narrowed, Question};

/// A set of operations that moved, as a batch may pass it.
struct Place {
    /// By slot, those before the batch included.
    moved: Box<[u64]>,
    /// The node of the graph that each account is at.
    at: Box<[u32]>,
    /// (slot that moves next, place that it leads to).
    next: Vec<(u32, u32)>,
    /// The target can be completed here.
    ends: bool,
    /// The target can be completed here or at a place that this one leads to.
    useful: bool,
}

impl Place {
    fn new(moved: Box<[u64]>, at: Box<[u32]>) -> Self {
        Self { moved, at, next: Vec::new(), ends: false, useful: false }
    }
}

impl Search<'_> {
    /// Every way to complete `target` without indeterminate operations, appended
    /// to `out`; no open result may be unknown.
    pub fn complete_known(
        &mut self,
        config: &Config,
        target: u32,
        out: &mut Vec<Config>,
    ) -> Result<(), Stop> {
        let places = self.places(config, target)?;
        if !places[0].useful {
            return Ok(());
        }
        let Config { key, trail, cost } = config.clone();
        let loose = vec![0; self.layout.words].into();
        let mut ways: Vec<Vec<Work>> = places.iter().map(|_| Vec::new()).collect();
        ways[0].push(Work { key, loose, trail, cost, fixes: 0 });
        let (mut passed, mut reached) = (0, Vec::new());
        for (here, place) in places.iter().enumerate().filter(|(_, place)| place.useful) {
            for way in std::mem::take(&mut ways[here]) {
                passed += 1;
                self.meter.tick(out.len() + passed + 2 * places.len())?;
                if place.ends {
                    self.finish(&way, target, out)?;
                }
                for &(slot, next) in place.next.iter().filter(|(_, next)| places[*next as usize].useful) {
                    self.advance(&way, slot, &mut reached)?;
                    reached.drain(..).for_each(|way| self.keep(&mut ways[next as usize], way));
                }
            }
        }
        Ok(())
    }

    /// Every set of moves that leaves the target within reach, smaller ones first.
    fn places(&mut self, config: &Config, target: u32) -> Result<Vec<Place>, Stop> {
        let mut graph = std::mem::take(self.graph);
        let mut room = std::mem::take(&mut graph.room);
        let places = self.explore(&graph, &mut room, config, target);
        graph.room = room;
        *self.graph = graph;
        let mut places = places?;
        // A place comes after every place that leads to it.
        for here in (0..places.len()).rev() {
            let leads = places[here].next.iter().any(|&(_, next)| places[next as usize].useful);
            places[here].useful = leads || places[here].ends;
        }
        Ok(places)
    }

    fn explore(
        &mut self,
        graph: &Graph,
        narrowed: &mut Narrowed,
        config: &Config,
        target: u32,
    ) -> Result<Vec<Place>, Stop> {
        let (layout, key) = (self.layout, &config.key);
        let before: Box<[u64]> = key[..layout.words].into();
        let mut known: FxHashMap<Box<[u64]>, u32> = FxHashMap::default();
        let mut places = vec![Place::new(before, graph.places(&key[layout.balances()..layout.len() - 1]))];
        let mut here = 0;
        while here < places.len() {
            self.meter.tick(2 * places.len())?;
            self.pass(graph, config, &places[here]);
            let ask = Question {
                target,
                may_stay: !layout.stayed(key, target),
                moved: &places[here].moved,
                stayed: &key[layout.words..layout.balances()],
                at: &places[here].at,
            };
            graph.narrow(&ask, narrowed);
            places[here].ends = graph.ends(&ask);
            for &slot in &narrowed.ready {
                let mut moved = places[here].moved.clone();
                moved[slot as usize / 64] |= 1 << (slot % 64);
                let next = *known.entry(moved).or_insert_with_key(|moved| {
                    let mut at = places[here].at.clone();
                    graph.fire(slot, &mut at);
                    places.push(Place::new(moved.clone(), at));
                    (places.len() - 1) as u32
                });
                places[here].next.push((slot, next));
            }
            here += 1;
        }
        Ok(places)
    }

    /// Shows the state of a place to whoever wants to know.
    fn pass(&mut self, graph: &Graph, config: &Config, place: &Place) {
        let layout = self.layout;
        if let Some(watch) = &mut self.watch {
            let mut key = config.key.clone();
            key[..layout.words].copy_from_slice(&place.moved);
            for (account, value) in graph.values(&place.at) {
                layout.set_balance(&mut key, account, value);
            }
            watch.push(key);
        }
    }

    /// Adds a way to those that lead to the same place, unless one covers it.
    fn keep(&self, ways: &mut Vec<Work>, way: Work) {
        if !ways.iter().any(|other| self.covers_way(other, &way)) {
            ways.retain(|other| !self.covers_way(&way, other));
            ways.push(way);
        }
    }

    /// Both lead to the same place.
    fn covers_way(&self, one: &Work, other: &Work) -> bool {
        let within = |small: &[u64], large: &[u64]| small.iter().zip(large).all(|(s, l)| s & !l == 0);
        let stays = self.layout.words..self.layout.balances();
        within(&other.key[stays.clone()], &one.key[stays]) && within(&one.loose, &other.loose)
    }
}
