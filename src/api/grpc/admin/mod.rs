//! `taper.v1.AdminService`.
//!
//! Reads are answered from what is live, changes go to the writer. Not here: rules.

mod policy;
mod versions;

use std::sync::Arc;

use tonic::codegen::BoxStream;
use tonic::{Request, Response, Status, Streaming};

use crate::api::status;
use crate::control::{Control, PolicyChange};
use crate::error::{AdminError, InputFaults};
use crate::ident::Revision;
use crate::proto::v1;
use crate::proto::v1::admin_service_server::AdminService;
use crate::serving::live::{Live, ServingModel};

/// Answers reads from what is live, and hands changes to the writer.
#[derive(Clone, Debug)]
pub struct Admin {
    live: Arc<Live>,
    control: Control,
}

impl Admin {
    /// Reads from `live`, changes through `control`.
    #[must_use]
    pub fn new(live: Arc<Live>, control: Control) -> Self {
        Self { live, control }
    }

    fn model(&self, name: &str) -> Result<Arc<ServingModel>, Status> {
        self.live
            .snapshot()
            .models
            .get(name)
            .cloned()
            .ok_or_else(|| {
                status::from_admin(&AdminError::UnknownModel(name.chars().take(128).collect()))
            })
    }
}

#[tonic::async_trait]
impl AdminService for Admin {
    async fn list_models(
        &self,
        _: Request<v1::ListModelsRequest>,
    ) -> Result<Response<v1::ListModelsResponse>, Status> {
        let snapshot = self.live.snapshot();
        let mut models: Vec<_> = snapshot
            .models
            .values()
            .map(|model| versions::summary(model))
            .collect();
        models.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(Response::new(v1::ListModelsResponse { models }))
    }

    async fn get_model(
        &self,
        request: Request<v1::GetModelRequest>,
    ) -> Result<Response<v1::GetModelResponse>, Status> {
        let model = self.model(&request.get_ref().model)?;
        Ok(Response::new(versions::model(&model)))
    }

    async fn get_traffic_policy(
        &self,
        request: Request<v1::GetTrafficPolicyRequest>,
    ) -> Result<Response<v1::GetTrafficPolicyResponse>, Status> {
        let model = self.model(&request.get_ref().model)?;
        Ok(Response::new(policy::in_force(&model)))
    }

    async fn set_traffic_policy(
        &self,
        request: Request<v1::SetTrafficPolicyRequest>,
    ) -> Result<Response<v1::ChangeResponse>, Status> {
        let message = request.into_inner();
        let invalid = |field, wanted| {
            let faults = InputFaults::one(field, "nothing", wanted);
            status::from_admin(&AdminError::InvalidPolicy(faults))
        };
        let terms = message.terms.unwrap_or_default();
        if terms.dry_run || terms.confirm_within.is_some() {
            return Err(unimplemented());
        }
        let wanted = "the whole new policy";
        let policy = message.policy.ok_or_else(|| invalid("policy", wanted))?;
        let wanted = "the revision that you have read";
        let expected = terms.expected_revision;
        let expected = expected.ok_or_else(|| invalid("terms.expected_revision", wanted))?;
        let change = PolicyChange {
            model: message.model,
            policy: policy::from_wire(policy),
            expected: Revision(expected),
        };
        let revision = self.control.set_policy(change).await;
        let revision = revision.map_err(|error| status::from_admin(&error))?.0;
        Ok(Response::new(v1::ChangeResponse {
            revision,
            ..v1::ChangeResponse::default()
        }))
    }

    async fn set_label(
        &self,
        _: Request<v1::SetLabelRequest>,
    ) -> Result<Response<v1::ChangeResponse>, Status> {
        Err(unimplemented())
    }

    async fn delete_label(
        &self,
        _: Request<v1::DeleteLabelRequest>,
    ) -> Result<Response<v1::ChangeResponse>, Status> {
        Err(unimplemented())
    }

    async fn promote(
        &self,
        _: Request<v1::PromoteRequest>,
    ) -> Result<Response<v1::ChangeResponse>, Status> {
        Err(unimplemented())
    }

    async fn undo(
        &self,
        _: Request<v1::UndoRequest>,
    ) -> Result<Response<v1::ChangeResponse>, Status> {
        Err(unimplemented())
    }

    async fn rollback_to(
        &self,
        _: Request<v1::RollbackToRequest>,
    ) -> Result<Response<v1::ChangeResponse>, Status> {
        Err(unimplemented())
    }

    async fn confirm(
        &self,
        _: Request<v1::ConfirmRequest>,
    ) -> Result<Response<v1::ChangeResponse>, Status> {
        Err(unimplemented())
    }

    async fn load_version(
        &self,
        _: Request<v1::LoadVersionRequest>,
    ) -> Result<Response<v1::ChangeResponse>, Status> {
        Err(unimplemented())
    }

    async fn unload_version(
        &self,
        _: Request<v1::UnloadVersionRequest>,
    ) -> Result<Response<v1::ChangeResponse>, Status> {
        Err(unimplemented())
    }

    async fn retry_version(
        &self,
        _: Request<v1::RetryVersionRequest>,
    ) -> Result<Response<v1::RetryVersionResponse>, Status> {
        Err(unimplemented())
    }

    async fn upload_version(
        &self,
        _: Request<Streaming<v1::UploadVersionRequest>>,
    ) -> Result<Response<v1::UploadVersionResponse>, Status> {
        Err(unimplemented())
    }

    async fn list_revisions(
        &self,
        _: Request<v1::ListRevisionsRequest>,
    ) -> Result<Response<v1::ListRevisionsResponse>, Status> {
        Err(unimplemented())
    }

    type WatchStream = BoxStream<v1::WatchResponse>;

    async fn watch(
        &self,
        _: Request<v1::WatchRequest>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        Err(unimplemented())
    }

    type ReadAuditStream = BoxStream<v1::ReadAuditResponse>;

    async fn read_audit(
        &self,
        _: Request<v1::ReadAuditRequest>,
    ) -> Result<Response<Self::ReadAuditStream>, Status> {
        Err(unimplemented())
    }
}

fn unimplemented() -> Status {
    Status::unimplemented("this gateway cannot do that yet")
}
