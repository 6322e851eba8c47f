//! Requests whose forward pass is dear wait for a thread, and are computed together; what is over by then is not computed.

use std::num::NonZero;
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex};
use std::thread::available_parallelism;
use std::time::Duration;

use futures_util::future::join_all;
use taper::error::{ForwardError, PredictError};
use taper::model::{Model, Rows, Scores};
use taper::serving::live::ServingVersion;
use taper::serving::route::RawPolicy;
use taper::serving::shadow::CrewSettings;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::harness::eventually;
use crate::helpers::{House, MOST_WAITING, house_of, score};

/// Holds the thread until the test lets go.
const HOLDS: f32 = 99.0;
/// Fail the pass, each in its own way.
const PANICS: f32 = 13.0;
const NOT_FINITE: f32 = 14.0;
const FAILS: f32 = 15.0;

/// Answers each row's `x`, and is never cheap.
struct Dear {
    version: u64,
    passes: Arc<Mutex<Vec<(u64, usize)>>>,
    began: Sender<()>,
    go: Arc<Mutex<Receiver<()>>>,
}

impl Model for Dear {
    fn cost_per_row(&self) -> usize {
        1 << 20
    }

    fn forward(&self, rows: &Rows) -> Result<Scores, ForwardError> {
        let begin = Instant::now();
        let rows = rows.as_slice().chunks(rows.columns());
        let mut xs: Vec<f32> = rows.map(|row| row[0]).collect();
        self.passes
            .lock()
            .expect("lock")
            .push((self.version, xs.len()));
        for x in &mut xs {
            match *x {
                HOLDS => {
                    self.began.send(()).expect("the test listens");
                    self.go
                        .lock()
                        .expect("lock")
                        .recv()
                        .expect("the test lets go");
                }
                PANICS => panic!("thirteen"),
                NOT_FINITE => *x = f32::NAN,
                FAILS => return Err(ForwardError::Failed("fifteen".into())),
                _ => {}
            }
        }
        // A pass that takes less could be measured as inexpensive, and later ones would not go through the queue.
        while begin.elapsed() < Duration::from_micros(200) {
            std::hint::spin_loop();
        }
        Scores::new(xs, 1)
    }
}

/// A house of dear versions, all of whose threads are held.
struct Held {
    house: Arc<House>,
    passes: Arc<Mutex<Vec<(u64, usize)>>>,
    let_go: Sender<()>,
    begun: Arc<Mutex<Receiver<()>>>,
    held: Vec<JoinHandle<Result<f32, PredictError>>>,
}

impl Held {
    async fn new() -> Self {
        let passes = Arc::new(Mutex::new(Vec::new()));
        let ((began, begun), (let_go, go)) = (mpsc::channel(), mpsc::channel());
        let go = Arc::new(Mutex::new(go));
        let model = |version| {
            Box::new(Dear {
                version,
                passes: Arc::clone(&passes),
                began: began.clone(),
                go: Arc::clone(&go),
            }) as Box<dyn Model>
        };
        let policy = RawPolicy {
            split: vec![(1.into(), 10_000)],
            ..RawPolicy::default()
        };
        let house = house_of(vec![model(1), model(2)], policy, CrewSettings::default());
        let mut held = Self {
            house,
            passes,
            let_go,
            begun: Arc::new(Mutex::new(begun)),
            held: Vec::new(),
        };
        held.hold().await;
        held
    }

    /// Has every thread held by a pass.
    async fn hold(&mut self) {
        for _ in 0..threads() {
            let held = self.ask(HOLDS, None, None);
            self.held.push(held);
            let begun = Arc::clone(&self.begun);
            let began = move || begun.lock().expect("lock").recv();
            let began = tokio::task::spawn_blocking(began).await;
            began.expect("joins").expect("it began");
        }
    }

    /// Asks in a task of its own.
    fn ask(
        &self,
        x: f32,
        pin: Option<u64>,
        deadline: Option<Instant>,
    ) -> JoinHandle<Result<f32, PredictError>> {
        let house = Arc::clone(&self.house);
        tokio::spawn(async move {
            let answered = house.ask_until(x.into(), pin, deadline).await;
            answered.map(|answer| score(&answer))
        })
    }

    /// Requests that left the queue of version 1 without being computed, by reason.
    fn abandoned(&self, reason: &str) -> f64 {
        let labels = format!(r#"reason="{reason}""#);
        self.house.metric("taper_queue_abandoned_total", 1, &labels)
    }

    /// Version 1 as it serves.
    fn first(&self) -> Arc<ServingVersion> {
        let snapshot = self.house.live.snapshot();
        let mut ready = snapshot.models.values().flat_map(|model| &model.ready);
        Arc::clone(ready.next().expect("version 1").1)
    }

    async fn waits(&self, version: u64, rows: usize) {
        eventually(&format!("{rows} rows wait"), || async {
            let waiting = self.house.metric("taper_queue_rows", version, "");
            ((waiting - rows as f64).abs() < 0.5).then_some(())
        })
        .await;
    }

    /// Lets all threads go, and waits until they have gone.
    async fn let_go(&mut self) {
        for _ in &self.held {
            self.let_go.send(()).expect("somebody waits");
        }
        for held in self.held.drain(..) {
            held.await.expect("joins").expect("let go");
        }
    }

    /// The passes after those that held the threads.
    fn passes(&self) -> Vec<(u64, usize)> {
        self.passes.lock().expect("lock")[threads()..].to_vec()
    }
}

fn threads() -> usize {
    available_parallelism().map_or(1, NonZero::get)
}

#[tokio::test]
async fn what_waits_while_the_threads_are_busy_goes_together_and_each_gets_its_own_answer() {
    let mut held = Held::new().await;
    let asked: Vec<_> = (0..80_u8)
        .map(|x| held.ask(20.0 + f32::from(x) / 4.0, None, None))
        .collect();
    held.waits(1, 80).await;
    held.let_go().await;
    for (x, answer) in (0..80_u8).zip(join_all(asked).await) {
        let answer = answer.expect("joins").expect("an answer");
        assert_eq!(answer, 20.0 + f32::from(x) / 4.0);
    }
    let mut passes = held.passes();
    passes.sort_unstable();
    assert_eq!(
        passes,
        [(1, 16), (1, 64)],
        "the rows of a batch, then the rest"
    );
    let metric = |name: &str| held.house.metric(name, 1, "");
    let held_rows = threads() as f64;
    assert_eq!(metric("taper_batch_rows_sum"), 80.0 + held_rows);
    assert_eq!(metric("taper_batch_rows_count"), 2.0 + held_rows);
    assert_eq!(metric("taper_batch_requests_sum"), 80.0 + held_rows);
    assert_eq!(metric("taper_queue_rows"), 0.0);
}

#[tokio::test]
async fn what_is_wrong_with_one_request_fails_no_other() {
    let mut held = Held::new().await;
    let xs = [1.0, PANICS, 2.0, NOT_FINITE, 3.0, FAILS, 4.0, 101.0, 5.0];
    let asked: Vec<_> = xs.iter().map(|x| held.ask(*x, None, None)).collect();
    held.waits(1, xs.len()).await;
    held.let_go().await;
    for (x, answer) in xs.into_iter().zip(join_all(asked).await) {
        let reason = match answer.expect("joins") {
            Ok(answer) => {
                assert_eq!(answer, x);
                "OK"
            }
            Err(error) => error.reason(),
        };
        let wanted = match x {
            PANICS | NOT_FINITE | FAILS => "FORWARD_FAILED",
            101.0 => "INVALID_INPUT",
            _ => "OK",
        };
        assert_eq!(reason, wanted, "{x}");
    }
    assert_eq!(
        held.passes()[0],
        (1, 8),
        "all that could be encoded go together first"
    );
    let again = held.ask(6.0, None, None).await.expect("joins");
    assert_eq!(again.expect("the threads are there"), 6.0);
}

#[tokio::test]
async fn what_expires_or_is_cancelled_in_the_queue_never_reaches_compute() {
    let mut held = Held::new().await;
    let half = MOST_WAITING / 2;
    // The queue looks at deadlines when a thread takes something out, and no thread does before this one is over.
    let deadline = Instant::now() + Duration::from_millis(10);
    let expire: Vec<_> = (0..half)
        .map(|_| held.ask(1.0, None, Some(deadline)))
        .collect();
    let cancelled: Vec<_> = (0..half).map(|_| held.ask(2.0, None, None)).collect();
    held.waits(1, MOST_WAITING).await;
    let full = held.ask(3.0, None, None).await.expect("joins");
    match full.expect_err("no room") {
        PredictError::Overloaded {
            limit, retry_after, ..
        } => {
            assert_eq!(limit, MOST_WAITING);
            assert!(retry_after > Duration::ZERO);
        }
        other => panic!("overloaded, got {other:?}"),
    }
    for one in &cancelled {
        one.abort();
    }
    for one in cancelled {
        one.await.expect_err("cancelled");
    }
    eventually("the deadline is over", || async {
        (Instant::now() >= deadline).then_some(())
    })
    .await;
    held.let_go().await;
    for one in expire {
        let error = one.await.expect("joins").expect_err("too late");
        assert_eq!(error.reason(), "DEADLINE_EXCEEDED");
    }
    eventually("the queue is empty", || async {
        (held.house.metric("taper_queue_rows", 1, "") == 0.0).then_some(())
    })
    .await;
    assert_eq!(held.abandoned("expired"), half as f64);
    assert_eq!(held.abandoned("cancelled"), half as f64);
    assert_eq!(held.passes(), [], "nothing was computed");
    let house = &held.house;
    assert_eq!(
        house.metric("taper_batch_rows_sum", 1, ""),
        threads() as f64
    );
    assert_eq!(house.ended(1, "primary", "CANCELLED"), half as f64);
    assert_eq!(house.ended(1, "primary", "DEADLINE_EXCEEDED"), half as f64);
}

#[tokio::test]
async fn who_cannot_be_answered_in_time_is_refused_at_once() {
    let mut held = Held::new().await;
    held.let_go().await;
    // It took so long to let the threads go that a pass is known to be dear.
    let first = held.first();
    let costs = first.queue.costs();
    for _ in 0..100 {
        costs.learn(1, Duration::from_secs(10));
    }
    let takes = costs.estimate(1).expect("measured");
    assert!(takes > Duration::from_secs(5), "{takes:?}");
    held.hold().await;
    let waiting = held.ask(1.0, None, None);
    held.waits(1, 1).await;
    let soon = Instant::now() + Duration::from_secs(1);
    match held.ask(2.0, None, Some(soon)).await.expect("joins") {
        Err(PredictError::TooLate { left, needs, .. }) => {
            assert!(
                left <= Duration::from_secs(1) && needs >= takes,
                "{left:?} {needs:?}"
            );
        }
        other => panic!("refused at once, got {other:?}"),
    }
    held.let_go().await;
    assert_eq!(waiting.await.expect("joins").expect("computed"), 1.0);
    let rows: usize = held.passes().iter().map(|(_, rows)| rows).sum();
    assert_eq!(rows, threads() + 1, "what was refused was not computed");
}

#[tokio::test]
async fn who_can_no_longer_be_answered_in_time_is_told_so_and_not_computed() {
    let mut held = Held::new().await;
    let patient = held.ask(1.0, None, None);
    held.waits(1, 1).await;
    let hour = Duration::from_secs(3_600);
    let hurried = held.ask(2.0, None, Some(Instant::now() + hour));
    held.waits(1, 2).await;
    // What passes take is seen to be more than it was thought to be.
    let first = held.first();
    let costs = first.queue.costs();
    (0..200).for_each(|_| costs.learn(1, hour * 2));
    assert!(costs.estimate(1).expect("measured") > hour);
    held.let_go().await;
    match hurried.await.expect("joins") {
        Err(PredictError::TooLate {
            left,
            needs,
            retry_after,
        }) => assert!(left <= hour && needs > hour && retry_after > Duration::ZERO),
        other => panic!("too late, got {other:?}"),
    }
    assert_eq!(patient.await.expect("joins").expect("computed"), 1.0);
    assert_eq!(held.abandoned("late"), 1.0);
    assert_eq!(
        (held.abandoned("expired"), held.abandoned("cancelled")),
        (0.0, 0.0)
    );
    assert_eq!(held.house.ended(1, "primary", "RESOURCE_EXHAUSTED"), 1.0);
}

#[tokio::test]
async fn versions_take_turns_whatever_waits_for_each() {
    let mut held = Held::new().await;
    let many: Vec<_> = (0..300).map(|_| held.ask(1.0, None, None)).collect();
    held.waits(1, 300).await;
    let one = held.ask(2.0, Some(2), None);
    held.waits(2, 1).await;
    held.let_go().await;
    assert_eq!(one.await.expect("joins").expect("an answer"), 2.0);
    for answer in join_all(many).await {
        assert_eq!(answer.expect("joins").expect("an answer"), 1.0);
    }
    let passes = held.passes();
    let at = passes
        .iter()
        .position(|pass| *pass == (2, 1))
        .expect("computed");
    assert!(
        at <= threads(),
        "the second turn, give or take who was quicker: {passes:?}"
    );
}
