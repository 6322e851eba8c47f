//! The entry to predictions that all protocols share.

use std::sync::Arc;
use std::time::Duration;

use http::Extensions;
use tokio::time::{Instant, timeout_at};

use super::context::RequestContext;
use crate::error::{InputFaults, PredictError};
use crate::serving::admission::{AdmissionControl, RequestPermit};
use crate::serving::{Answer, Pipeline, Query};

/// Answers queries that the protocols have read.
#[derive(Clone, Debug)]
pub struct Predictor {
    pipeline: Arc<Pipeline>,
    admission: Arc<AdmissionControl>,
    max_stream_idle: Option<Duration>,
}

impl Predictor {
    /// Creates a predictor that answers from `pipeline` the requests that `admission` admits.
    #[must_use]
    pub fn new(pipeline: Arc<Pipeline>, admission: Arc<AdmissionControl>) -> Self {
        Self {
            pipeline,
            admission,
            max_stream_idle: None,
        }
    }

    /// Sets the time without a message after which a stream ends; `None`, the default: never.
    #[must_use]
    pub fn with_max_stream_idle(self, max_stream_idle: Option<Duration>) -> Self {
        Self {
            max_stream_idle,
            ..self
        }
    }

    pub(super) fn max_stream_idle(&self) -> Option<Duration> {
        self.max_stream_idle
    }

    pub(super) fn pipeline(&self) -> &Pipeline {
        &self.pipeline
    }

    /// Returns the admission control.
    #[must_use]
    pub fn admission(&self) -> &Arc<AdmissionControl> {
        &self.admission
    }

    /// Returns the permit that [`Admission`](super::grpc::Admission) gave a request, or a new one if the service is not behind it.
    ///
    /// # Errors
    /// Returns [`PredictError::Overloaded`] at the limit on requests.
    pub(super) fn permit(
        &self,
        extensions: &mut Extensions,
    ) -> Result<Arc<RequestPermit>, PredictError> {
        match RequestContext::take_permit(extensions) {
            Some(permit) => Ok(permit),
            None => Ok(Arc::new(self.admission.enter(Instant::now(), None)?)),
        }
    }

    /// Answers a query. Counts a request that has faults instead.
    ///
    /// # Errors
    /// See [`PredictError`].
    pub(super) async fn answer(
        &self,
        query: Result<Query, InputFaults>,
    ) -> Result<Answer, PredictError> {
        let query = query.map_err(|faults| self.pipeline.reject_invalid(faults))?;
        let Some(deadline) = query.permit.message_deadline() else {
            return self.pipeline.predict(query).await;
        };
        // The deadline is in the message, so the layer that ends calls at their deadlines may not know it.
        let answer = timeout_at(deadline, self.pipeline.predict(query)).await;
        answer.unwrap_or(Err(PredictError::DeadlineExceeded))
    }
}
