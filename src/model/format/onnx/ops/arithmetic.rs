//! Arithmetic of two or more tensors, with broadcasting.

use std::marker::PhantomData;

use super::layout::{Layout, broadcast_shape, repeated};
use super::number::Number;
use super::{with_float, with_number};
use crate::model::format::onnx::fact::{Dim, Fact};
use crate::model::format::onnx::infer::{broadcast, expect_type, same_type};
use crate::model::format::onnx::operator::{Entry, Inputs, Known, Lowered, Node, Operator, Work};
use crate::model::format::onnx::rows::{ColumnOperation, Function, InPlace, PairOperation, Step};
use crate::model::format::onnx::value::Value;
use crate::model::payload::Datatype;

const fn entry(name: &'static str) -> Entry {
    Entry {
        name,
        since: 7,
        attributes: &[],
        lower,
    }
}

pub(super) const OPERATORS: &[Entry] = &[
    entry("Add"),
    entry("Sub"),
    entry("Mul"),
    entry("Div"),
    entry("PRelu"),
    entry("Sum"),
    entry("Mean"),
    entry("Max"),
    entry("Min"),
    Entry {
        name: "Mod",
        since: 10,
        attributes: &["fmod"],
        lower,
    },
    Entry {
        name: "Pow",
        since: 7,
        attributes: &[],
        lower: lower_power,
    },
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operation {
    Add,
    Sub,
    Mul,
    Div,
    /// The remainder with the sign of the divisor.
    Modulo,
    /// The remainder with the sign of the dividend.
    Remainder,
    Larger,
    Smaller,
    Mean,
    /// The first number, times the second if it is below zero.
    Slope,
}

fn lower(node: &Node<'_>) -> Result<Lowered, String> {
    let operation = match node.operator() {
        "Add" | "Sum" => Operation::Add,
        "Sub" => Operation::Sub,
        "Mul" => Operation::Mul,
        "Div" => Operation::Div,
        "Max" => Operation::Larger,
        "Min" => Operation::Smaller,
        "Mean" => Operation::Mean,
        "PRelu" => Operation::Slope,
        _ if node.flag("fmod")?.unwrap_or(false) => Operation::Remainder,
        _ => Operation::Modulo,
    };
    let many = matches!(node.operator(), "Sum" | "Mean" | "Max" | "Min");
    let expected = if many { 1.. } else { 2.. };
    if !expected.contains(&node.inputs()) || (!many && node.inputs() > 2) {
        return Err(format!("got {} inputs", node.inputs()));
    }
    let inputs = (0..node.inputs()).map(|at| node.input(at));
    let inputs = inputs.collect::<Result<Vec<_>, _>>()?;
    let first = inputs[0].fact;
    inputs
        .iter()
        .try_for_each(|input| same_type(first, input.fact))?;
    let datatype = first.datatype;
    if operation == Operation::Modulo && datatype.is_float() {
        return Err(format!("attribute fmod: got 0 for {datatype}, expected 1"));
    }
    let facts: Vec<_> = inputs.iter().map(|input| input.fact).collect();
    let (shape, rows) = broadcast(&facts)?;
    if operation == Operation::Slope && shape.as_ref().map(Vec::len) != first.rank() {
        return Err("the slope has more axes than the input".into());
    }
    let output = Fact::new(datatype, shape, rows);
    let cost = output.elements_per_row().saturating_mul(inputs.len() - 1);
    if datatype == Datatype::Fp32
        && let [a, b] = *inputs
    {
        if let Some((at, step)) = step(operation, a, b) {
            let step = Step::InPlace(step);
            let lowered = Lowered::steps(vec![step], output, cost);
            return Ok(lowered.reading([at]));
        }
        let operation = match operation {
            Operation::Add => Some(PairOperation::Add),
            Operation::Sub => Some(PairOperation::Sub),
            Operation::Mul => Some(PairOperation::Mul),
            Operation::Div => Some(PairOperation::Div),
            _ => None,
        };
        if let Some(operation) = operation {
            return Ok(Lowered {
                work: Work::Pair(operation),
                outputs: vec![output],
                cost,
                reads: None,
            });
        }
    }
    with_number!(datatype, T => {
        let operator = Combine::<T> { operation, elements: PhantomData };
        Ok(Lowered::new(operator, vec![output], cost))
    })
}

/// Returns the operation as a step of rows if one input is a constant number, or a constant row of numbers; and the other input.
fn step(operation: Operation, a: Known<'_>, b: Known<'_>) -> Option<(usize, InPlace)> {
    let (at, input, constant) = match (a.constant, b.constant) {
        (None, Some(constant)) => (0, a.fact, constant),
        (Some(constant), None) => (1, b.fact, constant),
        _ => return None,
    };
    let values = constant.elements::<f32>().ok()?;
    let fits = constant.rank() == 0 || input.rank().is_some_and(|rank| rank >= constant.rank());
    if let ([value], true) = (values, fits) {
        let value = f64::from(*value);
        let function = match (operation, at) {
            (Operation::Add, _) => Function::Add(value),
            (Operation::Sub, 0) => Function::Add(-value),
            (Operation::Sub, _) => Function::From(value),
            (Operation::Mul, _) => Function::Mul(value),
            (Operation::Div, 0) => Function::Div(value),
            (Operation::Div, _) => Function::Into(value),
            (Operation::Larger, _) => Function::Max(value),
            (Operation::Smaller, _) => Function::Min(value),
            (Operation::Slope, 0) => Function::LeakyRelu(value),
            _ => return None,
        };
        return Some((at, InPlace::Map(function)));
    }
    let (last, outer) = constant.shape().split_last()?;
    let width = input.dim(input.rank()?.checked_sub(1)?);
    if !fits || width != Dim::Fixed(*last) || outer.iter().any(|length| *length != 1) {
        return None;
    }
    let operation = match (operation, at) {
        (Operation::Add, _) => ColumnOperation::Add,
        (Operation::Sub, 0) => {
            let negated = values.iter().map(|x| -x).collect();
            return Some((at, InPlace::Columns(ColumnOperation::Add, negated)));
        }
        (Operation::Sub, _) => ColumnOperation::From,
        (Operation::Mul, _) => ColumnOperation::Mul,
        (Operation::Div, 0) => ColumnOperation::Div,
        (Operation::Div, _) => ColumnOperation::Into,
        (Operation::Slope, 0) => ColumnOperation::Slope,
        _ => return None,
    };
    Some((at, InPlace::Columns(operation, values.to_vec())))
}

/// Returns an operation of two tensors of FP32.
pub(in crate::model::format::onnx) fn pair(operation: PairOperation) -> impl Operator + 'static {
    Combine::<f32> {
        operation: match operation {
            PairOperation::Add => Operation::Add,
            PairOperation::Sub => Operation::Sub,
            PairOperation::Mul => Operation::Mul,
            PairOperation::Div => Operation::Div,
        },
        elements: PhantomData,
    }
}

#[derive(Debug)]
struct Combine<T> {
    operation: Operation,
    elements: PhantomData<T>,
}

impl<T: Number + std::fmt::Debug> Operator for Combine<T> {
    fn run(&self, inputs: &mut Inputs<'_>) -> Result<Vec<Value>, String> {
        let shapes = (0..inputs.len()).map(|at| Ok(inputs.get(at)?.shape()));
        let shape = broadcast_shape(&shapes.collect::<Result<Vec<_>, String>>()?)?;
        let mut result = expanded::<T>(inputs, 0, &shape)?;
        for at in 1..inputs.len() {
            let combined = self.combine(&mut result, &shape, inputs.get(at)?);
            combined.map_err(|error| inputs.refuse(error))?;
        }
        if self.operation == Operation::Mean {
            let count = T::from_f64(inputs.len() as f64);
            result.iter_mut().for_each(|x| *x = x.div(count));
        }
        Ok(vec![Value::of(shape, result)?])
    }
}

impl<T: Number> Combine<T> {
    /// Combines each element of `result` with its element of `other`.
    fn combine(&self, result: &mut [T], shape: &[usize], other: &Value) -> Result<(), String> {
        let values = other.elements::<T>()?;
        let divides = matches!(
            self.operation,
            Operation::Div | Operation::Modulo | Operation::Remainder
        );
        if divides && T::IS_INTEGER && values.contains(&T::ZERO) {
            return Err("got a division of an integer by zero".into());
        }
        let layout = Layout::new(shape, [shape, other.shape()]);
        match self.operation {
            Operation::Add | Operation::Mean => each(&layout, result, values, T::add),
            Operation::Sub => each(&layout, result, values, T::sub),
            Operation::Mul => each(&layout, result, values, T::mul),
            Operation::Div => each(&layout, result, values, T::div),
            Operation::Modulo => each(&layout, result, values, T::modulo),
            Operation::Remainder => each(&layout, result, values, T::rem),
            Operation::Larger => each(&layout, result, values, T::larger),
            Operation::Smaller => each(&layout, result, values, T::smaller),
            Operation::Slope => {
                let slope = |x: T, slope: T| if x < T::ZERO { x.mul(slope) } else { x };
                each(&layout, result, values, slope);
            }
        }
        Ok(())
    }
}

/// Replaces each element by its combination with the element of `others` for its place.
#[inline]
fn each<T: Copy, U: Copy>(
    layout: &Layout<2>,
    elements: &mut [T],
    others: &[U],
    f: impl Fn(T, U) -> T,
) {
    layout.runs(|[at, other], [_, step], length| {
        let run = &mut elements[at..at + length];
        if step == 0 {
            let other = others[other];
            run.iter_mut().for_each(|x| *x = f(*x, other));
        } else {
            for (x, y) in run.iter_mut().zip(&others[other..other + length]) {
                *x = f(*x, *y);
            }
        }
    });
}

/// Returns the elements of an input, repeated to fill `shape`. Takes them without a copy if possible.
pub(super) fn expanded<T: Number>(
    inputs: &mut Inputs<'_>,
    at: usize,
    shape: &[usize],
) -> Result<Vec<T>, String> {
    if inputs.get(at)?.shape() == shape {
        return inputs.take(at)?.into_elements();
    }
    let input = inputs.get(at)?;
    let layout = Layout::new(shape, [input.shape()]);
    let count = shape.iter().product();
    Ok(repeated(input.elements::<T>()?, &layout, count))
}

fn lower_power(node: &Node<'_>) -> Result<Lowered, String> {
    let (base, exponent) = (node.input(0)?, node.input(1)?);
    if node.version < 12 {
        same_type(base.fact, exponent.fact)?;
    }
    let datatype = base.fact.datatype;
    let (shape, rows) = broadcast(&[base.fact, exponent.fact])?;
    let output = Fact::new(datatype, shape, rows);
    let cost = output.elements_per_row().saturating_mul(32);
    if datatype == Datatype::Fp32
        && base.constant.is_none()
        && let Some(constant) = exponent.constant
        && let [exponent] = *as_f64(constant)?
        && (constant.rank() == 0 || base.fact.rank().is_some_and(|rank| rank >= constant.rank()))
    {
        let step = Step::InPlace(InPlace::Map(Function::Pow(exponent)));
        return Ok(Lowered::steps(vec![step], output, cost));
    }
    expect_type(
        datatype,
        &[
            Datatype::Int32,
            Datatype::Int64,
            Datatype::Fp32,
            Datatype::Fp64,
        ],
    )?;
    with_number!(exponent.fact.datatype, _T => Ok(()))?;
    Ok(Lowered::new(Power, vec![output], cost))
}

/// Returns the numbers of a tensor as f64.
fn as_f64(value: &Value) -> Result<Vec<f64>, String> {
    with_number!(value.datatype(), T => {
        Ok(value.elements::<T>()?.iter().map(|x| Number::as_f64(*x)).collect())
    })
}

/// Powers. Computed in f64, of which integers take the part before the point.
#[derive(Debug)]
struct Power;

impl Operator for Power {
    fn run(&self, inputs: &mut Inputs<'_>) -> Result<Vec<Value>, String> {
        let (base, exponent) = (inputs.get(0)?, inputs.get(1)?);
        let shape = broadcast_shape(&[base.shape(), exponent.shape()])?;
        let exponents = as_f64(exponent)?;
        let layout = Layout::new(&shape, [&shape, exponent.shape()]);
        match base.datatype() {
            Datatype::Int32 => power::<i32>(inputs, shape, &layout, &exponents),
            Datatype::Int64 => power::<i64>(inputs, shape, &layout, &exponents),
            datatype => with_float!(datatype, T => power::<T>(inputs, shape, &layout, &exponents)),
        }
    }
}

fn power<T: Number>(
    inputs: &mut Inputs<'_>,
    shape: Vec<usize>,
    layout: &Layout<2>,
    exponents: &[f64],
) -> Result<Vec<Value>, String> {
    let mut result = expanded::<T>(inputs, 0, &shape)?;
    each(layout, &mut result, exponents, |x, exponent| {
        T::from_f64(x.as_f64().powf(exponent))
    });
    Ok(vec![Value::of(shape, result)?])
}
