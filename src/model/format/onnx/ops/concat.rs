//! Joins tensors along an axis, and splits them.

use super::axes::split;
use super::each_type;
use crate::model::format::onnx::fact::{Dim, Fact, Rows};
use crate::model::format::onnx::infer::{self, axis, constant_ints, ints, mixing, same_type};
use crate::model::format::onnx::operator::{Entry, Inputs, Lowered, Node, Operator};
use crate::model::format::onnx::value::{self, Value};

pub(super) const OPERATORS: &[Entry] = &[
    Entry {
        name: "Concat",
        since: 4,
        attributes: &["axis"],
        lower: lower_concat,
    },
    Entry {
        name: "Split",
        since: 2,
        attributes: &["axis", "split", "num_outputs"],
        lower: lower_split,
    },
];

fn lower_concat(node: &Node<'_>) -> Result<Lowered, String> {
    let at = node.int("axis")?.ok_or("attribute axis is missing")?;
    let inputs = (0..node.inputs()).map(|at| Ok(node.input(at)?.fact));
    let inputs = inputs.collect::<Result<Vec<&Fact>, String>>()?;
    let first = *inputs.first().ok_or("got no inputs")?;
    inputs
        .iter()
        .try_for_each(|input| same_type(first, input))?;
    if inputs.len() == 1 {
        return Ok(Lowered::same(0, first.clone()));
    }
    let output = match first.rank() {
        Some(rank) if inputs.iter().all(|input| input.rank() == Some(rank)) => {
            let at = axis(at, rank)?;
            let dims = (0..rank).map(|axis| joined(&inputs, axis, axis == at));
            let shape = dims.collect::<Result<_, _>>()?;
            Fact::new(first.datatype, Some(shape), joined_rows(&inputs, at))
        }
        Some(rank)
            if inputs
                .iter()
                .any(|input| input.rank().is_some_and(|own| own != rank)) =>
        {
            return Err("got inputs of different ranks".into());
        }
        _ => Fact::new(first.datatype, None, infer::all_constant(inputs)),
    };
    let cost = output.elements_per_row();
    Ok(Lowered::new(Concat(at), vec![output], cost))
}

/// Returns the length of an axis of joined tensors: the sum along the axis where they are joined.
fn joined(inputs: &[&Fact], axis: usize, adds: bool) -> Result<Dim, String> {
    let dims = inputs.iter().map(|input| input.dim(axis));
    if adds {
        let lengths = dims.map(Dim::fixed);
        let sum = lengths.sum::<Option<usize>>();
        return Ok(sum.map_or(Dim::Unknown, Dim::Fixed));
    }
    let mut result = Dim::Unknown;
    for dim in dims {
        result = match (result, dim) {
            (Dim::Fixed(a), Dim::Fixed(b)) if a != b => {
                return Err(format!("got lengths {a} and {b} along axis {axis}"));
            }
            (Dim::Fixed(length), _) | (_, Dim::Fixed(length)) => Dim::Fixed(length),
            (Dim::Rows, _) | (_, Dim::Rows) => Dim::Rows,
            (Dim::Unknown, dim) => dim,
            (dim, _) => dim,
        };
    }
    Ok(result)
}

/// Returns how joined tensors depend on rows: each of them must have its rows on the same axis, which is not the one where they are
/// joined.
fn joined_rows(inputs: &[&Fact], at: usize) -> Rows {
    let first = inputs.first().map_or(Rows::None, |input| input.rows);
    if inputs.iter().any(|input| input.rows != first) {
        return Rows::Mixed;
    }
    mixing(first, |axis| axis == at)
}

/// Joins tensors along an axis.
#[derive(Debug)]
struct Concat(i64);

impl Operator for Concat {
    fn run(&self, inputs: &mut Inputs<'_>) -> Result<Vec<Value>, String> {
        let parts = (0..inputs.len()).map(|at| inputs.get(at));
        let parts = parts.collect::<Result<Vec<_>, _>>()?;
        let first = parts.first().ok_or("got no inputs")?;
        let at = axis(self.0, first.rank())?;
        let mut shape = first.shape().to_vec();
        shape[at] = 0;
        for part in &parts {
            let same = |axis: usize| axis == at || part.shape()[axis] == shape[axis];
            if part.rank() != shape.len() || !(0..shape.len()).all(same) {
                let shapes: Vec<_> = parts.iter().map(|part| part.shape()).collect();
                return Err(format!("shapes {shapes:?} do not fit along axis {at}"));
            }
            shape[at] = shape[at].saturating_add(part.shape()[at]);
        }
        value::limited(&shape)?;
        let outer: usize = shape[..at].iter().product();
        let data = each_type!(first.data(), own => {
            let mut lists = vec![&own[..]];
            for part in &parts[1..] {
                lists.push(part.elements()?);
            }
            joined_elements(&lists, outer)
        });
        Ok(vec![Value::new(shape, data)?])
    }
}

/// Joins lists, of which each consists of `outer` pieces: the first pieces, then the second, and so on.
fn joined_elements<T: Clone>(lists: &[&[T]], outer: usize) -> Vec<T> {
    let mut result = Vec::with_capacity(lists.iter().map(|list| list.len()).sum());
    for block in 0..outer {
        for list in lists {
            let length = list.len() / outer;
            result.extend_from_slice(&list[block * length..][..length]);
        }
    }
    result
}

fn lower_split(node: &Node<'_>) -> Result<Lowered, String> {
    let input = node.input(0)?.fact;
    let at = node.int("axis")?.unwrap_or(0);
    let given = match (node.version >= 13, node.optional(1)) {
        (true, Some(lengths)) if lengths.constant.is_none() => None,
        (true, Some(_)) => Some(constant_ints(node, 1)?),
        (true, None) => None,
        (false, _) => node.ints("split")?.map(<[i64]>::to_vec),
    };
    let outputs = node.outputs();
    let by_input = given.is_none() && node.optional(1).is_some();
    if let Some(declared) = node.int("num_outputs")?
        && usize::try_from(declared) != Ok(outputs)
    {
        return Err(format!(
            "attribute num_outputs: got {declared}, expected {outputs}"
        ));
    }
    if outputs == 0 {
        return Err("got no outputs".into());
    }
    let mut lengths = vec![Dim::Unknown; outputs];
    let parameters = node.optional(1).map(|lengths| lengths.fact);
    let mut rows = infer::all_constant([input].into_iter().chain(parameters));
    if let Some(rank) = input.rank() {
        let at = axis(at, rank)?;
        if !by_input {
            rows = mixing(input.rows, |axis| axis == at);
        }
        if let Some(given) = &given {
            if given.len() != outputs {
                return Err(format!("got {} lengths for {outputs} outputs", given.len()));
            }
            let length = |length: &i64| usize::try_from(*length).map(Dim::Fixed);
            let found = given.iter().map(length).collect::<Result<_, _>>();
            lengths = found.map_err(|_| "got a length below 0".to_owned())?;
        } else if let (Dim::Fixed(length), false) = (input.dim(at), by_input) {
            lengths = even(length, outputs).into_iter().map(Dim::Fixed).collect();
        }
    }
    let fact = |length: &Dim| {
        let mut shape = input.shape.clone();
        if let Some(shape) = &mut shape
            && let Ok(at) = axis(at, shape.len())
        {
            shape[at] = *length;
        }
        Fact::new(input.datatype, shape, rows)
    };
    let facts = lengths.iter().map(fact).collect();
    let operator = Split {
        axis: at,
        lengths: given,
        outputs,
    };
    Ok(Lowered::new(operator, facts, input.elements_per_row()))
}

/// Returns the lengths of even parts, of which the last may be shorter.
fn even(length: usize, parts: usize) -> Vec<usize> {
    let part = length.div_ceil(parts);
    let lengths = (0..parts).map(|at| length.saturating_sub(at * part).min(part));
    lengths.collect()
}

/// Splits a tensor along an axis.
#[derive(Debug)]
struct Split {
    axis: i64,
    /// The length of each part; if there are none, they are in input 1, or the parts are even.
    lengths: Option<Vec<i64>>,
    outputs: usize,
}

impl Operator for Split {
    fn run(&self, inputs: &mut Inputs<'_>) -> Result<Vec<Value>, String> {
        let input = inputs.get(0)?;
        let at = axis(self.axis, input.rank())?;
        let (outer, length, inner) = split(input.shape(), at);
        let given = match (&self.lengths, inputs.optional(1)) {
            (Some(lengths), _) => Some(lengths.clone()),
            (None, Some(value)) => Some(ints(value)?),
            (None, None) => None,
        };
        let lengths = match given {
            None => even(length, self.outputs),
            Some(lengths) => {
                let lengths = lengths.iter().map(|length| usize::try_from(*length));
                let lengths: Result<Vec<_>, _> = lengths.collect();
                lengths.map_err(|_| "got a length below 0".to_owned())?
            }
        };
        let sum = lengths
            .iter()
            .fold(0, |sum: usize, part| sum.saturating_add(*part));
        if sum != length || lengths.len() != self.outputs {
            return Err(format!("cannot split an axis of {length} into {lengths:?}"));
        }
        let mut start = 0;
        let part = |part: usize| {
            let mut shape = input.shape().to_vec();
            shape[at] = part;
            let (from, row, width) = (start * inner, length * inner, part * inner);
            start += part;
            let data = each_type!(input.data(), x => {
                let mut elements = Vec::with_capacity(outer * width);
                for block in 0..outer {
                    elements.extend_from_slice(&x[block * row + from..][..width]);
                }
                elements
            });
            Value::new(shape, data)
        };
        lengths.into_iter().map(part).collect()
    }
}
