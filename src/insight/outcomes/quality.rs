//! How good predictions were: sums that can be merged, and the measures that follow from them. Pure.
//!
//! For `n` rows with an outcome, where `p` is the predicted probability of a class:
//! * accuracy: the share of rows whose most probable class is the actual one. For labels without probabilities it is the only measure;
//! * log loss: the mean of `-ln p` of the actual class, with `p` at least [`MIN_PROBABILITY`];
//! * Brier score: for two classes the mean of `(p - y)^2` of the second; for more classes, the mean of the sum of that over all
//!   classes (Brier 1950), so that its range is 0 to 2;
//! * AUC, for two classes: the share of pairs of a positive and a negative row in which the positive row has the larger `p`; ties
//!   count half (Mann and Whitney). It is computed from sketches, with a bound on the error: see [`Auc`];
//! * calibration: [`BINS`] bins of equal width of `p` of the second class or, for more than two classes, of the most probable
//!   class. The expected calibration error is the mean distance of predicted and observed shares of the bins, weighted by their rows
//!   (Naeini, Cooper, Hauskrecht 2015);
//! * for numbers: the mean absolute error, the root of the mean squared error, and the mean of prediction minus ground truth.

use crate::insight::sketch::{Bucket, Sketch};

/// The smallest probability in a log loss, so that one wrong prediction with probability 1 does not make it infinite.
pub const MIN_PROBABILITY: f64 = 1e-15;
/// The largest distance from zero of a ground truth, which is also that of an answer. No sum of errors or squared errors overflows.
pub const LARGEST_NUMBER: f64 = f32::MAX as f64;
/// The number of bins of a calibration table.
pub const BINS: usize = 10;

/// One bin of a calibration table: the rows whose predicted probability is in one tenth of 0 to 1.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Bin {
    /// The number of rows in it.
    pub rows: u64,
    /// The sum of their predicted probabilities.
    predicted: f64,
    /// The rows in which the class with that probability is the actual one.
    observed: u64,
}

impl Bin {
    /// Returns the mean predicted probability; 0 without rows.
    #[must_use]
    pub fn predicted(&self) -> f64 {
        self.predicted / float(self.rows.max(1))
    }

    /// Returns the share of rows in which the class with that probability is the actual one; 0 without rows.
    #[must_use]
    pub fn observed(&self) -> f64 {
        float(self.observed) / float(self.rows.max(1))
    }
}

/// The area under the ROC curve.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Auc {
    /// The estimate, 0 to 1.
    pub value: f64,
    /// The largest distance of the exact value from the estimate: half the share of the pairs whose two scores share a bucket of the
    /// sketches, because their order is not known.
    pub bound: f64,
}

/// The measures of the rows that have an outcome.
#[derive(Clone, Debug, PartialEq)]
pub enum Quality {
    /// The measures of a classifier.
    Classes {
        /// The share of rows whose most probable class is the actual one.
        accuracy: f64,
        /// The log loss in nats.
        log_loss: f64,
        /// The Brier score: 0 to 1 for two classes, 0 to 2 for more.
        brier: f64,
        /// `None` for more than two classes, and until an outcome of each class was reported.
        auc: Option<Auc>,
        /// The expected calibration error, 0 to 1.
        ece: f64,
        /// The calibration table.
        calibration: Box<[Bin; BINS]>,
    },
    /// The measures of a classifier that predicts labels. A label has no probability, so there are no other measures.
    Labels {
        /// The share of rows whose label is the actual one.
        accuracy: f64,
    },
    /// The measures of a regression, in the unit of the number.
    Value {
        /// The mean absolute error.
        mae: f64,
        /// The root of the mean squared error.
        rmse: f64,
        /// The mean of prediction minus ground truth.
        mean_error: f64,
    },
}

impl Quality {
    /// Returns the measures with their names in the metrics.
    pub fn by_name(&self) -> impl Iterator<Item = (&'static str, f64)> {
        let named = match self {
            Self::Classes {
                accuracy,
                log_loss,
                brier,
                auc,
                ece,
                ..
            } => [
                Some(("accuracy", *accuracy)),
                Some(("log_loss", *log_loss)),
                Some(("brier", *brier)),
                auc.map(|auc| ("auc", auc.value)),
                Some(("ece", *ece)),
            ],
            Self::Labels { accuracy } => [Some(("accuracy", *accuracy)), None, None, None, None],
            Self::Value {
                mae,
                rmse,
                mean_error,
            } => [
                Some(("mae", *mae)),
                Some(("rmse", *rmse)),
                Some(("mean_error", *mean_error)),
                None,
                None,
            ],
        };
        named.into_iter().flatten()
    }
}

/// Sums over rows with an outcome. Merging two adds them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Sums {
    rows: u64,
    correct: u64,
    log_loss: f64,
    /// The sum of Brier scores, or of squared errors of numbers.
    squares: f64,
    absolute: f64,
    signed: f64,
    bins: [Bin; BINS],
    /// The probabilities of the second class: of rows of the first class, and of rows of the second.
    given: [Sketch; 2],
}

impl Sums {
    /// Adds a row of a classifier with one column: `p` is the predicted probability of the second class, and `positive` whether that
    /// class is the actual one.
    pub fn add_two(&mut self, p: f64, positive: bool) {
        let given = if positive { p } else { 1.0 - p };
        let y = f64::from(u8::from(positive));
        self.add_class((p >= 0.5) == positive, given, (p - y).powi(2));
        self.add_pair(p, positive);
    }

    /// Adds a row of a classifier with a column for each class, at least one. `actual` is the place of the actual class.
    pub fn add_many(&mut self, row: &[f32], actual: usize) {
        // Of equal probabilities the first, as in the answer.
        let larger = |best: usize, at: usize| if row[at] > row[best] { at } else { best };
        let top = (0..row.len()).fold(0, larger);
        let p = |at: usize| row.get(at).map_or(0.0, |p| f64::from(*p));
        if row.len() == 2 {
            self.add_class(
                top == actual,
                p(actual),
                (p(1) - float(actual as u64)).powi(2),
            );
            self.add_pair(p(1), actual == 1);
            return;
        }
        let distance = |at: usize| p(at) - f64::from(u8::from(at == actual));
        let brier = (0..row.len()).map(|at| distance(at).powi(2)).sum();
        self.add_class(top == actual, p(actual), brier);
        self.add_to_bin(p(top), top == actual);
    }

    /// Adds a row of a classifier that predicts labels.
    pub fn add_label(&mut self, is_correct: bool) {
        self.rows += 1;
        self.correct += u64::from(is_correct);
    }

    /// Adds a row of a regression. An error is cut to the largest that two numbers up to [`LARGEST_NUMBER`] can have.
    pub fn add_value(&mut self, predicted: f64, actual: f64) {
        let largest = 2.0 * LARGEST_NUMBER;
        let error = (predicted - actual).clamp(-largest, largest);
        self.rows += 1;
        self.signed += error;
        self.absolute += error.abs();
        self.squares += error.powi(2);
    }

    fn add_class(&mut self, is_correct: bool, given: f64, brier: f64) {
        self.rows += 1;
        self.correct += u64::from(is_correct);
        self.log_loss -= given.max(MIN_PROBABILITY).ln();
        self.squares += brier;
    }

    fn add_pair(&mut self, p: f64, positive: bool) {
        self.given[usize::from(positive)].record(p);
        self.add_to_bin(p, positive);
    }

    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a probability times ten is a small bin number"
    )]
    fn add_to_bin(&mut self, p: f64, is_correct: bool) {
        let bin = &mut self.bins[((p * BINS as f64) as usize).min(BINS - 1)];
        bin.rows += 1;
        bin.predicted += p;
        bin.observed += u64::from(is_correct);
    }

    /// Adds the sums of other rows.
    pub fn merge(&mut self, other: &Self) {
        self.rows += other.rows;
        self.correct += other.correct;
        self.log_loss += other.log_loss;
        self.squares += other.squares;
        self.absolute += other.absolute;
        self.signed += other.signed;
        for (bin, more) in self.bins.iter_mut().zip(&other.bins) {
            bin.rows += more.rows;
            bin.predicted += more.predicted;
            bin.observed += more.observed;
        }
        for (given, more) in self.given.iter_mut().zip(&other.given) {
            given.merge(more);
        }
    }

    /// Removes all rows.
    pub fn clear(&mut self) {
        let mut given = std::mem::take(&mut self.given);
        given.iter_mut().for_each(Sketch::clear);
        *self = Self {
            given,
            ..Self::default()
        };
    }

    /// Returns the number of rows.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// Returns the measures of a classifier; `None` without rows.
    #[must_use]
    pub fn of_classes(&self) -> Option<Quality> {
        let rows = float(self.rows);
        let distance = |bin: &Bin| float(bin.rows) * (bin.predicted() - bin.observed()).abs();
        (self.rows > 0).then(|| Quality::Classes {
            accuracy: float(self.correct) / rows,
            log_loss: self.log_loss / rows,
            brier: self.squares / rows,
            auc: auc(&self.given[1], &self.given[0]),
            ece: self.bins.iter().map(distance).sum::<f64>() / rows,
            calibration: Box::new(self.bins),
        })
    }

    /// Returns the measures of a classifier that predicts labels; `None` without rows.
    #[must_use]
    pub fn of_labels(&self) -> Option<Quality> {
        (self.rows > 0).then(|| Quality::Labels {
            accuracy: float(self.correct) / float(self.rows),
        })
    }

    /// Returns the measures of a regression; `None` without rows.
    #[must_use]
    pub fn of_values(&self) -> Option<Quality> {
        let rows = float(self.rows);
        (self.rows > 0).then(|| Quality::Value {
            mae: self.absolute / rows,
            rmse: (self.squares / rows).sqrt(),
            mean_error: self.signed / rows,
        })
    }
}

/// Returns the share of pairs in which the score of `positive` is larger than that of `negative`. Pairs that share a bucket count half;
/// half their share is the bound. `None` if either is empty.
#[must_use]
pub fn auc(positive: &Sketch, negative: &Sketch) -> Option<Auc> {
    let pairs = float(positive.count()) * float(negative.count());
    if pairs == 0.0 {
        return None;
    }
    let negatives: Vec<Bucket> = negative.buckets().collect();
    let (mut won, mut shared) = (0.0, 0.0);
    // All negatives before `next` are below the current bucket.
    let (mut next, mut below) = (0, 0);
    for bucket in positive.buckets() {
        let is_below = |other: &Bucket| other.high <= bucket.low && !overlap(other, &bucket);
        while let Some(other) = negatives.get(next).filter(|other| is_below(other)) {
            below += other.count;
            next += 1;
        }
        let beside = negatives[next..].iter();
        let beside = beside.take_while(|other| overlap(other, &bucket));
        let beside: u64 = beside.map(|other| other.count).sum();
        won += float(bucket.count) * float(below);
        shared += float(bucket.count) * float(beside);
    }
    Some(Auc {
        value: (won + shared / 2.0) / pairs,
        bound: shared / 2.0 / pairs,
    })
}

/// Returns whether a value of one may be equal to, or on either side of, a value of the other.
fn overlap(one: &Bucket, other: &Bucket) -> bool {
    let points = one.low == one.high && other.low == other.high;
    if points {
        one.low == other.low
    } else {
        one.low < other.high && other.low < one.high
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "counts of rows stay far below 2^53"
)]
fn float(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests;
