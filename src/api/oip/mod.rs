//! The Open Inference Protocol, as far as it is the same over gRPC and REST: what is told of the server, of models and of
//! versions; what a request asks for beside its tensors; what an answer says of itself.
//!
//! Words and numbers are those of the protocol and of Triton's extensions; the messages are JSON too, under the names of their
//! fields. Not here: the wire itself, and how tensors are written on it.

mod about;
mod ask;
mod index;
mod output;
mod statistics;

/// The parameter of a tensor that is not in the message, but in memory that is shared with the server.
pub(super) const SHARED_MEMORY: &str = "shared_memory_region";

pub(super) use about::{config, metadata, model_ready, server_metadata};
pub(super) use ask::{Ask, datatype, query};
pub(super) use index::index;
pub(super) use output::{Answered, Values, Wanted, answered, giveable};
pub(super) use statistics::statistics;
