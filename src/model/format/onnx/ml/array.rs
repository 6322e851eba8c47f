//! ArrayFeatureExtractor: the elements at some positions of the last axis.

use super::super::operator::Classes;
use super::super::operator::{
    Dim, Entry, Fact, Inputs, Known, Lowered, Meaning, Node, Operator, Rows,
};
use super::super::value::{Element, Value};
use super::matrix::{NUMBERS, accepted};
use crate::model::payload::{Datatype, TensorData};

/// The entry in the table of operators.
pub(super) const ENTRY: Entry = Entry {
    name: "ArrayFeatureExtractor",
    since: 1,
    attributes: &[],
    lower,
};

#[derive(Debug)]
struct ArrayFeatureExtractor;

fn lower(node: &Node<'_>) -> Result<Lowered, String> {
    let data = node.input(0)?;
    if data.fact.datatype != Datatype::Bytes {
        accepted(node, 0, NUMBERS)?;
    }
    accepted(node, 1, &[Datatype::Int64])?;
    let positions = node.input(1)?;
    if data.fact.rank() == Some(0) {
        return Err("input 0: got a single number, expected at least one axis".into());
    }
    if let (Some(value), Some(length)) = (positions.constant, last(data.fact)) {
        check(value.elements::<i64>()?, length)?;
    }
    // Otherwise a request of n rows could take memory for n * n elements.
    if data.fact.rows != Rows::None && positions.fact.rows != Rows::None {
        return Err(
            "got two inputs that depend on the request, expected one of them to be constant".into(),
        );
    }
    let fact = output(data, positions);
    let cost = fact.elements_per_row();
    Ok(Lowered::new(ArrayFeatureExtractor, vec![fact], cost))
}

/// Returns the length of the last axis, if it is known.
fn last(fact: &Fact) -> Option<usize> {
    fact.shape.as_ref()?.last().copied().and_then(Dim::fixed)
}

/// Returns the fact about the output.
fn output(data: Known<'_>, positions: Known<'_>) -> Fact {
    let count = count(positions.fact);
    let Some(shape) = &data.fact.shape else {
        return Fact::new(data.fact.datatype, None, Rows::Mixed);
    };
    let last = shape.len() - 1;
    // A list gives a matrix of one row.
    let (shape, axis) = if last == 0 {
        (vec![Dim::Fixed(1), count], 1)
    } else {
        let mut shape = shape.clone();
        shape[last] = count;
        (shape, last)
    };
    let by_position = count == Dim::Rows && matches!(positions.fact.rows, Rows::Axis(_));
    let rows = match (data.fact.rows, positions.fact.rows) {
        (Rows::None, Rows::None) => Rows::None,
        (Rows::None, _) if by_position => Rows::Axis(axis),
        (Rows::Axis(own), Rows::None) if own != last => Rows::Axis(own),
        _ => Rows::Mixed,
    };
    let mut fact = Fact::new(data.fact.datatype, Some(shape), rows);
    // Classifiers select the class of each row in a list of classes.
    if last == 0 && rows == Rows::Axis(1) {
        let classes = data.constant.and_then(classes).map(std::sync::Arc::new);
        fact = fact.with_meaning(Meaning::Labels).with_classes(classes);
    }
    fact
}

/// Returns the number of positions.
fn count(fact: &Fact) -> Dim {
    let Some(shape) = &fact.shape else {
        return Dim::Unknown;
    };
    let mut count = Dim::Fixed(1);
    for dim in shape {
        count = match (count, *dim) {
            (Dim::Fixed(1), other) | (other, Dim::Fixed(1)) => other,
            (Dim::Fixed(a), Dim::Fixed(b)) => a.checked_mul(b).map_or(Dim::Unknown, Dim::Fixed),
            _ => Dim::Unknown,
        };
    }
    count
}

/// Returns the elements of a constant as classes, if they differ.
fn classes(value: &Value) -> Option<Classes> {
    match value.data() {
        TensorData::Bytes(texts) => {
            let texts = texts
                .iter()
                .map(|text| str::from_utf8(text).map(str::to_owned));
            let texts = texts.collect::<Result<Vec<_>, _>>().ok()?;
            super::attributes::repeated(&texts)
                .is_none()
                .then_some(Classes::Texts(texts))
        }
        TensorData::Int64(values) => integers(values.clone()),
        TensorData::Int32(values) => integers(values.iter().copied().map(i64::from).collect()),
        _ => None,
    }
}

fn integers(values: Vec<i64>) -> Option<Classes> {
    let differ = super::attributes::repeated(&values).is_none();
    differ.then_some(Classes::Integers(values))
}

/// Returns the positions, which are below `length` and not negative.
fn check(positions: &[i64], length: usize) -> Result<Vec<usize>, String> {
    if positions.is_empty() {
        return Err("input 1: got no positions".into());
    }
    let valid = |at: &i64| {
        let position = usize::try_from(*at).ok().filter(|at| *at < length);
        position.ok_or_else(|| format!("input 1: got position {at}, expected one below {length}"))
    };
    positions.iter().map(valid).collect()
}

impl Operator for ArrayFeatureExtractor {
    fn run(&self, inputs: &mut Inputs<'_>) -> Result<Vec<Value>, String> {
        let data = inputs.get(0)?;
        let Some(length) = data.shape().last().copied() else {
            return Err("input 0: got a single number, expected at least one axis".into());
        };
        // No request with rows gives no positions. An empty request does.
        let positions = match inputs.get(1)?.elements::<i64>()? {
            [] => Vec::new(),
            positions => check(positions, length)?,
        };
        let mut shape = data.shape().to_vec();
        shape.pop();
        if shape.is_empty() {
            shape.push(1);
        }
        shape.push(positions.len());
        let value = match data.data() {
            TensorData::Fp32(values) => picked(shape, values, length, &positions),
            TensorData::Fp64(values) => picked(shape, values, length, &positions),
            TensorData::Int64(values) => picked(shape, values, length, &positions),
            TensorData::Int32(values) => picked(shape, values, length, &positions),
            TensorData::Bytes(values) => picked(shape, values, length, &positions),
            other => return Err(format!("input 0: got {}", other.datatype())),
        };
        Ok(vec![value?])
    }
}

fn picked<T: Element>(
    shape: Vec<usize>,
    values: &[T],
    length: usize,
    positions: &[usize],
) -> Result<Value, String> {
    let mut results = Vec::with_capacity(values.len() / length.max(1) * positions.len());
    for row in values.chunks_exact(length.max(1)) {
        let elements = positions.iter().filter_map(|at| row.get(*at).cloned());
        results.extend(elements);
    }
    Value::of(shape, results)
}

#[cfg(test)]
mod tests;
