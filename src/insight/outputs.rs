//! The distributions of predictions that a version has, with the names that metrics, statistics and profiles share.

use crate::model::{Scores, Signature, TopClass};

/// Up to this many columns have a score series each. A model with more classes has one series for the most probable class; of more
/// numbers only the first have one. So a model of a thousand classes does not create a thousand histograms.
const MAX_OWN_SERIES: usize = 10;

/// Returns the names of the distributions: one per column, named after what the column predicts, or only `top` if there are too
/// many classes.
pub(super) fn labels(signature: &Signature) -> Vec<String> {
    let (output, columns) = (&signature.output.name, signature.output.columns);
    match (&signature.classes[..], columns) {
        ([_, second], 1) => vec![second.clone()],
        ([], 1) => vec![output.clone()],
        ([], _) => (0..columns.min(MAX_OWN_SERIES))
            .map(|column| format!("{output}[{column}]"))
            .collect(),
        (classes, _) if classes.len() <= MAX_OWN_SERIES => classes.to_vec(),
        _ => vec!["top".to_owned()],
    }
}

/// Calls `record` for each score that belongs to a distribution, with the place of the distribution among `labels` and the score.
/// `classes` is the number of classes of the version.
#[inline]
pub(super) fn each_score(
    scores: &Scores,
    top: &[TopClass],
    classes: usize,
    labels: usize,
    mut record: impl FnMut(usize, f64),
) {
    if classes > MAX_OWN_SERIES {
        for class in top {
            record(0, f64::from(class.probability));
        }
    } else {
        for row in scores.rows() {
            for (at, score) in row.iter().take(labels).enumerate() {
                record(at, f64::from(*score));
            }
        }
    }
}
