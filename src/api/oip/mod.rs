//! The Open Inference Protocol, as far as it is the same over gRPC and REST: descriptions of the server, of models and of versions; what a
//! request asks for in addition to its tensors; what a response contains in addition to its output.
//!
//! Words and numbers are those of the protocol and of Triton's extensions. Messages are used as JSON too, under the names of their fields.
//! Not here: the wire itself, and how tensors are encoded on it.

mod describe;
mod index;
mod output;
mod request;
mod statistics;

/// The parameter of a tensor whose elements are in memory shared with the server instead of the message.
pub(super) const SHARED_MEMORY: &str = "shared_memory_region";

pub(super) use describe::{config, metadata, model_ready, server_metadata};
pub(super) use index::index;
pub(super) use output::{InferenceAnswer, RequestedOutput, Values, check_outputs, infer_answer};
pub(super) use request::{InferenceRequest, datatype, decode_base64, is_base64, query};
pub(super) use statistics::statistics;
