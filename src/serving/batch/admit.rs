//! The rules for accepting a request into the queue of a version. Pure functions.

use std::time::Duration;

use super::settings::Batching;

/// Why the queue refuses a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// The queue is at its limit on rows.
    Full,
    /// The request could not be answered before its deadline.
    TooLate,
}

/// Decides whether a queue refuses a request of `rows` rows; `None` accepts it.
///
/// `queued_rows` rows wait already, and a thread would begin with the request after `wait`. The forward pass that the request
/// will be part of takes `pass`. `time_left` is the time until the deadline; `None`: there is no deadline.
///
/// The wait counts one and a half times: it is an estimate of many passes, and with a queue as long as the deadline allows,
/// about half of all computed answers would come too late. An empty queue accepts every request: the estimates may be wrong,
/// and only a pass can correct them.
pub(super) fn refusal(
    rows: usize,
    queued_rows: usize,
    wait: Duration,
    pass: Duration,
    time_left: Option<Duration>,
    rules: &Batching,
) -> Option<Refusal> {
    if queued_rows == 0 {
        return None;
    }
    if queued_rows.saturating_add(rows) > rules.max_queue_rows {
        return Some(Refusal::Full);
    }
    let needed = with_margin(wait).saturating_add(pass);
    time_left
        .is_some_and(|time_left| needed > time_left)
        .then_some(Refusal::TooLate)
}

/// Returns an estimated time with a safety margin of half of it.
pub(super) fn with_margin(estimate: Duration) -> Duration {
    estimate.saturating_add(estimate / 2)
}

/// Estimates how long a request waits until its pass begins.
///
/// `queued_rows` rows wait before it for the same version. Versions take turns; one turn of every version that has waiting
/// requests takes `round`, and all requests that wait or run take `total`, both on one thread. `threads` threads compute; 0
/// counts as 1.
pub(super) fn wait(
    queued_rows: usize,
    rules: &Batching,
    round: Duration,
    total: Duration,
    threads: usize,
) -> Duration {
    let full_turns = queued_rows / rules.max_batch_rows.max(1);
    let turns = u32::try_from(full_turns)
        .unwrap_or(u32::MAX)
        .saturating_add(1);
    let threads = u32::try_from(threads).unwrap_or(u32::MAX).max(1);
    round.saturating_mul(turns).min(total) / threads
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULES: Batching = Batching {
        max_batch_rows: 10,
        max_queue_rows: 100,
        max_queue_delay: Duration::ZERO,
    };

    const fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn a_request_that_cannot_end_in_time_is_refused_at_once() {
        for (rows, queued_rows, wait, time_left, want, why) in [
            (
                1,
                0,
                900,
                Some(1),
                None,
                "an empty queue accepts any request",
            ),
            (5_000, 0, 0, None, None, "of any size"),
            (
                1,
                99,
                50,
                None,
                None,
                "without a deadline only the limit on rows counts",
            ),
            (2, 99, 50, None, Some(Refusal::Full), "and it is reached"),
            (1, 99, 50, Some(85), None, "50, half of it and 10 are 85"),
            (
                1,
                99,
                51,
                Some(85),
                Some(Refusal::TooLate),
                "51, half of it and 10 are more",
            ),
            (
                2,
                99,
                51,
                Some(85),
                Some(Refusal::Full),
                "the limit on rows is checked first",
            ),
        ] {
            let got = refusal(
                rows,
                queued_rows,
                ms(wait),
                ms(10),
                time_left.map(ms),
                &RULES,
            );
            assert_eq!(got, want, "{why}");
        }
    }

    #[test]
    fn a_wait_is_a_number_of_rounds_and_at_most_the_total() {
        for (queued_rows, round, total, threads, want) in [
            (0, 10, 100, 1, 10),
            (9, 10, 100, 1, 10),
            (10, 10, 100, 1, 20),
            (35, 10, 100, 1, 40),
            (35, 10, 100, 2, 20),
            (35, 10, 25, 1, 25),
            (usize::MAX, 10, 25, 1, 25),
            (35, 10, 100, 0, 40),
        ] {
            let got = wait(queued_rows, &RULES, ms(round), ms(total), threads);
            assert_eq!(got, ms(want), "{queued_rows} rows, {threads} threads");
        }
    }
}
