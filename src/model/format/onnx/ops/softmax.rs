//! Softmax and its logarithm.

use super::axes::split;
use super::number::Number;
use super::with_float;
use crate::model::format::onnx::fact::{Fact, Meaning};
use crate::model::format::onnx::infer::{self, axis, expect_type, mixing};
use crate::model::format::onnx::operator::{Entry, Inputs, Lowered, Node, Operator};
use crate::model::format::onnx::rows::{InPlace, Step};
use crate::model::format::onnx::value::Value;
use crate::model::payload::Datatype;

pub(super) const OPERATORS: &[Entry] = &[
    Entry {
        name: "Softmax",
        since: 1,
        attributes: &["axis"],
        lower,
    },
    Entry {
        name: "LogSoftmax",
        since: 1,
        attributes: &["axis"],
        lower,
    },
];

/// The first version in which the operators are along one axis. Before, they are along all axes from one on.
const ONE_AXIS: i64 = 13;

fn lower(node: &Node<'_>) -> Result<Lowered, String> {
    let input = node.input(0)?.fact;
    expect_type(input.datatype, &[Datatype::Fp32, Datatype::Fp64])?;
    let one_axis = node.version >= ONE_AXIS;
    let default = if one_axis { -1 } else { 1 };
    let at = node.int("axis")?.unwrap_or(default);
    let (mut is_last, mut rows) = (at == -1, infer::all_constant([input]));
    if let Some(rank) = input.rank() {
        let at = axis(at, rank)?;
        is_last = at + 1 == rank;
        rows = mixing(input.rows, |axis| axis == at || (!one_axis && axis > at));
    }
    let logarithm = node.operator() == "LogSoftmax";
    let meaning = if is_last && !logarithm {
        Meaning::Probabilities
    } else {
        Meaning::Unknown
    };
    let output = Fact::new(input.datatype, input.shape.clone(), rows).with_meaning(meaning);
    let cost = input.elements_per_row().saturating_mul(10);
    if is_last && input.datatype == Datatype::Fp32 {
        let step = if logarithm {
            InPlace::LogSoftmax
        } else {
            InPlace::Softmax
        };
        return Ok(Lowered::steps(vec![Step::InPlace(step)], output, cost));
    }
    let operator = Softmax {
        axis: at,
        one_axis,
        logarithm,
    };
    Ok(Lowered::new(operator, vec![output], cost))
}

/// Softmax along any axis. Computed in f64.
#[derive(Debug)]
struct Softmax {
    axis: i64,
    one_axis: bool,
    logarithm: bool,
}

impl Operator for Softmax {
    fn run(&self, inputs: &mut Inputs<'_>) -> Result<Vec<Value>, String> {
        let input = inputs.take(0)?;
        with_float!(input.datatype(), T => self.apply::<T>(input))
    }
}

impl Softmax {
    fn apply<T: Number>(&self, input: Value) -> Result<Vec<Value>, String> {
        let shape = input.shape().to_vec();
        let at = axis(self.axis, shape.len())?;
        let (outer, mut length, mut inner) = split(&shape, at);
        if !self.one_axis {
            length *= inner;
            inner = 1;
        }
        let mut values = input.into_elements::<T>()?;
        for block in 0..outer {
            for column in 0..inner {
                let start = block * length * inner + column;
                let places = (0..length).map(|step| start + step * inner);
                let largest = places
                    .clone()
                    .map(|at| values[at])
                    .fold(T::LOWEST, T::larger)
                    .as_f64();
                let power = |x: T| (x.as_f64() - largest).exp();
                let sum: f64 = places.clone().map(|at| power(values[at])).sum();
                for at in places {
                    let x = values[at];
                    values[at] = T::from_f64(if self.logarithm {
                        x.as_f64() - largest - sum.ln()
                    } else {
                        power(x) / sum
                    });
                }
            }
        }
        Ok(vec![Value::of(shape, values)?])
    }
}
