//! Products of two matrices, with factors and an addition.

use pulp::Arch;

use super::layout::{Layout, broadcast_shape};
use super::matmul::{MatrixNumber, linear, matmul_fact};
use super::transpose::transposed;
use crate::model::format::onnx::fact::{Fact, Rows};
use crate::model::format::onnx::infer::{self, broadcast, same_type};
use crate::model::format::onnx::operator::{Entry, Inputs, Known, Lowered, Node, Operator};
use crate::model::format::onnx::rows::Step;
use crate::model::format::onnx::value::{self, Value};
use crate::model::payload::Datatype;

pub(super) const OPERATORS: &[Entry] = &[Entry {
    name: "Gemm",
    since: 7,
    attributes: &["alpha", "beta", "transA", "transB"],
    lower: lower_gemm,
}];

fn lower_gemm(node: &Node<'_>) -> Result<Lowered, String> {
    let (a, b, c) = (node.input(0)?, node.input(1)?, node.optional(2));
    same_type(a.fact, b.fact)?;
    for input in [Some(a), Some(b), c].into_iter().flatten() {
        same_type(a.fact, input.fact)?;
    }
    if [a, b]
        .iter()
        .any(|input| input.fact.rank().is_some_and(|rank| rank != 2))
    {
        return Err("expected two matrices".into());
    }
    let gemm = Gemm {
        arch: Arch::new(),
        alpha: node.float("alpha")?.unwrap_or(1.0),
        beta: node.float("beta")?.unwrap_or(1.0),
        transposed: [
            node.int("transA")?.unwrap_or(0) != 0,
            node.int("transB")?.unwrap_or(0) != 0,
        ],
    };
    let output = gemm_fact(a.fact, b.fact, c.map(|c| c.fact), gemm.transposed)?;
    let depth = a
        .fact
        .dim(usize::from(!gemm.transposed[0]))
        .fixed()
        .unwrap_or(1);
    let cost = output.elements_per_row().saturating_mul(depth);
    if !gemm.transposed[0]
        && let Some(mut linear) = linear(a, b, gemm.transposed[1], gemm.alpha)?
        && let Some(bias) = bias(c, gemm.beta, linear.outs)
    {
        linear.bias = bias;
        return Ok(Lowered::steps(vec![Step::Linear(linear)], output, cost));
    }
    infer::expect_type(output.datatype, &[Datatype::Fp32, Datatype::Fp64])?;
    Ok(Lowered::new(gemm, vec![output], cost))
}

/// Returns the fact of the output of a Gemm.
fn gemm_fact(
    a: &Fact,
    b: &Fact,
    c: Option<&Fact>,
    [transposed_a, transposed_b]: [bool; 2],
) -> Result<Fact, String> {
    let turned = |fact: &Fact, turn: bool| {
        let (first, second) = if turn { (1, 0) } else { (0, 1) };
        let shape = vec![fact.dim(first), fact.dim(second)];
        let rows = infer::moved(fact.rows, |axis| {
            Some(if turn { 1 - axis.min(1) } else { axis })
        });
        Fact::new(fact.datatype, Some(shape), rows)
    };
    let product = matmul_fact(&turned(a, transposed_a), &turned(b, transposed_b))?;
    let Some(c) = c else {
        return Ok(product);
    };
    let (shape, rows) = broadcast(&[&product, c])?;
    if shape.as_ref().is_some_and(|shape| shape.len() != 2) {
        return Err("got an input 2 of more than two axes".into());
    }
    let rows = if product.rank() == c.rank() || c.rows == Rows::None {
        rows
    } else {
        Rows::Mixed
    };
    Ok(Fact::new(product.datatype, shape, rows))
}

/// Returns the bias of each column, if input 2 is one or absent.
fn bias(c: Option<Known<'_>>, beta: f32, outs: usize) -> Option<Vec<f64>> {
    let Some(c) = c else {
        return Some(vec![0.0; outs]);
    };
    let constant = c.constant?;
    let values = constant.elements::<f32>().ok()?;
    let scaled = |x: &f32| f64::from(x * beta);
    match (constant.shape(), values) {
        ([] | [1] | [1, 1], [value]) => Some(vec![scaled(value); outs]),
        ([length] | [1, length], values) if *length == outs => {
            Some(values.iter().map(scaled).collect())
        }
        _ => None,
    }
}

/// `alpha A B + beta C`, where A and B may be transposed.
#[derive(Debug)]
struct Gemm {
    arch: Arch,
    alpha: f32,
    beta: f32,
    transposed: [bool; 2],
}

impl Operator for Gemm {
    fn run(&self, inputs: &mut Inputs<'_>) -> Result<Vec<Value>, String> {
        match inputs.get(0)?.datatype() {
            Datatype::Fp64 => self.apply::<f64>(inputs),
            _ => self.apply::<f32>(inputs),
        }
    }
}

impl Gemm {
    fn apply<T: MatrixNumber>(&self, inputs: &Inputs<'_>) -> Result<Vec<Value>, String> {
        let (a, b) = (inputs.get(0)?, inputs.get(1)?);
        let (a_turned, b_turned);
        let (mut xs, mut ys) = (a.elements::<T>()?, b.elements::<T>()?);
        let misfit = || format!("shapes {:?} and {:?} do not fit", a.shape(), b.shape());
        let (&[mut rows, mut depth], &[mut height, mut columns]) = (a.shape(), b.shape()) else {
            return Err(misfit());
        };
        if self.transposed[0] {
            a_turned = transposed(xs, a.shape(), &[1, 0]);
            (xs, rows, depth) = (&a_turned, depth, rows);
        }
        if self.transposed[1] {
            b_turned = transposed(ys, b.shape(), &[1, 0]);
            (ys, height, columns) = (&b_turned, columns, height);
        }
        if depth != height {
            return Err(misfit());
        }
        let shape = vec![rows, columns];
        let mut result = vec![T::ZERO; value::limited(&shape)?];
        if !result.is_empty() && depth > 0 {
            T::multiply(self.arch, [rows, depth, columns], xs, ys, &mut result);
        }
        let (alpha, beta) = (f64::from(self.alpha), f64::from(self.beta));
        if alpha != 1.0 {
            let alpha = T::from_f64(alpha);
            result.iter_mut().for_each(|x| *x = x.mul(alpha));
        }
        if let Some(c) = inputs.optional(2) {
            if broadcast_shape(&[&shape, c.shape()])? != shape {
                return Err(format!(
                    "got input 2 of shape {:?} for {shape:?}",
                    c.shape()
                ));
            }
            let (beta, values) = (T::from_f64(beta), c.elements::<T>()?);
            Layout::new(&shape, [&shape, c.shape()]).runs(|[at, other], [_, step], length| {
                for (along, x) in result[at..at + length].iter_mut().enumerate() {
                    *x = x.add(beta.mul(values[other + along * step]));
                }
            });
        }
        Ok(vec![Value::of(shape, result)?])
    }
}
