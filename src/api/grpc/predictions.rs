//! `taper.v1.PredictionService`.

use std::sync::Arc;

use tonic::{Request, Response, Status, Streaming};

use super::stream::{Item, Responses, answer_stream};
use super::unary::{DirectUnary, UnaryMethod};
use super::{convert, outcomes};
use crate::api::error_mapping::NATIVE;
use crate::api::predictor::Predictor;
use crate::api::status;
use crate::error::PredictError;
use crate::proto::v1::predict_stream_response::Result as StreamResult;
use crate::proto::v1::prediction_service_server::{PredictionService, PredictionServiceServer};
use crate::proto::v1::{
    PredictRequest, PredictResponse, PredictStreamResponse, ReportOutcomesRequest,
    ReportOutcomesResponse,
};
use crate::serving::Answer;

/// Answers predictions in the native protocol.
#[derive(Clone, Debug)]
pub struct Predictions {
    predictor: Predictor,
}

impl Predictions {
    /// Creates a service that answers from `predictor`. A server puts it behind an [`Admission`](super::Admission) with the same admission
    /// control, which gives each request its permit before its message is read.
    #[must_use]
    pub fn new(predictor: Predictor) -> Self {
        Self { predictor }
    }

    /// Returns the service, whose messages have at most `max_message_bytes` bytes in either direction.
    #[must_use]
    pub fn into_service(
        self,
        max_message_bytes: usize,
    ) -> DirectUnary<PredictionServiceServer<Self>, Self> {
        let this = Arc::new(self);
        let service = PredictionServiceServer::from_arc(Arc::clone(&this))
            .max_decoding_message_size(max_message_bytes)
            .max_encoding_message_size(max_message_bytes);
        DirectUnary::new(service, this, max_message_bytes)
    }

    async fn query(&self, mut request: Request<PredictRequest>) -> Result<Answer, PredictError> {
        let permit = self.predictor.permit(request.extensions_mut())?;
        let (metadata, _, message) = request.into_parts();
        let query = convert::read_query(message, metadata.into_headers(), permit);
        self.predictor.answer(query).await
    }
}

impl UnaryMethod for Predictions {
    const PATH: &'static str = "/taper.v1.PredictionService/Predict";
    type Request = PredictRequest;
    type Response = PredictResponse;

    async fn answer(
        &self,
        request: Request<PredictRequest>,
    ) -> Result<Response<PredictResponse>, Status> {
        match self.query(request).await {
            Ok(answer) => Ok(Response::new(convert::write_response(answer))),
            Err(error) => Err(status::from_predict(&error)),
        }
    }
}

#[tonic::async_trait]
impl PredictionService for Predictions {
    async fn predict(
        &self,
        request: Request<PredictRequest>,
    ) -> Result<Response<PredictResponse>, Status> {
        self.answer(request).await
    }

    type PredictStreamStream = Responses<PredictStreamResponse>;

    async fn predict_stream(
        &self,
        request: Request<Streaming<PredictRequest>>,
    ) -> Result<Response<Self::PredictStreamStream>, Status> {
        answer_stream(&self.predictor, request, &NATIVE, answer_item).map(Response::new)
    }

    async fn report_outcomes(
        &self,
        request: Request<ReportOutcomesRequest>,
    ) -> Result<Response<ReportOutcomesResponse>, Status> {
        let reported = outcomes::from_wire(request.into_inner());
        match self.predictor.pipeline().join_outcomes(&reported).await {
            Ok(report) => Ok(Response::new(outcomes::report(&report))),
            Err(error) => Err(status::from_predict(&error)),
        }
    }
}

/// Answers one request of a stream.
async fn answer_item(predictor: Predictor, item: Item<PredictRequest>) -> PredictStreamResponse {
    let answer = match item.permit {
        Ok(permit) => {
            let query = convert::read_query(item.message, item.headers, permit);
            predictor.answer(query).await
        }
        Err(overloaded) => Err(overloaded),
    };
    let result = match answer {
        Ok(answer) => StreamResult::Response(convert::write_response(answer)),
        Err(error) => StreamResult::Error(status::to_message(&status::from_predict(&error))),
    };
    PredictStreamResponse {
        index: item.index,
        result: Some(result),
    }
}
