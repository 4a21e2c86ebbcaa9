//! Three or five durable replicas and their coordinators in a simulated world, by the thousand.
//!
//! The very code of `srv` and `coord` (their pure cores) runs over a network that delays, cuts,
//! swallows and delivers late, on disks that forget what was not synced, with any or all processes
//! dying at any instant, and with a minority losing or finding spoilt what it had synced. A seed is
//! the whole story: `SEED=17 cargo test --test reference_simulation` runs that one alone,
//! `SEEDS=1000000` runs that many.
//!
//! It can fail. Planted for a while and caught, at the seed in brackets (of worlds in which nothing
//! that was synced was lost yet): log not synced (5),
//! directory not synced (7), what a killed predecessor left unsynced trusted (1906), torn tail kept
//! (1), data file written in place (0), longest log chosen instead of newest (92), no fencing (7),
//! promise not stored (0), promise granted twice (0), entries of older incarnations committed by
//! counting (371), acknowledged by a minority (0), log shortened by a late message (32), committed
//! without being told (0), commit beyond what matched (0), mismatch ignored (0), catch-up skips an
//! entry (3), state installed without the entries that follow it (2349), a placed request refused (6).
//!
//! What it does not reach: sockets, the event loops and the real disk (`tests/reference_system.rs`).

mod chance;
mod memory;
mod nonsense;
#[path = "../../src/bin/reference/mod.rs"]
mod reference;
#[path = "../../src/bin/srv/replica/mod.rs"]
mod replica;
#[path = "../../src/bin/coord/sequencer/mod.rs"]
mod sequencer;
mod witness;
mod world;

use std::panic::{AssertUnwindSafe, catch_unwind};

const SEEDS: u64 = 2500;

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

#[test]
fn acknowledged_transfers_survive_whatever_happens() {
    let first = number("SEED");
    let count = first.map_or_else(|| number("SEEDS").unwrap_or(SEEDS), |_| 1);
    let (mut acknowledged, mut refused, mut unknown, mut damages) = (0, 0, 0, 0);
    for seed in first.unwrap_or(0)..first.unwrap_or(0) + count {
        let outcome = catch_unwind(AssertUnwindSafe(|| world::World::new(seed).run()));
        let tally = outcome.unwrap_or_else(|_| panic!("SEED={seed} failed, see above"));
        acknowledged += tally.acknowledged;
        refused += tally.refused;
        unknown += tally.unknown;
        damages += tally.damages;
    }
    eprintln!(
        "{count} worlds: {acknowledged} acknowledged, {refused} refused, {unknown} unknown; {damages} replicas damaged"
    );
    // A world in which nothing is ever acknowledged proves nothing.
    assert!(acknowledged > count * 10, "only {acknowledged} acknowledged in {count} worlds");
    assert!(count < 100 || (refused > 0 && unknown > 0), "some kind of reply never came");
    assert!(count < 100 || damages > count / 2, "only {damages} replicas were damaged");
}

#[test]
fn the_same_seed_tells_the_same_story() {
    for seed in 0..20 {
        assert_eq!(world::World::new(seed).run(), world::World::new(seed).run(), "seed {seed}");
    }
}
