//! Locks within this process.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// What is behind such a mutex is replaced whole, so a panic elsewhere cannot have left it half-changed.
pub(super) fn guarded<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
