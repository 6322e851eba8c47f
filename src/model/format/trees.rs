//! Formats `xgboost` and `lightgbm`: ensembles of decision trees.

use std::path::Path;

use super::{Format, FormatFault, ModelFiles, lightgbm, xgboost};
use crate::error::ForwardError;
use crate::faults::Faults;
use crate::model::batch::{Batch, Content, Value};
use crate::model::manifest::raw::{Iterations, RawManifest};
use crate::model::manifest::report::Report;
use crate::model::payload::{Datatype, TensorData};
use crate::model::scoring::{Model, Outputs, Scores};
use crate::model::signature::{Encoding, PredictionKind, Signature, Target};
use crate::model::trees::{Arithmetic, FeatureKind, Forest, Link, Predicted, Rows, TreeModel};

/// Trees of XGBoost.
#[derive(Debug)]
pub(super) struct XgboostFormat;

/// Trees of LightGBM.
#[derive(Debug)]
pub(super) struct LightgbmFormat;

impl Format for XgboostFormat {
    fn target(&self) -> Target {
        Target::Single
    }

    fn understands_missing(&self) -> bool {
        true
    }

    fn default_file(&self) -> &'static str {
        "model.json"
    }

    fn check(&self, raw: &RawManifest, signature: Option<&Signature>, report: &mut Report<'_>) {
        check(raw, signature, report);
    }

    fn memory_to_load(&self, bytes: u64) -> u64 {
        // The file, its document, and the trees.
        bytes.saturating_mul(8)
    }

    fn load(
        &self,
        raw: &RawManifest,
        signature: &Signature,
        mut files: ModelFiles<'_>,
        _: &mut dyn FnMut(),
    ) -> Result<Box<dyn Model>, Faults> {
        let (file, bytes) = files.take_own();
        let iterations = match raw.format.settings().iterations {
            Some(Iterations::Best) => xgboost::Iterations::Best,
            Some(Iterations::All) | None => xgboost::Iterations::All,
        };
        let read = xgboost::read_with(&bytes, xgboost::Options { iterations });
        load(read, Arithmetic::Single, signature, &file)
    }
}

impl Format for LightgbmFormat {
    fn target(&self) -> Target {
        Target::Double
    }

    fn understands_missing(&self) -> bool {
        true
    }

    fn default_file(&self) -> &'static str {
        "model.txt"
    }

    fn check(&self, raw: &RawManifest, signature: Option<&Signature>, report: &mut Report<'_>) {
        let iterations = raw.format.settings().iterations;
        report.require(iterations.is_none(), "$.format.iterations", || {
            "belongs to kind xgboost only".into()
        });
        check(raw, signature, report);
    }

    fn memory_to_load(&self, bytes: u64) -> u64 {
        bytes.saturating_mul(4)
    }

    fn load(
        &self,
        _: &RawManifest,
        signature: &Signature,
        mut files: ModelFiles<'_>,
        _: &mut dyn FnMut(),
    ) -> Result<Box<dyn Model>, Faults> {
        let (file, bytes) = files.take_own();
        load(lightgbm::read(&bytes), Arithmetic::Double, signature, &file)
    }
}

/// Checks what the manifest says about trees.
fn check(raw: &RawManifest, signature: Option<&Signature>, report: &mut Report<'_>) {
    super::require_no_architecture(raw, report);
    super::require_no_external(raw, report);
    super::require_one_output(raw, report);
    let Some(signature) = signature else { return };
    let output = signature.judged();
    let is_label = signature.prediction.kind == PredictionKind::Labels;
    let float = matches!(output.datatype, Datatype::Fp32 | Datatype::Fp64);
    report.require(float || is_label, "$.outputs[0].datatype", || {
        format!("got {}, expected FP32 or FP64", output.datatype)
    });
    for (at, input) in signature.inputs().iter().enumerate() {
        let one_column = !matches!(
            input.encoding,
            Encoding::Categorical { .. } | Encoding::Cyclic { .. }
        );
        report.require(one_column, &format!("$.inputs[{at}].encoding.kind"), || {
            "expected numeric, ordinal or ignore: the trees have one column per value".into()
        });
    }
}

fn load(
    read: Result<TreeModel, Vec<FormatFault>>,
    arithmetic: Arithmetic,
    signature: &Signature,
    file: &Path,
) -> Result<Box<dyn Model>, Faults> {
    let model = read.map_err(|faults| super::to_faults(faults, file))?;
    let mut faults = Faults::default();
    compare(&model, signature, &mut |message| {
        faults.add(file, "", message);
    });
    faults.into_result()?;
    let (link, outputs) = (model.link, model.ensemble.outputs);
    let forest = Forest::new(model.ensemble, arithmetic);
    let forest = forest.map_err(|faults| super::to_faults(faults, file))?;
    let labels = (signature.prediction.kind == PredictionKind::Labels)
        .then(|| Labels::new(signature))
        .transpose();
    Ok(Box::new(Trees {
        columns: link.columns(outputs),
        forest,
        link,
        outputs,
        labels: labels.map_err(|message| Faults::one(file, message))?,
    }))
}

/// Reports every difference between what the file and what the signature say about inputs and predictions.
fn compare(model: &TreeModel, signature: &Signature, fault: &mut dyn FnMut(String)) {
    let (wanted, got) = (model.ensemble.inputs, signature.columns());
    if wanted != got {
        fault(format!(
            "the model has {wanted} inputs, but those of the manifest fill {got} columns"
        ));
        return;
    }
    let mut columns = signature.inputs().iter().flat_map(|input| {
        let values = input.columns();
        std::iter::repeat_n(input, values)
    });
    for (at, feature) in model.features.iter().enumerate() {
        let Some(input) = columns.next() else { break };
        let categories = match &input.encoding {
            Encoding::Ordinal { categories, .. } => Some(categories.names()),
            _ => None,
        };
        let wanted: Option<Vec<String>> = match &feature.kind {
            FeatureKind::Texts(texts) => Some(texts.clone()),
            FeatureKind::Integers(numbers) => Some(numbers.iter().map(i64::to_string).collect()),
            _ => None,
        };
        let name = feature.name.as_deref().unwrap_or(&input.name);
        match (wanted, categories) {
            (Some(wanted), Some(categories)) if wanted != categories => fault(format!(
                "input {at} (`{name}`) has other categories in the model than in the manifest"
            )),
            (Some(_), None) => fault(format!(
                "input {at} (`{name}`) has categories in the model, but the encoding of `{}` is not ordinal",
                input.name
            )),
            _ => {}
        }
    }
    let columns = model.link.columns(model.ensemble.outputs);
    let (kind, classes) = (signature.prediction.kind, signature.classes.len());
    let (fits, wanted) = match model.predicted {
        Predicted::Probability => (
            kind == PredictionKind::Probabilities && signature.prediction.columns == 1,
            "the probability of the second of two classes".to_owned(),
        ),
        Predicted::Probabilities => (
            kind == PredictionKind::Probabilities && classes == columns,
            format!("the probabilities of {columns} classes"),
        ),
        Predicted::Class(count) => (
            kind == PredictionKind::Labels && classes == count,
            format!("the label of one of {count} classes"),
        ),
        Predicted::Values => (
            !kind.has_classes() && value_columns(signature) == columns,
            format!("{columns} numbers per row"),
        ),
    };
    if !fits {
        fault(format!(
            "the model predicts {wanted}, but the manifest says {} with {classes} classes in an output {:?}",
            kind.as_str(),
            signature.judged().shape.to_wire()
        ));
    }
}

/// Returns the numbers per row of the output that is judged.
fn value_columns(signature: &Signature) -> usize {
    signature.judged().shape.fixed_values().unwrap_or(0)
}

/// An ensemble of trees with its link.
#[derive(Debug)]
struct Trees {
    forest: Forest,
    link: Link,
    /// Sums per row.
    outputs: usize,
    /// Predictions per row.
    columns: usize,
    labels: Option<Labels>,
}

/// The elements of an output of labels, by the index of the class.
#[derive(Debug)]
struct Labels {
    values: TensorData,
    shape: Vec<usize>,
}

impl Labels {
    /// Converts the labels of the classes to the datatype of the output.
    fn new(signature: &Signature) -> Result<Self, String> {
        let output = signature.judged();
        let classes = &signature.classes;
        let values = match output.datatype {
            Datatype::Bytes => {
                let texts = classes.iter().map(|class| class.clone().into());
                Some(TensorData::Bytes(texts.collect()))
            }
            datatype => whole(datatype, classes),
        };
        let values = values.ok_or_else(|| {
            format!(
                "the classes are not all numbers of type {}, the type of output `{}`",
                output.datatype, output.name
            )
        })?;
        let axes = output.shape.axes.iter().map(|axis| axis.unwrap_or(1));
        Ok(Self {
            values,
            shape: axes.collect(),
        })
    }
}

/// Returns the classes as integers of type `datatype`.
fn whole(datatype: Datatype, classes: &[String]) -> Option<TensorData> {
    fn parsed<T: std::str::FromStr>(classes: &[String]) -> Option<Vec<T>> {
        let numbers = classes.iter().map(|class| class.parse().ok());
        numbers.collect()
    }
    Some(match datatype {
        Datatype::Int8 => TensorData::Int8(parsed(classes)?),
        Datatype::Int16 => TensorData::Int16(parsed(classes)?),
        Datatype::Int32 => TensorData::Int32(parsed(classes)?),
        Datatype::Int64 => TensorData::Int64(parsed(classes)?),
        Datatype::Uint8 => TensorData::Uint8(parsed(classes)?),
        Datatype::Uint16 => TensorData::Uint16(parsed(classes)?),
        Datatype::Uint32 => TensorData::Uint32(parsed(classes)?),
        Datatype::Uint64 => TensorData::Uint64(parsed(classes)?),
        _ => return None,
    })
}

impl Model for Trees {
    fn cost_per_row(&self) -> usize {
        self.forest.cost_per_row()
    }

    fn weight_bytes(&self) -> Option<u64> {
        Some(self.forest.bytes())
    }

    fn forward(&self, batch: &Batch) -> Result<Outputs, ForwardError> {
        let rows = match batch.content() {
            Content::Single(values) => Rows::Single(values),
            Content::Double(values) => Rows::Double(values),
            Content::Tensors(_) => {
                let message = "trees compute with a matrix, and got tensors".to_owned();
                return Err(ForwardError::Failed(message));
            }
        };
        let mut sums = vec![0.0; batch.len() * self.outputs];
        self.forest.sum(rows, &mut sums);
        let mut predictions = vec![0.0; batch.len() * self.columns];
        self.link.apply(&sums, self.outputs, &mut predictions);
        let Some(labels) = &self.labels else {
            return Scores::new(predictions, self.columns).map(Outputs::Scores);
        };
        let mut data = TensorData::with_capacity(labels.values.datatype(), predictions.len());
        for prediction in predictions {
            data.push_from(&labels.values, index(prediction));
        }
        let shape = [batch.len()]
            .into_iter()
            .chain(labels.shape.iter().copied());
        let shape = shape.collect();
        Ok(Outputs::Tensors(vec![Value { shape, data }]))
    }
}

/// Returns the index of a class, which a link returns as a number.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a whole number from 0"
)]
fn index(prediction: f32) -> usize {
    prediction as usize
}
