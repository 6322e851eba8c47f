//! Convolutions.
//!
//! [`Convolution`] has constant weights in FP32. The positions of the output become the columns of a matrix ([`columns`]), in the
//! order in which the kernel of format `dense` reads weights, and the convolution's weights are the rows. If each group has a
//! single channel, that would take longer than the products ([`depthwise`]). [`direct`] is everything else.

mod columns;
mod depthwise;
mod direct;
mod source;

use pulp::Arch;

use super::batch_norm::Channels;
use super::window::{Plane, Window};
use crate::model::format::onnx::fact::{Dim, Rows};
use crate::model::format::onnx::infer::same_type;
use crate::model::format::onnx::operator::{Entry, Inputs, Lowered, Node, Operator, Work};
use crate::model::format::onnx::rows::{InPlace, Lanes, narrowed};
use crate::model::format::onnx::value::{self, Value};
use crate::model::payload::Datatype;

pub(super) const OPERATORS: &[Entry] = &[
    Entry {
        name: "Conv",
        since: 1,
        attributes: &[
            "auto_pad",
            "dilations",
            "group",
            "kernel_shape",
            "pads",
            "strides",
        ],
        lower,
    },
    Entry {
        name: "ConvTranspose",
        since: 1,
        attributes: &[
            "auto_pad",
            "dilations",
            "group",
            "kernel_shape",
            "output_padding",
            "output_shape",
            "pads",
            "strides",
        ],
        lower: direct::lower_transposed,
    },
];

/// A convolution of constant weights, in FP32, and what happens to each value after it.
#[derive(Debug)]
pub(in crate::model::format::onnx) struct Convolution {
    arch: Arch,
    /// Values in a register.
    lanes: usize,
    window: Window,
    groups: usize,
    /// Channels of the input in each group.
    depth: usize,
    /// `[outs, depth and window]`, row-major.
    weights: Vec<f32>,
    bias: Vec<f32>,
    /// Functions of single numbers.
    pub(in crate::model::format::onnx) then: Vec<InPlace>,
}

fn lower(node: &Node<'_>) -> Result<Lowered, String> {
    let (input, weights, bias) = (node.input(0)?, node.input(1)?, node.optional(2));
    same_type(input.fact, weights.fact)?;
    if let Some(bias) = bias {
        same_type(input.fact, bias.fact)?;
    }
    let shape = weights.fact.fixed_shape();
    let shape = shape.ok_or("the shape of the weights is not fixed")?;
    let [outs, depth, kernel @ ..] = &*shape else {
        return Err(format!("got weights of shape {shape:?}"));
    };
    if shape.contains(&0) {
        return Err(format!("got weights of shape {shape:?}"));
    }
    let window = Window::read(node, Some(kernel))?;
    let groups = groups(node)?;
    if !outs.is_multiple_of(groups) {
        return Err(format!(
            "cannot divide {outs} channels into {groups} groups"
        ));
    }
    if let Dim::Fixed(channels) = input.fact.dim(1)
        && depth.checked_mul(groups) != Some(channels)
    {
        return Err(format!(
            "got {channels} channels, expected {groups} groups of {depth}"
        ));
    }
    if let Some(shape) = bias.and_then(|bias| bias.fact.fixed_shape())
        && shape != [*outs]
    {
        return Err(format!("got a bias of shape {shape:?}, expected [{outs}]"));
    }
    let mut output = window.fact(input.fact, Dim::Fixed(*outs))?;
    for parameter in [Some(weights), bias].into_iter().flatten() {
        if parameter.fact.rows != Rows::None {
            output.rows = Rows::Mixed;
        }
    }
    let size = kernel.iter().product::<usize>().saturating_mul(*depth);
    let cost = output.elements_per_row().saturating_mul(size);
    let constant = bias.map_or(Some(None), |bias| bias.constant.map(Some));
    if let (Some(weights), Some(bias), Datatype::Fp32) =
        (weights.constant, constant, input.fact.datatype)
        && input.constant.is_none()
    {
        let arch = Arch::new();
        let convolution = Convolution {
            arch,
            lanes: arch.dispatch(Lanes),
            window,
            groups,
            depth: *depth,
            weights: weights.elements::<f32>()?.to_vec(),
            bias: match bias {
                Some(bias) => bias.elements::<f32>()?.to_vec(),
                None => vec![0.0; *outs],
            },
            then: Vec::new(),
        };
        return Ok(Lowered {
            work: Work::Convolve(Box::new(convolution)),
            outputs: vec![output],
            cost,
            reads: Some(vec![0]),
        });
    }
    direct::lower(window, groups, output, cost)
}

/// Returns the number of groups of channels.
fn groups(node: &Node<'_>) -> Result<usize, String> {
    let groups = node.int("group")?.unwrap_or(1);
    let found = usize::try_from(groups).ok().filter(|groups| *groups > 0);
    found.ok_or_else(|| format!("attribute group: got {groups}, expected 1 or more"))
}

impl Convolution {
    /// Makes factor and shift of each channel part of the weights. Returns false if something happens between.
    pub(in crate::model::format::onnx) fn scale(&mut self, channels: &Channels) -> bool {
        if !self.then.is_empty() || channels.factor.len() != self.bias.len() {
            return false;
        }
        let size = self.weights.len() / self.bias.len();
        let rows = self.weights.chunks_exact_mut(size).zip(&mut self.bias);
        for ((row, bias), (factor, shift)) in rows.zip(channels.factor.iter().zip(&channels.shift))
        {
            row.iter_mut().for_each(|weight| *weight *= factor);
            let scaled = f64::from(*bias) * f64::from(*factor) + f64::from(*shift);
            *bias = narrowed(scaled);
        }
        true
    }

    /// Returns the channels of the output in each group.
    fn outs(&self) -> usize {
        self.bias.len() / self.groups
    }
}

/// What one call computes.
#[derive(Clone, Copy)]
struct Task<'a> {
    convolution: &'a Convolution,
    plane: Plane,
    input: &'a [f32],
    rows: usize,
}

impl Task<'_> {
    /// Adds the bias of a channel to a run of its values, and applies what happens after it.
    #[inline(always)]
    fn finish(&self, channel: usize, values: &mut [f32]) {
        let bias = self.convolution.bias[channel];
        if bias != 0.0 {
            values.iter_mut().for_each(|x| *x += bias);
        }
        for step in &self.convolution.then {
            step.apply(self.convolution.arch, values, 1);
        }
    }

    /// Returns the positions of the output in one channel.
    fn positions(&self) -> usize {
        self.plane.output[0] * self.plane.output[1]
    }
}

impl Operator for Convolution {
    fn run(&self, inputs: &mut Inputs<'_>) -> Result<Vec<Value>, String> {
        let input = inputs.get(0)?;
        let plane = self.window.plane(input.shape())?;
        let (rows, channels) = (input.shape()[0], input.shape()[1]);
        if channels != self.depth * self.groups {
            let (groups, depth) = (self.groups, self.depth);
            return Err(format!(
                "got {channels} channels, expected {groups} groups of {depth}"
            ));
        }
        let shape = self.window.output(rows, self.bias.len(), &plane);
        let mut result = vec![0.0; value::limited(&shape)?];
        let task = Task {
            convolution: self,
            plane,
            input: input.elements()?,
            rows,
        };
        let out = &mut result;
        if out.is_empty() {
            // There is nothing to compute.
        } else if self.depth == 1 && self.groups > 1 {
            depthwise::convolve(task, out)?;
        } else {
            columns::convolve(task, self.lanes, out)?;
        }
        Ok(vec![Value::of(shape, result)?])
    }

    fn bytes(&self) -> usize {
        (self.weights.len() + self.bias.len()) * size_of::<f32>()
    }
}
