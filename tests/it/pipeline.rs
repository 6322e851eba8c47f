//! The request path without a socket, over models that misbehave.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{
        Arc, Mutex,
        mpsc::{self, Receiver, Sender},
    },
    time::Duration,
};

use taper::error::{ForwardError, PredictError};
use taper::ident::{ModelName, Revision, VersionNumber};
use taper::insight::metrics::{Telemetry, VersionMeters};
use taper::model::payload::{Cell, Payload};
use taper::model::{Manifest, Model, Rows, Scores, Version};
use taper::serving::execute::INLINE_COST;
use taper::serving::live::{Live, Routing, ServingModel, ServingVersion, Snapshot};
use taper::serving::route::{Policy, RawPolicy};
use taper::serving::{Answer, Limits, Pipeline, Query};
use tokio::time::Instant;

use crate::tiny;

/// A pipeline over one version of the model `m` that is `model`.
fn pipeline(model: impl Model, max_in_flight: usize) -> (Arc<Pipeline>, Arc<Live>, Arc<Telemetry>) {
    let dir = tempfile::tempdir().expect("temporary folder");
    tiny::publish(dir.path(), "m", 1);
    let manifest = Manifest::read(&dir.path().join("m/1")).expect("manifest");
    let telemetry = Telemetry::new().expect("metrics");
    let meters = VersionMeters::new(&telemetry, &manifest).expect("meters");
    let version = Version::new(manifest, Box::new(model));
    let one: VersionNumber = "1".parse().expect("version");
    let name: ModelName = "m".parse().expect("name");
    let ready = BTreeMap::from([(one, Arc::new(ServingVersion { version, meters }))]);
    let raw = RawPolicy {
        split: vec![(1, 10_000)],
        ..RawPolicy::default()
    };
    let policy = Policy::check(raw, &name).expect("policy");
    let routing = Routing::resolve(Revision(1), policy, &ready).map(Arc::new);
    let model = ServingModel {
        name: name.clone(),
        ready,
        failed: BTreeMap::new(),
        labels: BTreeMap::new(),
        routing,
    };
    let live = Arc::new(Live::new(Snapshot {
        models: HashMap::from([(name, Arc::new(model))]),
    }));
    let limits = Limits { max_in_flight };
    let pipeline = Arc::new(Pipeline::new(
        Arc::clone(&live),
        Arc::clone(&telemetry),
        limits,
    ));
    (pipeline, live, telemetry)
}

fn query(x: f64) -> Query {
    let cells = [
        ("x", Cell::Number(x)),
        ("color", Cell::Text("red".into())),
        (
            "pair",
            Cell::List(vec![Cell::Number(0.0), Cell::Number(0.0)]),
        ),
    ];
    Query {
        model: "m".into(),
        pin: None,
        routing_key: String::new(),
        response_id: None,
        headers: http::HeaderMap::new(),
        payload: Payload::Rows(vec![
            cells.map(|(name, cell)| (name.to_owned(), cell)).into(),
        ]),
        arrived: Instant::now(),
        deadline: None,
    }
}

fn score(answer: &Answer) -> Vec<f32> {
    answer.scores.rows().flatten().copied().collect()
}

/// Answers `x`; panics at 13, gives NaN at 14, an error at 15.
struct Moody;

impl Model for Moody {
    fn cost_per_row(&self) -> usize {
        1
    }

    fn forward(&self, rows: &Rows) -> Result<Scores, ForwardError> {
        let x = rows.as_slice()[0];
        match x {
            13.0 => panic!("thirteen"),
            14.0 => Scores::new(vec![f32::NAN], 1),
            15.0 => Err(ForwardError::Failed("fifteen".into())),
            _ => Scores::new(vec![x], 1),
        }
    }
}

#[tokio::test]
async fn a_model_that_fails_costs_one_request_and_no_more() {
    let (pipeline, _live, telemetry) = pipeline(Moody, 8);
    for x in [13.0, 14.0, 15.0] {
        let error = pipeline.predict(query(x)).await.expect_err("fails");
        assert_eq!(error.reason(), "FORWARD_FAILED", "{x}");
        assert!(
            !error.to_string().contains("teen"),
            "the cause stays in the log: {error}"
        );
        assert_eq!(
            score(&pipeline.predict(query(2.0)).await.expect("the next one")),
            [2.0]
        );
    }
    assert_eq!(pipeline.in_flight(), 0);
    let text = telemetry.render();
    assert!(
        text.contains(r#"role="primary",code="INTERNAL"} 3"#),
        "{text}"
    );
    assert!(text.contains(r#"role="primary",code="OK"} 3"#), "{text}");
}

/// Says that it began, then waits until it is let go. Too dear to run on an async worker.
struct Slow {
    began: Sender<()>,
    go: Mutex<Receiver<()>>,
}

impl Model for Slow {
    fn cost_per_row(&self) -> usize {
        INLINE_COST + 1
    }

    fn forward(&self, _: &Rows) -> Result<Scores, ForwardError> {
        self.began.send(()).expect("the test listens");
        self.go
            .lock()
            .expect("lock")
            .recv()
            .expect("the test lets go");
        Scores::new(vec![1.0], 1)
    }
}

fn slow() -> (Slow, Receiver<()>, Sender<()>) {
    let ((began, begun), (let_go, go)) = (mpsc::channel(), mpsc::channel());
    (
        Slow {
            began,
            go: Mutex::new(go),
        },
        begun,
        let_go,
    )
}

#[tokio::test]
async fn past_the_limit_a_request_is_refused_at_once_and_told_when_to_come_back() {
    let (model, begun, let_go) = slow();
    let (pipeline, _live, _) = pipeline(model, 1);
    let first = tokio::task::spawn({
        let pipeline = Arc::clone(&pipeline);
        async move { pipeline.predict(query(1.0)).await }
    });
    tokio::task::spawn_blocking(move || begun.recv())
        .await
        .expect("joins")
        .expect("it began");
    match pipeline.predict(query(1.0)).await.expect_err("refused") {
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
    assert_eq!(pipeline.in_flight(), 0, "both places are given back");
}

#[tokio::test]
async fn a_caller_that_goes_away_gives_its_place_back_and_is_counted() {
    let (model, begun, let_go) = slow();
    let (pipeline, _live, telemetry) = pipeline(model, 1);
    let gone = tokio::task::spawn({
        let pipeline = Arc::clone(&pipeline);
        async move { pipeline.predict(query(1.0)).await }
    });
    tokio::task::spawn_blocking(move || begun.recv())
        .await
        .expect("joins")
        .expect("it began");
    gone.abort();
    gone.await.expect_err("aborted");
    assert_eq!(pipeline.in_flight(), 0);
    let_go.send(()).expect("sent");
    let text = telemetry.render();
    assert!(text.contains(r#"code="CANCELLED"} 1"#), "{text}");
}

#[tokio::test]
async fn work_whose_deadline_has_passed_is_not_begun() {
    let (pipeline, _live, telemetry) = pipeline(Moody, 8);
    let late = Query {
        deadline: Some(Instant::now()),
        ..query(13.0)
    };
    let error = pipeline.predict(late).await.expect_err("too late");
    assert!(matches!(error, PredictError::DeadlineExceeded), "{error:?}");
    assert!(
        telemetry
            .render()
            .contains(r#"code="DEADLINE_EXCEEDED"} 1"#)
    );
}

#[tokio::test]
async fn a_request_keeps_its_version_while_the_model_goes_and_the_series_go_with_it() {
    let (model, begun, let_go) = slow();
    let (pipeline, live, telemetry) = pipeline(model, 8);
    let request = tokio::task::spawn({
        let pipeline = Arc::clone(&pipeline);
        async move { pipeline.predict(query(1.0)).await }
    });
    tokio::task::spawn_blocking(move || begun.recv())
        .await
        .expect("joins")
        .expect("it began");
    live.publish(Snapshot::default());
    let error = pipeline
        .predict(query(1.0))
        .await
        .expect_err("gone for new requests");
    assert_eq!(error.reason(), "UNKNOWN_MODEL");
    assert!(
        telemetry.render().contains(r#"model="m""#),
        "somebody still holds the version"
    );
    let_go.send(()).expect("sent");
    let answer = request
        .await
        .expect("joins")
        .expect("the old request is answered");
    assert_eq!(score(&answer), [1.0]);
    drop(answer);
    let text = telemetry.render();
    assert!(
        !text.contains(r#"model="m",version"#),
        "series outlived their version:\n{text}"
    );
}
