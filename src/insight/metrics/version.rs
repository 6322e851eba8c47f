//! The series of one version. Its requests record through handles that were made when the version was loaded.

use std::{
    fmt,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use metrics::{Counter, Gauge, Histogram, Label, SharedString};

use super::batch::BatchMeters;
use super::drift::DriftMeters;
use super::guard::GaugeGuard;
use super::labels::{MODEL, VERSION};
use super::outcomes::QualityMeters;
use super::reasons::{AbandonReason, DropReason, FallbackReason};
use super::scope::Scope;
use super::score_buckets::score_buckets;
use super::shadows_or_fallback::{
    ComparedMeters, FallbackCounters, ShadowMeters, fallback_counters,
};
use super::table;
use super::telemetry::{MetricsError, Telemetry};
use crate::error::Code;
use crate::ident::{Role, Share, VersionNumber};
use crate::insight::drift::{Columns, DriftReport};
use crate::insight::outputs;
use crate::model::manifest::Manifest;
use crate::model::{Scores, TopClass};

/// The exporter keeps each recorded value, 16 bytes, until its upkeep. If more values than this are waiting, the next
/// recording runs the upkeep itself, so they take at most 16 MiB for each version, whatever the size of batches and however
/// late the periodic upkeep is.
const MOST_WAITING: usize = 1 << 20;

/// The series of one version. They are removed when this is dropped.
pub struct VersionMeters {
    scope: Arc<Scope>,
    shadow: OnceLock<ShadowMeters>,
    batches: OnceLock<BatchMeters>,
    fallbacks: OnceLock<FallbackCounters>,
    drift: OnceLock<DriftMeters>,
    roles: [OnceLock<RoleMeters>; Role::COUNT],
    outputs: Vec<String>,
    classes: Vec<String>,
    has_confidence: bool,
    share: Gauge,
    counted: Gauge,
    bytes: Gauge,
    in_flight: Gauge,
    /// Values recorded since the upkeep that [`MOST_WAITING`] triggered last.
    waiting: AtomicUsize,
}

/// The series of one version in one role. They are registered when the version first plays the role.
struct RoleMeters {
    requests: [OnceLock<Counter>; Code::COUNT],
    request_seconds: Histogram,
    inference_seconds: Histogram,
    rows: Histogram,
    scores: Vec<Histogram>,
    confidence: Histogram,
    classes: Vec<Counter>,
}

impl RoleMeters {
    fn new(of: &VersionMeters, role: Role) -> Self {
        let (version, role) = (&of.scope, role.as_str());
        let score = |output: &String| {
            let values = [SharedString::from(role), output.clone().into()];
            version.histogram_with(&table::PREDICTION_SCORE, values)
        };
        let class = |class: &String| {
            let values = [SharedString::from(role), class.clone().into()];
            version.counter_with(&table::PREDICTED_CLASS, values)
        };
        Self {
            requests: Default::default(),
            request_seconds: version.histogram_with(&table::REQUEST_SECONDS, [role]),
            inference_seconds: version.histogram_with(&table::INFERENCE_SECONDS, [role]),
            rows: version.histogram_with(&table::REQUEST_ROWS, [role]),
            scores: of.outputs.iter().map(score).collect(),
            confidence: if of.has_confidence {
                version.histogram_with(&table::PREDICTION_CONFIDENCE, [role])
            } else {
                Histogram::noop()
            },
            classes: of.classes.iter().map(class).collect(),
        }
    }
}

impl VersionMeters {
    /// Registers the series of a version.
    ///
    /// # Errors
    /// Returns an error if the exporter refuses the buckets of the histograms.
    pub fn new(telemetry: &Telemetry, manifest: &Manifest) -> Result<Self, MetricsError> {
        let labels = [
            Label::new(MODEL.name, manifest.model.as_str().to_owned()),
            Label::new(VERSION.name, manifest.version.to_string()),
        ];
        let scope = telemetry.scope(&labels, &score_buckets(manifest))?;
        let meters = Self {
            shadow: OnceLock::new(),
            batches: OnceLock::new(),
            fallbacks: OnceLock::new(),
            drift: OnceLock::new(),
            roles: Default::default(),
            outputs: outputs::labels(&manifest.signature),
            classes: manifest.signature.classes.clone(),
            has_confidence: outputs::has_confidence(&manifest.signature),
            share: scope.gauge(&table::TRAFFIC_SHARE),
            counted: scope.gauge(&table::TRAFFIC_SHARE_COUNTED),
            bytes: scope.gauge(&table::INSIGHT_BYTES),
            in_flight: scope.gauge(&table::IN_FLIGHT_REQUESTS),
            waiting: AtomicUsize::new(0),
            scope,
        };
        // `rate()` needs a value before the first failure, so the counters of all codes begin at zero.
        for code in Code::PREDICTION {
            let _ = meters.requests(Role::Primary, code);
        }
        Ok(meters)
    }

    /// Returns the series of the outcomes of this version.
    #[must_use]
    pub fn outcomes(&self) -> QualityMeters {
        QualityMeters::new(Arc::clone(&self.scope))
    }

    /// Records the share that the policy in force gives to the version.
    pub fn target_share(&self, share: Share) {
        self.share
            .set(f64::from(share.basis_points()) / f64::from(Share::FULL.basis_points()));
    }

    /// Records that this version received `own` of the `all` requests that the split has routed under the policy in force.
    #[expect(
        clippy::cast_precision_loss,
        reason = "a share needs no more than 52 bits"
    )]
    pub fn counted_share(&self, own: u64, all: u64) {
        self.counted.set(if all == 0 {
            0.0
        } else {
            own as f64 / all as f64
        });
    }

    /// Records the memory that the statistics of this version take, in bytes.
    #[expect(
        clippy::cast_precision_loss,
        reason = "bytes in memory are fewer than 2^52"
    )]
    pub fn statistics_bytes(&self, bytes: usize) {
        self.bytes.set(bytes as f64);
    }

    /// Sets the gauges of drift to `report`, which is about `columns`. The first call registers them.
    pub fn drift(&self, columns: &Columns, report: &DriftReport) {
        let meters = self
            .drift
            .get_or_init(|| DriftMeters::new(&self.scope, columns));
        meters.set(report);
    }

    /// Records the size of a batch that a forward pass of the compute pool begins to compute.
    #[expect(
        clippy::cast_precision_loss,
        reason = "the limit on rows is far below 2^52"
    )]
    pub fn batch(&self, requests: usize, rows: usize) {
        let meters = self.batches();
        meters.rows.record(rows as f64);
        meters.requests.record(requests as f64);
        self.recorded(2);
    }

    /// Counts rows as queued for the compute pool until the returned value is dropped.
    #[must_use]
    #[expect(
        clippy::cast_precision_loss,
        reason = "the limit on rows is far below 2^52"
    )]
    pub fn waiting(&self, rows: usize) -> GaugeGuard {
        GaugeGuard::new(self.batches().queue.clone(), rows as f64)
    }

    /// Counts a request that left the queue without being computed.
    pub fn abandoned(&self, reason: AbandonReason) {
        self.batches().abandoned[reason as usize].increment(1);
    }

    /// Registers the series of the version as a shadow, so that `rate()` sees the first drop. Call it when a policy has the
    /// version as a shadow.
    pub fn register_shadow(&self) {
        let _ = self.shadow();
    }

    /// Registers the counters of fallbacks, so that `rate()` sees the first one. Call it when a policy has a fallback for the
    /// version.
    pub fn register_fallback(&self) {
        let _ = self.fallbacks();
    }

    /// Counts a copy that the version, as a shadow, did not score.
    pub fn shadow_dropped(&self, reason: DropReason) {
        self.shadow().dropped[reason as usize].increment(1);
    }

    /// Counts a copy as queued for the version until the returned value is dropped.
    #[must_use]
    pub fn shadow_queued(&self) -> GaugeGuard {
        GaugeGuard::new(self.shadow().queue.clone(), 1.0)
    }

    /// Counts a copy as computed by the version until the returned value is dropped. Takes no lock: no thread of a shadow may.
    #[must_use]
    pub fn shadow_computes(&self) -> GaugeGuard {
        GaugeGuard::new(self.in_flight.clone(), 1.0)
    }

    /// Counts a copy that is still being computed past its deadline. Call [`Attempt::set_counted`](crate::insight::attempt::Attempt::set_counted)
    /// on its record, so that it is not counted again when it ends.
    pub fn shadow_overdue(&self) {
        let code = Code::DeadlineExceeded;
        self.requests(Role::Shadow, code).increment(1);
    }

    /// Returns the series that compare this version, as a shadow, with `primary`.
    #[must_use]
    pub fn compared(&self, primary: VersionNumber) -> ComparedMeters {
        ComparedMeters::new(&self.scope, primary)
    }

    /// Counts a request that is passed to the fallback in place of this version.
    pub fn count_fallback(&self, reason: FallbackReason) {
        self.fallbacks()[reason as usize].increment(1);
    }

    /// Counts an attempt as in flight until [`attempt_ended`](Self::attempt_ended).
    pub(in crate::insight) fn attempt_started(&self) {
        self.in_flight.increment(1.0);
    }

    /// Records the result of a forward pass for one request, which took `inference`. `top` is empty without classes.
    pub(in crate::insight) fn scored(
        &self,
        role: Role,
        inference: Duration,
        scores: &Scores,
        top: &[TopClass],
    ) {
        let meters = self.role(role);
        meters.inference_seconds.record(inference);
        let rows = scores.rows().len();
        #[expect(
            clippy::cast_precision_loss,
            reason = "the limit on rows is far below 2^52"
        )]
        meters.rows.record(rows as f64);
        let (classes, labels) = (self.classes.len(), meters.scores.len());
        outputs::each_score(scores, top, classes, labels, |at, score| {
            meters.scores[at].record(score);
        });
        for class in top {
            meters.confidence.record(f64::from(class.probability));
            if let Some(counter) = meters.classes.get(class.index) {
                counter.increment(1);
            }
        }
        self.recorded(rows * meters.scores.len() + top.len() + 2);
    }

    /// Records that an attempt ended, `total` after it started. `code` is `None` if the attempt is counted already.
    pub(in crate::insight) fn attempt_ended(
        &self,
        role: Role,
        code: Option<Code>,
        total: Duration,
    ) {
        self.in_flight.decrement(1.0);
        if let Some(code) = code {
            self.requests(role, code).increment(1);
        }
        self.role(role).request_seconds.record(total);
        self.recorded(1);
    }

    /// Counts values that were put into histograms, and empties the exporter's buffers when there are too many.
    fn recorded(&self, values: usize) {
        if self.waiting.fetch_add(values, Ordering::Relaxed) > MOST_WAITING {
            self.waiting.store(0, Ordering::Relaxed);
            self.scope.handle.run_upkeep();
        }
    }

    fn role(&self, role: Role) -> &RoleMeters {
        self.roles[role as usize].get_or_init(|| RoleMeters::new(self, role))
    }

    fn requests(&self, role: Role, code: Code) -> &Counter {
        self.role(role).requests[code as usize].get_or_init(|| {
            self.scope
                .counter_with(&table::REQUESTS, [role.as_str(), code.as_str()])
        })
    }

    fn batches(&self) -> &BatchMeters {
        self.batches.get_or_init(|| BatchMeters::new(&self.scope))
    }

    fn shadow(&self) -> &ShadowMeters {
        self.shadow.get_or_init(|| ShadowMeters::new(&self.scope))
    }

    fn fallbacks(&self) -> &FallbackCounters {
        self.fallbacks
            .get_or_init(|| fallback_counters(&self.scope))
    }
}

impl fmt::Debug for VersionMeters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("VersionMeters")
    }
}
