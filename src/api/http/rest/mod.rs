//! The Open Inference Protocol over HTTP, `predict` with named rows, and the REST of TensorFlow Serving and of KServe's first protocol:
//! JSON in, JSON or blocks of bytes out.
//!
//! ```text
//! receive         a permit of admission control, then the body, within its limits on bytes and time
//!   -> infer, predict   the body to a query; `form`, `envelope`, `data`, `rows` read JSON, `tensor` puts inputs together
//!   -> the pipeline that all protocols share
//!   -> infer, predict   the answer to JSON; the permit is released after the response body has been handed to the operating system
//! v1              the same steps for the paths and forms of TensorFlow Serving and KServe
//! error_response  errors of all steps as JSON
//! describe        the models and versions, and their states
//! ```
//!
//! Small bodies are parsed on the thread of the connection, which serves other connections too. Large bodies are parsed on blocking
//! threads, on at most half as many as there are cores, so they do not delay health checks and metrics. A queued body keeps its permit.
//! A deadline in the body is known once the body is parsed, and counts from the arrival of the request.
//! Expensive forward passes go to the thread pool, as with every protocol.

mod data;
mod describe;
mod elements;
mod envelope;
mod error_response;
mod footprint;
mod form;
mod infer;
mod predict;
mod receive;
mod rows;
mod target;
mod tensor;
pub(super) mod v1;

pub(super) use describe::{
    IndexRequest, ModelReady, ServerLive, ServerReady, all_statistics, model_config,
    model_metadata, model_ready, model_statistics, refuse_load_or_unload, repository_index,
    server_live, server_metadata, server_ready,
};
pub(super) use envelope::InferRequest;
pub(super) use error_response::{ErrorBody, no_such_method, no_such_path};
pub(super) use infer::{InferResponse, JSON_LENGTH, infer};
pub(super) use predict::{PredictRequest, PredictResponse, predict};

use schemars::JsonSchema;
use serde::Serialize;

use crate::api::response_headers;
use crate::ident::VersionNumber;
use crate::serving::Answer;

/// Response fields that describe how the answer was produced: role, ids and policy revision.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct AnswerSource {
    /// Role of the version that answered: `primary`, or `fallback` if the version that should have answered failed or was too slow.
    role: &'static str,
    /// Client-supplied response id, or a generated one. Use it to report ground truth.
    response_id: String,
    /// Revision of the traffic policy in force when the version was chosen, also for pinned requests; 0 if none was in force.
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
