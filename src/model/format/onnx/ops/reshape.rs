//! Operators that change only the shape, or nothing at all.

use crate::model::format::onnx::fact::{Dim, Fact, Integer, Rows};
use crate::model::format::onnx::infer::{self, axis, constant_ints, ints, known_ints, moved};
use crate::model::format::onnx::operator::{Entry, Inputs, Lowered, Node, Operator};
use crate::model::format::onnx::value::Value;
use crate::model::payload::Datatype;

const fn entry(
    name: &'static str,
    attributes: &'static [&'static str],
    lower: fn(&Node<'_>) -> Result<Lowered, String>,
) -> Entry {
    Entry {
        name,
        since: 1,
        attributes,
        lower,
    }
}

pub(super) const OPERATORS: &[Entry] = &[
    entry("Identity", &[], lower_identity),
    entry("Dropout", &["ratio", "seed"], lower_dropout),
    entry("Reshape", &["allowzero"], lower_reshape),
    entry("Flatten", &["axis"], lower_flatten),
    entry("Squeeze", &["axes"], lower_squeeze),
    entry("Unsqueeze", &["axes"], lower_unsqueeze),
];

fn lower_identity(node: &Node<'_>) -> Result<Lowered, String> {
    Ok(Lowered::same(0, node.input(0)?.fact.clone()))
}

fn lower_dropout(node: &Node<'_>) -> Result<Lowered, String> {
    if let Some(training) = node.optional(2) {
        let flag = training
            .constant
            .and_then(|value| value.elements::<bool>().ok());
        if flag != Some(&[false]) {
            return Err("got training_mode, expected a constant false".into());
        }
    }
    if node.is_used(1) {
        return Err("the output mask is not supported".into());
    }
    lower_identity(node)
}

/// Returns the fact of an output that has the elements of the input in another shape.
fn reshaped(input: &Fact, shape: Option<Vec<Dim>>, rows: Rows) -> Fact {
    Fact {
        shape,
        rows,
        integers: None,
        ..input.clone()
    }
}

/// The elements of the input in a new shape.
#[derive(Debug)]
enum Reshape {
    /// As input 1 says.
    Input { allow_zero: bool },
    /// As these integers say, of which 0 means 0.
    To(Vec<i64>),
    /// Two axes: those before an axis, and the others.
    Flatten(i64),
    /// Without the axes of length 1 in this list; without all of them if there is no list.
    Squeeze(Option<Vec<i64>>),
    /// With axes of length 1 at these places.
    Unsqueeze(Vec<i64>),
}

impl Operator for Reshape {
    fn run(&self, inputs: &mut Inputs<'_>) -> Result<Vec<Value>, String> {
        let given = match inputs.optional(1) {
            Some(value) => Some(ints(value)?),
            None => None,
        };
        let value = inputs.take(0)?;
        let shape = match (self, given) {
            (Self::Input { allow_zero }, Some(shape)) => {
                new_shape(value.shape(), &shape, *allow_zero)?
            }
            (Self::Input { .. }, None) => return Err("the shape is missing".into()),
            (Self::To(shape), _) => new_shape(value.shape(), shape, true)?,
            (Self::Flatten(at), _) => {
                let (before, after) = value.shape().split_at(split_axis(*at, value.rank())?);
                vec![before.iter().product(), after.iter().product()]
            }
            (Self::Squeeze(axes), given) => {
                squeezed(value.shape(), given.as_ref().or(axes.as_ref()))?
            }
            (Self::Unsqueeze(axes), _) => unsqueezed(value.shape(), axes, 1)?,
        };
        Ok(vec![value.with_shape(shape)?])
    }
}

/// Returns the shape that integers of a Reshape mean: 0 is the length of the input's axis unless `allow_zero`, and one -1 is what
/// remains.
fn new_shape(from: &[usize], to: &[i64], allow_zero: bool) -> Result<Vec<usize>, String> {
    let mut shape = Vec::with_capacity(to.len());
    let mut open = None;
    for (at, length) in to.iter().enumerate() {
        shape.push(match length {
            0 if !allow_zero => *from.get(at).ok_or_else(|| {
                format!("got a 0 for axis {at} of a tensor of rank {}", from.len())
            })?,
            -1 if open.is_none() => {
                open = Some(at);
                1
            }
            length => usize::try_from(*length)
                .map_err(|_| format!("got shape {to:?}, expected at most one -1"))?,
        });
    }
    if let Some(at) = open {
        let elements: usize = from.iter().product();
        let others = infer_count(&shape)?;
        if others == 0 || !elements.is_multiple_of(others) {
            return Err(format!("cannot reshape {from:?} to {to:?}"));
        }
        shape[at] = elements / others;
    }
    Ok(shape)
}

fn infer_count(shape: &[usize]) -> Result<usize, String> {
    let product = shape.iter().try_fold(1_usize, |a, b| a.checked_mul(*b));
    product.ok_or_else(|| format!("shape {shape:?} has too many elements"))
}

fn lower_reshape(node: &Node<'_>) -> Result<Lowered, String> {
    let (input, shape) = (node.input(0)?.fact, node.input(1)?);
    infer::expect_type(shape.fact.datatype, &[Datatype::Int64])?;
    let allow_zero = node.flag("allowzero")?.unwrap_or(false);
    let Some(integers) = known_ints(shape) else {
        // Only the rank is known, from the number of integers.
        let rank = match shape.fact.dim(0) {
            Dim::Fixed(rank) if rank <= 64 => Some(rank),
            _ => None,
        };
        let dims = rank.map(|rank| vec![Dim::Unknown; rank]);
        let rows = infer::all_constant([input, shape.fact]);
        let output = reshaped(input, dims, rows);
        return Ok(Lowered::new(Reshape::Input { allow_zero }, vec![output], 0));
    };
    let dims = new_dims(input, &integers, allow_zero)?;
    let rows = match (input.rows, &input.shape) {
        (Rows::Axis(axis), Some(from)) => reshaped_rows(axis, from, &dims),
        (Rows::None, _) if shape.constant.is_none() => Rows::Mixed,
        (rows, _) => rows,
    };
    let target = fixed_target(&dims);
    let output = reshaped(input, Some(dims), rows);
    if let Some(target) = target {
        let operator = Reshape::To(target);
        return Ok(Lowered::new(operator, vec![output], 0).reading([0]));
    }
    Ok(Lowered::new(Reshape::Input { allow_zero }, vec![output], 0))
}

/// Returns the lengths as constants for every request, where one length that differs between requests is what remains: -1.
fn fixed_target(dims: &[Dim]) -> Option<Vec<i64>> {
    let unknown = dims.iter().filter(|dim| dim.fixed().is_none()).count();
    let length = |dim: &Dim| match dim {
        Dim::Fixed(length) => i64::try_from(*length).ok(),
        _ => Some(-1),
    };
    (unknown <= 1).then(|| dims.iter().map(length).collect())?
}

/// Returns the lengths that integers of a Reshape mean.
fn new_dims(input: &Fact, integers: &[Integer], allow_zero: bool) -> Result<Vec<Dim>, String> {
    let mut open = None;
    let mut dims = Vec::with_capacity(integers.len());
    for (at, integer) in integers.iter().enumerate() {
        dims.push(match integer {
            Integer::Length(dim) => *dim,
            Integer::Known(0) if !allow_zero => {
                if input.rank().is_some_and(|rank| at >= rank) {
                    return Err(format!(
                        "got a 0 for axis {at}, which the input does not have"
                    ));
                }
                input.dim(at)
            }
            Integer::Known(-1) if open.is_none() => {
                open = Some(at);
                Dim::Fixed(1)
            }
            Integer::Known(length) => Dim::Fixed(
                usize::try_from(*length)
                    .map_err(|_| format!("got a length of {length} in a shape"))?,
            ),
        });
    }
    if let Some(at) = open {
        dims[at] = remaining(input.shape.as_deref(), &dims);
    }
    let from = input.shape.as_deref().and_then(product);
    if let (Some((before, symbols)), Some((after, others))) = (from, product(&dims))
        && symbols == others
        && before != after
    {
        return Err(format!(
            "cannot reshape {before} elements to {after} elements"
        ));
    }
    Ok(dims)
}

/// Returns the length that remains of `from` after division by all lengths of `known`.
fn remaining(from: Option<&[Dim]>, known: &[Dim]) -> Dim {
    let Some(from) = from else {
        return Dim::Unknown;
    };
    let fixed = |dims: &[Dim]| {
        let lengths = dims.iter().filter_map(|dim| dim.fixed());
        lengths.fold(1_usize, usize::saturating_mul)
    };
    let mut symbols: Vec<Dim> = from
        .iter()
        .copied()
        .filter(|dim| dim.fixed().is_none())
        .collect();
    for dim in known.iter().filter(|dim| dim.fixed().is_none()) {
        match symbols.iter().position(|symbol| symbol.equals(*dim)) {
            Some(at) => symbols.remove(at),
            None => return Dim::Unknown,
        };
    }
    let (all, divisor) = (fixed(from), fixed(known));
    let whole = divisor != 0 && all.is_multiple_of(divisor);
    match *symbols {
        [] if whole => Dim::Fixed(all / divisor),
        [symbol] if all == divisor && divisor != 0 => symbol,
        _ => Dim::Unknown,
    }
}

/// Returns the product of lengths: of those that are fixed, and the symbols of the others, sorted. `None` if one is unknown.
fn product(dims: &[Dim]) -> Option<(usize, Vec<u32>)> {
    let mut fixed = 1_usize;
    let mut symbols = Vec::new();
    for dim in dims {
        match dim {
            Dim::Fixed(length) => fixed = fixed.saturating_mul(*length),
            Dim::Rows => symbols.push(0),
            Dim::Symbol(symbol) => symbols.push(*symbol),
            Dim::Unknown => return None,
        }
    }
    symbols.sort_unstable();
    Some((fixed, symbols))
}

/// Returns the place of rows in a new shape: the axis with as many elements before it and after it.
fn reshaped_rows(axis: usize, from: &[Dim], to: &[Dim]) -> Rows {
    let before = product(&from[..axis]);
    let place = |place: &usize| {
        to[*place] == Dim::Rows && before.is_some() && product(&to[..*place]) == before
    };
    (0..to.len()).find(place).map_or(Rows::Mixed, Rows::Axis)
}

/// Returns the axis before which a tensor is split. It may be the rank itself.
fn split_axis(at: i64, rank: usize) -> Result<usize, String> {
    if usize::try_from(at) == Ok(rank) {
        return Ok(rank);
    }
    axis(at, rank)
}

fn lower_flatten(node: &Node<'_>) -> Result<Lowered, String> {
    let input = node.input(0)?.fact;
    let at = node.int("axis")?.unwrap_or(1);
    let (mut dims, mut rows) = (vec![Dim::Unknown; 2], infer::all_constant([input]));
    if let Some(shape) = &input.shape {
        let at = split_axis(at, shape.len())?;
        let (before, after) = shape.split_at(at);
        dims = vec![remaining(Some(before), &[]), remaining(Some(after), &[])];
        if let Rows::Axis(axis) = input.rows {
            rows = reshaped_rows(axis, shape, &dims);
        }
    }
    let output = reshaped(input, Some(dims), rows);
    Ok(Lowered::new(Reshape::Flatten(at), vec![output], 0))
}

/// Returns the axes of a node: an attribute, or input 1 from version 13 on. `None` if there are none.
fn axes_of(node: &Node<'_>) -> Result<Option<Vec<i64>>, String> {
    if node.version < 13 {
        return Ok(node.ints("axes")?.map(<[i64]>::to_vec));
    }
    if node.has("axes") {
        return Err("attribute axes is not supported from version 13 on".into());
    }
    match node.optional(1) {
        None => Ok(None),
        Some(_) => constant_ints(node, 1).map(Some),
    }
}

fn lower_squeeze(node: &Node<'_>) -> Result<Lowered, String> {
    let input = node.input(0)?.fact;
    let axes = axes_of(node)?;
    let Some(shape) = &input.shape else {
        let output = reshaped(input, None, infer::all_constant([input]));
        return Ok(Lowered::new(Reshape::Squeeze(axes), vec![output], 0).reading([0]));
    };
    let removed = match &axes {
        Some(axes) => infer::axes(axes, shape.len())?,
        None if shape.iter().any(|dim| dim.fixed().is_none()) => {
            return Err("without axes, the shape of the output cannot be determined".into());
        }
        None => (0..shape.len())
            .filter(|at| shape[*at] == Dim::Fixed(1))
            .collect(),
    };
    for at in &removed {
        if let Dim::Fixed(length) = shape[*at]
            && length != 1
        {
            return Err(format!(
                "got axis {at} of length {length}, expected length 1"
            ));
        }
    }
    let kept = |at: &usize| !removed.contains(at);
    let dims = (0..shape.len()).filter(kept).map(|at| shape[at]).collect();
    let place = |axis: usize| kept(&axis).then(|| (0..axis).filter(kept).count());
    let output = reshaped(input, Some(dims), moved(input.rows, place));
    Ok(Lowered::new(Reshape::Squeeze(axes), vec![output], 0).reading([0]))
}

fn squeezed(shape: &[usize], axes: Option<&Vec<i64>>) -> Result<Vec<usize>, String> {
    let removed = match axes {
        Some(axes) => infer::axes(axes, shape.len())?,
        None => (0..shape.len()).filter(|at| shape[*at] == 1).collect(),
    };
    if let Some(at) = removed.iter().find(|at| shape[**at] != 1) {
        return Err(format!(
            "got axis {at} of length {}, expected length 1",
            shape[*at]
        ));
    }
    let kept = (0..shape.len()).filter(|at| !removed.contains(at));
    Ok(kept.map(|at| shape[at]).collect())
}

fn lower_unsqueeze(node: &Node<'_>) -> Result<Lowered, String> {
    let input = node.input(0)?.fact;
    let axes = axes_of(node)?.ok_or("the axes are missing")?;
    let (mut dims, mut rows) = (None, infer::all_constant([input]));
    if let Some(shape) = &input.shape {
        let added = infer::axes(&axes, shape.len() + axes.len())?;
        let kept = |at: &usize| !added.contains(at);
        dims = Some(unsqueezed(shape, &axes, Dim::Fixed(1))?);
        let place = |axis: usize| (0..).filter(kept).nth(axis);
        rows = moved(input.rows, place);
    }
    let output = reshaped(input, dims, rows);
    Ok(Lowered::new(Reshape::Unsqueeze(axes), vec![output], 0).reading([0]))
}

fn unsqueezed<T: Copy>(shape: &[T], axes: &[i64], one: T) -> Result<Vec<T>, String> {
    let rank = shape.len() + axes.len();
    let added = infer::axes(axes, rank)?;
    let mut lengths = shape.iter().copied();
    let length = |at: usize| match added.contains(&at) {
        true => one,
        false => lengths.next().unwrap_or(one),
    };
    Ok((0..rank).map(length).collect())
}
