//! Exchange of axes.

use super::each_type;
use crate::model::format::onnx::fact::{Dim, Fact, Rows};
use crate::model::format::onnx::infer::{self, moved};
use crate::model::format::onnx::operator::{Entry, Inputs, Lowered, Node, Operator};
use crate::model::format::onnx::value::Value;

pub(super) const OPERATORS: &[Entry] = &[
    Entry {
        name: "Transpose",
        since: 1,
        attributes: &["perm"],
        lower: lower_transpose,
    },
    Entry {
        name: "DepthToSpace",
        since: 1,
        attributes: &["blocksize", "mode"],
        lower: lower_blocks,
    },
    Entry {
        name: "SpaceToDepth",
        since: 1,
        attributes: &["blocksize"],
        lower: lower_blocks,
    },
];

fn lower_transpose(node: &Node<'_>) -> Result<Lowered, String> {
    let input = node.input(0)?.fact;
    let order = match node.ints("perm")? {
        None => None,
        Some(order) => {
            let order = order
                .iter()
                .map(|at| usize::try_from(*at).unwrap_or(usize::MAX));
            let order: Vec<usize> = order.collect();
            let mut sorted = order.clone();
            sorted.sort_unstable();
            if !sorted.iter().copied().eq(0..order.len()) {
                return Err("attribute perm: expected each axis once".into());
            }
            Some(order)
        }
    };
    let mut output = Fact::new(input.datatype, None, infer::all_constant([input]));
    if let Some(shape) = &input.shape {
        let order = order.clone();
        let order = order.unwrap_or_else(|| (0..shape.len()).rev().collect());
        if order.len() != shape.len() {
            let (got, expected) = (order.len(), shape.len());
            return Err(format!(
                "attribute perm: got {got} axes, expected {expected}"
            ));
        }
        output.rows = moved(input.rows, |axis| order.iter().position(|at| *at == axis));
        output.shape = Some(order.iter().map(|at| shape[*at]).collect());
    }
    let cost = input.elements_per_row();
    Ok(Lowered::new(Transpose(order), vec![output], cost))
}

/// Puts axes in another order, the opposite one if there is no list.
#[derive(Debug)]
struct Transpose(Option<Vec<usize>>);

impl Operator for Transpose {
    fn run(&self, inputs: &mut Inputs<'_>) -> Result<Vec<Value>, String> {
        let input = inputs.get(0)?;
        let opposite: Vec<usize>;
        let order = match &self.0 {
            Some(order) => order,
            None => {
                opposite = (0..input.rank()).rev().collect();
                &opposite
            }
        };
        if order.len() != input.rank() {
            let (got, expected) = (input.rank(), order.len());
            return Err(format!("got a tensor of rank {got}, expected {expected}"));
        }
        let shape: Vec<usize> = order.iter().map(|at| input.shape()[*at]).collect();
        // Axes of length 1 have no effect on the order of elements.
        let moving = order.iter().filter(|at| input.shape()[**at] != 1);
        if moving.is_sorted() {
            return Ok(vec![inputs.take(0)?.with_shape(shape)?]);
        }
        let data = each_type!(input.data(), x => transposed(x, input.shape(), order));
        Ok(vec![Value::new(shape, data)?])
    }
}

/// Returns the elements with their axes in another order.
pub(super) fn transposed<T: Clone>(elements: &[T], shape: &[usize], order: &[usize]) -> Vec<T> {
    let mut steps = vec![1; shape.len()];
    for axis in (1..shape.len()).rev() {
        steps[axis - 1] = steps[axis] * shape[axis];
    }
    // Neighbouring axes that stay together become one.
    let mut axes: Vec<(usize, usize)> = Vec::with_capacity(order.len());
    for at in order.iter().filter(|at| shape[**at] != 1) {
        match axes.last_mut() {
            Some((length, step)) if *step == steps[*at] * shape[*at] => {
                *length *= shape[*at];
                *step = steps[*at];
            }
            _ => axes.push((shape[*at], steps[*at])),
        }
    }
    let mut result = Vec::with_capacity(elements.len());
    if !elements.is_empty() {
        collect(elements, 0, &axes, &mut result);
    }
    result
}

fn collect<T: Clone>(elements: &[T], at: usize, axes: &[(usize, usize)], result: &mut Vec<T>) {
    match *axes {
        [] => result.push(elements[at].clone()),
        [(length, 1)] => result.extend_from_slice(&elements[at..at + length]),
        [(length, step)] => {
            result.extend((0..length).map(|index| elements[at + index * step].clone()));
        }
        [(length, step), ref inner @ ..] => {
            for index in 0..length {
                collect(elements, at + index * step, inner, result);
            }
        }
    }
}

fn lower_blocks(node: &Node<'_>) -> Result<Lowered, String> {
    let input = node.input(0)?.fact;
    let size = node
        .int("blocksize")?
        .ok_or("attribute blocksize is missing")?;
    let size = usize::try_from(size)
        .ok()
        .filter(|size| (1..=1 << 10).contains(size));
    let size = size.ok_or("attribute blocksize: expected 1 to 1024")?;
    let to_space = node.operator() == "DepthToSpace";
    let columns_first = match node.text("mode")?.unwrap_or("DCR") {
        "DCR" => false,
        "CRD" if to_space => true,
        other => return Err(format!("attribute mode: got {other:?}")),
    };
    if input.rank().is_some_and(|rank| rank != 4) {
        return Err("expected an input of rank 4".into());
    }
    let scaled = |dim: Dim, up: bool| match dim {
        Dim::Fixed(length) if up => Dim::Fixed(length.saturating_mul(size)),
        Dim::Fixed(length) => Dim::Fixed(length / size),
        _ => Dim::Unknown,
    };
    let area = |dim: Dim| match dim {
        Dim::Fixed(length) if to_space => Dim::Fixed(length / (size * size)),
        Dim::Fixed(length) => Dim::Fixed(length.saturating_mul(size * size)),
        _ => Dim::Unknown,
    };
    let shape = vec![
        input.dim(0),
        area(input.dim(1)),
        scaled(input.dim(2), to_space),
        scaled(input.dim(3), to_space),
    ];
    let rows = match input.rows {
        Rows::Axis(0) => Rows::Axis(0),
        Rows::None => Rows::None,
        _ => Rows::Mixed,
    };
    let output = Fact::new(input.datatype, Some(shape), rows);
    let operator = Blocks {
        size,
        to_space,
        columns_first,
    };
    Ok(Lowered::new(
        operator,
        vec![output],
        input.elements_per_row(),
    ))
}

/// Moves channels into blocks of positions, or back.
#[derive(Debug)]
struct Blocks {
    size: usize,
    to_space: bool,
    columns_first: bool,
}

impl Operator for Blocks {
    fn run(&self, inputs: &mut Inputs<'_>) -> Result<Vec<Value>, String> {
        let input = inputs.get(0)?;
        let size = self.size;
        let [rows, channels, height, width] = *input.shape() else {
            return Err(format!("got shape {:?}, expected rank 4", input.shape()));
        };
        let divides = if self.to_space {
            channels.is_multiple_of(size * size)
        } else {
            height.is_multiple_of(size) && width.is_multiple_of(size)
        };
        if !divides {
            return Err(format!(
                "got shape {:?} for blocks of {size}",
                input.shape()
            ));
        }
        let (parts, order, shape) = if self.to_space {
            let deep = channels / (size * size);
            let parts = if self.columns_first {
                [rows, deep, size, size, height, width]
            } else {
                [rows, size, size, deep, height, width]
            };
            let order = if self.columns_first {
                [0, 1, 4, 2, 5, 3]
            } else {
                [0, 3, 4, 1, 5, 2]
            };
            (parts, order, [rows, deep, height * size, width * size])
        } else {
            let parts = [rows, channels, height / size, size, width / size, size];
            let shape = [rows, channels * size * size, height / size, width / size];
            (parts, [0, 3, 5, 1, 2, 4], shape)
        };
        let data = each_type!(input.data(), x => transposed(x, &parts, &order));
        Ok(vec![Value::new(shape.to_vec(), data)?])
    }
}
