//! Pooling.

use std::marker::PhantomData;

use super::number::Number;
use super::window::{Plane, Window};
use super::{with_float, with_type};
use crate::model::format::onnx::fact::{Dim, Fact, Rows};
use crate::model::format::onnx::infer;
use crate::model::format::onnx::operator::{Entry, Inputs, Lowered, Node, Operator};
use crate::model::format::onnx::value::{self, Value};

pub(super) const OPERATORS: &[Entry] = &[
    Entry {
        name: "MaxPool",
        since: 1,
        attributes: &[
            "auto_pad",
            "ceil_mode",
            "dilations",
            "kernel_shape",
            "pads",
            "storage_order",
            "strides",
        ],
        lower: lower_max,
    },
    Entry {
        name: "AveragePool",
        since: 7,
        attributes: &[
            "auto_pad",
            "ceil_mode",
            "count_include_pad",
            "dilations",
            "kernel_shape",
            "pads",
            "strides",
        ],
        lower: lower_average,
    },
    Entry {
        name: "GlobalAveragePool",
        since: 1,
        attributes: &[],
        lower: lower_global,
    },
    Entry {
        name: "GlobalMaxPool",
        since: 1,
        attributes: &[],
        lower: lower_global,
    },
];

fn lower_max(node: &Node<'_>) -> Result<Lowered, String> {
    let input = node.input(0)?.fact;
    let window = Window::read(node, None)?;
    if node.is_used(1) {
        return Err("the output of positions is not supported".into());
    }
    node.int("storage_order")?;
    let output = window.fact(input, input.dim(1))?;
    let cost = cost(&window, &output);
    with_type!(
        input.datatype,
        [Fp32: f32, Fp64: f64, Int8: i8, Uint8: u8],
        T => {
            let operator = MaxPool::<T> { window, elements: PhantomData };
            Ok(Lowered::new(operator, vec![output], cost))
        }
    )
}

fn cost(window: &Window, output: &Fact) -> usize {
    let size = window.kernel.iter().product::<usize>();
    output.elements_per_row().saturating_mul(size)
}

/// The largest element of each window.
#[derive(Debug)]
struct MaxPool<T> {
    window: Window,
    elements: PhantomData<T>,
}

impl<T: Number + std::fmt::Debug> Operator for MaxPool<T> {
    fn run(&self, inputs: &mut Inputs<'_>) -> Result<Vec<Value>, String> {
        pool::<T>(&self.window, inputs.get(0)?, |values, plane, result| {
            windows(plane, |[y, x]| {
                let mut best = T::LOWEST;
                for row in y.positions() {
                    for column in x.positions() {
                        best = best.larger(values[row * plane.input[1] + column]);
                    }
                }
                result.push(best);
            });
        })
    }
}

/// Pools each channel of each row: `f` adds the results of one plane.
fn pool<T: Number>(
    window: &Window,
    input: &Value,
    f: impl Fn(&[T], &Plane, &mut Vec<T>),
) -> Result<Vec<Value>, String> {
    let plane = window.plane(input.shape())?;
    let (rows, channels) = (input.shape()[0], input.shape()[1]);
    let shape = window.output(rows, channels, &plane);
    let mut result = Vec::with_capacity(value::limited(&shape)?);
    let size = plane.input[0] * plane.input[1];
    for values in input.elements::<T>()?.chunks_exact(size.max(1)) {
        f(values, &plane, &mut result);
    }
    Ok(vec![Value::of(shape, result)?])
}

/// The positions of one window along one axis.
#[derive(Clone, Copy)]
struct Span {
    /// The first position inside the input.
    first: usize,
    /// Positions inside the input.
    count: usize,
    step: usize,
    /// Positions inside the input or its padding.
    padded: usize,
}

impl Span {
    fn positions(self) -> impl Iterator<Item = usize> {
        (0..self.count).map(move |at| self.first + at * self.step)
    }
}

/// Calls `f` for each window, row by row.
#[inline]
fn windows(plane: &Plane, mut f: impl FnMut([Span; 2])) {
    for y in 0..plane.output[0] {
        let down = span(plane, 0, y);
        for x in 0..plane.output[1] {
            f([down, span(plane, 1, x)]);
        }
    }
}

/// Returns the positions of window number `at` along an axis of a plane.
#[inline]
fn span(plane: &Plane, axis: usize, at: usize) -> Span {
    let (length, step, kernel) = (plane.input[axis], plane.dilation[axis], plane.kernel[axis]);
    // All positions are shifted by the padding before the input, so that none is below zero.
    let start = at * plane.stride[axis];
    let before = plane.before[axis];
    let skipped = before.saturating_sub(start).div_ceil(step).min(kernel);
    let within = |end: usize| end.saturating_sub(start).div_ceil(step).min(kernel);
    let first = start + skipped * step;
    Span {
        first: first.saturating_sub(before),
        count: within(before + length).saturating_sub(skipped),
        step,
        padded: within(before + length + plane.after[axis]),
    }
}

fn lower_average(node: &Node<'_>) -> Result<Lowered, String> {
    let input = node.input(0)?.fact;
    let window = Window::read(node, None)?;
    let counts_padding = node.flag("count_include_pad")?.unwrap_or(false);
    let output = window.fact(input, input.dim(1))?;
    let cost = cost(&window, &output);
    with_float!(input.datatype, T => {
        let operator = AveragePool::<T> { window, counts_padding, elements: PhantomData };
        Ok(Lowered::new(operator, vec![output], cost))
    })
}

/// The mean of each window.
#[derive(Debug)]
struct AveragePool<T> {
    window: Window,
    /// Whether padding counts as zeros.
    counts_padding: bool,
    elements: PhantomData<T>,
}

impl<T: Number + std::fmt::Debug> Operator for AveragePool<T> {
    fn run(&self, inputs: &mut Inputs<'_>) -> Result<Vec<Value>, String> {
        pool::<T>(&self.window, inputs.get(0)?, |values, plane, result| {
            windows(plane, |[y, x]| {
                let mut sum = T::ZERO;
                for row in y.positions() {
                    for column in x.positions() {
                        sum = sum.add(values[row * plane.input[1] + column]);
                    }
                }
                let count = if self.counts_padding {
                    y.padded * x.padded
                } else {
                    y.count * x.count
                };
                result.push(sum.div(T::from_f64(count as f64)));
            });
        })
    }
}

fn lower_global(node: &Node<'_>) -> Result<Lowered, String> {
    let input = node.input(0)?.fact;
    let rows = match input.rows {
        Rows::Axis(0) => Rows::Axis(0),
        _ => infer::all_constant([input]),
    };
    let mut shape = input.shape.clone();
    if let Some(shape) = &mut shape {
        let inner = shape
            .get_mut(2..)
            .ok_or("expected an input of rank 2 or more")?;
        inner.fill(Dim::Fixed(1));
    }
    let output = Fact::new(input.datatype, shape, rows);
    let largest = node.operator() == "GlobalMaxPool";
    let cost = input.elements_per_row();
    with_float!(input.datatype, T => {
        let operator = Global::<T> { largest, elements: PhantomData };
        Ok(Lowered::new(operator, vec![output], cost))
    })
}

/// The mean, or the largest element, of each channel of each row.
#[derive(Debug)]
struct Global<T> {
    largest: bool,
    elements: PhantomData<T>,
}

impl<T: Number + std::fmt::Debug> Operator for Global<T> {
    fn run(&self, inputs: &mut Inputs<'_>) -> Result<Vec<Value>, String> {
        let input = inputs.get(0)?;
        let [rows, channels, inner @ ..] = input.shape() else {
            return Err(format!(
                "got shape {:?}, expected rank 2 or more",
                input.shape()
            ));
        };
        let mut shape = vec![*rows, *channels];
        shape.resize(input.rank(), 1);
        let size = inner.iter().product::<usize>();
        if size == 0 && rows * channels > 0 {
            return Err("got no elements to pool".into());
        }
        let count = T::from_f64(size as f64);
        let planes = input.elements::<T>()?.chunks_exact(size.max(1));
        let result = planes.map(|values| {
            if self.largest {
                return values.iter().copied().fold(T::LOWEST, T::larger);
            }
            let mut sums = [T::ZERO; 8];
            let (pieces, rest) = values.as_chunks::<8>();
            for piece in pieces {
                sums.iter_mut()
                    .zip(piece)
                    .for_each(|(sum, x)| *sum = sum.add(*x));
            }
            sums.iter()
                .chain(rest)
                .fold(T::ZERO, |sum, x| sum.add(*x))
                .div(count)
        });
        Ok(vec![Value::of(shape, result.collect())?])
    }
}
