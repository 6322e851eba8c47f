//! TensorFlow Serving's protocol: `tensorflow.serving.PredictionService` and `tensorflow.serving.ModelService`.
//!
//! [`predict`] converts a message to a [`Query`](crate::serving::Query), which is answered like any other. Responses have no fields for the
//! role and the ids of an answer, so headers carry them. Faults that the model finds use the gateway's own names of datatypes: `FP32` for
//! `DT_FLOAT`.
//! Not here: `Classify`, `Regress` and `MultiInference`, which take `tf.Example`s.

mod describe;
mod predict;
mod tensor;

use std::sync::Arc;

use tonic::{Request, Response, Status};

use self::tensor::FillBudget;
use crate::api::catalog::Catalog;
use crate::api::error_mapping::TENSORFLOW_SERVING;
use crate::api::predictor::Predictor;
use crate::api::{response_headers, status};
use crate::error::PredictError;
use crate::proto::tensorflow::serving::model_service_server::ModelService;
use crate::proto::tensorflow::serving::prediction_service_server::PredictionService;
use crate::proto::tensorflow::serving::{
    GetModelMetadataRequest, GetModelMetadataResponse, GetModelStatusRequest,
    GetModelStatusResponse, PredictRequest, PredictResponse,
};
use crate::serving::Answer;

/// The name of a version's only signature, which is also the protocol's default.
const SIGNATURE: &str = "serving_default";

/// Answers in TensorFlow Serving's protocol.
#[derive(Clone, Debug)]
pub struct TensorFlowServing {
    predictor: Predictor,
    catalog: Catalog,
    max_filled_bytes: usize,
}

impl TensorFlowServing {
    /// Creates a service that answers from `predictor` and describes `catalog`. In one request, tensors that are filled with single values
    /// may take `max_filled_bytes` bytes. With the limit on messages, they are no larger than a client could have sent element by element.
    ///
    /// A server puts it behind an [`Admission`](super::Admission) with the same admission control.
    #[must_use]
    pub fn new(predictor: Predictor, catalog: Catalog, max_filled_bytes: usize) -> Self {
        Self {
            predictor,
            catalog,
            max_filled_bytes,
        }
    }

    /// Answers a request. Returns also the names of the outputs that it asks for.
    async fn answer(
        &self,
        mut request: Request<PredictRequest>,
    ) -> Result<(Answer, Vec<String>), PredictError> {
        let permit = self.predictor.permit(request.extensions_mut())?;
        let (metadata, _, message) = request.into_parts();
        let filter = message.output_filter.clone();
        let mut budget = FillBudget::new(self.max_filled_bytes);
        let query = predict::read_query(
            message,
            metadata.into_headers(),
            Arc::clone(&permit),
            &self.catalog,
            &mut budget,
        );
        if budget.spent() > 0 {
            // Counts as if the elements had been sent.
            permit.hold(budget.spent())?;
        }
        let answer = self.predictor.answer(query).await?;
        Ok((answer, filter))
    }
}

#[tonic::async_trait]
impl PredictionService for TensorFlowServing {
    async fn predict(
        &self,
        request: Request<PredictRequest>,
    ) -> Result<Response<PredictResponse>, Status> {
        let answer = self.answer(request).await;
        let (answer, filter) = answer.map_err(|error| to_status(&error))?;
        let mut response = Response::new(());
        response_headers::write(&answer, response.metadata_mut().as_mut());
        Ok(response.map(|()| predict::write_response(answer, &filter)))
    }

    async fn get_model_metadata(
        &self,
        request: Request<GetModelMetadataRequest>,
    ) -> Result<Response<GetModelMetadataResponse>, Status> {
        let metadata = describe::model_metadata(request.into_inner(), &self.catalog);
        metadata
            .map(Response::new)
            .map_err(|error| to_status(&error))
    }
}

#[tonic::async_trait]
impl ModelService for TensorFlowServing {
    async fn get_model_status(
        &self,
        request: Request<GetModelStatusRequest>,
    ) -> Result<Response<GetModelStatusResponse>, Status> {
        let status = describe::model_status(request.into_inner(), &self.catalog);
        status.map(Response::new).map_err(|error| to_status(&error))
    }
}

fn to_status(error: &PredictError) -> Status {
    status::to_status(error, &TENSORFLOW_SERVING)
}
