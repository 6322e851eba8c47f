//! Limits concurrent reads of what was observed: statistics, drift, comparisons. One answer may merge hundreds of columns of minutes, which
//! takes a good part of a second.
//!
//! Invariant: reads run on a blocking thread, one at a time, so that all callers in a loop use one core together and delay only each other.
//! Nothing is read for a caller that disconnects while it waits.

use std::sync::Arc;

use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;

use crate::error::AdminError;

/// Limit on concurrent reads.
const AT_ONCE: usize = 1;

/// Runs reads one at a time.
#[derive(Debug)]
pub(super) struct ReadLimiter {
    permits: Arc<Semaphore>,
}

impl Default for ReadLimiter {
    fn default() -> Self {
        let permits = Arc::new(Semaphore::new(AT_ONCE));
        Self { permits }
    }
}

impl ReadLimiter {
    /// Waits until no other read runs, then returns the result of `read`.
    ///
    /// # Errors
    /// Returns the error of `read`, or [`AdminError::Storage`] if it panics.
    pub(super) async fn read<T, F>(&self, read: F) -> Result<T, AdminError>
    where
        T: Send + 'static,
        F: FnOnce() -> Result<T, AdminError> + Send + 'static,
    {
        let failed = |why: String| AdminError::Storage(why);
        let acquired = Arc::clone(&self.permits).acquire_owned().await;
        let permit = acquired.map_err(|error| failed(error.to_string()))?;
        let done = spawn_blocking(move || {
            // Held until the end, even if the caller disconnects.
            let _permit = permit;
            read()
        });
        done.await.map_err(|error| failed(error.to_string()))?
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::thread;

    use super::*;

    #[tokio::test]
    async fn reads_run_one_at_a_time_on_a_blocking_thread() {
        let read_limiter = ReadLimiter::default();
        let here = thread::current().id();
        let inside = Arc::new(AtomicUsize::new(0));
        let read = || {
            let inside = Arc::clone(&inside);
            read_limiter.read(move || {
                let others = inside.fetch_add(1, Ordering::SeqCst);
                (0..100).for_each(|_| thread::yield_now());
                inside.fetch_sub(1, Ordering::SeqCst);
                Ok((others, thread::current().id()))
            })
        };
        let all = tokio::join!(read(), read(), read(), read());
        for one in [all.0, all.1, all.2, all.3] {
            let (others, thread) = one.unwrap();
            assert_eq!(others, 0);
            assert_ne!(thread, here);
        }
        let error = AdminError::UnknownModel("m".into());
        let refused = read_limiter.read(move || Err::<(), _>(error)).await;
        assert!(matches!(refused, Err(AdminError::UnknownModel(_))));
        assert!(
            read_limiter.read(|| Ok(1)).await.is_ok(),
            "the permit is free again"
        );
    }
}
