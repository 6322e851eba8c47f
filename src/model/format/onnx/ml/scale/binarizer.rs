//! Binarizer: 1 above a threshold, otherwise 0.

use super::super::super::operator::{Entry, Fact, Inputs, Lowered, Node, Operator};
use super::super::super::value::Value;
use super::super::matrix::{NUMBERS, accepted};
use crate::model::payload::TensorData;

/// The entry in the table of operators.
pub(in super::super) const ENTRY: Entry = Entry {
    name: "Binarizer",
    since: 1,
    attributes: &["threshold"],
    lower,
};

#[derive(Debug)]
struct Binarizer {
    threshold: f64,
}

fn lower(node: &Node<'_>) -> Result<Lowered, String> {
    let fact = accepted(node, 0, NUMBERS)?;
    let threshold = f64::from(node.float("threshold")?.unwrap_or(0.0));
    if threshold.is_nan() {
        return Err("attribute threshold: got NaN, expected a number".into());
    }
    let output = Fact::new(fact.datatype, fact.shape.clone(), fact.rows);
    let cost = fact.elements_per_row();
    Ok(Lowered::new(Binarizer { threshold }, vec![output], cost))
}

impl Binarizer {
    /// Returns whether a number is above the threshold. scikit-learn and ONNX Runtime both refuse NaN.
    fn is_above(&self, x: f64) -> Result<bool, String> {
        if x.is_nan() {
            return Err("input 0: a value is missing (NaN), expected numbers".into());
        }
        Ok(x > self.threshold)
    }
}

impl Operator for Binarizer {
    fn run(&self, inputs: &mut Inputs<'_>) -> Result<Vec<Value>, String> {
        let (shape, mut data) = inputs.take(0)?.into_parts();
        match &mut data {
            TensorData::Fp32(values) => {
                for value in values {
                    *value = f32::from(u8::from(self.is_above(f64::from(*value))?));
                }
            }
            TensorData::Fp64(values) => {
                for value in values {
                    *value = f64::from(u8::from(self.is_above(*value)?));
                }
            }
            TensorData::Int32(values) => {
                for value in values {
                    *value = i32::from(self.is_above(f64::from(*value))?);
                }
            }
            TensorData::Int64(values) => {
                for value in values {
                    *value = i64::from(self.is_above(*value as f64)?);
                }
            }
            other => {
                let got = other.datatype();
                return Err(format!("input 0: got {got}, expected numbers"));
            }
        }
        Ok(vec![Value::new(shape, data)?])
    }
}
