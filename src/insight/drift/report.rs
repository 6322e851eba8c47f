//! All statistics of all features and predictions, and the verdict on each.

use super::categories::{Categories, aligned};
use super::distribution::Distribution;
use super::estimate::{Estimate, TooFewRows};
use super::statistics::{
    Bins, ChiSquared, benjamini_hochberg, chi_squared, jensen_shannon, jensen_shannon_of_counts,
    kolmogorov_smirnov, pooled, population_stability, population_stability_of_counts, two_sample_p,
    wasserstein,
};

/// When a difference is drift. All of these must hold:
/// * It is more than chance: its corrected probability is below [`alpha`](Self::alpha).
/// * It is large enough to matter, since with a million rows every difference is more than chance: the population stability index
///   is at least [`psi`](Self::psi) (Siddiqi 2006 calls less than 0.1 stable) or, for numbers, the Kolmogorov-Smirnov statistic is
///   at least [`ks`](Self::ks) (one row in ten has moved).
/// * The lower bound of that statistic is at least half of the threshold, so that a lack of knowledge does not look like drift.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rule {
    /// Corrected probability below which a difference is more than chance: the false discovery rate. Default 0.05.
    pub alpha: f64,
    /// The rows that each side needs. Default 200: fewer do not suffice to estimate tenths of a distribution.
    pub min_rows: u64,
    /// Population stability index from which a difference matters. Default 0.1.
    pub psi: f64,
    /// Kolmogorov-Smirnov statistic from which a difference matters. Default 0.1.
    pub ks: f64,
}

impl Default for Rule {
    fn default() -> Self {
        Self {
            alpha: 0.05,
            min_rows: 200,
            psi: 0.1,
            ks: 0.1,
        }
    }
}

/// A difference is severe from this multiple of the thresholds on: a population stability index of 0.25 (Siddiqi 2006), a
/// Kolmogorov-Smirnov statistic of 0.25.
const SEVERE: f64 = 2.5;
/// The lower bound must reach this part of the threshold. A profile knows its quantiles to one in a hundred, so the bounds of a
/// difference at the threshold are about this far apart.
const CERTAIN: f64 = 0.5;

/// A named column before and now.
#[derive(Clone, Debug, PartialEq)]
pub struct ColumnPair {
    /// Name of the feature or of the output. The caller leaves out sensitive features.
    pub name: String,
    /// Its data.
    pub pair: Pair,
}

/// The data of a column before and now.
#[derive(Clone, Debug, PartialEq)]
pub enum Pair {
    /// Numbers.
    Numbers {
        /// Before.
        reference: Distribution,
        /// Now.
        current: Distribution,
    },
    /// Texts.
    Categories {
        /// Before.
        reference: Categories,
        /// Now.
        current: Categories,
    },
}

impl Pair {
    /// Returns the rows before and now. Of numbers, only rows with a value count.
    fn rows(&self) -> [u64; 2] {
        match self {
            Self::Numbers { reference, current } => [reference.count(), current.count()],
            Self::Categories { reference, current } => [reference.total(), current.total()],
        }
    }

    /// Returns the rows without a value, before and now.
    fn missing(&self) -> [u64; 2] {
        match self {
            Self::Numbers { reference, current } => [reference.missing(), current.missing()],
            Self::Categories { reference, current } => [reference.missing, current.missing],
        }
    }

    /// Returns the rows, with a value or without, of the smaller side.
    fn fewest(&self) -> u64 {
        match self {
            Self::Numbers { reference, current } => reference.total().min(current.total()),
            Self::Categories { reference, current } => reference.total().min(current.total()),
        }
    }
}

/// The findings about all columns.
#[derive(Clone, Debug, PartialEq)]
pub struct DriftReport {
    /// The rule that was applied.
    pub rule: Rule,
    /// One for each feature, in the order given.
    pub features: Vec<Finding>,
    /// One for each output and for the classes, in the order given.
    pub predictions: Vec<Finding>,
}

impl DriftReport {
    /// Returns the findings that are drift, features first.
    pub fn drifted(&self) -> impl Iterator<Item = &Finding> {
        let all = self.features.iter().chain(&self.predictions);
        all.filter(|finding| finding.severity() != Severity::None)
    }
}

/// The result for one column.
#[derive(Clone, Debug, PartialEq)]
pub struct Finding {
    /// Name of the column.
    pub name: String,
    /// Rows before and now. Of numbers, only rows with a value count.
    pub rows: [u64; 2],
    /// Rows without a value, before and now. Of texts, `rows` includes them.
    pub missing: [u64; 2],
    /// The statistics, if there are enough rows.
    pub result: ColumnResult,
}

impl Finding {
    /// Returns the verdict. With too few rows it is [`Severity::None`].
    #[must_use]
    pub fn severity(&self) -> Severity {
        match &self.result {
            ColumnResult::Compared(statistics) => statistics.severity,
            ColumnResult::TooFew(_) => Severity::None,
        }
    }
}

/// The statistics of one column, or why there are none.
#[derive(Clone, Debug, PartialEq)]
pub enum ColumnResult {
    /// Both sides have enough rows.
    Compared(Statistics),
    /// A side has too few rows.
    TooFew(TooFewRows),
}

/// The statistics of one column.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Statistics {
    /// The Kolmogorov-Smirnov statistic of numbers. `None` if too few rows have a value.
    pub ks: Option<Estimate>,
    /// The Wasserstein distance of numbers, in the unit of the feature. `None` if too few rows have a value.
    pub wasserstein: Option<Estimate>,
    /// The chi-squared test. For texts it compares their counts, with rare texts pooled. For numbers it compares rows with and
    /// without a value, and is `None` if all have one.
    pub chi_squared: Option<ChiSquared>,
    /// The population stability index over ten bins at the deciles of the reference, or over the texts. Rows without a value have
    /// a bin of their own.
    pub psi: Estimate,
    /// The Jensen-Shannon distance over the same bins, to base 2: 0 to 1.
    pub js: Estimate,
    /// The probability of such a difference by chance. It is that of the lower bound of the Kolmogorov-Smirnov statistic, or that
    /// of chi-squared. If both exist, it is twice the smaller (Bonferroni).
    pub p: f64,
    /// `p`, corrected for the number of columns tested.
    pub p_corrected: f64,
    /// The verdict.
    pub severity: Severity,
}

/// The verdict on a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The difference may be chance, or is too small to matter.
    None,
    /// The difference is more than chance and large enough to matter.
    Moderate,
    /// The difference is at least two and a half times as large as what matters.
    Severe,
}

impl Severity {
    /// Returns `stable`, `moderate` or `severe`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "stable",
            Self::Moderate => "moderate",
            Self::Severe => "severe",
        }
    }
}

/// Compares all `features` and `predictions` and judges them by `rule`. Probabilities are corrected for the number of columns that
/// have enough rows, features and predictions together.
#[must_use]
pub fn assess(features: &[ColumnPair], predictions: &[ColumnPair], rule: Rule) -> DriftReport {
    let mut findings: Vec<Finding> = features
        .iter()
        .chain(predictions)
        .map(|column| measure(column, rule))
        .collect();
    let mut tested: Vec<&mut Statistics> = findings
        .iter_mut()
        .filter_map(|finding| match &mut finding.result {
            ColumnResult::Compared(statistics) => Some(statistics),
            ColumnResult::TooFew(_) => None,
        })
        .collect();
    let p: Vec<f64> = tested.iter().map(|statistics| statistics.p).collect();
    for (statistics, corrected) in tested.iter_mut().zip(benjamini_hochberg(&p)) {
        statistics.p_corrected = corrected;
        statistics.severity = judge(statistics, rule);
    }
    let of_predictions = findings.split_off(features.len());
    DriftReport {
        rule,
        features: findings,
        predictions: of_predictions,
    }
}

/// Computes the statistics of one column. They are neither corrected nor judged yet.
fn measure(column: &ColumnPair, rule: Rule) -> Finding {
    let (have, want) = (column.pair.fewest(), rule.min_rows);
    let result = if have < want {
        ColumnResult::TooFew(TooFewRows { have, want })
    } else {
        ColumnResult::Compared(match &column.pair {
            Pair::Numbers { reference, current } => of_numbers(reference, current, rule),
            Pair::Categories { reference, current } => of_categories(reference, current),
        })
    };
    Finding {
        name: column.name.clone(),
        rows: column.pair.rows(),
        missing: column.pair.missing(),
        result,
    }
}

fn of_numbers(reference: &Distribution, current: &Distribution, rule: Rule) -> Statistics {
    let bins = Bins::deciles_for(reference, current);
    let present = [reference.count(), current.count()];
    let missing = [reference.missing(), current.missing()];
    // An input that stopped arriving has too few numbers for these statistics. The test of missing values finds it.
    let enough = present.iter().all(|count| *count >= rule.min_rows);
    let ks = enough.then(|| kolmogorov_smirnov(reference, current));
    let missing_test = (missing != [0, 0]).then(|| chi_squared(&pooled(&[present, missing])));
    let p_of_ks = ks.map(|ks| two_sample_p(ks.low, present[0], present[1]));
    let p = match (p_of_ks, missing_test) {
        (Some(p), Some(test)) => (2.0 * p.min(test.p)).min(1.0),
        (Some(p), None) => p,
        (None, test) => test.map_or(1.0, |test| test.p),
    };
    Statistics {
        ks,
        wasserstein: enough.then(|| wasserstein(reference, current)),
        chi_squared: missing_test,
        psi: population_stability(&bins, reference, current),
        js: jensen_shannon(&bins, reference, current),
        p,
        p_corrected: 1.0,
        severity: Severity::None,
    }
}

fn of_categories(reference: &Categories, current: &Categories) -> Statistics {
    let cells = aligned(reference, current);
    let test = chi_squared(&pooled(&cells));
    let exact = |value: f64| Estimate::new(value, value, value);
    Statistics {
        ks: None,
        wasserstein: None,
        chi_squared: Some(test),
        psi: exact(population_stability_of_counts(&cells)),
        js: exact(jensen_shannon_of_counts(&cells)),
        p: test.p,
        p_corrected: 1.0,
        severity: Severity::None,
    }
}

/// Returns the verdict on `statistics`, whose probability is corrected.
pub(super) fn judge(statistics: &Statistics, rule: Rule) -> Severity {
    let reaches = |statistic: Estimate, threshold: f64| {
        statistic.value >= threshold && statistic.low >= threshold * CERTAIN
    };
    let matters = |times: f64| {
        let moved = statistics.ks.is_some_and(|ks| reaches(ks, times * rule.ks));
        moved || reaches(statistics.psi, times * rule.psi)
    };
    match statistics.p_corrected < rule.alpha {
        true if matters(SEVERE) => Severity::Severe,
        true if matters(1.0) => Severity::Moderate,
        _ => Severity::None,
    }
}
