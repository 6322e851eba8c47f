//! The two loops that send requests.
//!
//! An open loop sends at times that are fixed in advance, whether or not earlier requests are answered, and measures latency from the
//! time at which a request was due. A server that stalls does not slow down the measurement (no coordinated omission). A closed loop has
//! a fixed number of callers, each of which sends its next request when the last one is answered. It measures the highest throughput.
//!
//! Precision of the open loop: timers wake within one or two milliseconds, so they are used until two milliseconds before a request is
//! due. From then on the loop alternates between yielding to other tasks and reading the clock, which keeps one core busy above about
//! 500 requests per second. Requests that are due at the same time are sent together, each measured from its own due time. Their delay is
//! measured ([`Tally::late`](super::Tally::late)) and is part of the latencies.
//!
//! Both loops can be cancelled: dropping the future keeps the results in the [`Recorder`] and aborts the requests in flight.

use std::{sync::Arc, time::Duration};

use tokio::task::{JoinSet, yield_now};
use tokio::time::{Instant, sleep};

use super::results::{Outcome, Recorder};
use super::schedule::{Arrivals, Schedule};

/// One connection to the server under load.
pub trait Caller: Clone + Send + 'static {
    /// Sends request number `number` and waits for its outcome. Must return at some time.
    fn call(&mut self, number: u64) -> impl Future<Output = Outcome> + Send;
}

/// How requests are sent.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Load {
    /// This many concurrent callers, at least 1.
    Closed(usize),
    /// At times that are fixed in advance.
    Open {
        /// Requests per second, more than 0.
        rate: f64,
        /// How the requests are spread over time.
        arrivals: Arrivals,
        /// Most requests in flight. Requests that are due while as many are in flight are not sent, only counted.
        max_in_flight: usize,
    },
}

/// Sends `load` for `length` over `callers` in turn (at least one), records the outcomes in `recorder`, and returns when every request
/// has ended. Requests are numbered from `first`.
pub async fn generate<C: Caller>(
    callers: &[C],
    load: Load,
    length: Duration,
    first: u64,
    recorder: &Arc<Recorder>,
) {
    match load {
        Load::Closed(concurrency) => closed(callers, concurrency, length, first, recorder).await,
        Load::Open {
            rate,
            arrivals,
            max_in_flight,
        } => {
            let schedule = Schedule::new(arrivals, rate, length);
            open(callers, schedule, max_in_flight, length, first, recorder).await;
        }
    }
}

/// Wait of a caller after a failure. Without it, a caller whose requests are refused at once would send without pause.
const AFTER_FAILURE: Duration = Duration::from_millis(1);

async fn closed<C: Caller>(
    callers: &[C],
    concurrency: usize,
    length: Duration,
    first: u64,
    recorder: &Arc<Recorder>,
) {
    let end = Instant::now() + length;
    let mut running = JoinSet::new();
    for (shard, caller) in callers.iter().cycle().take(concurrency).enumerate() {
        let (mut caller, recorder) = (caller.clone(), Arc::clone(recorder));
        running.spawn(async move {
            for number in (first + shard as u64..).step_by(concurrency) {
                let begin = Instant::now();
                if begin >= end {
                    break;
                }
                recorder.count_sent_closed_loop(shard);
                let outcome = caller.call(number).await;
                let failed = matches!(outcome, Outcome::Failed { .. });
                let now = Instant::now();
                recorder.record_outcome(shard, outcome, now - begin, now <= end);
                if failed {
                    sleep(AFTER_FAILURE).await;
                }
            }
        });
    }
    while running.join_next().await.is_some() {}
}

/// Requests that a loop behind schedule sends before it yields to other tasks.
const BURST: usize = 16;

async fn open<C: Caller>(
    callers: &[C],
    schedule: Schedule,
    max_in_flight: usize,
    length: Duration,
    first: u64,
    recorder: &Arc<Recorder>,
) {
    let begin = Instant::now();
    let end = begin + length;
    let mut running = JoinSet::new();
    let requests = schedule.zip(first..).zip(callers.iter().cycle());
    for (shard, ((offset, number), caller)) in requests.enumerate() {
        let due = begin + offset;
        if shard.is_multiple_of(BURST) {
            yield_now().await;
        }
        wait_until(due).await;
        reap(&mut running);
        if running.len() >= max_in_flight {
            yield_now().await;
            reap(&mut running);
        }
        if running.len() >= max_in_flight {
            recorder.count_not_sent(shard);
            continue;
        }
        let (mut caller, recorder) = (caller.clone(), Arc::clone(recorder));
        recorder.count_sent_open_loop(shard, due.elapsed());
        running.spawn(async move {
            let outcome = caller.call(number).await;
            let now = Instant::now();
            recorder.record_outcome(shard, outcome, now - due, now <= end);
        });
    }
    // The time between the last request and the end is part of the phase.
    wait_until(end).await;
    while running.join_next().await.is_some() {}
}

/// Removes tasks that have ended.
fn reap(running: &mut JoinSet<()>) {
    while running.try_join_next().is_some() {}
}

async fn wait_until(due: Instant) {
    loop {
        let left = due.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return;
        }
        match timer_wait(left) {
            Some(most) => sleep(most).await,
            None => yield_now().await,
        }
    }
}

/// Returns how long a timer can wait out of `left` without waking too late; `None` if `left` is too short.
fn timer_wait(left: Duration) -> Option<Duration> {
    /// Timers have a resolution of a millisecond and round up; the system adds a delay of its own.
    const MARGIN: Duration = Duration::from_millis(2);
    left.checked_sub(MARGIN).filter(|most| !most.is_zero())
}

#[cfg(test)]
mod tests {
    use tonic::Code;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// Takes a time, or never ends, or fails at once.
    #[derive(Clone, Debug)]
    struct Acting(Result<Duration, Code>);

    impl Caller for Acting {
        async fn call(&mut self, number: u64) -> Outcome {
            match self.0 {
                Ok(took) => {
                    sleep(took).await;
                    Outcome::Answered(number % 2 + 1)
                }
                Err(code) => Outcome::Failed {
                    code,
                    message: String::new(),
                },
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn callers_of_a_closed_loop_wait_for_their_answers() {
        let recorder = Arc::new(Recorder::default());
        let callers = [Acting(Ok(SECOND / 100)), Acting(Ok(SECOND / 100))];
        generate(&callers, Load::Closed(5), SECOND, 0, &recorder).await;
        let total = recorder.total();
        assert_eq!((total.counts.sent, total.counts.in_time), (500, 500));
        assert_eq!(total.late.count(), 0, "nothing is due in a closed loop");
        assert_eq!(total.latency().longest().as_millis(), 10);
        let of = |version| total.versions[&version].count();
        assert_eq!((of(1), of(2)), (250, 250), "each number is taken once");
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_after_the_end_counts_but_not_for_the_rate() {
        let recorder = Arc::new(Recorder::default());
        let callers = [Acting(Ok(SECOND * 3 / 4))];
        generate(&callers, Load::Closed(1), SECOND, 0, &recorder).await;
        let counts = recorder.counts();
        assert_eq!((counts.sent, counts.answered, counts.in_time), (2, 2, 1));
    }

    #[tokio::test(start_paused = true)]
    async fn a_caller_that_is_refused_takes_breath() {
        let recorder = Arc::new(Recorder::default());
        let callers = [Acting(Err(Code::Unavailable))];
        generate(&callers, Load::Closed(1), SECOND, 0, &recorder).await;
        let counts = recorder.counts();
        assert_eq!(counts.failed, counts.sent);
        assert!((1..=1_001).contains(&counts.sent), "{counts:?}");
    }

    fn open_load(max_in_flight: usize) -> Load {
        Load::Open {
            rate: 2_000.0,
            arrivals: Arrivals::Even,
            max_in_flight,
        }
    }

    // On real time: with a paused clock the loop would never see it advance.
    #[tokio::test]
    async fn an_open_loop_does_not_wait_for_answers_and_counts_unsent_requests() {
        let recorder = Arc::new(Recorder::default());
        let callers = [Acting(Ok(SECOND * 600))];
        let load = generate(&callers, open_load(10), SECOND / 10, 0, &recorder);
        let all_were_due = async {
            while recorder.counts().sent + recorder.counts().not_sent < 200 {
                sleep(SECOND / 1_000).await;
            }
        };
        tokio::select! {
            () = load => panic!("no request was answered"),
            () = all_were_due => {}
        }
        let counts = recorder.counts();
        assert_eq!((counts.sent, counts.not_sent), (10, 190));
        assert_eq!(
            (counts.unfinished(), recorder.total().late.count()),
            (10, 10)
        );
    }

    #[tokio::test]
    async fn an_open_loop_counts_every_answer() {
        let recorder = Arc::new(Recorder::default());
        let callers = [Acting(Ok(Duration::ZERO)), Acting(Ok(Duration::ZERO))];
        generate(&callers, open_load(1_000), SECOND / 10, 3, &recorder).await;
        let total = recorder.total();
        let counts = total.counts;
        assert_eq!(
            (counts.sent, counts.not_sent, counts.answered),
            (200, 0, 200)
        );
        let of = |version| total.versions[&version].count();
        assert_eq!((of(1), of(2)), (100, 100), "each number is taken once");
    }

    #[tokio::test]
    async fn what_a_loop_saw_outlives_it() {
        let recorder = Arc::new(Recorder::default());
        let callers = [Acting(Ok(SECOND * 600))];
        let load = generate(&callers, open_load(1_000), SECOND * 600, 0, &recorder);
        let stopped = tokio::time::timeout(SECOND / 10, load).await;
        assert!(stopped.is_err(), "the loop was dropped");
        let counts = recorder.counts();
        assert!(counts.sent > 0, "{counts:?}");
        assert_eq!(counts.unfinished(), counts.sent);
    }

    #[test]
    fn timers_are_trusted_up_to_their_margin() {
        let millis = Duration::from_millis;
        for (left, want) in [(1, None), (2, None), (5, Some(3)), (1_000, Some(998))] {
            assert_eq!(timer_wait(millis(left)), want.map(millis), "{left} ms left");
        }
    }
}
