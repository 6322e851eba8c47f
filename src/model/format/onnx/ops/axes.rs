//! Operators along one axis: the position of the largest or smallest element, and running sums.

use std::marker::PhantomData;

use super::number::Number;
use super::{with_number, with_type};
use crate::model::format::onnx::fact::{Dim, Fact, Rows};
use crate::model::format::onnx::infer::{self, axis, mixing};
use crate::model::format::onnx::operator::{Entry, Inputs, Lowered, Node, Operator};
use crate::model::format::onnx::value::Value;
use crate::model::payload::Datatype;

const ARG_ATTRIBUTES: &[&str] = &["axis", "keepdims", "select_last_index"];

pub(super) const OPERATORS: &[Entry] = &[
    Entry {
        name: "ArgMax",
        since: 1,
        attributes: ARG_ATTRIBUTES,
        lower: lower_position,
    },
    Entry {
        name: "ArgMin",
        since: 1,
        attributes: ARG_ATTRIBUTES,
        lower: lower_position,
    },
    Entry {
        name: "CumSum",
        since: 11,
        attributes: &["exclusive", "reverse"],
        lower: lower_running_sum,
    },
];

/// Returns the elements before an axis, along it, and after it, each as a product of lengths.
pub(super) fn split(shape: &[usize], axis: usize) -> (usize, usize, usize) {
    let outer = shape[..axis].iter().product();
    let inner = shape[axis + 1..].iter().product();
    (outer, shape[axis], inner)
}

/// Returns the fact of an output that has lost an axis of the input, or has length 1 there if `keeps`.
pub(super) fn without_axes(input: &Fact, datatype: Datatype, lost: &[usize], keeps: bool) -> Fact {
    let Some(shape) = &input.shape else {
        return Fact::new(datatype, None, infer::all_constant([input]));
    };
    let dims = shape.iter().enumerate();
    let dims = dims.filter_map(|(at, dim)| match lost.contains(&at) {
        true => keeps.then_some(Dim::Fixed(1)),
        false => Some(*dim),
    });
    let rows = match mixing(input.rows, |at| lost.contains(&at)) {
        Rows::Axis(at) if !keeps => {
            let before = lost.iter().filter(|lost| **lost < at).count();
            Rows::Axis(at - before)
        }
        rows => rows,
    };
    Fact::new(datatype, Some(dims.collect()), rows)
}

fn lower_position(node: &Node<'_>) -> Result<Lowered, String> {
    let input = node.input(0)?.fact;
    let at = node.int("axis")?.unwrap_or(0);
    let keeps = node.flag("keepdims")?.unwrap_or(true);
    let last = node.flag("select_last_index")?.unwrap_or(false);
    let lost = match input.rank() {
        Some(rank) => vec![axis(at, rank)?],
        None => Vec::new(),
    };
    let output = without_axes(input, Datatype::Int64, &lost, keeps);
    let cost = input.elements_per_row();
    let largest = node.operator() == "ArgMax";
    with_number!(input.datatype, T => {
        let better: fn(T, T) -> bool = match (largest, last) {
            (true, false) => |x, best| x > best,
            (true, true) => |x, best| x >= best,
            (false, false) => |x, best| x < best,
            (false, true) => |x, best| x <= best,
        };
        let operator = Position { axis: at, keeps, better };
        Ok(Lowered::new(operator, vec![output], cost))
    })
}

/// The position of the best element along an axis.
struct Position<T> {
    axis: i64,
    keeps: bool,
    better: fn(T, T) -> bool,
}

impl<T> std::fmt::Debug for Position<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Position({})", self.axis)
    }
}

impl<T: Number> Operator for Position<T> {
    fn run(&self, inputs: &mut Inputs<'_>) -> Result<Vec<Value>, String> {
        let input = inputs.get(0)?;
        let at = axis(self.axis, input.rank())?;
        let (outer, length, inner) = split(input.shape(), at);
        let values = input.elements::<T>()?;
        if length == 0 && outer * inner > 0 {
            return Err("got an axis of length 0, expected at least 1".into());
        }
        let mut result = Vec::with_capacity(outer * inner);
        for block in 0..outer {
            for column in 0..inner {
                let start = block * length * inner + column;
                let mut best = (0, values[start]);
                for step in 1..length {
                    let x = values[start + step * inner];
                    if (self.better)(x, best.1) {
                        best = (step, x);
                    }
                }
                result.push(i64::try_from(best.0).unwrap_or(i64::MAX));
            }
        }
        let mut shape = input.shape().to_vec();
        if self.keeps {
            shape[at] = 1;
        } else {
            shape.remove(at);
        }
        Ok(vec![Value::of(shape, result)?])
    }
}

fn lower_running_sum(node: &Node<'_>) -> Result<Lowered, String> {
    let input = node.input(0)?.fact;
    let axes = infer::constant_ints(node, 1)?;
    let [at] = *axes else {
        return Err(format!("got {} axes, expected 1", axes.len()));
    };
    let exclusive = node.flag("exclusive")?.unwrap_or(false);
    let reverse = node.flag("reverse")?.unwrap_or(false);
    let rows = match input.rank() {
        Some(rank) => {
            let at = axis(at, rank)?;
            mixing(input.rows, |axis| axis == at)
        }
        None => infer::all_constant([input]),
    };
    let output = Fact::new(input.datatype, input.shape.clone(), rows);
    with_type!(
        input.datatype,
        [Int32: i32, Int64: i64, Uint32: u32, Uint64: u64, Fp32: f32, Fp64: f64],
        T => {
            let operator = RunningSum::<T> { axis: at, exclusive, reverse, elements: PhantomData };
            Ok(Lowered::new(operator, vec![output], input.elements_per_row()).reading([0]))
        }
    )
}

/// The sums of the elements up to each one along an axis.
#[derive(Debug)]
struct RunningSum<T> {
    axis: i64,
    /// Whether a sum is without its own element.
    exclusive: bool,
    /// Whether sums run from the last element.
    reverse: bool,
    elements: PhantomData<T>,
}

impl<T: Number + std::fmt::Debug> Operator for RunningSum<T> {
    fn run(&self, inputs: &mut Inputs<'_>) -> Result<Vec<Value>, String> {
        let input = inputs.take(0)?;
        let shape = input.shape().to_vec();
        let at = axis(self.axis, shape.len())?;
        let (outer, length, inner) = split(&shape, at);
        let mut values = input.into_elements::<T>()?;
        for block in 0..outer {
            for column in 0..inner {
                let start = block * length * inner + column;
                let mut sum = T::ZERO;
                for step in 0..length {
                    let step = if self.reverse {
                        length - 1 - step
                    } else {
                        step
                    };
                    let x = &mut values[start + step * inner];
                    let before = sum;
                    sum = sum.add(*x);
                    *x = if self.exclusive { before } else { sum };
                }
            }
        }
        Ok(vec![Value::of(shape, values)?])
    }
}
