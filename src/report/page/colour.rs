//! The colour of each kind of fault, by the field's own legend, as a class of the
//! style sheet.

use crate::fault::FaultKind;

/// The class of a kind: kinds that look alike from outside share a colour.
pub fn class(kind: FaultKind) -> &'static str {
    use FaultKind as K;
    match kind {
        K::Kill | K::Terminate | K::CrashLoop | K::Wipe | K::PowerFailure => "kill",
        K::Pause => "pause",
        K::Partition | K::Clog | K::Drop | K::Hold | K::Cut | K::Reset | K::Refuse => "partition",
        K::Delay | K::Bandwidth | K::Slice | K::Truncate | K::SlowClose | K::Duplicate => "packet",
        K::ClockJump | K::ClockRate | K::ClockStrobe => "clock",
        _ => "file",
    }
}
