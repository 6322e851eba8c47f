//! Comparison: two versions on the same requests, and on the shares of the traffic that each answered.

use std::time::Duration;

use super::distribution::DistributionSummary;
use super::observed::ObservedVersion;
use crate::error::Code;
use crate::ident::{Role, VersionNumber};
use crate::insight::compare::examples::Example;
use crate::insight::compare::numbers::{TwoSampleTest, test_two_samples};
use crate::insight::compare::rates::{Interval, Rate};
use crate::insight::compare::{MAX_CLASSES, PairSnapshot};
use crate::insight::drift::TooFewRows;
use crate::insight::sketch::Sketch;
use crate::insight::stats::{Snapshot, Summary, Window};
use crate::model::PredictionKind;

/// The window of split traffic that is compared if a query names none.
pub const DEFAULT_WINDOW: Window = Window::FiveMinutes;

/// The codes of requests that failed by the fault of the version, as in the recording rule `taper:errors:ratio5m`. Other codes
/// are faults of clients.
pub const VERSION_ERRORS: [Code; 4] = [
    Code::Internal,
    Code::DeadlineExceeded,
    Code::ResourceExhausted,
    Code::Unavailable,
];

/// The name of the classes past the first [`MAX_CLASSES`] in a confusion table.
const OTHER_CLASSES: &str = "other classes";

/// Two versions of a model, compared.
#[derive(Clone, Debug, PartialEq)]
pub struct Comparison {
    /// On the same requests, if one was a shadow of the other: the candidate as the shadow first. A version is compared with
    /// itself if it is its own shadow; this is the control.
    pub paired: Vec<PairedComparison>,
    /// On split traffic, if both answered clients in the window and are not the same version.
    pub split: Option<SplitComparison>,
}

/// The answers of a shadow and of a primary to the same requests, since both are loaded and the first request came.
#[derive(Clone, Debug, PartialEq)]
pub struct PairedComparison {
    /// The version whose answers clients got.
    pub primary: VersionNumber,
    /// The version that got copies.
    pub shadow: VersionNumber,
    /// How long ago the first request came.
    pub length: Duration,
    /// Requests that both answered.
    pub requests: u64,
    /// Rows that both answered.
    pub rows: u64,
    /// Rows whose most probable classes differ, or whose cosine is below `cosine_threshold`, of all rows. `None` if numbers are
    /// predicted.
    pub disagreement: Option<EstimatedRate>,
    /// Rows in which any value of the prediction differs, of all rows.
    pub difference: EstimatedRate,
    /// Shadow minus primary, every value of every row; of embeddings, the norm. `None` if labels are predicted.
    pub score_difference: Option<DistributionSummary>,
    /// The cosine of the two vectors of each row. `None` unless embeddings are predicted.
    pub cosine: Option<DistributionSummary>,
    /// The cosine below which two vectors disagree. `None` unless embeddings are predicted.
    pub cosine_threshold: Option<f32>,
    /// Rows by both most probable classes, without empty cells. Empty without classes.
    pub confusion: Vec<ConfusionCell>,
    /// The primary's forward pass, one per request.
    pub primary_inference_seconds: DistributionSummary,
    /// The shadow's forward pass, one per request. Shadows run at a lower priority, so it is no forecast of the shadow as a
    /// primary.
    pub shadow_inference_seconds: DistributionSummary,
    /// Shadow minus primary, one per request.
    pub inference_difference_seconds: DistributionSummary,
    /// The most different rows, the most different first; at most one per request.
    pub examples: Vec<DifferentRow>,
}

/// The rows that both versions put into these classes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfusionCell {
    /// The primary's most probable class.
    pub primary: String,
    /// The shadow's.
    pub shadow: String,
    /// Rows.
    pub rows: u64,
}

/// A row that two versions answered differently.
#[derive(Clone, Debug, PartialEq)]
pub struct DifferentRow {
    /// The row and both answers.
    pub example: Example,
    /// The most probable class by each, the primary's first. `None` without classes.
    pub classes: Option<[String; 2]>,
}

/// Two versions as primaries, each on the requests that it got.
#[derive(Clone, Debug, PartialEq)]
pub struct SplitComparison {
    /// How far the window reaches back for the baseline.
    pub baseline_length: Duration,
    /// How far the window reaches back for the candidate.
    pub candidate_length: Duration,
    /// Requests that failed by the fault of the version ([`VERSION_ERRORS`]), of all requests.
    pub errors: TwoRates,
    /// Rows by most probable class, in the order of the classes. Empty without classes.
    pub classes: Vec<TwoRates>,
    /// `inference_seconds`, `total_seconds`, `confidence` and, for each output, `score:` and its name. Labels have neither
    /// confidence nor scores.
    pub numbers: Vec<TwoDistributions>,
}

/// A rate, and the interval that contains the true rate with a confidence of 95 per cent (Wilson). Of no trials it is 0, in the
/// interval 0 to 1.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct EstimatedRate {
    /// The counts.
    pub rate: Rate,
    /// The rate and its interval.
    pub interval: Interval,
}

/// The same rate of two versions.
#[derive(Clone, Debug, PartialEq)]
pub struct TwoRates {
    /// The name of what is counted.
    pub name: String,
    /// The baseline's.
    pub baseline: EstimatedRate,
    /// The candidate's.
    pub candidate: EstimatedRate,
    /// Candidate minus baseline, with a 95 per cent interval (Newcombe). `None` if either has no trials.
    pub difference: Option<Interval>,
}

/// The same numbers of two versions.
#[derive(Clone, Debug, PartialEq)]
pub struct TwoDistributions {
    /// The name of what is measured.
    pub name: String,
    /// The baseline's.
    pub baseline: DistributionSummary,
    /// The candidate's.
    pub candidate: DistributionSummary,
    /// The test of Kolmogorov and Smirnov, or why there is none.
    pub test: Result<TwoSampleTest, TooFewRows>,
}

/// Compares `candidate` with `baseline`: on all requests that one answered as a shadow of the other, and on the split traffic in
/// `window`.
#[must_use]
pub fn compare_versions(
    baseline: ObservedVersion<'_>,
    candidate: ObservedVersion<'_>,
    window: Window,
) -> Comparison {
    if baseline.number() == candidate.number() {
        let control = paired(baseline, candidate);
        return Comparison {
            paired: control.into_iter().collect(),
            split: None,
        };
    }
    let both = [paired(baseline, candidate), paired(candidate, baseline)];
    Comparison {
        paired: both.into_iter().flatten().collect(),
        split: split(baseline, candidate, window),
    }
}

/// Compares the answers of `shadow` with those of `primary` to the same requests. `None` if there were no such requests.
fn paired(primary: ObservedVersion<'_>, shadow: ObservedVersion<'_>) -> Option<PairedComparison> {
    let comparisons = &shadow.insight.comparisons;
    let pair = comparisons.with_primary(primary.number())?;
    let classes = &shadow.manifest.signature.classes;
    Some(PairedComparison::of(&pair, shadow.number(), classes))
}

/// Compares the answers of two versions to different requests. `None` if either answered none in `window`.
fn split(
    baseline: ObservedVersion<'_>,
    candidate: ObservedVersion<'_>,
    window: Window,
) -> Option<SplitComparison> {
    let read = |version: ObservedVersion<'_>| {
        let read = version.insight.stats.read(Role::Primary, window);
        read.filter(|read| read.summary.requests() > 0)
    };
    let (one, two) = (read(baseline)?, read(candidate)?);
    Some(SplitComparison::of(&one, &two))
}

impl PairedComparison {
    fn of(pair: &PairSnapshot, shadow: VersionNumber, classes: &[String]) -> Self {
        let counts = &pair.counts;
        let of_rows = |count| {
            EstimatedRate::of(Rate {
                count,
                total: counts.rows,
            })
        };
        let cells = counts.confusion.iter().enumerate();
        let confusion = cells
            .filter(|(_, rows)| **rows > 0)
            .map(|(at, rows)| ConfusionCell {
                primary: in_table(classes, at / counts.side),
                shadow: in_table(classes, at % counts.side),
                rows: *rows,
            });
        let examples = counts.examples.iter();
        let cosine_threshold = match counts.kind {
            PredictionKind::Embedding(threshold) => Some(threshold),
            _ => None,
        };
        Self {
            primary: pair.primary,
            shadow,
            length: pair.length,
            requests: counts.requests,
            rows: counts.rows,
            disagreement: (!classes.is_empty() || cosine_threshold.is_some())
                .then(|| of_rows(counts.disagreed)),
            difference: of_rows(counts.differed),
            score_difference: (counts.kind != PredictionKind::Labels)
                .then(|| DistributionSummary::of_values(&counts.difference)),
            cosine: cosine_threshold.map(|_| DistributionSummary::of_values(&counts.cosine)),
            cosine_threshold,
            confusion: confusion.collect(),
            primary_inference_seconds: DistributionSummary::of_times(&counts.primary_inference),
            shadow_inference_seconds: DistributionSummary::of_times(&counts.shadow_inference),
            inference_difference_seconds: DistributionSummary::of_times(
                &counts.inference_difference,
            ),
            examples: examples.map(|one| DifferentRow::of(one, classes)).collect(),
        }
    }
}

/// Returns the name of a row or column of a confusion table.
fn in_table(classes: &[String], at: usize) -> String {
    let named = classes.get(at).filter(|_| at < MAX_CLASSES);
    named.map_or_else(|| OTHER_CLASSES.to_owned(), Clone::clone)
}

impl DifferentRow {
    fn of(example: &Example, classes: &[String]) -> Self {
        let class = |at: usize| classes.get(at).cloned().unwrap_or_default();
        Self {
            example: example.clone(),
            classes: example.classes.map(|both| both.map(class)),
        }
    }
}

impl SplitComparison {
    fn of(baseline: &Snapshot, candidate: &Snapshot) -> Self {
        let (one, two) = (&baseline.summary, &candidate.summary);
        let (layout, other) = (&baseline.layout, &candidate.layout);
        let names = layout.classes.iter().enumerate();
        let classes = names.filter_map(|(at, name)| {
            // Two versions that are READY need not predict the same.
            let theirs = other.classes.iter().position(|class| class == name)?;
            Some(TwoRates::of(
                name,
                in_class(one, at)?,
                in_class(two, theirs)?,
            ))
        });
        let times = [
            ("inference_seconds", [&one.inference, &two.inference]),
            ("total_seconds", [&one.total, &two.total]),
        ];
        let mut compared: Vec<_> = times
            .into_iter()
            .map(|(name, both)| TwoDistributions::of_times(name, both))
            .collect();
        if layout.has_confidence && other.has_confidence {
            let both = [&one.confidence, &two.confidence];
            compared.push(TwoDistributions::of_values("confidence".to_owned(), both));
        }
        for (name, one) in layout.outputs.iter().zip(&one.scores) {
            let theirs = other.outputs.iter().position(|output| output == name);
            if let Some(two) = theirs.and_then(|at| two.scores.get(at)) {
                let name = format!("score:{name}");
                compared.push(TwoDistributions::of_values(name, [one, two]));
            }
        }
        Self {
            baseline_length: baseline.length,
            candidate_length: candidate.length,
            errors: TwoRates::of("errors", failed(one), failed(two)),
            classes: classes.collect(),
            numbers: compared,
        }
    }
}

/// Returns the requests that failed by the fault of the version, of all requests.
fn failed(summary: &Summary) -> Rate {
    let counts = VERSION_ERRORS.map(|code| summary.codes[code as usize]);
    Rate {
        count: counts.iter().sum(),
        total: summary.requests(),
    }
}

/// Returns the rows whose most probable class has this place, of all rows. `None` if there is no such class.
fn in_class(summary: &Summary, at: usize) -> Option<Rate> {
    Some(Rate {
        count: *summary.classes.get(at)?,
        total: summary.classes.iter().sum(),
    })
}

impl EstimatedRate {
    fn of(rate: Rate) -> Self {
        let unknown = Interval {
            value: 0.0,
            low: 0.0,
            high: 1.0,
        };
        let interval = rate.wilson().unwrap_or(unknown);
        Self { rate, interval }
    }
}

impl TwoRates {
    fn of(name: &str, baseline: Rate, candidate: Rate) -> Self {
        Self {
            name: name.to_owned(),
            baseline: EstimatedRate::of(baseline),
            candidate: EstimatedRate::of(candidate),
            difference: baseline.difference_to(candidate),
        }
    }
}

impl TwoDistributions {
    fn of_times(name: &str, both: [&Sketch; 2]) -> Self {
        let [baseline, candidate] = both.map(DistributionSummary::of_times);
        Self {
            name: name.to_owned(),
            baseline,
            candidate,
            test: test_two_samples(both[0], both[1]),
        }
    }

    fn of_values(name: String, both: [&Sketch; 2]) -> Self {
        let [baseline, candidate] = both.map(DistributionSummary::of_values);
        Self {
            name,
            baseline,
            candidate,
            test: test_two_samples(both[0], both[1]),
        }
    }
}
