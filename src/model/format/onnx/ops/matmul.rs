//! Products of matrices.

use std::marker::PhantomData;

use pulp::Arch;

use super::layout::{Layout, broadcast_shape};
use super::number::Number;
use super::product;
use super::transpose::transposed;
use super::with_type;
use crate::model::format::onnx::fact::{Dim, Fact};
use crate::model::format::onnx::infer::{self, broadcast, same_type};
use crate::model::format::onnx::operator::{Entry, Inputs, Known, Lowered, Node, Operator};
use crate::model::format::onnx::rows::{Linear, Step};
use crate::model::format::onnx::value::{self, Value};
use crate::model::payload::Datatype;

pub(super) const OPERATORS: &[Entry] = &[Entry {
    name: "MatMul",
    since: 1,
    attributes: &[],
    lower: lower_matmul,
}];

/// Evaluates an expression with the type of elements of matrices.
macro_rules! with_matrix_type {
    ($datatype:expr, $T:ident => $result:expr) => {
        with_type!(
            $datatype,
            [Int32: i32, Int64: i64, Uint32: u32, Uint64: u64, Fp32: f32, Fp64: f64],
            $T => $result
        )
    };
}

fn lower_matmul(node: &Node<'_>) -> Result<Lowered, String> {
    let (a, b) = (node.input(0)?, node.input(1)?);
    same_type(a.fact, b.fact)?;
    let output = matmul_fact(a.fact, b.fact)?;
    let depth = a
        .fact
        .rank()
        .and_then(|rank| a.fact.dim(rank.checked_sub(1)?).fixed());
    let cost = output.elements_per_row().saturating_mul(depth.unwrap_or(1));
    if let Some(linear) = linear(a, b, false, 1.0)? {
        return Ok(Lowered::steps(vec![Step::Linear(linear)], output, cost));
    }
    with_matrix_type!(output.datatype, T => {
        let operator = MatMul::<T> { arch: Arch::new(), elements: PhantomData };
        Ok(Lowered::new(operator, vec![output], cost))
    })
}

/// Returns a matrix of constant weights, if `b` is one: `[depth, columns]`, or the transpose.
pub(super) fn linear(
    a: Known<'_>,
    b: Known<'_>,
    transposed_b: bool,
    alpha: f32,
) -> Result<Option<Linear>, String> {
    let (None, Some(weights)) = (a.constant, b.constant) else {
        return Ok(None);
    };
    let ([first, second], Datatype::Fp32) = (weights.shape(), weights.datatype()) else {
        return Ok(None);
    };
    if weights.len() == 0 || a.fact.rank() == Some(0) {
        return Ok(None);
    }
    let (ins, outs) = if transposed_b {
        (*second, *first)
    } else {
        (*first, *second)
    };
    let last = a.fact.rank().and_then(|rank| rank.checked_sub(1));
    if let Some(Dim::Fixed(width)) = last.map(|axis| a.fact.dim(axis))
        && width != ins
    {
        return Err(format!("got an input of width {width}, expected {ins}"));
    }
    let values = weights.elements::<f32>()?;
    let mut weight = if transposed_b {
        values.to_vec()
    } else {
        transposed(values, weights.shape(), &[1, 0])
    };
    if alpha != 1.0 {
        weight.iter_mut().for_each(|weight| *weight *= alpha);
    }
    Ok(Some(Linear {
        name: String::new(),
        outs,
        ins,
        weight,
        bias: vec![0.0; outs],
    }))
}

/// Returns the fact of a product, of which a matrix may be a vector.
pub(super) fn matmul_fact(a: &Fact, b: &Fact) -> Result<Fact, String> {
    let (Some(left), Some(right)) = (&a.shape, &b.shape) else {
        let constant = infer::all_constant([a, b]);
        return Ok(Fact::new(a.datatype, None, constant));
    };
    if left.is_empty() || right.is_empty() {
        return Err("got a single number, expected a matrix".into());
    }
    let vectors = (left.len() == 1, right.len() == 1);
    let (left, left_rows) = if vectors.0 {
        (
            vec![Dim::Fixed(1), left[0]],
            infer::moved(a.rows, |_| Some(1)),
        )
    } else {
        (left.clone(), a.rows)
    };
    let (right, right_rows) = if vectors.1 {
        (vec![right[0], Dim::Fixed(1)], b.rows)
    } else {
        (right.clone(), b.rows)
    };
    let (left_outer, right_outer) = (left.len() - 2, right.len() - 2);
    if let (Dim::Fixed(x), Dim::Fixed(y)) = (left[left_outer + 1], right[right_outer])
        && x != y
    {
        return Err(format!("got matrices of {x} columns and {y} rows"));
    }
    // Rows along the axis that is summed up are mixed. The other axes of the matrices are broadcast against length 1.
    let inner = infer::mixing(left_rows, |axis| axis == left_outer + 1);
    let mut first = left;
    first[left_outer + 1] = Dim::Fixed(1);
    let first = Fact::new(a.datatype, Some(first), inner);
    let inner = infer::mixing(right_rows, |axis| axis == right_outer);
    let mut second = right;
    second[right_outer] = Dim::Fixed(1);
    let second = Fact::new(a.datatype, Some(second), inner);
    let (shape, rows) = broadcast(&[&first, &second])?;
    let output = Fact::new(a.datatype, shape, rows);
    Ok(without_vectors(output, vectors))
}

/// Removes the axes that were added to vectors.
fn without_vectors(fact: Fact, (left, right): (bool, bool)) -> Fact {
    let mut shape = fact.shape.unwrap_or_default();
    let mut rows = fact.rows;
    if right {
        rows = infer::mixing(rows, |axis| axis + 1 == shape.len());
        shape.pop();
    }
    if left {
        let at = shape.len() - if right { 1 } else { 2 };
        rows = infer::moved(rows, |axis| match axis {
            axis if axis == at => None,
            axis if axis > at => Some(axis - 1),
            axis => Some(axis),
        });
        shape.remove(at);
    }
    Fact::new(fact.datatype, Some(shape), rows)
}

/// The product of two matrices, or of two lists of matrices, with broadcasting.
#[derive(Debug)]
struct MatMul<T> {
    arch: Arch,
    elements: PhantomData<T>,
}

impl<T: MatrixNumber> Operator for MatMul<T> {
    fn run(&self, inputs: &mut Inputs<'_>) -> Result<Vec<Value>, String> {
        let (a, b) = (inputs.get(0)?, inputs.get(1)?);
        let vectors = (a.rank() == 1, b.rank() == 1);
        let left = match a.shape() {
            [] => return Err("got a single number, expected a matrix".into()),
            [length] => vec![1, *length],
            shape => shape.to_vec(),
        };
        let right = match b.shape() {
            [] => return Err("got a single number, expected a matrix".into()),
            [length] => vec![*length, 1],
            shape => shape.to_vec(),
        };
        let (left_outer, [rows, depth]) = left.split_at(left.len() - 2) else {
            return Err("got no matrix".into());
        };
        let (right_outer, [height, columns]) = right.split_at(right.len() - 2) else {
            return Err("got no matrix".into());
        };
        if depth != height {
            return Err(format!(
                "shapes {:?} and {:?} do not fit",
                a.shape(),
                b.shape()
            ));
        }
        let outer = broadcast_shape(&[left_outer, right_outer])?;
        let mut shape = [&*outer, &[*rows, *columns]].concat();
        let mut result = vec![T::ZERO; value::limited(&shape)?];
        let sizes = [*rows, *depth, *columns];
        let (xs, ys) = (a.elements::<T>()?, b.elements::<T>()?);
        if result.is_empty() || *depth == 0 {
            // All sums are zero.
        } else if right_outer.iter().all(|length| *length == 1) {
            // One right matrix: all rows of the left ones at once.
            let all = [rows * outer.iter().product::<usize>(), *depth, *columns];
            T::multiply(self.arch, all, xs, ys, &mut result);
        } else {
            let mut results = result.chunks_exact_mut(rows * columns);
            Layout::new(&outer, [left_outer, right_outer]).runs(
                |[x, y], [x_step, y_step], length| {
                    for (at, result) in (0..length).zip(&mut results) {
                        let (x, y) = (x + at * x_step, y + at * y_step);
                        let x = &xs[x * rows * depth..][..rows * depth];
                        let y = &ys[y * depth * columns..][..depth * columns];
                        T::multiply(self.arch, sizes, x, y, result);
                    }
                },
            );
        }
        if vectors.1 {
            shape.pop();
        }
        if vectors.0 {
            shape.remove(shape.len() - if vectors.1 { 1 } else { 2 });
        }
        Ok(vec![Value::of(shape, result)?])
    }
}

/// A type of numbers of matrices.
pub(super) trait MatrixNumber: Number + std::fmt::Debug {
    /// Writes the product of two matrices to `out`, which is zero. No size is 0.
    fn multiply(
        _: Arch,
        [_, depth, columns]: [usize; 3],
        left: &[Self],
        right: &[Self],
        out: &mut [Self],
    ) {
        for (left, out) in left.chunks_exact(depth).zip(out.chunks_exact_mut(columns)) {
            for (factor, right) in left.iter().zip(right.chunks_exact(columns)) {
                for (sum, x) in out.iter_mut().zip(right) {
                    *sum = sum.add(factor.mul(*x));
                }
            }
        }
    }
}

impl MatrixNumber for i32 {}
impl MatrixNumber for i64 {}
impl MatrixNumber for u32 {}
impl MatrixNumber for u64 {}
impl MatrixNumber for f64 {}

impl MatrixNumber for f32 {
    fn multiply(arch: Arch, sizes: [usize; 3], left: &[f32], right: &[f32], out: &mut [f32]) {
        product::multiply(arch, sizes, left, right, out);
    }
}
