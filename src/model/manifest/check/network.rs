//! Checks layers, head, output and classes, as far as this is possible without weights.

use super::{NAME, Report, is_name};
use crate::model::manifest::Layer;
use crate::model::manifest::raw::{Head, LayerKind, RawLayer, RawManifest};
use crate::model::payload::Datatype;
use crate::model::signature::{Output, Signature};

/// The most classes of one version. Each class has its own metric series.
const MAX_CLASSES: usize = 1_024;
/// The most layers of one network.
const MAX_LAYERS: usize = 1_024;

/// Returns the output, if it fits the head.
pub(super) fn output(raw: &RawManifest, report: &mut Report<'_>) -> Option<Output> {
    let [output] = raw.outputs.as_slice() else {
        let got = raw.outputs.len();
        report.add("$.outputs", format!("got {got} outputs, wants exactly one"));
        return None;
    };
    let (name, implied) = match raw.architecture.head {
        Head::Sigmoid => ("probability", Some(1)),
        Head::Softmax => ("probability", Some(raw.classes.len())),
        Head::Identity => ("value", None),
    };
    report.require(output.name == name, "$.outputs[0].name", || {
        format!("got {:?}, wants {name:?} for this head", output.name)
    });
    let fp32 = output.datatype == Datatype::Fp32;
    report.require(fp32, "$.outputs[0].datatype", || {
        format!("got {}, wants FP32", output.datatype)
    });
    let columns = match output.shape.as_slice() {
        [-1, columns] => usize::try_from(*columns)
            .ok()
            .filter(|columns| *columns > 0),
        _ => None,
    };
    let columns = columns.filter(|columns| implied.is_none_or(|implied| implied == *columns));
    report.require(columns.is_some(), "$.outputs[0].shape", || {
        let wanted = implied.map_or("columns from 1".into(), |implied| implied.to_string());
        format!("got {:?}, wants [-1, {wanted}]", output.shape)
    });
    columns.map(|columns| Output {
        name: name.into(),
        columns,
    })
}

/// Checks that the classes fit the head.
pub(super) fn classes(raw: &RawManifest, report: &mut Report<'_>) {
    let got = raw.classes.len();
    let (fits, wanted) = match raw.architecture.head {
        Head::Sigmoid => (got == 2, "2 for a sigmoid head".to_owned()),
        Head::Softmax => (
            (2..=MAX_CLASSES).contains(&got),
            format!("2 to {MAX_CLASSES} for a softmax head"),
        ),
        Head::Identity => (got == 0, "none for an identity head".to_owned()),
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
}

/// Returns the layers, if all of them are valid.
pub(super) fn layers(raw: &RawManifest, report: &mut Report<'_>) -> Option<Vec<Layer>> {
    let raw = &raw.architecture.layers;
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
pub(super) fn widths(raw: &RawManifest, signature: &Signature, report: &mut Report<'_>) {
    let linear = raw
        .architecture
        .layers
        .iter()
        .any(|layer| layer.kind == LayerKind::Linear);
    let (from, to) = (signature.columns(), signature.output.columns);
    report.require(linear || from == to, "$.architecture.layers", || {
        format!(
            "the inputs have {from} columns and the output has {to}, but no linear layer changes the width"
        )
    });
}
