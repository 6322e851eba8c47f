//! The calls of the Open Inference Protocol that only one of the two ports answers.

use std::sync::Arc;

use tonic::{Code, Request, Status, Streaming};

use super::infer;
use crate::api::catalog::Catalog;
use crate::api::context::RequestContext;
use crate::api::error_mapping::OPEN_INFERENCE;
use crate::api::grpc::admin::{Admin, LoadTarget};
use crate::api::grpc::stream::{Responses, answer_stream};
use crate::api::predictor::Predictor;
use crate::api::status;
use crate::error::PredictError;
use crate::proto::inference as wire;

/// Answers the calls that differ between the ports.
pub trait PortCalls: Send + Sync + 'static {
    /// Answers an inference request. The outer error is for a port that answers none.
    fn infer(
        &self,
        request: Request<wire::ModelInferRequest>,
    ) -> impl Future<Output = Result<Result<wire::ModelInferResponse, PredictError>, Status>> + Send;

    /// Answers a stream of inference requests.
    ///
    /// # Errors
    /// Returns an error if the stream is not admitted, or if this port answers none.
    fn stream(
        &self,
        request: Request<Streaming<wire::ModelInferRequest>>,
    ) -> Result<Responses<wire::ModelStreamInferResponse>, Status>;

    /// Loads a model.
    fn load(
        &self,
        request: Request<wire::RepositoryModelLoadRequest>,
    ) -> impl Future<Output = Result<wire::RepositoryModelLoadResponse, Status>> + Send;

    /// Unloads a model.
    fn unload(
        &self,
        request: Request<wire::RepositoryModelUnloadRequest>,
    ) -> impl Future<Output = Result<wire::RepositoryModelUnloadResponse, Status>> + Send;
}

/// The calls of the data port.
#[derive(Clone, Debug)]
pub struct DataPort {
    pub(super) predictor: Predictor,
    pub(super) catalog: Catalog,
}

impl DataPort {
    /// Creates a port that answers from `predictor`, for the models of `catalog`. A server puts its service behind an
    /// [`Admission`](crate::api::grpc::Admission) with the same admission control.
    #[must_use]
    pub fn new(predictor: Predictor, catalog: Catalog) -> Self {
        Self { predictor, catalog }
    }
}

impl PortCalls for DataPort {
    async fn infer(
        &self,
        mut request: Request<wire::ModelInferRequest>,
    ) -> Result<Result<wire::ModelInferResponse, PredictError>, Status> {
        let permit = self.predictor.permit(request.extensions_mut());
        let (metadata, _, message) = request.into_parts();
        let headers = metadata.into_headers();
        Ok(infer::answer(self, message, headers, permit).await)
    }

    fn stream(
        &self,
        request: Request<Streaming<wire::ModelInferRequest>>,
    ) -> Result<Responses<wire::ModelStreamInferResponse>, Status> {
        let port = self.clone();
        let answer_item = move |_, item| infer::answer_item(port.clone(), item);
        answer_stream(&self.predictor, request, &OPEN_INFERENCE, answer_item)
    }

    async fn load(
        &self,
        _: Request<wire::RepositoryModelLoadRequest>,
    ) -> Result<wire::RepositoryModelLoadResponse, Status> {
        Err(admin_port_only("models are loaded on the admin port"))
    }

    async fn unload(
        &self,
        _: Request<wire::RepositoryModelUnloadRequest>,
    ) -> Result<wire::RepositoryModelUnloadResponse, Status> {
        Err(admin_port_only("models are unloaded on the admin port"))
    }
}

/// Refuses a call with the code that Triton uses for restricted calls.
fn admin_port_only(text: &str) -> Status {
    status::with_reason(Code::Unavailable, "WRONG_PORT", text)
}

/// The calls of the admin port.
#[derive(Debug)]
pub struct AdminPort {
    admin: Arc<Admin>,
}

impl AdminPort {
    /// Creates a port that loads and unloads through `admin`.
    #[must_use]
    pub fn new(admin: Arc<Admin>) -> Self {
        Self { admin }
    }
}

impl PortCalls for AdminPort {
    async fn infer(
        &self,
        _: Request<wire::ModelInferRequest>,
    ) -> Result<Result<wire::ModelInferResponse, PredictError>, Status> {
        Err(data_port_only())
    }

    fn stream(
        &self,
        _: Request<Streaming<wire::ModelInferRequest>>,
    ) -> Result<Responses<wire::ModelStreamInferResponse>, Status> {
        Err(data_port_only())
    }

    async fn load(
        &self,
        request: Request<wire::RepositoryModelLoadRequest>,
    ) -> Result<wire::RepositoryModelLoadResponse, Status> {
        let (context, message) = RequestContext::split(request);
        let wire::RepositoryModelLoadRequest {
            repository_name,
            model_name,
            parameters,
        } = message;
        let target = LoadTarget::read(repository_name, model_name, parameters.into_keys());
        let loaded = match target {
            Ok(target) => self.admin.load_model(target, &context).await,
            Err(faults) => Err(faults),
        };
        let (model_name, is_loaded) = loaded.map_err(|error| status::from_admin(&error))?;
        Ok(wire::RepositoryModelLoadResponse {
            model_name,
            is_loaded,
        })
    }

    async fn unload(
        &self,
        request: Request<wire::RepositoryModelUnloadRequest>,
    ) -> Result<wire::RepositoryModelUnloadResponse, Status> {
        let (context, message) = RequestContext::split(request);
        let target = LoadTarget::read(message.repository_name, message.model_name, []);
        let unloaded = match target {
            Ok(target) => self.admin.unload_model(target, &context).await,
            Err(faults) => Err(faults),
        };
        let (model_name, is_unloaded) = unloaded.map_err(|error| status::from_admin(&error))?;
        Ok(wire::RepositoryModelUnloadResponse {
            model_name,
            is_unloaded,
        })
    }
}

fn data_port_only() -> Status {
    let text = "inference requests are answered on the data port";
    status::with_reason(Code::Unimplemented, "WRONG_PORT", text)
}
