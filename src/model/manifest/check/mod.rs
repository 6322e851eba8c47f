//! Checks a parsed manifest and reports every fault at once, each with its JSON path.
//!
//! The schema has been checked before. The rules here relate fields to each other. Nothing here reads weights or other files.

mod encoding;
mod files;
mod inputs;
mod outputs;
mod reference;
mod shape;

#[cfg(test)]
mod tests;

pub(in crate::model) use outputs::MAX_CLASSES;

use std::path::Path;

use super::Manifest;
use super::raw::{EncodingKind, FormatKind, RawFormat, RawInput, RawManifest};
use super::report::Report;
use crate::faults::Faults;
use crate::ident::{ModelName, VersionNumber};
use crate::model::digest::VersionDigest;
use crate::model::format::Format;
use crate::model::payload::{Cell, Payload};
use crate::model::signature::{Shape, Signature, Target};

/// The most golden requests of one version.
const MAX_GOLDEN: usize = 1_024;
/// The most rows of one request.
const MAX_ROWS: usize = 65_536;
/// The most values of one encoded batch, and of its scores: 256 MiB of f32.
const MAX_VALUES: usize = 1 << 26;

impl Manifest {
    /// Checks everything that can be checked without weights. `file` is used only in faults.
    ///
    /// # Errors
    /// Returns all faults, with their JSON paths.
    pub fn check(raw: RawManifest, file: &Path) -> Result<Self, Faults> {
        let mut report = Report::of(file);
        let model: Option<ModelName> = report.parsed("$.model_name", raw.model_name.parse());
        let version = report.parsed("$.version", VersionNumber::try_from(raw.version));
        let settings = raw.format.settings();
        let format = <dyn Format>::of(settings.kind);
        let before = report.faults.iter().count();
        form(&raw, &mut report);
        let inputs = inputs::check(&raw, format, &mut report);
        let outputs = outputs::outputs(&raw, &mut report);
        // Faults of the inputs hide none of the outputs.
        let has_rows = inputs
            .as_ref()
            .map(|inputs| inputs.iter().any(|input| input.shape.batched));
        let prediction = outputs
            .as_deref()
            .and_then(|outputs| outputs::prediction(&raw, outputs, has_rows, &mut report));
        let signature = (|| {
            let (inputs, outputs, prediction) = (inputs?, outputs?, prediction?);
            let (classes, max_rows) = (raw.classes.clone(), raw.batching.max_rows);
            let mut signature = Signature::new(inputs, outputs, prediction, classes, max_rows);
            signature.target = format.target();
            signature.matrix.clone_from(&raw.matrix);
            Some(signature)
        })();
        format.check(&raw, signature.as_ref(), &mut report);
        let files = files::check(&raw, format.files(&settings), &mut report);
        provenance(&raw, &mut report);
        if let Some(signature) = &signature {
            // Against a faulty signature, these would only cause further faults.
            if report.faults.iter().count() == before {
                reference::check(&raw, signature, &mut report);
                golden(&raw, signature, &mut report);
            }
            batching(signature, &mut report);
        }
        report.faults.into_result()?;
        // Not reached: each part that is `None` has reported a fault.
        let (Some(model), Some(version), Some(signature), Some(files)) =
            (model, version, signature, files)
        else {
            return Err(Faults::one(file, "is invalid"));
        };
        Ok(Self {
            model,
            version,
            signature,
            format: settings,
            files,
            golden: raw.golden.clone(),
            digest: VersionDigest::default(),
            about: raw,
        })
    }
}

/// Checks that a manifest of form 1 uses nothing of form 2.
fn form(raw: &RawManifest, report: &mut Report<'_>) {
    if raw.manifest_version > 1 {
        return;
    }
    let tagged = matches!(raw.format, RawFormat::Tagged(_));
    let not_dense = raw.format.kind() != FormatKind::Dense;
    let tensor = |input: &RawInput| {
        matches!(
            input.encoding.kind,
            EncodingKind::Tensor | EncodingKind::Ordinal | EncodingKind::Mask
        )
    };
    for (uses, field) in [
        (tagged || not_dense, "$.format"),
        (raw.prediction.is_some(), "$.prediction"),
        (raw.matrix.is_some(), "$.matrix"),
        (raw.inputs.iter().any(tensor), "$.inputs"),
        (raw.outputs.len() > 1, "$.outputs"),
    ] {
        report.require(!uses, field, || {
            "this belongs to form 2; add \"manifest_version\": 2".into()
        });
    }
}

fn provenance(raw: &RawManifest, report: &mut Report<'_>) {
    if let Some(at) = &raw.created_at {
        let valid = at.parse::<jiff::Timestamp>().is_ok();
        report.require(valid, "$.created_at", || {
            format!("got {at:?}, wants an RFC 3339 time such as 2013-01-31T08:00:00Z")
        });
    }
    let digest = raw
        .training_data
        .as_ref()
        .and_then(|data| data.sha256.as_ref());
    if let Some(digest) = digest {
        report.parsed("$.training_data.sha256", files::digest(digest));
    }
    for (name, value) in &raw.metrics {
        report.require(value.is_finite(), &format!("$.metrics.{name}"), || {
            format!("got {value}, wants a finite number")
        });
    }
}

fn batching(signature: &Signature, report: &mut Report<'_>) {
    let rows = signature.max_rows;
    let values = |sum: usize, shape: &Shape| sum.saturating_add(shape.least_values());
    let inputs = signature.inputs().iter();
    let columns = match signature.target {
        Target::Tensors => inputs.fold(0, |sum, input| values(sum, &input.shape)),
        Target::Single | Target::Double => signature.columns(),
    };
    let outputs = signature.outputs().iter();
    let output = outputs.fold(0, |sum, output| values(sum, &output.shape));
    // Labels are judged as one column per class.
    let output = output.max(signature.prediction.columns);
    let most = MAX_ROWS.min(MAX_VALUES / usize::max(columns, output).max(1));
    report.require((1..=most).contains(&rows), "$.batching.max_rows", || {
        format!(
            "got {rows}, wants 1 to {most} for {columns} input columns and {output} output columns"
        )
    });
}

fn golden(raw: &RawManifest, signature: &Signature, report: &mut Report<'_>) {
    report.require(raw.golden.len() <= MAX_GOLDEN, "$.golden", || {
        format!(
            "got {} requests, wants at most {MAX_GOLDEN}",
            raw.golden.len()
        )
    });
    for (at, golden) in raw.golden.iter().take(MAX_GOLDEN).enumerate() {
        if let Err(faults) = signature.encode(&golden.payload()) {
            for fault in faults.iter() {
                let cell = fault.field.trim_start_matches("rows[0]");
                let path = format!("$.golden[{at}].row{cell}");
                report.add(path, format!("got {}, wants {}", fault.got, fault.wanted));
            }
        }
        let (got, wanted) = (golden.answer.len(), signature.prediction.columns);
        report.require(got == wanted, &format!("$.golden[{at}].answer"), || {
            format!("got {got} numbers, wants {wanted}: one per output column")
        });
        if let Some(place) = golden.answer.iter().position(|x| !x.is_finite()) {
            let got = golden.answer[place];
            report.add(
                format!("$.golden[{at}].answer[{place}]"),
                format!("got {got}, wants a finite number"),
            );
        }
    }
}

impl super::raw::Golden {
    /// Returns the request.
    #[must_use]
    pub fn payload(&self) -> Payload {
        let row = self.row.iter();
        Payload::Rows(vec![
            row.map(|(name, value)| (name.clone(), Cell::from(value)))
                .collect(),
        ])
    }
}
