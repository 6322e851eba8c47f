//! The rules for which waiting requests are computed together. Pure functions.

use std::time::Duration;

use tokio::time::Instant;

use super::admit::with_margin;
use super::settings::Batching;

/// How late a thread may wake up that sleeps until a given time.
const WAKE_UP_MARGIN: Duration = Duration::from_millis(2);

/// What decides whether a waiting request joins a batch.
#[derive(Clone, Copy, Debug)]
pub(super) struct Candidate {
    /// Rows, at least 1.
    pub(super) rows: usize,
    /// When the request arrived.
    pub(super) arrived: Instant,
    pub(super) deadline: Option<Instant>,
    /// Whether the client has disconnected.
    pub(super) cancelled: bool,
}

/// What happens to a request that leaves the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Decision {
    /// It is computed as part of the batch.
    Compute,
    /// It is dropped: its deadline has passed.
    Expired,
    /// It is dropped: its deadline would pass before the end of a pass with nothing else, which takes this long.
    TooLate(Duration),
    /// It is dropped: its client has disconnected.
    Cancelled,
}

/// What a queue does in one turn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Plan {
    /// One decision for each of the first requests. The others stay in the queue.
    Batch(Vec<Decision>),
    /// All requests stay in the queue until this time, or until a batch is full.
    WaitUntil(Instant),
}

/// Forms a batch from the front of the queue.
///
/// Takes, in order, as many requests as fit into one batch and as end before the deadline of each of them. `pass_time`
/// estimates a pass of so many rows. If the batch has room and the rules allow a delay, it waits: until the oldest request has
/// waited that long, or until one might miss its deadline.
///
/// If every request would be late, one of them is computed nevertheless: only a pass can show that the estimate is wrong.
pub(super) fn form(
    waiting: impl Iterator<Item = Candidate>,
    now: Instant,
    pass_time: impl Fn(usize) -> Duration,
    rules: &Batching,
) -> Plan {
    let (mut decisions, mut rows, mut is_full) = (Vec::new(), 0_usize, false);
    let (mut oldest, mut tightest): (Option<Instant>, Option<Instant>) = (None, None);
    let misses = |pass: Duration, deadline: Option<Instant>| {
        deadline.is_some_and(|deadline| deadline < now + pass)
    };
    for request in waiting {
        if request.cancelled {
            decisions.push(Decision::Cancelled);
            continue;
        }
        if request.deadline.is_some_and(|deadline| deadline <= now) {
            decisions.push(Decision::Expired);
            continue;
        }
        let alone = pass_time(request.rows);
        if misses(alone, request.deadline) {
            decisions.push(Decision::TooLate(alone));
            continue;
        }
        let joint_deadline = earlier(tightest, request.deadline);
        let joint_rows = rows.saturating_add(request.rows);
        if rows > 0
            && (joint_rows > rules.max_batch_rows || misses(pass_time(joint_rows), joint_deadline))
        {
            is_full = true;
            break;
        }
        (rows, tightest) = (joint_rows, joint_deadline);
        oldest = earlier(oldest, Some(request.arrived));
        decisions.push(Decision::Compute);
    }
    let is_late = |decision: &&mut Decision| matches!(decision, Decision::TooLate(_));
    if rows == 0
        && let Some(last) = decisions.iter_mut().rfind(is_late)
    {
        *last = Decision::Compute;
    }
    let end_of_delay = oldest.map(|oldest| oldest + rules.max_queue_delay);
    let reserve = with_margin(pass_time(rows)).saturating_add(WAKE_UP_MARGIN);
    let latest_start = tightest.and_then(|deadline| deadline.checked_sub(reserve));
    match earlier(end_of_delay, latest_start) {
        Some(until) if !is_full && rows < rules.max_batch_rows && until > now => {
            Plan::WaitUntil(until)
        }
        _ => Plan::Batch(decisions),
    }
}

fn earlier(one: Option<Instant>, other: Option<Instant>) -> Option<Instant> {
    [one, other].into_iter().flatten().min()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Milliseconds around a fixed time: some deadlines have passed, others have not.
    fn candidates(now: Instant) -> impl Strategy<Value = Candidate> {
        let deadline = proptest::option::of(-20_i64..200);
        let age = 0_u64..50;
        (1_usize..20, age, deadline, proptest::bool::weighted(0.2)).prop_map(
            move |(rows, age, deadline, cancelled)| Candidate {
                rows,
                arrived: now - Duration::from_millis(age),
                deadline: deadline.map(|ms| {
                    let distance = Duration::from_millis(ms.unsigned_abs());
                    if ms < 0 {
                        now - distance
                    } else {
                        now + distance
                    }
                }),
                cancelled,
            },
        )
    }

    /// The decision about a request by itself.
    fn alone(request: &Candidate, now: Instant) -> Decision {
        let pass = pass_time(request.rows);
        match (request.cancelled, request.deadline) {
            (true, _) => Decision::Cancelled,
            (_, Some(deadline)) if deadline <= now => Decision::Expired,
            (_, Some(deadline)) if deadline < now + pass => Decision::TooLate(pass),
            _ => Decision::Compute,
        }
    }

    /// Ten milliseconds, and two more for each row.
    fn pass_time(rows: usize) -> Duration {
        Duration::from_millis(10 + 2 * rows as u64)
    }

    fn in_an_hour() -> Instant {
        Instant::now() + Duration::from_secs(3_600)
    }

    fn total_rows(requests: &[Candidate]) -> usize {
        requests.iter().map(|request| request.rows).sum()
    }

    fn tightest(requests: &[Candidate]) -> Option<Instant> {
        requests.iter().filter_map(|request| request.deadline).min()
    }

    proptest! {
        #[test]
        fn a_batch_is_the_longest_run_from_the_front_that_fits_and_ends_in_time(
            (now, queue) in Just(in_an_hour()).prop_flat_map(|now| (Just(now), proptest::collection::vec(candidates(now), 0..40))),
            max_batch_rows in 1_usize..60,
        ) {
            let rules = Batching { max_batch_rows, max_queue_rows: 1, max_queue_delay: Duration::ZERO };
            let Plan::Batch(decisions) = form(queue.iter().copied(), now, pass_time, &rules) else {
                return Err(TestCaseError::fail("without a delay no request waits for others"));
            };
            prop_assert!(decisions.len() <= queue.len());
            let own: Vec<_> = queue.iter().map(|request| alone(request, now)).collect();
            if !own.contains(&Decision::Compute) {
                let last = own.iter().rposition(|decision| matches!(decision, Decision::TooLate(_)));
                for (at, (own, got)) in own.iter().zip(&decisions).enumerate() {
                    let want = if Some(at) == last { Decision::Compute } else { *own };
                    prop_assert_eq!(*got, want, "one of those that would be late is computed, which corrects the estimate");
                }
                return Ok(());
            }
            prop_assert_eq!(&decisions[..], &own[..decisions.len()], "in order, each by itself");
            let computed = queue.iter().zip(&decisions).filter(|(_, decision)| **decision == Decision::Compute);
            let batch: Vec<Candidate> = computed.map(|(request, _)| *request).collect();
            prop_assert!(total_rows(&batch) <= max_batch_rows || batch.len() == 1, "{batch:?}");
            let in_time = |requests: &[Candidate]| {
                tightest(requests).is_none_or(|deadline| now + pass_time(total_rows(requests)) <= deadline)
            };
            prop_assert!(in_time(&batch), "{batch:?}");
            if let Some(next) = queue.get(decisions.len()) {
                prop_assert_eq!(alone(next, now), Decision::Compute, "a dropped request never stays at the front");
                let mut with_next = batch.clone();
                with_next.push(*next);
                prop_assert!(
                    total_rows(&with_next) > max_batch_rows || !in_time(&with_next),
                    "the next request would have fitted"
                );
            }
        }

        #[test]
        fn a_delay_is_bounded_by_its_length_and_by_every_deadline(
            (now, queue) in Just(in_an_hour()).prop_flat_map(|now| (Just(now), proptest::collection::vec(candidates(now), 1..20))),
            max_batch_rows in 1_usize..200,
            delay in 0_u64..60,
        ) {
            let delay = Duration::from_millis(delay);
            let rules = Batching { max_batch_rows, max_queue_rows: 1, max_queue_delay: delay };
            if let Plan::WaitUntil(until) = form(queue.iter().copied(), now, pass_time, &rules) {
                prop_assert!(until > now);
                let computable = queue.iter().filter(|request| alone(request, now) == Decision::Compute);
                let live: Vec<_> = computable.copied().collect();
                prop_assert!(!live.is_empty(), "it waits only for a request that can be computed");
                prop_assert!(total_rows(&live) < max_batch_rows, "a full batch begins at once");
                for request in &live {
                    prop_assert!(until <= request.arrived + delay);
                }
                // A thread that sleeps until then wakes up a little later.
                let woken = until + Duration::from_millis(1);
                prop_assert!(
                    tightest(&live).is_none_or(|deadline| woken + pass_time(total_rows(&live)) <= deadline)
                );
                let Plan::Batch(decisions) = form(queue.iter().copied(), woken, pass_time, &rules) else {
                    return Err(TestCaseError::fail("the batch begins after the delay"));
                };
                let computed = decisions.iter().filter(|decision| **decision == Decision::Compute).count();
                prop_assert_eq!(computed, live.len(), "with all requests that waited");
            }
        }
    }
}
