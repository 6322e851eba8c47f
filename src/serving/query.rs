//! A request and its answer, independent of the protocol that carries them.

use std::sync::Arc;

use http::HeaderMap;

use super::admission::RequestPermit;
use super::version::VersionRuntime;
use crate::ident::{ResponseId, Revision, Role, VersionNumber};
use crate::model::payload::Payload;
use crate::model::{OutputTensor, Pass, TopClass};

/// A decoded request.
#[derive(Debug)]
pub struct Query {
    /// The name of the model, as the client wrote it.
    pub model: String,
    /// The version or label that must answer, regardless of the policy.
    pub pin: Option<Pin>,
    /// The sticky key; empty: none.
    pub routing_key: String,
    /// The id that the client chose for the response.
    pub response_id: Option<ResponseId>,
    /// The headers of the request, for header rules and the sticky header.
    pub headers: HeaderMap,
    /// The payload to score.
    pub payload: Payload,
    /// The permit of admission control, with the times of the request.
    pub permit: Arc<RequestPermit>,
}

/// The version that must answer a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Pin {
    /// The version with this number.
    Version(u64),
    /// The version that this label names.
    Label(String),
}

/// The answer to a request, and the version that gave it.
#[derive(Debug)]
pub struct Answer {
    /// The name of the model, as the client wrote it.
    pub model: String,
    /// The version that answered.
    pub version: Arc<VersionRuntime>,
    /// The role of that version.
    pub role: Role,
    /// With [`Role::Fallback`]: the version that was chosen first and failed.
    pub failed: Option<VersionNumber>,
    /// The id of this response.
    pub response_id: ResponseId,
    /// The revision of the policy that routed the request.
    pub revision: Revision,
    /// The outputs, and what is judged of them: one row per row of the request.
    pub pass: Pass,
    /// The most probable class of each row; empty without classes.
    pub top: Vec<TopClass>,
}

impl Answer {
    /// Returns the outputs with their elements, in the order of the signature.
    pub fn outputs(&self) -> impl ExactSizeIterator<Item = OutputTensor<'_>> {
        self.pass.outputs(self.version.signature())
    }
}
