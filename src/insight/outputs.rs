//! The distributions of predictions that a version has, with the names that metrics, statistics and profiles share.

use crate::model::{PredictionKind, Scores, Signature, TopClass};

/// Up to this many columns have a score series each. A model with more classes has one series for the most probable class; of more
/// numbers only the first have one. So a model of a thousand classes does not create a thousand histograms.
const MAX_OWN_SERIES: usize = 10;

/// The name of the distribution of the norms of an embedding.
const NORM: &str = "norm";

/// Returns whether the version predicts how probable classes are. A label is a class without a probability.
pub(super) fn has_confidence(signature: &Signature) -> bool {
    signature.prediction.kind == PredictionKind::Probabilities
}

/// Returns the name of the distribution `label` in a reference profile. The only probability of two classes, and the norm of an
/// embedding, are there under the name of the output.
pub(super) fn profile_name<'a>(signature: &'a Signature, label: &'a str) -> &'a str {
    let prediction = &signature.prediction;
    match prediction.kind {
        PredictionKind::Probabilities if prediction.columns == 1 => &signature.judged().name,
        PredictionKind::Embedding(_) => &signature.judged().name,
        _ => label,
    }
}

/// Returns the names of the distributions: one per column, named after what the column predicts, or only `top` if there are too
/// many classes. Labels have none, because each is a class without a number.
pub(super) fn labels(signature: &Signature) -> Vec<String> {
    let (output, columns) = (&signature.judged().name, signature.prediction.columns);
    match signature.prediction.kind {
        PredictionKind::Labels => return Vec::new(),
        PredictionKind::Embedding(_) => return vec![NORM.to_owned()],
        _ => {}
    }
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
/// `classes` is the number of classes of the version, and `labels` the number of distributions.
#[inline]
pub(super) fn each_score(
    scores: &Scores,
    top: &[TopClass],
    classes: usize,
    labels: usize,
    mut record: impl FnMut(usize, f64),
) {
    if labels == 0 {
        return;
    }
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
