//! The span of a request.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::sync::Mutex;
use std::thread;

use http::HeaderMap;
use tracing::{Dispatch, Level, dispatcher};

use super::*;
use crate::error::ForwardError;
use crate::insight::{VersionInsight, stats};
use crate::model::payload::Cell;
use crate::model::{Batch, Model, Outputs, Version, samples};
use crate::serving::admission::{AdmissionControl, Limits};
use crate::serving::live::ServingModel;
use crate::serving::route::{Policy, RawPolicy};
use crate::serving::version::ServingVersion;

/// A model that logs a line, with the name of its thread, in each pass.
struct Logging {
    dispatch: Dispatch,
    cost_per_row: usize,
    fails: bool,
}

impl Model for Logging {
    fn cost_per_row(&self) -> usize {
        self.cost_per_row
    }

    fn forward(&self, rows: &Batch) -> Result<Outputs, ForwardError> {
        // The threads of the pool have no subscriber of their own in a test.
        dispatcher::with_default(&self.dispatch, || {
            let thread = thread::current();
            tracing::info!(
                thread = thread.name().unwrap_or_default(),
                "scores the rows"
            );
        });
        if self.fails {
            return Err(ForwardError::Failed("no weights".into()));
        }
        Outputs::scores(vec![0.5; rows.len()], 1)
    }
}

/// The text that a subscriber has written.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Log {
    fn dispatch(&self, level: Level) -> Dispatch {
        let log = self.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(level)
            .with_ansi(false)
            .with_writer(move || log.clone());
        Dispatch::new(subscriber.finish())
    }

    /// Returns the only line that contains `text`.
    fn line(&self, text: &str) -> String {
        let log = String::from_utf8(self.0.lock().unwrap().clone()).unwrap();
        let lines: Vec<_> = log.lines().filter(|line| line.contains(text)).collect();
        match lines[..] {
            [line] => line.to_owned(),
            _ => panic!("one line with {text:?}, got {log}"),
        }
    }
}

/// A pass that costs this much runs in the compute pool.
const EXPENSIVE: usize = 1 << 20;

const SPAN: &str = "request{model=m version=3 revision=7}: ";

/// Answers one request by version 3 of the model `m` under revision 7, and returns the log.
async fn predict(
    level: Level,
    cost_per_row: usize,
    fails: bool,
) -> (Log, Result<Answer, PredictError>) {
    let log = Log::default();
    let dispatch = log.dispatch(level);
    let telemetry = Telemetry::new().unwrap();
    let manifest = samples::manifest(samples::document("m", 3));
    let insight = VersionInsight::new(&telemetry, &manifest, stats::Settings::default()).unwrap();
    let model = Logging {
        dispatch: dispatch.clone(),
        cost_per_row,
        fails,
    };
    let version = Version::new(manifest, Box::new(model));
    let version = ServingVersion::new(version, telemetry.weights(0));
    let version = Arc::new(VersionRuntime::new(version, insight));
    let ready = BTreeMap::from([(version.number(), version)]);
    let raw = RawPolicy {
        split: vec![(3.into(), 10_000)],
        ..RawPolicy::default()
    };
    let policy = Policy::check(raw, &"m".parse().unwrap()).unwrap();
    let routing = Routing::resolve(Revision(7), policy, &BTreeMap::new(), &ready).unwrap();
    let model = ServingModel {
        name: "m".parse().unwrap(),
        ready,
        others: BTreeMap::new(),
        labels: BTreeMap::new(),
        routing: Some(Arc::new(routing)),
    };
    let models = HashMap::from([(model.name.clone(), Arc::new(model))]);
    let live = Arc::new(Live::new(Snapshot { models }));
    let pool = Pool::start().unwrap();
    let pipeline = Pipeline::new(live, Arc::clone(&telemetry), pool);
    let limits = Limits {
        max_in_flight: 1,
        max_in_flight_bytes: 1,
    };
    let admission = AdmissionControl::new(limits, telemetry);
    let row = ["a", "b"].map(|name| (name.into(), Cell::Number(1.0)));
    let query = Query {
        model: "m".into(),
        pin: None,
        routing_key: String::new(),
        response_id: None,
        headers: HeaderMap::new(),
        payload: Payload::Rows(vec![row.into()]),
        permit: Arc::new(admission.enter(Instant::now(), None).unwrap()),
    };
    let _subscriber = dispatcher::set_default(&dispatch);
    let result = pipeline.predict(query).await;
    (log, result)
}

#[tokio::test]
async fn a_log_line_of_a_pool_thread_is_inside_the_span_of_its_request() {
    let (log, result) = predict(Level::DEBUG, EXPENSIVE, false).await;
    result.unwrap();
    let line = log.line("scores the rows");
    assert!(line.contains(SPAN), "{line}");
    assert!(line.contains("taper-compute-"), "{line}");
}

#[tokio::test]
async fn a_log_line_of_an_inline_pass_is_inside_the_span_of_its_request() {
    let (log, result) = predict(Level::DEBUG, 0, false).await;
    result.unwrap();
    let line = log.line("scores the rows");
    assert!(line.contains(SPAN), "{line}");
    assert!(!line.contains("taper-compute-"), "{line}");
}

#[tokio::test]
async fn a_failed_pass_is_logged_with_model_and_version_whether_or_not_spans_are_enabled() {
    for (level, has_span) in [(Level::DEBUG, true), (Level::INFO, false)] {
        let (log, result) = predict(level, EXPENSIVE, true).await;
        assert_eq!(result.unwrap_err().reason(), "FORWARD_FAILED");
        let line = log.line("forward pass failed");
        assert!(
            line.contains("model=m version=3 error=no weights"),
            "{line}"
        );
        assert_eq!(line.contains(SPAN), has_span, "{line}");
    }
}
