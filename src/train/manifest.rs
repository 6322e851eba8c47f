//! The manifest of the new version: a draft, which encodes the training rows and is completed after training.

use std::path::Path;

use super::error::TrainError;
use super::network;
use super::spec::Spec;
use super::split::{self, Split};
use crate::faults::Faults;
use crate::ident::VersionNumber;
use crate::model::Signature;
use crate::model::manifest::raw::{
    FormatKind, Head, RawBatching, RawFile, RawFormat, RawInput, RawManifest, RawOutput,
    TrainingData,
};
use crate::model::manifest::{self, Manifest};
use crate::model::payload::Datatype;

/// Returns the head for the kind of target.
pub(super) fn head(spec: &Spec) -> Head {
    match spec.target.classes.len() {
        0 => Head::Identity,
        2 => Head::Sigmoid,
        _ => Head::Softmax,
    }
}

/// Returns the number of output columns.
pub(super) fn outputs(spec: &Spec) -> usize {
    match head(spec) {
        Head::Softmax => spec.target.classes.len(),
        Head::Sigmoid | Head::Identity => 1,
    }
}

/// Returns the manifest before training: without quality, profile and golden requests, and with placeholders for the weights.
pub(super) fn draft(
    spec: &Spec,
    version: VersionNumber,
    created_at: String,
    inputs: Vec<RawInput>,
    split: &Split,
) -> RawManifest {
    let used = |input: &&RawInput| input.encoding.kind.reaches_model();
    let head = head(spec);
    let output = if head == Head::Identity {
        "value"
    } else {
        "probability"
    };
    RawManifest {
        manifest_version: 1,
        model_name: spec.model.to_string(),
        version: version.get(),
        description: spec.description.clone(),
        created_at: Some(created_at),
        created_by: Some("taper train".into()),
        framework: Some("candle 0.11".into()),
        target: Some(spec.target.column.clone()),
        features: inputs
            .iter()
            .filter(used)
            .map(|input| input.name.clone())
            .collect(),
        training_data: Some(TrainingData {
            source: spec.data.source.clone(),
            rows: split.fit.len() as u64,
            date_range: split::days(&split.fit).map(|days| days.map(|day| day.to_string())),
            sha256: Some(split.sha256.clone()),
        }),
        metrics: Default::default(),
        format: RawFormat::Name(FormatKind::Dense),
        architecture: Some(network::architecture(
            spec.hidden.len(),
            spec.activation,
            head,
        )),
        inputs,
        matrix: None,
        outputs: vec![RawOutput {
            name: output.into(),
            datatype: Datatype::Fp32,
            shape: vec![-1, i64::try_from(outputs(spec)).unwrap_or(i64::MAX)],
            batch: None,
        }],
        prediction: None,
        classes: spec.target.classes.clone(),
        files: vec![RawFile {
            path: manifest::File::WEIGHTS.into(),
            sha256: "0".repeat(64),
            bytes: 0,
        }],
        reference: None,
        golden: Vec::new(),
        batching: RawBatching::default(),
    }
}

/// Returns the signature of the draft, which encodes rows.
///
/// # Errors
/// Returns the faults of the manifest, with the paths of the spec fields that cause them.
pub(super) fn signature(draft: &RawManifest, spec: &Path) -> Result<Signature, TrainError> {
    let checked = Manifest::check(draft.clone(), spec);
    checked.map(|manifest| manifest.signature).map_err(|found| {
        let mut faults = Faults::default();
        for fault in found.iter() {
            let path = fault
                .path
                .replace("$.inputs", "$.features")
                .replace(".encoding.", ".");
            let path = path.replace("$.classes", "$.target.classes");
            faults.add(&fault.file, path, &fault.message);
        }
        TrainError::Spec(faults)
    })
}
