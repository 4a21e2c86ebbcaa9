//! Which explanations another one makes superfluous.
//!
//! Everything that one can still explain, the one that covers it can explain too.
//! Knows nothing of events or batches.

use rustc_hash::FxHashMap;

use super::budget::Stop;
use super::config::Config;
use super::engine::Engine;

impl Engine {
    /// Drops explanations that another one covers: same moves and balances, at
    /// least the same revocable no-ops, at most the same indeterminate operations.
    pub(super) fn thin(&mut self, mut configs: Vec<Config>) -> Result<Vec<Config>, Stop> {
        if configs.len() <= 1 {
            return Ok(configs);
        }
        configs.sort_unstable_by_key(|config| config.cost);
        let layout = self.layout;
        let mut groups: FxHashMap<(&[u64], &[u64]), Vec<usize>> = FxHashMap::default();
        let mut keep = vec![true; configs.len()];
        let mut kept = 0;
        for (at, config) in configs.iter().enumerate() {
            self.meter.tick(2 * configs.len())?;
            let key = &config.key;
            let group =
                groups.entry((&key[..layout.words], &key[layout.balances()..layout.len() - 1])).or_default();
            if kept >= self.policy.width || group.iter().any(|&other| self.covers(&configs[other], config)) {
                keep[at] = false;
                continue;
            }
            group.retain(|&other| {
                let covered = self.covers(config, &configs[other]);
                keep[other] &= !covered;
                kept -= usize::from(covered);
                !covered
            });
            group.push(at);
            kept += 1;
        }
        let mut keep = keep.into_iter();
        configs.retain(|_| keep.next().unwrap_or(true));
        Ok(configs)
    }

    /// Both have the same moves and balances.
    fn covers(&self, one: &Config, other: &Config) -> bool {
        let (words, layout) = (self.layout.words, self.layout);
        let stays = one.key[words..2 * words].iter().zip(&other.key[words..2 * words]);
        stays.into_iter().all(|(one, other)| other & !one == 0)
            && self.uses.within(layout.uses(&one.key), layout.uses(&other.key))
    }
}
