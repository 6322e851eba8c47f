//! The input of a request, independent of the protocol: typed tensors, or rows of named cells.

use std::fmt;

use bytes::Bytes;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::text::truncate;

/// Element type of a tensor, with the names of the Open Inference Protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum Datatype {
    /// True or false.
    Bool,
    /// 32-bit signed integer.
    Int32,
    /// 64-bit signed integer.
    Int64,
    /// 32-bit float; NaN means missing.
    Fp32,
    /// 64-bit float; NaN means missing.
    Fp64,
    /// UTF-8 text.
    Bytes,
}

impl Datatype {
    /// All types.
    pub const ALL: [Self; 6] = [
        Self::Bool,
        Self::Int32,
        Self::Int64,
        Self::Fp32,
        Self::Fp64,
        Self::Bytes,
    ];

    /// Returns the name of the type.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Bool => "BOOL",
            Self::Int32 => "INT32",
            Self::Int64 => "INT64",
            Self::Fp32 => "FP32",
            Self::Fp64 => "FP64",
            Self::Bytes => "BYTES",
        }
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
    /// `INT32`
    Int32(Vec<i32>),
    /// `INT64`
    Int64(Vec<i64>),
    /// `FP32`
    Fp32(Vec<f32>),
    /// `FP64`
    Fp64(Vec<f64>),
    /// `BYTES`: strings as received, which may not be UTF-8.
    Bytes(Vec<Bytes>),
}

impl TensorData {
    /// Returns the element type.
    #[must_use]
    pub fn datatype(&self) -> Datatype {
        match self {
            Self::Bool(_) => Datatype::Bool,
            Self::Int32(_) => Datatype::Int32,
            Self::Int64(_) => Datatype::Int64,
            Self::Fp32(_) => Datatype::Fp32,
            Self::Fp64(_) => Datatype::Fp64,
            Self::Bytes(_) => Datatype::Bytes,
        }
    }

    /// Returns the number of elements.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Self::Bool(values) => values.len(),
            Self::Int32(values) => values.len(),
            Self::Int64(values) => values.len(),
            Self::Fp32(values) => values.len(),
            Self::Fp64(values) => values.len(),
            Self::Bytes(values) => values.len(),
        }
    }

    /// Returns whether there is no element.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
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
            Value::Number(number) => number.as_f64().map_or(Self::Missing, Self::Number),
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
