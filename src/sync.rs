//! Locks whose holders may have panicked: the data is still the best there is.
//!
//! Must not know what is locked.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Takes a lock. A panic elsewhere while it was held is that thread's affair:
/// refusing here would turn one defect into a run without records.
pub fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
