//! Elements of outputs as JSON.

use bytes::Bytes;
use half::{bf16, f16};
use schemars::JsonSchema;
use serde::Serialize;

use crate::model::payload::TensorData;

/// Elements of an output. Floats are written in the shortest digits that parse to the same float, and as `null` if they are not finite.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(untagged)]
pub(super) enum Elements {
    /// Floats.
    Numbers(Vec<f32>),
    /// Floats of 64 bits.
    Doubles(Vec<f64>),
    /// Integers.
    Integers(Vec<i64>),
    /// Integers beyond those of 64 signed bits.
    Unsigned(Vec<u64>),
    /// Booleans.
    Flags(Vec<bool>),
    /// Texts. Bytes that are not UTF-8 are replaced.
    Texts(Vec<String>),
}

impl From<TensorData> for Elements {
    fn from(data: TensorData) -> Self {
        fn whole<T: Into<i64>>(values: Vec<T>) -> Elements {
            Elements::Integers(values.into_iter().map(Into::into).collect())
        }
        match data {
            TensorData::Bool(values) => Self::Flags(values),
            TensorData::Int8(values) => whole(values),
            TensorData::Int16(values) => whole(values),
            TensorData::Int32(values) => whole(values),
            TensorData::Int64(values) => Self::Integers(values),
            TensorData::Uint8(values) => whole(values),
            TensorData::Uint16(values) => whole(values),
            TensorData::Uint32(values) => whole(values),
            TensorData::Uint64(values) => Self::Unsigned(values),
            TensorData::Fp16(values) => {
                Self::Numbers(values.into_iter().map(f16::to_f32).collect())
            }
            TensorData::Bf16(values) => {
                Self::Numbers(values.into_iter().map(bf16::to_f32).collect())
            }
            TensorData::Fp32(values) => Self::Numbers(values),
            TensorData::Fp64(values) => Self::Doubles(values),
            TensorData::Bytes(texts) => {
                let text = |text: &Bytes| String::from_utf8_lossy(text).into_owned();
                Self::Texts(texts.iter().map(text).collect())
            }
        }
    }
}
