//! Rows that fit the signature of a model, for users without rows of their own. Pure functions: randomness is an argument.
//!
//! Values lie within the ranges and categories that the gateway reports for all READY versions. Without these, numbers are 0 to 1 (whole
//! numbers 0 to 9) and texts `a` to `j`. Such rows cost as much as real rows; their predictions have no meaning.

use half::{bf16, f16};
use rand::{Rng, RngExt};

use crate::client::Failure;
use crate::client::v1::{
    Datatype, GetModelResponse, Tensor, TensorSignature, ValueRange, VersionState, VersionStatus,
    predict_request::Pin,
};

/// Returns the inputs of the versions that may answer: the pinned version, or all READY versions. Their inputs agree in name, type and
/// shape; ranges and categories are narrowed to what all of them accept.
///
/// # Errors
/// Returns an error if no such version is READY, or no value of an input is accepted by all of them.
pub(super) fn inputs(
    model: &GetModelResponse,
    pin: Option<&Pin>,
) -> Result<Vec<TensorSignature>, Failure> {
    let pinned = match pin {
        None => None,
        Some(Pin::Version(version)) => Some(*version),
        Some(Pin::Label(label)) => Some(*model.labels.get(label).ok_or_else(|| {
            Failure::new(format!(
                "--label: got {label:?}, wants a label of `{}`",
                model.model
            ))
        })?),
    };
    let may_answer = |version: &&VersionStatus| {
        version.state() == VersionState::Ready && pinned.is_none_or(|only| only == version.version)
    };
    let mut versions = model.versions.iter().rev().filter(may_answer);
    let Some(first) = versions.next() else {
        let which = pinned.map_or_else(|| "no version".into(), |one| format!("no version {one}"));
        return Err(Failure::new(format!(
            "`{}` has {which} that is READY",
            model.model
        )));
    };
    let mut inputs = first.inputs.clone();
    for version in versions {
        for input in &mut inputs {
            let other = version.inputs.iter().find(|other| other.name == input.name);
            if let Some(other) = other {
                narrow(input, other);
            }
        }
    }
    match inputs.iter().find(|input| is_empty(input)) {
        Some(input) => Err(Failure::new(format!(
            "no value of `{}` is accepted by every READY version; select a version with --version, or pass rows with --input",
            input.name
        ))),
        None => Ok(inputs),
    }
}

/// Narrows `input` to values that `other` accepts too.
fn narrow(input: &mut TensorSignature, other: &TensorSignature) {
    input.range = match (input.range, other.range) {
        (Some(own), Some(theirs)) => Some(ValueRange {
            min: own.min.max(theirs.min),
            max: own.max.min(theirs.max),
        }),
        (own, theirs) => own.or(theirs),
    };
    if input.categories.is_empty() {
        input.categories.clone_from(&other.categories);
    } else if !other.categories.is_empty() {
        let both = |name: &String| other.categories.contains(name);
        input.categories.retain(both);
        if input.categories.is_empty() {
            // No categories means any text, so an empty intersection is marked by an empty range.
            input.range = Some(ValueRange { min: 1.0, max: 0.0 });
        }
    }
}

fn is_empty(input: &TensorSignature) -> bool {
    let whole = bounds(input.datatype()).is_some();
    input.range.is_some_and(|range| match whole {
        true => range.min.ceil() > range.max.floor(),
        false => range.min > range.max,
    })
}

/// Returns one tensor with `rows` rows for each input.
pub(super) fn tensors(inputs: &[TensorSignature], rows: usize, rng: &mut impl Rng) -> Vec<Tensor> {
    inputs
        .iter()
        .map(|input| tensor(input, rows, rng))
        .collect()
}

fn tensor(input: &TensorSignature, rows: usize, rng: &mut impl Rng) -> Tensor {
    // The first axis is the rows. Another axis of any length gets one element.
    let rows = i64::try_from(rows).unwrap_or(i64::MAX);
    let axis = |(at, axis): (usize, &i64)| match (at, *axis) {
        (0, -1) => rows,
        (_, -1) => 1,
        (_, length) => length,
    };
    let shape: Vec<i64> = input.shape.iter().enumerate().map(axis).collect();
    let number: i64 = shape.iter().product();
    let mut tensor = Tensor {
        name: input.name.clone(),
        datatype: input.datatype,
        shape,
        ..Tensor::default()
    };
    let each = 0..number;
    match input.datatype() {
        Datatype::Bool => tensor.bool_values = each.map(|_| rng.random()).collect(),
        Datatype::Int8 | Datatype::Int16 | Datatype::Int32 => {
            let whole = each.map(|_| i32::try_from(whole(input, rng)).unwrap_or(i32::MAX));
            tensor.int32_values = whole.collect();
        }
        Datatype::Int64 => tensor.int64_values = each.map(|_| whole(input, rng)).collect(),
        Datatype::Uint8 | Datatype::Uint16 | Datatype::Uint32 => {
            let whole = each.map(|_| u32::try_from(whole(input, rng)).unwrap_or(u32::MAX));
            tensor.uint32_values = whole.collect();
        }
        Datatype::Uint64 => {
            let whole = each.map(|_| u64::try_from(whole(input, rng)).unwrap_or_default());
            tensor.uint64_values = whole.collect();
        }
        Datatype::Fp16 => {
            let halves = each.map(|_| f16::from_f64(real(input, rng)).to_le_bytes());
            tensor.raw = halves.flatten().collect();
        }
        Datatype::Bf16 => {
            let halves = each.map(|_| bf16::from_f64(real(input, rng)).to_le_bytes());
            tensor.raw = halves.flatten().collect();
        }
        Datatype::Fp32 => {
            tensor.fp32_values = each
                .map(|_| single(real(input, rng), input.range))
                .collect();
        }
        Datatype::Fp64 => tensor.fp64_values = each.map(|_| real(input, rng)).collect(),
        // The gateway refuses a type that this build does not know.
        Datatype::Bytes | Datatype::Unspecified => {
            tensor.bytes_values = each.map(|_| text(input, rng).into()).collect();
        }
    }
    tensor
}

/// Returns the least and the most value of an integer type; `None` for other types.
fn bounds(datatype: Datatype) -> Option<(i64, i64)> {
    Some(match datatype {
        Datatype::Int8 => (i8::MIN.into(), i8::MAX.into()),
        Datatype::Int16 => (i16::MIN.into(), i16::MAX.into()),
        Datatype::Int32 => (i32::MIN.into(), i32::MAX.into()),
        Datatype::Int64 => (i64::MIN, i64::MAX),
        Datatype::Uint8 => (0, u8::MAX.into()),
        Datatype::Uint16 => (0, u16::MAX.into()),
        Datatype::Uint32 => (0, u32::MAX.into()),
        Datatype::Uint64 => (0, i64::MAX),
        _ => return None,
    })
}

fn real(input: &TensorSignature, rng: &mut impl Rng) -> f64 {
    let ValueRange { min, max } = input.range.unwrap_or(ValueRange { min: 0.0, max: 1.0 });
    let unit: f64 = rng.random();
    // Not `min + unit * (max - min)`: that difference may overflow.
    (min * (1.0 - unit) + max * unit).clamp(min, max)
}

/// Returns the nearest single-precision number within the range.
#[expect(
    clippy::cast_possible_truncation,
    reason = "rounds to the nearest single-precision number"
)]
fn single(value: f64, range: Option<ValueRange>) -> f32 {
    let near = value as f32;
    match range {
        Some(range) if f64::from(near) > range.max => near.next_down(),
        Some(range) if f64::from(near) < range.min => near.next_up(),
        _ => near,
    }
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "the cast saturates, as intended"
)]
fn whole(input: &TensorSignature, rng: &mut impl Rng) -> i64 {
    if !input.categories.is_empty() {
        return text(input, rng).parse().unwrap_or_default();
    }
    let ValueRange { min, max } = input.range.unwrap_or(ValueRange { min: 0.0, max: 9.0 });
    let (mut least, mut most) = (min.ceil() as i64, max.floor() as i64);
    if let Some((low, high)) = bounds(input.datatype()) {
        (least, most) = (least.clamp(low, high), most.clamp(low, high));
    }
    rng.random_range(least..=most.max(least))
}

fn text(input: &TensorSignature, rng: &mut impl Rng) -> String {
    if input.categories.is_empty() {
        return char::from(rng.random_range(b'a'..=b'j')).to_string();
    }
    input.categories[rng.random_range(0..input.categories.len())].clone()
}

#[cfg(test)]
mod tests;
