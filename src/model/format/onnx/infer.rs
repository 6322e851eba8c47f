//! What can be said of an output from what is known of the inputs: shapes and the dependence on rows.

use super::fact::{Dim, Fact, Integer, Rows};
use super::node::{Known, Node};
use super::value::Value;
use crate::model::payload::Datatype;

/// Returns the axis that `axis` means for a tensor of `rank` axes: negative ones count from the end.
pub(crate) fn axis(axis: i64, rank: usize) -> Result<usize, String> {
    let range = i64::try_from(rank).unwrap_or(i64::MAX);
    let from_start = if axis < 0 { axis + range } else { axis };
    usize::try_from(from_start)
        .ok()
        .filter(|at| *at < rank)
        .ok_or_else(|| format!("got axis {axis}, expected an axis of a tensor of rank {rank}"))
}

/// Returns the axes that `axes` mean, ascending.
///
/// # Errors
/// Returns an error if one is out of range or occurs twice.
pub(crate) fn axes(axes: &[i64], rank: usize) -> Result<Vec<usize>, String> {
    let found = axes.iter().map(|at| axis(*at, rank));
    let mut found = found.collect::<Result<Vec<_>, _>>()?;
    found.sort_unstable();
    if found.windows(2).any(|pair| pair[0] == pair[1]) {
        return Err(format!("got axes {axes:?}, expected each axis once"));
    }
    Ok(found)
}

/// Returns the integers of a constant input.
///
/// # Errors
/// Returns an error if the input is not constant, or not of integers.
pub(crate) fn constant_ints(node: &Node<'_>, at: usize) -> Result<Vec<i64>, String> {
    let input = node.input(at)?;
    let constant = input.constant;
    let value = constant.ok_or_else(|| format!("input {at} is not a constant"))?;
    ints(value)
}

/// Returns the elements of a tensor of INT32 or INT64.
pub(crate) fn ints(value: &Value) -> Result<Vec<i64>, String> {
    match value.datatype() {
        Datatype::Int32 => {
            let elements = value.elements::<i32>()?;
            Ok(elements.iter().map(|x| i64::from(*x)).collect())
        }
        _ => value.elements::<i64>().map(<[i64]>::to_vec),
    }
}

/// Returns the integers that an input has in every request, as far as they are known; `None` if even their number is unknown.
pub(super) fn known_ints(input: Known<'_>) -> Option<Vec<Integer>> {
    if let Some(value) = input.constant {
        let known = |ints: Vec<i64>| ints.into_iter().map(Integer::Known).collect();
        return ints(value).ok().map(known);
    }
    input.fact.integers.clone()
}

/// Returns an error unless the datatype is one of `allowed`.
pub(crate) fn expect_type(got: Datatype, allowed: &[Datatype]) -> Result<(), String> {
    if allowed.contains(&got) {
        return Ok(());
    }
    let names: Vec<_> = allowed.iter().map(|datatype| datatype.as_str()).collect();
    let names = names.join(", ");
    Err(format!("got an input of type {got}, expected {names}"))
}

/// Returns an error unless two inputs have the same datatype.
pub(crate) fn same_type(first: &Fact, second: &Fact) -> Result<(), String> {
    let (a, b) = (first.datatype, second.datatype);
    if a == b {
        return Ok(());
    }
    Err(format!(
        "got inputs of types {a} and {b}, expected one type"
    ))
}

/// Returns how an output of an operator that treats all positions alike depends on rows: an output that has the shape of its input,
/// and of which each position depends on the same position of the input only.
pub(crate) fn like(fact: &Fact, datatype: Datatype) -> Fact {
    Fact::new(datatype, fact.shape.clone(), fact.rows)
}

/// Returns shape and dependence on rows of an output whose position depends on the same position of all inputs, after the usual
/// broadcasting: shapes are aligned at the last axis, and a length of 1 is repeated.
///
/// # Errors
/// Returns an error if the shapes certainly differ.
pub(crate) fn broadcast(inputs: &[&Fact]) -> Result<(Option<Vec<Dim>>, Rows), String> {
    let ranks: Option<Vec<usize>> = inputs.iter().map(|fact| fact.rank()).collect();
    let Some(ranks) = ranks else {
        let constant = inputs.iter().all(|fact| fact.rows == Rows::None);
        return Ok((None, if constant { Rows::None } else { Rows::Mixed }));
    };
    let rank = ranks.iter().copied().max().unwrap_or(0);
    let dim = |fact: &Fact, own: usize, axis: usize| {
        (axis + own)
            .checked_sub(rank)
            .map_or(Dim::Fixed(1), |axis| fact.dim(axis))
    };
    let mut shape = Vec::with_capacity(rank);
    for axis in 0..rank {
        let dims = inputs.iter().zip(&ranks);
        let dims = dims.map(|(fact, own)| dim(fact, *own, axis));
        shape.push(broadcast_dims(dims)?);
    }
    let rows = broadcast_rows(inputs, &ranks, &shape);
    Ok((Some(shape), rows))
}

fn broadcast_dims(dims: impl Iterator<Item = Dim>) -> Result<Dim, String> {
    let mut result = Dim::Fixed(1);
    for dim in dims {
        result = match (result, dim) {
            (Dim::Fixed(1), other) | (other, Dim::Fixed(1)) => other,
            (Dim::Fixed(a), Dim::Fixed(b)) if a != b => {
                return Err(format!("lengths {a} and {b} of one axis do not fit"));
            }
            // A length that is not known must be 1 or the same.
            (Dim::Fixed(length), _) | (_, Dim::Fixed(length)) => Dim::Fixed(length),
            (a, b) if a.equals(b) => a,
            _ => Dim::Unknown,
        };
    }
    Ok(result)
}

fn broadcast_rows(inputs: &[&Fact], ranks: &[usize], shape: &[Dim]) -> Rows {
    let mut result = None;
    for (fact, rank) in inputs.iter().zip(ranks) {
        match fact.rows {
            Rows::None => {}
            Rows::Mixed => return Rows::Mixed,
            Rows::Axis(axis) => {
                let axis = shape.len() - rank + axis;
                if result.is_some_and(|other| other != axis) || shape[axis] != Dim::Rows {
                    return Rows::Mixed;
                }
                result = Some(axis);
            }
        }
    }
    let Some(axis) = result else {
        return Rows::None;
    };
    // What does not depend on rows must be the same for each of them.
    let same_for_all = |fact: &&Fact, rank: usize| {
        let own = (axis + rank).checked_sub(shape.len());
        fact.rows != Rows::None || own.is_none_or(|own| fact.dim(own) == Dim::Fixed(1))
    };
    let mut pairs = inputs.iter().zip(ranks);
    if pairs.all(|(fact, rank)| same_for_all(fact, *rank)) {
        Rows::Axis(axis)
    } else {
        Rows::Mixed
    }
}

/// Returns how an output depends on rows if axis `at` of the input becomes axis `place(at)` of the output, or is lost.
pub(crate) fn moved(rows: Rows, place: impl Fn(usize) -> Option<usize>) -> Rows {
    match rows {
        Rows::Axis(axis) => place(axis).map_or(Rows::Mixed, Rows::Axis),
        other => other,
    }
}

/// Returns how an output depends on rows if positions along some axes of the input are combined or moved, and all others are alone.
pub(crate) fn mixing(rows: Rows, mixes: impl Fn(usize) -> bool) -> Rows {
    moved(rows, |axis| (!mixes(axis)).then_some(axis))
}

/// Returns whether no input depends on rows.
pub(crate) fn all_constant<'a>(inputs: impl IntoIterator<Item = &'a Fact>) -> Rows {
    let mut inputs = inputs.into_iter();
    if inputs.all(|fact| fact.rows == Rows::None) {
        Rows::None
    } else {
        Rows::Mixed
    }
}
