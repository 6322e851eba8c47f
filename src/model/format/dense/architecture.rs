//! The layers and the head of a dense network, as the manifest describes them.

use std::path::Path;

use crate::faults::Faults;
use crate::model::manifest::raw::{Head, LayerKind, RawLayer, RawManifest};
use crate::model::manifest::report::{NAME, Report, is_name};
use crate::model::payload::Datatype;
use crate::model::signature::{PredictionKind, Signature};

/// The most layers of one network.
const MAX_LAYERS: usize = 1_024;

/// The layers of a network, in order, and its head.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Architecture {
    pub(super) layers: Vec<Layer>,
    /// The function from the logits to the output.
    pub(super) head: Head,
}

/// One layer, with the fields of its kind.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Layer {
    /// `x W^T + b`, with the prefix of its tensors `NAME.weight` and, optionally, `NAME.bias`.
    Linear(String),
    /// Batch normalization. It is folded into a linear layer when the version is loaded.
    BatchNorm {
        /// Prefix of its four tensors.
        name: String,
        /// Added to the variance.
        eps: f64,
    },
    /// `max(x, 0)`
    Relu,
    /// `x Phi(x)`
    Gelu,
    /// `x sigmoid(x)`
    Silu,
    /// Hyperbolic tangent.
    Tanh,
    /// `1 / (1 + e^-x)`
    Sigmoid,
    /// Leaky ReLU, with its slope for negative values.
    LeakyRelu(f64),
}

/// Returns the architecture, if it is valid and fits the signature.
pub(super) fn check(
    raw: &RawManifest,
    signature: Option<&Signature>,
    report: &mut Report<'_>,
) -> Option<Architecture> {
    let Some(architecture) = &raw.architecture else {
        report.add("$.architecture", "missing");
        return None;
    };
    let layers = layers(&architecture.layers, report);
    if let Some(signature) = signature {
        head(architecture.head, signature, report);
        widths(&architecture.layers, signature, report);
    }
    Some(Architecture {
        layers: layers?,
        head: architecture.head,
    })
}

/// Returns the architecture of a manifest that has been checked.
///
/// # Errors
/// Returns an error if the manifest has not been checked, and is faulty. `file` is used only in faults.
pub(super) fn of(raw: &RawManifest, file: &Path) -> Result<Architecture, Faults> {
    let mut report = Report::of(file);
    let architecture = check(raw, None, &mut report);
    report.faults.into_result()?;
    architecture.ok_or_else(|| Faults::one(file, "has no architecture"))
}

/// Checks that the output fits the head.
fn head(head: Head, signature: &Signature, report: &mut Report<'_>) {
    let output = signature.judged();
    // The check of the prediction has reported another type than a float.
    let other_float = matches!(output.datatype, Datatype::Fp16 | Datatype::Bf16);
    report.require(!other_float, "$.outputs[0].datatype", || {
        format!("got {}, wants FP32 or FP64", output.datatype)
    });
    let (kind, columns) = (signature.prediction.kind, signature.judged_columns());
    let classes = signature.classes.len();
    let is_probability = kind == PredictionKind::Probabilities;
    let (fits, wanted) = match head {
        Head::Sigmoid => (
            is_probability && classes == 2,
            "2 for a sigmoid head".to_owned(),
        ),
        Head::Softmax => (is_probability, "2 to 1024 for a softmax head".to_owned()),
        Head::Identity => (!kind.has_classes(), "none for an identity head".to_owned()),
    };
    report.require(fits, "$.classes", || {
        format!("got {classes} classes, wants {wanted}")
    });
    let implied = match head {
        Head::Sigmoid => Some(1),
        Head::Softmax => Some(classes),
        Head::Identity => None,
    };
    if let Some(implied) = implied.filter(|implied| fits && *implied != columns) {
        let got = output.shape.to_wire();
        report.add(
            "$.outputs[0].shape",
            format!("got {got:?}, wants [-1, {implied}]"),
        );
    }
}

/// Returns the layers, if all of them are valid.
fn layers(raw: &[RawLayer], report: &mut Report<'_>) -> Option<Vec<Layer>> {
    report.require(raw.len() <= MAX_LAYERS, "$.architecture.layers", || {
        format!("got {} layers, wants at most {MAX_LAYERS}", raw.len())
    });
    let path = |at| format!("$.architecture.layers[{at}]");
    let layers: Vec<_> = raw
        .iter()
        .enumerate()
        .map(|(at, layer)| one(layer, &path(at), report))
        .collect();
    let mut seen = std::collections::HashSet::new();
    for (at, layer) in raw.iter().enumerate() {
        if let Some(name) = &layer.name
            && !seen.insert(name)
        {
            report.add(
                format!("{}.name", path(at)),
                format!("got {name:?} again, wants each name once"),
            );
        }
    }
    layers.into_iter().collect()
}

fn one(raw: &RawLayer, path: &str, report: &mut Report<'_>) -> Option<Layer> {
    let named = matches!(raw.kind, LayerKind::Linear | LayerKind::BatchNorm);
    match &raw.name {
        None => report.require(!named, &format!("{path}.name"), || {
            "missing: the prefix of its tensors".into()
        }),
        Some(_) if !named => {
            report.add(
                format!("{path}.name"),
                "belongs to linear and batch_norm only",
            );
        }
        Some(name) => report.require(is_name(name), &format!("{path}.name"), || {
            format!("got {name:?}, wants {NAME}")
        }),
    }
    let is = |kind| raw.kind == kind;
    let only = |present: bool, kind| !present || is(kind);
    let eps = only(raw.eps.is_some(), LayerKind::BatchNorm);
    report.require(eps, &format!("{path}.eps"), || {
        "belongs to batch_norm only".into()
    });
    let slope = only(raw.negative_slope.is_some(), LayerKind::LeakyRelu);
    report.require(slope, &format!("{path}.negative_slope"), || {
        "belongs to leaky_relu only".into()
    });
    let eps = raw.eps.unwrap_or(1e-5);
    report.require(
        eps >= 0.0 && eps.is_finite(),
        &format!("{path}.eps"),
        || format!("got {eps}, wants a finite number, 0 or more"),
    );
    let slope = raw.negative_slope.unwrap_or(0.01);
    report.require(slope.is_finite(), &format!("{path}.negative_slope"), || {
        format!("got {slope}, wants a finite number")
    });
    Some(match raw.kind {
        LayerKind::Linear => Layer::Linear(raw.name.clone()?),
        LayerKind::BatchNorm => Layer::BatchNorm {
            name: raw.name.clone()?,
            eps,
        },
        LayerKind::Relu => Layer::Relu,
        LayerKind::Gelu => Layer::Gelu,
        LayerKind::Silu => Layer::Silu,
        LayerKind::Tanh => Layer::Tanh,
        LayerKind::Sigmoid => Layer::Sigmoid,
        LayerKind::LeakyRelu => Layer::LeakyRelu(slope),
    })
}

/// Checks that the output is as wide as the inputs if no linear layer changes the width.
fn widths(raw: &[RawLayer], signature: &Signature, report: &mut Report<'_>) {
    let linear = raw.iter().any(|layer| layer.kind == LayerKind::Linear);
    let (from, to) = (signature.columns(), signature.judged_columns());
    report.require(linear || from == to, "$.architecture.layers", || {
        format!(
            "the inputs have {from} columns and the output has {to}, but no linear layer changes the width"
        )
    });
}
