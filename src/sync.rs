//! Locks that ignore poisoning.
//!
//! A panic while a lock is held poisons it, and every later user would fail as well. Use these functions where the protected value
//! is valid after each statement, so that one panic stays one failure.

use std::sync::{Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

/// Locks `mutex`, also if it is poisoned.
#[inline]
pub fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Locks `lock` for reading, also if it is poisoned.
#[inline]
pub fn read<T: ?Sized>(lock: &RwLock<T>) -> RwLockReadGuard<'_, T> {
    lock.read().unwrap_or_else(PoisonError::into_inner)
}

/// Locks `lock` for writing, also if it is poisoned.
#[inline]
pub fn write<T: ?Sized>(lock: &RwLock<T>) -> RwLockWriteGuard<'_, T> {
    lock.write().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    #[test]
    fn a_lock_works_after_a_panic_while_it_was_held() {
        let (mutex, rw) = (Mutex::new(1), RwLock::new(2));
        let panicked = thread::scope(|scope| {
            let holder = scope.spawn(|| {
                let _guards = (lock(&mutex), write(&rw));
                panic!("while both locks are held");
            });
            holder.join().is_err()
        });
        assert!(panicked && mutex.is_poisoned() && rw.is_poisoned());
        *lock(&mutex) += 1;
        *write(&rw) += 1;
        assert_eq!((*lock(&mutex), *read(&rw)), (2, 3));
    }
}
