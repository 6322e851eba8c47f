//! Which of those that wait are computed together. Pure.

use std::time::Duration;

use tokio::time::Instant;

use super::Batching;

/// A request in the queue, as far as it matters here.
#[derive(Clone, Copy, Debug)]
pub(super) struct Waits {
    pub(super) rows: usize,
    pub(super) since: Instant,
    pub(super) deadline: Option<Instant>,
    /// Whether nobody waits for its answer any more.
    pub(super) gone: bool,
}

/// What becomes of a request that leaves the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// It is part of the batch.
    Computed,
    /// Its deadline has passed.
    Expired,
    /// Its caller has gone.
    Gone,
}

/// What is done now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Formed {
    /// What becomes of the first so many; the others stay.
    Batch(Vec<Fate>),
    /// All stay until then, or until a batch is full.
    Wait(Instant),
}

/// Takes from the front, in order, as many as fit into one batch, at least one. Where that leaves room and the rules grant
/// a delay, it waits: until the oldest has waited so long, or until one would miss its deadline, since a pass `takes` so long.
pub(super) fn form(
    waiting: impl Iterator<Item = Waits>,
    now: Instant,
    takes: Duration,
    rules: &Batching,
) -> Formed {
    let (mut fates, mut rows, mut full) = (Vec::new(), 0_usize, false);
    let mut until: Option<Instant> = None;
    for one in waiting {
        if one.gone {
            fates.push(Fate::Gone);
            continue;
        }
        if one.deadline.is_some_and(|deadline| deadline <= now) {
            fates.push(Fate::Expired);
            continue;
        }
        if rows > 0 && rows + one.rows > rules.max_batch_rows {
            full = true;
            break;
        }
        rows += one.rows;
        fates.push(Fate::Computed);
        let latest = one
            .deadline
            .and_then(|deadline| deadline.checked_sub(takes));
        let ends = [Some(one.since + rules.max_queue_delay), latest, until];
        until = ends.into_iter().flatten().min();
    }
    match until {
        Some(until) if !full && rows < rules.max_batch_rows && until > now => Formed::Wait(until),
        _ => Formed::Batch(fates),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Milliseconds around a fixed moment: some deadlines have passed, some have not.
    fn waits(now: Instant) -> impl Strategy<Value = Waits> {
        let deadline = proptest::option::of(-20_i64..200);
        let age = 0_u64..50;
        (0_usize..20, age, deadline, proptest::bool::weighted(0.2)).prop_map(
            move |(rows, age, deadline, gone)| Waits {
                rows,
                since: now - Duration::from_millis(age),
                deadline: deadline.map(|ms| {
                    let by = Duration::from_millis(ms.unsigned_abs());
                    if ms < 0 { now - by } else { now + by }
                }),
                gone,
            },
        )
    }

    fn fate(one: &Waits, now: Instant) -> Fate {
        match (one.gone, one.deadline) {
            (true, _) => Fate::Gone,
            (_, Some(deadline)) if deadline <= now => Fate::Expired,
            _ => Fate::Computed,
        }
    }

    fn later() -> Instant {
        Instant::now() + Duration::from_secs(3_600)
    }

    proptest! {
        #[test]
        fn a_batch_is_the_longest_run_from_the_front_that_fits(
            (now, queue) in Just(later()).prop_flat_map(|now| (Just(now), proptest::collection::vec(waits(now), 0..40))),
            max_batch_rows in 1_usize..60,
        ) {
            let rules = Batching { max_batch_rows, max_queue_rows: 1, max_queue_delay: Duration::ZERO };
            let Formed::Batch(fates) = form(queue.iter().copied(), now, Duration::from_millis(7), &rules) else {
                return Err(TestCaseError::fail("nobody waits for company unless told to"));
            };
            prop_assert!(fates.len() <= queue.len());
            for (one, got) in queue.iter().zip(&fates) {
                prop_assert_eq!(*got, fate(one, now), "in order, each by itself");
            }
            let rows_of = |some: &[Waits]| -> Vec<usize> {
                some.iter().filter(|one| fate(one, now) == Fate::Computed).map(|one| one.rows).collect()
            };
            let taken = rows_of(&queue[..fates.len()]);
            let sum: usize = taken.iter().sum();
            let non_empty = taken.iter().filter(|rows| **rows > 0).count();
            prop_assert!(sum <= max_batch_rows || non_empty == 1, "{sum} rows of {taken:?}");
            if let Some(next) = queue.get(fates.len()) {
                prop_assert_eq!(fate(next, now), Fate::Computed, "what is over never stays at the front");
                prop_assert!(sum > 0 && sum + next.rows > max_batch_rows, "the next one would have fitted");
            }
        }

        #[test]
        fn a_delay_is_bounded_by_its_length_and_by_every_deadline(
            (now, queue) in Just(later()).prop_flat_map(|now| (Just(now), proptest::collection::vec(waits(now), 1..20))),
            max_batch_rows in 1_usize..200,
            delay in 0_u64..60,
            takes in 0_u64..30,
        ) {
            let (delay, takes) = (Duration::from_millis(delay), Duration::from_millis(takes));
            let rules = Batching { max_batch_rows, max_queue_rows: 1, max_queue_delay: delay };
            if let Formed::Wait(until) = form(queue.iter().copied(), now, takes, &rules) {
                prop_assert!(until > now);
                let live: Vec<_> = queue.iter().filter(|one| fate(one, now) == Fate::Computed).collect();
                prop_assert!(!live.is_empty(), "for nobody it does not wait");
                prop_assert!(live.iter().map(|one| one.rows).sum::<usize>() < max_batch_rows, "a full batch goes");
                for one in live {
                    prop_assert!(until <= one.since + delay);
                    if let Some(deadline) = one.deadline {
                        prop_assert!(until + takes <= deadline);
                    }
                }
                let then = form(queue.iter().copied(), until, takes, &rules);
                prop_assert!(matches!(then, Formed::Batch(_)), "and then it goes");
            }
        }
    }
}
