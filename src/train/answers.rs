//! From logits to what a version answers, and the golden rows that hold it to it.

use std::collections::BTreeMap;

use serde_json::Value;

use super::encode::narrow;
use super::fit::{Column, number};
use super::spec::{Feature, Kind};
use super::table::Sample;
use crate::model::manifest::raw::Head;
use crate::model::payload::{Cell, Datatype, Row};

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

/// Real rows, spread evenly over `samples`, as a request would send them, but without anybody's sensitive values.
pub(super) fn golden_rows(
    features: &[Feature],
    samples: &[Sample],
) -> Vec<BTreeMap<String, Value>> {
    let stand_ins: Vec<Option<Value>> = features
        .iter()
        .enumerate()
        .map(|(at, feature)| stand_in(feature, &Column { samples, at }))
        .collect();
    let count = GOLDEN.min(samples.len());
    let spread = (0..count).map(|at| &samples[at * (samples.len() - 1) / (count - 1).max(1)]);
    let row = |sample: &Sample| {
        let cells = features.iter().zip(&sample.cells).zip(&stand_ins);
        let value =
            |((feature, (name, cell)), stand_in): ((&Feature, &(String, Cell)), &Option<Value>)| {
                let value = match cell {
                    _ if feature.sensitive.is_sensitive() => stand_in.clone()?,
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

/// What golden rows hold in place of a sensitive value: the column's typical one where the network uses it, and nothing that
/// came from the rows where it does not. `None`: left out.
fn stand_in(feature: &Feature, column: &Column<'_>) -> Option<Value> {
    match (&feature.kind, feature.datatype) {
        (Kind::Ignore { optional: true }, _) => None,
        (Kind::Ignore { optional: false }, Datatype::Bytes) => Some("".into()),
        (Kind::Ignore { optional: false }, datatype) => Some(number(0.0, datatype)),
        (_, datatype) => column.typical(datatype),
    }
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
    use crate::model::Sensitivity;
    use crate::model::manifest::raw::ScaleKind;
    use crate::train::spec::Missing;

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
        let feature = |name: &str, datatype, sensitive, kind| Feature {
            name: name.into(),
            column: name.into(),
            datatype,
            sensitive,
            kind,
        };
        let (scale, range, missing) = (ScaleKind::None, None, Missing::Reject);
        let numeric = Kind::Numeric {
            scale,
            range,
            missing,
        };
        let features = [
            feature("age", Datatype::Int64, Sensitivity::Hidden, numeric),
            feature(
                "seat",
                Datatype::Int64,
                Sensitivity::Open,
                Kind::Ignore { optional: true },
            ),
            feature(
                "name",
                Datatype::Bytes,
                Sensitivity::Hidden,
                Kind::Ignore { optional: false },
            ),
            feature(
                "phone",
                Datatype::Bytes,
                Sensitivity::Hidden,
                Kind::Ignore { optional: true },
            ),
        ];
        let text = |at: u32| Cell::Text(format!("secret {at}"));
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
                ("name".into(), text(at)),
                ("phone".into(), text(at)),
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
        let hidden =
            |row: &BTreeMap<String, Value>| row["name"] == "" && !row.contains_key("phone");
        assert!(rows.iter().all(hidden), "needed, and not needed");
        assert_eq!(
            golden_rows(&features, &samples[..1]).len(),
            1,
            "as many as there are"
        );
    }
}
