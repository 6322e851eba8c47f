//! Compares versions: a shadow with a primary on the same requests, and the tools to compare two versions on split traffic.
//!
//! Every version has [`Comparisons`], which fill while the version is a shadow and end with it. Only the thread that records for
//! shadows writes to them, never a thread that answers a client. Each pair of versions has a lock of its own, and ends when
//! either version does. [`rates`] and [`numbers`] contain the inference: pure functions of counts and sketches.
//!
//! Invariants: memory is bounded, by [`MAX_PRIMARIES`] pairs per shadow and [`examples::MAX_EXAMPLES`] examples per pair; no example
//! contains an input that either version marks sensitive. A version may be its own shadow: this control measures how much two
//! answers differ without any cause.
//! Not here: which requests are copied ([`serving`](crate::serving)), the windows of split traffic ([`stats`](super::stats)), and
//! which versions a question compares ([`query`](super::query)).

mod counts;
pub mod examples;
mod info;
pub mod numbers;
mod pair;
pub mod rates;
#[cfg(test)]
mod tests;
mod vectors;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, Weak},
    time::Duration,
};

use tokio::time::Instant;

use super::metrics::{ComparedMeters, VersionMeters};
use crate::ident::VersionNumber;
use crate::model::Signature;
use crate::sync::lock;

pub use counts::{MAX_CLASSES, PairCounts};
pub use info::VersionInfo;
pub use pair::{Pair, Side};

/// The most primaries that one shadow is compared with. Past it, the lowest of the other numbers is removed.
pub const MAX_PRIMARIES: usize = 64;

/// The comparisons of one shadow with every primary whose requests it answered.
#[derive(Debug)]
pub struct Comparisons {
    info: Arc<VersionInfo>,
    /// Locked to find a pair. The counts of a pair have a lock of their own.
    by_primary: Mutex<BTreeMap<VersionNumber, Arc<PairRecord>>>,
}

#[derive(Debug)]
struct PairRecord {
    /// Ends when the primary does.
    primary: Weak<VersionInfo>,
    meters: ComparedMeters,
    begin: Instant,
    counts: Mutex<PairCounts>,
}

/// The counts of one pair at one moment.
#[derive(Clone, Debug)]
pub struct PairSnapshot {
    /// The version whose answers clients got.
    pub primary: VersionNumber,
    /// The time since the first request.
    pub length: Duration,
    /// Everything since then.
    pub counts: PairCounts,
}

impl Comparisons {
    /// Creates the comparisons of a version with this signature that was never a shadow.
    #[must_use]
    pub fn new(signature: &Signature) -> Self {
        Self {
            info: Arc::new(VersionInfo::new(signature)),
            by_primary: Mutex::default(),
        }
    }

    /// Returns what other versions need to know about this one to be compared with it. It lives as long as this version does.
    #[must_use]
    pub fn info(&self) -> &Arc<VersionInfo> {
        &self.info
    }

    /// Records one request that both versions answered. `meters` belong to the shadow.
    pub(super) fn record(&self, pair: &Pair<'_>, meters: &VersionMeters) {
        let record = self.pair_record(pair, meters);
        let compared = lock(&record.counts).add(pair, &self.info);
        record.meters.compared(compared.rows, compared.disagreed);
    }

    /// Returns the record of the pair. Creates it if there is none, or if the primary was loaded again since.
    fn pair_record(&self, pair: &Pair<'_>, meters: &VersionMeters) -> Arc<PairRecord> {
        let primary = pair.primary.version;
        let mut records = lock(&self.by_primary);
        if let Some(record) = records.get(&primary)
            && std::ptr::eq(record.primary.as_ptr(), Arc::as_ptr(pair.primary_info))
        {
            return Arc::clone(record);
        }
        records.retain(|_, record| record.primary.strong_count() > 0);
        let record = Arc::new(PairRecord {
            primary: Arc::downgrade(pair.primary_info),
            meters: meters.compared(primary),
            begin: Instant::now(),
            counts: Mutex::new(PairCounts::new(
                self.info.kind_beside(pair.primary_info),
                self.info.classes(),
            )),
        });
        records.insert(primary, Arc::clone(&record));
        if records.len() > MAX_PRIMARIES {
            let lowest = records.keys().copied().find(|number| *number != primary);
            lowest.and_then(|lowest| records.remove(&lowest));
        }
        record
    }

    /// Removes the primaries that are no longer loaded.
    pub fn remove_retired(&self) {
        lock(&self.by_primary).retain(|_, record| record.primary.strong_count() > 0);
    }

    /// Returns the comparison with `primary`; `None` if there is none.
    #[must_use]
    pub fn with_primary(&self, primary: VersionNumber) -> Option<PairSnapshot> {
        let record = lock(&self.by_primary).get(&primary).cloned()?;
        let counts = lock(&record.counts).clone();
        (record.primary.strong_count() > 0).then(|| PairSnapshot {
            primary,
            length: record.begin.elapsed(),
            counts,
        })
    }
}
