//! The Open Inference Protocol over HTTP, and `predict` with named rows: JSON in, JSON or blocks of bytes out.
//!
//! ```text
//! receive   a permit of admission control, then the body, within its limits on bytes and time
//!   -> infer, predict     the body to a query; `form`, `envelope`, `data`, `rows` read JSON, `tensor` puts inputs together
//!   -> the pipeline that all protocols share
//!   -> infer, predict     the answer to JSON; the permit is held until the system has taken the last byte
//! refusal   every error as JSON, whichever step found it
//! describe  which models and versions there are, and their states
//! ```
//!
//! Small bodies are parsed on the thread of the connection, which other connections of this port and of operators share. Large ones wait
//! for one of a few other threads, so that requests for health or metrics do not wait for them; they keep their permits meanwhile.
//! A deadline in the body is known once the body is parsed, and counts from the arrival of the request.
//! Expensive forward passes go to the thread pool, as with every protocol.

mod data;
mod describe;
mod envelope;
mod form;
mod infer;
mod predict;
mod receive;
mod refusal;
mod rows;
mod target;
mod tensor;

pub(super) use describe::{
    IndexRequest, ModelReady, ServerLive, ServerReady, all_statistics, model_config,
    model_metadata, model_ready, model_statistics, refuse_load_or_unload, repository_index,
    server_live, server_metadata, server_ready,
};
pub(super) use envelope::InferRequest;
pub(super) use infer::{InferResponse, JSON_LENGTH, infer};
pub(super) use predict::{PredictRequest, PredictResponse, predict};
pub(super) use refusal::{ErrorBody, no_such_method, no_such_path};

use schemars::JsonSchema;
use serde::Serialize;

use crate::api::response_headers;
use crate::ident::VersionNumber;
use crate::serving::Answer;

/// Which version answered, and why.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct AnswerSource {
    /// The part that the version played: `primary`, or `fallback` if the version that should have answered failed or was too slow.
    role: &'static str,
    /// The caller's id for this answer, or one that the gateway made. Outcomes are reported by it.
    response_id: String,
    /// Revision of the traffic policy that chose the version.
    policy_revision: u64,
    /// With role `fallback`: the version that should have answered.
    #[serde(skip_serializing_if = "Option::is_none")]
    failed_version: Option<u64>,
}

impl AnswerSource {
    fn of(answer: &Answer) -> Self {
        Self {
            role: response_headers::role(answer.role),
            response_id: answer.response_id.as_str().to_owned(),
            policy_revision: answer.revision.0,
            failed_version: answer.failed.map(VersionNumber::get),
        }
    }
}

#[cfg(test)]
mod tests;
