//! A server without sockets for several versions of the model `m`, each with its own behaviour, under one policy.

use std::sync::Arc;

use taper::error::{ForwardError, PredictError};
use taper::insight::metrics::Telemetry;
use taper::model::payload::{Cell, Payload};
use taper::model::{Batch, Manifest, Model, Outputs, Version};
use taper::serving::admission::{AdmissionControl, Limits};
use taper::serving::batch::Pool;
use taper::serving::live::Live;
use taper::serving::route::RawPolicy;
use taper::serving::shadow::{ShadowPool, ShadowPoolSettings};
use taper::serving::{Answer, Pin, Pipeline, Query};
use tokio::time::Instant;

use crate::harness::eventually;
use crate::live_snapshot;
use crate::tiny;

/// Returns the score or the error for the value `x` of the only row.
pub type Behaviour = Box<dyn Fn(f32) -> Result<f32, ForwardError> + Send + Sync>;

struct ScriptedModel(Behaviour);

impl Model for ScriptedModel {
    fn cost_per_row(&self) -> usize {
        1
    }

    fn forward(&self, rows: &Batch) -> Result<Outputs, ForwardError> {
        Outputs::scores(vec![(self.0)(rows.as_slice()[0])?], 1)
    }
}

/// Returns a boxed behaviour.
pub fn behaviour(
    does: impl Fn(f32) -> Result<f32, ForwardError> + Send + Sync + 'static,
) -> Behaviour {
    Box::new(does)
}

/// Returns a behaviour that answers `x`.
pub fn echo() -> Behaviour {
    behaviour(Ok)
}

/// Limit on the queued rows of a version.
pub const MAX_QUEUE_ROWS: usize = 10_000;

/// A pipeline and its collaborators.
pub struct TestServer {
    pub pipeline: Arc<Pipeline>,
    pub live: Arc<Live>,
    pub telemetry: Arc<Telemetry>,
    admission: Arc<AdmissionControl>,
}

/// Creates a server whose versions 1, 2, ... have these behaviours.
pub fn test_server(
    models: Vec<Behaviour>,
    policy: RawPolicy,
    settings: ShadowPoolSettings,
) -> Arc<TestServer> {
    let act = |does| Box::new(ScriptedModel(does)) as Box<dyn Model>;
    test_server_of(models.into_iter().map(act).collect(), policy, settings)
}

/// Creates a server whose versions 1, 2, ... are `models`.
pub fn test_server_of(
    models: Vec<Box<dyn Model>>,
    policy: RawPolicy,
    settings: ShadowPoolSettings,
) -> Arc<TestServer> {
    let dir = tempfile::tempdir().expect("temporary folder");
    let telemetry = Telemetry::new().expect("metrics");
    let versions = (1..).zip(models).map(|(number, model)| {
        tiny::publish_with(dir.path(), "m", number, |manifest| {
            manifest["batching"]["max_queue_rows"] = MAX_QUEUE_ROWS.into();
        });
        let folder = dir.path().join(format!("m/{number}"));
        Version::new(Manifest::read(&folder).expect("manifest"), model)
    });
    let live = live_snapshot::live(&telemetry, "m", versions, policy);
    let limits = Limits {
        max_in_flight: 20_000,
        max_in_flight_bytes: 1 << 30,
    };
    let shadows = ShadowPool::start(settings, None).expect("a thread");
    let pipeline = Pipeline::new(
        Arc::clone(&live),
        Arc::clone(&telemetry),
        Pool::start().expect("threads"),
    )
    .with_shadows(shadows);
    Arc::new(TestServer {
        pipeline: Arc::new(pipeline),
        admission: AdmissionControl::new(limits, Arc::clone(&telemetry)),
        live,
        telemetry,
    })
}

impl TestServer {
    /// Predicts the score of `x`.
    pub async fn predict(&self, x: f64) -> Result<Answer, PredictError> {
        self.predict_pinned(x, None).await
    }

    /// Predicts with a pinned version.
    pub async fn predict_pinned(&self, x: f64, pin: Option<u64>) -> Result<Answer, PredictError> {
        self.predict_before(x, pin, None).await
    }

    /// Predicts with a pinned version and a deadline.
    pub async fn predict_before(
        &self,
        x: f64,
        pin: Option<u64>,
        deadline: Option<Instant>,
    ) -> Result<Answer, PredictError> {
        let permit = Arc::new(self.admission.enter(Instant::now(), deadline)?);
        let pair = Cell::List(vec![Cell::Number(0.0), Cell::Number(0.0)]);
        let cells = [
            ("x", Cell::Number(x)),
            ("color", Cell::Text("red".into())),
            ("pair", pair),
        ];
        let row = cells.map(|(name, cell)| (name.to_owned(), cell)).into();
        let query = Query {
            model: "m".into(),
            pin: pin.map(Pin::Version),
            routing_key: String::new(),
            response_id: None,
            headers: http::HeaderMap::new(),
            payload: Payload::Rows(vec![row]),
            permit,
        };
        self.pipeline.predict(query).await
    }

    /// Returns the value of the series of `name` with these labels of a version, or 0 if it is missing.
    pub fn metric(&self, name: &str, version: u64, labels: &str) -> f64 {
        let comma = if labels.is_empty() { "" } else { "," };
        let series = format!(r#"{name}{{model="m",version="{version}"{comma}{labels}}} "#);
        let text = self.telemetry.render();
        let line = text.lines().find_map(|line| line.strip_prefix(&*series));
        line.map_or(0.0, |value| value.parse().expect("a number"))
    }

    /// Returns the number of requests of a version in a role that ended with a code.
    pub fn ended(&self, version: u64, role: &str, code: &str) -> f64 {
        let labels = format!(r#"role="{role}",code="{code}""#);
        self.metric("taper_requests_total", version, &labels)
    }

    /// Waits until exactly `many` requests have ended with a code.
    pub async fn wait_until_ended(&self, version: u64, role: &str, code: &str, many: f64) {
        let what = format!("{many} of version {version} as {role} with {code}");
        let there = || async { (self.ended(version, role, code) >= many).then_some(()) };
        eventually(&what, there).await;
        assert!(
            (self.ended(version, role, code) - many).abs() < 0.5,
            "{what}, not more"
        );
    }

    /// Returns the number of dropped copies for a version.
    pub fn dropped(&self, version: u64, reason: &str) -> f64 {
        let labels = format!(r#"reason="{reason}""#);
        self.metric("taper_shadow_dropped_total", version, &labels)
    }
}

/// Returns the only score.
pub fn score(answer: &Answer) -> f32 {
    answer.pass.scores.rows().next().expect("a row")[0]
}
