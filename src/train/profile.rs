//! Computes the reference profile: the distribution of features and predictions on the training rows.

use std::collections::BTreeMap;

use super::fit::Column;
use super::spec::Feature;
use super::table::Sample;
use crate::model::manifest::raw::{Profile, Reference};
use crate::model::payload::Datatype;
use crate::model::profile::{of_numbers, of_texts};

/// Returns the profile of `samples` and `predictions`. `predictions` has one value per sample under each name.
pub(super) fn reference(
    features: &[Feature],
    samples: &[Sample],
    predictions: BTreeMap<String, Vec<f64>>,
) -> Reference {
    let open_features = features
        .iter()
        .enumerate()
        .filter(|(_, feature)| !feature.sensitive.is_sensitive());
    let profile = |(at, feature): (usize, &Feature)| {
        (
            feature.name.clone(),
            of_column(feature.datatype, &Column { samples, at }),
        )
    };
    let of_prediction = |(name, mut values): (String, Vec<f64>)| {
        values.sort_by(f64::total_cmp);
        (name, of_numbers(&values, 0))
    };
    Reference {
        rows: count(samples.len()),
        features: open_features.map(profile).collect(),
        predictions: predictions.into_iter().map(of_prediction).collect(),
    }
}

fn of_column(datatype: Datatype, column: &Column<'_>) -> Profile {
    let missing = count(column.missing());
    if datatype == Datatype::Bytes {
        of_texts(&column.texts(), missing)
    } else {
        of_numbers(&column.numbers(), missing)
    }
}

fn count(rows: usize) -> u64 {
    u64::try_from(rows).unwrap_or(u64::MAX)
}
