//! The answers of two versions to one request.

use std::sync::Arc;
use std::time::Duration;

use super::about::About;
use crate::ident::{ResponseId, VersionNumber};
use crate::model::payload::Payload;
use crate::model::{Scores, TopClass};

/// What one version answered to a request.
#[derive(Clone, Copy, Debug)]
pub struct Side<'a> {
    /// Who.
    pub version: VersionNumber,
    /// One row per row of the request.
    pub scores: &'a Scores,
    /// The most probable class of each row; empty without classes.
    pub top: &'a [TopClass],
    /// The forward pass.
    pub inference: Duration,
}

/// What both answered to one request.
#[derive(Clone, Copy, Debug)]
pub struct Pair<'a> {
    /// Whose answer the caller got.
    pub primary: Side<'a>,
    /// Of the primary.
    pub about: &'a Arc<About>,
    /// Who got a copy.
    pub shadow: Side<'a>,
    /// Names the answer that the caller got.
    pub response_id: &'a ResponseId,
    /// What both were asked.
    pub inputs: &'a Payload,
}
