//! What a request asks and what it gets, without a trace of the protocol it came by.

use std::sync::Arc;

use super::admission::RequestPermit;
use super::live::ServingVersion;
use crate::ident::{ResponseId, Revision, Role, VersionNumber};
use crate::model::payload::Payload;
use crate::model::{Scores, TopClass};
use http::HeaderMap;

/// A decoded request.
#[derive(Debug)]
pub struct Query {
    /// The model, as the caller spelt it.
    pub model: String,
    /// A version or label that must answer, past the policy.
    pub pin: Option<Pin>,
    /// Sticky key; empty: none.
    pub routing_key: String,
    /// The caller's id for the response.
    pub response_id: Option<ResponseId>,
    /// Headers of the request, for header rules and the sticky header.
    pub headers: HeaderMap,
    /// What is to be scored.
    pub payload: Payload,
    /// Its place in admission control, and its clock.
    pub permit: Arc<RequestPermit>,
}

/// Who must answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Pin {
    /// This version.
    Version(u64),
    /// The version that this label names.
    Label(String),
}

/// The answers and who gave them.
#[derive(Debug)]
pub struct Answer {
    /// The model, as the caller spelt it.
    pub model: String,
    /// Who answered.
    pub by: Arc<ServingVersion>,
    /// In which role.
    pub role: Role,
    /// With [`Role::Fallback`]: the version that should have answered and could not.
    pub failed: Option<VersionNumber>,
    /// Names this response.
    pub response_id: ResponseId,
    /// The policy that routed it.
    pub revision: Revision,
    /// One row per row of the request.
    pub scores: Scores,
    /// The most probable class of each row; empty without classes.
    pub top: Vec<TopClass>,
}
