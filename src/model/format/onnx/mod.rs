//! Format ONNX: a graph of operators with their weights, in one protobuf file.
//!
//! [`read()`] turns a file into a [`Graph`] once. It decodes the file ([`tensor`], [`wire`]) and looks up each node's operator ([`ops`]
//! for those of neural networks, [`ml`] for those of classical machine learning), which checks its attributes, types and shapes and
//! prepares its weights ([`operator`]). It computes what does not depend on requests, and joins nodes that are faster together
//! ([`rows`]). All faults that can be found are returned together, with the names of their nodes: what is not supported is refused
//! when a file is read, never at a request.
//!
//! FP16 and BF16 weights and inputs are converted to FP32, and outputs are converted back. FP64 is computed in f64. Integers wrap.
//! Not supported, and refused by name: control flow (If, Loop, Scan), operators that the file itself defines, other domains than
//! ONNX's two, sequences other than the output of ZipMap, sparse and quantised tensors.
//!
//! A [`Graph`] is immutable. [`Graph::run`] touches no names: values are in slots whose numbers were determined by [`read()`].

mod fact;
mod graph;
mod infer;
mod ml;
mod node;
mod operator;
mod ops;
mod read;
mod rows;
mod tensor;
mod value;
mod wire;

#[expect(
    clippy::all,
    unreachable_pub,
    reason = "generated; proto/onnx/onnx.proto holds the documentation"
)]
mod proto {
    include!(concat!(env!("OUT_DIR"), "/onnx.rs"));
}

#[cfg(test)]
mod tests;

pub(crate) use fact::{Classes, Dim, Meaning};
pub(crate) use graph::{Graph, TensorInfo};
pub(crate) use read::read;
pub(super) use rows::Chain;
pub(crate) use value::Value;

/// Returns whether a file begins as an ONNX file does: with the version of the format, followed by another field of a model.
///
/// A file that is recognised may still be refused by [`read()`].
pub(crate) fn recognises(bytes: &[u8]) -> bool {
    // Field 1, a varint: the version, which all exporters write first.
    let [0x08, version, next, ..] = bytes else {
        return false;
    };
    // Fields 2 to 8 and 14, 20, 25 are the others of a model, with their wire types.
    (1..=32).contains(version)
        && matches!(next, 0x12 | 0x1a | 0x22 | 0x28 | 0x32 | 0x3a | 0x42 | 0x72)
}
