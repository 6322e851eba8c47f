//! What two versions said: a shadow beside the primary on the same requests, and two versions that took split traffic.
//!
//! Every version has one [`Comparisons`], which goes with it; it fills where the version is a shadow. One thread
//! of shadows writes to it, never one that answers a caller, and each pair of versions has a lock of its own. A pair goes when one of its
//! two versions does. [`rates`] and [`numbers`] are what can be concluded: pure functions of counts and sketches.
//!
//! What always holds: memory is bounded, by [`MOST_PRIMARIES`] pairs a shadow and [`examples::MOST`] examples a pair; an input
//! that either of two versions marks sensitive is in no example. A version may be its own shadow: the control, which says how
//! much two answers differ where nothing does.
//! Not here: which requests are copied ([`serving`](crate::serving)), and the windows of split traffic ([`stats`](super::stats)).

mod about;
pub mod examples;
pub mod numbers;
mod pair;
pub mod rates;
mod seen;
#[cfg(test)]
mod tests;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::Duration,
};

use tokio::time::Instant;

use super::metrics::{ComparedMeters, VersionMeters};
use crate::ident::VersionNumber;
use crate::model::Signature;

pub use about::About;
pub use pair::{Pair, Side};
pub use seen::{MOST_CLASSES, Seen};

/// Primaries that one shadow is compared with; past it, of the others the one with the lowest number is forgotten.
pub const MOST_PRIMARIES: usize = 64;

/// One shadow beside every primary whose requests it got.
#[derive(Debug)]
pub struct Comparisons {
    about: Arc<About>,
    /// Locked to find the pair; what is counted is behind a lock of the pair's own.
    by_primary: Mutex<BTreeMap<VersionNumber, Arc<One>>>,
}

#[derive(Debug)]
struct One {
    /// Gone when the primary is.
    primary: Weak<About>,
    meters: ComparedMeters,
    begin: Instant,
    seen: Mutex<Seen>,
}

/// What was seen of one pair.
#[derive(Clone, Debug)]
pub struct Told {
    /// Whose answers callers got.
    pub primary: VersionNumber,
    /// How long ago the first request came.
    pub length: Duration,
    /// All since then.
    pub seen: Seen,
}

impl Comparisons {
    /// Of a version with this signature, that was never a shadow.
    #[must_use]
    pub fn of(signature: &Signature) -> Self {
        Self {
            about: Arc::new(About::of(signature)),
            by_primary: Mutex::default(),
        }
    }

    /// What others must know of the version to be compared with it. It lives as long as the version, and holds no weights.
    #[must_use]
    pub fn about(&self) -> &Arc<About> {
        &self.about
    }

    /// Both have answered one request. `meters` are those of the shadow.
    pub fn paired(&self, pair: &Pair<'_>, meters: &VersionMeters) {
        let one = self.one(pair, meters);
        let (rows, disagreed) = lock(&one.seen).add(pair, &self.about);
        one.meters.compared(rows, disagreed);
    }

    /// The pair; a new one where there is none, or where the primary was loaded again since.
    fn one(&self, pair: &Pair<'_>, meters: &VersionMeters) -> Arc<One> {
        let primary = pair.primary.version;
        let mut all = lock(&self.by_primary);
        if let Some(one) = all.get(&primary)
            && std::ptr::eq(one.primary.as_ptr(), Arc::as_ptr(pair.about))
        {
            return Arc::clone(one);
        }
        all.retain(|_, one| one.primary.strong_count() > 0);
        let one = Arc::new(One {
            primary: Arc::downgrade(pair.about),
            meters: meters.compared(primary),
            begin: Instant::now(),
            seen: Mutex::new(Seen::of(self.about.classes())),
        });
        all.insert(primary, Arc::clone(&one));
        if all.len() > MOST_PRIMARIES {
            let lowest = all.keys().copied().find(|number| *number != primary);
            lowest.and_then(|lowest| all.remove(&lowest));
        }
        one
    }

    /// Forgets the primaries that are no longer loaded.
    pub fn forget_retired(&self) {
        lock(&self.by_primary).retain(|_, one| one.primary.strong_count() > 0);
    }

    /// What was seen beside `primary`; `None` where nothing was.
    #[must_use]
    pub fn beside(&self, primary: VersionNumber) -> Option<Told> {
        let one = lock(&self.by_primary).get(&primary).cloned()?;
        let seen = lock(&one.seen).clone();
        (one.primary.strong_count() > 0).then(|| Told {
            primary,
            length: one.begin.elapsed(),
            seen,
        })
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
