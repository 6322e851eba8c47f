//! `taper.v1.AdminService`.
//!
//! Reads are answered from what control has published; changes go to its writer. A handler converts a message to a domain type, calls one
//! function and converts the result to a message. Not here: rules.

mod audit;
mod await_version_state;
mod changes;
mod compare;
mod drift;
mod observed;
mod policy;
mod read_limiter;
mod repository;
mod stats;
mod upload;
mod versions;
mod watch;

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::Semaphore;
use tonic::codegen::BoxStream;
use tonic::{Request, Response, Status, Streaming};

use super::outcomes;
use crate::api::context::RequestContext;
use crate::api::lifecycle::StageWatch;
use crate::api::status;
use crate::control::{Control, Edit, ModelView};
use crate::error::{AdminError, InputFaults};
use crate::ident::Revision;
use crate::proto::v1;
use crate::proto::v1::admin_service_server::AdminService;
use crate::serving::live::Live;
use read_limiter::ReadLimiter;
pub(super) use repository::LoadTarget;

/// What the admin service needs in addition to the writer.
#[derive(Clone)]
pub struct AdminSettings {
    /// The registry's folder, which receives uploads.
    pub registry: PathBuf,
    /// The state folder, which contains the audit log.
    pub state: PathBuf,
    /// Limit on the bytes of one uploaded version.
    pub max_upload_bytes: u64,
    /// Limit on the bytes of weights in memory; `None`: no limit.
    pub max_weight_bytes: Option<u64>,
    /// The stage of the gateway. Calls that wait or stream end when it drains.
    pub stage: StageWatch,
    /// Requests a scan of the registry. Does not block.
    pub scan_registry: Arc<dyn Fn() + Send + Sync>,
}

impl fmt::Debug for AdminSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AdminSettings")
            .field("registry", &self.registry)
            .field("state", &self.state)
            .field("max_upload_bytes", &self.max_upload_bytes)
            .finish_non_exhaustive()
    }
}

/// Answers reads from the published state, and passes changes to the writer.
#[derive(Debug)]
pub struct Admin {
    live: Arc<Live>,
    control: Control,
    settings: AdminSettings,
    uploads: Arc<Semaphore>,
    watchers: Arc<Semaphore>,
    /// Limits concurrent reads of statistics.
    read_limiter: ReadLimiter,
}

impl Admin {
    /// Creates a service that reads what is served from `live`, and everything else through `control`, which also makes the changes.
    #[must_use]
    pub fn new(live: Arc<Live>, control: Control, settings: AdminSettings) -> Self {
        Self {
            live,
            control,
            settings,
            uploads: Arc::new(Semaphore::new(upload::AT_ONCE)),
            watchers: Arc::new(Semaphore::new(watch::AT_ONCE)),
            read_limiter: ReadLimiter::default(),
        }
    }

    fn find_model(&self, name: &str) -> Result<Arc<ModelView>, Status> {
        let view = self.control.view();
        let model = view.models.get(name).cloned();
        model.ok_or_else(|| status::from_admin(&AdminError::unknown_model(name)))
    }

    async fn change(
        &self,
        context: &RequestContext,
        model: String,
        edit: Edit,
        terms: Option<v1::ChangeTerms>,
    ) -> Result<Response<v1::ChangeResponse>, Status> {
        let options = changes::read_options(terms, context).map_err(refuse_invalid)?;
        let changed = self.control.change(model, edit, options).await;
        respond(changed.map(changes::write_response))
    }
}

#[tonic::async_trait]
impl AdminService for Admin {
    async fn list_models(
        &self,
        _: Request<v1::ListModelsRequest>,
    ) -> Result<Response<v1::ListModelsResponse>, Status> {
        let view = self.control.view();
        let models = view
            .models
            .values()
            .map(|model| versions::write_summary(model));
        let models = models.collect();
        let problem = view.store_problem.clone().unwrap_or_default();
        Ok(Response::new(v1::ListModelsResponse { models, problem }))
    }

    async fn get_model(
        &self,
        request: Request<v1::GetModelRequest>,
    ) -> Result<Response<v1::GetModelResponse>, Status> {
        let model = self.find_model(&request.get_ref().model)?;
        Ok(Response::new(versions::write_model(&model)))
    }

    async fn get_traffic_policy(
        &self,
        request: Request<v1::GetTrafficPolicyRequest>,
    ) -> Result<Response<v1::GetTrafficPolicyResponse>, Status> {
        let model = self.find_model(&request.get_ref().model)?;
        let snapshot = self.live.snapshot();
        let routing = snapshot.models.get(model.name.as_str());
        let routing = routing.and_then(|model| model.routing.as_deref());
        Ok(Response::new(policy::write_in_force(&model, routing)))
    }

    async fn get_stats(
        &self,
        request: Request<v1::GetStatsRequest>,
    ) -> Result<Response<v1::GetStatsResponse>, Status> {
        let model = self.find_model(&request.get_ref().model)?;
        let (live, request) = (self.live.snapshot(), request.into_inner());
        let read = move || stats::get(&live, &model, &request);
        respond(self.read_limiter.read(read).await)
    }

    async fn get_drift(
        &self,
        request: Request<v1::GetDriftRequest>,
    ) -> Result<Response<v1::GetDriftResponse>, Status> {
        let model = self.find_model(&request.get_ref().model)?;
        let (live, request) = (self.live.snapshot(), request.into_inner());
        let read = move || drift::get(&live, &model, &request);
        respond(self.read_limiter.read(read).await)
    }

    async fn compare_versions(
        &self,
        request: Request<v1::CompareVersionsRequest>,
    ) -> Result<Response<v1::CompareVersionsResponse>, Status> {
        let model = self.find_model(&request.get_ref().model)?;
        let (live, request) = (self.live.snapshot(), request.into_inner());
        let read = move || compare::versions(&live, &model, &request);
        respond(self.read_limiter.read(read).await)
    }

    async fn get_outcomes(
        &self,
        request: Request<v1::GetOutcomesRequest>,
    ) -> Result<Response<v1::GetOutcomesResponse>, Status> {
        let model = self.find_model(&request.get_ref().model)?;
        let snapshot = self.live.snapshot();
        let served = snapshot.models.get(model.name.as_str());
        Ok(Response::new(v1::GetOutcomesResponse {
            model: model.name.to_string(),
            versions: served.map_or_else(Vec::new, |model| outcomes::versions(model)),
        }))
    }

    async fn set_traffic_policy(
        &self,
        request: Request<v1::SetTrafficPolicyRequest>,
    ) -> Result<Response<v1::ChangeResponse>, Status> {
        let (context, message) = RequestContext::split(request);
        let (raw, terms) =
            policy::read_required(message.policy, message.terms).map_err(refuse_invalid)?;
        let edit = Edit::SetPolicy(raw);
        self.change(&context, message.model, edit, Some(terms))
            .await
    }

    async fn set_label(
        &self,
        request: Request<v1::SetLabelRequest>,
    ) -> Result<Response<v1::ChangeResponse>, Status> {
        let (context, message) = RequestContext::split(request);
        let (label, version) = (message.label, message.version);
        let edit = Edit::SetLabel { label, version };
        self.change(&context, message.model, edit, message.terms)
            .await
    }

    async fn delete_label(
        &self,
        request: Request<v1::DeleteLabelRequest>,
    ) -> Result<Response<v1::ChangeResponse>, Status> {
        let (context, message) = RequestContext::split(request);
        let label = message.label;
        let edit = Edit::DeleteLabel { label };
        self.change(&context, message.model, edit, message.terms)
            .await
    }

    async fn promote(
        &self,
        request: Request<v1::PromoteRequest>,
    ) -> Result<Response<v1::ChangeResponse>, Status> {
        let (context, message) = RequestContext::split(request);
        let (label, to) = (message.label, message.to);
        let edit = Edit::Promote { label, to };
        self.change(&context, message.model, edit, message.terms)
            .await
    }

    async fn undo(
        &self,
        request: Request<v1::UndoRequest>,
    ) -> Result<Response<v1::ChangeResponse>, Status> {
        let (context, message) = RequestContext::split(request);
        let edit = Edit::Undo;
        self.change(&context, message.model, edit, message.terms)
            .await
    }

    async fn rollback_to(
        &self,
        request: Request<v1::RollbackToRequest>,
    ) -> Result<Response<v1::ChangeResponse>, Status> {
        let (context, message) = RequestContext::split(request);
        let edit = Edit::RollbackTo(Revision(message.revision));
        self.change(&context, message.model, edit, message.terms)
            .await
    }

    async fn confirm(
        &self,
        request: Request<v1::ConfirmRequest>,
    ) -> Result<Response<v1::ChangeResponse>, Status> {
        let (context, message) = RequestContext::split(request);
        let edit = Edit::Confirm;
        self.change(&context, message.model, edit, message.terms)
            .await
    }

    async fn load_version(
        &self,
        request: Request<v1::LoadVersionRequest>,
    ) -> Result<Response<v1::ChangeResponse>, Status> {
        let (context, message) = RequestContext::split(request);
        let options = changes::read_options(message.terms, &context).map_err(refuse_invalid)?;
        respond(self.load(message.model, message.version, options).await)
    }

    async fn unload_version(
        &self,
        request: Request<v1::UnloadVersionRequest>,
    ) -> Result<Response<v1::ChangeResponse>, Status> {
        let (context, message) = RequestContext::split(request);
        let edit = Edit::Unload(message.version);
        self.change(&context, message.model, edit, message.terms)
            .await
    }

    async fn accept_version(
        &self,
        request: Request<v1::AcceptVersionRequest>,
    ) -> Result<Response<v1::ChangeResponse>, Status> {
        let (context, message) = RequestContext::split(request);
        let edit = Edit::Accept(message.version);
        self.change(&context, message.model, edit, message.terms)
            .await
    }

    async fn forget_model(
        &self,
        request: Request<v1::ForgetModelRequest>,
    ) -> Result<Response<v1::ChangeResponse>, Status> {
        let (context, message) = RequestContext::split(request);
        let edit = Edit::Forget;
        self.change(&context, message.model, edit, message.terms)
            .await
    }

    async fn retry_version(
        &self,
        request: Request<v1::RetryVersionRequest>,
    ) -> Result<Response<v1::RetryVersionResponse>, Status> {
        let (context, message) = RequestContext::split(request);
        let author = changes::read_author(message.terms, &context);
        let author = author.map_err(|error| status::from_admin(&error))?;
        let retried = self.retry(message.model, message.version, author).await;
        respond(retried.map(|()| v1::RetryVersionResponse {}))
    }

    async fn upload_version(
        &self,
        request: Request<Streaming<v1::UploadVersionRequest>>,
    ) -> Result<Response<v1::UploadVersionResponse>, Status> {
        let (context, messages) = RequestContext::split(request);
        respond(self.upload(messages, &context).await)
    }

    async fn list_revisions(
        &self,
        request: Request<v1::ListRevisionsRequest>,
    ) -> Result<Response<v1::ListRevisionsResponse>, Status> {
        let listed = changes::list_revisions(&self.control, request.get_ref()).await;
        respond(listed.map(|revisions| v1::ListRevisionsResponse { revisions }))
    }

    type WatchStream = BoxStream<v1::WatchResponse>;

    async fn watch(
        &self,
        request: Request<v1::WatchRequest>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        let permit = Arc::clone(&self.watchers).try_acquire_owned();
        let stage = self.settings.stage.clone();
        let request = request.into_inner();
        let watcher = watch::start(self.control.clone(), stage, permit, request).await;
        respond(watcher.map(watch::events))
    }

    type ReadAuditStream = BoxStream<v1::ReadAuditResponse>;

    async fn read_audit(
        &self,
        request: Request<v1::ReadAuditRequest>,
    ) -> Result<Response<Self::ReadAuditStream>, Status> {
        let checked = self.control.check_store().await;
        checked.map_err(|error| status::from_admin(&error))?;
        let (dir, stage) = (self.settings.state.clone(), self.settings.stage.clone());
        let after = request.get_ref().after_sequence;
        Ok(Response::new(audit::read_lines(dir, after, stage)))
    }
}

/// Converts the result of a call.
fn respond<T>(outcome: Result<T, AdminError>) -> Result<Response<T>, Status> {
    match outcome {
        Ok(message) => Ok(Response::new(message)),
        Err(error) => Err(status::from_admin(&error)),
    }
}

/// Refuses a change with faults.
fn refuse_invalid(faults: InputFaults) -> Status {
    status::from_admin(&AdminError::InvalidChange(faults))
}
