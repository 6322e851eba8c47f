//! What one version's requests record, through handles made when the version was loaded.

use std::{
    fmt,
    sync::{Arc, OnceLock},
    time::Duration,
};

use metrics::{Counter, Gauge, Histogram, Label, counter, gauge, histogram};
use tokio::time::Instant;

use super::{MetricsError, PROBABILITY, Scope, Telemetry};
use crate::error::Code;
use crate::ident::{Role, Share};
use crate::model::manifest::Manifest;
use crate::model::{Scores, TopClass};

/// Up to this many classes, each has its own score series; past it only the most probable one is kept, so that a model
/// of a thousand classes does not make a thousand histograms.
const CLASSES_WITH_OWN_SCORE: usize = 10;

/// The series of one version. They end when the last clone of the surrounding `Arc` does.
pub struct VersionMeters {
    scope: Arc<Scope>,
    roles: [OnceLock<RoleMeters>; Role::COUNT],
    outputs: Vec<String>,
    classes: Vec<String>,
    share: Gauge,
    counted: Gauge,
    in_flight: Gauge,
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
        let scope = Arc::new(Scope::new(&labels, &score_buckets(manifest))?);
        telemetry.add(&scope);
        let (share, counted, in_flight) = scope.enter(|| {
            (
                gauge!("taper_traffic_share"),
                gauge!("taper_traffic_share_counted"),
                gauge!("taper_in_flight_requests"),
            )
        });
        let signature = &manifest.signature;
        Ok(Self {
            scope,
            roles: Default::default(),
            outputs: output_labels(
                &signature.classes,
                &signature.output.name,
                signature.output.columns,
            ),
            classes: signature.classes.clone(),
            share,
            counted,
            in_flight,
        })
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

    fn requests(&self, role: Role, code: Code) -> &Counter {
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
    role: Role,
    start: Instant,
    deadline: Option<Instant>,
    code: Option<Code>,
}

impl<'a> Record<'a> {
    /// A request that came in at `start` is now with this version.
    #[must_use]
    pub fn start(
        meters: &'a VersionMeters,
        role: Role,
        start: Instant,
        deadline: Option<Instant>,
    ) -> Self {
        meters.in_flight.increment(1.0);
        Self {
            meters,
            role,
            start,
            deadline,
            code: None,
        }
    }

    /// The forward pass of this request took `elapsed` and gave these answers; `top` is empty without classes.
    pub fn scored(&self, elapsed: Duration, scores: &Scores, top: &[TopClass]) {
        let meters = self.meters.role(self.role);
        meters.inference_seconds.record(elapsed);
        #[expect(
            clippy::cast_precision_loss,
            reason = "the limit on rows is far below 2^52"
        )]
        meters.rows.record(scores.rows().len() as f64);
        if meters.scores.len() == scores.columns() {
            for row in scores.rows() {
                for (score, meter) in row.iter().zip(&meters.scores) {
                    meter.record(f64::from(*score));
                }
            }
        } else if let Some(meter) = meters.scores.first() {
            top.iter()
                .for_each(|class| meter.record(f64::from(class.probability)));
        }
        for class in top {
            meters.confidence.record(f64::from(class.probability));
            if let Some(counter) = meters.classes.get(class.index) {
                counter.increment(1);
            }
        }
    }

    /// How it ended. Without this call it counts as abandoned.
    pub fn ended(&mut self, code: Code) {
        self.code = Some(code);
    }
}

impl Drop for Record<'_> {
    fn drop(&mut self) {
        let now = Instant::now();
        let code = self.code.unwrap_or_else(|| {
            // The transport drops a request at its deadline, just as when the caller goes away.
            let expired = self.deadline.is_some_and(|deadline| deadline <= now);
            if expired {
                Code::DeadlineExceeded
            } else {
                Code::Cancelled
            }
        });
        self.meters.in_flight.decrement(1.0);
        self.meters.requests(self.role, code).increment(1);
        self.meters
            .role(self.role)
            .request_seconds
            .record(now - self.start);
    }
}

/// Which score series a version has: one per column, named after what the column predicts.
fn output_labels(classes: &[String], output: &str, columns: usize) -> Vec<String> {
    match (classes, columns) {
        ([_, second], 1) => vec![second.clone()],
        ([], 1) => vec![output.to_owned()],
        ([], _) => (0..columns)
            .map(|column| format!("{output}[{column}]"))
            .collect(),
        (classes, _) if classes.len() <= CLASSES_WITH_OWN_SCORE => classes.to_vec(),
        _ => vec!["top".to_owned()],
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
    buckets
}
