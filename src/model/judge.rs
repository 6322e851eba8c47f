//! What is judged of the outputs of a forward pass: a matrix of scores.
//!
//! Statistics, comparisons, drift and outcomes work from that matrix, whatever the outputs are.

use super::batch::Value;
use super::payload::{Datatype, TensorData};
use super::scoring::{Outputs, Pass, Scores, TopClass};
use super::signature::{Output, Prediction, PredictionKind, Signature};
use crate::error::ForwardError;

/// Checks the outputs of a model against its signature, and derives the scores.
///
/// # Errors
/// Returns an error if an output has another type or shape than the signature says, or if a score is not finite.
pub(super) fn pass(
    signature: &Signature,
    rows: usize,
    outputs: Outputs,
) -> Result<Pass, ForwardError> {
    let prediction = &signature.prediction;
    let is_summarised = prediction.kind.is_summarised();
    let outputs = match outputs {
        // Clients get the only output, which differs from the scores that are judged.
        Outputs::Scores(values) if is_summarised => {
            Outputs::Tensors(vec![values.into_tensor(signature.judged())])
        }
        other => other,
    };
    let (scores, tensors) = match outputs {
        Outputs::Scores(scores) => (scores, None),
        Outputs::Tensors(tensors) => {
            check(signature, rows, &tensors)?;
            let judged = &tensors[prediction.output];
            let scores = scores(judged, rows, prediction, &signature.classes)?;
            (scores, Some(tensors))
        }
    };
    let columns = prediction.columns;
    let (got, expected) = (scores.as_slice().len(), rows * columns);
    if scores.columns() != columns || got != expected {
        return Err(failed(format!(
            "{rows} rows got {got} scores, expected {expected}"
        )));
    }
    if let Some(at) = scores.as_slice().iter().position(|x| !x.is_finite()) {
        return Err(ForwardError::NotFinite { row: at / columns });
    }
    Ok(Pass {
        scores,
        tensors,
        summarised: is_summarised.then_some(prediction.output),
    })
}

fn failed(message: String) -> ForwardError {
    ForwardError::Failed(message)
}

fn check(signature: &Signature, rows: usize, tensors: &[Value]) -> Result<(), ForwardError> {
    let outputs = signature.outputs();
    if tensors.len() != outputs.len() {
        let (got, expected) = (tensors.len(), outputs.len());
        return Err(failed(format!("got {got} outputs, expected {expected}")));
    }
    for (output, tensor) in outputs.iter().zip(tensors) {
        let elements: usize = tensor.shape.iter().product();
        let has_shape = has_shape(output, rows, &tensor.shape);
        let has_type = tensor.data.datatype() == output.datatype;
        if !has_type || !has_shape || elements != tensor.data.len() {
            return Err(failed(format!(
                "output `{}` is {} {:?} for {rows} rows, expected {} {:?}",
                output.name,
                tensor.data.datatype(),
                tensor.shape,
                output.datatype,
                output.shape.to_wire()
            )));
        }
    }
    Ok(())
}

fn has_shape(output: &Output, rows: usize, shape: &[usize]) -> bool {
    let axes = match (output.shape.batched, shape) {
        (true, [first, axes @ ..]) if *first == rows => axes,
        (false, axes) => axes,
        _ => return false,
    };
    axes.len() == output.shape.axes.len()
        && axes
            .iter()
            .zip(&output.shape.axes)
            .all(|(axis, wanted)| wanted.is_none_or(|wanted| wanted == *axis))
}

/// Returns the scores of the output that is judged.
fn scores(
    tensor: &Value,
    rows: usize,
    prediction: &Prediction,
    classes: &[String],
) -> Result<Scores, ForwardError> {
    match prediction.kind {
        PredictionKind::Labels => labels(&tensor.data, classes),
        PredictionKind::Embedding(_) => {
            let values = numbers(&tensor.data)?;
            let width = values.len() / rows.max(1);
            // A vector of no numbers has the norm 0.
            let vector = |row| norm(&values[row * width..(row + 1) * width]);
            Scores::new((0..rows).map(vector).collect(), 1)
        }
        _ => Scores::new(numbers(&tensor.data)?, prediction.columns),
    }
}

/// Returns the Euclidean norm, computed in f64.
fn norm(values: &[f32]) -> f32 {
    let squares = values.iter().map(|x| f64::from(*x) * f64::from(*x));
    saturated(squares.sum::<f64>().sqrt())
}

/// Returns the nearest finite f32 of a finite number: clients get the answer as it is, and only what is judged is f32.
#[expect(clippy::cast_possible_truncation, reason = "scores are f32")]
fn saturated(x: f64) -> f32 {
    let nearest = x as f32;
    if nearest.is_infinite() && x.is_finite() {
        return f32::MAX.copysign(nearest);
    }
    nearest
}

/// Returns the elements of a numeric tensor as f32.
fn numbers(data: &TensorData) -> Result<Vec<f32>, ForwardError> {
    if let TensorData::Fp32(values) = data {
        return Ok(values.clone());
    }
    if let TensorData::Fp64(values) = data {
        return Ok(values.iter().map(|x| saturated(*x)).collect());
    }
    let mut numbers = Vec::with_capacity(data.len());
    super::encode::each_number(data, |x| numbers.push(x));
    if numbers.len() < data.len() {
        let datatype = data.datatype();
        return Err(failed(format!("the output that is judged is {datatype}")));
    }
    Ok(numbers)
}

/// Returns one column per class: 1 for the class of the row, and 0 for the others.
fn labels(data: &TensorData, classes: &[String]) -> Result<Scores, ForwardError> {
    let mut scores = vec![0.0; data.len() * classes.len()];
    let mut unknown = None;
    let mut at = 0;
    let mut mark = |class: Option<usize>, label: &dyn std::fmt::Display| {
        match class {
            Some(class) => scores[at * classes.len() + class] = 1.0,
            None => unknown = unknown.take().or(Some(label.to_string())),
        }
        at += 1;
    };
    let named = |name: &str| classes.iter().position(|class| class == name);
    if let (Datatype::Bytes, TensorData::Bytes(texts)) = (data.datatype(), data) {
        for text in texts {
            let text = String::from_utf8_lossy(text);
            mark(named(&text), &text);
        }
    } else {
        super::encode::each_label(data, |label| mark(named(&label), &label));
    }
    match unknown {
        Some(label) => Err(failed(format!(
            "the model answered the unknown class {label:?}"
        ))),
        None => Scores::new(scores, classes.len()),
    }
}

/// Returns the most probable class for the scores of one row; `None` if no class is predicted. Of equally probable classes, it is the
/// second if its probability is the only column, and otherwise the first.
pub(super) fn top_class(prediction: &Prediction, row: &[f32]) -> Option<TopClass> {
    match row {
        _ if !prediction.kind.has_classes() => None,
        [p] if *p >= 0.5 => Some(TopClass {
            index: 1,
            probability: *p,
        }),
        [p] => Some(TopClass {
            index: 0,
            probability: 1.0 - p,
        }),
        [first, rest @ ..] => {
            let mut top = TopClass {
                index: 0,
                probability: *first,
            };
            for (at, p) in rest.iter().enumerate() {
                if *p > top.probability {
                    (top.index, top.probability) = (at + 1, *p);
                }
            }
            Some(top)
        }
        [] => None,
    }
}
