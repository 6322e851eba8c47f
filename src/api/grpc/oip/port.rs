//! What only one of the two ports does.

use std::sync::Arc;

use tonic::{Code, Request, Status, Streaming};

use super::infer;
use crate::api::catalog::Catalog;
use crate::api::error_mapping::OPEN_INFERENCE;
use crate::api::grpc::admin::{Admin, Subject};
use crate::api::grpc::stream::{Answers, answers};
use crate::api::predictor::Predictor;
use crate::api::status;
use crate::error::PredictError;
use crate::proto::inference as wire;

/// What a port does beside telling what there is.
pub trait Port: Send + Sync + 'static {
    /// Answers a request.
    fn infer(
        &self,
        request: Request<wire::ModelInferRequest>,
    ) -> impl Future<Output = Result<Result<wire::ModelInferResponse, PredictError>, Status>> + Send;

    /// Answers a stream of requests.
    ///
    /// # Errors
    /// There is no place for it, or this is not the port for it.
    fn stream(
        &self,
        request: Request<Streaming<wire::ModelInferRequest>>,
    ) -> Result<Answers<wire::ModelStreamInferResponse>, Status>;

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

/// Where services ask.
#[derive(Clone, Debug)]
pub struct DataPort {
    pub(super) predictor: Predictor,
    pub(super) catalog: Catalog,
}

impl DataPort {
    /// Answers from `predictor`, for models that `catalog` knows. On a server this stands behind an
    /// [`Admission`](crate::api::grpc::Admission) with the same admission control.
    #[must_use]
    pub fn new(predictor: Predictor, catalog: Catalog) -> Self {
        Self { predictor, catalog }
    }
}

impl Port for DataPort {
    async fn infer(
        &self,
        mut request: Request<wire::ModelInferRequest>,
    ) -> Result<Result<wire::ModelInferResponse, PredictError>, Status> {
        let place = self.predictor.place(request.extensions_mut());
        let (metadata, _, message) = request.into_parts();
        let headers = metadata.into_headers();
        Ok(infer::answer(self, message, headers, place).await)
    }

    fn stream(
        &self,
        request: Request<Streaming<wire::ModelInferRequest>>,
    ) -> Result<Answers<wire::ModelStreamInferResponse>, Status> {
        let port = self.clone();
        let item = move |_, item| infer::item(port.clone(), item);
        answers(&self.predictor, request, &OPEN_INFERENCE, item)
    }

    async fn load(
        &self,
        _: Request<wire::RepositoryModelLoadRequest>,
    ) -> Result<wire::RepositoryModelLoadResponse, Status> {
        Err(operators_only("models are loaded on the admin port"))
    }

    async fn unload(
        &self,
        _: Request<wire::RepositoryModelUnloadRequest>,
    ) -> Result<wire::RepositoryModelUnloadResponse, Status> {
        Err(operators_only("models are unloaded on the admin port"))
    }
}

/// As Triton refuses a call that it restricts.
fn operators_only(told: &str) -> Status {
    status::plain(Code::Unavailable, "WRONG_PORT", told)
}

/// Where operators ask.
#[derive(Debug)]
pub struct AdminPort {
    admin: Arc<Admin>,
}

impl AdminPort {
    /// Loads and unloads through `admin`.
    #[must_use]
    pub fn new(admin: Arc<Admin>) -> Self {
        Self { admin }
    }
}

impl Port for AdminPort {
    async fn infer(
        &self,
        _: Request<wire::ModelInferRequest>,
    ) -> Result<Result<wire::ModelInferResponse, PredictError>, Status> {
        Err(services_only())
    }

    fn stream(
        &self,
        _: Request<Streaming<wire::ModelInferRequest>>,
    ) -> Result<Answers<wire::ModelStreamInferResponse>, Status> {
        Err(services_only())
    }

    async fn load(
        &self,
        request: Request<wire::RepositoryModelLoadRequest>,
    ) -> Result<wire::RepositoryModelLoadResponse, Status> {
        let peer = request.remote_addr();
        let wire::RepositoryModelLoadRequest {
            repository_name,
            model_name,
            parameters,
        } = request.into_inner();
        let subject = Subject::named(repository_name, model_name, parameters.into_keys());
        let loaded = match subject {
            Ok(subject) => self.admin.load_model(subject, peer).await,
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
        let peer = request.remote_addr();
        let wire::RepositoryModelUnloadRequest {
            repository_name,
            model_name,
            ..
        } = request.into_inner();
        let subject = Subject::named(repository_name, model_name, []);
        let unloaded = match subject {
            Ok(subject) => self.admin.unload_model(subject, peer).await,
            Err(faults) => Err(faults),
        };
        let (model_name, is_unloaded) = unloaded.map_err(|error| status::from_admin(&error))?;
        Ok(wire::RepositoryModelUnloadResponse {
            model_name,
            is_unloaded,
        })
    }
}

fn services_only() -> Status {
    let told = "requests are answered on the data port";
    status::plain(Code::Unimplemented, "WRONG_PORT", told)
}
