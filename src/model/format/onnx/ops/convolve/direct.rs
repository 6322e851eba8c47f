//! Convolutions whose weights are computed, those of FP64, and transposed convolutions: straightforward loops.

use std::marker::PhantomData;

use super::super::number::Number;
use super::super::window::{Plane, Window, list};
use super::super::with_float;
use super::groups;
use crate::model::format::onnx::fact::{Dim, Fact, Rows};
use crate::model::format::onnx::infer::{self, same_type};
use crate::model::format::onnx::operator::{Inputs, Lowered, Node, Operator};
use crate::model::format::onnx::value::{self, Value};

/// Lowers a convolution.
pub(super) fn lower(
    window: Window,
    groups: usize,
    output: Fact,
    cost: usize,
) -> Result<Lowered, String> {
    with_float!(output.datatype, T => {
        let operator = Direct::<T> { window, groups, elements: PhantomData };
        Ok(Lowered::new(operator, vec![output], cost))
    })
}

/// A convolution of input 0 with the weights of input 1, and the bias of input 2.
#[derive(Debug)]
struct Direct<T> {
    window: Window,
    groups: usize,
    elements: PhantomData<T>,
}

impl<T: Number + std::fmt::Debug> Operator for Direct<T> {
    fn run(&self, inputs: &mut Inputs<'_>) -> Result<Vec<Value>, String> {
        let (input, weights) = (inputs.get(0)?, inputs.get(1)?);
        let plane = self.window.plane(input.shape())?;
        let (&[rows, channels, ..], &[outs, depth, ..]) = (input.shape(), weights.shape()) else {
            return Err("expected inputs of rank 3 or 4".into());
        };
        let kernel: usize = plane.kernel.iter().product();
        if channels != depth * self.groups || weights.len() != outs * depth * kernel {
            let (x, w) = (input.shape(), weights.shape());
            return Err(format!("shapes {x:?} and {w:?} do not fit"));
        }
        let shape = self.window.output(rows, outs, &plane);
        let bias = bias::<T>(inputs, outs)?;
        let (xs, ws) = (input.elements::<T>()?, weights.elements::<T>()?);
        let size = plane.input[0] * plane.input[1];
        let mut result = Vec::with_capacity(value::limited(&shape)?);
        for row in 0..rows {
            for (out, bias) in bias.iter().enumerate() {
                let first = row * channels + out / (outs / self.groups) * depth;
                let xs = &xs[first * size..][..depth * size];
                let ws = &ws[out * depth * kernel..][..depth * kernel];
                for y in 0..plane.output[0] {
                    for x in 0..plane.output[1] {
                        result.push(bias.add(window_sum(&plane, xs, ws, [y, x])));
                    }
                }
            }
        }
        Ok(vec![Value::of(shape, result)?])
    }
}

fn bias<T: Number>(inputs: &Inputs<'_>, outs: usize) -> Result<Vec<T>, String> {
    let Some(bias) = inputs.optional(2) else {
        return Ok(vec![T::ZERO; outs]);
    };
    let bias = bias.elements::<T>()?;
    if bias.len() != outs {
        return Err(format!(
            "got {} numbers as the bias of {outs} channels",
            bias.len()
        ));
    }
    Ok(bias.to_vec())
}

/// Returns the sum of products under one window, over all planes of `xs`.
fn window_sum<T: Number>(plane: &Plane, xs: &[T], ws: &[T], [y, x]: [usize; 2]) -> T {
    let mut sum = T::ZERO;
    let [height, width] = plane.input;
    let planes = xs.chunks_exact(height * width);
    for (xs, ws) in planes.zip(ws.chunks_exact(plane.kernel[0] * plane.kernel[1])) {
        for (at, w) in ws.iter().enumerate() {
            let (down, right) = (at / plane.kernel[1], at % plane.kernel[1]);
            let row = y * plane.stride[0] + down * plane.dilation[0];
            let column = x * plane.stride[1] + right * plane.dilation[1];
            let (Some(row), Some(column)) = (
                row.checked_sub(plane.before[0]).filter(|at| *at < height),
                column.checked_sub(plane.before[1]).filter(|at| *at < width),
            ) else {
                continue;
            };
            sum = sum.add(w.mul(xs[row * width + column]));
        }
    }
    sum
}

/// Lowers a transposed convolution.
pub(super) fn lower_transposed(node: &Node<'_>) -> Result<Lowered, String> {
    let (input, weights, bias) = (node.input(0)?.fact, node.input(1)?.fact, node.optional(2));
    let bias = bias.map(|bias| bias.fact);
    same_type(input, weights)?;
    let shape = weights
        .fixed_shape()
        .ok_or("the shape of the weights is not fixed")?;
    let [channels, depth, kernel @ ..] = &*shape else {
        return Err(format!("got weights of shape {shape:?}"));
    };
    if shape.contains(&0) {
        return Err(format!("got weights of shape {shape:?}"));
    }
    let given = node.text("auto_pad")?.unwrap_or("NOTSET");
    if !matches!(given, "NOTSET" | "VALID") || node.has("output_shape") {
        return Err("attributes auto_pad and output_shape are not supported".into());
    }
    let axes = kernel.len();
    let window = Window::read(node, Some(kernel))?;
    let pads = match given {
        "VALID" => vec![0; 2 * axes],
        _ => list(node, "pads", 0)?.unwrap_or_else(|| vec![0; 2 * axes]),
    };
    let extra = list(node, "output_padding", 0)?.unwrap_or_else(|| vec![0; axes]);
    if extra.len() != axes {
        return Err(format!(
            "attribute output_padding: got {} numbers",
            extra.len()
        ));
    }
    let groups = groups(node)?;
    if !channels.is_multiple_of(groups) {
        return Err(format!(
            "cannot divide {channels} channels into {groups} groups"
        ));
    }
    let outs = depth.saturating_mul(groups);
    let operator = Transposed {
        window,
        pads,
        extra,
        groups,
    };
    if input.rank().is_some_and(|rank| rank != axes + 2) {
        return Err(format!("expected an input of rank {}", axes + 2));
    }
    let mut dims = vec![input.dim(0), Dim::Fixed(outs)];
    for axis in 0..axes {
        dims.push(match input.dim(axis + 2) {
            Dim::Fixed(length) => Dim::Fixed(operator.length(axis, length)?),
            _ => Dim::Unknown,
        });
    }
    let parameters = infer::all_constant([Some(weights), bias].into_iter().flatten());
    let rows = match (input.rows, parameters) {
        (Rows::Axis(0), Rows::None) => Rows::Axis(0),
        (Rows::None, Rows::None) => Rows::None,
        _ => Rows::Mixed,
    };
    let output = Fact::new(input.datatype, Some(dims), rows);
    let size = kernel.iter().product::<usize>().saturating_mul(*depth);
    let cost = input.elements_per_row().saturating_mul(size);
    with_float!(input.datatype, T => {
        let operator = OfType::<T> { operator, elements: PhantomData };
        Ok(Lowered::new(operator, vec![output], cost))
    })
}

/// A transposed convolution: each value of the input adds the weights, times the value, to the output.
#[derive(Debug)]
struct Transposed {
    window: Window,
    pads: Vec<usize>,
    /// Positions that are added at the end of each axis.
    extra: Vec<usize>,
    groups: usize,
}

#[derive(Debug)]
struct OfType<T> {
    operator: Transposed,
    elements: PhantomData<T>,
}

impl Transposed {
    /// Returns the length of an axis of the output.
    fn length(&self, axis: usize, length: usize) -> Result<usize, String> {
        let window = &self.window;
        let steps = length.checked_sub(1).ok_or("got an axis of length 0")?;
        let reach = (window.kernel[axis] - 1) * window.dilations[axis] + 1;
        let whole = steps.saturating_mul(window.strides[axis]) + reach + self.extra[axis];
        let cut = self.pads[axis] + self.pads[axis + window.kernel.len()];
        let left = whole.checked_sub(cut).filter(|left| *left > 0);
        left.ok_or_else(|| format!("an axis of {length} is too short for these pads"))
    }
}

impl<T: Number + std::fmt::Debug> Operator for OfType<T> {
    fn run(&self, inputs: &mut Inputs<'_>) -> Result<Vec<Value>, String> {
        let operator = &self.operator;
        let (input, weights) = (inputs.get(0)?, inputs.get(1)?);
        let (&[rows, channels, ref lengths @ ..], &[given, depth, ref kernel @ ..]) =
            (input.shape(), weights.shape())
        else {
            return Err("expected inputs of rank 3 or 4".into());
        };
        if channels != given || lengths.len() != kernel.len() || *kernel != *operator.window.kernel
        {
            let (x, w) = (input.shape(), weights.shape());
            return Err(format!("shapes {x:?} and {w:?} do not fit"));
        }
        let outs = depth * operator.groups;
        let mut shape = vec![rows, outs];
        for (axis, length) in lengths.iter().enumerate() {
            shape.push(operator.length(axis, *length)?);
        }
        value::limited(&shape)?;
        let plane = operator.plane(lengths, &shape[2..]);
        let bias = bias::<T>(inputs, outs)?;
        let positions = plane.output[0] * plane.output[1];
        let size = plane.input[0] * plane.input[1];
        let kernel: usize = kernel.iter().product();
        let (xs, ws) = (input.elements::<T>()?, weights.elements::<T>()?);
        let mut result = Vec::with_capacity(rows * outs * positions);
        for _ in 0..rows {
            for bias in &bias {
                result.resize(result.len() + positions, *bias);
            }
        }
        let per_group = channels / operator.groups;
        for (at, xs) in xs.chunks_exact(size).enumerate() {
            let (row, channel) = (at / channels, at % channels);
            for out in 0..depth {
                let to = row * outs + channel / per_group * depth + out;
                let to = &mut result[to * positions..][..positions];
                let ws = &ws[(channel * depth + out) * kernel..][..kernel];
                spread(&plane, xs, ws, to);
            }
        }
        Ok(vec![Value::of(shape, result)?])
    }
}

impl Transposed {
    /// Returns the geometry on two axes, with input and output as those of this operator.
    fn plane(&self, lengths: &[usize], outputs: &[usize]) -> Plane {
        let axes = lengths.len();
        let pair = |values: &[usize], default: usize| match *values {
            [first, second] => [first, second],
            [only] => [default, only],
            _ => [default; 2],
        };
        Plane {
            input: pair(lengths, 1),
            output: pair(outputs, 1),
            kernel: pair(&self.window.kernel, 1),
            stride: pair(&self.window.strides, 1),
            dilation: pair(&self.window.dilations, 1),
            before: pair(&self.pads[..axes], 0),
            after: pair(&self.pads[axes..], 0),
        }
    }
}

/// Adds the products of each value of a plane with the weights to the output.
fn spread<T: Number>(plane: &Plane, xs: &[T], ws: &[T], out: &mut [T]) {
    let [height, width] = plane.output;
    for (at, x) in xs.iter().enumerate() {
        let (y, column) = (at / plane.input[1], at % plane.input[1]);
        for (at, w) in ws.iter().enumerate() {
            let (down, right) = (at / plane.kernel[1], at % plane.kernel[1]);
            let row = y * plane.stride[0] + down * plane.dilation[0];
            let column = column * plane.stride[1] + right * plane.dilation[1];
            let (Some(row), Some(column)) = (
                row.checked_sub(plane.before[0]).filter(|at| *at < height),
                column.checked_sub(plane.before[1]).filter(|at| *at < width),
            ) else {
                continue;
            };
            let sum = &mut out[row * width + column];
            *sum = sum.add(w.mul(*x));
        }
    }
}
