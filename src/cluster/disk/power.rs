//! A power failure of one disk: what is gone, what a seed leaves.
//!
//! Without a seed everything that was not synced is gone, the harshest end. With one,
//! a prefix of the operations on names and of each file's writes survives, the write
//! after it may be torn, and a file may keep its length with NULs: ends that real
//! disks leave (Pillai et al., "All File Systems Are Not Created Equal", OSDI 2014).
//! Pure; the processes are dead by then.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};

use super::file::Leaves;
use super::tree::Tree;

/// What a power failure took.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Loss {
    /// Bytes that were written, not synced and are gone.
    pub bytes: u64,
    /// Files that lost any.
    pub files: u64,
    /// Operations on names that were undone.
    pub names: u64,
}

/// The power fails. `seed` leaves some of what was not synced.
pub(super) fn fail(tree: &mut Tree, seed: Option<u64>) -> Loss {
    let mut draw = seed.map(ChaCha8Rng::seed_from_u64);
    let kept = draw.as_mut().map_or(0, |draw| below(draw, tree.uncommitted() + 1));
    let mut files: Vec<_> = tree.contents_mut().collect();
    files.sort_by_key(|(ino, _)| *ino);
    let mut loss = Loss::default();
    for (_, content) in files {
        let leaves = draw.as_mut().map_or(Leaves::default(), |draw| leaves(draw, content.changes()));
        let bytes = content.lose(leaves) as u64;
        loss.bytes += bytes;
        loss.files += u64::from(bytes > 0);
    }
    loss.names = tree.lose_names(kept) as u64;
    loss
}

/// Longest beginning of a torn write that is left, in bytes: a sector.
const SECTOR: usize = 512;

fn leaves(draw: &mut ChaCha8Rng, changes: usize) -> Leaves {
    let kept = below(draw, changes + 1);
    let torn = if below(draw, 2) == 0 { 0 } else { 1 + below(draw, SECTOR) };
    Leaves { kept, torn, nul_tail: below(draw, 4) == 0 }
}

/// Modulo bias over 64 bits does not matter here.
fn below(draw: &mut ChaCha8Rng, end: usize) -> usize {
    (draw.next_u64() % end.max(1) as u64) as usize
}
