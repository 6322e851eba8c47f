//! Measures of quality: pure functions of predictions and targets, which must have the same number of rows, at least one.

use crate::model::numbers::float;

/// One bin of a calibration table.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bin {
    /// Its lower end; it reaches up to the next bin.
    pub from: f64,
    /// Rows whose predicted probability is in the bin.
    pub rows: usize,
    /// Their mean predicted probability; 0 without rows.
    pub predicted: f64,
    /// Share of the rows that are positive; 0 without rows.
    pub observed: f64,
}

/// Number of bins of a calibration table.
pub const BINS: usize = 10;

/// Returns the area under the ROC curve: the probability that a positive has a higher score than a negative, where ties count half.
/// `None` if there are only positives or only negatives.
#[must_use]
pub fn auc(scores: &[f64], positive: &[bool]) -> Option<f64> {
    let mut order: Vec<usize> = (0..scores.len()).collect();
    order.sort_by(|a, b| scores[*a].total_cmp(&scores[*b]));
    let positives = positive.iter().filter(|p| **p).count();
    let negatives = positive.len() - positives;
    if positives == 0 || negatives == 0 {
        return None;
    }
    // Rank sum of the positives (Mann and Whitney). Tied scores share the mean of their ranks.
    let mut rank_sum = 0.0;
    let mut start = 0;
    while start < order.len() {
        let score = scores[order[start]];
        let ties = order[start..].iter().take_while(|at| scores[**at] == score);
        let ties = ties.count();
        let rank = float(start) + (float(ties) + 1.0) / 2.0;
        let tied = &order[start..start + ties];
        rank_sum += rank * float(tied.iter().filter(|at| positive[**at]).count());
        start += ties;
    }
    let (p, n) = (float(positives), float(negatives));
    Some((rank_sum - p * (p + 1.0) / 2.0) / (p * n))
}

/// Returns the mean of `-ln p`, where `p` is the predicted probability of the true class. `p` is clamped to at least 1e-15, so that one
/// false certainty does not make the loss infinite.
#[must_use]
pub fn log_loss(probability_of_target: &[f64]) -> f64 {
    mean(probability_of_target.iter().map(|p| -p.max(1e-15).ln()))
}

/// Returns the mean squared distance of the probability of the second class from the target, 0 or 1.
#[must_use]
pub fn brier(probabilities: &[f64], positive: &[bool]) -> f64 {
    let targets = positive.iter().map(|p| f64::from(u8::from(*p)));
    mean(
        probabilities
            .iter()
            .zip(targets)
            .map(|(p, y)| (p - y).powi(2)),
    )
}

/// Returns the share of correct predictions.
#[must_use]
pub fn accuracy(predicted: &[usize], targets: &[usize]) -> f64 {
    let pairs = predicted.iter().zip(targets);
    mean(pairs.map(|(p, y)| f64::from(u8::from(p == y))))
}

/// Returns a calibration table with ten bins of equal width. In a calibrated model, 30 % of the rows with a probability of 30 % are
/// positive.
#[must_use]
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a probability times ten is a small bin number"
)]
pub fn calibration(probabilities: &[f64], positive: &[bool]) -> Vec<Bin> {
    let mut bins: Vec<Bin> = (0..BINS)
        .map(|at| Bin {
            from: float(at) / float(BINS),
            rows: 0,
            predicted: 0.0,
            observed: 0.0,
        })
        .collect();
    for (p, y) in probabilities.iter().zip(positive) {
        let bin = &mut bins[((p * float(BINS)) as usize).min(BINS - 1)];
        bin.rows += 1;
        bin.predicted += p;
        bin.observed += f64::from(u8::from(*y));
    }
    for bin in bins.iter_mut().filter(|bin| bin.rows > 0) {
        bin.predicted /= float(bin.rows);
        bin.observed /= float(bin.rows);
    }
    bins
}

/// Returns the expected calibration error: the mean difference of predicted and observed shares, weighted by the rows of the bins.
#[must_use]
pub fn calibration_error(bins: &[Bin]) -> f64 {
    let rows: usize = bins.iter().map(|bin| bin.rows).sum();
    let weighted = |bin: &Bin| float(bin.rows) * (bin.predicted - bin.observed).abs();
    bins.iter().map(weighted).sum::<f64>() / float(rows.max(1))
}

/// Returns the mean absolute error.
#[must_use]
pub fn mae(predicted: &[f64], targets: &[f64]) -> f64 {
    mean(predicted.iter().zip(targets).map(|(p, y)| (p - y).abs()))
}

/// Returns the root of the mean squared error.
#[must_use]
pub fn rmse(predicted: &[f64], targets: &[f64]) -> f64 {
    mean(predicted.iter().zip(targets).map(|(p, y)| (p - y).powi(2))).sqrt()
}

/// Returns the coefficient of determination: the share of the targets' variance that the predictions explain. It is negative if the
/// mean is a better prediction. `None` if all targets are equal.
#[must_use]
pub fn r2(predicted: &[f64], targets: &[f64]) -> Option<f64> {
    let centre = mean(targets.iter().copied());
    let variance = mean(targets.iter().map(|y| (y - centre).powi(2)));
    (variance > 0.0).then(|| 1.0 - rmse(predicted, targets).powi(2) / variance)
}

fn mean(values: impl ExactSizeIterator<Item = f64>) -> f64 {
    let count = float(values.len());
    values.sum::<f64>() / count
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(got: f64, want: f64, why: &str) {
        assert!((got - want).abs() < 1e-12, "{why}: got {got}, wants {want}");
    }

    #[test]
    fn auc_is_the_share_of_pairs_in_the_right_order() {
        for (scores, positive, want, why) in [
            (
                &[0.1, 0.4, 0.35, 0.8][..],
                &[false, false, true, true][..],
                0.75,
                "one of four pairs is wrong",
            ),
            (
                &[0.1, 0.2, 0.8, 0.9],
                &[false, false, true, true],
                1.0,
                "perfect",
            ),
            (
                &[0.9, 0.8, 0.2, 0.1],
                &[false, false, true, true],
                0.0,
                "exactly wrong",
            ),
            (
                &[0.5, 0.5, 0.5, 0.5],
                &[false, true, false, true],
                0.5,
                "all tied",
            ),
            (
                &[0.2, 0.5, 0.5, 0.9],
                &[false, false, true, true],
                0.875,
                "one tie counts half",
            ),
            (
                &[3.0, -1.0, 3.0],
                &[true, false, false],
                0.75,
                "scores need not be probabilities",
            ),
        ] {
            near(auc(scores, positive).unwrap(), want, why);
        }
        assert_eq!(
            auc(&[0.1, 0.2], &[true, true]),
            None,
            "no negative to compare with"
        );
        assert_eq!(auc(&[0.1], &[false]), None, "no positive to compare with");
    }

    #[test]
    fn losses_have_their_textbook_values() {
        near(log_loss(&[0.5, 0.5]), 2f64.ln(), "a coin toss");
        near(
            log_loss(&[0.9, 0.8]),
            -(0.9f64.ln() + 0.8f64.ln()) / 2.0,
            "two rows",
        );
        near(
            log_loss(&[0.0]),
            -(1e-15f64.ln()),
            "a false certainty stays finite",
        );
        near(
            brier(&[0.9, 0.2], &[true, false]),
            (0.01 + 0.04) / 2.0,
            "two rows",
        );
        near(brier(&[1.0, 0.0], &[true, false]), 0.0, "perfect");
        near(
            accuracy(&[0, 1, 2, 1], &[0, 1, 1, 1]),
            0.75,
            "three of four",
        );
    }

    #[test]
    fn regression_errors_have_their_textbook_values() {
        let (predicted, targets) = ([2.5, 0.0, 2.0, 8.0], [3.0, -0.5, 2.0, 7.0]);
        near(mae(&predicted, &targets), 0.5, "mean of 0.5, 0.5, 0, 1");
        near(
            rmse(&predicted, &targets),
            0.375f64.sqrt(),
            "root of 1.5 / 4",
        );
        near(
            r2(&predicted, &targets).unwrap(),
            1.0 - 1.5 / 29.1875,
            "against the spread about 2.875",
        );
        assert_eq!(r2(&[1.0, 2.0], &[3.0, 3.0]), None, "nothing to explain");
    }

    #[test]
    fn calibration_compares_predicted_with_observed_shares() {
        let bins = calibration(
            &[0.05, 0.15, 0.15, 0.1, 1.0],
            &[false, true, false, false, true],
        );
        assert_eq!(bins.len(), BINS);
        assert_eq!(bins.iter().map(|bin| bin.rows).sum::<usize>(), 5);
        assert_eq!(
            (bins[0].rows, bins[1].rows, bins[9].rows),
            (1, 3, 1),
            "an edge belongs to the bin that begins there"
        );
        near(bins[1].predicted, 0.4 / 3.0, "mean of the bin");
        near(bins[1].observed, 1.0 / 3.0, "one of three");
        near(bins[9].observed, 1.0, "certainty is in the last bin");
        near(
            calibration_error(&bins),
            (0.05 + 0.6) / 5.0,
            "weighted by rows",
        );
        near(
            calibration_error(&calibration(&[0.5, 0.5], &[true, false])),
            0.0,
            "well calibrated",
        );
    }
}
