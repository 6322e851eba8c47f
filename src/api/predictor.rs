//! The one way into the house for what is to be predicted, whatever protocol it came by.

use std::sync::Arc;

use http::Extensions;
use tokio::time::{Instant, timeout_at};

use crate::error::{InputFaults, PredictError};
use crate::serving::admission::{AdmissionControl, RequestPermit};
use crate::serving::{Answer, Pipeline, Query};

/// Answers what the doors have read.
#[derive(Clone, Debug)]
pub struct Predictor {
    pipeline: Arc<Pipeline>,
    admission: Arc<AdmissionControl>,
}

impl Predictor {
    /// Answers from `pipeline` whom `gate` lets in.
    #[must_use]
    pub fn new(pipeline: Arc<Pipeline>, admission: Arc<AdmissionControl>) -> Self {
        Self {
            pipeline,
            admission,
        }
    }

    pub(super) fn pipeline(&self) -> &Pipeline {
        &self.pipeline
    }

    /// Who lets calls in.
    #[must_use]
    pub fn admission(&self) -> &Arc<AdmissionControl> {
        &self.admission
    }

    /// The place that [`Admission`](super::grpc::Admission) gave a call; a new one where the door stands without it.
    ///
    /// # Errors
    /// The gateway is full.
    pub(super) fn place(
        &self,
        extensions: &mut Extensions,
    ) -> Result<Arc<RequestPermit>, PredictError> {
        match extensions.remove::<Arc<RequestPermit>>() {
            Some(permit) => Ok(permit),
            None => Ok(Arc::new(self.admission.enter(Instant::now(), None)?)),
        }
    }

    /// Answers a query, or counts what could not even be read.
    ///
    /// # Errors
    /// See [`PredictError`].
    pub(super) async fn answer(
        &self,
        query: Result<Query, InputFaults>,
    ) -> Result<Answer, PredictError> {
        let query = query.map_err(|faults| self.pipeline.refuse(faults))?;
        let Some(deadline) = query.permit.message_deadline() else {
            return self.pipeline.predict(query).await;
        };
        // Whoever ends the call in time may not have heard of it.
        let answered = timeout_at(deadline, self.pipeline.predict(query)).await;
        answered.unwrap_or(Err(PredictError::DeadlineExceeded))
    }
}
