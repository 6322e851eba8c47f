//! The answers of two versions to one request.

use std::sync::Arc;
use std::time::Duration;

use super::info::VersionInfo;
use crate::ident::{ResponseId, VersionNumber};
use crate::model::payload::Payload;
use crate::model::{Scores, TopClass, Value};

/// The answer of one version.
#[derive(Clone, Copy, Debug)]
pub struct Side<'a> {
    /// The version.
    pub version: VersionNumber,
    /// The predictions, one row per row of the request.
    pub scores: &'a Scores,
    /// The output that is judged, if `scores` only summarise it: labels, or the vectors of an embedding.
    pub summarised: Option<&'a Value>,
    /// The most probable class of each row; empty without classes.
    pub top: &'a [TopClass],
    /// The duration of the forward pass.
    pub inference: Duration,
}

/// The answers of a primary and a shadow to one request.
#[derive(Clone, Copy, Debug)]
pub struct Pair<'a> {
    /// The answer that the client got.
    pub primary: Side<'a>,
    /// Information about the primary.
    pub primary_info: &'a Arc<VersionInfo>,
    /// The answer of the version that got a copy.
    pub shadow: Side<'a>,
    /// The id of the answer that the client got.
    pub response_id: &'a ResponseId,
    /// The inputs of the request.
    pub inputs: &'a Payload,
}
