//! What the thread of a shadow does, and what it leaves to the desk.

use std::sync::mpsc::Sender;
use std::time::Duration;

use super::*;
use crate::error::{Code, ForwardError};
use crate::ident::{ResponseId, Revision};
use crate::insight::outcomes::OutcomeSettings;
use crate::insight::stats::Window;
use crate::insight::{VersionInsight, metrics::Telemetry, stats};
use crate::model::payload::{Cell, Payload};
use crate::model::{Model, Rows, Scores, Version, samples};
use crate::serving::live::ServingVersion;
use crate::serving::route::{Policy, RawPolicy, RawShadow, Shadow};
use crate::serving::score::Scored;
use crate::serving::shadow::Primary;

/// Answers 0.75, and tells it.
struct Telling(Sender<()>);

impl Model for Telling {
    fn cost_per_row(&self) -> usize {
        0
    }

    fn forward(&self, rows: &Rows) -> Result<Scores, ForwardError> {
        // Nobody listens any more in a test that is over.
        let _ = self.0.send(());
        Scores::new(vec![0.75; rows.len()], 1)
    }
}

/// A version that is a shadow, and all that can be seen of it.
struct Stage {
    telemetry: Arc<Telemetry>,
    version: Arc<ServingVersion>,
    scored: Receiver<()>,
}

impl Stage {
    fn new() -> Self {
        let telemetry = Telemetry::new().unwrap();
        let manifest = samples::manifest(samples::document("m", 1));
        let insight =
            VersionInsight::new(&telemetry, &manifest, stats::Settings::default()).unwrap();
        insight.meters.register_shadow();
        let (into, scored) = mpsc::channel();
        let version = Version::new(manifest, Box::new(Telling(into)));
        let weights = telemetry.weights(0);
        Self {
            version: Arc::new(ServingVersion::new(version, insight, weights)),
            telemetry,
            scored,
        }
    }

    fn lane(&self, max_queue: u32) -> ShadowQueue {
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

    fn copied(&self) -> Copied {
        let row = ["a", "b"].map(|name| (name.into(), Cell::Number(1.0)));
        let answer = Scored {
            scores: Scores::new(vec![0.5], 1).unwrap(),
            top: Vec::new(),
            inference: Duration::ZERO,
        };
        Copied {
            payload: Arc::new(Payload::Rows(vec![row.into()])),
            primary: Arc::new(Primary {
                version: self.version.number(),
                about: Arc::clone(self.version.insight.comparisons.info()),
                response_id: ResponseId::from_random(7),
                revision: Revision(1),
                answer: Some(answer),
            }),
            bytes: 10,
        }
    }

    fn waiting(&self, shared: &Arc<Shared>) -> Waiting {
        let bytes = 10;
        shared.bytes.fetch_add(bytes, Ordering::Relaxed);
        Waiting {
            copied: self.copied(),
            expires: Instant::now() + Duration::from_secs(60),
            queued: self.version.insight.meters.shadow_queued(),
            held: Held {
                shared: Arc::clone(shared),
                bytes,
            },
        }
    }

    /// The value of a series; 0 where there is none.
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

    /// Rows in the statistics that can be read, and requests that ended with `code` there.
    fn read(&self, code: Code) -> Option<(u64, u64)> {
        let read = self
            .version
            .insight
            .stats
            .read(Role::Shadow, Window::SinceLoad)?;
        Some((read.summary.rows, read.summary.codes[code as usize]))
    }
}

fn shared() -> Arc<Shared> {
    let settings = ShadowPoolSettings::default();
    Arc::new(Shared {
        settings,
        threads: AtomicUsize::new(0),
        bytes: AtomicUsize::new(0),
        budget: Mutex::new(Budget::new(settings.compute_share, Instant::now())),
        ended: AtomicBool::new(false),
    })
}

#[test]
fn the_thread_of_a_shadow_records_nothing_and_the_desk_all_of_it() {
    let (stage, shared) = (Stage::new(), shared());
    let lane = stage.lane(4);
    let outcomes = Outcomes::new(OutcomeSettings::default(), stage.telemetry.outcomes());
    let held = || {
        outcomes.report_rows();
        stage
            .telemetry
            .render()
            .contains("taper_outcome_buffer_rows 1")
    };
    let done = one(&lane.post, &shared, stage.waiting(&shared));
    assert!(matches!(&done, Done::Computed(done) if !done.late));
    assert_eq!(stage.read(Code::Ok), None, "not even a recorder is made");
    assert_eq!(stage.ended("OK"), 0);
    assert!(!held());
    let one = stage.version.number();
    assert!(
        stage
            .version
            .insight
            .comparisons
            .with_primary(one)
            .is_none()
    );
    assert_eq!(shared.bytes.load(Ordering::Relaxed), 10, "it still waits");

    done.enter(Some(&outcomes));
    assert_eq!(stage.read(Code::Ok), Some((1, 1)));
    assert_eq!(stage.ended("OK"), 1);
    assert!(held());
    let told = stage.version.insight.comparisons.with_primary(one).unwrap();
    assert_eq!(told.counts.rows, 1);
    assert_eq!(shared.bytes.load(Ordering::Relaxed), 0);
    assert_eq!(stage.metric("taper_in_flight_requests", ""), 0);
}

#[test]
fn a_late_answer_counts_the_same_in_statistics_and_metrics() {
    let (stage, shared) = (Stage::new(), shared());
    let lane = stage.lane(4);
    let mut done = one(&lane.post, &shared, stage.waiting(&shared));
    if let Done::Computed(computed) = &mut done {
        // As `Slots::overdue` does, while it runs.
        stage.version.insight.meters.shadow_overdue();
        computed.late = true;
        computed.expires = computed.ended;
    }
    done.enter(None);
    assert_eq!(stage.read(Code::DeadlineExceeded), Some((1, 1)));
    assert_eq!(stage.ended("DEADLINE_EXCEEDED"), 1, "once");
    let role = r#",role="shadow""#;
    for series in ["taper_request_rows_count", "taper_inference_seconds_count"] {
        assert_eq!(stage.metric(series, role), 1, "{series}");
    }
}

#[test]
fn what_nobody_records_any_more_is_counted_once() {
    let (stage, shared) = (Stage::new(), shared());
    let lane = stage.lane(4);
    for late in [false, true] {
        let mut done = one(&lane.post, &shared, stage.waiting(&shared));
        if let Done::Computed(computed) = &mut done {
            computed.late = late;
        }
        done.lost();
        assert_eq!(stage.dropped("draining"), 1);
    }
}

#[test]
fn copies_of_a_lane_that_never_got_a_thread_are_counted_when_it_goes() {
    let stage = Stage::new();
    let settings = ShadowPoolSettings {
        max_threads: 0,
        ..ShadowPoolSettings::default()
    };
    let pool = ShadowPool::start(settings, None).unwrap();
    let lane = stage.lane(64);
    for _ in 0..500 {
        pool.offer(&lane, stage.copied());
    }
    assert_eq!(stage.dropped("queue_full"), 436);
    drop(lane);
    assert_eq!(stage.dropped("draining"), 64);
    assert_eq!(stage.metric("taper_shadow_queue_requests", ""), 0);
}

#[test]
fn a_lane_whose_queue_is_full_gets_a_thread_once_there_is_one() {
    let (first, second) = (Stage::new(), Stage::new());
    let settings = ShadowPoolSettings {
        max_threads: 1,
        ..ShadowPoolSettings::default()
    };
    let pool = ShadowPool::start(settings, None).unwrap();
    let (one, other) = (first.lane(4), second.lane(1));
    pool.offer(&one, first.copied());
    first.scored.recv().unwrap();
    for _ in 0..3 {
        pool.offer(&other, second.copied());
    }
    assert_eq!(second.dropped("queue_full"), 2);
    drop(one);
    while second
        .scored
        .recv_timeout(Duration::from_millis(1))
        .is_err()
    {
        pool.offer(&other, second.copied());
    }
}
