//! `taper.v1.PredictionService`.

use std::sync::Arc;

use tokio::time::Instant;
use tonic::{Request, Response, Status};

use super::{convert, outcomes};
use crate::api::status;
use crate::error::PredictError;
use crate::proto::v1::prediction_service_server::PredictionService;
use crate::proto::v1::{
    PredictRequest, PredictResponse, ReportOutcomesRequest, ReportOutcomesResponse,
};
use crate::serving::gate::{Arrival, Gate};
use crate::serving::{Answer, Pipeline};

/// Answers `Predict` from a pipeline.
#[derive(Clone, Debug)]
pub struct Predictions {
    pipeline: Arc<Pipeline>,
    gate: Arc<Gate>,
}

impl Predictions {
    /// Answers from `pipeline` whom `gate` lets in. On a server this stands behind an
    /// [`Admission`](super::Admission) with the same gate, which gives each request its place before it is read.
    #[must_use]
    pub fn new(pipeline: Arc<Pipeline>, gate: Arc<Gate>) -> Self {
        Self { pipeline, gate }
    }

    async fn answer(&self, mut request: Request<PredictRequest>) -> Result<Answer, PredictError> {
        let arrival = match request.extensions_mut().remove::<Arc<Arrival>>() {
            Some(arrival) => arrival,
            None => Arc::new(self.gate.enter(Instant::now(), None)?),
        };
        match convert::query(request, arrival) {
            Ok(query) => self.pipeline.predict(query).await,
            Err(faults) => Err(self.pipeline.refuse(faults)),
        }
    }
}

#[tonic::async_trait]
impl PredictionService for Predictions {
    async fn predict(
        &self,
        request: Request<PredictRequest>,
    ) -> Result<Response<PredictResponse>, Status> {
        match self.answer(request).await {
            Ok(answer) => Ok(Response::new(convert::response(answer))),
            Err(error) => Err(status::from_predict(&error)),
        }
    }

    async fn report_outcomes(
        &self,
        request: Request<ReportOutcomesRequest>,
    ) -> Result<Response<ReportOutcomesResponse>, Status> {
        let truths = outcomes::truths(request.into_inner());
        match self.pipeline.report(&truths).await {
            Ok(report) => Ok(Response::new(outcomes::report(&report))),
            Err(error) => Err(status::from_predict(&error)),
        }
    }
}
