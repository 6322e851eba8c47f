//! From logits to what a version answers, and the golden rows that hold it to it.

use std::collections::BTreeMap;

use serde_json::Value;

use super::encode::narrow;
use super::fit::{Column, number};
use super::spec::Feature;
use super::table::Sample;
use crate::model::manifest::raw::Head;
use crate::model::payload::{Cell, Row};

/// Golden rows of one version.
const GOLDEN: usize = 8;

/// The answers to `logits`, which hold `width` numbers per row, as do they.
pub(super) fn of_logits(head: Head, logits: &[f32], width: usize) -> Vec<f32> {
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

/// The answers under the names that the reference profile gives them.
pub(super) fn by_name(
    head: Head,
    answers: &[f32],
    width: usize,
    classes: &[String],
) -> BTreeMap<String, Vec<f64>> {
    let column = |at: usize| {
        let values = answers.iter().skip(at).step_by(width);
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

/// Real rows, spread evenly over `samples`, as a request would send them. A sensitive value is nobody's: the column's
/// typical one stands in.
pub(super) fn golden_rows(
    features: &[Feature],
    samples: &[Sample],
) -> Vec<BTreeMap<String, Value>> {
    let typical: Vec<Option<Value>> = features
        .iter()
        .enumerate()
        .map(|(at, feature)| {
            let column = Column { samples, at };
            feature
                .sensitive
                .then(|| column.typical(feature.datatype))
                .flatten()
        })
        .collect();
    let count = GOLDEN.min(samples.len());
    let spread = (0..count).map(|at| &samples[at * (samples.len() - 1) / (count - 1).max(1)]);
    let row = |sample: &Sample| {
        let cells = features.iter().zip(&sample.cells).zip(&typical);
        let value =
            |((feature, (name, cell)), typical): ((&Feature, &(String, Cell)), &Option<Value>)| {
                let value = match cell {
                    _ if feature.sensitive => typical.clone()?,
                    Cell::Number(x) => number(*x, feature.datatype),
                    Cell::Bool(value) => (*value).into(),
                    Cell::Text(text) => text.as_str().into(),
                    Cell::Missing | Cell::List(_) | Cell::Object => return None,
                };
                Some((name.clone(), value))
            };
        cells.filter_map(value).collect()
    };
    spread.map(row).collect()
}

/// A golden row as cells.
pub(super) fn cells(row: &BTreeMap<String, Value>) -> Row {
    let cells = row
        .iter()
        .map(|(name, value)| (name.clone(), Cell::from(value)));
    cells.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::payload::Datatype;
    use crate::train::spec::Kind;

    #[test]
    fn answers_follow_the_head() {
        let near = |got: Vec<f32>, want: &[f32]| {
            assert_eq!(got.len(), want.len());
            for (got, want) in got.iter().zip(want) {
                assert!((got - want).abs() < 1e-6, "got {got}, wants {want}");
            }
        };
        near(
            of_logits(Head::Sigmoid, &[0.0, 100.0, -1.0], 1),
            &[0.5, 1.0, 0.268_941_4],
        );
        near(
            of_logits(
                Head::Softmax,
                &[1000.0, 1000.0, 0.0, 0.0, 2f32.ln(), 0.0],
                3,
            ),
            &[0.5, 0.5, 0.0, 0.25, 0.5, 0.25],
        );
        near(of_logits(Head::Identity, &[-3.5], 1), &[-3.5]);
    }

    #[test]
    fn softmax_answers_are_named_by_class_and_others_by_output() {
        let classes = ["a".to_owned(), "b".into()];
        let named = by_name(Head::Softmax, &[0.25, 0.75, 0.5, 0.5], 2, &classes);
        assert_eq!(
            named,
            BTreeMap::from([("a".into(), vec![0.25, 0.5]), ("b".into(), vec![0.75, 0.5])])
        );
        assert!(by_name(Head::Sigmoid, &[0.5], 1, &classes).contains_key("probability"));
        assert!(by_name(Head::Identity, &[0.5], 1, &[]).contains_key("value"));
    }

    #[test]
    fn golden_rows_reach_from_the_first_to_the_last_and_show_no_sensitive_value() {
        let feature = |name: &str, sensitive| Feature {
            name: name.into(),
            column: name.into(),
            datatype: Datatype::Int64,
            sensitive,
            kind: Kind::Ignore { optional: true },
        };
        let features = [feature("age", true), feature("seat", false)];
        let sample = |at: u32| Sample {
            line: at.into(),
            when: None,
            truth: 0.0,
            cells: vec![
                ("age".into(), Cell::Number(f64::from(at % 3))),
                (
                    "seat".into(),
                    if at == 0 {
                        Cell::Missing
                    } else {
                        Cell::Number(at.into())
                    },
                ),
            ],
        };
        let samples: Vec<Sample> = (0..100).map(sample).collect();
        let rows = golden_rows(&features, &samples);
        assert_eq!(rows.len(), GOLDEN);
        assert!(
            rows.iter().all(|row| row["age"] == 1),
            "the median, whose ever row it is"
        );
        assert_eq!((rows[0].get("seat"), &rows[7]["seat"]), (None, &99.into()));
        assert_eq!(
            golden_rows(&features, &samples[..1]).len(),
            1,
            "as many as there are"
        );
    }
}
