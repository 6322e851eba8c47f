//! Adds elements at the ends of axes.

use bytes::Bytes;

use super::with_type;
use crate::model::format::onnx::fact::{Dim, Fact};
use crate::model::format::onnx::infer::{self, axis, constant_ints, ints, mixing, same_type};
use crate::model::format::onnx::operator::{Entry, Inputs, Lowered, Node, Operator};
use crate::model::format::onnx::value::{self, Element, Value};
use crate::model::payload::{Datatype, TensorData};

pub(super) const OPERATORS: &[Entry] = &[Entry {
    name: "Pad",
    since: 2,
    attributes: &["pads", "mode", "value"],
    lower,
}];

/// How many positions are added, or removed if negative.
const MOST: i64 = 1 << 20;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    /// One number.
    Constant,
    /// The element at the end.
    Edge,
    /// The elements inside, backwards, without the one at the end.
    Reflect,
    /// The elements from the other end.
    Wrap,
}

fn lower(node: &Node<'_>) -> Result<Lowered, String> {
    let input = node.input(0)?.fact;
    let mode = match node.text("mode")?.unwrap_or("constant") {
        "constant" => Mode::Constant,
        "edge" => Mode::Edge,
        "reflect" => Mode::Reflect,
        "wrap" if node.version >= 19 => Mode::Wrap,
        other => return Err(format!("attribute mode: got {other:?}")),
    };
    let (given, axes) = if node.version < 11 {
        let pads = node.ints("pads")?.ok_or("attribute pads is missing")?;
        (Some(pads.to_vec()), None)
    } else {
        if node.has("pads") || node.has("value") {
            return Err("attributes pads and value are not supported from version 11 on".into());
        }
        if let Some(fill) = node.optional(2) {
            same_type(input, fill.fact)?;
        }
        let axes = node
            .optional(3)
            .map(|_| constant_ints(node, 3))
            .transpose()?;
        let pads = node.input(1)?;
        let pads = pads.constant.map(|_| constant_ints(node, 1)).transpose()?;
        (pads, axes)
    };
    let mut output = Fact::new(
        input.datatype,
        input.rank().map(|rank| vec![Dim::Unknown; rank]),
        infer::all_constant((0..node.inputs()).filter_map(|at| Some(node.optional(at)?.fact))),
    );
    if let (Some(shape), Some(pads)) = (&input.shape, &given) {
        let pads = per_axis(pads, axes.as_deref(), shape.len())?;
        let dim = |(dim, [before, after]): (&Dim, &[i64; 2])| match dim {
            Dim::Fixed(length) => padded(*length, *before, *after).map(Dim::Fixed),
            dim if *before == 0 && *after == 0 => Ok(*dim),
            _ => Ok(Dim::Unknown),
        };
        let dims = shape.iter().zip(&pads).map(dim);
        output.shape = Some(dims.collect::<Result<_, _>>()?);
        output.rows = mixing(input.rows, |axis| pads[axis] != [0, 0]);
    }
    let cost = output.elements_per_row();
    let number = node.float("value")?.unwrap_or(0.0);
    with_type!(
        input.datatype,
        [
            Bool: bool, Int8: i8, Int16: i16, Int32: i32, Int64: i64, Uint8: u8, Uint16: u16,
            Uint32: u32, Uint64: u64, Fp32: f32, Fp64: f64, Bytes: Bytes
        ],
        T => {
            let fill = float(number);
            let operator = Pad::<T> { mode, pads: given, axes, fill };
            Ok(Lowered::new(operator, vec![output], cost))
        }
    )
}

/// Returns a number as an element, or the default of types that are not floats.
fn float<T: Element>(number: f32) -> T {
    let data = match T::DATATYPE {
        Datatype::Fp64 => TensorData::Fp64(vec![number.into()]),
        _ => TensorData::Fp32(vec![number]),
    };
    let elements = T::from_data(data);
    elements
        .and_then(|elements| elements.into_iter().next())
        .unwrap_or_default()
}

/// Returns the positions before and after each axis.
fn per_axis(pads: &[i64], axes: Option<&[i64]>, rank: usize) -> Result<Vec<[i64; 2]>, String> {
    let all: Vec<i64> = (0..i64::try_from(rank).unwrap_or(i64::MAX)).collect();
    let axes = axes.unwrap_or(&all);
    if pads.len() != axes.len() * 2 {
        return Err(format!("got {} pads for {} axes", pads.len(), axes.len()));
    }
    if let Some(pad) = pads.iter().find(|pad| !(-MOST..=MOST).contains(pad)) {
        return Err(format!("got a pad of {pad}, expected at most {MOST}"));
    }
    let mut result = vec![[0; 2]; rank];
    let (before, after) = pads.split_at(axes.len());
    for (at, (before, after)) in axes.iter().zip(before.iter().zip(after)) {
        result[axis(*at, rank)?] = [*before, *after];
    }
    Ok(result)
}

fn padded(length: usize, before: i64, after: i64) -> Result<usize, String> {
    let sum = i64::try_from(length)
        .ok()
        .and_then(|length| length.checked_add(before + after));
    sum.and_then(|sum| usize::try_from(sum).ok())
        .ok_or_else(|| format!("cannot add {before} and {after} positions to an axis of {length}"))
}

/// Adds elements at the ends of axes. What is not given here is in inputs 1 and 2.
#[derive(Debug)]
struct Pad<T> {
    mode: Mode,
    pads: Option<Vec<i64>>,
    axes: Option<Vec<i64>>,
    /// What is added unless input 2 says so.
    fill: T,
}

impl<T: Element + std::fmt::Debug> Operator for Pad<T> {
    fn run(&self, inputs: &mut Inputs<'_>) -> Result<Vec<Value>, String> {
        let input = inputs.get(0)?;
        let pads = match &self.pads {
            Some(pads) => pads.clone(),
            None => ints(inputs.get(1)?)?,
        };
        let pads = per_axis(&pads, self.axes.as_deref(), input.rank())?;
        let fill = match inputs.optional(2) {
            Some(fill) if self.mode == Mode::Constant => {
                let fill = fill.elements::<T>()?;
                fill.first().ok_or("got no number to fill with")?.clone()
            }
            _ => self.fill.clone(),
        };
        let mut places = Vec::with_capacity(pads.len());
        for (length, [before, after]) in input.shape().iter().zip(&pads) {
            let count = padded(*length, *before, *after)?;
            places.push((*length, *before, count));
        }
        let shape: Vec<usize> = places.iter().map(|(.., count)| *count).collect();
        let mut result = Vec::with_capacity(value::limited(&shape)?);
        let mut sources = Vec::with_capacity(places.len());
        for (length, before, count) in places {
            let source = |at: usize| source(self.mode, at, before, length);
            sources.push((0..count).map(source).collect::<Result<Vec<_>, _>>()?);
        }
        fill_in(
            input.elements::<T>()?,
            input.shape(),
            &sources,
            &fill,
            &mut result,
        );
        Ok(vec![Value::of(shape, result)?])
    }
}

/// Returns the position of the input for a position of the output; `None` for the number to fill with.
fn source(mode: Mode, at: usize, before: i64, length: usize) -> Result<Option<usize>, String> {
    let too_short = || format!("an axis of {length} is too short for these pads");
    let length = i64::try_from(length).map_err(|_| too_short())?;
    let at = i64::try_from(at).map_err(|_| too_short())? - before;
    let inside = (0..length).contains(&at);
    let place = match mode {
        Mode::Constant if !inside => return Ok(None),
        _ if length == 0 => return Err(too_short()),
        Mode::Constant => at,
        Mode::Edge => at.clamp(0, length - 1),
        Mode::Reflect => {
            let period = 2 * (length - 1);
            let along = if period == 0 {
                0
            } else {
                at.rem_euclid(period)
            };
            along.min(period - along)
        }
        Mode::Wrap => at.rem_euclid(length),
    };
    usize::try_from(place).map(Some).map_err(|_| too_short())
}

/// Collects elements: `sources` has the position of the input for each position of the output, axis by axis.
fn fill_in<T: Clone>(
    elements: &[T],
    shape: &[usize],
    sources: &[Vec<Option<usize>>],
    fill: &T,
    result: &mut Vec<T>,
) {
    let ([_, inner @ ..], [positions, inner_sources @ ..]) = (shape, sources) else {
        result.extend_from_slice(elements);
        return;
    };
    let size: usize = inner.iter().product();
    let outputs: usize = inner_sources.iter().map(Vec::len).product();
    for position in positions {
        match position {
            Some(at) => {
                let part = &elements[at * size..][..size];
                fill_in(part, inner, inner_sources, fill, result);
            }
            None => result.resize(result.len() + outputs, fill.clone()),
        }
    }
}
