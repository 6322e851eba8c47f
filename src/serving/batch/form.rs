//! Which of those that wait are computed together. Pure.

use std::time::Duration;

use tokio::time::Instant;

use super::Batching;
use super::admit::careful;

/// How late a thread may wake up that sleeps until some moment.
const MARGIN: Duration = Duration::from_millis(2);

/// A request in the queue, as far as it matters here.
#[derive(Clone, Copy, Debug)]
pub(super) struct Waits {
    /// At least 1.
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
    /// Its deadline would pass before a pass with nothing else ends, which takes so long.
    Late(Duration),
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

/// Takes from the front, in order, as many as fit into one batch and as end before the deadline of each of them; a pass of so
/// many rows `takes` so long. Where that leaves room and the rules grant a delay, it waits: until the oldest has waited so
/// long, or until one might miss its deadline.
/// Where all would be late, one of them is computed all the same: only a pass can tell that the estimate is wrong.
pub(super) fn form(
    waiting: impl Iterator<Item = Waits>,
    now: Instant,
    takes: impl Fn(usize) -> Duration,
    rules: &Batching,
) -> Formed {
    let (mut fates, mut rows, mut full) = (Vec::new(), 0_usize, false);
    let (mut oldest, mut tightest): (Option<Instant>, Option<Instant>) = (None, None);
    for one in waiting {
        if one.gone {
            fates.push(Fate::Gone);
            continue;
        }
        if one.deadline.is_some_and(|deadline| deadline <= now) {
            fates.push(Fate::Expired);
            continue;
        }
        let misses = |takes, deadline: Option<Instant>| {
            deadline.is_some_and(|deadline| deadline < now + takes)
        };
        let alone = takes(one.rows);
        if misses(alone, one.deadline) {
            fates.push(Fate::Late(alone));
            continue;
        }
        let ends = earlier(tightest, one.deadline);
        let all = rows.saturating_add(one.rows);
        if rows > 0 && (all > rules.max_batch_rows || misses(takes(all), ends)) {
            full = true;
            break;
        }
        (rows, tightest) = (all, ends);
        oldest = earlier(oldest, Some(one.since));
        fates.push(Fate::Computed);
    }
    if rows == 0
        && let Some(last) = fates.iter_mut().rfind(|fate| matches!(fate, Fate::Late(_)))
    {
        *last = Fate::Computed;
    }
    let waited = oldest.map(|oldest| oldest + rules.max_queue_delay);
    let room = careful(takes(rows)).saturating_add(MARGIN);
    let latest = tightest.and_then(|deadline| deadline.checked_sub(room));
    match earlier(waited, latest) {
        Some(until) if !full && rows < rules.max_batch_rows && until > now => Formed::Wait(until),
        _ => Formed::Batch(fates),
    }
}

fn earlier(one: Option<Instant>, other: Option<Instant>) -> Option<Instant> {
    [one, other].into_iter().flatten().min()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Milliseconds around a fixed moment: some deadlines have passed, some have not.
    fn waits(now: Instant) -> impl Strategy<Value = Waits> {
        let deadline = proptest::option::of(-20_i64..200);
        let age = 0_u64..50;
        (1_usize..20, age, deadline, proptest::bool::weighted(0.2)).prop_map(
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

    /// What a request deserves by itself.
    fn fate(one: &Waits, now: Instant) -> Fate {
        match (one.gone, one.deadline) {
            (true, _) => Fate::Gone,
            (_, Some(deadline)) if deadline <= now => Fate::Expired,
            (_, Some(deadline)) if deadline < now + takes(one.rows) => Fate::Late(takes(one.rows)),
            _ => Fate::Computed,
        }
    }

    /// Ten milliseconds, and two more for each row.
    fn takes(rows: usize) -> Duration {
        Duration::from_millis(10 + 2 * rows as u64)
    }

    fn later() -> Instant {
        Instant::now() + Duration::from_secs(3_600)
    }

    fn rows_of(some: &[Waits]) -> usize {
        some.iter().map(|one| one.rows).sum()
    }

    fn tightest(some: &[Waits]) -> Option<Instant> {
        some.iter().filter_map(|one| one.deadline).min()
    }

    proptest! {
        #[test]
        fn a_batch_is_the_longest_run_from_the_front_that_fits_and_ends_in_time(
            (now, queue) in Just(later()).prop_flat_map(|now| (Just(now), proptest::collection::vec(waits(now), 0..40))),
            max_batch_rows in 1_usize..60,
        ) {
            let rules = Batching { max_batch_rows, max_queue_rows: 1, max_queue_delay: Duration::ZERO };
            let Formed::Batch(fates) = form(queue.iter().copied(), now, takes, &rules) else {
                return Err(TestCaseError::fail("nobody waits for company unless told to"));
            };
            prop_assert!(fates.len() <= queue.len());
            let own: Vec<_> = queue.iter().map(|one| fate(one, now)).collect();
            if !own.contains(&Fate::Computed) {
                let last = own.iter().rposition(|fate| matches!(fate, Fate::Late(_)));
                for (at, (own, got)) in own.iter().zip(&fates).enumerate() {
                    let want = if Some(at) == last { Fate::Computed } else { *own };
                    prop_assert_eq!(*got, want, "of those that would be late one shows how late");
                }
                return Ok(());
            }
            prop_assert_eq!(&fates[..], &own[..fates.len()], "in order, each by itself");
            let taken: Vec<Waits> = queue.iter().zip(&fates).filter(|(_, fate)| **fate == Fate::Computed).map(|(one, _)| *one).collect();
            prop_assert!(rows_of(&taken) <= max_batch_rows || taken.len() == 1, "{taken:?}");
            let in_time = |some: &[Waits]| tightest(some).is_none_or(|deadline| now + takes(rows_of(some)) <= deadline);
            prop_assert!(in_time(&taken), "{taken:?}");
            if let Some(next) = queue.get(fates.len()) {
                prop_assert_eq!(fate(next, now), Fate::Computed, "what is over never stays at the front");
                let mut with = taken.clone();
                with.push(*next);
                prop_assert!(rows_of(&with) > max_batch_rows || !in_time(&with), "the next one would have fitted");
            }
        }

        #[test]
        fn a_delay_is_bounded_by_its_length_and_by_every_deadline(
            (now, queue) in Just(later()).prop_flat_map(|now| (Just(now), proptest::collection::vec(waits(now), 1..20))),
            max_batch_rows in 1_usize..200,
            delay in 0_u64..60,
        ) {
            let delay = Duration::from_millis(delay);
            let rules = Batching { max_batch_rows, max_queue_rows: 1, max_queue_delay: delay };
            if let Formed::Wait(until) = form(queue.iter().copied(), now, takes, &rules) {
                prop_assert!(until > now);
                let live: Vec<_> = queue.iter().filter(|one| fate(one, now) == Fate::Computed).copied().collect();
                prop_assert!(!live.is_empty(), "for nobody it does not wait");
                prop_assert!(rows_of(&live) < max_batch_rows, "a full batch goes");
                for one in &live {
                    prop_assert!(until <= one.since + delay);
                }
                // A thread that sleeps until then wakes up a little later.
                let woken = until + Duration::from_millis(1);
                prop_assert!(tightest(&live).is_none_or(|deadline| woken + takes(rows_of(&live)) <= deadline));
                let Formed::Batch(then) = form(queue.iter().copied(), woken, takes, &rules) else {
                    return Err(TestCaseError::fail("then it goes"));
                };
                let computed = then.iter().filter(|fate| **fate == Fate::Computed).count();
                prop_assert_eq!(computed, live.len(), "with all that waited for it");
            }
        }
    }
}
