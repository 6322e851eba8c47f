//! What one version's requests record, through handles made when the version was loaded.

use std::{
    fmt,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use metrics::{Counter, Gauge, Histogram, Label, counter, gauge, histogram};
use tokio::time::Instant;

use super::batch::BatchMeters;
use super::drift::DriftMeters;
use super::helper::{Failed, ShadowMeters};
use super::{MetricsError, PROBABILITY, QualityMeters, Scope, Telemetry};
use crate::error::Code;
use crate::ident::{Role, Share};
use crate::insight::stats::VersionStats;
use crate::insight::{VersionInsight, outputs};
use crate::model::manifest::Manifest;
use crate::model::{Scores, TopClass};

/// Buckets that the score histogram of a regression has at most.
const SCORE_BUCKETS: usize = 40;

/// The exporter keeps single values, 16 bytes each, until its upkeep. Where more than this many wait, whoever records the
/// next one does the upkeep: at most 16 MiB a version, however large the batches and however late the clock.
const MOST_WAITING: usize = 1 << 20;

/// The series of one version. They end when the last clone of the surrounding `Arc` does.
pub struct VersionMeters {
    pub(super) scope: Arc<Scope>,
    pub(super) shadow: OnceLock<ShadowMeters>,
    pub(super) batches: OnceLock<BatchMeters>,
    pub(super) fallbacks: OnceLock<[Counter; Failed::REASONS.len()]>,
    pub(super) drift: OnceLock<DriftMeters>,
    roles: [OnceLock<RoleMeters>; Role::COUNT],
    outputs: Vec<String>,
    classes: Vec<String>,
    share: Gauge,
    counted: Gauge,
    bytes: Gauge,
    pub(super) in_flight: Gauge,
    /// Values recorded since somebody last counted to [`MOST_WAITING`].
    waiting: AtomicUsize,
}

/// The series of one version in one role, made when it first plays it.
struct RoleMeters {
    requests: [OnceLock<Counter>; Code::COUNT],
    request_seconds: Histogram,
    inference_seconds: Histogram,
    rows: Histogram,
    scores: Vec<Histogram>,
    confidence: Histogram,
    classes: Vec<Counter>,
}

impl VersionMeters {
    /// Registers the series of a version.
    ///
    /// # Errors
    /// Only if the exporter refuses the buckets.
    pub fn new(telemetry: &Telemetry, manifest: &Manifest) -> Result<Self, MetricsError> {
        let labels = [
            Label::new("model", manifest.model.as_str().to_owned()),
            Label::new("version", manifest.version.to_string()),
        ];
        let scope = telemetry.scope(&labels, &score_buckets(manifest))?;
        let (share, counted, bytes, in_flight) = scope.enter(|| {
            (
                gauge!("taper_traffic_share"),
                gauge!("taper_traffic_share_counted"),
                gauge!("taper_insight_bytes"),
                gauge!("taper_in_flight_requests"),
            )
        });
        let signature = &manifest.signature;
        let outputs = outputs::labels(signature);
        let meters = Self {
            scope,
            shadow: OnceLock::new(),
            batches: OnceLock::new(),
            fallbacks: OnceLock::new(),
            drift: OnceLock::new(),
            roles: Default::default(),
            outputs,
            classes: signature.classes.clone(),
            share,
            counted,
            bytes,
            in_flight,
            waiting: AtomicUsize::new(0),
        };
        // A counter that is born with the first failure hides it from `rate()`, which needs a value before.
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

    /// A policy came into force that gives the version this share.
    pub fn target_share(&self, share: Share) {
        self.share
            .set(f64::from(share.basis_points()) / f64::from(Share::FULL.basis_points()));
    }

    /// Of `all` requests that the split routed under the policy in force, this version got `own`.
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

    /// The statistics of this version take so many bytes on the heap.
    #[expect(
        clippy::cast_precision_loss,
        reason = "bytes in memory are fewer than 2^52"
    )]
    pub fn statistics_bytes(&self, bytes: usize) {
        self.bytes.set(bytes as f64);
    }

    /// `values` were put into histograms.
    pub(super) fn recorded(&self, values: usize) {
        if self.waiting.fetch_add(values, Ordering::Relaxed) > MOST_WAITING {
            self.waiting.store(0, Ordering::Relaxed);
            self.scope.handle.run_upkeep();
        }
    }

    fn role(&self, role: Role) -> &RoleMeters {
        self.roles[role as usize].get_or_init(|| {
            let role = role.as_str();
            let score = |output: &String| {
                histogram!("taper_prediction_score", "role" => role, "output" => output.clone())
            };
            let class = |class: &String| {
                counter!("taper_predicted_class_total", "role" => role, "class" => class.clone())
            };
            self.scope.enter(|| RoleMeters {
                requests: Default::default(),
                request_seconds: histogram!("taper_request_seconds", "role" => role),
                inference_seconds: histogram!("taper_inference_seconds", "role" => role),
                rows: histogram!("taper_request_rows", "role" => role),
                scores: self.outputs.iter().map(score).collect(),
                confidence: if self.classes.is_empty() {
                    Histogram::noop()
                } else {
                    histogram!("taper_prediction_confidence", "role" => role)
                },
                classes: self.classes.iter().map(class).collect(),
            })
        })
    }

    pub(super) fn requests(&self, role: Role, code: Code) -> &Counter {
        self.role(role).requests[code as usize].get_or_init(|| {
            self.scope.enter(|| {
                counter!("taper_requests_total", "role" => role.as_str(), "code" => code.as_str())
            })
        })
    }
}

impl fmt::Debug for VersionMeters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("VersionMeters")
    }
}

/// One request to one version. Written when dropped, whatever happened, so no way out can forget it.
#[derive(Debug)]
pub struct Record<'a> {
    meters: &'a VersionMeters,
    stats: &'a VersionStats,
    role: Role,
    start: Instant,
    deadline: Option<Instant>,
    code: Option<Code>,
    /// When it ended, where that was before this is dropped.
    end: Option<Instant>,
    /// Whether somebody else has counted how it ended.
    counted: bool,
}

impl<'a> Record<'a> {
    /// A request that came in at `start` is now with this version.
    #[must_use]
    pub fn start(
        insight: &'a VersionInsight,
        role: Role,
        start: Instant,
        deadline: Option<Instant>,
    ) -> Self {
        insight.meters.in_flight.increment(1.0);
        Self {
            meters: &insight.meters,
            stats: &insight.stats,
            role,
            start,
            deadline,
            code: None,
            end: None,
            counted: false,
        }
    }

    /// The forward pass of this request took `elapsed` and gave these answers; `top` is empty without classes.
    pub fn scored(&self, elapsed: Duration, scores: &Scores, top: &[TopClass]) {
        let meters = self.meters.role(self.role);
        meters.inference_seconds.record(elapsed);
        let rows = scores.rows().len();
        #[expect(
            clippy::cast_precision_loss,
            reason = "the limit on rows is far below 2^52"
        )]
        meters.rows.record(rows as f64);
        let (classes, labels) = (self.meters.classes.len(), meters.scores.len());
        outputs::each_score(scores, top, classes, labels, |at, score| {
            meters.scores[at].record(score);
        });
        for class in top {
            meters.confidence.record(f64::from(class.probability));
            if let Some(counter) = meters.classes.get(class.index) {
                counter.increment(1);
            }
        }
        self.meters
            .recorded(rows * meters.scores.len() + top.len() + 2);
    }

    /// How it ended. Without this call it counts as abandoned.
    pub fn ended(&mut self, code: Code) {
        self.code = Some(code);
    }

    /// How it ended, and when: it is told later.
    pub fn ended_at(&mut self, code: Code, at: Instant) {
        (self.code, self.end) = (Some(code), Some(at));
    }

    /// Somebody else has counted that it ended, and how, while it still ran: the counter of requests is left alone.
    pub fn was_counted(&mut self) {
        self.counted = true;
    }
}

impl Drop for Record<'_> {
    fn drop(&mut self) {
        let now = self.end.unwrap_or_else(Instant::now);
        let code = self.code.unwrap_or_else(|| {
            // Who keeps its deadline drops a request then, just as the transport does when the caller goes away.
            let expired = self.deadline.is_some_and(|deadline| deadline <= now);
            if expired {
                Code::DeadlineExceeded
            } else {
                Code::Cancelled
            }
        });
        self.meters.in_flight.decrement(1.0);
        if !self.counted {
            self.meters.requests(self.role, code).increment(1);
        }
        let total = now.saturating_duration_since(self.start);
        self.meters.role(self.role).request_seconds.record(total);
        self.stats.ended(self.role, code, total);
        self.meters.recorded(1);
    }
}

/// Twentieths for probabilities. For regressions the twentieths of the predictions in training, so that each bucket
/// held about as many rows there; without a reference profile, powers of ten on both sides of zero.
fn score_buckets(manifest: &Manifest) -> Vec<f64> {
    if !manifest.signature.classes.is_empty() {
        return PROBABILITY.to_vec();
    }
    let reference = manifest
        .about
        .reference
        .as_ref()
        .map(|reference| &reference.predictions);
    let mut buckets: Vec<f64> = reference
        .into_iter()
        .flat_map(|predictions| predictions.values())
        .filter_map(|profile| profile.quantiles.as_ref())
        .flat_map(|quantiles| quantiles.iter().step_by(5).copied())
        .collect();
    if buckets.is_empty() {
        let decades = (-3..=6).map(|power| 10f64.powi(power));
        buckets.extend(decades.clone().map(|bound| -bound));
        buckets.push(0.0);
        buckets.extend(decades);
    }
    buckets.sort_by(f64::total_cmp);
    buckets.dedup();
    let step = buckets.len().div_ceil(SCORE_BUCKETS).max(1);
    buckets.into_iter().step_by(step).collect()
}
