//! Reading what was seen: statistics, drift, two versions beside each other. Hundreds of columns of minutes are merged for one
//! answer, which may take a good part of a second.
//!
//! What always holds: that is done on a thread that serves nobody, and one at a time, so that all who ask in a loop take one
//! core together and hold up nobody but each other. Whoever goes away while waiting is not read for.

use std::sync::Arc;

use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;

use crate::error::AdminError;

/// Answers that are made at one time.
const AT_ONCE: usize = 1;

/// Where those wait who want to read.
#[derive(Debug)]
pub(super) struct ReadLimiter {
    places: Arc<Semaphore>,
}

impl Default for ReadLimiter {
    fn default() -> Self {
        let places = Arc::new(Semaphore::new(AT_ONCE));
        Self { places }
    }
}

impl ReadLimiter {
    /// What `read` gives, when its turn has come.
    ///
    /// # Errors
    /// Those of `read`.
    pub(super) async fn read<T, F>(&self, read: F) -> Result<T, AdminError>
    where
        T: Send + 'static,
        F: FnOnce() -> Result<T, AdminError> + Send + 'static,
    {
        let failed = |why: String| AdminError::Storage(why);
        let place = Arc::clone(&self.places).acquire_owned().await;
        let place = place.map_err(|error| failed(error.to_string()))?;
        let done = spawn_blocking(move || {
            // Kept to the end, also where the caller goes away meanwhile.
            let _place = place;
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
    async fn it_is_read_one_at_a_time_on_a_thread_that_serves_nobody() {
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
            "the place is free again"
        );
    }
}
