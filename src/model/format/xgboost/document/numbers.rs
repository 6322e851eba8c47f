//! Numbers, and lists of numbers that stay encoded in the file.

use std::fmt;

/// A number of a document, exactly as it stands there.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(in super::super) enum Number {
    /// A whole number.
    Integer(i64),
    /// A number with a point or an exponent, infinity or NaN.
    Single(f32),
    /// A number of 64 bits in UBJ.
    Double(f64),
    /// `true` or `false`
    Flag(bool),
}

impl Number {
    /// Returns the number as f32, if that is the same number.
    #[expect(
        clippy::cast_possible_truncation,
        reason = "the comparison refuses what the cast changes"
    )]
    pub(super) fn single(self) -> Option<f32> {
        match self {
            Self::Single(value) => Some(value),
            Self::Double(value) if value.is_nan() => Some(f32::NAN),
            Self::Double(value) => Some(value as f32).filter(|&cast| f64::from(cast) == value),
            // Up to 2^24 every integer is an f32.
            Self::Integer(value) if value.unsigned_abs() <= 1 << 24 => Some(value as f32),
            Self::Integer(_) | Self::Flag(_) => None,
        }
    }

    /// Returns the number if it is a whole number.
    pub(super) fn integer(self) -> Option<i64> {
        match self {
            Self::Integer(value) => Some(value),
            _ => None,
        }
    }

    /// Returns whether the number is 1 or `true`; `None` if it is neither 0 nor 1. XGBoost 1.0 to 1.5 writes `true` and `false`.
    pub(super) fn flag(self) -> Option<bool> {
        match self {
            Self::Flag(value) => Some(value),
            Self::Integer(value @ (0 | 1)) => Some(value == 1),
            _ => None,
        }
    }
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Integer(value) => write!(f, "{value}"),
            Self::Single(value) => write!(f, "{value:?}"),
            Self::Double(value) => write!(f, "{value:?}"),
            Self::Flag(value) => write!(f, "{value}"),
        }
    }
}

/// How the numbers of a list are encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// JSON: separated by commas.
    Text,
    /// UBJ: each with its marker.
    Marked,
    /// UBJ: all with the type of this marker.
    Typed(u8),
}

/// A list of numbers in its encoding, which is valid.
#[derive(Clone, Copy, Debug)]
pub(in super::super) struct Numbers<'a> {
    bytes: &'a [u8],
    // 32 bits keep a value of the document at 32 bytes; the encodings refuse longer lists.
    count: u32,
    form: Form,
}

impl<'a> Numbers<'a> {
    /// Creates a list of `count` numbers whose encoding has been checked.
    pub(super) fn new(bytes: &'a [u8], count: u32, form: Form) -> Self {
        Self { bytes, count, form }
    }

    /// Returns the number of numbers.
    pub(in super::super) fn count(&self) -> usize {
        self.count as usize
    }

    /// Returns the numbers in order.
    pub(in super::super) fn iter(&self) -> impl Iterator<Item = Number> + use<'a> {
        let Self { bytes, form, .. } = *self;
        let mut rest = bytes;
        std::iter::from_fn(move || match form {
            Form::Text => next_of_text(&mut rest),
            Form::Marked => {
                let (&marker, after) = rest.split_first()?;
                rest = after;
                next_of_ubj(marker, &mut rest)
            }
            Form::Typed(marker) => next_of_ubj(marker, &mut rest),
        })
    }
}

/// Takes the next number from a JSON list without its brackets.
fn next_of_text(rest: &mut &[u8]) -> Option<Number> {
    if rest.is_empty() {
        return None;
    }
    let end = rest.iter().position(|&byte| byte == b',');
    let token = &rest[..end.unwrap_or(rest.len())];
    *rest = end.map_or(&[], |end| &rest[end + 1..]);
    parse_number(str::from_utf8(token.trim_ascii()).ok()?)
}

/// Returns the number that a JSON token means; `None` for a whole number of more than 64 bits.
///
/// XGBoost writes floats as the shortest decimal that is read back to the same f32, and NaN and infinity without quotes.
pub(super) fn parse_number(token: &str) -> Option<Number> {
    match token {
        "true" => Some(Number::Flag(true)),
        "false" => Some(Number::Flag(false)),
        "NaN" => Some(Number::Single(f32::NAN)),
        "Infinity" => Some(Number::Single(f32::INFINITY)),
        "-Infinity" => Some(Number::Single(f32::NEG_INFINITY)),
        _ if token.contains(['.', 'e', 'E']) => token.parse().ok().map(Number::Single),
        _ => token.parse().ok().map(Number::Integer),
    }
}

/// Returns the bytes of a number after its UBJ marker; `None` if the marker is not one of a number.
pub(super) fn width(marker: u8) -> Option<usize> {
    match marker {
        b'T' | b'F' => Some(0),
        b'i' | b'U' => Some(1),
        b'I' => Some(2),
        b'l' | b'd' => Some(4),
        b'L' | b'D' => Some(8),
        _ => None,
    }
}

/// Takes the number after the UBJ marker `marker`. UBJ is big-endian.
pub(super) fn next_of_ubj(marker: u8, rest: &mut &[u8]) -> Option<Number> {
    fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
        let (first, after) = rest.split_first_chunk()?;
        *rest = after;
        Some(*first)
    }
    Some(match marker {
        b'T' => Number::Flag(true),
        b'F' => Number::Flag(false),
        b'i' => Number::Integer(i8::from_be_bytes(take(rest)?).into()),
        b'U' => Number::Integer(u8::from_be_bytes(take(rest)?).into()),
        b'I' => Number::Integer(i16::from_be_bytes(take(rest)?).into()),
        b'l' => Number::Integer(i32::from_be_bytes(take(rest)?).into()),
        b'L' => Number::Integer(i64::from_be_bytes(take(rest)?)),
        b'd' => Number::Single(f32::from_be_bytes(take(rest)?)),
        b'D' => Number::Double(f64::from_be_bytes(take(rest)?)),
        _ => return None,
    })
}
