//! Comparisons, logic, and the choice between two tensors.

use std::marker::PhantomData;

use bytes::Bytes;

use super::layout::{Layout, broadcast_shape};
use super::number::Number;
use super::{with_float, with_number, with_type};
use crate::model::format::onnx::fact::Fact;
use crate::model::format::onnx::infer::{broadcast, expect_type, like, same_type};
use crate::model::format::onnx::operator::{Entry, Inputs, Lowered, Node, Operator};
use crate::model::format::onnx::value::{Element, Value};
use crate::model::payload::Datatype;

const fn entry(
    name: &'static str,
    since: i64,
    lower: fn(&Node<'_>) -> Result<Lowered, String>,
) -> Entry {
    Entry {
        name,
        since,
        attributes: &[],
        lower,
    }
}

pub(super) const OPERATORS: &[Entry] = &[
    entry("Equal", 7, lower_comparison),
    entry("Greater", 7, lower_comparison),
    entry("GreaterOrEqual", 12, lower_comparison),
    entry("Less", 7, lower_comparison),
    entry("LessOrEqual", 12, lower_comparison),
    entry("And", 7, lower_logic),
    entry("Or", 7, lower_logic),
    entry("Xor", 7, lower_logic),
    entry("BitwiseAnd", 18, lower_bits),
    entry("BitwiseOr", 18, lower_bits),
    entry("BitwiseXor", 18, lower_bits),
    entry("Not", 1, lower_not),
    entry("IsNaN", 9, lower_is_nan),
    Entry {
        name: "IsInf",
        since: 10,
        attributes: &["detect_negative", "detect_positive"],
        lower: lower_is_infinite,
    },
    entry("Where", 9, lower_where),
];

/// Returns the fact about the output of an operator of two inputs of one type.
fn pair(node: &Node<'_>, datatype: Option<Datatype>) -> Result<Fact, String> {
    let (a, b) = (node.input(0)?.fact, node.input(1)?.fact);
    same_type(a, b)?;
    let (shape, rows) = broadcast(&[a, b])?;
    Ok(Fact::new(datatype.unwrap_or(a.datatype), shape, rows))
}

/// An operation of the elements of two tensors of `T`, with elements of type `U`.
struct Pairwise<T, U> {
    operation: fn(&T, &T) -> U,
}

impl<T, U> std::fmt::Debug for Pairwise<T, U> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Pairwise")
    }
}

impl<T: Element, U: Element> Operator for Pairwise<T, U> {
    fn run(&self, inputs: &mut Inputs<'_>) -> Result<Vec<Value>, String> {
        let (a, b) = (inputs.get(0)?, inputs.get(1)?);
        let shape = broadcast_shape(&[a.shape(), b.shape()])?;
        let (xs, ys) = (a.elements::<T>()?, b.elements::<T>()?);
        let mut result = Vec::with_capacity(shape.iter().product());
        let layout = Layout::new(&shape, [a.shape(), b.shape()]);
        layout.runs(|[x, y], [x_step, y_step], length| {
            let pairs = (0..length).map(|at| (&xs[x + at * x_step], &ys[y + at * y_step]));
            result.extend(pairs.map(|(x, y)| (self.operation)(x, y)));
        });
        Ok(vec![Value::of(shape, result)?])
    }
}

fn lower_comparison(node: &Node<'_>) -> Result<Lowered, String> {
    let output = pair(node, Some(Datatype::Bool))?;
    let cost = output.elements_per_row().saturating_mul(2);
    let operator = node.operator();
    let outputs = vec![output];
    match (node.input(0)?.fact.datatype, operator) {
        (Datatype::Bool, "Equal") => {
            let operation = |a: &bool, b: &bool| a == b;
            Ok(Lowered::new(Pairwise { operation }, outputs, cost))
        }
        (Datatype::Bytes, "Equal") => {
            let operation = |a: &Bytes, b: &Bytes| a == b;
            Ok(Lowered::new(Pairwise { operation }, outputs, cost))
        }
        (datatype, _) => with_number!(datatype, T => {
            let operation: fn(&T, &T) -> bool = match operator {
                "Equal" => |a, b| a == b,
                "Greater" => |a, b| a > b,
                "GreaterOrEqual" => |a, b| a >= b,
                "Less" => |a, b| a < b,
                _ => |a, b| a <= b,
            };
            Ok(Lowered::new(Pairwise { operation }, outputs, cost))
        }),
    }
}

fn lower_logic(node: &Node<'_>) -> Result<Lowered, String> {
    let output = pair(node, None)?;
    expect_type(output.datatype, &[Datatype::Bool])?;
    let operation: fn(&bool, &bool) -> bool = match node.operator() {
        "And" => |a, b| *a && *b,
        "Or" => |a, b| *a || *b,
        _ => |a, b| a != b,
    };
    let cost = output.elements_per_row();
    Ok(Lowered::new(Pairwise { operation }, vec![output], cost))
}

fn lower_bits(node: &Node<'_>) -> Result<Lowered, String> {
    let output = pair(node, None)?;
    let cost = output.elements_per_row();
    let operator = node.operator();
    with_type!(
        output.datatype,
        [
            Int8: i8, Int16: i16, Int32: i32, Int64: i64, Uint8: u8, Uint16: u16, Uint32: u32,
            Uint64: u64
        ],
        T => {
            let operation: fn(&T, &T) -> T = match operator {
                "BitwiseAnd" => |a, b| a & b,
                "BitwiseOr" => |a, b| a | b,
                _ => |a, b| a ^ b,
            };
            Ok(Lowered::new(Pairwise { operation }, vec![output], cost))
        }
    )
}

/// A test of each element.
struct Test<T> {
    test: Box<dyn Fn(T) -> bool + Send + Sync>,
    elements: PhantomData<T>,
}

impl<T> Test<T> {
    fn new(test: impl Fn(T) -> bool + Send + Sync + 'static) -> Self {
        Self {
            test: Box::new(test),
            elements: PhantomData,
        }
    }
}

impl<T> std::fmt::Debug for Test<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Test")
    }
}

impl<T: Element + Copy> Operator for Test<T> {
    fn run(&self, inputs: &mut Inputs<'_>) -> Result<Vec<Value>, String> {
        let input = inputs.get(0)?;
        let elements = input.elements::<T>()?.iter();
        let results = elements.map(|x| (self.test)(*x)).collect();
        Ok(vec![Value::of::<bool>(input.shape().to_vec(), results)?])
    }
}

fn lower_not(node: &Node<'_>) -> Result<Lowered, String> {
    let input = node.input(0)?.fact;
    expect_type(input.datatype, &[Datatype::Bool])?;
    let test = Test::new(|x: bool| !x);
    let output = like(input, Datatype::Bool);
    Ok(Lowered::new(test, vec![output], input.elements_per_row()))
}

fn lower_is_nan(node: &Node<'_>) -> Result<Lowered, String> {
    let input = node.input(0)?.fact;
    let output = like(input, Datatype::Bool);
    with_float!(input.datatype, T => {
        let test = Test::new(|x: T| x.is_nan());
        Ok(Lowered::new(test, vec![output], input.elements_per_row()))
    })
}

fn lower_is_infinite(node: &Node<'_>) -> Result<Lowered, String> {
    let negative = node.flag("detect_negative")?.unwrap_or(true);
    let positive = node.flag("detect_positive")?.unwrap_or(true);
    let input = node.input(0)?.fact;
    let output = like(input, Datatype::Bool);
    with_float!(input.datatype, T => {
        let test = Test::new(move |x: T| {
            (positive && x == T::HIGHEST) || (negative && x == T::LOWEST)
        });
        Ok(Lowered::new(test, vec![output], input.elements_per_row()))
    })
}

fn lower_where(node: &Node<'_>) -> Result<Lowered, String> {
    let [condition, yes, no] = [node.input(0)?, node.input(1)?, node.input(2)?];
    expect_type(condition.fact.datatype, &[Datatype::Bool])?;
    same_type(yes.fact, no.fact)?;
    let (shape, rows) = broadcast(&[condition.fact, yes.fact, no.fact])?;
    let output = Fact::new(yes.fact.datatype, shape, rows);
    let cost = output.elements_per_row().saturating_mul(2);
    with_type!(
        output.datatype,
        [
            Bool: bool, Int8: i8, Int16: i16, Int32: i32, Int64: i64, Uint8: u8, Uint16: u16,
            Uint32: u32, Uint64: u64, Fp32: f32, Fp64: f64, Bytes: Bytes
        ],
        T => {
            let operator = Choose::<T> { elements: PhantomData };
            Ok(Lowered::new(operator, vec![output], cost))
        }
    )
}

/// Takes each element from input 1 where input 0 is true, otherwise from input 2.
#[derive(Debug)]
struct Choose<T> {
    elements: PhantomData<T>,
}

impl<T: Element + std::fmt::Debug> Operator for Choose<T> {
    fn run(&self, inputs: &mut Inputs<'_>) -> Result<Vec<Value>, String> {
        let [condition, yes, no] = [inputs.get(0)?, inputs.get(1)?, inputs.get(2)?];
        let shapes = [condition.shape(), yes.shape(), no.shape()];
        let shape = broadcast_shape(&shapes)?;
        let conditions = condition.elements::<bool>()?;
        let (xs, ys) = (yes.elements::<T>()?, no.elements::<T>()?);
        let mut result = Vec::with_capacity(shape.iter().product());
        Layout::new(&shape, shapes).runs(|[c, x, y], [c_step, x_step, y_step], length| {
            result.extend((0..length).map(|at| {
                let chosen = if conditions[c + at * c_step] {
                    &xs[x + at * x_step]
                } else {
                    &ys[y + at * y_step]
                };
                chosen.clone()
            }));
        });
        Ok(vec![Value::of(shape, result)?])
    }
}
