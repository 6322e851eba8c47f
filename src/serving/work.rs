//! The work that one request gives one version, and its result.

use std::{ops::Deref, sync::Arc, time::Duration};

use tokio::time::Instant;

use crate::ident::Role;
use crate::insight::attempt::PassResult;
use crate::model::payload::Payload;
use crate::model::{Scores, TopClass};

/// The payload to score.
#[derive(Debug)]
pub(super) enum Work {
    /// Only one version scores it.
    Own(Payload),
    /// A fallback or shadows may score it too.
    Shared(Arc<Payload>),
}

impl Deref for Work {
    type Target = Payload;

    fn deref(&self) -> &Payload {
        match self {
            Self::Own(payload) => payload,
            Self::Shared(payload) => payload,
        }
    }
}

/// The properties of a request that decide where and whether its payload is scored.
#[derive(Clone, Copy, Debug)]
pub(super) struct Call {
    /// The part that the version plays.
    pub(super) role: Role,
    /// When the request arrived.
    pub(super) arrived: Instant,
    /// When the client stops waiting; `None`: never.
    pub(super) deadline: Option<Instant>,
}

/// What a version returns for one request.
#[derive(Clone, Debug)]
pub struct Scored {
    /// One row per row of the request.
    pub scores: Scores,
    /// The most probable class of each row; empty without classes.
    pub top: Vec<TopClass>,
    /// Duration of the forward pass, which other requests may have shared.
    pub inference: Duration,
}

impl Scored {
    /// Returns the result as the record of an attempt takes it.
    pub(super) fn pass_result(&self) -> PassResult<'_> {
        PassResult {
            inference: self.inference,
            scores: &self.scores,
            top: &self.top,
        }
    }
}
