//! What became of the requests of one stretch.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tonic::Code;

use super::times::Times;

/// How one request ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// With an answer by this version.
    Answered(u64),
    /// Without one.
    Failed {
        /// Why, as a program knows it.
        code: Code,
        /// Why, for a person.
        message: String,
    },
}

/// Versions that are told apart; answers of further ones are counted together, as version 0.
const MOST_VERSIONS: usize = 64;

/// Characters of an error's message that are kept.
const LONGEST_MESSAGE: usize = 300;

/// Pieces of a [`Board`]: few enough that their histograms (150 KiB a version) stay small, enough that callers seldom meet.
const LANES: usize = 16;

/// How many of what.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Sent.
    pub sent: u64,
    /// Due in an open loop, and never sent, because as many as may be were in flight.
    pub not_sent: u64,
    /// Answered.
    pub answered: u64,
    /// Answered before the stretch was over: what a rate is made of.
    pub in_time: u64,
    /// Refused, broken off or timed out.
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

    /// Sent, and neither answered nor failed: in flight, or abandoned.
    #[must_use]
    pub fn open(&self) -> u64 {
        self.sent.saturating_sub(self.answered + self.failed)
    }
}

/// What a stretch, or several, saw.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// How many of what.
    pub counts: Counts,
    /// Time to an answer by version. In an open loop it counts from the moment the request was due.
    pub versions: BTreeMap<u64, Times>,
    /// By code: how often, and the first message.
    pub errors: BTreeMap<i32, (u64, String)>,
    /// How late requests went out after they were due, in an open loop. The latencies contain it.
    pub late: Times,
}

impl Tally {
    /// Adds all that `other` saw.
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

    /// Time to an answer, of all versions.
    #[must_use]
    pub fn latency(&self) -> Times {
        let mut all = Times::default();
        self.versions.values().for_each(|own| all.add(own));
        all
    }

    fn ended(&mut self, outcome: Outcome, took: Duration, in_time: bool) {
        match outcome {
            Outcome::Answered(version) => {
                self.counts.answered += 1;
                self.counts.in_time += u64::from(in_time);
                self.version(version).record(took);
            }
            Outcome::Failed { code, message } => {
                self.counts.failed += 1;
                let cut = || crate::text::truncate(&message, LONGEST_MESSAGE).to_owned();
                let own = self.errors.entry(i32::from(code));
                own.or_insert_with(|| (0, cut())).0 += 1;
            }
        }
    }

    fn version(&mut self, version: u64) -> &mut Times {
        let named = || self.versions.range(1..).count();
        let known = self.versions.contains_key(&version) || named() < MOST_VERSIONS;
        let version = if known { version } else { 0 };
        self.versions.entry(version).or_default()
    }
}

/// Where the callers of one stretch write what they see, while others read how far it is.
#[derive(Debug)]
pub struct Board {
    lanes: [Mutex<Tally>; LANES],
}

impl Default for Board {
    fn default() -> Self {
        Self {
            lanes: std::array::from_fn(|_| Mutex::default()),
        }
    }
}

impl Board {
    /// How far it is.
    #[must_use]
    pub fn counts(&self) -> Counts {
        let mut counts = Counts::default();
        (0..LANES).for_each(|at| counts.add(self.lane(at).counts));
        counts
    }

    /// All that was seen so far.
    #[must_use]
    pub fn total(&self) -> Tally {
        let mut total = Tally::default();
        (0..LANES).for_each(|at| total.add(&self.lane(at)));
        total
    }

    /// A request that was not due at any time goes out.
    pub(super) fn sent(&self, lane: usize) {
        self.lane(lane).counts.sent += 1;
    }

    /// A request goes out, so long after it was due.
    pub(super) fn sent_late(&self, lane: usize, late: Duration) {
        let mut lane = self.lane(lane);
        lane.counts.sent += 1;
        lane.late.record(late);
    }

    /// A request was due that does not go out.
    pub(super) fn not_sent(&self, lane: usize) {
        self.lane(lane).counts.not_sent += 1;
    }

    /// A request has ended; `in_time`: before its stretch was over.
    pub(super) fn ended(&self, lane: usize, outcome: Outcome, took: Duration, in_time: bool) {
        self.lane(lane).ended(outcome, took, in_time);
    }

    fn lane(&self, at: usize) -> MutexGuard<'_, Tally> {
        // Counts of whoever panicked in between are no worse than those before.
        let lane = self.lanes[at % LANES].lock();
        lane.unwrap_or_else(PoisonError::into_inner)
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
    fn every_request_is_somewhere() {
        let board = Board::default();
        for lane in 0..40 {
            board.sent_late(lane, MILLISECOND);
        }
        for lane in 0..20 {
            let version = if lane % 4 == 0 { 2 } else { 1 };
            let outcome = Outcome::Answered(version);
            board.ended(lane, outcome, MILLISECOND * 3, lane < 15);
        }
        board.ended(3, refused("full"), MILLISECOND, true);
        board.ended(3, refused("still full"), MILLISECOND, true);
        board.not_sent(7);
        let want = Counts {
            sent: 40,
            not_sent: 1,
            answered: 20,
            in_time: 15,
            failed: 2,
        };
        assert_eq!(board.counts(), want);
        let total = board.total();
        assert_eq!((total.counts, total.counts.open()), (want, 18));
        let of = |version| total.versions.get(&version).map(Times::count);
        assert_eq!((of(1), of(2)), (Some(15), Some(5)));
        assert_eq!(total.latency().count(), 20);
        assert_eq!(total.late.count(), 40);
        let code = i32::from(Code::ResourceExhausted);
        assert_eq!(total.errors[&code], (2, "full".into()));
    }

    #[test]
    fn versions_without_end_and_long_messages_are_cut() {
        let board = Board::default();
        for version in 1..=100 {
            board.ended(0, Outcome::Answered(version), MILLISECOND, true);
        }
        board.ended(0, refused(&"x".repeat(10_000)), MILLISECOND, true);
        let total = board.total();
        assert_eq!(total.versions.len(), MOST_VERSIONS + 1);
        assert_eq!(total.versions[&0].count(), 100 - MOST_VERSIONS as u64);
        let (_, message) = total.errors.values().next().expect("an error");
        assert_eq!(message.len(), LONGEST_MESSAGE);
    }
}
