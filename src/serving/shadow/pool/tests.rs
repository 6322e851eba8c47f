//! What a shadow's thread does, and what it leaves to the recorder.

use std::sync::mpsc::Sender;
use std::time::Duration;

use super::*;
use crate::error::{Code, ForwardError};
use crate::ident::{ResponseId, Revision};
use crate::insight::outcomes::OutcomeSettings;
use crate::insight::stats::Window;
use crate::insight::{VersionInsight, metrics::Telemetry, stats};
use crate::model::payload::{Cell, Payload};
use crate::model::{Batch, Model, Outputs, Pass, Scores, Version, samples};
use crate::serving::route::{Policy, RawPolicy, RawShadow, Shadow};
use crate::serving::shadow::PrimaryResult;
use crate::serving::version::{ServingVersion, VersionRuntime};
use crate::serving::work::Prediction;

/// Answers 0.75, and reports each pass.
struct Reporting(Sender<()>);

impl Model for Reporting {
    fn cost_per_row(&self) -> usize {
        0
    }

    fn forward(&self, rows: &Batch) -> Result<Outputs, ForwardError> {
        // The receiver is gone once the test has ended.
        let _ = self.0.send(());
        Outputs::scores(vec![0.75; rows.len()], 1)
    }
}

/// A version that is a shadow, and everything that can be observed of it.
struct Fixture {
    telemetry: Arc<Telemetry>,
    version: Arc<VersionRuntime>,
    passes: Receiver<()>,
}

impl Fixture {
    fn new() -> Self {
        let telemetry = Telemetry::new().unwrap();
        let manifest = samples::manifest(samples::document("m", 1));
        let insight =
            VersionInsight::new(&telemetry, &manifest, stats::Settings::default()).unwrap();
        insight.meters.register_shadow();
        let (report, passes) = mpsc::channel();
        let model = Version::new(manifest, Box::new(Reporting(report)));
        let version = ServingVersion::new(model, telemetry.weights(0));
        Self {
            version: Arc::new(VersionRuntime::new(version, insight)),
            telemetry,
            passes,
        }
    }

    fn shadow_queue(&self, max_queue: u32) -> ShadowQueue {
        let shadow = RawShadow {
            target: 1.into(),
            basis_points: 10_000,
            deadline_ms: 60_000,
            max_queue,
            max_concurrent: 1,
        };
        let raw = RawPolicy {
            split: vec![(1.into(), 10_000)],
            shadows: vec![shadow],
            ..RawPolicy::default()
        };
        let policy = Policy::check(raw, &"m".parse().unwrap()).unwrap();
        let shadow: Shadow = policy.shadows()[0].clone();
        ShadowQueue::new(shadow, Arc::clone(&self.version))
    }

    fn copy(&self) -> ShadowCopy {
        let row = ["a", "b"].map(|name| (name.into(), Cell::Number(1.0)));
        let answer = Prediction {
            pass: Pass {
                scores: Scores::new(vec![0.5], 1).unwrap(),
                tensors: None,
                summarised: None,
            },
            top: Vec::new(),
            inference: Duration::ZERO,
        };
        ShadowCopy {
            payload: Arc::new(Payload::Rows(vec![row.into()])),
            primary: Arc::new(PrimaryResult {
                version: self.version.number(),
                info: Arc::clone(self.version.insight.comparisons.info()),
                response_id: ResponseId::from_random(7),
                revision: Revision(1),
                answer: Some(answer),
            }),
            bytes: 10,
        }
    }

    fn queued(&self, state: &PoolState) -> QueuedCopy {
        let copy = self.copy();
        QueuedCopy {
            memory: state.memory.reserve(copy.bytes).0,
            copy,
            expires: Instant::now() + Duration::from_secs(60),
            queued: self.version.insight.meters.shadow_queued(),
        }
    }

    /// Returns the value of a series; 0 if there is no such series.
    fn metric(&self, name: &str, labels: &str) -> u64 {
        let series = format!(r#"{name}{{model="m",version="1"{labels}}} "#);
        let text = self.telemetry.render();
        let line = text.lines().find_map(|line| line.strip_prefix(&*series));
        line.map_or(0, |value| value.parse().unwrap())
    }

    fn dropped(&self, reason: &str) -> u64 {
        let reason = format!(r#",reason="{reason}""#);
        self.metric("taper_shadow_dropped_total", &reason)
    }

    fn ended(&self, code: &str) -> u64 {
        let labels = format!(r#",role="shadow",code="{code}""#);
        self.metric("taper_requests_total", &labels)
    }

    /// Returns the rows in the statistics, and the requests that ended with `code` there.
    fn statistics(&self, code: Code) -> Option<(u64, u64)> {
        let read = self
            .version
            .insight
            .stats
            .read(Role::Shadow, Window::SinceLoad)?;
        Some((read.summary.rows, read.summary.codes[code as usize]))
    }
}

fn pool_state() -> Arc<PoolState> {
    PoolState::new(ShadowPoolSettings::default())
}

#[test]
fn the_thread_of_a_shadow_records_nothing_and_the_recorder_everything() {
    let (fixture, state) = (Fixture::new(), pool_state());
    let queue = fixture.shadow_queue(4);
    let outcomes = Outcomes::new(OutcomeSettings::default(), fixture.telemetry.outcomes());
    let is_remembered = || {
        outcomes.report_rows();
        fixture
            .telemetry
            .render()
            .contains("taper_outcome_buffer_rows 1")
    };
    let processed = process(&queue.shared, &state, fixture.queued(&state));
    assert!(matches!(&processed, ProcessedCopy::Computed(copy) if !copy.counted_overdue));
    assert_eq!(
        fixture.statistics(Code::Ok),
        None,
        "not even a recorder of statistics exists"
    );
    assert_eq!(fixture.ended("OK"), 0);
    assert!(!is_remembered());
    let one = fixture.version.number();
    assert!(
        fixture
            .version
            .insight
            .comparisons
            .with_primary(one)
            .is_none()
    );
    assert_eq!(state.memory.used(), 1_024, "its memory is still reserved");

    processed.record(Some(&outcomes));
    assert_eq!(fixture.statistics(Code::Ok), Some((1, 1)));
    assert_eq!(fixture.ended("OK"), 1);
    assert!(is_remembered());
    let compared = fixture
        .version
        .insight
        .comparisons
        .with_primary(one)
        .unwrap();
    assert_eq!(compared.counts.rows, 1);
    assert_eq!(state.memory.used(), 0);
    assert_eq!(fixture.metric("taper_in_flight_requests", ""), 0);
}

#[test]
fn a_late_answer_counts_the_same_in_statistics_and_metrics() {
    let (fixture, state) = (Fixture::new(), pool_state());
    let queue = fixture.shadow_queue(4);
    let mut processed = process(&queue.shared, &state, fixture.queued(&state));
    if let ProcessedCopy::Computed(computed) = &mut processed {
        // As `ShadowSlots::overdue` does, while it runs.
        fixture.version.insight.meters.shadow_overdue();
        computed.counted_overdue = true;
        computed.expires = computed.ended;
    }
    processed.record(None);
    assert_eq!(fixture.statistics(Code::DeadlineExceeded), Some((1, 1)));
    assert_eq!(fixture.ended("DEADLINE_EXCEEDED"), 1, "once");
    let role = r#",role="shadow""#;
    for series in ["taper_request_rows_count", "taper_inference_seconds_count"] {
        assert_eq!(fixture.metric(series, role), 1, "{series}");
    }
}

#[test]
fn a_copy_that_can_no_longer_be_recorded_is_counted_once() {
    let (fixture, state) = (Fixture::new(), pool_state());
    let queue = fixture.shadow_queue(4);
    for is_counted in [false, true] {
        let mut processed = process(&queue.shared, &state, fixture.queued(&state));
        if let ProcessedCopy::Computed(computed) = &mut processed {
            computed.counted_overdue = is_counted;
        }
        processed.count_as_dropped();
        assert_eq!(fixture.dropped("draining"), 1);
    }
}

#[test]
fn copies_in_a_queue_that_never_got_a_thread_are_counted_when_it_is_dropped() {
    let fixture = Fixture::new();
    let settings = ShadowPoolSettings {
        max_threads: 0,
        ..ShadowPoolSettings::default()
    };
    let pool = ShadowPool::start(settings, None).unwrap();
    let queue = fixture.shadow_queue(64);
    for _ in 0..500 {
        pool.offer(&queue, fixture.copy());
    }
    assert_eq!(fixture.dropped("queue_full"), 436);
    drop(queue);
    assert_eq!(fixture.dropped("draining"), 64);
    assert_eq!(fixture.metric("taper_shadow_queue_requests", ""), 0);
}

#[test]
fn a_full_queue_gets_a_thread_as_soon_as_one_is_free() {
    let (first, second) = (Fixture::new(), Fixture::new());
    let settings = ShadowPoolSettings {
        max_threads: 1,
        ..ShadowPoolSettings::default()
    };
    let pool = ShadowPool::start(settings, None).unwrap();
    let (with_thread, full) = (first.shadow_queue(4), second.shadow_queue(1));
    pool.offer(&with_thread, first.copy());
    first.passes.recv().unwrap();
    for _ in 0..3 {
        pool.offer(&full, second.copy());
    }
    assert_eq!(second.dropped("queue_full"), 2);
    drop(with_thread);
    while second
        .passes
        .recv_timeout(Duration::from_millis(1))
        .is_err()
    {
        pool.offer(&full, second.copy());
    }
}
