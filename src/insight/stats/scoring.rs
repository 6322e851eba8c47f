//! The result of scoring one request.

use std::time::Duration;

use crate::model::{Scores, TopClass};

/// The result of scoring one request.
#[derive(Clone, Copy, Debug)]
pub struct Scoring<'a> {
    /// From the arrival of the request to the start of its computing.
    pub queue: Duration,
    /// The duration of the forward pass.
    pub inference: Duration,
    /// The predictions, one row per row of the request.
    pub scores: &'a Scores,
    /// The most probable class of each row; empty without classes.
    pub top: &'a [TopClass],
    /// Whether the forward pass is counted with this request: of the requests that share a pass, true for exactly one.
    pub is_first: bool,
}
