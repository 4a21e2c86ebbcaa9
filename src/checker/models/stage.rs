//! In which ways a part is searched, one after another, until one gives an answer.
//!
//! Only an exact search may say both things. A relaxed one lets every indeterminate
//! operation happen as often as it is needed: attempts need not remember which they
//! used, and what even that does not explain is a violation; an order that it finds
//! counts only if it can be replayed with each used once. A beam keeps the attempts
//! that used the fewest, and may only accept. Knows no model.

use crate::checker::linearizability::Stop;

/// One way to search.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// Not searched: by the model's own way, if it has one ([`super::Model::directly`]).
    Direct,
    /// All attempts are kept; given up when there are more than this.
    Exact(usize),
    /// Indeterminate operations are not used up; given up above so many attempts.
    Relaxed(usize),
    /// The same, but after each return only so many attempts are kept, those that used
    /// the fewest indeterminate operations: it may only accept.
    Narrow(usize),
    /// After each return so many attempts are kept: what they do not find may exist.
    Beam(usize),
}

/// What [`super::check`] does. Most parts need no more than the first three.
pub const STAGES: [Stage; 7] = [
    Stage::Direct,
    Stage::Narrow(8),
    Stage::Exact(256),
    Stage::Relaxed(1 << 14),
    Stage::Beam(32),
    Stage::Beam(512),
    Stage::Exact(usize::MAX),
];

/// Attempts at once between two returns of a narrow search.
const NARROW_MOST: usize = 1 << 14;

impl Stage {
    /// How many attempts may exist at once.
    pub(super) fn most(self) -> usize {
        match self {
            Self::Exact(most) | Self::Relaxed(most) => most,
            Self::Narrow(_) => NARROW_MOST,
            Self::Beam(_) | Self::Direct => usize::MAX,
        }
    }

    /// How many attempts are kept after a return.
    pub(super) fn width(self) -> usize {
        if let Self::Beam(width) | Self::Narrow(width) = self { width } else { usize::MAX }
    }

    /// Whether running out of attempts is a proof.
    pub(super) fn refutes(self) -> bool {
        !matches!(self, Self::Beam(_) | Self::Narrow(_))
    }

    pub(super) fn relaxed(self) -> bool {
        matches!(self, Self::Relaxed(_) | Self::Narrow(_))
    }
}

/// Why a search did not come to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Halt {
    /// A budget ran out, for all stages.
    Stop(Stop),
    /// This stage is not up to it, another may be.
    Crowded,
}

impl From<Stop> for Halt {
    fn from(stop: Stop) -> Self {
        Self::Stop(stop)
    }
}
