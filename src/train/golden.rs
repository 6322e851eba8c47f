//! Chooses golden requests for a version and computes their answers.

use std::collections::BTreeMap;

use serde_json::Value;

use super::error::TrainError;
use super::fit::{Column, number};
use super::manifest;
use super::optimise::Examples;
use super::spec::{Feature, Kind, Spec};
use super::table::Sample;
use crate::model::Signature;
use crate::model::manifest::raw::Golden;
use crate::model::payload::{Cell, Datatype, Payload, Row};

/// Number of golden requests per version.
const COUNT: usize = 8;

/// Returns golden requests from `samples`, with the answers of `predict`.
///
/// # Errors
/// Returns an error if a golden row does not pass the signature's own checks, or if `predict` fails.
pub(super) fn golden(
    spec: &Spec,
    signature: &Signature,
    samples: &[Sample],
    predict: impl Fn(&Examples) -> Result<Vec<f32>, TrainError>,
) -> Result<Vec<Golden>, TrainError> {
    let rows = rows(&spec.features, samples);
    let payload = Payload::Rows(rows.iter().map(cells).collect());
    let encoded = signature
        .encode(&payload)
        .map_err(|faults| TrainError::Publish(format!("golden {faults}")))?;
    let predictions = predict(&Examples {
        rows: encoded.as_slice().to_vec(),
        columns: encoded.columns(),
        targets: vec![0.0; rows.len()],
    })?;
    let answers = predictions.chunks_exact(manifest::outputs(spec));
    let golden = rows.into_iter().zip(answers);
    Ok(golden
        .map(|(row, answer)| Golden {
            row,
            answer: answer.to_vec(),
            source: None,
        })
        .collect())
}

/// Returns real rows, spread evenly over `samples`, in the form of a request. Sensitive values are replaced.
fn rows(features: &[Feature], samples: &[Sample]) -> Vec<BTreeMap<String, Value>> {
    let replacements: Vec<Option<Value>> = features
        .iter()
        .enumerate()
        .map(|(at, feature)| replacement(feature, &Column { samples, at }))
        .collect();
    let count = COUNT.min(samples.len());
    let spread = (0..count).map(|at| &samples[at * (samples.len() - 1) / (count - 1).max(1)]);
    let row = |sample: &Sample| {
        let mut values = BTreeMap::new();
        for ((feature, (name, cell)), replacement) in
            features.iter().zip(&sample.cells).zip(&replacements)
        {
            let value = match cell {
                _ if feature.sensitive.is_sensitive() => replacement.clone(),
                Cell::Number(x) => Some(number(*x, feature.datatype)),
                Cell::Bool(value) => Some((*value).into()),
                Cell::Text(text) => Some(text.as_str().into()),
                Cell::Integer(x) => Some((*x).into()),
                Cell::Unsigned(x) => Some((*x).into()),
                Cell::Missing | Cell::List(_) | Cell::Object => None,
            };
            values.extend(value.map(|value| (name.clone(), value)));
        }
        values
    };
    spread.map(row).collect()
}

/// Returns the value that replaces sensitive values of a feature: a typical one if the network uses the feature, otherwise one that does
/// not come from the data. `None`: the input is omitted.
fn replacement(feature: &Feature, column: &Column<'_>) -> Option<Value> {
    match (&feature.kind, feature.datatype) {
        (Kind::Ignore { optional: true }, _) => None,
        (Kind::Ignore { optional: false }, Datatype::Bytes) => Some("".into()),
        (Kind::Ignore { optional: false }, datatype) => Some(number(0.0, datatype)),
        (_, datatype) => column.typical(datatype),
    }
}

fn cells(row: &BTreeMap<String, Value>) -> Row {
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
    fn golden_rows_are_spread_over_all_samples_and_contain_no_sensitive_value() {
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
            target: 0.0,
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
        let golden = rows(&features, &samples);
        assert_eq!(golden.len(), COUNT);
        assert!(
            golden.iter().all(|row| row["age"] == 1),
            "the median in every row"
        );
        assert_eq!(
            (golden[0].get("seat"), &golden[7]["seat"]),
            (None, &99.into())
        );
        let hidden =
            |row: &BTreeMap<String, Value>| row["name"] == "" && !row.contains_key("phone");
        assert!(golden.iter().all(hidden), "required, and optional");
        assert_eq!(
            rows(&features, &samples[..1]).len(),
            1,
            "as many as there are"
        );
    }
}
