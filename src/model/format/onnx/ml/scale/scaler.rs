//! Scaler: `(x - offset) * scale`.

use super::super::super::operator::{Entry, Fact, Inputs, Lowered, Node, Operator};
use super::super::super::value::Value;
use super::super::attributes::{check_finite, check_length};
use super::super::matrix::{NUMBERS, accepted};
use super::{check_columns, check_per_column};
use crate::model::payload::{Datatype, TensorData};

/// The entry in the table of operators.
pub(in super::super) const ENTRY: Entry = Entry {
    name: "Scaler",
    since: 1,
    attributes: &["offset", "scale"],
    lower,
};

#[derive(Debug)]
struct Scaler {
    /// Offset and scale, of all columns or one per column.
    steps: Vec<(f64, f64)>,
}

fn lower(node: &Node<'_>) -> Result<Lowered, String> {
    let fact = accepted(node, 0, NUMBERS)?;
    let offset = node.floats("offset")?.unwrap_or_default();
    let scale = node.floats("scale")?.unwrap_or_default();
    check_per_column("offset", offset.len(), fact)?;
    check_length("scale", scale.len(), offset.len())?;
    check_finite("offset", offset)?;
    check_finite("scale", scale)?;
    let steps: Vec<_> = offset
        .iter()
        .zip(scale)
        .map(|(offset, scale)| (f64::from(*offset), f64::from(*scale)))
        .collect();
    let output = Fact::new(Datatype::Fp32, fact.shape.clone(), fact.rows);
    let cost = fact.elements_per_row();
    Ok(Lowered::new(Scaler { steps }, vec![output], cost))
}

impl Scaler {
    fn scaled<T: Copy>(&self, values: &[T], number: impl Fn(T) -> f64) -> Vec<f32> {
        let mut results = Vec::with_capacity(values.len());
        for row in values.chunks(self.steps.len()) {
            let pairs = row.iter().zip(&self.steps);
            let scaled = pairs.map(|(x, (offset, scale))| ((number(*x) - offset) * scale) as f32);
            results.extend(scaled);
        }
        results
    }
}

impl Operator for Scaler {
    fn run(&self, inputs: &mut Inputs<'_>) -> Result<Vec<Value>, String> {
        let value = inputs.get(0)?;
        check_columns(value, self.steps.len())?;
        // In f64, because scikit-learn subtracts its f64 means in f64.
        let results = match value.data() {
            TensorData::Fp32(values) => self.scaled(values, f64::from),
            TensorData::Fp64(values) => self.scaled(values, |x| x),
            TensorData::Int32(values) => self.scaled(values, f64::from),
            _ => self.scaled(value.elements::<i64>()?, |x| x as f64),
        };
        Ok(vec![Value::of(value.shape().to_vec(), results)?])
    }

    fn bytes(&self) -> usize {
        size_of_val(&*self.steps)
    }
}
