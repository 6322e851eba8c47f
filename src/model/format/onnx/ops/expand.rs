//! Repetition of tensors.

use super::each_type;
use super::layout::{Layout, broadcast_shape, repeated};
use crate::model::format::onnx::fact::{Dim, Fact, Integer, Rows};
use crate::model::format::onnx::infer::{
    self, broadcast, constant_ints, expect_type, ints, known_ints, mixing,
};
use crate::model::format::onnx::operator::{Entry, Inputs, Lowered, Node, Operator};
use crate::model::format::onnx::value::{self, Value};
use crate::model::payload::Datatype;

pub(super) const OPERATORS: &[Entry] = &[
    Entry {
        name: "Expand",
        since: 8,
        attributes: &[],
        lower: lower_expand,
    },
    Entry {
        name: "Tile",
        since: 6,
        attributes: &[],
        lower: lower_tile,
    },
];

/// Returns the lengths that integers mean.
pub(super) fn dims(integers: &[Integer]) -> Result<Vec<Dim>, String> {
    let dim = |integer: &Integer| match integer {
        Integer::Length(dim) => Ok(*dim),
        Integer::Known(length) => usize::try_from(*length)
            .map(Dim::Fixed)
            .map_err(|_| format!("got a length of {length}, expected 0 or more")),
    };
    integers.iter().map(dim).collect()
}

/// Returns how a tensor of equal parts depends on rows: if exactly one axis has as many parts as there are rows, each is the part of
/// a row.
pub(super) fn equal_parts(dims: &[Dim]) -> Rows {
    let mut axes = dims
        .iter()
        .enumerate()
        .filter(|(_, dim)| **dim == Dim::Rows);
    let others = dims
        .iter()
        .all(|dim| matches!(dim, Dim::Rows | Dim::Fixed(_)));
    match (axes.next(), axes.next(), others) {
        (Some((axis, _)), None, true) => Rows::Axis(axis),
        (None, _, true) => Rows::None,
        _ => Rows::Mixed,
    }
}

fn lower_expand(node: &Node<'_>) -> Result<Lowered, String> {
    let (input, shape) = (node.input(0)?.fact, node.input(1)?);
    expect_type(shape.fact.datatype, &[Datatype::Int64])?;
    let output = match known_ints(shape) {
        None => Fact::new(
            input.datatype,
            None,
            infer::all_constant([input, shape.fact]),
        ),
        Some(integers) => {
            let dims = dims(&integers)?;
            let rows = equal_parts(&dims);
            let target = Fact::new(input.datatype, Some(dims), rows);
            let (shape, rows) = broadcast(&[input, &target])?;
            Fact::new(input.datatype, shape, rows)
        }
    };
    let cost = output.elements_per_row();
    Ok(Lowered::new(Expand, vec![output], cost))
}

/// Repeats axes of length 1.
#[derive(Debug)]
struct Expand;

impl Operator for Expand {
    fn run(&self, inputs: &mut Inputs<'_>) -> Result<Vec<Value>, String> {
        let input = inputs.get(0)?;
        let lengths = lengths(&ints(inputs.get(1)?)?)?;
        let shape = broadcast_shape(&[input.shape(), &lengths])?;
        let layout = Layout::new(&shape, [input.shape()]);
        let count = value::limited(&shape)?;
        let data = each_type!(input.data(), x => repeated(x, &layout, count));
        Ok(vec![Value::new(shape, data)?])
    }
}

/// Returns integers as lengths.
pub(super) fn lengths(integers: &[i64]) -> Result<Vec<usize>, String> {
    let length = |length: &i64| {
        usize::try_from(*length)
            .map_err(|_| format!("got a length of {length}, expected 0 or more"))
    };
    integers.iter().map(length).collect()
}

fn lower_tile(node: &Node<'_>) -> Result<Lowered, String> {
    let (input, repeats) = (node.input(0)?.fact, node.input(1)?);
    expect_type(repeats.fact.datatype, &[Datatype::Int64])?;
    let mut output = Fact::new(
        input.datatype,
        input.rank().map(|rank| vec![Dim::Unknown; rank]),
        infer::all_constant([input, repeats.fact]),
    );
    if let (Some(shape), Some(_)) = (&input.shape, repeats.constant) {
        let repeats = lengths(&constant_ints(node, 1)?)?;
        if repeats.len() != shape.len() {
            let (got, expected) = (repeats.len(), shape.len());
            return Err(format!("got {got} repeats, expected {expected}"));
        }
        let dim = |(dim, repeats): (&Dim, &usize)| match dim {
            Dim::Fixed(length) => Dim::Fixed(length.saturating_mul(*repeats)),
            dim if *repeats == 1 => *dim,
            _ => Dim::Unknown,
        };
        output.shape = Some(shape.iter().zip(&repeats).map(dim).collect());
        output.rows = mixing(input.rows, |axis| repeats[axis] != 1);
    }
    let cost = output.elements_per_row();
    Ok(Lowered::new(Tile, vec![output], cost))
}

/// Repeats a tensor along its axes.
#[derive(Debug)]
struct Tile;

impl Operator for Tile {
    fn run(&self, inputs: &mut Inputs<'_>) -> Result<Vec<Value>, String> {
        let repeats = lengths(&ints(inputs.get(1)?)?);
        let repeats = repeats.map_err(|error| inputs.refuse(error))?;
        let input = inputs.get(0)?;
        let from = input.shape();
        if repeats.len() != from.len() {
            let (got, expected) = (repeats.len(), from.len());
            return Err(format!("got {got} repeats, expected {expected}"));
        }
        let pairs = from.iter().zip(&repeats);
        let shape: Vec<usize> = pairs.map(|(a, b)| a.saturating_mul(*b)).collect();
        let count = value::limited(&shape)?;
        let data = each_type!(input.data(), x => {
            let mut elements = Vec::with_capacity(count);
            if count > 0 {
                tile(x, from, &repeats, &mut elements);
            }
            elements
        });
        Ok(vec![Value::new(shape, data)?])
    }
}

fn tile<T: Clone>(elements: &[T], shape: &[usize], repeats: &[usize], result: &mut Vec<T>) {
    let ([length, inner @ ..], [count, inner_repeats @ ..]) = (shape, repeats) else {
        result.extend_from_slice(elements);
        return;
    };
    let start = result.len();
    let size = inner.iter().product();
    for part in 0..*length {
        tile(
            &elements[part * size..][..size],
            inner,
            inner_repeats,
            result,
        );
    }
    let end = result.len();
    for _ in 1..*count {
        result.extend_from_within(start..end);
    }
}
