//! The request path without sockets, with models that fail.

use std::{
    sync::{
        Arc, Mutex,
        mpsc::{self, Receiver, Sender},
    },
    time::Duration,
};

use taper::error::{ForwardError, PredictError};
use taper::insight::metrics::Telemetry;
use taper::model::payload::{Cell, Payload};
use taper::model::{Batch, Manifest, Model, Outputs, Version};
use taper::serving::admission::{AdmissionControl, Limits};
use taper::serving::batch::Pool;
use taper::serving::live::{Live, Snapshot};
use taper::serving::route::RawPolicy;
use taper::serving::{Answer, Pipeline, Query};
use tokio::time::Instant;

use crate::live_snapshot;
use crate::tiny;

/// A pipeline with one version of the model `m`, and its collaborators.
pub struct OneVersionServer {
    pub pipeline: Arc<Pipeline>,
    pub live: Arc<Live>,
    pub telemetry: Arc<Telemetry>,
    pub admission: Arc<AdmissionControl>,
}

/// Creates a server whose only version is `model`.
pub fn one_version_server(model: impl Model, max_in_flight: usize) -> OneVersionServer {
    let dir = tempfile::tempdir().expect("temporary folder");
    tiny::publish(dir.path(), "m", 1);
    let manifest = Manifest::read(&dir.path().join("m/1")).expect("manifest");
    let telemetry = Telemetry::new().expect("metrics");
    let policy = RawPolicy {
        split: vec![(1.into(), 10_000)],
        ..RawPolicy::default()
    };
    let version = Version::new(manifest, Box::new(model));
    let live = live_snapshot::live(&telemetry, "m", [version], policy);
    let limits = Limits {
        max_in_flight,
        max_in_flight_bytes: MAX_IN_FLIGHT_BYTES,
    };
    OneVersionServer {
        pipeline: Arc::new(Pipeline::new(
            Arc::clone(&live),
            Arc::clone(&telemetry),
            Pool::start().expect("threads"),
        )),
        admission: AdmissionControl::new(limits, Arc::clone(&telemetry)),
        live,
        telemetry,
    }
}

/// Limit on the bytes in flight of a server.
pub const MAX_IN_FLIGHT_BYTES: usize = 2000;

impl OneVersionServer {
    /// Predicts the score of `x`.
    async fn predict(&self, x: f64) -> Result<Answer, PredictError> {
        self.predict_before(x, None).await
    }

    async fn predict_before(
        &self,
        x: f64,
        deadline: Option<Instant>,
    ) -> Result<Answer, PredictError> {
        let permit = Arc::new(self.admission.enter(Instant::now(), deadline)?);
        let pair = Cell::List(vec![Cell::Number(0.0), Cell::Number(0.0)]);
        let cells = [
            ("x", Cell::Number(x)),
            ("color", Cell::Text("red".into())),
            ("pair", pair),
        ];
        let query = Query {
            model: "m".into(),
            pin: None,
            routing_key: String::new(),
            response_id: None,
            headers: http::HeaderMap::new(),
            payload: Payload::Rows(vec![
                cells.map(|(name, cell)| (name.to_owned(), cell)).into(),
            ]),
            permit,
        };
        self.pipeline.predict(query).await
    }

    /// Predicts in a separate task.
    fn spawn_predict(
        self: &Arc<Self>,
        x: f64,
    ) -> tokio::task::JoinHandle<Result<Answer, PredictError>> {
        let server = Arc::clone(self);
        tokio::task::spawn(async move { server.predict(x).await })
    }
}

fn score(answer: &Answer) -> Vec<f32> {
    answer.pass.scores.rows().flatten().copied().collect()
}

/// Returns `x`. Panics at 13, returns NaN at 14 and an error at 15.
pub struct FaultyModel;

impl Model for FaultyModel {
    fn cost_per_row(&self) -> usize {
        1
    }

    fn forward(&self, rows: &Batch) -> Result<Outputs, ForwardError> {
        let x = rows.as_slice()[0];
        match x {
            13.0 => panic!("thirteen"),
            14.0 => Outputs::scores(vec![f32::NAN], 1),
            15.0 => Err(ForwardError::Failed("fifteen".into())),
            _ => Outputs::scores(vec![x], 1),
        }
    }
}

#[tokio::test]
async fn a_failing_model_fails_one_request_only() {
    let server = one_version_server(FaultyModel, 8);
    for x in [13.0, 14.0, 15.0] {
        let error = server.predict(x).await.expect_err("fails");
        assert_eq!(error.reason(), "FORWARD_FAILED", "{x}");
        assert!(
            !error.to_string().contains("teen"),
            "the cause stays in the log: {error}"
        );
        assert_eq!(
            score(&server.predict(2.0).await.expect("the next one")),
            [2.0]
        );
    }
    assert_eq!(server.admission.in_flight(), 0);
    let text = server.telemetry.render();
    assert!(
        text.contains(r#"role="primary",code="INTERNAL"} 3"#),
        "{text}"
    );
    assert!(text.contains(r#"role="primary",code="OK"} 3"#), "{text}");
}

/// Signals that it started, then waits until the test releases it. Too expensive to run on an async worker.
pub struct SlowModel {
    began: Sender<()>,
    go: Mutex<Receiver<()>>,
}

impl Model for SlowModel {
    fn cost_per_row(&self) -> usize {
        1 << 20
    }

    fn forward(&self, _: &Batch) -> Result<Outputs, ForwardError> {
        self.began.send(()).expect("the test receives");
        self.go
            .lock()
            .expect("lock")
            .recv()
            .expect("the test releases it");
        Outputs::scores(vec![1.0], 1)
    }
}

/// Returns a slow model, a receiver of its starts, and a sender that releases it.
pub fn slow_model() -> (SlowModel, Receiver<()>, Sender<()>) {
    let ((began, begun), (let_go, go)) = (mpsc::channel(), mpsc::channel());
    (
        SlowModel {
            began,
            go: Mutex::new(go),
        },
        begun,
        let_go,
    )
}

/// Waits on a blocking thread until the slow model starts.
pub async fn wait_for_start(begun: Receiver<()>) {
    let begun = tokio::task::spawn_blocking(move || begun.recv());
    begun.await.expect("joins").expect("it started");
}

#[tokio::test]
async fn a_request_beyond_the_limit_is_refused_at_once_with_a_retry_delay() {
    let (model, begun, let_go) = slow_model();
    let server = Arc::new(one_version_server(model, 1));
    let first = server.spawn_predict(1.0);
    wait_for_start(begun).await;
    match server.predict(1.0).await.expect_err("refused") {
        PredictError::Overloaded {
            limit: 1,
            retry_after,
            ..
        } => {
            assert!(retry_after > Duration::ZERO);
        }
        other => panic!("overloaded, got {other:?}"),
    }
    let_go.send(()).expect("sent");
    first.await.expect("joins").expect("the first is answered");
    assert_eq!(server.admission.in_flight(), 0, "both permits are released");
    let text = server.telemetry.render();
    assert!(
        text.contains(r#"taper_rejected_requests_total{reason="OVERLOADED"} 1"#),
        "{text}"
    );
}

#[tokio::test]
async fn a_cancelled_request_releases_its_permit_and_is_counted() {
    let (model, begun, let_go) = slow_model();
    let server = Arc::new(one_version_server(model, 1));
    let gone = server.spawn_predict(1.0);
    wait_for_start(begun).await;
    gone.abort();
    gone.await.expect_err("aborted");
    assert_eq!(server.admission.in_flight(), 0);
    let_go.send(()).expect("sent");
    let text = server.telemetry.render();
    assert!(text.contains(r#"code="CANCELLED"} 1"#), "{text}");
}

#[tokio::test]
async fn a_request_past_its_deadline_is_not_started() {
    let server = one_version_server(FaultyModel, 8);
    let error = server
        .predict_before(13.0, Some(Instant::now()))
        .await
        .expect_err("too late");
    assert!(matches!(error, PredictError::DeadlineExceeded), "{error:?}");
    let text = server.telemetry.render();
    assert!(text.contains(r#"code="DEADLINE_EXCEEDED"} 1"#), "{text}");
}

#[tokio::test]
async fn a_request_keeps_its_version_after_the_model_is_removed_and_the_series_are_removed_with_it()
{
    let (model, begun, let_go) = slow_model();
    let server = Arc::new(one_version_server(model, 8));
    let request = server.spawn_predict(1.0);
    wait_for_start(begun).await;
    server.live.publish(Snapshot::default());
    let error = server
        .predict(1.0)
        .await
        .expect_err("gone for new requests");
    assert_eq!(error.reason(), "UNKNOWN_MODEL");
    let text = server.telemetry.render();
    assert!(
        text.contains(r#"model="m""#),
        "a request still holds the version:\n{text}"
    );
    let_go.send(()).expect("sent");
    let answer = request
        .await
        .expect("joins")
        .expect("the old request is answered");
    assert_eq!(score(&answer), [1.0]);
    drop(answer);
    let text = server.telemetry.render();
    assert!(
        !text.contains(r#"model="m",version"#),
        "series outlived their version:\n{text}"
    );
}
