//! The buckets of a version's score histograms.

use super::table::PROBABILITY;
use crate::model::manifest::Manifest;

/// A regression has at most this many buckets.
const MOST: usize = 40;

/// Returns the upper bounds of the buckets: twentieths for probabilities. For a regression they are the twentieths of the
/// predictions in training, so that each bucket held about as many rows there. Without a reference profile they are powers
/// of ten on both sides of zero.
pub(super) fn score_buckets(manifest: &Manifest) -> Vec<f64> {
    if !manifest.signature.classes.is_empty() {
        return PROBABILITY.to_vec();
    }
    let reference = manifest
        .about
        .reference
        .as_ref()
        .map(|reference| &reference.predictions);
    let mut buckets: Vec<f64> = reference
        .into_iter()
        .flat_map(|predictions| predictions.values())
        .filter_map(|profile| profile.quantiles.as_ref())
        .flat_map(|quantiles| quantiles.iter().step_by(5).copied())
        .collect();
    if buckets.is_empty() {
        let decades = (-3..=6).map(|power| 10f64.powi(power));
        buckets.extend(decades.clone().map(|bound| -bound));
        buckets.push(0.0);
        buckets.extend(decades);
    }
    buckets.sort_by(f64::total_cmp);
    buckets.dedup();
    let step = buckets.len().div_ceil(MOST).max(1);
    buckets.into_iter().step_by(step).collect()
}
