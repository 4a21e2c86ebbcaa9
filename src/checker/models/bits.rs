//! What attempts have done with the operations that are open: two bits for each.
//!
//! An operation holds a slot from its invocation to its return; an indeterminate one
//! holds its slot for ever. `fired`: it took effect. `free`: its result is explained,
//! as one that changed nothing that lasts, and it may still take effect. Knows no model.

/// The open operations of one attempt, in `N` words of 64 slots.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Bits<const N: usize> {
    fired: [u64; N],
    free: [u64; N],
}

/// A set of slots.
#[derive(Debug, Clone)]
pub(super) struct Slots<const N: usize>([u64; N]);

impl<const N: usize> Slots<N> {
    pub fn none() -> Self {
        Self([0; N])
    }

    #[inline]
    pub fn add(&mut self, slot: usize) {
        self.0[slot / 64] |= 1 << (slot % 64);
    }

    #[inline]
    pub fn remove(&mut self, slot: usize) {
        self.0[slot / 64] &= !(1 << (slot % 64));
    }

    /// Those whose operations are not explained in an attempt.
    #[inline]
    pub fn unexplained(&self, bits: &Bits<N>) -> Self {
        Self(std::array::from_fn(|at| self.0[at] & !(bits.fired[at] | bits.free[at])))
    }

    /// Takes the first one out.
    #[inline]
    pub fn pop(&mut self) -> Option<usize> {
        let at = self.0.iter().position(|&word| word != 0)?;
        let bit = self.0[at].trailing_zeros();
        self.0[at] &= self.0[at] - 1;
        Some(64 * at + bit as usize)
    }
}

impl<const N: usize> Default for Bits<N> {
    fn default() -> Self {
        Self { fired: [0; N], free: [0; N] }
    }
}

impl<const N: usize> Bits<N> {
    #[inline]
    pub fn fired(&self, slot: usize) -> bool {
        self.fired[slot / 64] >> (slot % 64) & 1 == 1
    }

    #[inline]
    pub fn explained(&self, slot: usize) -> bool {
        (self.fired[slot / 64] | self.free[slot / 64]) >> (slot % 64) & 1 == 1
    }

    #[inline]
    pub fn fire(&mut self, slot: usize) {
        self.clear(slot);
        self.fired[slot / 64] |= 1 << (slot % 64);
    }

    #[inline]
    pub fn set_free(&mut self, slot: usize) {
        self.free[slot / 64] |= 1 << (slot % 64);
    }

    /// The operation returned: another one may take its slot.
    #[inline]
    pub fn clear(&mut self, slot: usize) {
        self.fired[slot / 64] &= !(1 << (slot % 64));
        self.free[slot / 64] &= !(1 << (slot % 64));
    }

    /// Whether something is free here that is not explained in `other`.
    #[inline]
    pub fn frees_more(&self, other: &Self) -> bool {
        (0..N).any(|at| self.free[at] & !(other.free[at] | other.fired[at]) != 0)
    }

    /// Whether this attempt can do all that `other`, in the same state, can do: what is
    /// free may be taken for fired or for not yet fired, otherwise they must agree; of
    /// the indeterminate (slots of `perhaps`) fewer used is as good.
    #[inline]
    pub fn covers(&self, other: &Self, perhaps: &[u64; N]) -> bool {
        (0..N).all(|at| {
            let differ = (self.fired[at] ^ other.fired[at]) & !self.free[at] & !perhaps[at];
            let used = self.fired[at] & !other.fired[at] & perhaps[at];
            let less_free = other.free[at] & !self.free[at];
            differ | used | less_free == 0
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn free_covers_everything_and_fewer_indeterminate_cover_more() {
        let attempt = |fired: &[usize], free: &[usize]| {
            let mut bits = Bits::<2>::default();
            fired.iter().for_each(|&slot| bits.fire(slot));
            free.iter().for_each(|&slot| bits.set_free(slot));
            bits
        };
        let perhaps = [0, 1 << 6];
        let covers = |one: &Bits<2>, two: &Bits<2>| one.covers(two, &perhaps);
        assert!(covers(&attempt(&[], &[3]), &attempt(&[3], &[])));
        assert!(covers(&attempt(&[], &[3]), &attempt(&[], &[])));
        assert!(!covers(&attempt(&[3], &[]), &attempt(&[], &[])));
        assert!(!covers(&attempt(&[], &[]), &attempt(&[3], &[])));
        assert!(!covers(&attempt(&[3], &[]), &attempt(&[], &[3])));
        assert!(covers(&attempt(&[], &[]), &attempt(&[70], &[])));
        assert!(!covers(&attempt(&[70], &[]), &attempt(&[], &[])));
    }
}
