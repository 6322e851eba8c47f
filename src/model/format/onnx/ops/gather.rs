//! Elements at positions that another tensor gives.

use super::axes::split;
use super::each_type;
use crate::model::format::onnx::fact::{Dim, Fact, Rows};
use crate::model::format::onnx::infer::{self, axis, expect_type, ints};
use crate::model::format::onnx::operator::{Entry, Inputs, Lowered, Node, Operator};
use crate::model::format::onnx::value::{self, Value};
use crate::model::payload::Datatype;

pub(super) const OPERATORS: &[Entry] = &[
    Entry {
        name: "Gather",
        since: 1,
        attributes: &["axis"],
        lower: lower_gather,
    },
    Entry {
        name: "GatherElements",
        since: 11,
        attributes: &["axis"],
        lower: lower_elements,
    },
    Entry {
        name: "GatherND",
        since: 11,
        attributes: &["batch_dims"],
        lower: lower_slices,
    },
];

/// Types of positions.
const POSITIONS: &[Datatype] = &[Datatype::Int32, Datatype::Int64];

/// Returns the position that an index means along an axis of the given length: negative ones count from the end.
pub(super) fn position(index: i64, length: usize) -> Result<usize, String> {
    let range = i64::try_from(length).unwrap_or(i64::MAX);
    let from_start = if index < 0 {
        index.saturating_add(range)
    } else {
        index
    };
    let position = usize::try_from(from_start).ok().filter(|at| *at < length);
    position.ok_or_else(|| format!("got index {index}, expected one of {length} positions"))
}

fn lower_gather(node: &Node<'_>) -> Result<Lowered, String> {
    let (data, indices) = (node.input(0)?.fact, node.input(1)?.fact);
    expect_type(indices.datatype, POSITIONS)?;
    let at = node.int("axis")?.unwrap_or(0);
    let mut output = Fact::new(data.datatype, None, infer::all_constant([data, indices]));
    if let (Some(from), Some(places)) = (&data.shape, &indices.shape) {
        let at = axis(at, from.len())?;
        let dims = from[..at].iter().chain(places).chain(&from[at + 1..]);
        output.shape = Some(dims.copied().collect());
        output.rows = match (data.rows, indices.rows) {
            (Rows::None, Rows::Axis(rows)) => Rows::Axis(at + rows),
            (Rows::Axis(rows), Rows::None) if rows < at => Rows::Axis(rows),
            (Rows::Axis(rows), Rows::None) if rows > at => Rows::Axis(rows + places.len() - 1),
            (Rows::None, Rows::None) => Rows::None,
            _ => Rows::Mixed,
        };
    }
    let cost = output.elements_per_row();
    Ok(Lowered::new(Gather(at), vec![output], cost))
}

/// Takes parts along an axis.
#[derive(Debug)]
struct Gather(i64);

impl Operator for Gather {
    fn run(&self, inputs: &mut Inputs<'_>) -> Result<Vec<Value>, String> {
        let (data, indices) = (inputs.get(0)?, inputs.get(1)?);
        let at = axis(self.0, data.rank())?;
        let (outer, length, inner) = split(data.shape(), at);
        let places = ints(indices)?;
        let places = places.iter().map(|index| position(*index, length));
        let places = match places.collect::<Result<Vec<_>, _>>() {
            Ok(places) => places,
            Err(error) => return Err(inputs.refuse(error)),
        };
        let parts = [
            &data.shape()[..at],
            indices.shape(),
            &data.shape()[at + 1..],
        ];
        let shape = parts.concat();
        let count = value::limited(&shape)?;
        let elements = each_type!(data.data(), x => {
            let mut elements = Vec::with_capacity(count);
            for block in 0..outer {
                for place in &places {
                    elements.extend_from_slice(&x[(block * length + place) * inner..][..inner]);
                }
            }
            elements
        });
        Ok(vec![Value::new(shape, elements)?])
    }
}

fn lower_elements(node: &Node<'_>) -> Result<Lowered, String> {
    let (data, indices) = (node.input(0)?.fact, node.input(1)?.fact);
    expect_type(indices.datatype, POSITIONS)?;
    let at = node.int("axis")?.unwrap_or(0);
    let mut rows = infer::all_constant([data, indices]);
    if let (Some(rank), Some(own)) = (data.rank(), indices.rank()) {
        if rank != own {
            return Err(format!(
                "got indices of rank {own} for a tensor of rank {rank}"
            ));
        }
        let at = axis(at, rank)?;
        if let (Rows::Axis(a), Rows::Axis(b)) = (data.rows, indices.rows)
            && a == b
            && a != at
        {
            rows = Rows::Axis(a);
        }
    }
    let output = Fact::new(data.datatype, indices.shape.clone(), rows);
    let cost = output.elements_per_row();
    Ok(Lowered::new(GatherElements(at), vec![output], cost))
}

/// Takes single elements: each at its own place, except along one axis.
#[derive(Debug)]
struct GatherElements(i64);

impl Operator for GatherElements {
    fn run(&self, inputs: &mut Inputs<'_>) -> Result<Vec<Value>, String> {
        let (data, indices) = (inputs.get(0)?, inputs.get(1)?);
        let places = element_places(data.shape(), indices, self.0)?;
        let elements = each_type!(data.data(), x => picked(x, &places));
        Ok(vec![Value::new(indices.shape().to_vec(), elements)?])
    }
}

fn picked<T: Clone>(elements: &[T], places: &[usize]) -> Vec<T> {
    places
        .iter()
        .map(|place| elements[*place].clone())
        .collect()
}

/// Returns, for each index, the place in a tensor of the given shape that has the position of the index, except along an axis, where
/// the index is the position.
pub(super) fn element_places(
    shape: &[usize],
    indices: &Value,
    at: i64,
) -> Result<Vec<usize>, String> {
    let at = axis(at, shape.len())?;
    let own = indices.shape();
    let fits = |axis: usize| axis == at || own[axis] <= shape[axis];
    if own.len() != shape.len() || !(0..own.len()).all(fits) {
        return Err(format!("got indices of shape {own:?} for shape {shape:?}"));
    }
    let mut places = Vec::with_capacity(indices.len());
    for (number, index) in ints(indices)?.into_iter().enumerate() {
        let (mut rest, mut place, mut step) = (number, 0, 1);
        for axis in (0..shape.len()).rev() {
            let along = rest % own[axis];
            rest /= own[axis];
            let along = if axis == at {
                position(index, shape[axis])?
            } else {
                along
            };
            place += along * step;
            step *= shape[axis];
        }
        places.push(place);
    }
    Ok(places)
}

fn lower_slices(node: &Node<'_>) -> Result<Lowered, String> {
    let (data, indices) = (node.input(0)?.fact, node.input(1)?.fact);
    expect_type(indices.datatype, &[Datatype::Int64])?;
    let batch = node.int("batch_dims")?.unwrap_or(0);
    let batch = usize::try_from(batch).map_err(|_| "attribute batch_dims is below 0")?;
    let mut output = Fact::new(data.datatype, None, infer::all_constant([data, indices]));
    if let (Some(from), Some(places)) = (&data.shape, &indices.shape) {
        let Some((Dim::Fixed(width), outer)) = places.split_last() else {
            return Err("the last axis of the indices has no fixed length".into());
        };
        let inner = from
            .get(batch + width..)
            .ok_or("the indices have too many columns")?;
        if outer.len() < batch {
            return Err("attribute batch_dims is larger than the rank of the indices".into());
        }
        output.shape = Some(outer.iter().chain(inner).copied().collect());
        output.rows = match (data.rows, indices.rows) {
            (Rows::None, Rows::Axis(rows)) if rows < outer.len() => Rows::Axis(rows),
            (Rows::Axis(a), Rows::Axis(b)) if a == b && a < batch => Rows::Axis(a),
            (Rows::None, Rows::None) => Rows::None,
            _ => Rows::Mixed,
        };
    }
    let cost = output.elements_per_row();
    Ok(Lowered::new(GatherSlices { batch }, vec![output], cost))
}

/// Takes the slices at positions along several axes. The first `batch` axes of data and indices belong together.
#[derive(Debug)]
struct GatherSlices {
    batch: usize,
}

impl Operator for GatherSlices {
    fn run(&self, inputs: &mut Inputs<'_>) -> Result<Vec<Value>, String> {
        let (data, indices) = (inputs.get(0)?, inputs.get(1)?);
        let batch = self.batch;
        let shapes = || {
            format!(
                "shapes {:?} and {:?} do not fit",
                data.shape(),
                indices.shape()
            )
        };
        let (width, outer) = indices.shape().split_last().ok_or_else(shapes)?;
        let inner = data.shape().get(batch + width..).ok_or_else(shapes)?;
        if outer.len() < batch || outer[..batch] != data.shape()[..batch] {
            return Err(shapes());
        }
        let axes = &data.shape()[batch..batch + width];
        let size: usize = inner.iter().product();
        let per_batch: usize = data.shape()[batch..].iter().product();
        let places_per_batch: usize = outer[batch..].iter().product();
        let rows: usize = outer.iter().product();
        let shape: Vec<usize> = outer.iter().chain(inner).copied().collect();
        let count = value::limited(&shape)?;
        let numbers = ints(indices)?;
        let mut places = Vec::with_capacity(rows);
        for row in 0..rows {
            let mut place = 0;
            for (index, length) in numbers[row * width..][..*width].iter().zip(axes) {
                place = place * length + position(*index, *length)?;
            }
            places.push(row / places_per_batch * per_batch + place * size);
        }
        let elements = each_type!(data.data(), x => {
            let mut elements = Vec::with_capacity(count);
            for place in &places {
                elements.extend_from_slice(&x[*place..][..size]);
            }
            elements
        });
        Ok(vec![Value::new(shape, elements)?])
    }
}
