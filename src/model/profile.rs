//! Describes the distribution of a column, for the reference profile of a manifest.

use super::manifest::raw::Profile;
use super::numbers::{float, moments, quantile, round_to_nine_digits};

/// The most categories with their own count.
const MAX_CATEGORIES: usize = 200;

/// Returns the profile of numbers, which must be in ascending order.
pub(crate) fn of_numbers(sorted: &[f64], missing: u64) -> Profile {
    let (mean, std) = if sorted.is_empty() {
        (None, None)
    } else {
        some(moments(sorted))
    };
    let percent = |at: usize| round_to_nine_digits(quantile(sorted, float(at) / 100.0));
    Profile {
        missing,
        mean: mean.map(round_to_nine_digits),
        std: std.map(round_to_nine_digits),
        quantiles: (!sorted.is_empty()).then(|| (0..=100).map(percent).collect()),
        categories: None,
        other: None,
    }
}

/// Returns the profile of strings with their counts, which must be sorted by descending frequency.
pub(crate) fn of_texts(texts: &[(&str, u64)], missing: u64) -> Profile {
    let (listed, rest) = texts.split_at(texts.len().min(MAX_CATEGORIES));
    Profile {
        missing,
        mean: None,
        std: None,
        quantiles: None,
        categories: Some(
            listed
                .iter()
                .map(|(text, count)| ((*text).into(), *count))
                .collect(),
        ),
        other: Some(rest.iter().map(|(_, count)| count).sum()),
    }
}

fn some((mean, std): (f64, f64)) -> (Option<f64>, Option<f64>) {
    (Some(mean), Some(std))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_described_by_101_quantiles() {
        let sorted: Vec<f64> = (0..=200).map(f64::from).collect();
        let profile = of_numbers(&sorted, 3);
        let quantiles = profile.quantiles.unwrap();
        assert_eq!(
            (quantiles.len(), profile.missing, profile.mean),
            (101, 3, Some(100.0))
        );
        assert_eq!(
            [quantiles[0], quantiles[50], quantiles[100]],
            [0.0, 100.0, 200.0]
        );
        assert_eq!(profile.categories, None);
    }

    #[test]
    fn a_column_without_values_has_only_a_count_of_missing_ones() {
        let profile = of_numbers(&[], 7);
        assert_eq!(
            (profile.missing, profile.mean, profile.quantiles),
            (7, None, None)
        );
    }

    #[test]
    fn rare_categories_are_counted_together() {
        let names: Vec<String> = (0..203).map(|at| format!("{at:03}")).collect();
        let texts: Vec<(&str, u64)> = names.iter().map(|name| (name.as_str(), 2)).collect();
        let profile = of_texts(&texts, 0);
        assert_eq!(
            (profile.categories.unwrap().len(), profile.other),
            (200, Some(6))
        );
    }
}
