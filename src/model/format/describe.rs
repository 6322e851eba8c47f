//! What a model's file says about its inputs, outputs and predictions, as the parts of a manifest.

use std::collections::BTreeSet;

use bytes::Bytes;

use super::onnx::{self, Classes, Dim, Graph, Meaning, TensorInfo};
use super::{FormatFault, lightgbm, xgboost};
use crate::model::manifest::MAX_CLASSES;
use crate::model::manifest::raw::{
    EncodingKind, FormatKind, FormatSettings, Iterations, MissingPolicy, RawCategory, RawEncoding,
    RawInput, RawOutput, RawPredictionKind, UnknownPolicy,
};
use crate::model::payload::Datatype;
use crate::model::sensitivity::Sensitivity;
use crate::model::trees::{FeatureKind, Predicted, TreeModel};

/// The parts of a manifest that follow from a model's file.
#[derive(Clone, Debug, PartialEq)]
pub struct Description {
    /// The format and its settings, except the names of files.
    pub format: FormatSettings,
    /// The library that made the file, such as `xgboost 3.2.0`.
    pub framework: String,
    /// What was learned, in the words of the library, such as `binary:logistic`; empty if the file does not say.
    pub objective: String,
    /// The inputs, in the order of the model's columns.
    pub inputs: Vec<RawInput>,
    /// Name of the tensor that requests may have instead of the inputs.
    pub matrix: Option<String>,
    /// The outputs.
    pub outputs: Vec<RawOutput>,
    /// The outputs that can be judged without knowing more. The first is the best choice.
    pub judged: Vec<Judged>,
    /// Whether the model computes a single row: its file fixes the first axis of every tensor at 1.
    pub single_row: bool,
    /// Files with external data that the model's file refers to.
    pub external: Vec<String>,
    /// What a person should know, in whole sentences.
    pub notes: Vec<String>,
}

/// An output that can be judged, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Judged {
    /// Name of the output.
    pub output: String,
    /// What it predicts.
    pub kind: RawPredictionKind,
    /// The classes; empty if none are predicted.
    pub classes: Vec<String>,
}

/// Returns the format of a file, by its content; `None` if it has none that taper reads.
#[must_use]
pub fn recognise(bytes: &[u8]) -> Option<FormatKind> {
    if xgboost::recognises(bytes) {
        Some(FormatKind::Xgboost)
    } else if lightgbm::recognises(bytes) {
        Some(FormatKind::Lightgbm)
    } else if onnx::recognises(bytes) {
        Some(FormatKind::Onnx)
    } else {
        None
    }
}

/// Returns a part of another file of a model: its path, and the offset and the length of the part in bytes.
pub type External<'a> = &'a mut dyn FnMut(&str, u64, u64) -> Result<Vec<u8>, String>;

/// Describes a file of format `kind`. `external` returns a part of another file: path, offset and length in bytes.
///
/// # Errors
/// Returns every fault of the file.
pub fn describe(
    kind: FormatKind,
    bytes: Vec<u8>,
    iterations: Option<Iterations>,
    external: External<'_>,
) -> Result<Description, Vec<FormatFault>> {
    match kind {
        FormatKind::Xgboost => {
            let options = xgboost::Options {
                iterations: match iterations {
                    Some(Iterations::Best) => xgboost::Iterations::Best,
                    Some(Iterations::All) | None => xgboost::Iterations::All,
                },
            };
            let model = xgboost::read_with(&bytes, options)?;
            Ok(of_trees(kind, iterations, Datatype::Fp32, model))
        }
        FormatKind::Lightgbm => {
            let model = lightgbm::read(&bytes)?;
            Ok(of_trees(kind, None, Datatype::Fp64, model))
        }
        FormatKind::Onnx => {
            let mut files = BTreeSet::new();
            let mut external = |path: &str, offset, length| {
                files.insert(path.to_owned());
                external(path, offset, length)
            };
            let graph = onnx::read(Bytes::from(bytes), &mut external, &mut || {})?;
            let description = of_graph(&graph);
            let external = files.into_iter().collect();
            Ok(Description {
                external,
                ..description
            })
        }
        FormatKind::Dense => Err(vec![FormatFault::new(
            "",
            "a file of weights does not say what the layers are; write a manifest for it",
        )]),
    }
}

/// Returns the settings of a format without names of files.
fn settings(kind: FormatKind, iterations: Option<Iterations>) -> FormatSettings {
    FormatSettings {
        kind,
        file: None,
        iterations,
        external: Vec::new(),
    }
}

/// Describes trees whose numbers are of type `number`.
fn of_trees(
    kind: FormatKind,
    iterations: Option<Iterations>,
    number: Datatype,
    model: TreeModel,
) -> Description {
    let (inputs, matrix) = tree_inputs(&model, number);
    let columns = model.link.columns(model.ensemble.outputs);
    let (name, datatype, kind_of, classes) = match model.predicted {
        Predicted::Probability => (
            "probability",
            Datatype::Fp32,
            RawPredictionKind::Probabilities,
            2,
        ),
        Predicted::Probabilities => (
            "probability",
            Datatype::Fp32,
            RawPredictionKind::Probabilities,
            columns,
        ),
        Predicted::Class(count) => ("class", Datatype::Int64, RawPredictionKind::Labels, count),
        Predicted::Values if columns == 1 => ("value", Datatype::Fp32, RawPredictionKind::Value, 0),
        Predicted::Values => ("value", Datatype::Fp32, RawPredictionKind::Values, 0),
    };
    let shape = match model.predicted {
        Predicted::Class(_) => vec![-1],
        _ => vec![-1, i64::try_from(columns).unwrap_or(i64::MAX)],
    };
    Description {
        format: settings(kind, iterations),
        framework: model.framework,
        objective: model.objective,
        inputs,
        matrix,
        outputs: vec![RawOutput {
            name: name.to_owned(),
            datatype,
            shape,
            batch: None,
        }],
        judged: vec![Judged {
            output: name.to_owned(),
            kind: kind_of,
            classes: numbered(classes),
        }],
        single_row: false,
        external: Vec::new(),
        notes: model.notes,
    }
}

/// Returns the names of classes that the file does not name.
fn numbered(classes: usize) -> Vec<String> {
    (0..classes).map(|at| at.to_string()).collect()
}

/// Returns the inputs of trees: one for each feature, or a single one if the file names none of them.
fn tree_inputs(model: &TreeModel, number: Datatype) -> (Vec<RawInput>, Option<String>) {
    let features = &model.features;
    let accepts = |kind| RawEncoding {
        missing: Some(MissingPolicy::Accept),
        ..RawEncoding::of(kind)
    };
    let is_number =
        |kind: &FeatureKind| !matches!(kind, FeatureKind::Texts(_) | FeatureKind::Integers(_));
    let unnamed = features
        .iter()
        .enumerate()
        .all(|(at, feature)| is_unnamed(feature.name.as_deref(), at) && is_number(&feature.kind));
    let input = |name: &str, datatype, shape, encoding| RawInput {
        name: name.to_owned(),
        datatype,
        shape,
        batch: None,
        encoding,
        sensitive: Sensitivity::Open,
    };
    if unnamed {
        let width = i64::try_from(features.len()).unwrap_or(i64::MAX);
        let rows = input(
            "rows",
            number,
            vec![-1, width],
            accepts(EncodingKind::Numeric),
        );
        return (vec![rows], None);
    }
    let inputs = features.iter().enumerate().map(|(at, feature)| {
        let fallback = format!("f{at}");
        let name = feature.name.as_deref().unwrap_or(&fallback);
        let categories = |categories: Vec<RawCategory>, unknown| RawEncoding {
            categories: Some(categories),
            unknown,
            ..accepts(EncodingKind::Ordinal)
        };
        // LightGBM treats an unknown category as missing; XGBoost has no answer for it.
        let unknown = (number == Datatype::Fp64).then_some(UnknownPolicy::Missing);
        let (datatype, encoding) = match &feature.kind {
            FeatureKind::Number => (number, accepts(EncodingKind::Numeric)),
            FeatureKind::Integer | FeatureKind::Codes => {
                (Datatype::Int64, accepts(EncodingKind::Numeric))
            }
            FeatureKind::Indicator => (Datatype::Bool, accepts(EncodingKind::Numeric)),
            FeatureKind::Texts(texts) => {
                let texts = texts.iter().cloned().map(RawCategory::Text);
                (Datatype::Bytes, categories(texts.collect(), unknown))
            }
            FeatureKind::Integers(numbers) => {
                let numbers = numbers.iter().copied().map(RawCategory::Number);
                (Datatype::Int64, categories(numbers.collect(), unknown))
            }
        };
        input(name, datatype, vec![-1], encoding)
    });
    let inputs: Vec<_> = inputs.collect();
    let has_texts = inputs.iter().any(|input| input.datatype == Datatype::Bytes);
    let taken = inputs.iter().any(|input| input.name == "rows");
    let matrix = (!has_texts).then(|| if taken { "matrix" } else { "rows" }.to_owned());
    (inputs, matrix)
}

/// Returns whether a feature has no name, or one that its library made up from its index.
fn is_unnamed(name: Option<&str>, at: usize) -> bool {
    name.is_none_or(|name| name == format!("f{at}") || name == format!("Column_{at}"))
}

/// Describes a graph.
fn of_graph(graph: &Graph) -> Description {
    let metadata = graph.metadata();
    // Pipelines of scikit-learn give NaN a meaning, or fail by name; networks compute NaN from it.
    let is_pipeline = metadata
        .opsets
        .iter()
        .any(|(domain, _)| domain == "ai.onnx.ml");
    let mut tensors = graph.inputs().iter().chain(graph.outputs());
    let single_row = tensors.all(is_single_row);
    let inputs = graph.inputs().iter().map(|info| {
        let (shape, batch) = shape(info, single_row);
        let accepts = is_pipeline && info.datatype.is_float();
        RawInput {
            name: info.name.clone(),
            datatype: info.datatype,
            shape,
            batch,
            encoding: RawEncoding {
                missing: accepts.then_some(MissingPolicy::Accept),
                ..RawEncoding::default()
            },
            sensitive: Sensitivity::Open,
        }
    });
    let outputs = graph.outputs().iter().map(|info| {
        let (shape, batch) = shape(info, single_row);
        RawOutput {
            name: info.name.clone(),
            datatype: info.datatype,
            shape,
            batch,
        }
    });
    let (inputs, outputs) = (inputs.collect(), outputs.collect());
    Description {
        format: settings(FormatKind::Onnx, None),
        framework: metadata.producer.clone(),
        objective: String::new(),
        inputs,
        matrix: None,
        outputs,
        judged: judged(graph, single_row),
        single_row,
        external: Vec::new(),
        notes: Vec::new(),
    }
}

/// Returns whether the first axis of a tensor is 1.
fn is_single_row(info: &TensorInfo) -> bool {
    let first = info.shape.as_deref().and_then(<[Dim]>::first);
    first.and_then(|axis| axis.fixed()) == Some(1)
}

/// Returns the shape of a tensor for a manifest, and whether its first axis is the rows if that is not plain from the shape. In a model
/// of a single row, the first axis is the rows, although it is 1.
fn shape(info: &TensorInfo, single_row: bool) -> (Vec<i64>, Option<bool>) {
    let axes = info.shape.as_deref().unwrap_or(&[Dim::Rows]);
    let axis = |axis: &Dim| match axis.fixed() {
        Some(length) => i64::try_from(length).unwrap_or(i64::MAX),
        None => -1,
    };
    let mut wire: Vec<i64> = axes.iter().map(axis).collect();
    if single_row {
        wire[0] = -1;
        return (wire, None);
    }
    let has_rows = info.by_row || axes.first() == Some(&Dim::Rows);
    let batch = (wire.first() == Some(&-1) && !has_rows).then_some(false);
    (wire, batch)
}

/// The most numbers per row that are judged one by one. A longer row is judged as a vector.
const MAX_VALUES: usize = 64;

/// Returns what can be judged, the best first: probabilities, else labels, else numbers, else vectors.
fn judged(graph: &Graph, single_row: bool) -> Vec<Judged> {
    let has_rows = |info: &TensorInfo| matches!(shape(info, single_row), (wire, None) if wire.first() == Some(&-1));
    let inputs_have_rows = graph.inputs().iter().any(has_rows);
    let outputs = graph.outputs().iter();
    let outputs: Vec<_> = outputs
        .filter(|info| has_rows(info) == inputs_have_rows)
        .collect();
    let labels = outputs.iter().find_map(|info| label_classes(info));
    let judged = |info: &&TensorInfo| judge(info, labels.as_deref());
    let mut judged: Vec<_> = outputs.iter().filter_map(judged).collect();
    let integers = |name: &str| {
        let mut named = outputs.iter().filter(|info| info.name == name);
        named.any(|info| info.datatype.is_integer())
    };
    judged.sort_by_key(|one| match one.kind {
        RawPredictionKind::Probabilities => 0,
        RawPredictionKind::Labels => 1,
        RawPredictionKind::Value | RawPredictionKind::Values => 2 + u8::from(integers(&one.output)),
        RawPredictionKind::Embedding => 4,
    });
    judged
}

/// Returns the names of the classes of an output of labels.
fn label_classes(info: &TensorInfo) -> Option<Vec<String>> {
    let is_labels = info.meaning == Meaning::Labels && width(info) == Some(1);
    class_names(info).filter(|classes| is_labels && (2..=MAX_CLASSES).contains(&classes.len()))
}

fn class_names(info: &TensorInfo) -> Option<Vec<String>> {
    Some(match info.classes.as_deref()? {
        Classes::Texts(texts) => texts.clone(),
        Classes::Integers(numbers) => numbers.iter().map(i64::to_string).collect(),
    })
}

/// Returns how an output can be judged. `labels` are the names of the classes of the graph's labels, if it has any.
fn judge(info: &TensorInfo, labels: Option<&[String]>) -> Option<Judged> {
    let judged = |kind, classes| {
        Some(Judged {
            output: info.name.clone(),
            kind,
            classes,
        })
    };
    let named = |count: usize| {
        let labels = || labels.map(<[String]>::to_vec);
        let fits = |classes: &Vec<String>| classes.len() == count;
        class_names(info)
            .filter(fits)
            .or_else(|| labels().filter(fits))
            .unwrap_or_else(|| numbered(count))
    };
    let is_float = info.datatype.is_float();
    match (info.meaning, width(info)) {
        (Meaning::Logistic, Some(1)) if is_float => {
            judged(RawPredictionKind::Probabilities, named(2))
        }
        (Meaning::Probabilities, Some(columns))
            if is_float && (2..=MAX_CLASSES).contains(&columns) =>
        {
            judged(RawPredictionKind::Probabilities, named(columns))
        }
        (_, width) => {
            if let Some(classes) = label_classes(info) {
                return judged(RawPredictionKind::Labels, classes);
            }
            match width {
                Some(1) if is_float || info.datatype.is_integer() => {
                    judged(RawPredictionKind::Value, Vec::new())
                }
                Some(2..=MAX_VALUES) if is_float || info.datatype.is_integer() => {
                    judged(RawPredictionKind::Values, Vec::new())
                }
                _ if is_float => judged(RawPredictionKind::Embedding, Vec::new()),
                _ => None,
            }
        }
    }
}

/// Returns the numbers per row of a tensor; `None` if its rows have axes.
fn width(info: &TensorInfo) -> Option<usize> {
    match info.shape.as_deref() {
        Some([Dim::Rows | Dim::Unknown | Dim::Symbol(_)]) => Some(1),
        Some([first, second]) if first.fixed().is_none_or(|rows| rows == 1) => second.fixed(),
        // The only number of a single row.
        Some([]) => Some(1),
        Some([only]) if only.fixed() == Some(1) => Some(1),
        _ => None,
    }
}
