//! `taper.v1.PredictionService`.

use std::sync::Arc;

use tonic::{Request, Response, Status};

use super::convert;
use crate::api::status;
use crate::proto::v1::prediction_service_server::PredictionService;
use crate::proto::v1::{PredictRequest, PredictResponse};
use crate::serving::Pipeline;

/// Answers `Predict` from a pipeline.
#[derive(Clone, Debug)]
pub struct Predictions(Arc<Pipeline>);

impl Predictions {
    /// Answers from `pipeline`.
    #[must_use]
    pub fn new(pipeline: Arc<Pipeline>) -> Self {
        Self(pipeline)
    }
}

#[tonic::async_trait]
impl PredictionService for Predictions {
    async fn predict(
        &self,
        request: Request<PredictRequest>,
    ) -> Result<Response<PredictResponse>, Status> {
        let answer = match convert::query(request) {
            Ok(query) => self.0.predict(query).await,
            Err(faults) => Err(self.0.refuse(faults)),
        };
        answer
            .map(|answer| Response::new(convert::response(answer)))
            .map_err(|error| status::from_predict(&error))
    }
}
