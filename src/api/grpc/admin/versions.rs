//! Models and versions as operators see them.

use crate::faults::Faults;
use crate::ident::VersionNumber;
use crate::model::payload::Datatype;
use crate::proto::v1;
use crate::serving::live::{ServingModel, ServingVersion};

/// One line of a listing.
pub(super) fn summary(model: &ServingModel) -> v1::ModelSummary {
    v1::ModelSummary {
        name: model.name.to_string(),
        ready_versions: model.ready.keys().map(|version| version.get()).collect(),
        failed_versions: model.failed.keys().map(|version| version.get()).collect(),
        policy_revision: revision(model),
    }
}

/// One model with all its versions.
pub(super) fn model(model: &ServingModel) -> v1::GetModelResponse {
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
    v1::GetModelResponse {
        model: model.name.to_string(),
        versions,
        labels,
        revision: revision(model),
        ..v1::GetModelResponse::default()
    }
}

fn revision(model: &ServingModel) -> u64 {
    model
        .routing
        .as_ref()
        .map_or(0, |routing| routing.revision.0)
}

fn ready(version: &ServingVersion) -> v1::VersionStatus {
    let manifest = version.version.manifest();
    let signature = &manifest.signature;
    let columns = i64::try_from(signature.output.columns).unwrap_or(i64::MAX);
    v1::VersionStatus {
        version: manifest.version.get(),
        state: v1::VersionState::Ready.into(),
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
        ..v1::VersionStatus::default()
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
