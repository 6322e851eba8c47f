//! Parts of tensors.

use super::each_type;
use crate::model::format::onnx::fact::{Dim, Fact};
use crate::model::format::onnx::infer::{self, axis, constant_ints, ints, mixing};
use crate::model::format::onnx::operator::{Entry, Inputs, Lowered, Node, Operator};
use crate::model::format::onnx::value::Value;

pub(super) const OPERATORS: &[Entry] = &[
    Entry {
        name: "Slice",
        since: 1,
        attributes: &["starts", "ends", "axes"],
        lower: lower_slice,
    },
    Entry {
        name: "Trilu",
        since: 14,
        attributes: &["upper"],
        lower: lower_triangle,
    },
];

/// Which part of each axis is taken.
#[derive(Clone, Debug)]
struct Bounds {
    starts: Vec<i64>,
    ends: Vec<i64>,
    /// As many as `starts`; the first axes if there are none.
    axes: Option<Vec<i64>>,
    /// As many as `starts`; 1 if there are none.
    steps: Option<Vec<i64>>,
}

/// The part of one axis: its first position, the step, and the number of positions.
#[derive(Clone, Copy, Debug)]
struct Part {
    start: usize,
    step: i64,
    count: usize,
}

impl Bounds {
    fn check(self) -> Result<Self, String> {
        let count = self.starts.len();
        let fits = |list: &Option<Vec<i64>>| list.as_ref().is_none_or(|list| list.len() == count);
        if self.ends.len() != count || !fits(&self.axes) || !fits(&self.steps) {
            return Err("starts, ends, axes and steps have different lengths".into());
        }
        if self.steps.as_ref().is_some_and(|steps| steps.contains(&0)) {
            return Err("got a step of 0".into());
        }
        Ok(self)
    }

    /// Returns the axes, in the order of the other lists.
    fn axes(&self, rank: usize) -> Result<Vec<usize>, String> {
        let count = self.starts.len();
        let axes = match &self.axes {
            Some(axes) => axes
                .iter()
                .map(|at| axis(*at, rank))
                .collect::<Result<_, _>>()?,
            None if count <= rank => (0..count).collect::<Vec<_>>(),
            None => return Err(format!("got {count} starts for a tensor of rank {rank}")),
        };
        let mut sorted = axes.clone();
        sorted.sort_unstable();
        if sorted.windows(2).any(|pair| pair[0] == pair[1]) {
            return Err("got an axis twice".into());
        }
        Ok(axes)
    }

    /// Returns part number `at` of an axis of the given length.
    fn part(&self, at: usize, length: usize) -> Part {
        let length = i64::try_from(length).unwrap_or(i64::MAX);
        let step = self.steps.as_ref().map_or(1, |steps| steps[at]);
        let from_start = |value: i64| {
            if value < 0 {
                value.saturating_add(length)
            } else {
                value
            }
        };
        let (start, end) = (from_start(self.starts[at]), from_start(self.ends[at]));
        let (start, span) = if step > 0 {
            let start = start.clamp(0, length);
            (start, end.clamp(0, length) - start)
        } else {
            let start = start.clamp(-1, length - 1);
            (start, start - end.clamp(-1, length - 1))
        };
        let (span, size) = (span.max(0).unsigned_abs(), step.unsigned_abs());
        Part {
            start: usize::try_from(start).unwrap_or(0),
            step,
            count: usize::try_from(span.div_ceil(size)).unwrap_or(usize::MAX),
        }
    }

    /// Returns whether part number `at` is a whole axis of any length.
    fn is_whole(&self, at: usize) -> bool {
        let step = self.steps.as_ref().map_or(1, |steps| steps[at]);
        self.starts[at] == 0 && step == 1 && self.ends[at] >= i64::from(i32::MAX)
    }
}

fn lower_slice(node: &Node<'_>) -> Result<Lowered, String> {
    let input = node.input(0)?.fact;
    let cost = input.elements_per_row();
    let bounds = if node.version < 10 {
        Some(Bounds {
            starts: node
                .ints("starts")?
                .ok_or("attribute starts is missing")?
                .to_vec(),
            ends: node
                .ints("ends")?
                .ok_or("attribute ends is missing")?
                .to_vec(),
            axes: node.ints("axes")?.map(<[i64]>::to_vec),
            steps: None,
        })
    } else {
        if let Some(name) = ["starts", "ends", "axes"]
            .iter()
            .find(|name| node.has(name))
        {
            return Err(format!(
                "attribute {name} is not supported from version 10 on"
            ));
        }
        let given = (1..node.inputs()).filter_map(|at| node.optional(at));
        let mut given = given.collect::<Vec<_>>().into_iter();
        node.input(1)?;
        node.input(2)?;
        if given.all(|input| input.constant.is_some()) {
            let list = |at: usize| match node.optional(at) {
                Some(_) => constant_ints(node, at).map(Some),
                None => Ok(None),
            };
            Some(Bounds {
                starts: constant_ints(node, 1)?,
                ends: constant_ints(node, 2)?,
                axes: list(3)?,
                steps: list(4)?,
            })
        } else {
            None
        }
    };
    let Some(bounds) = bounds else {
        let dims = input.rank().map(|rank| vec![Dim::Unknown; rank]);
        let rows =
            infer::all_constant((0..node.inputs()).filter_map(|at| Some(node.optional(at)?.fact)));
        let output = Fact::new(input.datatype, dims, rows);
        return Ok(Lowered::new(Slice(None), vec![output], cost));
    };
    let bounds = bounds.check()?;
    let mut output = Fact::new(input.datatype, None, infer::all_constant([input]));
    if let Some(shape) = &input.shape {
        let axes = bounds.axes(shape.len())?;
        let mut dims = shape.clone();
        let mut changed = Vec::new();
        for (at, axis) in axes.iter().enumerate() {
            if bounds.is_whole(at) {
                continue;
            }
            changed.push(*axis);
            dims[*axis] = match shape[*axis] {
                Dim::Fixed(length) => Dim::Fixed(bounds.part(at, length).count),
                _ => Dim::Unknown,
            };
        }
        output.rows = mixing(input.rows, |axis| changed.contains(&axis));
        output.shape = Some(dims);
    }
    Ok(Lowered::new(Slice(Some(bounds)), vec![output], cost).reading([0]))
}

/// Takes a part of some axes: as given here, or in the other inputs.
#[derive(Debug)]
struct Slice(Option<Bounds>);

impl Operator for Slice {
    fn run(&self, inputs: &mut Inputs<'_>) -> Result<Vec<Value>, String> {
        let list = |at: usize| inputs.optional(at).map(ints).transpose();
        let given;
        let bounds = match &self.0 {
            Some(bounds) => bounds,
            None => {
                given = Bounds {
                    starts: list(1)?.ok_or("the starts are missing")?,
                    ends: list(2)?.ok_or("the ends are missing")?,
                    axes: list(3)?,
                    steps: list(4)?,
                }
                .check()?;
                &given
            }
        };
        let input = inputs.get(0)?;
        let whole = |length: &usize| Part {
            start: 0,
            step: 1,
            count: *length,
        };
        let mut parts: Vec<Part> = input.shape().iter().map(whole).collect();
        for (at, axis) in bounds.axes(input.rank())?.into_iter().enumerate() {
            parts[axis] = bounds.part(at, input.shape()[axis]);
        }
        let shape = parts.iter().map(|part| part.count).collect();
        let data = each_type!(input.data(), x => sliced(x, input.shape(), &parts));
        Ok(vec![Value::new(shape, data)?])
    }
}

fn sliced<T: Clone>(elements: &[T], shape: &[usize], parts: &[Part]) -> Vec<T> {
    let mut result = Vec::with_capacity(parts.iter().map(|part| part.count).product());
    // Axes after the last one that is not whole are taken together.
    let is_cut = |(part, length): (&Part, &usize)| part.count != *length || part.step != 1;
    let cut = parts
        .iter()
        .zip(shape)
        .rposition(is_cut)
        .map_or(0, |at| at + 1);
    let run = shape[cut..].iter().product();
    if parts.iter().all(|part| part.count > 0) {
        collect(elements, &shape[..cut], &parts[..cut], run, &mut result);
    }
    result
}

fn collect<T: Clone>(
    elements: &[T],
    shape: &[usize],
    parts: &[Part],
    run: usize,
    result: &mut Vec<T>,
) {
    let ([_, inner @ ..], [part, inner_parts @ ..]) = (shape, parts) else {
        result.extend_from_slice(&elements[..run]);
        return;
    };
    let size = inner.iter().product::<usize>() * run;
    if part.step == 1 && inner.is_empty() {
        result.extend_from_slice(&elements[part.start * size..][..part.count * size]);
        return;
    }
    let mut at = i64::try_from(part.start).unwrap_or(0);
    for _ in 0..part.count {
        let start = usize::try_from(at).unwrap_or(0) * size;
        collect(
            &elements[start..start + size],
            inner,
            inner_parts,
            run,
            result,
        );
        at = at.saturating_add(part.step);
    }
}

fn lower_triangle(node: &Node<'_>) -> Result<Lowered, String> {
    let input = node.input(0)?.fact;
    let diagonal = match node.optional(1) {
        None => 0,
        Some(_) => match *constant_ints(node, 1)? {
            [diagonal] => diagonal,
            _ => return Err("input 1: expected a single number".into()),
        },
    };
    if input.rank().is_some_and(|rank| rank < 2) {
        return Err("expected an input of rank 2 or more".into());
    }
    let rank = input.rank().unwrap_or(0);
    let rows = mixing(input.rows, |axis| axis + 2 >= rank);
    let output = Fact::new(input.datatype, input.shape.clone(), rows);
    let operator = Triangle {
        upper: node.flag("upper")?.unwrap_or(true),
        diagonal,
    };
    Ok(Lowered::new(operator, vec![output], input.elements_per_row()).reading([0]))
}

/// Keeps the elements of the last two axes on one side of a diagonal, and sets the others to zero.
#[derive(Debug)]
struct Triangle {
    upper: bool,
    diagonal: i64,
}

impl Operator for Triangle {
    fn run(&self, inputs: &mut Inputs<'_>) -> Result<Vec<Value>, String> {
        let input = inputs.get(0)?;
        let [.., height, width] = *input.shape() else {
            return Err(format!(
                "got shape {:?}, expected rank 2 or more",
                input.shape()
            ));
        };
        let signed = |at: usize| i64::try_from(at).unwrap_or(i64::MAX);
        let keeps = |at: usize| {
            let place = at % (height * width);
            let offset = signed(place % width) - signed(place / width);
            if self.upper {
                offset >= self.diagonal
            } else {
                offset <= self.diagonal
            }
        };
        let data = each_type!(input.data(), x => kept(x, keeps));
        Ok(vec![Value::new(input.shape().to_vec(), data)?])
    }
}

/// Returns the elements, with the default in all places that are not kept.
fn kept<T: Clone + Default>(elements: &[T], keeps: impl Fn(usize) -> bool) -> Vec<T> {
    let element = |(at, x): (usize, &T)| if keeps(at) { x.clone() } else { T::default() };
    elements.iter().enumerate().map(element).collect()
}
