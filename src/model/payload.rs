//! The input of a request, independent of the protocol: typed tensors, or rows of named cells.

use std::fmt;

use bytes::Bytes;
use half::{bf16, f16};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::text::truncate;

/// Element type of a tensor, with the names of the Open Inference Protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum Datatype {
    /// True or false.
    Bool,
    /// 8-bit signed integer.
    Int8,
    /// 16-bit signed integer.
    Int16,
    /// 32-bit signed integer.
    Int32,
    /// 64-bit signed integer.
    Int64,
    /// 8-bit unsigned integer.
    Uint8,
    /// 16-bit unsigned integer.
    Uint16,
    /// 32-bit unsigned integer.
    Uint32,
    /// 64-bit unsigned integer.
    Uint64,
    /// 16-bit float; NaN means missing.
    Fp16,
    /// 16-bit float with the exponent of a 32-bit float; NaN means missing.
    Bf16,
    /// 32-bit float; NaN means missing.
    Fp32,
    /// 64-bit float; NaN means missing.
    Fp64,
    /// UTF-8 text.
    Bytes,
}

impl Datatype {
    /// All types.
    pub const ALL: [Self; 14] = [
        Self::Bool,
        Self::Int8,
        Self::Int16,
        Self::Int32,
        Self::Int64,
        Self::Uint8,
        Self::Uint16,
        Self::Uint32,
        Self::Uint64,
        Self::Fp16,
        Self::Bf16,
        Self::Fp32,
        Self::Fp64,
        Self::Bytes,
    ];

    /// Returns the name of the type.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Bool => "BOOL",
            Self::Int8 => "INT8",
            Self::Int16 => "INT16",
            Self::Int32 => "INT32",
            Self::Int64 => "INT64",
            Self::Uint8 => "UINT8",
            Self::Uint16 => "UINT16",
            Self::Uint32 => "UINT32",
            Self::Uint64 => "UINT64",
            Self::Fp16 => "FP16",
            Self::Bf16 => "BF16",
            Self::Fp32 => "FP32",
            Self::Fp64 => "FP64",
            Self::Bytes => "BYTES",
        }
    }

    /// Returns the bytes of one element in a raw block; `None` for BYTES, whose elements have lengths of their own.
    #[must_use]
    pub fn width(self) -> Option<usize> {
        match self {
            Self::Bool | Self::Int8 | Self::Uint8 => Some(1),
            Self::Int16 | Self::Uint16 | Self::Fp16 | Self::Bf16 => Some(2),
            Self::Int32 | Self::Uint32 | Self::Fp32 => Some(4),
            Self::Int64 | Self::Uint64 | Self::Fp64 => Some(8),
            Self::Bytes => None,
        }
    }

    /// Returns whether its values are floats, which can be missing.
    #[must_use]
    pub fn is_float(self) -> bool {
        matches!(self, Self::Fp16 | Self::Bf16 | Self::Fp32 | Self::Fp64)
    }

    /// Returns whether its values are integers.
    #[must_use]
    pub fn is_integer(self) -> bool {
        !self.is_float() && !matches!(self, Self::Bool | Self::Bytes)
    }
}

impl fmt::Display for Datatype {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// The elements of a tensor, row-major.
#[derive(Clone, Debug, PartialEq)]
pub enum TensorData {
    /// `BOOL`
    Bool(Vec<bool>),
    /// `INT8`
    Int8(Vec<i8>),
    /// `INT16`
    Int16(Vec<i16>),
    /// `INT32`
    Int32(Vec<i32>),
    /// `INT64`
    Int64(Vec<i64>),
    /// `UINT8`
    Uint8(Vec<u8>),
    /// `UINT16`
    Uint16(Vec<u16>),
    /// `UINT32`
    Uint32(Vec<u32>),
    /// `UINT64`
    Uint64(Vec<u64>),
    /// `FP16`
    Fp16(Vec<f16>),
    /// `BF16`
    Bf16(Vec<bf16>),
    /// `FP32`
    Fp32(Vec<f32>),
    /// `FP64`
    Fp64(Vec<f64>),
    /// `BYTES`: strings as received, which may not be UTF-8.
    Bytes(Vec<Bytes>),
}

/// Evaluates an expression with `values` bound to the vector of any variant.
macro_rules! each_variant {
    ($data:expr, $values:ident => $result:expr) => {
        match $data {
            TensorData::Bool($values) => $result,
            TensorData::Int8($values) => $result,
            TensorData::Int16($values) => $result,
            TensorData::Int32($values) => $result,
            TensorData::Int64($values) => $result,
            TensorData::Uint8($values) => $result,
            TensorData::Uint16($values) => $result,
            TensorData::Uint32($values) => $result,
            TensorData::Uint64($values) => $result,
            TensorData::Fp16($values) => $result,
            TensorData::Bf16($values) => $result,
            TensorData::Fp32($values) => $result,
            TensorData::Fp64($values) => $result,
            TensorData::Bytes($values) => $result,
        }
    };
}

impl TensorData {
    /// Returns the element type.
    #[must_use]
    pub fn datatype(&self) -> Datatype {
        match self {
            Self::Bool(_) => Datatype::Bool,
            Self::Int8(_) => Datatype::Int8,
            Self::Int16(_) => Datatype::Int16,
            Self::Int32(_) => Datatype::Int32,
            Self::Int64(_) => Datatype::Int64,
            Self::Uint8(_) => Datatype::Uint8,
            Self::Uint16(_) => Datatype::Uint16,
            Self::Uint32(_) => Datatype::Uint32,
            Self::Uint64(_) => Datatype::Uint64,
            Self::Fp16(_) => Datatype::Fp16,
            Self::Bf16(_) => Datatype::Bf16,
            Self::Fp32(_) => Datatype::Fp32,
            Self::Fp64(_) => Datatype::Fp64,
            Self::Bytes(_) => Datatype::Bytes,
        }
    }

    /// Returns the number of elements.
    #[must_use]
    pub fn len(&self) -> usize {
        each_variant!(self, values => values.len())
    }

    /// Returns the bytes that the elements take.
    #[must_use]
    pub fn bytes(&self) -> usize {
        match self {
            Self::Bytes(texts) => texts
                .iter()
                .map(|text| size_of::<Bytes>() + text.len())
                .sum(),
            other => other.len() * other.datatype().width().unwrap_or(1),
        }
    }

    /// Returns whether there is no element.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns the element at `at` as text, without quotes; `None` past the last. Bytes that are not UTF-8 are replaced.
    #[must_use]
    pub fn text(&self, at: usize) -> Option<String> {
        let number = |x: f64| Cell::Number(x).to_string();
        match self {
            Self::Fp64(values) => values.get(at).map(|x| number(*x)),
            Self::Fp32(values) => values.get(at).map(|x| number(f64::from(*x))),
            Self::Fp16(values) => values.get(at).map(|x| number(x.to_f64())),
            Self::Bf16(values) => values.get(at).map(|x| number(x.to_f64())),
            Self::Bytes(values) => {
                let text = |value: &Bytes| String::from_utf8_lossy(value).into_owned();
                values.get(at).map(text)
            }
            Self::Bool(values) => values.get(at).map(ToString::to_string),
            Self::Int8(values) => values.get(at).map(ToString::to_string),
            Self::Int16(values) => values.get(at).map(ToString::to_string),
            Self::Int32(values) => values.get(at).map(ToString::to_string),
            Self::Int64(values) => values.get(at).map(ToString::to_string),
            Self::Uint8(values) => values.get(at).map(ToString::to_string),
            Self::Uint16(values) => values.get(at).map(ToString::to_string),
            Self::Uint32(values) => values.get(at).map(ToString::to_string),
            Self::Uint64(values) => values.get(at).map(ToString::to_string),
        }
    }

    /// Returns no elements of type `datatype`, with room for `capacity`.
    #[must_use]
    pub fn with_capacity(datatype: Datatype, capacity: usize) -> Self {
        match datatype {
            Datatype::Bool => Self::Bool(Vec::with_capacity(capacity)),
            Datatype::Int8 => Self::Int8(Vec::with_capacity(capacity)),
            Datatype::Int16 => Self::Int16(Vec::with_capacity(capacity)),
            Datatype::Int32 => Self::Int32(Vec::with_capacity(capacity)),
            Datatype::Int64 => Self::Int64(Vec::with_capacity(capacity)),
            Datatype::Uint8 => Self::Uint8(Vec::with_capacity(capacity)),
            Datatype::Uint16 => Self::Uint16(Vec::with_capacity(capacity)),
            Datatype::Uint32 => Self::Uint32(Vec::with_capacity(capacity)),
            Datatype::Uint64 => Self::Uint64(Vec::with_capacity(capacity)),
            Datatype::Fp16 => Self::Fp16(Vec::with_capacity(capacity)),
            Datatype::Bf16 => Self::Bf16(Vec::with_capacity(capacity)),
            Datatype::Fp32 => Self::Fp32(Vec::with_capacity(capacity)),
            Datatype::Fp64 => Self::Fp64(Vec::with_capacity(capacity)),
            Datatype::Bytes => Self::Bytes(Vec::with_capacity(capacity)),
        }
    }

    /// Returns the element at `at` as a cell; a missing one for NaN and past the last.
    #[must_use]
    pub fn cell(&self, at: usize) -> Cell {
        let whole = |x: Option<i64>| x.map_or(Cell::Missing, Cell::Integer);
        let float = |x: Option<f64>| match x {
            Some(x) if !x.is_nan() => Cell::Number(x),
            _ => Cell::Missing,
        };
        match self {
            Self::Bool(values) => values.get(at).map_or(Cell::Missing, |x| Cell::Bool(*x)),
            Self::Int8(values) => whole(values.get(at).map(|x| (*x).into())),
            Self::Int16(values) => whole(values.get(at).map(|x| (*x).into())),
            Self::Int32(values) => whole(values.get(at).map(|x| (*x).into())),
            Self::Int64(values) => whole(values.get(at).copied()),
            Self::Uint8(values) => whole(values.get(at).map(|x| (*x).into())),
            Self::Uint16(values) => whole(values.get(at).map(|x| (*x).into())),
            Self::Uint32(values) => whole(values.get(at).map(|x| (*x).into())),
            Self::Uint64(values) => values.get(at).map_or(Cell::Missing, |x| {
                i64::try_from(*x).map_or(Cell::Unsigned(*x), Cell::Integer)
            }),
            Self::Fp16(values) => float(values.get(at).map(|x| x.to_f64())),
            Self::Bf16(values) => float(values.get(at).map(|x| x.to_f64())),
            Self::Fp32(values) => float(values.get(at).map(|x| f64::from(*x))),
            Self::Fp64(values) => float(values.get(at).copied()),
            Self::Bytes(_) => self.text(at).map_or(Cell::Missing, Cell::Text),
        }
    }

    /// Appends element `at` of `from`. Does nothing if there is none, or if it is of another type.
    pub fn push_from(&mut self, from: &Self, at: usize) {
        match (self, from) {
            (Self::Bool(to), Self::Bool(from)) => to.extend(from.get(at).copied()),
            (Self::Int8(to), Self::Int8(from)) => to.extend(from.get(at).copied()),
            (Self::Int16(to), Self::Int16(from)) => to.extend(from.get(at).copied()),
            (Self::Int32(to), Self::Int32(from)) => to.extend(from.get(at).copied()),
            (Self::Int64(to), Self::Int64(from)) => to.extend(from.get(at).copied()),
            (Self::Uint8(to), Self::Uint8(from)) => to.extend(from.get(at).copied()),
            (Self::Uint16(to), Self::Uint16(from)) => to.extend(from.get(at).copied()),
            (Self::Uint32(to), Self::Uint32(from)) => to.extend(from.get(at).copied()),
            (Self::Uint64(to), Self::Uint64(from)) => to.extend(from.get(at).copied()),
            (Self::Fp16(to), Self::Fp16(from)) => to.extend(from.get(at).copied()),
            (Self::Bf16(to), Self::Bf16(from)) => to.extend(from.get(at).copied()),
            (Self::Fp32(to), Self::Fp32(from)) => to.extend(from.get(at).copied()),
            (Self::Fp64(to), Self::Fp64(from)) => to.extend(from.get(at).copied()),
            (Self::Bytes(to), Self::Bytes(from)) => to.extend(from.get(at).cloned()),
            _ => {}
        }
    }

    /// Returns a copy of `count` elements from `first` on, or of as many as there are.
    #[must_use]
    pub fn slice(&self, first: usize, count: usize) -> Self {
        let begin = first.min(self.len());
        let end = first.saturating_add(count).min(self.len());
        match self {
            Self::Bool(values) => Self::Bool(values[begin..end].to_vec()),
            Self::Int8(values) => Self::Int8(values[begin..end].to_vec()),
            Self::Int16(values) => Self::Int16(values[begin..end].to_vec()),
            Self::Int32(values) => Self::Int32(values[begin..end].to_vec()),
            Self::Int64(values) => Self::Int64(values[begin..end].to_vec()),
            Self::Uint8(values) => Self::Uint8(values[begin..end].to_vec()),
            Self::Uint16(values) => Self::Uint16(values[begin..end].to_vec()),
            Self::Uint32(values) => Self::Uint32(values[begin..end].to_vec()),
            Self::Uint64(values) => Self::Uint64(values[begin..end].to_vec()),
            Self::Fp16(values) => Self::Fp16(values[begin..end].to_vec()),
            Self::Bf16(values) => Self::Bf16(values[begin..end].to_vec()),
            Self::Fp32(values) => Self::Fp32(values[begin..end].to_vec()),
            Self::Fp64(values) => Self::Fp64(values[begin..end].to_vec()),
            Self::Bytes(values) => Self::Bytes(values[begin..end].to_vec()),
        }
    }

    /// Concatenates `parts`, which must have one type: parts of another type than the first are left out.
    #[must_use]
    pub fn joined(parts: &[&Self]) -> Self {
        let datatype = parts.first().map_or(Datatype::Fp32, |part| part.datatype());
        let length = parts.iter().map(|part| part.len()).sum();
        let mut all = Self::with_capacity(datatype, length);
        for part in parts {
            match (&mut all, *part) {
                (Self::Bool(all), Self::Bool(values)) => all.extend_from_slice(values),
                (Self::Int8(all), Self::Int8(values)) => all.extend_from_slice(values),
                (Self::Int16(all), Self::Int16(values)) => all.extend_from_slice(values),
                (Self::Int32(all), Self::Int32(values)) => all.extend_from_slice(values),
                (Self::Int64(all), Self::Int64(values)) => all.extend_from_slice(values),
                (Self::Uint8(all), Self::Uint8(values)) => all.extend_from_slice(values),
                (Self::Uint16(all), Self::Uint16(values)) => all.extend_from_slice(values),
                (Self::Uint32(all), Self::Uint32(values)) => all.extend_from_slice(values),
                (Self::Uint64(all), Self::Uint64(values)) => all.extend_from_slice(values),
                (Self::Fp16(all), Self::Fp16(values)) => all.extend_from_slice(values),
                (Self::Bf16(all), Self::Bf16(values)) => all.extend_from_slice(values),
                (Self::Fp32(all), Self::Fp32(values)) => all.extend_from_slice(values),
                (Self::Fp64(all), Self::Fp64(values)) => all.extend_from_slice(values),
                (Self::Bytes(all), Self::Bytes(values)) => all.extend_from_slice(values),
                _ => {}
            }
        }
        all
    }
}

/// A named tensor. `shape` is as received; [`Signature::encode`](super::Signature::encode) checks whether it fits `data` and the
/// signature.
#[derive(Clone, Debug, PartialEq)]
pub struct Tensor {
    /// Name of the input.
    pub name: String,
    /// Length of each axis.
    pub shape: Vec<i64>,
    /// The elements, row-major.
    pub data: TensorData,
}

/// One value of a named row.
#[derive(Clone, Debug, PartialEq)]
pub enum Cell {
    /// `null`, which means the same as an omitted name.
    Missing,
    /// `true` or `false`.
    Bool(bool),
    /// A whole number, exactly.
    Integer(i64),
    /// A whole number beyond those of 64 signed bits, exactly.
    Unsigned(u64),
    /// A number.
    Number(f64),
    /// A string.
    Text(String),
    /// A list, for an input of several columns.
    List(Vec<Cell>),
    /// An object. No input accepts it; the variant exists so that the fault can name it.
    Object,
}

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => f.write_str("nothing"),
            Self::Bool(value) => write!(f, "{value}"),
            Self::Integer(value) => write!(f, "{value}"),
            Self::Unsigned(value) => write!(f, "{value}"),
            // Without an exponent f64::MAX would print as 309 digits.
            Self::Number(value) if value.abs() >= 1e16 => write!(f, "{value:e}"),
            Self::Number(value) => write!(f, "{value}"),
            Self::Text(value) => write!(f, "{:?}", truncate(value, 64)),
            Self::List(cells) => write!(f, "a list of {}", cells.len()),
            Self::Object => f.write_str("an object"),
        }
    }
}

impl From<&serde_json::Value> for Cell {
    fn from(value: &serde_json::Value) -> Self {
        use serde_json::Value;
        match value {
            Value::Null => Self::Missing,
            Value::Bool(value) => Self::Bool(*value),
            Value::Number(number) => match (number.as_i64(), number.as_u64(), number.as_f64()) {
                (Some(whole), ..) => Self::Integer(whole),
                (None, Some(whole), _) => Self::Unsigned(whole),
                (None, None, Some(number)) => Self::Number(number),
                (None, None, None) => Self::Missing,
            },
            Value::String(text) => Self::Text(text.clone()),
            Value::Array(values) => Self::List(values.iter().map(Self::from).collect()),
            Value::Object(_) => Self::Object,
        }
    }
}

/// One row: cells by input name, in any order, each name once.
pub type Row = Vec<(String, Cell)>;

/// The input of a request, before it is checked against a signature.
#[derive(Clone, Debug, PartialEq)]
pub enum Payload {
    /// One tensor per input.
    Tensors(Vec<Tensor>),
    /// Named rows.
    Rows(Vec<Row>),
}
