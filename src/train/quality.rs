//! Quality of a version on held-out rows.

use std::collections::BTreeMap;

use super::metrics::{self, Bin};
use crate::model::manifest::raw::Head;
use crate::model::numbers::{float, round_to_nine_digits};

/// Quality of a version on held-out rows.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Quality {
    /// Of a classifier.
    Classes {
        /// Share of rows whose most probable class is the true one.
        accuracy: f64,
        /// AUC of the second class; with more than two classes, the mean over each class against the rest. `None` if the held-out
        /// rows lack a class.
        auc: Option<f64>,
        /// Mean of `-ln p`, where `p` is the probability of the true class.
        log_loss: f64,
        /// Mean squared distance of the probabilities from the target; with more than two classes, the sum over the classes.
        brier: f64,
        /// Calibration of the probability of the second class; with more than two classes, of the most probable one.
        calibration: Vec<Bin>,
        /// For each class, its share of the held-out rows.
        shares: Vec<f64>,
    },
    /// Of a regression.
    Value {
        /// Mean absolute error.
        mae: f64,
        /// Root of the mean squared error.
        rmse: f64,
        /// Share of variance explained; `None` if all held-out targets are equal.
        r2: Option<f64>,
    },
}

impl Quality {
    /// Measures the quality of `predictions`, which have `width` numbers per row. `targets` are class indices or values.
    pub(super) fn measure(head: Head, predictions: &[f32], width: usize, targets: &[f64]) -> Self {
        let predictions: Vec<f64> = predictions.iter().map(|x| f64::from(*x)).collect();
        match head {
            Head::Sigmoid => {
                let both = predictions
                    .iter()
                    .flat_map(|p| [1.0 - p, *p])
                    .collect::<Vec<_>>();
                Self::of_classes(&both, 2, targets)
            }
            Head::Softmax => Self::of_classes(&predictions, width, targets),
            Head::Identity => Self::Value {
                mae: metrics::mae(&predictions, targets),
                rmse: metrics::rmse(&predictions, targets),
                r2: metrics::r2(&predictions, targets),
            },
        }
    }

    /// Measures the quality of `probabilities`, one per class and row.
    fn of_classes(probabilities: &[f64], classes: usize, targets: &[f64]) -> Self {
        let is =
            |class: usize| -> Vec<bool> { targets.iter().map(|y| *y == float(class)).collect() };
        let of = |class: usize| -> Vec<f64> {
            probabilities
                .iter()
                .skip(class)
                .step_by(classes)
                .copied()
                .collect()
        };
        let rows = || probabilities.chunks_exact(classes);
        let top: Vec<usize> = rows().map(best).collect();
        let target: Vec<usize> = (0..targets.len())
            .map(|row| {
                (0..classes)
                    .find(|class| targets[row] == float(*class))
                    .unwrap_or(0)
            })
            .collect();
        let given: Vec<f64> = rows()
            .zip(&target)
            .map(|(row, class)| row[*class])
            .collect();
        let (auc, brier, calibration) = if classes == 2 {
            let (p, y) = (of(1), is(1));
            (
                metrics::auc(&p, &y),
                metrics::brier(&p, &y),
                metrics::calibration(&p, &y),
            )
        } else {
            let aucs: Option<Vec<f64>> =
                (0..classes).map(|c| metrics::auc(&of(c), &is(c))).collect();
            let auc = aucs.map(|aucs| aucs.iter().sum::<f64>() / float(classes));
            let brier = (0..classes).map(|c| metrics::brier(&of(c), &is(c))).sum();
            let sure: Vec<f64> = rows().zip(&top).map(|(row, class)| row[*class]).collect();
            let right: Vec<bool> = top.iter().zip(&target).map(|(p, y)| p == y).collect();
            (auc, brier, metrics::calibration(&sure, &right))
        };
        let count = |class: usize| is(class).iter().filter(|y| **y).count();
        Self::Classes {
            accuracy: metrics::accuracy(&top, &target),
            auc,
            log_loss: metrics::log_loss(&given),
            brier,
            calibration,
            shares: (0..classes)
                .map(|c| float(count(c)) / float(targets.len()))
                .collect(),
        }
    }

    /// Returns the measures by name, for the manifest.
    #[must_use]
    pub fn by_name(&self) -> BTreeMap<String, f64> {
        let named = match self {
            Self::Classes {
                accuracy,
                auc,
                log_loss,
                brier,
                calibration,
                ..
            } => vec![
                ("accuracy", Some(*accuracy)),
                ("auc", *auc),
                ("log_loss", Some(*log_loss)),
                ("brier", Some(*brier)),
                (
                    "calibration_error",
                    Some(metrics::calibration_error(calibration)),
                ),
            ],
            Self::Value { mae, rmse, r2 } => {
                vec![("mae", Some(*mae)), ("rmse", Some(*rmse)), ("r2", *r2)]
            }
        };
        let measured = named
            .into_iter()
            .filter_map(|(name, value)| Some((name, value?)));
        measured
            .map(|(name, value)| (name.into(), round_to_nine_digits(value)))
            .collect()
    }
}

/// Returns the index of the largest value. Among equal ones it is the first, but the second of two classes, like in the gateway.
fn best(row: &[f64]) -> usize {
    if let [first, second] = row {
        return usize::from(second >= first);
    }
    let larger = |best: usize, at: usize| if row[at] > row[best] { at } else { best };
    (0..row.len()).fold(0, larger)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sigmoid_head_is_measured_by_the_second_class() {
        let quality = Quality::measure(
            Head::Sigmoid,
            &[0.9, 0.2, 0.6, 0.4],
            1,
            &[1.0, 0.0, 0.0, 1.0],
        );
        let Quality::Classes {
            accuracy,
            auc,
            brier,
            shares,
            ..
        } = &quality
        else {
            panic!("a sigmoid is a classifier");
        };
        assert_eq!(
            (*accuracy, *auc, shares.as_slice()),
            (0.5, Some(0.75), &[0.5, 0.5][..])
        );
        assert!(
            (brier - (0.01 + 0.04 + 0.36 + 0.36) / 4.0).abs() < 1e-7,
            "got {brier}"
        );
        assert_eq!(quality.by_name().len(), 5);
    }

    #[test]
    fn three_classes_are_measured_each_against_the_rest() {
        let predictions = [0.7, 0.2, 0.1, 0.1, 0.8, 0.1, 0.2, 0.2, 0.6, 0.5, 0.3, 0.2];
        let quality = Quality::measure(Head::Softmax, &predictions, 3, &[0.0, 1.0, 2.0, 1.0]);
        let Quality::Classes {
            accuracy,
            auc,
            log_loss,
            shares,
            ..
        } = quality
        else {
            panic!("a softmax is a classifier");
        };
        assert_eq!((accuracy, auc), (0.75, Some(1.0)));
        let want = -(0.7f64.ln() + 0.8f64.ln() + 0.6f64.ln() + 0.3f64.ln()) / 4.0;
        assert!(
            (log_loss - want).abs() < 1e-6,
            "got {log_loss}, wants {want}"
        );
        assert_eq!(shares, [0.25, 0.5, 0.25]);
    }

    #[test]
    fn an_undefined_measure_is_left_out() {
        let quality = Quality::measure(Head::Sigmoid, &[0.9, 0.2], 1, &[1.0, 1.0]);
        assert!(
            !quality.by_name().contains_key("auc"),
            "no row of the other class"
        );
        let quality = Quality::measure(Head::Identity, &[1.0, 2.0], 1, &[2.0, 2.0]);
        assert_eq!(
            quality.by_name().into_keys().collect::<Vec<_>>(),
            ["mae", "rmse"]
        );
    }
}
