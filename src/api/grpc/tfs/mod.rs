//! TensorFlow Serving's way to predict: `tensorflow.serving.PredictionService` and `tensorflow.serving.ModelService`.
//!
//! What a message says becomes a [`Query`](crate::serving::Query) in [`predict`]; from there on it is a prediction like any other. Who
//! answered beside model and version is told in headers, since the answer has no place for it. What does not fit a signature is told in
//! the gateway's own words for types: `FP32` where TensorFlow says `DT_FLOAT`.
//! Not here: `Classify`, `Regress` and `MultiInference`, which take `tf.Example`s.

mod about;
mod predict;
mod tensor;

use std::sync::Arc;

use tonic::{Request, Response, Status};

use self::tensor::Filling;
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

/// The only signature of a version, by the name that clients ask for when they ask for none.
const SIGNATURE: &str = "serving_default";

/// Answers as TensorFlow Serving does.
#[derive(Clone, Debug)]
pub struct TensorFlowServing {
    predictor: Predictor,
    catalog: Catalog,
    most_filled: usize,
}

impl TensorFlowServing {
    /// Answers from `predictor`, and from `catalog` what there is. Tensors that single values fill may take `most_filled` bytes in one
    /// request, which is the limit on messages: they get no larger than a client could have written them out.
    ///
    /// On a server this stands behind an [`Admission`](super::Admission) with the same admission control.
    #[must_use]
    pub fn new(predictor: Predictor, catalog: Catalog, most_filled: usize) -> Self {
        Self {
            predictor,
            catalog,
            most_filled,
        }
    }

    async fn answer(&self, mut request: Request<PredictRequest>) -> Result<Answer, PredictError> {
        let permit = self.predictor.place(request.extensions_mut())?;
        let (metadata, _, message) = request.into_parts();
        let mut filling = Filling::at_most(self.most_filled);
        let query = predict::query(
            message,
            metadata.into_headers(),
            Arc::clone(&permit),
            &self.catalog,
            &mut filling,
        );
        if filling.bytes() > 0 {
            // It takes room as if it had come over the wire.
            permit.hold(filling.bytes())?;
        }
        self.predictor.answer(query).await
    }
}

#[tonic::async_trait]
impl PredictionService for TensorFlowServing {
    async fn predict(
        &self,
        request: Request<PredictRequest>,
    ) -> Result<Response<PredictResponse>, Status> {
        let answer = self.answer(request).await.map_err(|error| wire(&error))?;
        let mut response = Response::new(());
        response_headers::write(&answer, response.metadata_mut().as_mut());
        Ok(response.map(|()| predict::response(answer)))
    }

    async fn get_model_metadata(
        &self,
        request: Request<GetModelMetadataRequest>,
    ) -> Result<Response<GetModelMetadataResponse>, Status> {
        let told = about::metadata(request.into_inner(), &self.catalog);
        told.map(Response::new).map_err(|error| wire(&error))
    }
}

#[tonic::async_trait]
impl ModelService for TensorFlowServing {
    async fn get_model_status(
        &self,
        request: Request<GetModelStatusRequest>,
    ) -> Result<Response<GetModelStatusResponse>, Status> {
        let told = about::status(request.into_inner(), &self.catalog);
        told.map(Response::new).map_err(|error| wire(&error))
    }
}

fn wire(error: &PredictError) -> Status {
    status::to_status(error, &TENSORFLOW_SERVING)
}
