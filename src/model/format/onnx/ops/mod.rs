//! The operators of ONNX itself (domain `ai.onnx`), and the table of all operators.
//!
//! One file per kind of operator; each has a table of [`Entry`]s. An operator's `lower` function accepts all forms that the operator
//! has had since version 7 of its domain: attributes that became inputs, and defaults that changed.
//! Not here: operators of classical machine learning ([`ml`](super::ml)).

mod arithmetic;
mod axes;
mod batch_norm;
mod cast;
mod compare;
mod concat;
mod convolve;
mod expand;
mod gather;
mod gemm;
mod generate;
mod layout;
mod matmul;
mod normalize;
mod number;
mod pad;
mod pool;
mod product;
mod reduce;
mod reshape;
mod scatter;
mod slice;
mod softmax;
mod sort;
mod transpose;
mod unary;
mod window;

use super::operator::Entry;

pub(super) use arithmetic::pair;
pub(super) use batch_norm::Channels;
pub(super) use convolve::Convolution;
pub(super) use reduce::row_mean;

/// The operators of ONNX itself.
const TABLES: [&[Entry]; 23] = [
    arithmetic::OPERATORS,
    axes::OPERATORS,
    batch_norm::OPERATORS,
    cast::OPERATORS,
    compare::OPERATORS,
    concat::OPERATORS,
    convolve::OPERATORS,
    expand::OPERATORS,
    gather::OPERATORS,
    gemm::OPERATORS,
    generate::OPERATORS,
    matmul::OPERATORS,
    normalize::OPERATORS,
    pad::OPERATORS,
    pool::OPERATORS,
    reduce::OPERATORS,
    reshape::OPERATORS,
    scatter::OPERATORS,
    slice::OPERATORS,
    softmax::OPERATORS,
    sort::OPERATORS,
    transpose::OPERATORS,
    unary::OPERATORS,
];

/// Returns the operator of this name, or `None` if it is not supported.
pub(super) fn find(name: &str) -> Option<&'static Entry> {
    let mut entries = TABLES.iter().copied().flatten();
    entries.find(|entry| entry.name == name)
}

/// Evaluates an expression of type `Vec<T>` with `elements` bound to the elements of a tensor, of any type `T`, and wraps the result.
macro_rules! each_type {
    ($data:expr, $elements:ident => $result:expr) => {{
        use $crate::model::payload::TensorData;
        match $data {
            TensorData::Bool($elements) => TensorData::Bool($result),
            TensorData::Int8($elements) => TensorData::Int8($result),
            TensorData::Int16($elements) => TensorData::Int16($result),
            TensorData::Int32($elements) => TensorData::Int32($result),
            TensorData::Int64($elements) => TensorData::Int64($result),
            TensorData::Uint8($elements) => TensorData::Uint8($result),
            TensorData::Uint16($elements) => TensorData::Uint16($result),
            TensorData::Uint32($elements) => TensorData::Uint32($result),
            TensorData::Uint64($elements) => TensorData::Uint64($result),
            TensorData::Fp16($elements) => TensorData::Fp16($result),
            TensorData::Bf16($elements) => TensorData::Bf16($result),
            TensorData::Fp32($elements) => TensorData::Fp32($result),
            TensorData::Fp64($elements) => TensorData::Fp64($result),
            TensorData::Bytes($elements) => TensorData::Bytes($result),
        }
    }};
}
use each_type;

/// Calls a generic function with the type of elements that a datatype names. Returns an error for types that are not in the list.
macro_rules! with_type {
    ($datatype:expr, [$($variant:ident: $type:ty),*], $T:ident => $result:expr) => {
        match $datatype {
            $(
                $crate::model::payload::Datatype::$variant => {
                    type $T = $type;
                    $result
                }
            )*
            other => Err(format!("got an input of type {other}, which is not supported here")),
        }
    };
}
use with_type;

/// Calls a generic function with the type of elements that a datatype of numbers names.
macro_rules! with_number {
    ($datatype:expr, $T:ident => $result:expr) => {
        $crate::model::format::onnx::ops::with_type!(
            $datatype,
            [
                Int8: i8, Int16: i16, Int32: i32, Int64: i64, Uint8: u8, Uint16: u16, Uint32: u32,
                Uint64: u64, Fp32: f32, Fp64: f64
            ],
            $T => $result
        )
    };
}
use with_number;

/// Calls a generic function with the type of elements that a datatype of floats names.
macro_rules! with_float {
    ($datatype:expr, $T:ident => $result:expr) => {
        $crate::model::format::onnx::ops::with_type!($datatype, [Fp32: f32, Fp64: f64], $T => $result)
    };
}
use with_float;

/// Returns the names of all operators.
#[cfg(test)]
pub(super) fn names() -> Vec<&'static str> {
    TABLES
        .iter()
        .copied()
        .flatten()
        .map(|entry| entry.name)
        .collect()
}
