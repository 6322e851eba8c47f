//! Computes integers that come from shapes, as far as they are known before any request.
//!
//! Exporters write `x.view(x.size(0), -1)` as nodes that take a shape apart and put a new one together. Following these integers
//! shows which axes have the rows of the request, and turns what is the same for every request into constants.

use crate::model::format::onnx::fact::{Dim, Fact, Integer};
use crate::model::format::onnx::infer::{axis, known_ints};
use crate::model::format::onnx::node::{Known, Node};
use crate::model::format::onnx::value::Value;
use crate::model::payload::Datatype;

/// Longer tensors are not shapes.
const LONGEST: usize = 64;

/// Returns the integers of the first output of a node; `None` if they are not computed from shapes, or nothing is known.
pub(super) fn evaluate(node: &Node<'_>, output: &Fact) -> Option<Vec<Integer>> {
    let integral = matches!(
        output.datatype,
        Datatype::Int64 | Datatype::Int32 | Datatype::Bool
    );
    let length = match *output.fixed_shape()? {
        [] => 1,
        [length] if length <= LONGEST => length,
        _ => return None,
    };
    if !integral {
        return None;
    }
    let integers = match node.operator() {
        "Shape" => shape(node)?,
        "Identity" | "Squeeze" | "Unsqueeze" | "Reshape" | "Flatten" | "Cast" => input(node, 0)?,
        "Gather" => gather(node)?,
        "Slice" => slice(node)?,
        "Concat" => {
            let parts = (0..node.inputs()).map(|at| input(node, at));
            parts.collect::<Option<Vec<_>>>()?.concat()
        }
        "Add" => pairwise(node, |a, b| arithmetic(a, b, 0, i64::checked_add))?,
        "Mul" => pairwise(node, |a, b| arithmetic(a, b, 1, i64::checked_mul))?,
        "Sub" => pairwise(node, |a, b| match (a, b) {
            (Integer::Known(a), Integer::Known(b)) => known(a.checked_sub(b)),
            (length, Integer::Known(0)) => length,
            _ => UNKNOWN,
        })?,
        "Div" => pairwise(node, |a, b| match (a, b) {
            (Integer::Known(a), Integer::Known(b)) => known(a.checked_div(b)),
            (length, Integer::Known(1)) => length,
            _ => UNKNOWN,
        })?,
        "Equal" => pairwise(node, equal)?,
        "Where" => choose(node)?,
        _ => return None,
    };
    (integers.len() == length).then_some(integers)
}

/// Returns the tensor of integers if all of them are the same for every request.
pub(super) fn constant(output: &Fact) -> Option<Value> {
    let integers = output.integers.as_ref()?.iter();
    let known = integers.map(|integer| match integer {
        Integer::Known(value) => Some(*value),
        Integer::Length(_) => None,
    });
    let values: Vec<i64> = known.collect::<Option<_>>()?;
    let shape = output.fixed_shape()?;
    match output.datatype {
        Datatype::Int64 => Value::of(shape, values).ok(),
        Datatype::Int32 => {
            let values = values.into_iter().map(|x| i32::try_from(x).ok());
            Value::of(shape, values.collect::<Option<Vec<_>>>()?).ok()
        }
        Datatype::Bool => Value::of(shape, values.into_iter().map(|x| x != 0).collect()).ok(),
        _ => None,
    }
}

const UNKNOWN: Integer = Integer::Length(Dim::Unknown);

fn known(value: Option<i64>) -> Integer {
    value.map_or(UNKNOWN, Integer::Known)
}

/// Returns the integers of an input.
fn input(node: &Node<'_>, at: usize) -> Option<Vec<Integer>> {
    integers(node.optional(at)?)
}

fn integers(input: Known<'_>) -> Option<Vec<Integer>> {
    if let Some(value) = input.constant
        && value.len() > LONGEST
    {
        return None;
    }
    if let Some(value) = input.constant
        && let Ok(flags) = value.elements::<bool>()
    {
        let flags = flags.iter().map(|flag| Integer::Known(i64::from(*flag)));
        return Some(flags.collect());
    }
    known_ints(input)
}

fn shape(node: &Node<'_>) -> Option<Vec<Integer>> {
    let dims = node.optional(0)?.fact.shape.as_ref()?;
    let integers = dims.iter().map(|dim| match dim {
        Dim::Fixed(length) => known(i64::try_from(*length).ok()),
        other => Integer::Length(*other),
    });
    let integers: Vec<_> = integers.collect();
    let rank = i64::try_from(integers.len()).ok()?;
    let bound = |value: i64| {
        let from_start = if value < 0 { value + rank } else { value };
        usize::try_from(from_start.clamp(0, rank)).unwrap_or(0)
    };
    let start = bound(node.int("start").ok()?.unwrap_or(0));
    let end = bound(node.int("end").ok()?.unwrap_or(rank));
    Some(integers.get(start..end.max(start))?.to_vec())
}

fn gather(node: &Node<'_>) -> Option<Vec<Integer>> {
    let data = input(node, 0)?;
    if node.optional(0)?.fact.rank()? != 1 {
        return None;
    }
    let pick = |index: Integer| match index {
        Integer::Known(at) => data.get(axis(at, data.len()).ok()?).copied(),
        Integer::Length(_) => None,
    };
    input(node, 1)?.into_iter().map(pick).collect()
}

/// Slices with a step of 1 along the only axis.
fn slice(node: &Node<'_>) -> Option<Vec<Integer>> {
    let data = input(node, 0)?;
    let single = |at: usize, name: &str| {
        let given = match node.ints(name).ok()? {
            Some(ints) => ints.iter().map(|int| Integer::Known(*int)).collect(),
            None => input(node, at)?,
        };
        match *given {
            [Integer::Known(value)] => Some(value),
            _ => None,
        }
    };
    let length = i64::try_from(data.len()).ok()?;
    let bound = |value: i64| {
        let from_start = if value < 0 {
            value.saturating_add(length)
        } else {
            value
        };
        usize::try_from(from_start.clamp(0, length)).unwrap_or(0)
    };
    let (start, end) = (bound(single(1, "starts")?), bound(single(2, "ends")?));
    if node.optional(4).is_some() && single(4, "steps")? != 1 {
        return None;
    }
    if node.optional(0)?.fact.rank()? != 1 {
        return None;
    }
    Some(data.get(start..end.max(start))?.to_vec())
}

/// Combines the integers of two inputs, of which one may be a single integer.
fn pairwise(node: &Node<'_>, f: impl Fn(Integer, Integer) -> Integer) -> Option<Vec<Integer>> {
    let (a, b) = (input(node, 0)?, input(node, 1)?);
    let length = a.len().max(b.len());
    let at = |list: &[Integer], at: usize| match list {
        [single] => Some(*single),
        list => list.get(at).copied(),
    };
    let pairs = (0..length).map(|index| Some(f(at(&a, index)?, at(&b, index)?)));
    pairs.collect()
}

/// Combines two integers by an operation that changes nothing if one of them is `neutral`.
fn arithmetic(
    a: Integer,
    b: Integer,
    neutral: i64,
    operation: impl Fn(i64, i64) -> Option<i64>,
) -> Integer {
    match (a, b) {
        (Integer::Known(a), Integer::Known(b)) => known(operation(a, b)),
        (length, Integer::Known(value)) | (Integer::Known(value), length) if value == neutral => {
            length
        }
        _ => UNKNOWN,
    }
}

fn equal(a: Integer, b: Integer) -> Integer {
    match (a, b) {
        (Integer::Known(a), Integer::Known(b)) => Integer::Known(i64::from(a == b)),
        (Integer::Length(a), Integer::Length(b)) if a.equals(b) => Integer::Known(1),
        // A length is not negative.
        (Integer::Length(_), Integer::Known(value))
        | (Integer::Known(value), Integer::Length(_))
            if value < 0 =>
        {
            Integer::Known(0)
        }
        _ => UNKNOWN,
    }
}

fn choose(node: &Node<'_>) -> Option<Vec<Integer>> {
    let (conditions, yes, no) = (input(node, 0)?, input(node, 1)?, input(node, 2)?);
    if yes.len() != conditions.len() || no.len() != conditions.len() {
        return None;
    }
    let choices = conditions.iter().zip(yes.into_iter().zip(no));
    let choose = |(condition, (yes, no)): (&Integer, (Integer, Integer))| match condition {
        Integer::Known(0) => no,
        Integer::Known(_) => yes,
        Integer::Length(_) if yes == no && yes != UNKNOWN => yes,
        Integer::Length(_) => UNKNOWN,
    };
    Some(choices.map(choose).collect())
}
