//! One value of one input into its columns, and the words for refusing it.

use std::borrow::Cow;
use std::f64::consts::TAU;

use super::observe::Observed;
use crate::model::payload::{Cell, Datatype};
use crate::model::signature::{Encoding, Input, Range};
use crate::text::ellipsize;

/// A value of the input's datatype.
#[derive(Clone, Copy, Debug)]
pub(super) enum Value<'a> {
    /// Left out, `null`, or NaN in a float tensor.
    Missing,
    /// Of any numeric datatype; `BOOL` is 0 or 1. Never NaN.
    Number(f64),
    /// Of `BYTES`.
    Text(&'a str),
}

/// Why a value of the right type cannot be used. Cheap to make: texts are built only for faults that are told.
#[derive(Clone, Copy, Debug)]
pub(super) enum Refusal<'a> {
    Missing,
    Infinite(f64),
    Outside(f64),
    /// Its scaled value is beyond f32.
    Overflow(f64),
    Unknown(&'a str),
    /// A text for numbers or a number for texts: a signature whose datatype does not fit its encoding.
    Kind,
}

impl Refusal<'_> {
    /// What came. A sensitive value is not repeated, since faults may be logged.
    pub(super) fn got(self, input: &Input) -> String {
        match self {
            Self::Missing => "nothing".into(),
            Self::Kind => "a value of another kind".into(),
            _ if input.is_sensitive() => "a value that is not shown".into(),
            Self::Infinite(x) | Self::Outside(x) | Self::Overflow(x) => shown(input.datatype, x),
            Self::Unknown(text) => quote(text),
        }
    }

    /// What was wanted.
    pub(super) fn wanted(self, input: &Input) -> String {
        match self {
            Self::Overflow(_) => "a number that fits FP32 when scaled".into(),
            _ => wanted(input),
        }
    }
}

/// What one value of `input` must be: `a number from 0 to 23`.
pub(super) fn wanted(input: &Input) -> String {
    let kind = match input.datatype {
        Datatype::Bool => "true or false",
        Datatype::Int32 => "a whole number of 32 bits",
        Datatype::Int64 => "a whole number of 64 bits",
        Datatype::Fp32 => "a finite FP32 number",
        Datatype::Fp64 => "a finite number",
        Datatype::Bytes => "a text",
    };
    match &input.encoding {
        Encoding::Numeric {
            range: Some(range), ..
        }
        | Encoding::Cyclic {
            range: Some(range), ..
        } if !range.clip && input.datatype != Datatype::Bool => {
            let end = |x| shown(input.datatype, x);
            format!("{kind} from {} to {}", end(range.min), end(range.max))
        }
        // Its categories come from the rows of training, which are as sensitive as the caller's.
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

/// A number with no more digits than its datatype holds: 0.1 of FP32 is 0.10000000149011612 in f64.
pub(in crate::model) fn shown(datatype: Datatype, x: f64) -> String {
    match (datatype, finite(x)) {
        (Datatype::Fp32, Some(single)) => single.to_string(),
        _ => Cell::Number(x).to_string(),
    }
}

/// The names in quotes: the first eight, or fewer long ones, since an answer has room for a few hundred characters.
pub(super) fn list<S: AsRef<str>>(names: &[S]) -> String {
    const SHOWN: usize = 8;
    const LONG: usize = 120;
    let mut text = String::new();
    for (at, name) in names.iter().enumerate() {
        if at == SHOWN || text.len() > LONG {
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

/// A caller's text in backticks, cut to what an answer can carry.
pub(super) fn quote(text: &str) -> String {
    format!("`{}`", shorten(text))
}

/// Returns a client's text, shortened to at most 64 characters.
pub(super) fn shorten(text: &str) -> Cow<'_, str> {
    ellipsize(text, 64)
}

/// Writes value `at` of a row's values of `input` into `columns`, the input's columns of that row, and tells what it was.
pub(super) fn put<'a>(
    input: &Input,
    at: usize,
    value: Value<'a>,
    columns: &mut [f32],
) -> Result<Observed, Refusal<'a>> {
    match &input.encoding {
        Encoding::Numeric {
            scale,
            range,
            missing,
        } => {
            let (x, held) = number(value, range.as_ref(), *missing)?;
            columns[at] = finite(scale[at].apply(x)).ok_or(Refusal::Overflow(x))?;
            Ok(held)
        }
        Encoding::Cyclic {
            period,
            range,
            missing,
        } => {
            let (x, held) = number(value, range.as_ref(), *missing)?;
            let turns = x / period;
            // libm and not the platform's sine: the same bits wherever a version was trained and is served.
            let (sin, cos) = libm::sincos(TAU * (turns - turns.floor()));
            columns[0] = finite(sin).ok_or(Refusal::Overflow(x))?;
            columns[1] = finite(cos).ok_or(Refusal::Overflow(x))?;
            Ok(held)
        }
        Encoding::Categorical {
            categories,
            unknown_bucket,
            missing,
        } => {
            let text = match (value, missing) {
                (Value::Text(text), _) => text,
                (Value::Missing, Some(text)) => text,
                (Value::Missing, None) => return Err(Refusal::Missing),
                (Value::Number(_), _) => return Err(Refusal::Kind),
            };
            let (column, held) = match (categories.find(text), value) {
                (Some(column), _) => (column, Observed::Category(column)),
                (None, _) if *unknown_bucket => (categories.names().len(), Observed::Unknown),
                (None, Value::Text(text)) => return Err(Refusal::Unknown(text)),
                (None, _) => return Err(Refusal::Missing),
            };
            columns.fill(0.0);
            columns[column] = 1.0;
            Ok(match value {
                Value::Missing => Observed::Missing,
                _ => held,
            })
        }
        Encoding::Ignore { optional } => match value {
            Value::Missing if !optional => Err(Refusal::Missing),
            Value::Number(x) if x.is_infinite() => Err(Refusal::Infinite(x)),
            _ => Ok(Observed::Unused),
        },
    }
}

/// The number to encode, imputed and clipped, and what is told of it.
fn number<'a>(
    value: Value<'a>,
    range: Option<&Range>,
    missing: Option<f64>,
) -> Result<(f64, Observed), Refusal<'a>> {
    let (x, held) = match (value, missing) {
        (Value::Number(x), _) => (x, Observed::Number(x)),
        (Value::Missing, Some(x)) => (x, Observed::Missing),
        (Value::Missing, None) => return Err(Refusal::Missing),
        (Value::Text(_), _) => return Err(Refusal::Kind),
    };
    if x.is_infinite() {
        return Err(Refusal::Infinite(x));
    }
    match range {
        Some(range) if !range.holds(x) => {
            if !range.clip {
                return Err(Refusal::Outside(x));
            }
            let cut = x.max(range.min).min(range.max);
            let held = match held {
                Observed::Number(_) => Observed::Clipped(cut),
                held => held,
            };
            Ok((cut, held))
        }
        _ => Ok((x, held)),
    }
}

/// `x` as the network takes it.
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
    fn long_lists_are_cut_by_number_and_by_length() {
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
