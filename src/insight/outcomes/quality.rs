//! How good predictions were: sums that can be added, and the measures that follow from them. Pure.
//!
//! Of `n` rows with truths, where `p` is the probability that was given to a class:
//! * accuracy: the share whose most probable class came true;
//! * log-loss: mean of `-ln p` of what came true, `p` cut to at least [`LEAST_PROBABILITY`];
//! * Brier score: for two classes the mean of `(p - y)^2` of the second; for more, of the sum of that over all classes
//!   (Brier 1950), so that it reaches to 2 there;
//! * AUC, for two classes: the share of pairs of a positive and a negative row in which the positive has the larger `p`, ties
//!   counting half (Mann and Whitney). From sketches, with its bound: see [`Auc`];
//! * calibration: [`BINS`] bins of equal width of `p` of the second class, or, of more than two, of the most probable; the
//!   expected calibration error weighs how far each is off by its rows (Naeini, Cooper, Hauskrecht 2015);
//! * of numbers: mean absolute error, root of the mean squared error, and mean of prediction minus truth.

use crate::insight::sketch::{Bucket, Sketch};

/// One wrong certainty must not make a log-loss infinite.
pub const LEAST_PROBABILITY: f64 = 1e-15;
/// A number that came true is at most this far from zero, as every answer is: so no sum of errors or of their squares overflows.
pub const LARGEST_NUMBER: f64 = f32::MAX as f64;
/// Bins of a calibration table.
pub const BINS: usize = 10;

/// One bin of a calibration table: of what was given a probability between `at / 10` and the next tenth.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Bin {
    /// Rows in it.
    pub rows: u64,
    /// Sum of their predicted probabilities.
    predicted: f64,
    /// Those for which it came true.
    observed: u64,
}

impl Bin {
    /// Mean predicted probability; 0 where there are no rows.
    #[must_use]
    pub fn predicted(&self) -> f64 {
        self.predicted / float(self.rows.max(1))
    }

    /// Share for which it came true; 0 where there are no rows.
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
    /// The exact value is no further from it than this: half the share of the pairs whose two scores share a bucket of the
    /// sketches, so that their order is not known.
    pub bound: f64,
}

/// What follows from the rows that have a truth.
#[derive(Clone, Debug, PartialEq)]
pub enum Quality {
    /// Of a classifier.
    Classes {
        /// Share of rows whose most probable class came true.
        accuracy: f64,
        /// Nats.
        log_loss: f64,
        /// 0 to 1; to 2 with more than two classes.
        brier: f64,
        /// `None` for more than two classes, and until both have come true.
        auc: Option<Auc>,
        /// Expected calibration error, 0 to 1.
        ece: f64,
        /// What the calibration error is made of.
        calibration: Box<[Bin; BINS]>,
    },
    /// Of a regression, in the unit of the number.
    Value {
        /// Mean absolute error.
        mae: f64,
        /// Root of the mean squared error.
        rmse: f64,
        /// Mean of prediction minus truth.
        mean_error: f64,
    },
}

impl Quality {
    /// The measures by name, as metrics have them.
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

/// Sums over rows with truths. Sums of two add up to those of both.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Sums {
    rows: u64,
    right: u64,
    log_loss: f64,
    /// Of squared distances: Brier's of classes, or of numbers.
    squares: f64,
    absolute: f64,
    signed: f64,
    bins: [Bin; BINS],
    /// Probabilities of the second class where the first came true, and where the second did.
    given: [Sketch; 2],
}

impl Sums {
    /// A row of a classifier with one column: `p` is the probability of the second class.
    pub fn add_two(&mut self, p: f64, positive: bool) {
        let given = if positive { p } else { 1.0 - p };
        let y = f64::from(u8::from(positive));
        self.add_class((p >= 0.5) == positive, given, (p - y).powi(2));
        self.add_pair(p, positive);
    }

    /// A row of a classifier with a column for each class, at least one: class `truth` came true.
    pub fn add_many(&mut self, row: &[f32], truth: usize) {
        // Of equals the first, as the gateway names it.
        let larger = |best: usize, at: usize| if row[at] > row[best] { at } else { best };
        let top = (0..row.len()).fold(0, larger);
        let p = |at: usize| row.get(at).map_or(0.0, |p| f64::from(*p));
        if row.len() == 2 {
            self.add_class(top == truth, p(truth), (p(1) - float(truth as u64)).powi(2));
            self.add_pair(p(1), truth == 1);
            return;
        }
        let apart = |at: usize| p(at) - f64::from(u8::from(at == truth));
        let brier = (0..row.len()).map(|at| apart(at).powi(2)).sum();
        self.add_class(top == truth, p(truth), brier);
        self.add_to_bin(p(top), top == truth);
    }

    /// A row of a regression. An error that two numbers up to [`LARGEST_NUMBER`] cannot have counts as the largest that they can.
    pub fn add_value(&mut self, predicted: f64, truth: f64) {
        let most = 2.0 * LARGEST_NUMBER;
        let error = (predicted - truth).clamp(-most, most);
        self.rows += 1;
        self.signed += error;
        self.absolute += error.abs();
        self.squares += error.powi(2);
    }

    fn add_class(&mut self, right: bool, given: f64, brier: f64) {
        self.rows += 1;
        self.right += u64::from(right);
        self.log_loss -= given.max(LEAST_PROBABILITY).ln();
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
    fn add_to_bin(&mut self, p: f64, came_true: bool) {
        let bin = &mut self.bins[((p * BINS as f64) as usize).min(BINS - 1)];
        bin.rows += 1;
        bin.predicted += p;
        bin.observed += u64::from(came_true);
    }

    /// Adds the sums of other rows.
    pub fn merge(&mut self, other: &Self) {
        self.rows += other.rows;
        self.right += other.right;
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

    /// Forgets all rows.
    pub fn clear(&mut self) {
        let mut given = std::mem::take(&mut self.given);
        given.iter_mut().for_each(Sketch::clear);
        *self = Self {
            given,
            ..Self::default()
        };
    }

    /// Rows with a truth.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// The measures of a classifier; `None` without rows.
    #[must_use]
    pub fn of_classes(&self) -> Option<Quality> {
        let rows = float(self.rows);
        let apart = |bin: &Bin| float(bin.rows) * (bin.predicted() - bin.observed()).abs();
        (self.rows > 0).then(|| Quality::Classes {
            accuracy: float(self.right) / rows,
            log_loss: self.log_loss / rows,
            brier: self.squares / rows,
            auc: auc(&self.given[1], &self.given[0]),
            ece: self.bins.iter().map(apart).sum::<f64>() / rows,
            calibration: Box::new(self.bins),
        })
    }

    /// The measures of a regression; `None` without rows.
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

/// How often a score of `positive` is larger than one of `negative`; those that share a bucket count half, and are the bound.
/// `None` where either is empty.
#[must_use]
pub fn auc(positive: &Sketch, negative: &Sketch) -> Option<Auc> {
    let pairs = float(positive.count()) * float(negative.count());
    if pairs == 0.0 {
        return None;
    }
    let negatives: Vec<Bucket> = negative.buckets().collect();
    let (mut won, mut shared) = (0.0, 0.0);
    // All negatives before `next` lie below the bucket at hand.
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

/// Whether a value of one may be equal to, or on either side of, a value of the other.
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
