//! Checks the outputs, which of them is judged, and the classes.

use super::shape;
use crate::model::manifest::raw::{RawManifest, RawOutput, RawPredictionKind};
use crate::model::manifest::report::{Report, TENSOR_NAME, is_tensor_name};
use crate::model::payload::Datatype;
use crate::model::signature::{Output, Prediction, PredictionKind};

/// The most classes of one version. Each class has its own metric series.
pub(in crate::model) const MAX_CLASSES: usize = 1_024;
/// The most outputs of one version.
const MAX_OUTPUTS: usize = 64;
/// The cosine below which two embeddings disagree, by default.
const COSINE: f32 = 0.95;

/// Returns the outputs, if all of them are valid.
pub(super) fn outputs(raw: &RawManifest, report: &mut Report<'_>) -> Option<Vec<Output>> {
    report.require(raw.outputs.len() <= MAX_OUTPUTS, "$.outputs", || {
        format!(
            "got {} outputs, wants at most {MAX_OUTPUTS}",
            raw.outputs.len()
        )
    });
    let names = raw.outputs.iter().map(|output| output.name.as_str());
    report.unique(|at| format!("$.outputs[{at}].name"), names);
    let outputs = raw.outputs.iter().enumerate();
    let outputs: Vec<_> = outputs
        .map(|(at, output)| one(output, &format!("$.outputs[{at}]"), report))
        .collect();
    outputs.into_iter().collect()
}

fn one(raw: &RawOutput, path: &str, report: &mut Report<'_>) -> Option<Output> {
    report.require(is_tensor_name(&raw.name), &format!("{path}.name"), || {
        format!("got {:?}, expected {TENSOR_NAME}", raw.name)
    });
    let shape = shape::parse(&raw.shape, raw.batch, &format!("{path}.shape"), report)?;
    Some(Output {
        name: raw.name.clone(),
        datatype: raw.datatype,
        shape,
    })
}

/// Returns which output is judged, if the manifest says so without a fault. `has_rows` says whether requests have rows, if the inputs
/// are valid; without them, a request is one row.
pub(super) fn prediction(
    raw: &RawManifest,
    outputs: &[Output],
    has_rows: Option<bool>,
    report: &mut Report<'_>,
) -> Option<Prediction> {
    let named = raw.prediction.as_ref().and_then(|one| one.output.as_ref());
    let at = match named {
        Some(name) => outputs.iter().position(|output| output.name == *name),
        None => (outputs.len() == 1).then_some(0),
    };
    let Some(at) = at else {
        if raw.manifest_version == 1 && named.is_none() {
            // `form` reports that there is more than one output.
            return None;
        }
        let (got, wanted) = match named {
            Some(name) => (format!("{name:?}"), "the name of an output"),
            None => (
                format!("{} outputs and no name", outputs.len()),
                "the name of the output that is judged",
            ),
        };
        report.add("$.prediction.output", format!("got {got}, wants {wanted}"));
        return None;
    };
    let output = &outputs[at];
    let has_rows = has_rows.unwrap_or(output.shape.batched);
    report.require(output.shape.batched == has_rows, "$.prediction", || {
        let expected = if has_rows {
            "one"
        } else {
            "none, as for the inputs"
        };
        format!(
            "got an output with another first axis, expected {expected} that is the number of rows"
        )
    });
    let is_embedding =
        matches!(&raw.prediction, Some(one) if one.kind == RawPredictionKind::Embedding);
    let columns = match output.shape.axes.as_slice() {
        // One vector per row, whatever the axes are.
        _ if is_embedding => Some(1),
        [] => Some(1),
        [Some(columns)] => Some(*columns),
        // A single row: `[1, n]`.
        [Some(1), Some(columns)] if !has_rows => Some(*columns),
        _ => None,
    };
    let Some(columns) = columns else {
        let got = output.shape.to_wire();
        let expected = if has_rows {
            "[-1] or [-1, n]"
        } else {
            "[n] or [1, n]"
        };
        report.add(
            format!("$.outputs[{at}].shape"),
            format!("got {got:?}, expected {expected}: the output is judged; a prediction of kind embedding may have any shape"),
        );
        return None;
    };
    let kind = kind(raw, columns, report);
    checked_kind(kind, output, columns, report);
    if !classes(raw, kind, columns, report) {
        return None;
    }
    let columns = match kind {
        PredictionKind::Labels => raw.classes.len().max(1),
        _ => columns,
    };
    Some(Prediction {
        output: at,
        kind,
        columns,
    })
}

fn kind(raw: &RawManifest, columns: usize, report: &mut Report<'_>) -> PredictionKind {
    let Some(prediction) = &raw.prediction else {
        return match (raw.classes.is_empty(), columns) {
            (false, _) => PredictionKind::Probabilities,
            (true, 1) => PredictionKind::Value,
            (true, _) => PredictionKind::Values,
        };
    };
    let is_embedding = prediction.kind == RawPredictionKind::Embedding;
    let belongs = is_embedding || prediction.cosine.is_none();
    report.require(belongs, "$.prediction.cosine", || {
        "belongs to kind embedding only".into()
    });
    match prediction.kind {
        RawPredictionKind::Probabilities => PredictionKind::Probabilities,
        RawPredictionKind::Labels => PredictionKind::Labels,
        RawPredictionKind::Value => PredictionKind::Value,
        RawPredictionKind::Values => PredictionKind::Values,
        RawPredictionKind::Embedding => {
            let cosine = prediction.cosine.unwrap_or(COSINE);
            let valid = (-1.0..=1.0).contains(&cosine);
            report.require(valid, "$.prediction.cosine", || {
                format!("got {cosine}, wants a number from -1 to 1")
            });
            PredictionKind::Embedding(cosine)
        }
    }
}

/// Checks that the datatype and the columns of the judged output fit what it is.
fn checked_kind(kind: PredictionKind, output: &Output, columns: usize, report: &mut Report<'_>) {
    let datatype = output.datatype;
    let (fits, wanted) = match kind {
        PredictionKind::Labels => (
            datatype == Datatype::Bytes || datatype == Datatype::Bool || datatype.is_integer(),
            "BYTES, BOOL or an integer type",
        ),
        PredictionKind::Value | PredictionKind::Values => (
            datatype.is_float() || datatype.is_integer(),
            "a float or an integer type",
        ),
        _ => (datatype.is_float(), "a float type"),
    };
    let kind_name = kind.as_str();
    report.require(fits, "$.prediction", || {
        format!("got {datatype}, wants {wanted} for an output of kind {kind_name}")
    });
    let single = matches!(kind, PredictionKind::Labels | PredictionKind::Value);
    report.require(!single || columns == 1, "$.prediction", || {
        format!("got {columns} columns, wants 1 for an output of kind {kind_name}")
    });
}

/// Checks the classes. Returns whether their number fits what is predicted.
fn classes(
    raw: &RawManifest,
    kind: PredictionKind,
    columns: usize,
    report: &mut Report<'_>,
) -> bool {
    let got = raw.classes.len();
    let (fits, wanted) = match kind {
        PredictionKind::Probabilities if columns == 1 => {
            (got == 2, "2 for one column of probabilities".to_owned())
        }
        PredictionKind::Probabilities => (
            got == columns && (2..=MAX_CLASSES).contains(&got),
            format!("{columns}, one per column, and at most {MAX_CLASSES}"),
        ),
        PredictionKind::Labels => (
            (2..=MAX_CLASSES).contains(&got),
            format!("2 to {MAX_CLASSES} for labels"),
        ),
        _ => (
            got == 0,
            format!("none for a prediction of kind {}", kind.as_str()),
        ),
    };
    report.require(fits, "$.classes", || {
        format!("got {got} classes, wants {wanted}")
    });
    for (at, class) in raw.classes.iter().enumerate() {
        let fits = (1..=128).contains(&class.chars().count());
        report.require(fits, &format!("$.classes[{at}]"), || {
            format!("got {} characters, wants 1 to 128", class.chars().count())
        });
    }
    let classes = raw.classes.iter().map(String::as_str);
    report.unique(|at| format!("$.classes[{at}]"), classes);
    fits
}
