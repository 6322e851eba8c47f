//! How good predictions are: pure functions of predictions and truths, which are as many and at least one.

/// One bin of a calibration table.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bin {
    /// Where it begins; it reaches up to the next one.
    pub from: f64,
    /// Rows whose predicted probability falls into it.
    pub rows: usize,
    /// Their mean predicted probability; 0 where there are none.
    pub predicted: f64,
    /// The share of them for which it came true; 0 where there are none.
    pub observed: f64,
}

/// Bins of a calibration table.
pub const BINS: usize = 10;

/// The probability that a positive gets a higher score than a negative, ties counted half. `None` where there are only
/// positives or only negatives.
#[must_use]
pub fn auc(scores: &[f64], positive: &[bool]) -> Option<f64> {
    let mut order: Vec<usize> = (0..scores.len()).collect();
    order.sort_by(|a, b| scores[*a].total_cmp(&scores[*b]));
    let positives = positive.iter().filter(|p| **p).count();
    let negatives = positive.len() - positives;
    if positives == 0 || negatives == 0 {
        return None;
    }
    // Rank sum of the positives (Mann and Whitney), tied scores sharing the mean of their ranks.
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

/// Mean of `-ln p`, where `p` is the probability that was given to what came true; never less than 1e-15, so that one
/// wrong certainty does not make it infinite.
#[must_use]
pub fn log_loss(given_to_truth: &[f64]) -> f64 {
    mean(given_to_truth.iter().map(|p| -p.max(1e-15).ln()))
}

/// Mean squared distance of the probability of the second class from the truth, 0 or 1.
#[must_use]
pub fn brier(probabilities: &[f64], positive: &[bool]) -> f64 {
    let truths = positive.iter().map(|p| f64::from(u8::from(*p)));
    mean(
        probabilities
            .iter()
            .zip(truths)
            .map(|(p, y)| (p - y).powi(2)),
    )
}

/// Share of equal pairs.
#[must_use]
pub fn accuracy(predicted: &[usize], truths: &[usize]) -> f64 {
    let pairs = predicted.iter().zip(truths);
    mean(pairs.map(|(p, y)| f64::from(u8::from(p == y))))
}

/// Ten bins of equal width: does what was given a probability of 30 % happen in 30 % of the cases?
#[must_use]
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a probability times ten is a small bin number"
)]
pub fn calibration(probabilities: &[f64], came_true: &[bool]) -> Vec<Bin> {
    let mut bins: Vec<Bin> = (0..BINS)
        .map(|at| Bin {
            from: float(at) / float(BINS),
            rows: 0,
            predicted: 0.0,
            observed: 0.0,
        })
        .collect();
    for (p, y) in probabilities.iter().zip(came_true) {
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

/// Expected calibration error: how far predicted and observed shares are apart, over the bins, weighted by their rows.
#[must_use]
pub fn calibration_error(bins: &[Bin]) -> f64 {
    let rows: usize = bins.iter().map(|bin| bin.rows).sum();
    let apart = |bin: &Bin| float(bin.rows) * (bin.predicted - bin.observed).abs();
    bins.iter().map(apart).sum::<f64>() / float(rows.max(1))
}

/// Mean absolute error.
#[must_use]
pub fn mae(predicted: &[f64], truths: &[f64]) -> f64 {
    mean(predicted.iter().zip(truths).map(|(p, y)| (p - y).abs()))
}

/// Root of the mean squared error.
#[must_use]
pub fn rmse(predicted: &[f64], truths: &[f64]) -> f64 {
    mean(predicted.iter().zip(truths).map(|(p, y)| (p - y).powi(2))).sqrt()
}

/// Share of the truths' variance that is explained; below 0 where the mean would be a better guess. `None` where all
/// truths are equal.
#[must_use]
pub fn r2(predicted: &[f64], truths: &[f64]) -> Option<f64> {
    let centre = mean(truths.iter().copied());
    let variance = mean(truths.iter().map(|y| (y - centre).powi(2)));
    (variance > 0.0).then(|| 1.0 - rmse(predicted, truths).powi(2) / variance)
}

fn mean(values: impl ExactSizeIterator<Item = f64>) -> f64 {
    let count = float(values.len());
    values.sum::<f64>() / count
}

#[expect(clippy::cast_precision_loss, reason = "counts of rows, far below 2^53")]
fn float(count: usize) -> f64 {
    count as f64
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
        near(log_loss(&[0.5, 0.5]), 2f64.ln(), "a coin");
        near(
            log_loss(&[0.9, 0.8]),
            -(0.9f64.ln() + 0.8f64.ln()) / 2.0,
            "two rows",
        );
        near(
            log_loss(&[0.0]),
            -(1e-15f64.ln()),
            "a wrong certainty stays finite",
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
        let (predicted, truths) = ([2.5, 0.0, 2.0, 8.0], [3.0, -0.5, 2.0, 7.0]);
        near(mae(&predicted, &truths), 0.5, "mean of 0.5, 0.5, 0, 1");
        near(
            rmse(&predicted, &truths),
            0.375f64.sqrt(),
            "root of 1.5 / 4",
        );
        near(
            r2(&predicted, &truths).unwrap(),
            1.0 - 1.5 / 29.1875,
            "against the spread about 2.875",
        );
        assert_eq!(r2(&[1.0, 2.0], &[3.0, 3.0]), None, "nothing to explain");
    }

    #[test]
    fn calibration_compares_what_was_said_with_what_came() {
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
