//! Which distributions of predictions a version has, under the names that metrics, statistics and profiles share.

use crate::model::{Scores, Signature, TopClass};

/// Up to this many columns each have their own score series, so that a model of a thousand classes does not make a
/// thousand histograms. Past it, classes share one series for the most probable, and only the first numbers have one.
const WITH_OWN_SCORE: usize = 10;

/// One name per column, after what the column predicts; `top` where there are too many classes.
pub(super) fn labels(signature: &Signature) -> Vec<String> {
    let (output, columns) = (&signature.output.name, signature.output.columns);
    match (&signature.classes[..], columns) {
        ([_, second], 1) => vec![second.clone()],
        ([], 1) => vec![output.clone()],
        ([], _) => (0..columns.min(WITH_OWN_SCORE))
            .map(|column| format!("{output}[{column}]"))
            .collect(),
        (classes, _) if classes.len() <= WITH_OWN_SCORE => classes.to_vec(),
        _ => vec!["top".to_owned()],
    }
}

/// Calls `record` with the place among `labels` and the value of each score that has a series; `classes` is how many the
/// version has.
#[inline]
pub(super) fn each_score(
    scores: &Scores,
    top: &[TopClass],
    classes: usize,
    labels: usize,
    mut record: impl FnMut(usize, f64),
) {
    if classes > WITH_OWN_SCORE {
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
