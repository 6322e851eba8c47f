//! Replaces elements at positions that another tensor gives.

use std::marker::PhantomData;

use bytes::Bytes;

use super::gather::{element_places, position};
use super::number::Number;
use super::{with_number, with_type};
use crate::model::format::onnx::fact::Fact;
use crate::model::format::onnx::infer::{self, expect_type, ints, same_type};
use crate::model::format::onnx::operator::{Entry, Inputs, Lowered, Node, Operator};
use crate::model::format::onnx::value::{Element, Value};
use crate::model::payload::Datatype;

pub(super) const OPERATORS: &[Entry] = &[
    Entry {
        name: "ScatterElements",
        since: 11,
        attributes: &["axis", "reduction"],
        lower,
    },
    Entry {
        name: "ScatterND",
        since: 11,
        attributes: &["reduction"],
        lower,
    },
];

fn lower(node: &Node<'_>) -> Result<Lowered, String> {
    let [data, indices, updates] = [
        node.input(0)?.fact,
        node.input(1)?.fact,
        node.input(2)?.fact,
    ];
    same_type(data, updates)?;
    expect_type(indices.datatype, &[Datatype::Int32, Datatype::Int64])?;
    let rows = infer::all_constant([data, indices, updates]);
    let output = Fact::new(data.datatype, data.shape.clone(), rows);
    let cost = data.elements_per_row();
    let axis = match node.operator() {
        "ScatterElements" => Some(node.int("axis")?.unwrap_or(0)),
        _ => None,
    };
    let reduction = node.text("reduction")?.unwrap_or("none");
    if reduction == "none" {
        return with_type!(
            data.datatype,
            [
                Bool: bool, Int8: i8, Int16: i16, Int32: i32, Int64: i64, Uint8: u8, Uint16: u16,
                Uint32: u32, Uint64: u64, Fp32: f32, Fp64: f64, Bytes: Bytes
            ],
            T => {
                let combine = newer::<T>;
                Ok(Lowered::new(Scatter { axis, combine, elements: PhantomData }, vec![output], cost))
            }
        );
    }
    with_number!(data.datatype, T => {
        let combine: fn(&T, &T) -> T = match reduction {
            "add" => |old, new| old.add(*new),
            "mul" => |old, new| old.mul(*new),
            "max" => |old, new| old.larger(*new),
            "min" => |old, new| old.smaller(*new),
            other => return Err(format!("attribute reduction: got {other:?}")),
        };
        Ok(Lowered::new(Scatter { axis, combine, elements: PhantomData }, vec![output], cost))
    })
}

fn newer<T: Clone>(_: &T, new: &T) -> T {
    new.clone()
}

/// Replaces single elements along an axis, or whole slices if there is no axis.
struct Scatter<T, F> {
    axis: Option<i64>,
    /// Combines the old element with the new one.
    combine: F,
    elements: PhantomData<T>,
}

impl<T, F> std::fmt::Debug for Scatter<T, F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Scatter({:?})", self.axis)
    }
}

impl<T, F> Operator for Scatter<T, F>
where
    T: Element,
    F: Fn(&T, &T) -> T + Send + Sync,
{
    fn run(&self, inputs: &mut Inputs<'_>) -> Result<Vec<Value>, String> {
        let data = inputs.take(0)?;
        let (indices, updates) = (inputs.get(1)?, inputs.get(2)?);
        let shape = data.shape().to_vec();
        let (places, size) = match self.axis {
            Some(axis) if indices.shape() == updates.shape() => {
                (element_places(&shape, indices, axis)?, 1)
            }
            Some(_) => return Err("indices and updates have different shapes".into()),
            None => slice_places(&shape, indices, updates.shape())?,
        };
        let new = updates.elements::<T>()?;
        let mut elements = data.into_elements::<T>()?;
        for (number, place) in places.into_iter().enumerate() {
            let new = &new[number * size..][..size];
            for (old, new) in elements[place..][..size].iter_mut().zip(new) {
                *old = (self.combine)(old, new);
            }
        }
        Ok(vec![Value::of(shape, elements)?])
    }
}

/// Returns the place of each slice, and the number of elements of a slice.
fn slice_places(
    shape: &[usize],
    indices: &Value,
    updates: &[usize],
) -> Result<(Vec<usize>, usize), String> {
    let misfit = || {
        format!(
            "got indices {:?} and updates {updates:?} for {shape:?}",
            indices.shape()
        )
    };
    let (width, outer) = indices.shape().split_last().ok_or_else(misfit)?;
    let (axes, inner) = shape.split_at_checked(*width).ok_or_else(misfit)?;
    let expected = outer.iter().chain(inner);
    if !expected.eq(updates.iter()) {
        return Err(misfit());
    }
    let size = inner.iter().product();
    let numbers = ints(indices)?;
    let mut places = Vec::with_capacity(outer.iter().product());
    for row in 0..outer.iter().product() {
        let mut place = 0;
        for (index, length) in numbers[row * width..][..*width].iter().zip(axes) {
            place = place * length + position(*index, *length)?;
        }
        places.push(place * size);
    }
    Ok((places, size))
}
