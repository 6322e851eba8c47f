//! Turns logits into predictions, as a version does when it serves.

use std::collections::BTreeMap;

use super::encode::narrow;
use crate::model::manifest::raw::Head;

/// Returns the predictions for `logits`. Both have `width` numbers per row.
pub(super) fn from_logits(head: Head, logits: &[f32], width: usize) -> Vec<f32> {
    let softmax = |row: &[f32]| -> Vec<f32> {
        let largest = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let powers: Vec<f64> = row.iter().map(|x| f64::from(x - largest).exp()).collect();
        let sum: f64 = powers.iter().sum();
        powers.iter().map(|power| narrow(power / sum)).collect()
    };
    match head {
        Head::Sigmoid => {
            let sigmoid = |x: &f32| narrow(1.0 / (1.0 + (-f64::from(*x)).exp()));
            logits.iter().map(sigmoid).collect()
        }
        Head::Softmax => logits.chunks_exact(width).flat_map(softmax).collect(),
        Head::Identity => logits.to_vec(),
    }
}

/// Returns the predictions under the names of the reference profile.
pub(super) fn by_name(
    head: Head,
    predictions: &[f32],
    width: usize,
    classes: &[String],
) -> BTreeMap<String, Vec<f64>> {
    let column = |at: usize| {
        let values = predictions.iter().skip(at).step_by(width);
        values.map(|x| f64::from(*x)).collect()
    };
    match head {
        Head::Sigmoid => BTreeMap::from([("probability".into(), column(0))]),
        Head::Identity => BTreeMap::from([("value".into(), column(0))]),
        Head::Softmax => {
            let classes = classes.iter().cloned().enumerate();
            classes.map(|(at, class)| (class, column(at))).collect()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn predictions_depend_on_the_head() {
        let near = |got: Vec<f32>, want: &[f32]| {
            assert_eq!(got.len(), want.len());
            for (got, want) in got.iter().zip(want) {
                assert!((got - want).abs() < 1e-6, "got {got}, wants {want}");
            }
        };
        near(
            from_logits(Head::Sigmoid, &[0.0, 100.0, -1.0], 1),
            &[0.5, 1.0, 0.268_941_4],
        );
        near(
            from_logits(
                Head::Softmax,
                &[1000.0, 1000.0, 0.0, 0.0, 2f32.ln(), 0.0],
                3,
            ),
            &[0.5, 0.5, 0.0, 0.25, 0.5, 0.25],
        );
        near(from_logits(Head::Identity, &[-3.5], 1), &[-3.5]);
    }

    #[test]
    fn softmax_predictions_are_named_by_class_and_others_by_output() {
        let classes = ["a".to_owned(), "b".into()];
        let named = by_name(Head::Softmax, &[0.25, 0.75, 0.5, 0.5], 2, &classes);
        assert_eq!(
            named,
            BTreeMap::from([("a".into(), vec![0.25, 0.5]), ("b".into(), vec![0.75, 0.5])])
        );
        assert!(by_name(Head::Sigmoid, &[0.5], 1, &classes).contains_key("probability"));
        assert!(by_name(Head::Identity, &[0.5], 1, &[]).contains_key("value"));
    }
}
