//! Writes models and versions for operators.

use prost_types::Timestamp;

use super::super::tensor;
use crate::control::{ModelView, Pending, State, VersionView};
use crate::faults::{Fault, Faults};
use crate::ident::VersionNumber;
use crate::model::{Encoding, Input, Manifest, Output, PredictionKind, Signature};
use crate::proto::v1;

/// Limit on the categories listed for an input: a manifest may have thousands, and a listing has every version.
const MAX_CATEGORIES: usize = 64;

/// Writes one line of a listing.
pub(super) fn write_summary(model: &ModelView) -> v1::ModelSummary {
    let in_state = |state| {
        let versions = model.versions.iter();
        let versions = versions.filter(move |(_, version)| version.state == state);
        versions.map(|(number, _)| number.get()).collect()
    };
    v1::ModelSummary {
        name: model.name.to_string(),
        ready_versions: in_state(State::Ready),
        failed_versions: in_state(State::Failed),
        policy_revision: model.revision.0,
    }
}

/// Writes one model with all its versions.
pub(super) fn write_model(model: &ModelView) -> v1::GetModelResponse {
    let versions = model.versions.iter();
    let labels = model.labels.iter();
    v1::GetModelResponse {
        model: model.name.to_string(),
        versions: versions
            .map(|(number, view)| write_version(*number, view))
            .collect(),
        labels: labels
            .map(|(label, version)| (label.to_string(), version.get()))
            .collect(),
        revision: model.revision.0,
        confirm_by: model
            .wanted
            .pending
            .map(Pending::until)
            .map(Timestamp::from),
        problem: model.problem.clone().unwrap_or_default(),
    }
}

fn write_version(number: VersionNumber, view: &VersionView) -> v1::VersionStatus {
    let from_manifest = view
        .manifest
        .as_deref()
        .map(write_manifest_fields)
        .unwrap_or_default();
    v1::VersionStatus {
        version: number.get(),
        state: write_state(view.state).into(),
        faults: view.faults.as_deref().map(write_faults).unwrap_or_default(),
        since: Some(Timestamp::from(view.since)),
        held_by: view.held_by.clone(),
        weight_bytes: view.weight_bytes,
        failures: view.failures,
        retry_at: view.retry_at.map(Timestamp::from),
        waits_for: view.waits_for.clone().unwrap_or_default(),
        replaced: view
            .replaced
            .as_deref()
            .map(write_faults)
            .unwrap_or_default(),
        ..from_manifest
    }
}

/// Writes the fields that come from a version's manifest.
fn write_manifest_fields(manifest: &Manifest) -> v1::VersionStatus {
    let signature = &manifest.signature;
    v1::VersionStatus {
        inputs: signature.inputs().iter().map(write_input).collect(),
        outputs: signature.outputs().iter().map(write_output).collect(),
        classes: signature.classes.clone(),
        prediction: Some(write_prediction(signature)),
        metrics: manifest.about.metrics.clone().into_iter().collect(),
        created_at: manifest.about.created_at.clone().unwrap_or_default(),
        description: manifest.about.description.clone().unwrap_or_default(),
        ..v1::VersionStatus::default()
    }
}

/// Writes which output is judged, and what it is.
fn write_prediction(signature: &Signature) -> v1::JudgedOutput {
    let (kind, cosine) = match signature.prediction.kind {
        PredictionKind::Probabilities => (v1::PredictionKind::Probabilities, None),
        PredictionKind::Labels => (v1::PredictionKind::Labels, None),
        PredictionKind::Value => (v1::PredictionKind::Value, None),
        PredictionKind::Values => (v1::PredictionKind::Values, None),
        PredictionKind::Embedding(cosine) => (v1::PredictionKind::Embedding, Some(cosine)),
    };
    v1::JudgedOutput {
        output: signature.judged().name.clone(),
        kind: kind.into(),
        cosine,
    }
}

fn write_output(output: &Output) -> v1::TensorSignature {
    v1::TensorSignature {
        name: output.name.clone(),
        datatype: tensor::to_wire(output.datatype).into(),
        shape: output.shape.to_wire(),
        ..v1::TensorSignature::default()
    }
}

/// Writes one input. Of a sensitive one, nothing that hints at its values.
fn write_input(input: &Input) -> v1::TensorSignature {
    let (range, categories) = match &input.encoding {
        _ if input.is_sensitive() => (None, &[][..]),
        Encoding::Numeric { range, .. } | Encoding::Cyclic { range, .. } => (*range, &[][..]),
        Encoding::Categorical { categories, .. } | Encoding::Ordinal { categories, .. } => {
            (None, categories.names())
        }
        Encoding::Ignore { .. } | Encoding::Tensor { .. } | Encoding::Mask { .. } => {
            (None, &[][..])
        }
    };
    v1::TensorSignature {
        name: input.name.clone(),
        datatype: tensor::to_wire(input.datatype).into(),
        shape: input.shape.to_wire(),
        optional: input.optional(),
        sensitive: input.is_sensitive(),
        range: range.map(|range| v1::ValueRange {
            min: range.min,
            max: range.max,
        }),
        categories: categories.iter().take(MAX_CATEGORIES).cloned().collect(),
    }
}

fn write_faults(faults: &Faults) -> Vec<v1::Fault> {
    let fault = |fault: &Fault| v1::Fault {
        file: fault.file.display().to_string(),
        path: fault.path.clone(),
        message: fault.message.clone(),
    };
    faults.iter().map(fault).collect()
}

fn write_state(state: State) -> v1::VersionState {
    match state {
        State::Discovered => v1::VersionState::Discovered,
        State::Loading => v1::VersionState::Loading,
        State::Verifying => v1::VersionState::Verifying,
        State::Warming => v1::VersionState::Warming,
        State::Ready => v1::VersionState::Ready,
        State::Draining => v1::VersionState::Draining,
        State::Retired => v1::VersionState::Retired,
        State::Failed => v1::VersionState::Failed,
    }
}
