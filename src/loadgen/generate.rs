//! The two loops that send.
//!
//! An open loop sends at times that are fixed before, whether earlier requests are answered or not, and counts latency from
//! the moment a request was due: a server that stalls does not slow down who measures it (no coordinated omission).
//! A closed loop has a fixed number of callers, each of which sends when it has its answer, and finds out how much can be done.
//!
//! How precise the open loop is: timers here wake within a millisecond or two, so they are trusted until two milliseconds
//! before a request is due; from there the loop gives way to other tasks and looks at the clock by turns, which keeps one
//! core busy above about 500 requests a second. Requests whose time has come go out together, each counted from its
//! own time. How late they went is measured ([`Tally::late`](super::Tally::late)) and is part of the latencies.
//!
//! Both loops belong to whoever awaits them: dropped, they leave what was seen on the [`Board`] and break off the rest.

use std::{sync::Arc, time::Duration};

use tokio::task::{JoinSet, yield_now};
use tokio::time::{Instant, sleep};

use super::board::{Board, Outcome};
use super::schedule::{Arrivals, Schedule};

/// One connection to what is loaded.
pub trait Caller: Clone + Send + 'static {
    /// Sends request number `turn` and waits for its end, which must come.
    fn call(&mut self, turn: u64) -> impl Future<Output = Outcome> + Send;
}

/// How requests are sent.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Load {
    /// So many callers at a time, at least 1.
    Closed(usize),
    /// At times of their own.
    Open {
        /// Requests a second, more than 0.
        rate: f64,
        /// How they spread over time.
        arrivals: Arrivals,
        /// Requests that may wait for an answer. Those that are due while so many do are not sent, but counted.
        most_in_flight: usize,
    },
}

/// Sends `load` for `length` over `callers`, at least one, which take turns; writes to `board` what becomes of the
/// requests, and returns once each has ended. They are numbered from `first` on.
pub async fn generate<C: Caller>(
    callers: &[C],
    load: Load,
    length: Duration,
    first: u64,
    board: &Arc<Board>,
) {
    match load {
        Load::Closed(number) => closed(callers, number, length, first, board).await,
        Load::Open {
            rate,
            arrivals,
            most_in_flight,
        } => {
            let schedule = Schedule::new(arrivals, rate, length);
            open(callers, schedule, most_in_flight, length, first, board).await;
        }
    }
}

/// A caller that was refused waits so long: one that is turned away at the door would else only knock.
const AFTER_FAILURE: Duration = Duration::from_millis(1);

async fn closed<C: Caller>(
    callers: &[C],
    number: usize,
    length: Duration,
    first: u64,
    board: &Arc<Board>,
) {
    let end = Instant::now() + length;
    let mut running = JoinSet::new();
    for (lane, caller) in callers.iter().cycle().take(number).enumerate() {
        let (mut caller, board) = (caller.clone(), Arc::clone(board));
        running.spawn(async move {
            for turn in (first + lane as u64..).step_by(number) {
                let begin = Instant::now();
                if begin >= end {
                    break;
                }
                board.sent(lane);
                let outcome = caller.call(turn).await;
                let failed = matches!(outcome, Outcome::Failed { .. });
                let now = Instant::now();
                board.ended(lane, outcome, now - begin, now <= end);
                if failed {
                    sleep(AFTER_FAILURE).await;
                }
            }
        });
    }
    while running.join_next().await.is_some() {}
}

/// So many requests go out in a row before others get a turn, where the loop is behind.
const IN_A_ROW: usize = 16;

async fn open<C: Caller>(
    callers: &[C],
    schedule: Schedule,
    most_in_flight: usize,
    length: Duration,
    first: u64,
    board: &Arc<Board>,
) {
    let begin = Instant::now();
    let end = begin + length;
    let mut running = JoinSet::new();
    let requests = schedule.zip(first..).zip(callers.iter().cycle());
    for (lane, ((due, turn), caller)) in requests.enumerate() {
        let due = begin + due;
        if lane.is_multiple_of(IN_A_ROW) {
            yield_now().await;
        }
        wait_until(due).await;
        reap(&mut running);
        if running.len() >= most_in_flight {
            yield_now().await;
            reap(&mut running);
        }
        if running.len() >= most_in_flight {
            board.not_sent(lane);
            continue;
        }
        let (mut caller, board) = (caller.clone(), Arc::clone(board));
        board.sent_late(lane, due.elapsed());
        running.spawn(async move {
            let outcome = caller.call(turn).await;
            let now = Instant::now();
            board.ended(lane, outcome, now - due, now <= end);
        });
    }
    // Also the silence after the last request is part of the stretch.
    wait_until(end).await;
    while running.join_next().await.is_some() {}
}

/// Forgets those that have ended.
fn reap(running: &mut JoinSet<()>) {
    while running.try_join_next().is_some() {}
}

async fn wait_until(due: Instant) {
    loop {
        let left = due.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return;
        }
        match by_timer(left) {
            Some(most) => sleep(most).await,
            None => yield_now().await,
        }
    }
}

/// How much of `left` a timer may be trusted with; `None`: it would come too late.
fn by_timer(left: Duration) -> Option<Duration> {
    /// Timers count in milliseconds and round up, and the system adds its own.
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
        async fn call(&mut self, turn: u64) -> Outcome {
            match self.0 {
                Ok(took) => {
                    sleep(took).await;
                    Outcome::Answered(turn % 2 + 1)
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
        let board = Arc::new(Board::default());
        let callers = [Acting(Ok(SECOND / 100)), Acting(Ok(SECOND / 100))];
        generate(&callers, Load::Closed(5), SECOND, 0, &board).await;
        let total = board.total();
        assert_eq!((total.counts.sent, total.counts.in_time), (500, 500));
        assert_eq!(total.late.count(), 0, "nothing is due in a closed loop");
        assert_eq!(total.latency().longest().as_millis(), 10);
        let of = |version| total.versions[&version].count();
        assert_eq!((of(1), of(2)), (250, 250), "each turn is taken once");
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_after_the_end_counts_but_not_for_the_rate() {
        let board = Arc::new(Board::default());
        let callers = [Acting(Ok(SECOND * 3 / 4))];
        generate(&callers, Load::Closed(1), SECOND, 0, &board).await;
        let counts = board.counts();
        assert_eq!((counts.sent, counts.answered, counts.in_time), (2, 2, 1));
    }

    #[tokio::test(start_paused = true)]
    async fn a_caller_that_is_refused_takes_breath() {
        let board = Arc::new(Board::default());
        let callers = [Acting(Err(Code::Unavailable))];
        generate(&callers, Load::Closed(1), SECOND, 0, &board).await;
        let counts = board.counts();
        assert_eq!(counts.failed, counts.sent);
        assert!((1..=1_001).contains(&counts.sent), "{counts:?}");
    }

    fn open_load(most_in_flight: usize) -> Load {
        Load::Open {
            rate: 2_000.0,
            arrivals: Arrivals::Even,
            most_in_flight,
        }
    }

    // On real time: with a paused clock the loop would look at it for ever.
    #[tokio::test]
    async fn an_open_loop_does_not_wait_for_answers_and_tells_what_it_could_not_send() {
        let board = Arc::new(Board::default());
        let callers = [Acting(Ok(SECOND * 600))];
        let load = generate(&callers, open_load(10), SECOND / 10, 0, &board);
        let all_were_due = async {
            while board.counts().sent + board.counts().not_sent < 200 {
                sleep(SECOND / 1_000).await;
            }
        };
        tokio::select! {
            () = load => panic!("nobody has answered"),
            () = all_were_due => {}
        }
        let counts = board.counts();
        assert_eq!((counts.sent, counts.not_sent), (10, 190));
        assert_eq!((counts.open(), board.total().late.count()), (10, 10));
    }

    #[tokio::test]
    async fn an_open_loop_counts_every_answer() {
        let board = Arc::new(Board::default());
        let callers = [Acting(Ok(Duration::ZERO)), Acting(Ok(Duration::ZERO))];
        generate(&callers, open_load(1_000), SECOND / 10, 3, &board).await;
        let total = board.total();
        let counts = total.counts;
        assert_eq!(
            (counts.sent, counts.not_sent, counts.answered),
            (200, 0, 200)
        );
        let of = |version| total.versions[&version].count();
        assert_eq!((of(1), of(2)), (100, 100), "each turn is taken once");
    }

    #[tokio::test]
    async fn what_a_loop_saw_outlives_it() {
        let board = Arc::new(Board::default());
        let callers = [Acting(Ok(SECOND * 600))];
        let load = generate(&callers, open_load(1_000), SECOND * 600, 0, &board);
        let stopped = tokio::time::timeout(SECOND / 10, load).await;
        assert!(stopped.is_err(), "the loop was dropped");
        let counts = board.counts();
        assert!(counts.sent > 0, "{counts:?}");
        assert_eq!(counts.open(), counts.sent);
    }

    #[test]
    fn timers_are_trusted_up_to_their_margin() {
        let millis = Duration::from_millis;
        for (left, want) in [(1, None), (2, None), (5, Some(3)), (1_000, Some(998))] {
            assert_eq!(by_timer(millis(left)), want.map(millis), "{left} ms left");
        }
    }
}
