//! Operators that make tensors from little: constants, ranges, shapes, and one-hot codes.

use std::marker::PhantomData;

use bytes::Bytes;

use super::expand::{dims, equal_parts, lengths};
use super::number::Number;
use super::{each_type, with_number, with_type};
use crate::model::format::onnx::fact::{Dim, Fact, Rows};
use crate::model::format::onnx::infer::{self, expect_type, ints, known_ints, same_type};
use crate::model::format::onnx::operator::{Entry, Inputs, Lowered, Node, Operator};
use crate::model::format::onnx::value::{self, Element, Value};
use crate::model::payload::Datatype;

pub(super) const OPERATORS: &[Entry] = &[
    Entry {
        name: "Constant",
        since: 1,
        attributes: &[
            "value",
            "value_float",
            "value_floats",
            "value_int",
            "value_ints",
            "value_string",
            "value_strings",
        ],
        lower: lower_constant,
    },
    Entry {
        name: "ConstantOfShape",
        since: 9,
        attributes: &["value"],
        lower: lower_filled,
    },
    Entry {
        name: "Range",
        since: 11,
        attributes: &[],
        lower: lower_range,
    },
    Entry {
        name: "Shape",
        since: 1,
        attributes: &["start", "end"],
        lower: lower_shape,
    },
    Entry {
        name: "Size",
        since: 1,
        attributes: &[],
        lower: lower_size,
    },
    Entry {
        name: "OneHot",
        since: 9,
        attributes: &["axis"],
        lower: lower_one_hot,
    },
];

fn lower_constant(node: &Node<'_>) -> Result<Lowered, String> {
    let text = |text: &str| Bytes::copy_from_slice(text.as_bytes());
    let value = if let Some(value) = node.tensor("value")? {
        value
    } else if let Some(number) = node.float("value_float")? {
        Value::scalar(number)
    } else if let Some(numbers) = node.floats("value_floats")? {
        Value::vector(numbers.to_vec())
    } else if let Some(number) = node.int("value_int")? {
        Value::scalar(number)
    } else if let Some(numbers) = node.ints("value_ints")? {
        Value::vector(numbers.to_vec())
    } else if let Some(found) = node.text("value_string")? {
        Value::scalar(text(found))
    } else if let Some(found) = node.texts("value_strings")? {
        Value::vector(found.into_iter().map(text).collect())
    } else {
        return Err("has no value".into());
    };
    Ok(Lowered::constants(vec![value]))
}

fn lower_filled(node: &Node<'_>) -> Result<Lowered, String> {
    let shape = node.input(0)?;
    expect_type(shape.fact.datatype, &[Datatype::Int64])?;
    let fill = node
        .tensor("value")?
        .unwrap_or_else(|| Value::scalar(0.0_f32));
    if fill.len() != 1 {
        return Err(format!(
            "attribute value: got {} elements, expected 1",
            fill.len()
        ));
    }
    let output = match known_ints(shape) {
        Some(integers) => {
            let dims = dims(&integers)?;
            let rows = equal_parts(&dims);
            Fact::new(fill.datatype(), Some(dims), rows)
        }
        None => Fact::new(fill.datatype(), None, infer::all_constant([shape.fact])),
    };
    let cost = output.elements_per_row();
    Ok(Lowered::new(Filled(fill), vec![output], cost))
}

/// A tensor of one number. Its shape is input 0.
#[derive(Debug)]
struct Filled(Value);

impl Operator for Filled {
    fn run(&self, inputs: &mut Inputs<'_>) -> Result<Vec<Value>, String> {
        let shape = lengths(&ints(inputs.get(0)?)?)?;
        let count = value::limited(&shape)?;
        let data = each_type!(self.0.data(), x => {
            x.iter().cycle().take(count).cloned().collect()
        });
        Ok(vec![Value::new(shape, data)?])
    }
}

fn lower_range(node: &Node<'_>) -> Result<Lowered, String> {
    let inputs = [node.input(0)?, node.input(1)?, node.input(2)?];
    let [first, ..] = inputs.map(|input| input.fact);
    inputs
        .iter()
        .try_for_each(|input| same_type(first, input.fact))?;
    let rows = infer::all_constant(inputs.map(|input| input.fact));
    with_type!(
        first.datatype,
        [Int16: i16, Int32: i32, Int64: i64, Fp32: f32, Fp64: f64],
        T => {
            let mut length = Dim::Unknown;
            if let [Some(start), Some(limit), Some(delta)] = inputs.map(|input| input.constant) {
                length = Dim::Fixed(range_length::<T>(start, limit, delta)?.2);
            }
            let output = Fact::new(first.datatype, Some(vec![length]), rows);
            let cost = output.elements_per_row();
            Ok(Lowered::new(Range::<T> { elements: PhantomData }, vec![output], cost))
        }
    )
}

/// Returns the first number, the step and the count of a range.
fn range_length<T: Number>(
    start: &Value,
    limit: &Value,
    delta: &Value,
) -> Result<(T, T, usize), String> {
    let single = |value: &Value| match value.elements::<T>()? {
        [number] => Ok(*number),
        numbers => Err(format!("got {} numbers, expected 1", numbers.len())),
    };
    let (start, limit, delta) = (single(start)?, single(limit)?, single(delta)?);
    if delta == T::ZERO {
        return Err("got a range with a step of 0".into());
    }
    let count = ((limit.as_f64() - start.as_f64()) / delta.as_f64())
        .ceil()
        .max(0.0);
    if count.is_nan() || count > value::MOST_ELEMENTS as f64 {
        let most = value::MOST_ELEMENTS;
        return Err(format!(
            "got a range of {count} numbers, expected at most {most}"
        ));
    }
    Ok((start, delta, count as usize))
}

/// The numbers from input 0 to before input 1, in steps of input 2.
#[derive(Debug)]
struct Range<T> {
    elements: PhantomData<T>,
}

impl<T: Number + std::fmt::Debug> Operator for Range<T> {
    fn run(&self, inputs: &mut Inputs<'_>) -> Result<Vec<Value>, String> {
        let [start, limit, delta] = [inputs.get(0)?, inputs.get(1)?, inputs.get(2)?];
        let (start, delta, count) = range_length::<T>(start, limit, delta)?;
        let mut next = start;
        let mut numbers = Vec::with_capacity(count);
        for _ in 0..count {
            numbers.push(next);
            next = next.add(delta);
        }
        Ok(vec![Value::vector(numbers)])
    }
}

fn lower_shape(node: &Node<'_>) -> Result<Lowered, String> {
    let input = node.input(0)?.fact;
    let start = node.int("start")?.unwrap_or(0);
    let end = node.int("end")?.unwrap_or(i64::MAX);
    let length = match input.rank() {
        Some(rank) => Dim::Fixed(shape_part(rank, start, end).len()),
        None => Dim::Unknown,
    };
    let rows = match input.fixed_shape() {
        Some(_) => Rows::None,
        None => Rows::Mixed,
    };
    let output = Fact::new(Datatype::Int64, Some(vec![length]), rows);
    Ok(Lowered::new(Shape { start, end }, vec![output], 0))
}

fn shape_part(rank: usize, start: i64, end: i64) -> std::ops::Range<usize> {
    let length = i64::try_from(rank).unwrap_or(i64::MAX);
    let bound = |at: i64| {
        let from_start = if at < 0 {
            at.saturating_add(length)
        } else {
            at
        };
        usize::try_from(from_start.clamp(0, length)).unwrap_or(0)
    };
    bound(start)..bound(end).max(bound(start))
}

/// The lengths of some axes.
#[derive(Debug)]
struct Shape {
    start: i64,
    end: i64,
}

impl Operator for Shape {
    fn run(&self, inputs: &mut Inputs<'_>) -> Result<Vec<Value>, String> {
        let shape = inputs.get(0)?.shape();
        let part = &shape[shape_part(shape.len(), self.start, self.end)];
        let lengths = part
            .iter()
            .map(|length| i64::try_from(*length).unwrap_or(i64::MAX));
        Ok(vec![Value::vector(lengths.collect::<Vec<i64>>())])
    }
}

fn lower_size(node: &Node<'_>) -> Result<Lowered, String> {
    let rows = match node.input(0)?.fact.fixed_shape() {
        Some(_) => Rows::None,
        None => Rows::Mixed,
    };
    let output = Fact::new(Datatype::Int64, Some(Vec::new()), rows);
    Ok(Lowered::new(Size, vec![output], 0))
}

/// The number of elements.
#[derive(Debug)]
struct Size;

impl Operator for Size {
    fn run(&self, inputs: &mut Inputs<'_>) -> Result<Vec<Value>, String> {
        let count = i64::try_from(inputs.get(0)?.len()).unwrap_or(i64::MAX);
        Ok(vec![Value::scalar(count)])
    }
}

fn lower_one_hot(node: &Node<'_>) -> Result<Lowered, String> {
    let [indices, depth, values] = [node.input(0)?, node.input(1)?, node.input(2)?];
    let at = node.int("axis")?.unwrap_or(-1);
    with_number!(indices.fact.datatype, _T => Ok(()))?;
    with_number!(depth.fact.datatype, _T => Ok(()))?;
    let facts = [indices.fact, depth.fact, values.fact];
    let mut output = Fact::new(values.fact.datatype, None, infer::all_constant(facts));
    if let Some(shape) = &indices.fact.shape {
        let at = infer::axis(at, shape.len() + 1)?;
        let depth_dim = match depth.constant {
            Some(depth) => Dim::Fixed(depth_of(depth)?),
            None => Dim::Unknown,
        };
        let mut dims = shape.clone();
        dims.insert(at, depth_dim);
        output.shape = Some(dims);
        if depth.fact.rows == Rows::None && values.fact.rows == Rows::None {
            output.rows = infer::moved(indices.fact.rows, |axis| {
                Some(if axis < at { axis } else { axis + 1 })
            });
        }
    }
    let cost = output.elements_per_row();
    with_type!(
        values.fact.datatype,
        [
            Bool: bool, Int8: i8, Int16: i16, Int32: i32, Int64: i64, Uint8: u8, Uint16: u16,
            Uint32: u32, Uint64: u64, Fp32: f32, Fp64: f64, Bytes: Bytes
        ],
        T => Ok(Lowered::new(OneHot::<T> { axis: at, elements: PhantomData }, vec![output], cost))
    )
}

/// Returns the numbers of a tensor as integers, toward zero.
fn integers(value: &Value) -> Result<Vec<i64>, String> {
    if value.datatype() == Datatype::Int64 {
        return Ok(value.elements::<i64>()?.to_vec());
    }
    with_number!(value.datatype(), T => {
        Ok(value.elements::<T>()?.iter().map(|x| x.as_f64() as i64).collect())
    })
}

fn depth_of(value: &Value) -> Result<usize, String> {
    match *integers(value)? {
        [depth] => usize::try_from(depth).map_err(|_| format!("got a depth of {depth}")),
        _ => Err("expected a single depth".into()),
    }
}

/// For each index, a run of `depth` elements, of which the one at the index differs.
#[derive(Debug)]
struct OneHot<T> {
    axis: i64,
    elements: PhantomData<T>,
}

impl<T: Element + std::fmt::Debug> Operator for OneHot<T> {
    fn run(&self, inputs: &mut Inputs<'_>) -> Result<Vec<Value>, String> {
        let indices = inputs.get(0)?;
        let depth = depth_of(inputs.get(1)?)?;
        let [off, on] = inputs.get(2)?.elements::<T>()? else {
            return Err("expected two values".into());
        };
        let at = infer::axis(self.axis, indices.rank() + 1)?;
        let mut shape = indices.shape().to_vec();
        shape.insert(at, depth);
        let mut result = vec![off.clone(); value::limited(&shape)?];
        let inner: usize = shape[at + 1..].iter().product();
        let range = i64::try_from(depth).unwrap_or(i64::MAX);
        for (number, index) in integers(indices)?.into_iter().enumerate() {
            // An index out of range marks nothing.
            let from_start = if index < 0 {
                index.saturating_add(range)
            } else {
                index
            };
            if let Ok(place) = usize::try_from(from_start)
                && place < depth
            {
                let (block, column) = (number / inner, number % inner);
                result[(block * depth + place) * inner + column] = on.clone();
            }
        }
        Ok(vec![Value::of(shape, result)?])
    }
}
