//! The ways in which one replica's work may differ from an order of transfers.
//!
//! Places are positions in that order. Plain data: what a change means for the
//! balances is found by replaying it, what it means for a reader by `words`.

/// One difference between what a replica applied and an order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// It has only these transfers, `until` excluded, from the initial state on: it
    /// lacks a prefix, a suffix or both.
    Kept {
        /// The first one.
        from: usize,
        /// The place after the last one.
        until: usize,
    },
    /// It lacks a window, `until` excluded.
    Window {
        /// The first one that is missing.
        from: usize,
        /// The first one that is there again.
        until: usize,
    },
    /// It lacks these, ascending.
    Lacks(Vec<usize>),
    /// It applied these twice in a row, ascending.
    Twice(Vec<usize>),
    /// It applied one once more at a later place.
    Again {
        /// Which.
        step: usize,
        /// Before the transfer at this place.
        place: usize,
    },
    /// It lacks one and applied another twice in a row.
    LacksAndTwice {
        /// The one that is missing.
        lacks: usize,
        /// The one that is there twice.
        twice: usize,
    },
    /// It has two in each other's place.
    Swapped {
        /// The one that should come first.
        early: usize,
        /// The one that should come later.
        late: usize,
    },
    /// It moved the money of one that the guard refuses there.
    Unguarded(usize),
    /// It has an operation of unknown outcome that the order leaves out.
    Extra {
        /// Which of the operations left out.
        spare: usize,
        /// Before the transfer at this place.
        place: usize,
    },
}

impl Change {
    /// A window at the beginning or at the end by its name.
    pub fn at_an_end(self, steps: usize) -> Self {
        match self {
            Self::Window { from: 0, until } => Self::Kept { from: until, until: steps },
            Self::Window { from, until } if until == steps => Self::Kept { from: 0, until: from },
            other => other,
        }
    }

    /// The first place at which balances may differ.
    pub fn first(&self) -> usize {
        match self {
            Self::Kept { from, .. } | Self::Window { from, .. } => *from,
            Self::Lacks(steps) | Self::Twice(steps) => steps.first().copied().unwrap_or(0),
            Self::Again { place, .. } | Self::Extra { place, .. } => *place,
            Self::LacksAndTwice { lacks, twice } => *lacks.min(twice),
            Self::Swapped { early, .. } => *early,
            Self::Unguarded(step) => *step,
        }
    }

    /// The place after the last one that is replayed, of an order this long.
    pub fn last(&self, steps: usize) -> usize {
        if let Self::Kept { until, .. } = self { *until } else { steps }
    }

    /// Whether everything before the first place is lost too.
    pub fn forgets(&self) -> bool {
        matches!(self, Self::Kept { .. })
    }

    /// The transfer that comes at a place.
    pub fn at(&self, place: usize) -> usize {
        match *self {
            Self::Swapped { early, late } if place == early => late,
            Self::Swapped { early, late } if place == late => early,
            _ => place,
        }
    }

    /// How often a transfer is applied.
    pub fn times(&self, step: usize) -> usize {
        match self {
            Self::Window { from, until } if (*from..*until).contains(&step) => 0,
            Self::Lacks(steps) if steps.contains(&step) => 0,
            Self::Twice(steps) if steps.contains(&step) => 2,
            Self::LacksAndTwice { lacks, .. } if *lacks == step => 0,
            Self::LacksAndTwice { twice, .. } if *twice == step => 2,
            _ => 1,
        }
    }

    /// Whether a transfer moves money whatever the guard says.
    pub fn ignores_guard(&self, step: usize) -> bool {
        *self == Self::Unguarded(step)
    }
}
