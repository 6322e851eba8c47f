//! Reads the elements of a tensor as values, and builds the elements of another type from values.

use half::{bf16, f16};

use super::value::{Value, as_f64};
use crate::model::payload::{Datatype, TensorData};

/// Calls `with` for each element from `first` on, `count` of them, with its index in the tensor.
/// An element of BYTES that is not UTF-8 is passed as `Err` with its length.
pub(super) fn each<'t>(
    data: &'t TensorData,
    mut with: impl FnMut(usize, Result<Value<'t>, usize>),
) {
    let whole = |x: i128| Ok(Value::Integer(x));
    macro_rules! every {
        ($values:expr, $convert:expr) => {
            $values
                .iter()
                .enumerate()
                .for_each(|(at, x)| with(at, $convert(x)))
        };
    }
    match data {
        TensorData::Bool(values) => every!(values, |x: &bool| Ok(Value::Bool(*x))),
        TensorData::Int8(values) => every!(values, |x: &i8| whole((*x).into())),
        TensorData::Int16(values) => every!(values, |x: &i16| whole((*x).into())),
        TensorData::Int32(values) => every!(values, |x: &i32| whole((*x).into())),
        TensorData::Int64(values) => every!(values, |x: &i64| whole((*x).into())),
        TensorData::Uint8(values) => every!(values, |x: &u8| whole((*x).into())),
        TensorData::Uint16(values) => every!(values, |x: &u16| whole((*x).into())),
        TensorData::Uint32(values) => every!(values, |x: &u32| whole((*x).into())),
        TensorData::Uint64(values) => every!(values, |x: &u64| whole((*x).into())),
        TensorData::Fp16(values) => every!(values, |x: &f16| Ok(float(x.to_f64()))),
        TensorData::Bf16(values) => every!(values, |x: &bf16| Ok(float(x.to_f64()))),
        TensorData::Fp32(values) => every!(values, |x: &f32| Ok(float((*x).into()))),
        TensorData::Fp64(values) => every!(values, |x: &f64| Ok(float(*x))),
        TensorData::Bytes(values) => every!(values, |text: &'t bytes::Bytes| {
            std::str::from_utf8(text)
                .map(Value::Text)
                .map_err(|_| text.len())
        }),
    }
}

/// Returns a float as a value: NaN is a missing one.
pub(super) fn float(x: f64) -> Value<'static> {
    if x.is_nan() {
        Value::Missing
    } else {
        Value::Number(x)
    }
}

/// Returns whether tensors of type `from` can be converted to type `to`, element by element.
pub(super) fn is_convertible(from: Datatype, to: Datatype) -> bool {
    let is_number = |datatype: Datatype| datatype.is_float() || datatype.is_integer();
    from == to || is_number(from) && is_number(to)
}

/// Appends a value that has been converted to the type of `data`. A missing one becomes NaN.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the value has been converted to the type, so it is inside its range"
)]
pub(super) fn push(data: &mut TensorData, value: Value<'_>) {
    let whole = match value {
        Value::Integer(whole) => whole,
        _ => 0,
    };
    let float = match value {
        Value::Number(x) => x,
        Value::Integer(whole) => as_f64(whole),
        _ => f64::NAN,
    };
    match data {
        TensorData::Bool(values) => values.push(value == Value::Bool(true)),
        TensorData::Int8(values) => values.push(whole as i8),
        TensorData::Int16(values) => values.push(whole as i16),
        TensorData::Int32(values) => values.push(whole as i32),
        TensorData::Int64(values) => values.push(whole as i64),
        TensorData::Uint8(values) => values.push(whole as u8),
        TensorData::Uint16(values) => values.push(whole as u16),
        TensorData::Uint32(values) => values.push(whole as u32),
        TensorData::Uint64(values) => values.push(whole as u64),
        TensorData::Fp16(values) => values.push(f16::from_f64(float)),
        TensorData::Bf16(values) => values.push(bf16::from_f64(float)),
        TensorData::Fp32(values) => values.push(float as f32),
        TensorData::Fp64(values) => values.push(float),
        TensorData::Bytes(values) => values.push(match value {
            Value::Text(text) => bytes::Bytes::copy_from_slice(text.as_bytes()),
            _ => bytes::Bytes::new(),
        }),
    }
}

/// Calls `with` for each number of a tensor, rounded to f32. Not called for texts and booleans.
#[expect(clippy::cast_possible_truncation, reason = "rounding is the purpose")]
pub(in crate::model) fn each_number(data: &TensorData, mut with: impl FnMut(f32)) {
    each(data, |_, found| match found {
        Ok(Value::Number(x)) => with(x as f32),
        Ok(Value::Integer(whole)) => with(as_f64(whole) as f32),
        Ok(Value::Missing) => with(f32::NAN),
        Ok(Value::Bool(_) | Value::Text(_)) | Err(_) => {}
    });
}

/// Calls `with` for each integer or boolean of a tensor, as text.
pub(in crate::model) fn each_label(data: &TensorData, mut with: impl FnMut(String)) {
    each(data, |_, found| match found {
        Ok(Value::Integer(whole)) => with(whole.to_string()),
        Ok(Value::Bool(value)) => with(value.to_string()),
        Ok(Value::Number(x)) => with(x.to_string()),
        _ => with(String::new()),
    });
}
