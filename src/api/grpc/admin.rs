//! `taper.v1.AdminService`.

use std::sync::Arc;

use tonic::{Request, Response, Status};

use crate::api::status;
use crate::control::{Control, PolicyChange};
use crate::error::{AdminError, InputFaults};
use crate::faults::Faults;
use crate::ident::{Revision, VersionNumber};
use crate::model::payload::Datatype;
use crate::proto::v1;
use crate::proto::v1::admin_service_server::AdminService;
use crate::serving::live::{Live, ServingModel, ServingVersion};
use crate::serving::route::{Policy, RawHeaderRule, RawPolicy};

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
            .map(|model| summary(model))
            .collect();
        models.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(Response::new(v1::ListModelsResponse { models }))
    }

    async fn get_model(
        &self,
        request: Request<v1::GetModelRequest>,
    ) -> Result<Response<v1::GetModelResponse>, Status> {
        let model = self.model(&request.get_ref().model)?;
        let ready = model.ready.values().map(|version| ready(version));
        let failed = model
            .failed
            .iter()
            .map(|(number, faults)| failed(*number, faults));
        let mut versions: Vec<_> = ready.chain(failed).collect();
        versions.sort_by_key(|version| version.version);
        let labels = model.labels.iter();
        let labels = labels
            .map(|(label, version)| (label.to_string(), version.get()))
            .collect();
        Ok(Response::new(v1::GetModelResponse {
            model: model.name.to_string(),
            versions,
            labels,
        }))
    }

    async fn get_traffic_policy(
        &self,
        request: Request<v1::GetTrafficPolicyRequest>,
    ) -> Result<Response<v1::GetTrafficPolicyResponse>, Status> {
        let model = self.model(&request.get_ref().model)?;
        let name = model.name.to_string();
        let Some(routing) = &model.routing else {
            return Ok(Response::new(v1::GetTrafficPolicyResponse {
                model: name,
                ..Default::default()
            }));
        };
        let rows = routing.policy.split().rows().iter().zip(routing.counted());
        Ok(Response::new(v1::GetTrafficPolicyResponse {
            model: name,
            policy: Some(policy(&routing.policy)),
            revision: routing.revision.0,
            counted: rows
                .map(|((version, _), requests)| v1::CountedShare {
                    version: version.get(),
                    requests,
                })
                .collect(),
        }))
    }

    async fn set_traffic_policy(
        &self,
        request: Request<v1::SetTrafficPolicyRequest>,
    ) -> Result<Response<v1::SetTrafficPolicyResponse>, Status> {
        let message = request.into_inner();
        let policy = message.policy.ok_or_else(|| {
            let faults = InputFaults::one("policy", "nothing", "the whole new policy");
            status::from_admin(&AdminError::InvalidPolicy(faults))
        })?;
        let change = PolicyChange {
            model: message.model,
            policy: raw_policy(policy),
            expected: Revision(message.expected_revision),
        };
        let revision = self.control.set_policy(change).await;
        let revision = revision.map_err(|error| status::from_admin(&error))?.0;
        Ok(Response::new(v1::SetTrafficPolicyResponse { revision }))
    }
}

fn summary(model: &ServingModel) -> v1::ModelSummary {
    v1::ModelSummary {
        name: model.name.to_string(),
        ready_versions: model.ready.keys().map(|version| version.get()).collect(),
        failed_versions: model.failed.keys().map(|version| version.get()).collect(),
        policy_revision: model
            .routing
            .as_ref()
            .map_or(0, |routing| routing.revision.0),
    }
}

fn ready(version: &ServingVersion) -> v1::VersionStatus {
    let manifest = version.version.manifest();
    let signature = &manifest.signature;
    let columns = i64::try_from(signature.output.columns).unwrap_or(i64::MAX);
    v1::VersionStatus {
        version: manifest.version.get(),
        state: v1::VersionState::Ready.into(),
        faults: Vec::new(),
        inputs: signature
            .inputs()
            .iter()
            .map(|input| v1::TensorSignature {
                name: input.name.clone(),
                datatype: datatype(input.datatype).into(),
                shape: input.shape(),
                optional: input.optional(),
                sensitive: input.sensitive,
            })
            .collect(),
        outputs: vec![v1::TensorSignature {
            name: signature.output.name.clone(),
            datatype: v1::Datatype::Fp32.into(),
            shape: vec![-1, columns],
            optional: false,
            sensitive: false,
        }],
        classes: signature.classes.clone(),
        metrics: manifest.about.metrics.clone().into_iter().collect(),
        created_at: manifest.about.created_at.clone().unwrap_or_default(),
        description: manifest.about.description.clone().unwrap_or_default(),
    }
}

fn failed(number: VersionNumber, faults: &Faults) -> v1::VersionStatus {
    v1::VersionStatus {
        version: number.get(),
        state: v1::VersionState::Failed.into(),
        faults: faults
            .iter()
            .map(|fault| v1::Fault {
                file: fault.file.display().to_string(),
                path: fault.path.clone(),
                message: fault.message.clone(),
            })
            .collect(),
        ..v1::VersionStatus::default()
    }
}

fn datatype(datatype: Datatype) -> v1::Datatype {
    match datatype {
        Datatype::Bool => v1::Datatype::Bool,
        Datatype::Int32 => v1::Datatype::Int32,
        Datatype::Int64 => v1::Datatype::Int64,
        Datatype::Fp32 => v1::Datatype::Fp32,
        Datatype::Fp64 => v1::Datatype::Fp64,
        Datatype::Bytes => v1::Datatype::Bytes,
    }
}

fn policy(policy: &Policy) -> v1::TrafficPolicy {
    let raw = policy.to_raw();
    v1::TrafficPolicy {
        split: raw
            .split
            .into_iter()
            .map(|(version, basis_points)| v1::Share {
                version,
                basis_points,
            })
            .collect(),
        header_rules: raw
            .header_rules
            .into_iter()
            .map(|rule| v1::HeaderRule {
                header: rule.header,
                value: rule.value,
                version: rule.version,
            })
            .collect(),
        sticky_header: raw.sticky_header,
        salt: raw.salt,
    }
}

fn raw_policy(policy: v1::TrafficPolicy) -> RawPolicy {
    RawPolicy {
        split: policy
            .split
            .into_iter()
            .map(|share| (share.version, share.basis_points))
            .collect(),
        header_rules: policy
            .header_rules
            .into_iter()
            .map(|rule| RawHeaderRule {
                header: rule.header,
                value: rule.value,
                version: rule.version,
            })
            .collect(),
        sticky_header: policy.sticky_header,
        salt: policy.salt,
    }
}
