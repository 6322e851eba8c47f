//! Statistics: counts and distributions of requests, predictions and inputs.

use std::time::Duration;

use super::distribution::DistributionSummary;
use super::observed::{ObservedVersion, Sample};
use crate::error::Code;
use crate::ident::{Role, VersionNumber};
use crate::insight::sketch::RELATIVE_ERROR;
use crate::insight::stats::{Feature, Inputs, Snapshot, Totals, Values, Window};
use crate::insight::version::VersionInsight;

/// The roles that answer clients; a shadow's answers go to none.
const ANSWERING: [Role; 2] = [Role::Primary, Role::Fallback];

/// Which statistics of some versions to read.
#[derive(Clone, Copy, Debug, Default)]
pub struct StatsQuery<'a> {
    /// Roles; all that a version has played if empty.
    pub roles: &'a [Role],
    /// Windows; all if empty.
    pub windows: &'a [Window],
    /// Whether to include the inputs.
    pub features: bool,
}

/// The statistics of some versions.
#[derive(Clone, Debug, PartialEq)]
pub struct StatsAnswer {
    /// One per version, role and window, in this order. A role that a version never played has none.
    pub samples: Vec<SampleStats>,
    /// The largest [`relative_error`](DistributionSummary::relative_error) of all distributions in `samples`.
    pub relative_error: f64,
}

/// The statistics of one version in one role and one window.
#[derive(Clone, Debug, PartialEq)]
pub struct SampleStats {
    /// The version.
    pub version: VersionNumber,
    /// The role and the window.
    pub sample: Sample,
    /// How far the window reaches back; not past the loading of the version.
    pub length: Duration,
    /// Requests that ended, by code. Codes that did not occur are left out.
    pub codes: Vec<(Code, u64)>,
    /// Rows that were scored.
    pub rows: u64,
    /// Seconds from the arrival of a request to the start of its computing; of scored requests.
    pub queue_seconds: DistributionSummary,
    /// Seconds in the forward pass; of scored requests.
    pub inference_seconds: DistributionSummary,
    /// Seconds from the arrival of a request to its end, whatever its code.
    pub total_seconds: DistributionSummary,
    /// Predicted values by output; of an embedding, the norm. Empty if labels are predicted.
    pub scores: Vec<(String, DistributionSummary)>,
    /// Rows by most probable class, in the order of the signature. Empty without classes.
    pub classes: Vec<(String, u64)>,
    /// Probability of the most probable class; `None` unless probabilities of classes are predicted.
    pub confidence: Option<DistributionSummary>,
    /// The inputs, if the query asked for them. Never a sensitive one.
    pub features: Vec<FeatureStats>,
    /// Inputs that are not recorded because of the limits on their number and memory.
    pub features_left_out: usize,
}

/// The values of one input.
#[derive(Clone, Debug, PartialEq)]
pub struct FeatureStats {
    /// The input.
    pub name: String,
    /// Values received, including missing ones.
    pub count: u64,
    /// Values that were missing.
    pub missing: u64,
    /// Numbers outside the range, which were moved to its nearest end.
    pub clipped: u64,
    /// The values that were not missing.
    pub values: FeatureValues,
}

/// The values of one input, by kind.
#[derive(Clone, Debug, PartialEq)]
pub enum FeatureValues {
    /// Numbers.
    Numbers(DistributionSummary),
    /// Categories.
    Categories {
        /// The categories that are counted one by one and occurred, in the order of the manifest.
        counts: Vec<(String, u64)>,
        /// Values in other categories of the manifest.
        other: u64,
        /// Values in categories that the manifest does not have.
        unknown: u64,
    },
}

/// Reads the statistics of `versions`.
#[must_use]
pub fn read_stats(versions: &[ObservedVersion<'_>], query: StatsQuery<'_>) -> StatsAnswer {
    let roles = chosen(query.roles, &Role::ALL);
    let windows = chosen(query.windows, &Window::ALL);
    let mut samples = Vec::new();
    for version in versions {
        for &role in &roles {
            for &window in &windows {
                if let Some(read) = version.insight.stats.read(role, window) {
                    let sample = Sample { role, window };
                    let number = version.number();
                    samples.push(SampleStats::of(number, sample, &read, query.features));
                }
            }
        }
    }
    let errors = samples.iter().flat_map(SampleStats::distributions);
    let errors = errors.map(|one| one.relative_error);
    StatsAnswer {
        relative_error: errors.fold(RELATIVE_ERROR, f64::max),
        samples,
    }
}

/// Returns the totals since the version was loaded of the requests in which it answered clients.
#[must_use]
pub fn read_totals(insight: &VersionInsight) -> Totals {
    let totals = ANSWERING.map(|role| insight.stats.totals(role));
    totals.into_iter().fold(Totals::default(), Totals::and)
}

/// Returns the items of `all` that `named` contains, in the order of `all`; all of them if it is empty.
fn chosen<T: Copy + PartialEq>(named: &[T], all: &[T]) -> Vec<T> {
    let is_chosen = |one: &&T| named.is_empty() || named.contains(one);
    all.iter().filter(is_chosen).copied().collect()
}

impl SampleStats {
    fn of(version: VersionNumber, sample: Sample, read: &Snapshot, features: bool) -> Self {
        let (layout, summary) = (&read.layout, &read.summary);
        let codes = Code::PREDICTION.into_iter().filter_map(|code| {
            let count = summary.codes[code as usize];
            (count > 0).then_some((code, count))
        });
        let scores = layout.outputs.iter().zip(&summary.scores);
        let classes = layout.classes.iter().zip(&summary.classes);
        let shown = if features { &layout.features[..] } else { &[] };
        let features = shown.iter().zip(&summary.features);
        Self {
            version,
            sample,
            length: read.length,
            codes: codes.collect(),
            rows: summary.rows,
            queue_seconds: DistributionSummary::of_times(&summary.queue),
            inference_seconds: DistributionSummary::of_times(&summary.inference),
            total_seconds: DistributionSummary::of_times(&summary.total),
            scores: scores
                .map(|(name, sketch)| (name.clone(), DistributionSummary::of_values(sketch)))
                .collect(),
            classes: classes
                .map(|(name, count)| (name.clone(), *count))
                .collect(),
            confidence: layout
                .has_confidence
                .then(|| DistributionSummary::of_values(&summary.confidence)),
            features: features
                .map(|(feature, inputs)| FeatureStats::of(feature, inputs))
                .collect(),
            features_left_out: layout.left_out,
        }
    }

    /// Returns all distributions in it.
    fn distributions(&self) -> impl Iterator<Item = &DistributionSummary> {
        let times = [
            &self.queue_seconds,
            &self.inference_seconds,
            &self.total_seconds,
        ];
        let scores = self.scores.iter().map(|(_, distribution)| distribution);
        let numbers = self
            .features
            .iter()
            .filter_map(|feature| match &feature.values {
                FeatureValues::Numbers(distribution) => Some(distribution),
                FeatureValues::Categories { .. } => None,
            });
        let rest = scores.chain(&self.confidence).chain(numbers);
        times.into_iter().chain(rest)
    }
}

impl FeatureStats {
    fn of(feature: &Feature, inputs: &Inputs) -> Self {
        let values = match &inputs.values {
            Values::Numbers(sketch) => {
                FeatureValues::Numbers(DistributionSummary::of_values(sketch))
            }
            Values::Categories {
                counts,
                other,
                unknown,
            } => {
                let named = feature.categories.iter().flatten().zip(counts);
                let occurred = named.filter(|(_, count)| **count > 0);
                FeatureValues::Categories {
                    counts: occurred
                        .map(|(name, count)| (name.clone(), *count))
                        .collect(),
                    other: *other,
                    unknown: *unknown,
                }
            }
        };
        Self {
            name: feature.name.clone(),
            count: inputs.count(),
            missing: inputs.missing,
            clipped: inputs.clipped,
            values,
        }
    }
}
