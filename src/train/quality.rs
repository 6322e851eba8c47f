//! How good a version is on held-out rows, in the measures of its kind.

use std::collections::BTreeMap;

use super::metrics::{self, Bin};
use super::numbers::{float, tidy};
use crate::model::manifest::raw::Head;

/// How good a version is on held-out rows.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Quality {
    /// Of a classifier.
    Classes {
        /// Share of rows whose most probable class came true.
        accuracy: f64,
        /// Of the second class; with more than two classes, the mean over each class against the rest. `None` where the
        /// held-out rows lack a class.
        auc: Option<f64>,
        /// Mean of `-ln p` of what came true.
        log_loss: f64,
        /// Mean squared distance of the probabilities from the truth; with more than two classes, summed over them.
        brier: f64,
        /// Of the probability of the second class; with more than two classes, of the most probable one.
        calibration: Vec<Bin>,
        /// Share of the held-out rows whose truth is each class.
        shares: Vec<f64>,
    },
    /// Of a regression.
    Value {
        /// Mean absolute error.
        mae: f64,
        /// Root of the mean squared error.
        rmse: f64,
        /// Share of variance explained; `None` where the held-out truths are all equal.
        r2: Option<f64>,
    },
}

impl Quality {
    /// `answers` holds `width` numbers per row, as the version would give them; `truths` are class indices or values.
    pub(super) fn measure(head: Head, answers: &[f32], width: usize, truths: &[f64]) -> Self {
        let answers: Vec<f64> = answers.iter().map(|x| f64::from(*x)).collect();
        match head {
            Head::Sigmoid => {
                let both = answers
                    .iter()
                    .flat_map(|p| [1.0 - p, *p])
                    .collect::<Vec<_>>();
                Self::of_classes(&both, 2, truths)
            }
            Head::Softmax => Self::of_classes(&answers, width, truths),
            Head::Identity => Self::Value {
                mae: metrics::mae(&answers, truths),
                rmse: metrics::rmse(&answers, truths),
                r2: metrics::r2(&answers, truths),
            },
        }
    }

    /// `probabilities` holds one per class and row.
    fn of_classes(probabilities: &[f64], classes: usize, truths: &[f64]) -> Self {
        let is =
            |class: usize| -> Vec<bool> { truths.iter().map(|y| *y == float(class)).collect() };
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
        let truth: Vec<usize> = (0..truths.len())
            .map(|row| {
                (0..classes)
                    .find(|class| truths[row] == float(*class))
                    .unwrap_or(0)
            })
            .collect();
        let given: Vec<f64> = rows().zip(&truth).map(|(row, class)| row[*class]).collect();
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
            let right: Vec<bool> = top.iter().zip(&truth).map(|(p, y)| p == y).collect();
            (auc, brier, metrics::calibration(&sure, &right))
        };
        let count = |class: usize| is(class).iter().filter(|y| **y).count();
        Self::Classes {
            accuracy: metrics::accuracy(&top, &truth),
            auc,
            log_loss: metrics::log_loss(&given),
            brier,
            calibration,
            shares: (0..classes)
                .map(|c| float(count(c)) / float(truths.len()))
                .collect(),
        }
    }

    /// The measures by name, for the manifest.
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
            .map(|(name, value)| (name.into(), tidy(value)))
            .collect()
    }
}

/// Place of the largest. Of equals the first, but of two classes the second, as the gateway picks them.
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
    fn a_sigmoid_is_measured_by_its_second_class() {
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
        let answers = [0.7, 0.2, 0.1, 0.1, 0.8, 0.1, 0.2, 0.2, 0.6, 0.5, 0.3, 0.2];
        let quality = Quality::measure(Head::Softmax, &answers, 3, &[0.0, 1.0, 2.0, 1.0]);
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
    fn a_measure_that_has_no_value_is_left_out() {
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
