//! Normalisation by the mean and variance, or the norm, of groups of elements.

use std::marker::PhantomData;

use super::number::Number;
use super::with_float;
use crate::model::format::onnx::fact::{Dim, Fact, Rows};
use crate::model::format::onnx::infer::{axis, expect_type, mixing, same_type};
use crate::model::format::onnx::operator::{Entry, Inputs, Lowered, Node, Operator};
use crate::model::format::onnx::rows::{InPlace, Step};
use crate::model::format::onnx::value::Value;
use crate::model::payload::Datatype;

pub(super) const OPERATORS: &[Entry] = &[
    Entry {
        name: "InstanceNormalization",
        since: 6,
        attributes: &["epsilon"],
        lower: lower_instance,
    },
    Entry {
        name: "GroupNormalization",
        since: 18,
        attributes: &["epsilon", "num_groups", "stash_type"],
        lower: lower_group,
    },
    Entry {
        name: "LayerNormalization",
        since: 17,
        attributes: &["axis", "epsilon", "stash_type"],
        lower: lower_layer,
    },
    Entry {
        name: "LpNormalization",
        since: 1,
        attributes: &["axis", "p"],
        lower: lower_norm,
    },
];

/// Added to variances unless a node says otherwise.
pub(super) const EPSILON: f32 = 1e-5;

/// How elements are grouped for their mean and variance.
#[derive(Clone, Copy, Debug)]
enum Groups {
    /// All axes from this one on. One scale per element.
    From(i64),
    /// So many groups of channels of each row. One scale per channel.
    OfChannels(usize),
    /// Each channel of each row. One scale per channel.
    Channels,
}

fn lower_instance(node: &Node<'_>) -> Result<Lowered, String> {
    grouped(node, Groups::Channels)
}

fn lower_group(node: &Node<'_>) -> Result<Lowered, String> {
    let groups = node
        .int("num_groups")?
        .ok_or("attribute num_groups is missing")?;
    let groups = usize::try_from(groups).ok().filter(|groups| *groups > 0);
    let groups = groups.ok_or("attribute num_groups: expected 1 or more")?;
    stash_type(node)?;
    if node.version < 21 {
        return Err("is supported from version 21 of its domain on".into());
    }
    grouped(node, Groups::OfChannels(groups))
}

fn stash_type(node: &Node<'_>) -> Result<(), String> {
    match node.int("stash_type")? {
        None | Some(1) => Ok(()),
        Some(other) => Err(format!("attribute stash_type: got {other}, expected 1")),
    }
}

fn lower_layer(node: &Node<'_>) -> Result<Lowered, String> {
    stash_type(node)?;
    if (1..node.outputs()).any(|at| node.is_used(at)) {
        return Err("the outputs of mean and deviation are not supported".into());
    }
    let input = node.input(0)?;
    let at = node.int("axis")?.unwrap_or(-1);
    let is_last = at == -1
        || input
            .fact
            .rank()
            .is_some_and(|rank| axis(at, rank) == Ok(rank - 1));
    let width = input
        .fact
        .rank()
        .map(|rank| input.fact.dim(rank.saturating_sub(1)));
    let numbers = |at: usize, default: f32, width: usize| match node.optional(at) {
        None => Some(vec![default; width]),
        Some(known) => {
            let values = known.constant?.elements::<f32>().ok()?;
            match values {
                [single] => Some(vec![*single; width]),
                values if values.len() == width => Some(values.to_vec()),
                _ => None,
            }
        }
    };
    if let (true, Some(Dim::Fixed(width)), Datatype::Fp32) = (is_last, width, input.fact.datatype)
        && let (Some(scale), Some(shift)) = (numbers(1, 1.0, width), numbers(2, 0.0, width))
    {
        let rank = input.fact.rank().unwrap_or(0);
        let rows = mixing(input.fact.rows, |axis| axis + 1 == rank);
        let output = Fact::new(Datatype::Fp32, input.fact.shape.clone(), rows);
        let step = InPlace::Normalize {
            epsilon: node.float("epsilon")?.unwrap_or(EPSILON),
            scale,
            shift,
        };
        let cost = output.elements_per_row().saturating_mul(4);
        return Ok(Lowered::steps(vec![Step::InPlace(step)], output, cost));
    }
    grouped(node, Groups::From(at))
}

fn grouped(node: &Node<'_>, groups: Groups) -> Result<Lowered, String> {
    let input = node.input(0)?.fact;
    let mut constant = true;
    for at in 1..node.inputs() {
        if let Some(parameter) = node.optional(at) {
            same_type(input, parameter.fact)?;
            constant &= parameter.fact.rows == Rows::None;
        }
    }
    let rank = input.rank().ok_or("the rank of the input is unknown")?;
    let first = match groups {
        Groups::From(at) => axis(at, rank)?,
        _ => 1,
    };
    let rows = match mixing(input.rows, |axis| axis >= first) {
        rows if constant => rows,
        _ => Rows::Mixed,
    };
    let output = Fact::new(input.datatype, input.shape.clone(), rows);
    let cost = output.elements_per_row().saturating_mul(4);
    let epsilon = node.float("epsilon")?.unwrap_or(EPSILON);
    with_float!(input.datatype, T => {
        let operator = Grouped::<T> { groups, epsilon, elements: PhantomData };
        Ok(Lowered::new(operator, vec![output], cost))
    })
}

/// Subtracts the mean of each group of elements, divides by its standard deviation, and multiplies with input 1; then adds input 2.
#[derive(Debug)]
struct Grouped<T> {
    groups: Groups,
    epsilon: f32,
    elements: PhantomData<T>,
}

impl<T: Number + std::fmt::Debug> Operator for Grouped<T> {
    fn run(&self, inputs: &mut Inputs<'_>) -> Result<Vec<Value>, String> {
        let input = inputs.take(0)?;
        let shape = input.shape().to_vec();
        let product = |shape: &[usize]| shape.iter().product::<usize>();
        // The elements of a group; those that share a scale; and the number of scales.
        let (size, shared, scales) = match self.groups {
            Groups::From(at) => {
                let size = product(&shape[axis(at, shape.len())?..]);
                (size, 1, size)
            }
            Groups::Channels | Groups::OfChannels(_) => {
                let [_, channels, inner @ ..] = &*shape else {
                    return Err(format!("got shape {shape:?}, expected rank 2 or more"));
                };
                let groups = match self.groups {
                    Groups::OfChannels(groups) => groups,
                    _ => *channels,
                };
                if groups == 0 || !channels.is_multiple_of(groups) {
                    return Err(format!(
                        "cannot divide {channels} channels into {groups} groups"
                    ));
                }
                (
                    channels / groups * product(inner),
                    product(inner),
                    *channels,
                )
            }
        };
        let parameter = |at: usize, default: T| {
            let Some(value) = inputs.optional(at) else {
                return Ok(vec![default; scales]);
            };
            match value.elements::<T>()? {
                [single] => Ok(vec![*single; scales]),
                values if values.len() == scales => Ok(values.to_vec()),
                values => Err(format!(
                    "got {} parameters, expected {scales}",
                    values.len()
                )),
            }
        };
        let (scale, shift) = (parameter(1, T::ONE)?, parameter(2, T::ZERO)?);
        let mut values = input.into_elements::<T>()?;
        for (group, values) in values.chunks_exact_mut(size.max(1)).enumerate() {
            let count = size as f64;
            let mean = values.iter().map(|x| x.as_f64()).sum::<f64>() / count;
            let squares = values.iter().map(|x| (x.as_f64() - mean).powi(2));
            let variance = squares.sum::<f64>() / count;
            let factor = 1.0 / (variance + f64::from(self.epsilon)).sqrt();
            for (at, x) in values.iter_mut().enumerate() {
                let at = (group * size + at) / shared.max(1) % scales;
                let normal = (x.as_f64() - mean) * factor;
                *x = T::from_f64(normal * scale[at].as_f64() + shift[at].as_f64());
            }
        }
        Ok(vec![Value::of(shape, values)?])
    }
}

fn lower_norm(node: &Node<'_>) -> Result<Lowered, String> {
    let input = node.input(0)?.fact;
    expect_type(input.datatype, &[Datatype::Fp32, Datatype::Fp64])?;
    let at = node.int("axis")?.unwrap_or(-1);
    let squares = match node.int("p")?.unwrap_or(2) {
        1 => false,
        2 => true,
        other => return Err(format!("attribute p: got {other}, expected 1 or 2")),
    };
    let rank = input.rank().ok_or("the rank of the input is unknown")?;
    let mixed = axis(at, rank)?;
    let rows = mixing(input.rows, |axis| axis == mixed);
    let output = Fact::new(input.datatype, input.shape.clone(), rows);
    let cost = output.elements_per_row().saturating_mul(2);
    with_float!(input.datatype, T => {
        let operator = Norm::<T> { axis: at, squares, elements: PhantomData };
        Ok(Lowered::new(operator, vec![output], cost))
    })
}

/// Divides elements by their norm along an axis.
#[derive(Debug)]
struct Norm<T> {
    axis: i64,
    /// Whether the norm is the root of the sum of squares; otherwise the sum of magnitudes.
    squares: bool,
    elements: PhantomData<T>,
}

impl<T: Number + std::fmt::Debug> Operator for Norm<T> {
    fn run(&self, inputs: &mut Inputs<'_>) -> Result<Vec<Value>, String> {
        let input = inputs.take(0)?;
        let shape = input.shape().to_vec();
        let (outer, length, inner) = super::axes::split(&shape, axis(self.axis, shape.len())?);
        let mut values = input.into_elements::<T>()?;
        for block in 0..outer {
            for column in 0..inner {
                let place = |step: usize| (block * length + step) * inner + column;
                let each = (0..length).map(|step| values[place(step)].as_f64());
                let norm = if self.squares {
                    each.map(|x| x * x).sum::<f64>().sqrt()
                } else {
                    each.map(f64::abs).sum()
                };
                for step in 0..length {
                    let x = &mut values[place(step)];
                    // As ONNX Runtime: a norm of zero leaves zeros.
                    *x = if norm == 0.0 {
                        T::ZERO
                    } else {
                        T::from_f64(x.as_f64() / norm)
                    };
                }
            }
        }
        Ok(vec![Value::of(shape, values)?])
    }
}
