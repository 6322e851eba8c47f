//! A plain evaluation of the trees, and of the answers that LightGBM gave.

use serde_json::Value;

use crate::model::trees::{
    Ensemble, FeatureKind, Leaf, Link, Missing, Node, Test, Tree, TreeModel,
};

/// LightGBM's zero: 1e-35 as f32.
const ZERO: f64 = 1.000_000_018_002_509_5e-35;

/// Returns the sums of a row, divided as the ensemble says.
pub(super) fn sums(ensemble: &Ensemble, row: &[f64]) -> Vec<f64> {
    let mut sums = vec![0.0; ensemble.outputs];
    for tree in &ensemble.trees {
        match leaf(tree, row) {
            Leaf::One { output, value } => sums[*output as usize] += value,
            Leaf::Many(values) => {
                for (output, value) in values {
                    sums[*output as usize] += value;
                }
            }
            Leaf::Linear {
                output,
                constant,
                terms,
                if_missing,
            } => {
                let is_missing = terms.iter().any(|(input, _)| row[*input as usize].is_nan());
                let sum = terms.iter().fold(*constant, |sum, (input, factor)| {
                    sum + factor * row[*input as usize]
                });
                sums[*output as usize] += if is_missing { *if_missing } else { sum };
            }
        }
    }
    let bases = ensemble.base.iter();
    sums.iter()
        .zip(bases)
        .map(|(sum, base)| base + sum / ensemble.divisor)
        .collect()
}

fn leaf<'t>(tree: &'t Tree, row: &[f64]) -> &'t Leaf {
    let mut at = 0;
    loop {
        match &tree.nodes[at as usize] {
            Node::Leaf(leaf) => return leaf,
            Node::Split {
                input,
                test,
                missing,
                yes,
                no,
            } => {
                let goes_left = holds(test, *missing, row[*input as usize]);
                at = if goes_left { *yes } else { *no };
            }
        }
    }
}

fn holds(test: &Test, missing: Missing, x: f64) -> bool {
    let is_zero = x.abs() <= ZERO;
    match missing {
        Missing::Yes if x.is_nan() => return true,
        Missing::No if x.is_nan() => return false,
        Missing::ZeroYes if x.is_nan() || is_zero => return true,
        Missing::ZeroNo if x.is_nan() || is_zero => return false,
        _ => {}
    }
    let x = if x.is_nan() { 0.0 } else { x };
    match test {
        Test::LessOrEqual(threshold) => x <= *threshold,
        Test::In {
            codes,
            truncates_first: true,
        } => {
            let code = x.trunc();
            code >= 0.0 && codes.iter().any(|&other| f64::from(other) == code)
        }
        other => panic!("LightGBM has no {other:?}"),
    }
}

/// Returns the predictions of a row from its sums.
pub(super) fn predictions(link: Link, sums: &[f64]) -> Vec<f64> {
    let each = |function: &dyn Fn(f64) -> f64| sums.iter().map(|&x| function(x)).collect();
    match link {
        Link::Identity => sums.to_vec(),
        Link::Sigmoid { slope, .. } => each(&|x| 1.0 / (1.0 + (-slope * x).exp())),
        Link::Exp(_) => each(&f64::exp),
        Link::SignedSquare => each(&|x| x.signum() * x * x),
        Link::Log1pExp => each(&|x| x.exp().ln_1p()),
        Link::Softmax(_) => {
            let largest = sums.iter().copied().fold(f64::MIN, f64::max);
            let total: f64 = sums.iter().map(|x| (x - largest).exp()).sum();
            each(&|x| (x - largest).exp() / total)
        }
        other => panic!("LightGBM has no {other:?}"),
    }
}

/// Compares a model with the answers in a document of the form of the fixtures. Returns the largest difference, relative to the
/// answer if that is above 1.
pub(super) fn largest_difference(model: &TreeModel, document: &Value) -> f64 {
    let rows = rows(model, &document["inputs"]);
    let mut largest = 0.0_f64;
    for (name, answers) in document["expected"].as_object().unwrap() {
        let answers = answers.as_array().unwrap();
        assert_eq!(answers.len(), rows.len());
        for (row, answer) in rows.iter().zip(answers) {
            let sums = sums(&model.ensemble, row);
            let ours = match name.as_str() {
                "raw" => sums,
                _ => predictions(model.link, &sums),
            };
            let theirs = match answer {
                Value::Array(values) => values.iter().map(|x| x.as_f64().unwrap()).collect(),
                value => vec![value.as_f64().unwrap()],
            };
            assert_eq!(ours.len(), theirs.len(), "{name}");
            for (ours, theirs) in ours.iter().zip(theirs) {
                largest = largest.max((ours - theirs).abs() / theirs.abs().max(1.0));
            }
        }
    }
    largest
}

/// Returns the rows as the trees expect them: categories by their codes.
fn rows(model: &TreeModel, inputs: &Value) -> Vec<Vec<f64>> {
    let cell = |input: usize, value: &Value| code(&model.features[input].kind, value);
    if let Some(rows) = inputs.get("rows") {
        let rows = rows.as_array().unwrap().iter();
        let row = |row: &Value| {
            let values = row.as_array().unwrap().iter().enumerate();
            values.map(|(input, value)| cell(input, value)).collect()
        };
        return rows.map(row).collect();
    }
    let columns: Vec<&Vec<Value>> = model
        .features
        .iter()
        .map(|feature| inputs[feature.name.as_ref().unwrap()].as_array().unwrap())
        .collect();
    (0..columns[0].len())
        .map(|row| {
            let cells = columns.iter().enumerate();
            cells
                .map(|(input, column)| cell(input, &column[row]))
                .collect()
        })
        .collect()
}

fn code(kind: &FeatureKind, value: &Value) -> f64 {
    let number = || match value {
        Value::Null => f64::NAN,
        Value::Bool(value) => f64::from(u8::from(*value)),
        value => value.as_f64().expect("a number"),
    };
    let position = |at: Option<usize>| at.map_or(f64::NAN, |at| at as f64);
    match kind {
        FeatureKind::Texts(texts) => position(texts.iter().position(|text| value == text)),
        FeatureKind::Integers(list) => {
            position(list.iter().position(|&integer| integer as f64 == number()))
        }
        _ => number(),
    }
}
