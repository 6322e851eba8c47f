//! The outcomes of the requests of one phase.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard},
    time::Duration,
};

use tonic::Code;

use super::times::Times;
use crate::sync;

/// How one request ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The request was answered by this version.
    Answered(u64),
    /// The request failed with a gRPC status.
    Failed {
        /// The gRPC code.
        code: Code,
        /// The message.
        message: String,
    },
}

/// Maximum number of versions with separate statistics. Further versions share entry 0.
const MAX_VERSIONS: usize = 64;

/// Maximum number of characters of an error message that are kept.
const MAX_MESSAGE_CHARS: usize = 300;

/// Shards of a [`Recorder`]: few enough to limit the memory of their histograms (150 KiB per version), enough to make lock contention
/// rare.
const SHARDS: usize = 16;

/// Numbers of requests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Sent.
    pub sent: u64,
    /// Due in an open loop but not sent, because the maximum number was in flight.
    pub not_sent: u64,
    /// Answered.
    pub answered: u64,
    /// Answered before the end of the phase. Rates are computed from these.
    pub in_time: u64,
    /// Failed with a gRPC status, for example because they were refused, aborted or timed out.
    pub failed: u64,
}

impl Counts {
    fn add(&mut self, other: Self) {
        self.sent += other.sent;
        self.not_sent += other.not_sent;
        self.answered += other.answered;
        self.in_time += other.in_time;
        self.failed += other.failed;
    }

    /// Returns the number of requests that were sent but have no outcome yet: they are in flight or abandoned.
    #[must_use]
    pub fn unfinished(&self) -> u64 {
        self.sent.saturating_sub(self.answered + self.failed)
    }
}

/// The results of one phase, or the sum of several.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// Numbers of requests.
    pub counts: Counts,
    /// Latency by version. In an open loop it is measured from the time at which the request was due.
    pub versions: BTreeMap<u64, Times>,
    /// By gRPC code: number of failures, and the first message.
    pub errors: BTreeMap<i32, (u64, String)>,
    /// Delay between due time and sending, in an open loop. Latencies include it.
    pub late: Times,
}

impl Tally {
    /// Adds the results in `other`.
    pub fn add(&mut self, other: &Self) {
        self.counts.add(other.counts);
        for (version, theirs) in &other.versions {
            self.version(*version).add(theirs);
        }
        for (code, (count, message)) in &other.errors {
            let own = self.errors.entry(*code);
            own.or_insert_with(|| (0, message.clone())).0 += count;
        }
        self.late.add(&other.late);
    }

    /// Returns the latencies of all versions.
    #[must_use]
    pub fn latency(&self) -> Times {
        let mut all = Times::default();
        self.versions.values().for_each(|own| all.add(own));
        all
    }

    fn record_outcome(&mut self, outcome: Outcome, took: Duration, in_time: bool) {
        match outcome {
            Outcome::Answered(version) => {
                self.counts.answered += 1;
                self.counts.in_time += u64::from(in_time);
                self.version(version).record(took);
            }
            Outcome::Failed { code, message } => {
                self.counts.failed += 1;
                let truncated = || crate::text::truncate(&message, MAX_MESSAGE_CHARS).to_owned();
                let own = self.errors.entry(i32::from(code));
                own.or_insert_with(|| (0, truncated())).0 += 1;
            }
        }
    }

    fn version(&mut self, version: u64) -> &mut Times {
        let named = || self.versions.range(1..).count();
        let known = self.versions.contains_key(&version) || named() < MAX_VERSIONS;
        let version = if known { version } else { 0 };
        self.versions.entry(version).or_default()
    }
}

/// Records results of concurrent callers. Counts can be read at any time.
#[derive(Debug)]
pub struct Recorder {
    shards: [Mutex<Tally>; SHARDS],
}

impl Default for Recorder {
    fn default() -> Self {
        Self {
            shards: std::array::from_fn(|_| Mutex::default()),
        }
    }
}

impl Recorder {
    /// Returns the numbers of requests so far.
    #[must_use]
    pub fn counts(&self) -> Counts {
        let mut counts = Counts::default();
        (0..SHARDS).for_each(|at| counts.add(self.shard(at).counts));
        counts
    }

    /// Returns all results so far.
    #[must_use]
    pub fn total(&self) -> Tally {
        let mut total = Tally::default();
        (0..SHARDS).for_each(|at| total.add(&self.shard(at)));
        total
    }

    /// Records that a request of a closed loop is sent.
    pub(super) fn count_sent_closed_loop(&self, shard: usize) {
        self.shard(shard).counts.sent += 1;
    }

    /// Records that a request of an open loop is sent, `delay` after it was due.
    pub(super) fn count_sent_open_loop(&self, shard: usize, delay: Duration) {
        let mut shard = self.shard(shard);
        shard.counts.sent += 1;
        shard.late.record(delay);
    }

    /// Records that a due request is not sent.
    pub(super) fn count_not_sent(&self, shard: usize) {
        self.shard(shard).counts.not_sent += 1;
    }

    /// Records the outcome of a request. `in_time`: before the end of the phase.
    pub(super) fn record_outcome(
        &self,
        shard: usize,
        outcome: Outcome,
        took: Duration,
        in_time: bool,
    ) {
        self.shard(shard).record_outcome(outcome, took, in_time);
    }

    fn shard(&self, at: usize) -> MutexGuard<'_, Tally> {
        // The counts are valid also after a caller panicked while it held the lock.
        sync::lock(&self.shards[at % SHARDS])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MILLISECOND: Duration = Duration::from_millis(1);

    fn refused(message: &str) -> Outcome {
        Outcome::Failed {
            code: Code::ResourceExhausted,
            message: message.into(),
        }
    }

    #[test]
    fn every_request_is_counted_once() {
        let recorder = Recorder::default();
        for shard in 0..40 {
            recorder.count_sent_open_loop(shard, MILLISECOND);
        }
        for shard in 0..20 {
            let version = if shard % 4 == 0 { 2 } else { 1 };
            let outcome = Outcome::Answered(version);
            recorder.record_outcome(shard, outcome, MILLISECOND * 3, shard < 15);
        }
        recorder.record_outcome(3, refused("full"), MILLISECOND, true);
        recorder.record_outcome(3, refused("still full"), MILLISECOND, true);
        recorder.count_not_sent(7);
        let expected = Counts {
            sent: 40,
            not_sent: 1,
            answered: 20,
            in_time: 15,
            failed: 2,
        };
        assert_eq!(recorder.counts(), expected);
        let total = recorder.total();
        assert_eq!((total.counts, total.counts.unfinished()), (expected, 18));
        let of = |version| total.versions.get(&version).map(Times::count);
        assert_eq!((of(1), of(2)), (Some(15), Some(5)));
        assert_eq!(total.latency().count(), 20);
        assert_eq!(total.late.count(), 40);
        let code = i32::from(Code::ResourceExhausted);
        assert_eq!(total.errors[&code], (2, "full".into()));
    }

    #[test]
    fn the_number_of_versions_and_the_length_of_messages_are_limited() {
        let recorder = Recorder::default();
        for version in 1..=100 {
            recorder.record_outcome(0, Outcome::Answered(version), MILLISECOND, true);
        }
        recorder.record_outcome(0, refused(&"x".repeat(10_000)), MILLISECOND, true);
        let total = recorder.total();
        assert_eq!(total.versions.len(), MAX_VERSIONS + 1);
        assert_eq!(total.versions[&0].count(), 100 - MAX_VERSIONS as u64);
        let (_, message) = total.errors.values().next().expect("an error");
        assert_eq!(message.len(), MAX_MESSAGE_CHARS);
    }
}
