//! Every statistic for every feature and prediction, and the verdict on each.

use super::statistics::{
    Bins, ChiSquared, benjamini_hochberg, chi_squared, jensen_shannon, jensen_shannon_of_counts,
    kolmogorov_smirnov, pooled, population_stability, population_stability_of_counts, two_sample_p,
    wasserstein,
};
use super::{Categories, Distribution, Measured, TooFew};

/// When a difference counts as drift.
///
/// Two things must hold. The difference must be more than chance: its corrected probability is below `alpha`. And it must be large
/// enough to matter: with a million rows every difference is more than chance, so a population stability index of
/// [`psi`](Self::psi) (Siddiqi 2006: "stable" below 0.1) or, for numbers, a Kolmogorov-Smirnov statistic of [`ks`](Self::ks)
/// (one row in ten has moved) is asked for as well. And of that, half must be
/// certain, at the low end: what is not known must not look like drift.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rule {
    /// Corrected probability below which a difference is more than chance; the false discovery rate. Default 0.05.
    pub alpha: f64,
    /// The fewest rows on either side. Default 200: fewer say nothing about tenths of a distribution.
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

/// How many times as large as what matters a difference is that is severe: a population stability index of 0.25 (Siddiqi 2006), a
/// Kolmogorov-Smirnov statistic of 0.25.
const SEVERE: f64 = 2.5;
/// The part of what matters that must be certain. A profile knows its quantiles to one in a hundred, so the ends of a difference that
/// just matters lie about that far apart.
const CERTAIN: f64 = 0.5;

/// A column before and now.
#[derive(Clone, Debug, PartialEq)]
pub struct FeaturePair {
    /// Name of the feature or of the output. Not of a sensitive one: the caller leaves those out.
    pub name: String,
    /// What is known of it.
    pub pair: Pair,
}

/// What is known of a column before and now.
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
    /// Rows before and now; of numbers, those with one.
    fn rows(&self) -> [u64; 2] {
        match self {
            Self::Numbers { reference, current } => [reference.count(), current.count()],
            Self::Categories { reference, current } => [reference.total(), current.total()],
        }
    }

    /// Rows without a value, before and now.
    fn missing(&self) -> [u64; 2] {
        match self {
            Self::Numbers { reference, current } => [reference.missing(), current.missing()],
            Self::Categories { reference, current } => [reference.missing, current.missing],
        }
    }

    /// Rows with a value or without, of the side that has fewer.
    fn fewest(&self) -> u64 {
        match self {
            Self::Numbers { reference, current } => reference.total().min(current.total()),
            Self::Categories { reference, current } => reference.total().min(current.total()),
        }
    }
}

/// What drifted and what did not.
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
    /// Those that drifted, features first.
    pub fn drifted(&self) -> impl Iterator<Item = &Finding> {
        let all = self.features.iter().chain(&self.predictions);
        all.filter(|finding| finding.severity() != Severity::None)
    }
}

/// About one column.
#[derive(Clone, Debug, PartialEq)]
pub struct Finding {
    /// Its name.
    pub name: String,
    /// Rows before and now; of numbers, those with one.
    pub rows: [u64; 2],
    /// Rows without a value, before and now; of texts, they are among `rows`.
    pub missing: [u64; 2],
    /// What was found.
    pub outcome: Outcome,
}

impl Finding {
    /// How bad it is; none where nothing could be measured.
    #[must_use]
    pub fn severity(&self) -> Severity {
        match &self.outcome {
            Outcome::Measured(statistics) => statistics.severity,
            Outcome::TooFew(_) => Severity::None,
        }
    }
}

/// What was found.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// Enough rows on both sides.
    Measured(Statistics),
    /// No number would mean anything.
    TooFew(TooFew),
}

/// The statistics of one column.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Statistics {
    /// Kolmogorov-Smirnov, of numbers; `None` where too few rows have one.
    pub ks: Option<Measured>,
    /// Wasserstein distance in the feature's own unit, of numbers; `None` where too few rows have one.
    pub wasserstein: Option<Measured>,
    /// The chi-squared test: of texts, where rare ones are joined; of numbers, of rows with and without one, where any is without.
    pub chi_squared: Option<ChiSquared>,
    /// Population stability index: over ten bins at the reference's deciles, or over the texts; rows without a value are one more.
    pub psi: Measured,
    /// Jensen-Shannon distance to base 2, 0 to 1, over the same bins.
    pub js: Measured,
    /// How likely such a difference is by chance: of the least Kolmogorov-Smirnov statistic that is certain, or of chi-squared; of
    /// both, twice the smaller (Bonferroni).
    pub p: f64,
    /// The same, corrected for the number of columns tested.
    pub p_corrected: f64,
    /// The verdict.
    pub severity: Severity,
}

/// How bad a drift is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Chance, or too small to matter.
    None,
    /// Not chance, and it matters.
    Moderate,
    /// Two and a half times as large as what matters.
    Severe,
}

impl Severity {
    /// The word for it: `stable`, `moderate` or `severe`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "stable",
            Self::Moderate => "moderate",
            Self::Severe => "severe",
        }
    }
}

/// Compares all `features` and `predictions` and judges them by `rule`. Probabilities are corrected over all columns that have enough
/// rows, predictions included.
#[must_use]
pub fn assess(features: &[FeaturePair], predictions: &[FeaturePair], rule: Rule) -> DriftReport {
    let mut findings: Vec<Finding> = features
        .iter()
        .chain(predictions)
        .map(|column| measure(column, rule))
        .collect();
    let mut tested: Vec<&mut Statistics> = findings
        .iter_mut()
        .filter_map(|finding| match &mut finding.outcome {
            Outcome::Measured(statistics) => Some(statistics),
            Outcome::TooFew(_) => None,
        })
        .collect();
    let p: Vec<f64> = tested.iter().map(|statistics| statistics.p).collect();
    for (statistics, corrected) in tested.iter_mut().zip(benjamini_hochberg(&p)) {
        statistics.p_corrected = corrected;
        statistics.severity = judge(statistics, rule);
    }
    let predictions = findings.split_off(features.len());
    DriftReport {
        rule,
        features: findings,
        predictions,
    }
}

/// The statistics of one column, not yet corrected nor judged.
fn measure(column: &FeaturePair, rule: Rule) -> Finding {
    let (have, want) = (column.pair.fewest(), rule.min_rows);
    let outcome = if have < want {
        Outcome::TooFew(TooFew { have, want })
    } else {
        Outcome::Measured(match &column.pair {
            Pair::Numbers { reference, current } => of_numbers(reference, current, rule),
            Pair::Categories { reference, current } => of_categories(reference, current),
        })
    };
    Finding {
        name: column.name.clone(),
        rows: column.pair.rows(),
        missing: column.pair.missing(),
        outcome,
    }
}

fn of_numbers(reference: &Distribution, current: &Distribution, rule: Rule) -> Statistics {
    let bins = Bins::deciles_for(reference, current);
    let present = [reference.count(), current.count()];
    let missing = [reference.missing(), current.missing()];
    // An input that comes no more has too few numbers to compare, and that is what there is to tell.
    let enough = present.iter().all(|count| *count >= rule.min_rows);
    let ks = enough.then(|| kolmogorov_smirnov(reference, current));
    let gone = (missing != [0, 0]).then(|| chi_squared(&pooled(&[present, missing])));
    let p_of_ks = ks.map(|ks| two_sample_p(ks.low, present[0], present[1]));
    let p = match (p_of_ks, gone) {
        (Some(p), Some(test)) => (2.0 * p.min(test.p)).min(1.0),
        (Some(p), None) => p,
        (None, test) => test.map_or(1.0, |test| test.p),
    };
    Statistics {
        ks,
        wasserstein: enough.then(|| wasserstein(reference, current)),
        chi_squared: gone,
        psi: population_stability(&bins, reference, current),
        js: jensen_shannon(&bins, reference, current),
        p,
        p_corrected: 1.0,
        severity: Severity::None,
    }
}

fn of_categories(reference: &Categories, current: &Categories) -> Statistics {
    let cells = super::categories::aligned(reference, current);
    let test = chi_squared(&pooled(&cells));
    let exact = |value: f64| Measured::new(value, value, value);
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

pub(super) fn judge(statistics: &Statistics, rule: Rule) -> Severity {
    let far = |one: Measured, far: f64| one.value >= far && one.low >= far * CERTAIN;
    let reaches = |times: f64| {
        let moved = statistics.ks.is_some_and(|ks| far(ks, times * rule.ks));
        moved || far(statistics.psi, times * rule.psi)
    };
    match statistics.p_corrected < rule.alpha {
        true if reaches(SEVERE) => Severity::Severe,
        true if reaches(1.0) => Severity::Moderate,
        _ => Severity::None,
    }
}
