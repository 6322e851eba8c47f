//! Encodes one value of one input, and describes its faults.

use std::borrow::Cow;
use std::f64::consts::TAU;

use half::{bf16, f16};

use super::observe::Observed;
use crate::model::payload::{Cell, Datatype};
use crate::model::signature::{Categories, Encoding, Input, Missing, Outside, Range};
use crate::text::ellipsize;

/// A value of a request.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Value<'a> {
    /// Omitted, `null`, or NaN in a float tensor.
    Missing,
    /// `true` or `false`.
    Bool(bool),
    /// A value of an integer type.
    Integer(i128),
    /// A value of a float type. Never NaN.
    Number(f64),
    /// A value of `BYTES`.
    Text(&'a str),
}

/// The fault of a value. It allocates nothing: texts are built only for faults that are kept.
#[derive(Clone, Copy, Debug)]
pub(super) enum ValueFault<'a> {
    Missing,
    Infinite(f64),
    Outside(f64),
    /// Its scaled value does not fit the matrix.
    Overflow(f64),
    /// It has no equal among the values of the datatype.
    Unequal(Value<'a>),
    /// An unknown category.
    Unknown(Value<'a>),
    /// A string for a number, or a number for a string.
    Kind(Value<'a>),
}

impl ValueFault<'_> {
    /// Describes the value. Values of sensitive inputs are not shown, because faults may be logged.
    pub(super) fn got(self, input: &Input) -> String {
        match self {
            Self::Missing => "nothing".into(),
            _ if input.is_sensitive() => "a value that is not shown".into(),
            Self::Infinite(x) | Self::Outside(x) | Self::Overflow(x) => {
                format_number(input.datatype, x)
            }
            Self::Unequal(value) | Self::Unknown(value) | Self::Kind(value) => value.describe(),
        }
    }

    /// Describes what was expected.
    pub(super) fn expected(self, input: &Input) -> String {
        match self {
            Self::Overflow(_) => "a number that fits FP32 when scaled".into(),
            Self::Unequal(Value::Integer(_)) if input.datatype.is_float() => {
                format!("a whole number that {} represents exactly", input.datatype)
            }
            _ => expected(input),
        }
    }
}

impl Value<'_> {
    fn describe(self) -> String {
        match self {
            Self::Missing => "nothing".into(),
            Self::Bool(value) => value.to_string(),
            Self::Integer(value) => value.to_string(),
            Self::Number(value) => Cell::Number(value).to_string(),
            Self::Text(text) => quote(text),
        }
    }
}

impl<'a> Value<'a> {
    /// Returns the value as `datatype` holds it: floats are rounded to the nearest, and integers must be exact.
    ///
    /// # Errors
    /// Returns an error if the datatype holds no such value, or if the value is of another kind: text, number, or boolean.
    pub(super) fn converted(self, datatype: Datatype) -> Result<Self, ValueFault<'a>> {
        match (self, datatype) {
            (Self::Missing, _)
            | (Self::Bool(_), Datatype::Bool)
            | (Self::Text(_), Datatype::Bytes) => Ok(self),
            (Self::Integer(_) | Self::Number(_), Datatype::Bool | Datatype::Bytes)
            | (Self::Bool(_) | Self::Text(_), _) => Err(ValueFault::Kind(self)),
            (Self::Integer(whole), _) if datatype.is_integer() => {
                let (min, max) = integers(datatype);
                let fits = (min..=max).contains(&whole);
                fits.then_some(self).ok_or(ValueFault::Unequal(self))
            }
            (Self::Integer(whole), _) => {
                let rounded = as_datatype(datatype, as_f64(whole));
                let is_exact = rounded.is_finite() && as_whole(rounded) == Some(whole);
                let exact = is_exact.then_some(Self::Number(rounded));
                exact.ok_or(ValueFault::Unequal(self))
            }
            (Self::Number(x), _) if datatype.is_integer() => {
                let (min, max) = integers(datatype);
                let whole = as_whole(x).filter(|whole| (min..=max).contains(whole));
                whole.map(Self::Integer).ok_or(ValueFault::Unequal(self))
            }
            (Self::Number(x), _) => {
                let rounded = as_datatype(datatype, x);
                if rounded.is_infinite() && x.is_finite() {
                    return Err(ValueFault::Unequal(self));
                }
                Ok(Self::Number(rounded))
            }
        }
    }
}

/// Returns a value of a matrix as the input of its column holds it. A matrix has numbers only, so 0 and 1 are booleans.
///
/// # Errors
/// Returns the errors of [`Value::converted`].
pub(super) fn of_column(value: Value<'_>, datatype: Datatype) -> Result<Value<'_>, ValueFault<'_>> {
    let number = match value {
        Value::Integer(whole) => Some(as_f64(whole)),
        Value::Number(x) => Some(x),
        _ => None,
    };
    match (datatype, number) {
        (Datatype::Bool, Some(x)) if x == 0.0 || x == 1.0 => Ok(Value::Bool(x == 1.0)),
        _ => value.converted(datatype),
    }
}

/// Returns the smallest and the largest value of an integer type.
fn integers(datatype: Datatype) -> (i128, i128) {
    match datatype {
        Datatype::Int8 => (i8::MIN.into(), i8::MAX.into()),
        Datatype::Int16 => (i16::MIN.into(), i16::MAX.into()),
        Datatype::Int32 => (i32::MIN.into(), i32::MAX.into()),
        Datatype::Uint8 => (0, u8::MAX.into()),
        Datatype::Uint16 => (0, u16::MAX.into()),
        Datatype::Uint32 => (0, u32::MAX.into()),
        Datatype::Uint64 => (0, u64::MAX.into()),
        _ => (i64::MIN.into(), i64::MAX.into()),
    }
}

/// Returns `x` as an integer; `None` if it is not whole, or too large for every integer type.
#[expect(
    clippy::cast_possible_truncation,
    reason = "whole, and far inside i128"
)]
pub(super) fn as_whole(x: f64) -> Option<i128> {
    (x.fract() == 0.0 && x.abs() < 2e19).then_some(x as i128)
}

/// Returns the nearest f64.
#[expect(clippy::cast_precision_loss, reason = "rounding is the purpose")]
pub(super) fn as_f64(whole: i128) -> f64 {
    whole as f64
}

/// Rounds `x` to a float type; returns it unchanged for another type.
#[expect(clippy::cast_possible_truncation, reason = "rounding is the purpose")]
pub(in crate::model) fn as_datatype(datatype: Datatype, x: f64) -> f64 {
    match datatype {
        Datatype::Fp32 => f64::from(x as f32),
        Datatype::Fp16 => f16::from_f64(x).to_f64(),
        Datatype::Bf16 => bf16::from_f64(x).to_f64(),
        _ => x,
    }
}

/// Describes a valid value of `input`: `a finite number from 0 to 23`.
pub(super) fn expected(input: &Input) -> String {
    let datatype = input.datatype;
    let kind = match datatype {
        Datatype::Bool => "true or false".to_owned(),
        Datatype::Fp64 => "a finite number".to_owned(),
        Datatype::Fp16 | Datatype::Bf16 | Datatype::Fp32 => format!("a finite {datatype} number"),
        Datatype::Bytes => "a string".to_owned(),
        Datatype::Uint8 | Datatype::Uint16 | Datatype::Uint32 | Datatype::Uint64 => {
            format!("a whole number from 0 to {}", integers(datatype).1)
        }
        _ => {
            let bits = datatype.width().unwrap_or(8) * 8;
            format!("a whole number of {bits} bits")
        }
    };
    match &input.encoding {
        Encoding::Numeric {
            range: Some(range), ..
        }
        | Encoding::Cyclic {
            range: Some(range), ..
        } if range.outside == Outside::Reject && datatype != Datatype::Bool => {
            let end = |x| format_number(datatype, x);
            format!("{kind} from {} to {}", end(range.min), end(range.max))
        }
        // The categories come from training rows, which are as sensitive as the request.
        Encoding::Categorical {
            unknown_bucket: false,
            ..
        }
        | Encoding::Ordinal {
            unknown_is_missing: false,
            ..
        } if input.is_sensitive() => "a known category".into(),
        Encoding::Categorical {
            categories,
            unknown_bucket: false,
            ..
        }
        | Encoding::Ordinal {
            categories,
            unknown_is_missing: false,
            ..
        } => format!("one of {}", list(categories.names())),
        _ => kind,
    }
}

/// Formats a number with the digits of its datatype: 0.1 as FP32 is 0.10000000149011612 in f64.
pub(in crate::model) fn format_number(datatype: Datatype, x: f64) -> String {
    match (datatype, f32::of(x)) {
        (Datatype::Fp32, Some(single)) => single.to_string(),
        (Datatype::Fp16, Some(_)) => f16::from_f64(x).to_string(),
        (Datatype::Bf16, Some(_)) => bf16::from_f64(x).to_string(),
        _ => Cell::Number(x).to_string(),
    }
}

/// Lists the names in backticks: the first eight, or fewer if they are long, because error details are limited to a few hundred
/// characters.
pub(super) fn list<S: AsRef<str>>(names: &[S]) -> String {
    const MAX_NAMES: usize = 8;
    const MAX_LEN: usize = 120;
    let mut text = String::new();
    for (at, name) in names.iter().enumerate() {
        if at == MAX_NAMES || text.len() > MAX_LEN {
            text.push_str(&format!(" and {} more", names.len() - at));
            break;
        }
        if at > 0 {
            text.push_str(", ");
        }
        text.push_str(&quote(name.as_ref()));
    }
    text
}

/// Returns a client's string in backticks, shortened.
pub(super) fn quote(text: &str) -> String {
    format!("`{}`", shorten(text))
}

/// Returns a client's string, shortened to at most 64 characters.
pub(super) fn shorten(text: &str) -> Cow<'_, str> {
    ellipsize(text, 64)
}

/// An element of the matrix.
pub(super) trait Element: Copy + Default {
    /// Stands for a missing value.
    const MISSING: Self;

    /// Rounds `x`. Returns `None` if the result is not finite.
    fn of(x: f64) -> Option<Self>;
}

impl Element for f32 {
    const MISSING: Self = f32::NAN;

    #[inline]
    #[expect(
        clippy::cast_possible_truncation,
        reason = "rounding to f32 is what an encoded row is"
    )]
    fn of(x: f64) -> Option<Self> {
        let x = x as f32;
        x.is_finite().then_some(x)
    }
}

impl Element for f64 {
    const MISSING: Self = f64::NAN;

    #[inline]
    fn of(x: f64) -> Option<Self> {
        x.is_finite().then_some(x)
    }
}

/// Encodes one value of the input's datatype and returns what it was. `at` is its index among the row's values of `input`; `columns` are
/// the input's columns of that row.
pub(super) fn encode<'a, T: Element>(
    input: &Input,
    at: usize,
    value: Value<'a>,
    columns: &mut [T],
) -> Result<Observed, ValueFault<'a>> {
    match &input.encoding {
        Encoding::Numeric {
            scale,
            range,
            missing,
        } => {
            if value == Value::Missing && *missing == Missing::Keep {
                columns[at] = T::MISSING;
                return Ok(Observed::Missing);
            }
            let imputed = match missing {
                Missing::Impute(x) => Some(*x),
                Missing::Reject | Missing::Keep => None,
            };
            let (x, content) = number(value, range.as_ref(), imputed)?;
            columns[at] = T::of(scale[at].apply(x)).ok_or(ValueFault::Overflow(x))?;
            Ok(content)
        }
        Encoding::Ordinal {
            categories,
            unknown_is_missing,
            missing,
        } => {
            let column = match value {
                Value::Missing if *missing => None,
                Value::Missing => return Err(ValueFault::Missing),
                value => match find(categories, value)? {
                    None if !unknown_is_missing => return Err(ValueFault::Unknown(value)),
                    found => found,
                },
            };
            let number = column.and_then(|column| T::of(position(column)));
            columns[0] = number.unwrap_or(T::MISSING);
            Ok(match (column, value) {
                (Some(column), _) => Observed::Category(column),
                (None, Value::Missing) => Observed::Missing,
                (None, _) => Observed::Unknown,
            })
        }
        Encoding::Cyclic {
            period,
            range,
            missing,
        } => {
            let (x, content) = number(value, range.as_ref(), *missing)?;
            let turns = x / period;
            // libm instead of the platform's sine gives the same bits on every machine, in training and in serving.
            let (sin, cos) = libm::sincos(TAU * (turns - turns.floor()));
            columns[0] = T::of(sin).ok_or(ValueFault::Overflow(x))?;
            columns[1] = T::of(cos).ok_or(ValueFault::Overflow(x))?;
            Ok(content)
        }
        Encoding::Categorical {
            categories,
            unknown_bucket,
            missing,
        } => {
            let imputed = missing.as_deref();
            let (column, content) = one_hot(categories, *unknown_bucket, imputed, value)?;
            columns.fill(T::default());
            columns[column] = T::of(1.0).unwrap_or_default();
            Ok(content)
        }
        Encoding::Ignore { optional } => match value {
            Value::Missing if !optional => Err(ValueFault::Missing),
            Value::Number(x) if x.is_infinite() => Err(ValueFault::Infinite(x)),
            _ => Ok(Observed::Unused),
        },
        // Such inputs have no columns: they are passed on as tensors, or read with the input that they mark.
        Encoding::Tensor { .. } | Encoding::Mask { .. } => Ok(Observed::Unused),
    }
}

/// Returns the column of a category that is encoded one-hot, and what to report to the observer. `imputed` is used for a missing value.
fn one_hot<'a>(
    categories: &Categories,
    unknown_bucket: bool,
    imputed: Option<&str>,
    value: Value<'a>,
) -> Result<(usize, Observed), ValueFault<'a>> {
    let found = match (value, imputed) {
        (Value::Missing, Some(text)) => categories.find(text),
        (Value::Missing, None) => return Err(ValueFault::Missing),
        (value, _) => find(categories, value)?,
    };
    let (column, content) = match (found, value) {
        (Some(column), _) => (column, Observed::Category(column)),
        (None, _) if unknown_bucket => (categories.names().len(), Observed::Unknown),
        (None, Value::Missing) => return Err(ValueFault::Missing),
        (None, value) => return Err(ValueFault::Unknown(value)),
    };
    let content = match value {
        Value::Missing => Observed::Missing,
        _ => content,
    };
    Ok((column, content))
}

/// Returns the position of a category.
fn find<'a>(categories: &Categories, value: Value<'a>) -> Result<Option<usize>, ValueFault<'a>> {
    match value {
        Value::Text(text) if !categories.are_numbers() => Ok(categories.find(text)),
        Value::Integer(whole) if categories.are_numbers() => {
            let number = i64::try_from(whole).ok();
            Ok(number.and_then(|number| categories.find_number(number)))
        }
        other => Err(ValueFault::Kind(other)),
    }
}

/// Returns a position as a number. There are at most 65,536 categories.
#[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
fn position(at: usize) -> f64 {
    at as f64
}

/// Returns the number to encode, after imputation and clipping, and what to report to the observer.
fn number<'a>(
    value: Value<'a>,
    range: Option<&Range>,
    missing: Option<f64>,
) -> Result<(f64, Observed), ValueFault<'a>> {
    let given = match value {
        Value::Number(x) => Some(x),
        Value::Integer(whole) => Some(as_f64(whole)),
        Value::Bool(value) => Some(f64::from(u8::from(value))),
        Value::Missing => None,
        Value::Text(_) => return Err(ValueFault::Kind(value)),
    };
    let (x, content) = match (given, missing) {
        (Some(x), _) => (x, Observed::Number(x)),
        (None, Some(x)) => (x, Observed::Missing),
        (None, None) => return Err(ValueFault::Missing),
    };
    if x.is_infinite() {
        return Err(ValueFault::Infinite(x));
    }
    match range {
        Some(range) if !range.contains(x) => {
            match range.outside {
                Outside::Reject => return Err(ValueFault::Outside(x)),
                Outside::Accept => return Ok((x, content)),
                Outside::Clip => {}
            }
            let clipped = x.max(range.min).min(range.max);
            let content = match content {
                Observed::Number(_) => Observed::Clipped(clipped),
                imputed => imputed,
            };
            Ok((clipped, content))
        }
        _ => Ok((x, content)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_lists_are_shortened_by_number_and_by_length() {
        let named = |n: usize, length: usize| vec!["x".repeat(length); n];
        assert_eq!(list(&named(2, 1)), "`x`, `x`");
        assert_eq!(list(&named(8, 1)).matches("`x`").count(), 8);
        assert!(list(&named(9, 1)).ends_with("`x` and 1 more"));
        let long = list(&named(500, 500));
        assert!(
            long.len() < 300 && long.ends_with(" and 498 more"),
            "{long}"
        );
    }
}
