//! Requests with an expensive forward pass wait for a thread and are computed in batches. Requests that end before are not computed.

use std::num::NonZero;
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex};
use std::thread::available_parallelism;
use std::time::Duration;

use futures_util::future::join_all;
use taper::error::{ForwardError, PredictError};
use taper::model::{Batch, Model, Outputs};
use taper::serving::route::RawPolicy;
use taper::serving::shadow::ShadowPoolSettings;
use taper::serving::version::VersionRuntime;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::harness::eventually;
use crate::test_server::{MAX_QUEUE_ROWS, TestServer, score, test_server_of};

/// Blocks the thread until the test releases it.
const HOLDS: f32 = 99.0;
/// Inputs that make the pass fail, each in its own way.
const PANICS: f32 = 13.0;
const NOT_FINITE: f32 = 14.0;
const FAILS: f32 = 15.0;

/// Returns each row's `x`. Its cost is always above the inline limit.
struct ExpensiveModel {
    version: u64,
    passes: Arc<Mutex<Vec<(u64, usize)>>>,
    began: Sender<()>,
    go: Arc<Mutex<Receiver<()>>>,
}

impl Model for ExpensiveModel {
    fn cost_per_row(&self) -> usize {
        1 << 20
    }

    fn forward(&self, rows: &Batch) -> Result<Outputs, ForwardError> {
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
                    self.began.send(()).expect("the test receives");
                    self.go
                        .lock()
                        .expect("lock")
                        .recv()
                        .expect("the test releases the thread");
                }
                PANICS => panic!("thirteen"),
                NOT_FINITE => *x = f32::NAN,
                FAILS => return Err(ForwardError::Failed("fifteen".into())),
                _ => {}
            }
        }
        // A shorter pass could be measured as inexpensive, and later requests would then bypass the queue.
        while begin.elapsed() < Duration::from_micros(200) {
            std::hint::spin_loop();
        }
        Outputs::scores(xs, 1)
    }
}

/// A server with two expensive versions. All compute threads are blocked by passes.
struct BusyServer {
    server: Arc<TestServer>,
    passes: Arc<Mutex<Vec<(u64, usize)>>>,
    let_go: Sender<()>,
    begun: Arc<Mutex<Receiver<()>>>,
    holding: Vec<JoinHandle<Result<f32, PredictError>>>,
}

impl BusyServer {
    async fn new() -> Self {
        let passes = Arc::new(Mutex::new(Vec::new()));
        let ((began, begun), (let_go, go)) = (mpsc::channel(), mpsc::channel());
        let go = Arc::new(Mutex::new(go));
        let model = |version| {
            Box::new(ExpensiveModel {
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
        let server = test_server_of(
            vec![model(1), model(2)],
            policy,
            ShadowPoolSettings::default(),
        );
        let mut busy = Self {
            server,
            passes,
            let_go,
            begun: Arc::new(Mutex::new(begun)),
            holding: Vec::new(),
        };
        busy.hold().await;
        busy
    }

    /// Blocks every compute thread with a pass.
    async fn hold(&mut self) {
        for _ in 0..threads() {
            let request = self.predict(HOLDS, None, None);
            self.holding.push(request);
            let begun = Arc::clone(&self.begun);
            let began = move || begun.lock().expect("lock").recv();
            let began = tokio::task::spawn_blocking(began).await;
            began.expect("joins").expect("it started");
        }
    }

    /// Predicts in a separate task.
    fn predict(
        &self,
        x: f32,
        pin: Option<u64>,
        deadline: Option<Instant>,
    ) -> JoinHandle<Result<f32, PredictError>> {
        let server = Arc::clone(&self.server);
        tokio::spawn(async move {
            let answered = server.predict_before(x.into(), pin, deadline).await;
            answered.map(|answer| score(&answer))
        })
    }

    /// Returns how many requests left the queue of version 1 without being computed, by reason.
    fn abandoned(&self, reason: &str) -> f64 {
        let labels = format!(r#"reason="{reason}""#);
        self.server
            .metric("taper_queue_abandoned_total", 1, &labels)
    }

    /// Returns the runtime of version 1.
    fn first(&self) -> Arc<VersionRuntime> {
        let snapshot = self.server.live.snapshot();
        let mut ready = snapshot.models.values().flat_map(|model| &model.ready);
        Arc::clone(ready.next().expect("version 1").1)
    }

    async fn waits(&self, version: u64, rows: usize) {
        eventually(&format!("{rows} rows wait"), || async {
            let waiting = self.server.metric("taper_queue_rows", version, "");
            ((waiting - rows as f64).abs() < 0.5).then_some(())
        })
        .await;
    }

    /// Releases all threads and waits for their requests.
    async fn release(&mut self) {
        for _ in &self.holding {
            self.let_go.send(()).expect("a thread waits");
        }
        for request in self.holding.drain(..) {
            request.await.expect("joins").expect("released");
        }
    }

    /// Returns the passes after those that blocked the threads.
    fn passes(&self) -> Vec<(u64, usize)> {
        self.passes.lock().expect("lock")[threads()..].to_vec()
    }
}

fn threads() -> usize {
    available_parallelism().map_or(1, NonZero::get)
}

#[tokio::test]
async fn requests_queued_while_all_threads_are_busy_are_batched_and_each_gets_its_own_answer() {
    let mut busy = BusyServer::new().await;
    let asked: Vec<_> = (0..80_u8)
        .map(|x| busy.predict(20.0 + f32::from(x) / 4.0, None, None))
        .collect();
    busy.waits(1, 80).await;
    busy.release().await;
    for (x, answer) in (0..80_u8).zip(join_all(asked).await) {
        let answer = answer.expect("joins").expect("an answer");
        assert_eq!(answer, 20.0 + f32::from(x) / 4.0);
    }
    let mut passes = busy.passes();
    passes.sort_unstable();
    assert_eq!(
        passes,
        [(1, 16), (1, 64)],
        "the rows of a batch, then the rest"
    );
    let metric = |name: &str| busy.server.metric(name, 1, "");
    let held_rows = threads() as f64;
    assert_eq!(metric("taper_batch_rows_sum"), 80.0 + held_rows);
    assert_eq!(metric("taper_batch_rows_count"), 2.0 + held_rows);
    assert_eq!(metric("taper_batch_requests_sum"), 80.0 + held_rows);
    assert_eq!(metric("taper_queue_rows"), 0.0);
}

#[tokio::test]
async fn a_request_that_fails_in_a_batch_fails_no_other_request() {
    let mut busy = BusyServer::new().await;
    let xs = [1.0, PANICS, 2.0, NOT_FINITE, 3.0, FAILS, 4.0, 101.0, 5.0];
    let asked: Vec<_> = xs.iter().map(|x| busy.predict(*x, None, None)).collect();
    busy.waits(1, xs.len()).await;
    busy.release().await;
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
        busy.passes()[0],
        (1, 8),
        "all that could be encoded go together first"
    );
    let again = busy.predict(6.0, None, None).await.expect("joins");
    assert_eq!(again.expect("the threads are there"), 6.0);
}

#[tokio::test]
async fn expired_and_cancelled_requests_in_the_queue_are_not_computed() {
    let mut busy = BusyServer::new().await;
    let half = MAX_QUEUE_ROWS / 2;
    // The queue checks deadlines when a thread takes requests from it. No thread does so before this deadline is over.
    let deadline = Instant::now() + Duration::from_millis(10);
    let expire: Vec<_> = (0..half)
        .map(|_| busy.predict(1.0, None, Some(deadline)))
        .collect();
    let cancelled: Vec<_> = (0..half).map(|_| busy.predict(2.0, None, None)).collect();
    busy.waits(1, MAX_QUEUE_ROWS).await;
    let full = busy.predict(3.0, None, None).await.expect("joins");
    match full.expect_err("no room") {
        PredictError::Overloaded {
            limit, retry_after, ..
        } => {
            assert_eq!(limit, MAX_QUEUE_ROWS);
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
    busy.release().await;
    for one in expire {
        let error = one.await.expect("joins").expect_err("too late");
        assert_eq!(error.reason(), "DEADLINE_EXCEEDED");
    }
    eventually("the queue is empty", || async {
        (busy.server.metric("taper_queue_rows", 1, "") == 0.0).then_some(())
    })
    .await;
    assert_eq!(busy.abandoned("expired"), half as f64);
    assert_eq!(busy.abandoned("cancelled"), half as f64);
    assert_eq!(busy.passes(), [], "nothing was computed");
    let server = &busy.server;
    assert_eq!(
        server.metric("taper_batch_rows_sum", 1, ""),
        threads() as f64
    );
    assert_eq!(server.ended(1, "primary", "CANCELLED"), half as f64);
    assert_eq!(server.ended(1, "primary", "DEADLINE_EXCEEDED"), half as f64);
}

#[tokio::test]
async fn a_request_that_cannot_meet_its_deadline_is_refused_at_once() {
    let mut busy = BusyServer::new().await;
    busy.release().await;
    // The blocked passes took long, so the gateway has measured an expensive pass.
    let first = busy.first();
    let costs = first.queue.costs();
    for _ in 0..100 {
        costs.learn(1, Duration::from_secs(10));
    }
    let takes = costs.estimate(1).expect("measured");
    assert!(takes > Duration::from_secs(5), "{takes:?}");
    busy.hold().await;
    let waiting = busy.predict(1.0, None, None);
    busy.waits(1, 1).await;
    let soon = Instant::now() + Duration::from_secs(1);
    match busy.predict(2.0, None, Some(soon)).await.expect("joins") {
        Err(PredictError::TooLate { left, needs, .. }) => {
            assert!(
                left <= Duration::from_secs(1) && needs >= takes,
                "{left:?} {needs:?}"
            );
        }
        other => panic!("refused at once, got {other:?}"),
    }
    busy.release().await;
    assert_eq!(waiting.await.expect("joins").expect("computed"), 1.0);
    let rows: usize = busy.passes().iter().map(|(_, rows)| rows).sum();
    assert_eq!(rows, threads() + 1, "a refused request was not computed");
}

#[tokio::test]
async fn a_queued_request_that_can_no_longer_meet_its_deadline_fails_and_is_not_computed() {
    let mut busy = BusyServer::new().await;
    let patient = busy.predict(1.0, None, None);
    busy.waits(1, 1).await;
    let hour = Duration::from_secs(3_600);
    let hurried = busy.predict(2.0, None, Some(Instant::now() + hour));
    busy.waits(1, 2).await;
    // The measured duration of a pass now exceeds the earlier estimate.
    let first = busy.first();
    let costs = first.queue.costs();
    (0..200).for_each(|_| costs.learn(1, hour * 2));
    assert!(costs.estimate(1).expect("measured") > hour);
    busy.release().await;
    match hurried.await.expect("joins") {
        Err(PredictError::TooLate {
            left,
            needs,
            retry_after,
        }) => assert!(left <= hour && needs > hour && retry_after > Duration::ZERO),
        other => panic!("too late, got {other:?}"),
    }
    assert_eq!(patient.await.expect("joins").expect("computed"), 1.0);
    assert_eq!(busy.abandoned("late"), 1.0);
    assert_eq!(
        (busy.abandoned("expired"), busy.abandoned("cancelled")),
        (0.0, 0.0)
    );
    assert_eq!(busy.server.ended(1, "primary", "RESOURCE_EXHAUSTED"), 1.0);
}

#[tokio::test]
async fn versions_take_turns_regardless_of_queue_length() {
    let mut busy = BusyServer::new().await;
    let many: Vec<_> = (0..300).map(|_| busy.predict(1.0, None, None)).collect();
    busy.waits(1, 300).await;
    let one = busy.predict(2.0, Some(2), None);
    busy.waits(2, 1).await;
    busy.release().await;
    assert_eq!(one.await.expect("joins").expect("an answer"), 2.0);
    for answer in join_all(many).await {
        assert_eq!(answer.expect("joins").expect("an answer"), 1.0);
    }
    let passes = busy.passes();
    let at = passes
        .iter()
        .position(|pass| *pass == (2, 1))
        .expect("computed");
    assert!(
        at <= threads(),
        "its pass is the second turn, up to the order of threads: {passes:?}"
    );
}
