//! Encodes one value of one input, and describes its faults.

use std::borrow::Cow;
use std::f64::consts::TAU;

use super::observe::Observed;
use crate::model::payload::{Cell, Datatype};
use crate::model::signature::{Encoding, Input, Range};
use crate::text::ellipsize;

/// A value of the input's datatype.
#[derive(Clone, Copy, Debug)]
pub(super) enum Value<'a> {
    /// Omitted, `null`, or NaN in a float tensor.
    Missing,
    /// A value of any numeric datatype; `BOOL` is 0 or 1. Never NaN.
    Number(f64),
    /// A value of `BYTES`.
    Text(&'a str),
}

/// The fault of a value of the right type. It allocates nothing: texts are built only for faults that are kept.
#[derive(Clone, Copy, Debug)]
pub(super) enum ValueFault<'a> {
    Missing,
    Infinite(f64),
    Outside(f64),
    /// Its scaled value does not fit f32.
    Overflow(f64),
    Unknown(&'a str),
    /// A string for a numeric encoding, or a number for a categorical one. The checks of the manifest rule this out.
    Kind,
}

impl ValueFault<'_> {
    /// Describes the value. Values of sensitive inputs are not shown, because faults may be logged.
    pub(super) fn got(self, input: &Input) -> String {
        match self {
            Self::Missing => "nothing".into(),
            Self::Kind => "a value of another kind".into(),
            _ if input.is_sensitive() => "a value that is not shown".into(),
            Self::Infinite(x) | Self::Outside(x) | Self::Overflow(x) => {
                format_number(input.datatype, x)
            }
            Self::Unknown(text) => quote(text),
        }
    }

    /// Describes what was expected.
    pub(super) fn expected(self, input: &Input) -> String {
        match self {
            Self::Overflow(_) => "a number that fits FP32 when scaled".into(),
            _ => expected(input),
        }
    }
}

/// Describes a valid value of `input`: `a finite number from 0 to 23`.
pub(super) fn expected(input: &Input) -> String {
    let kind = match input.datatype {
        Datatype::Bool => "true or false",
        Datatype::Int32 => "a whole number of 32 bits",
        Datatype::Int64 => "a whole number of 64 bits",
        Datatype::Fp32 => "a finite FP32 number",
        Datatype::Fp64 => "a finite number",
        Datatype::Bytes => "a string",
    };
    match &input.encoding {
        Encoding::Numeric {
            range: Some(range), ..
        }
        | Encoding::Cyclic {
            range: Some(range), ..
        } if !range.clip && input.datatype != Datatype::Bool => {
            let end = |x| format_number(input.datatype, x);
            format!("{kind} from {} to {}", end(range.min), end(range.max))
        }
        // The categories come from training rows, which are as sensitive as the request.
        Encoding::Categorical {
            unknown_bucket: false,
            ..
        } if input.is_sensitive() => "a known category".into(),
        Encoding::Categorical {
            categories,
            unknown_bucket: false,
            ..
        } => format!("one of {}", list(categories.names())),
        _ => kind.into(),
    }
}

/// Formats a number with the digits of its datatype: 0.1 as FP32 is 0.10000000149011612 in f64.
pub(in crate::model) fn format_number(datatype: Datatype, x: f64) -> String {
    match (datatype, finite(x)) {
        (Datatype::Fp32, Some(single)) => single.to_string(),
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

/// Encodes one value and returns what it was. `at` is its index among the row's values of `input`; `columns` are the input's columns of
/// that row.
pub(super) fn encode<'a>(
    input: &Input,
    at: usize,
    value: Value<'a>,
    columns: &mut [f32],
) -> Result<Observed, ValueFault<'a>> {
    match &input.encoding {
        Encoding::Numeric {
            scale,
            range,
            missing,
        } => {
            let (x, content) = number(value, range.as_ref(), *missing)?;
            columns[at] = finite(scale[at].apply(x)).ok_or(ValueFault::Overflow(x))?;
            Ok(content)
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
            columns[0] = finite(sin).ok_or(ValueFault::Overflow(x))?;
            columns[1] = finite(cos).ok_or(ValueFault::Overflow(x))?;
            Ok(content)
        }
        Encoding::Categorical {
            categories,
            unknown_bucket,
            missing,
        } => {
            let text = match (value, missing) {
                (Value::Text(text), _) => text,
                (Value::Missing, Some(text)) => text,
                (Value::Missing, None) => return Err(ValueFault::Missing),
                (Value::Number(_), _) => return Err(ValueFault::Kind),
            };
            let (column, content) = match (categories.find(text), value) {
                (Some(column), _) => (column, Observed::Category(column)),
                (None, _) if *unknown_bucket => (categories.names().len(), Observed::Unknown),
                (None, Value::Text(text)) => return Err(ValueFault::Unknown(text)),
                (None, _) => return Err(ValueFault::Missing),
            };
            columns.fill(0.0);
            columns[column] = 1.0;
            Ok(match value {
                Value::Missing => Observed::Missing,
                _ => content,
            })
        }
        Encoding::Ignore { optional } => match value {
            Value::Missing if !optional => Err(ValueFault::Missing),
            Value::Number(x) if x.is_infinite() => Err(ValueFault::Infinite(x)),
            _ => Ok(Observed::Unused),
        },
    }
}

/// Returns the number to encode, after imputation and clipping, and what to report to the observer.
fn number<'a>(
    value: Value<'a>,
    range: Option<&Range>,
    missing: Option<f64>,
) -> Result<(f64, Observed), ValueFault<'a>> {
    let (x, content) = match (value, missing) {
        (Value::Number(x), _) => (x, Observed::Number(x)),
        (Value::Missing, Some(x)) => (x, Observed::Missing),
        (Value::Missing, None) => return Err(ValueFault::Missing),
        (Value::Text(_), _) => return Err(ValueFault::Kind),
    };
    if x.is_infinite() {
        return Err(ValueFault::Infinite(x));
    }
    match range {
        Some(range) if !range.contains(x) => {
            if !range.clip {
                return Err(ValueFault::Outside(x));
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

/// Rounds `x` to f32. Returns `None` if the result is not finite.
#[expect(
    clippy::cast_possible_truncation,
    reason = "rounding to f32 is what an encoded row is"
)]
pub(super) fn finite(x: f64) -> Option<f32> {
    let x = x as f32;
    x.is_finite().then_some(x)
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
