//! The work that one request gives one version, and its result.

use std::{ops::Deref, sync::Arc, time::Duration};

use tokio::time::Instant;
use tracing::Span;

use crate::ident::Role;
use crate::insight::attempt::PassResult;
use crate::model::payload::Payload;
use crate::model::{Pass, TopClass};

/// The payload to score.
#[derive(Debug)]
pub(super) enum Work {
    /// Only one version scores it.
    Own(Payload),
    /// A fallback or shadows may score it too.
    Shared(Arc<Payload>),
}

impl Work {
    /// Creates the work of the chosen version. If other versions may score `payload` too, returns also the shared payload.
    pub(super) fn of(payload: Payload, is_shared: bool) -> (Self, Option<Arc<Payload>>) {
        if is_shared {
            let shared = Arc::new(payload);
            (Self::Shared(Arc::clone(&shared)), Some(shared))
        } else {
            (Self::Own(payload), None)
        }
    }
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
#[derive(Debug)]
pub(super) struct Call {
    /// The part that the version plays.
    pub(super) role: Role,
    /// When the request arrived.
    pub(super) arrived: Instant,
    /// When the client stops waiting; `None`: never.
    pub(super) deadline: Option<Instant>,
    /// The request's span. A thread enters it while it works for the request, so that its log lines are inside.
    pub(super) span: Span,
}

/// What a version returns for one request.
#[derive(Clone, Debug)]
pub struct Prediction {
    /// The outputs, and what is judged of them.
    pub pass: Pass,
    /// The most probable class of each row; empty without classes.
    pub top: Vec<TopClass>,
    /// Duration of the forward pass, which other requests may have shared.
    pub inference: Duration,
}

impl Prediction {
    /// Returns a copy of what is judged. Other outputs, which may be large, are left out.
    pub(super) fn judged(&self) -> Self {
        let Self {
            pass,
            top,
            inference,
        } = self;
        Self {
            pass: pass.judged(),
            top: top.clone(),
            inference: *inference,
        }
    }

    /// Returns about how many bytes the result takes.
    pub(super) fn bytes(&self) -> usize {
        let tensors = self.pass.tensors.iter().flatten();
        let tensors: usize = tensors.map(|value| value.data.bytes()).sum();
        let scores = size_of_val(self.pass.scores.as_slice());
        tensors + scores + size_of_val(&*self.top)
    }

    /// Returns the result as the record of an attempt takes it.
    pub(super) fn pass_result(&self) -> PassResult<'_> {
        PassResult {
            inference: self.inference,
            scores: &self.pass.scores,
            summarised: self.pass.summarised_output(),
            top: &self.top,
        }
    }
}
