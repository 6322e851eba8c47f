//! The Open Inference Protocol over HTTP, and `predict` with plain named rows: JSON in, JSON or blocks of bytes out.
//!
//! ```text
//! admit     a place in admission control, then the body, within its bytes and its time
//!   -> infer, predict     the body to a query; `form`, `envelope`, `data`, `rows` read JSON, `tensor` puts inputs together
//!   -> the one pipeline
//!   -> infer, predict     the answer to JSON; the place is held until the system has taken the last byte
//! refusal   every error as JSON, whoever found it
//! describe  what there is and how it stands
//! ```
//!
//! A small body is read from JSON on the thread that serves its connection, which other connections of this port and operators share.
//! A large one waits for its turn at one of a few other threads, so that whoever asks for health or metrics does not wait for it; it
//! holds its place in admission control meanwhile. What a body says of its own deadline is known once it is read, and counts from its arrival.
//! What is dear to compute goes to the pool, as everywhere.

mod admit;
mod data;
mod describe;
mod envelope;
mod form;
mod infer;
mod named;
mod predict;
mod refusal;
mod rows;
mod tensor;

pub(super) use describe::{
    Index, Live, ModelReady, Ready, all_statistics, config, index, live, metadata, model_ready,
    ready, refused, server, statistics,
};
pub(super) use envelope::InferRequest;
pub(super) use infer::{InferAnswer, JSON_LENGTH, infer};
pub(super) use predict::{PredictAnswer, PredictBody, predict};
pub(super) use refusal::{Told, no_such_method, no_such_path};

use schemars::JsonSchema;
use serde::Serialize;

use crate::api::response_headers;
use crate::serving::Answer;

/// Who answered.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Who {
    /// The part that the version played: `primary`, or `fallback` where the version that should have answered could not.
    role: &'static str,
    /// The caller's id for this answer, or one that the gateway made. Outcomes are reported by it.
    response_id: String,
    /// Revision of the traffic policy that chose the version.
    policy_revision: u64,
    /// With `fallback`: the version that should have answered.
    #[serde(skip_serializing_if = "Option::is_none")]
    failed_version: Option<u64>,
}

impl Who {
    fn gave(answer: &Answer) -> Self {
        Self {
            role: response_headers::role(answer.role),
            response_id: answer.response_id.as_str().to_owned(),
            policy_revision: answer.revision.0,
            failed_version: answer.failed.map(crate::ident::VersionNumber::get),
        }
    }
}

#[cfg(test)]
mod tests;
