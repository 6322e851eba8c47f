//! Statistics of a column of numbers.

/// Returns mean and standard deviation (population) of at least one value.
pub(crate) fn moments(values: &[f64]) -> (f64, f64) {
    let count = float(values.len());
    let mean = values.iter().sum::<f64>() / count;
    let variance = values.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / count;
    (mean, variance.sqrt())
}

/// Returns the quantile of `sorted` at `share`, 0 to 1: linear interpolation, Hyndman and Fan type 7.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a share of a length is a valid index"
)]
pub(crate) fn quantile(sorted: &[f64], share: f64) -> f64 {
    let position = share * float(sorted.len().saturating_sub(1));
    let (low, high) = (position.floor() as usize, position.ceil() as usize);
    let (below, above) = (sorted[low], sorted[high]);
    if below == above {
        below
    } else {
        below + (above - below) * (position - position.floor())
    }
}

/// Rounds to nine significant digits, the precision of an f32. For numbers in a manifest that only people and drift measures read.
pub(crate) fn round_to_nine_digits(x: f64) -> f64 {
    format!("{x:.8e}").parse().unwrap_or(x)
}

/// Converts a count.
#[expect(clippy::cast_precision_loss, reason = "counts of rows, far below 2^53")]
pub(crate) fn float(count: usize) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_interpolate_between_neighbours() {
        let sorted = [1.0, 2.0, 4.0, 8.0];
        for (share, want) in [(0.0, 1.0), (0.5, 3.0), (0.25, 1.75), (0.9, 6.8), (1.0, 8.0)] {
            let got = quantile(&sorted, share);
            assert!(
                (got - want).abs() < 1e-12,
                "at {share}: got {got}, wants {want}"
            );
        }
        assert_eq!(quantile(&[7.0], 0.3).to_string(), "7");
    }

    #[test]
    fn moments_are_those_of_the_population() {
        let (mean, std) = moments(&[2.0, 4.0, 4.0, 4.0, 5.0, 5.0, 7.0, 9.0]);
        assert_eq!(
            (mean.to_string(), std.to_string()),
            ("5".into(), "2".into())
        );
    }

    #[test]
    fn rounded_numbers_have_nine_digits() {
        let f32_as_f64 = f64::from(0.1f32);
        for (x, want) in [
            (f32_as_f64, "0.100000001"),
            (12_345_678_912.0, "12345678900"),
            (3.5, "3.5"),
        ] {
            assert_eq!(round_to_nine_digits(x).to_string(), want);
        }
    }
}
