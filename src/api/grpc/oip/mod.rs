//! `inference.GRPCInferenceService`: the Open Inference Protocol v2, with those of Triton's extensions that apply here.
//!
//! One service on two ports. Both describe models; the data port ([`DataPort`]) answers requests, and the admin port ([`AdminPort`]) loads
//! and unloads versions.

mod infer;
mod port;
mod tensor;

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;
use tonic::{Code, Request, Response, Status, Streaming};

use super::stream::Responses;
use super::unary::{DirectUnary, UnaryMethod};
use crate::api::catalog::Catalog;
use crate::api::error_mapping::{OPEN_INFERENCE, OPEN_INFERENCE_READS};
use crate::api::{oip, status};
use crate::error::{InputFaults, PredictError};
use crate::proto::inference as wire;
use crate::proto::inference::grpc_inference_service_server::{
    GrpcInferenceService, GrpcInferenceServiceServer,
};

pub use port::{AdminPort, DataPort, PortCalls};

/// Answers the Open Inference Protocol on one port.
#[derive(Debug)]
pub struct OpenInference<P> {
    catalog: Catalog,
    port: P,
    /// One permit: statistics are read one call at a time.
    reading: Arc<Semaphore>,
}

impl<P: PortCalls> OpenInference<P> {
    /// Creates a service that describes `catalog`; `port` answers the other calls.
    #[must_use]
    pub fn new(catalog: Catalog, port: P) -> Self {
        Self {
            catalog,
            port,
            reading: Arc::new(Semaphore::new(1)),
        }
    }
}

impl OpenInference<DataPort> {
    /// Returns the service, whose messages have at most `max_message_bytes` bytes in either direction.
    #[must_use]
    pub fn into_service(
        self,
        max_message_bytes: usize,
    ) -> DirectUnary<GrpcInferenceServiceServer<Self>, Self> {
        let this = Arc::new(self);
        let service = GrpcInferenceServiceServer::from_arc(Arc::clone(&this))
            .max_decoding_message_size(max_message_bytes)
            .max_encoding_message_size(max_message_bytes);
        DirectUnary::new(service, this, max_message_bytes)
    }
}

impl<P: PortCalls> UnaryMethod for OpenInference<P> {
    const PATH: &'static str = "/inference.GRPCInferenceService/ModelInfer";
    type Request = wire::ModelInferRequest;
    type Response = wire::ModelInferResponse;

    async fn answer(
        &self,
        request: Request<wire::ModelInferRequest>,
    ) -> Result<Response<wire::ModelInferResponse>, Status> {
        let answer = self.port.infer(request).await?;
        let to_status = |error| status::to_status(&error, &OPEN_INFERENCE);
        answer.map(Response::new).map_err(to_status)
    }
}

#[tonic::async_trait]
impl<P: PortCalls> GrpcInferenceService for OpenInference<P> {
    async fn server_live(
        &self,
        _: Request<wire::ServerLiveRequest>,
    ) -> Result<Response<wire::ServerLiveResponse>, Status> {
        Ok(Response::new(wire::ServerLiveResponse { live: true }))
    }

    async fn server_ready(
        &self,
        _: Request<wire::ServerReadyRequest>,
    ) -> Result<Response<wire::ServerReadyResponse>, Status> {
        let ready = self.catalog.readiness().is_ready;
        Ok(Response::new(wire::ServerReadyResponse { ready }))
    }

    async fn model_ready(
        &self,
        request: Request<wire::ModelReadyRequest>,
    ) -> Result<Response<wire::ModelReadyResponse>, Status> {
        let request = request.into_inner();
        let ready = oip::model_ready(&self.catalog, &request.name, request.version);
        to_response(ready.map(|ready| wire::ModelReadyResponse { ready }))
    }

    async fn server_metadata(
        &self,
        _: Request<wire::ServerMetadataRequest>,
    ) -> Result<Response<wire::ServerMetadataResponse>, Status> {
        Ok(Response::new(oip::server_metadata()))
    }

    async fn model_metadata(
        &self,
        request: Request<wire::ModelMetadataRequest>,
    ) -> Result<Response<wire::ModelMetadataResponse>, Status> {
        let request = request.into_inner();
        let metadata = oip::metadata(&self.catalog, &request.name, request.version);
        to_response(metadata.map(|metadata| wire::ModelMetadataResponse {
            // MLServer and Seldon have another type at this field, and their clients cannot read an answer that has it.
            properties: BTreeMap::new(),
            ..metadata
        }))
    }

    async fn model_infer(
        &self,
        request: Request<wire::ModelInferRequest>,
    ) -> Result<Response<wire::ModelInferResponse>, Status> {
        self.answer(request).await
    }

    type ModelStreamInferStream = Responses<wire::ModelStreamInferResponse>;

    async fn model_stream_infer(
        &self,
        request: Request<Streaming<wire::ModelInferRequest>>,
    ) -> Result<Response<Self::ModelStreamInferStream>, Status> {
        self.port.stream(request).map(Response::new)
    }

    async fn model_config(
        &self,
        request: Request<wire::ModelConfigRequest>,
    ) -> Result<Response<wire::ModelConfigResponse>, Status> {
        let request = request.into_inner();
        let config = oip::config(&self.catalog, &request.name, request.version);
        to_response(config.map(|config| wire::ModelConfigResponse {
            config: Some(config),
        }))
    }

    async fn model_statistics(
        &self,
        request: Request<wire::ModelStatisticsRequest>,
    ) -> Result<Response<wire::ModelStatisticsResponse>, Status> {
        let request = request.into_inner();
        let catalog = self.catalog.clone();
        let permit = Arc::clone(&self.reading).acquire_owned().await;
        let read = spawn_blocking(move || {
            // Held until the end, even if the client disconnects.
            let _permit = permit;
            oip::statistics(&catalog, &request.name, request.version)
        });
        let failed = |error| {
            let text = "failed to read statistics";
            tracing::error!(%error, "{text}");
            status::with_reason(Code::Internal, "READ_FAILED", text)
        };
        to_response(read.await.map_err(failed)?)
    }

    async fn repository_index(
        &self,
        request: Request<wire::RepositoryIndexRequest>,
    ) -> Result<Response<wire::RepositoryIndexResponse>, Status> {
        let request = request.into_inner();
        if !request.repository_name.is_empty() {
            let wanted = "nothing: there is one registry";
            let faults = InputFaults::one("repository_name", "a name", wanted);
            return to_response(Err(faults.into()));
        }
        Ok(Response::new(oip::index(&self.catalog, request.ready)))
    }

    async fn repository_model_load(
        &self,
        request: Request<wire::RepositoryModelLoadRequest>,
    ) -> Result<Response<wire::RepositoryModelLoadResponse>, Status> {
        self.port.load(request).await.map(Response::new)
    }

    async fn repository_model_unload(
        &self,
        request: Request<wire::RepositoryModelUnloadRequest>,
    ) -> Result<Response<wire::RepositoryModelUnloadResponse>, Status> {
        self.port.unload(request).await.map(Response::new)
    }
}

/// Converts the result of a call that only reads.
fn to_response<T>(outcome: Result<T, PredictError>) -> Result<Response<T>, Status> {
    match outcome {
        Ok(message) => Ok(Response::new(message)),
        Err(error) => Err(status::to_status(&error, &OPEN_INFERENCE_READS)),
    }
}
