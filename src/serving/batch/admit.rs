//! Whether a request may wait. Pure.

use std::time::Duration;

use super::Batching;

/// Why a request is not taken into the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// As many rows wait as may.
    Full,
    /// It would not end before its deadline.
    TooLate,
}

/// What lies before a request that comes now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ahead {
    /// Rows that wait for the same version.
    pub(super) rows: usize,
    /// How long until a thread would begin with it.
    pub(super) wait: Duration,
}

/// `left` is the time until the deadline, and the pass that the request is part of `takes` so long. The wait counts one and a half times:
/// it is an estimate of many passes, and with a queue as long as the deadline allows, whatever is computed would be too late as
/// often as not. Where nothing waits it is always taken: the estimates may be wrong, and only what is computed can correct
/// them.
pub(super) fn refusal(
    rows: usize,
    ahead: Ahead,
    takes: Duration,
    left: Option<Duration>,
    rules: &Batching,
) -> Option<Refusal> {
    if ahead.rows == 0 {
        return None;
    }
    if ahead.rows.saturating_add(rows) > rules.max_queue_rows {
        return Some(Refusal::Full);
    }
    let ends = careful(ahead.wait).saturating_add(takes);
    left.is_some_and(|left| ends > left)
        .then_some(Refusal::TooLate)
}

/// What an expected time counts where somebody relies on it.
pub(super) fn careful(time: Duration) -> Duration {
    time.saturating_add(time / 2)
}

/// How long a request waits until its pass begins, where `rows` wait before it for the same version, a full batch of which
/// takes `batch`. Versions take turns, and one turn of all that wait takes `round`; `all` is everything that is waiting or
/// running. `threads`, at least 1, work at it.
pub(super) fn wait(
    rows: usize,
    rules: &Batching,
    round: Duration,
    all: Duration,
    threads: usize,
) -> Duration {
    let turns = rows / rules.max_batch_rows.max(1);
    let turns = u32::try_from(turns).unwrap_or(u32::MAX).saturating_add(1);
    let threads = u32::try_from(threads).unwrap_or(u32::MAX).max(1);
    round.saturating_mul(turns).min(all) / threads
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
    fn who_cannot_end_in_time_is_refused_at_once() {
        let ahead = |rows, wait| Ahead {
            rows,
            wait: ms(wait),
        };
        for (rows, ahead, left, want, why) in [
            (
                1,
                ahead(0, 900),
                Some(1),
                None,
                "an empty queue takes anyone",
            ),
            (5_000, ahead(0, 0), None, None, "of any size"),
            (
                1,
                ahead(99, 50),
                None,
                None,
                "without a deadline only room counts",
            ),
            (
                2,
                ahead(99, 50),
                None,
                Some(Refusal::Full),
                "and there is none",
            ),
            (
                1,
                ahead(99, 50),
                Some(85),
                None,
                "50, half of it and 10 are 85",
            ),
            (
                1,
                ahead(99, 51),
                Some(85),
                Some(Refusal::TooLate),
                "51, half of it and 10 are more",
            ),
            (
                2,
                ahead(99, 51),
                Some(85),
                Some(Refusal::Full),
                "the room is looked at first",
            ),
        ] {
            let got = refusal(rows, ahead, ms(10), left.map(ms), &RULES);
            assert_eq!(got, want, "{why}");
        }
    }

    #[test]
    fn a_wait_is_so_many_turns_and_never_more_than_all_there_is() {
        for (rows, round, all, threads, want) in [
            (0, 10, 100, 1, 10),
            (9, 10, 100, 1, 10),
            (10, 10, 100, 1, 20),
            (35, 10, 100, 1, 40),
            (35, 10, 100, 2, 20),
            (35, 10, 25, 1, 25),
            (usize::MAX, 10, 25, 1, 25),
            (35, 10, 100, 0, 40),
        ] {
            let got = wait(rows, &RULES, ms(round), ms(all), threads);
            assert_eq!(got, ms(want), "{rows} rows, {threads} threads");
        }
    }
}
