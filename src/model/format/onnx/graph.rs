//! A graph of operators, ready to run.

use std::sync::Arc;

use half::{bf16, f16};

use super::fact::{Classes, Dim, Meaning};
use super::operator::{Inputs, Operator, Source};
use super::rows::Chain;
use super::value::Value;
use crate::model::payload::{Datatype, TensorData};

/// A graph of operators with its weights. Immutable: several threads run it at the same time.
#[derive(Debug)]
pub(crate) struct Graph {
    pub(super) inputs: Vec<TensorInfo>,
    pub(super) outputs: Vec<TensorInfo>,
    pub(super) metadata: Metadata,
    /// In an order in which each step follows those that compute its inputs.
    pub(super) steps: Vec<Step>,
    /// Values that are the same in every run.
    pub(super) constants: Vec<Value>,
    /// The slot of each input; `None` if nothing reads it.
    pub(super) input_slots: Vec<Option<usize>>,
    pub(super) output_sources: Vec<Source>,
    /// Values that exist at the same time in a run.
    pub(super) slots: usize,
    pub(super) cost: usize,
    pub(super) batchable: bool,
}

/// One operator of a graph.
#[derive(Debug)]
pub(super) struct Step {
    /// Where it is in the file: `node "Conv_3" (Conv)`.
    pub(super) place: String,
    pub(super) operator: Box<dyn Operator>,
    pub(super) sources: Vec<Source>,
    /// The slot of each output; `None` if nothing reads it.
    pub(super) outputs: Vec<Option<usize>>,
    /// Slots that are empty after the step, in addition to those that the operator takes.
    pub(super) freed: Vec<usize>,
}

/// An input or output of a graph.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct TensorInfo {
    /// Its name in the file.
    pub(crate) name: String,
    /// The type of its elements, as the file declares it.
    pub(crate) datatype: Datatype,
    /// The length of each axis; `None` if even the rank is unknown.
    pub(crate) shape: Option<Vec<Dim>>,
    /// The names that the file gives to the axes, as many as `shape` has.
    pub(crate) axes: Vec<Option<String>>,
    /// What its elements are, if the operator that computes it determines it.
    pub(crate) meaning: Meaning,
    /// The classes, if its operator knows them: of labels, those that occur; otherwise the class of each column.
    pub(crate) classes: Option<Arc<Classes>>,
    /// Of an input: whether an output depends on it. True for an output.
    pub(crate) used: bool,
    /// Whether it has the rows of the request on axis 0; of an output also whether each of them depends only on the same row of the
    /// inputs.
    pub(crate) by_row: bool,
}

/// What a file says about itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Metadata {
    /// The exporter and its version: `pytorch 2.15.0`.
    pub(crate) producer: String,
    /// Version of the file format.
    pub(crate) ir_version: i64,
    /// Domain and version of each set of operators. The domain of ONNX itself is empty.
    pub(crate) opsets: Vec<(String, i64)>,
    /// Other names and values that the exporter has written.
    pub(crate) properties: Vec<(String, String)>,
}

impl Graph {
    /// Returns the inputs, in the order of [`run`](Self::run). Initializers that are also inputs are constants, not inputs.
    pub(crate) fn inputs(&self) -> &[TensorInfo] {
        &self.inputs
    }

    /// Returns the outputs, in the order of [`run`](Self::run).
    pub(crate) fn outputs(&self) -> &[TensorInfo] {
        &self.outputs
    }

    /// Returns what the file says about itself.
    pub(crate) fn metadata(&self) -> &Metadata {
        &self.metadata
    }

    /// Returns the bytes that weights and constants take in memory.
    pub(crate) fn bytes(&self) -> usize {
        let own = self.steps.iter().map(|step| step.operator.bytes());
        own.sum::<usize>() + self.constants.iter().map(Value::bytes).sum::<usize>()
    }

    /// Returns the estimated multiply-adds of one row.
    pub(crate) fn cost_per_row(&self) -> usize {
        self.cost
    }

    /// Returns whether the rows of several requests can be computed together: every input and output has rows on axis 0, and as far
    /// as the operators show, each row of an output depends only on the same row of the inputs.
    pub(crate) fn is_batchable(&self) -> bool {
        self.batchable
    }

    /// Returns the chain if the graph is nothing else: one matrix of FP32 goes in by row, and one comes out. [`run`](Self::run)
    /// returns the same, with the cost of tensors around it.
    pub(crate) fn as_chain(&self) -> Option<&Chain> {
        let ([input], [output], [step]) = (&*self.inputs, &*self.outputs, &*self.steps) else {
            return None;
        };
        let is_matrix = |info: &TensorInfo| {
            let rank = info.shape.as_ref().map(Vec::len);
            info.datatype == Datatype::Fp32 && info.by_row && rank == Some(2)
        };
        let slot = |source: &Source| match source {
            Source::Slot { index, .. } => Some(*index),
            Source::Absent | Source::Constant(_) => None,
        };
        let reads_input = matches!((&*step.sources, &*self.input_slots), ([source], [Some(read)])
            if slot(source) == Some(*read));
        let writes_output = matches!((&*self.output_sources, &*step.outputs), ([source], [Some(written)])
            if slot(source) == Some(*written));
        let chain = step.operator.as_chain()?;
        let fits = is_matrix(input) && is_matrix(output) && reads_input && writes_output;
        (self.batchable && fits && chain.widths().is_some()).then_some(chain)
    }

    /// Computes the outputs. Intermediate values are freed after their last use.
    ///
    /// # Errors
    /// Returns an error if an input has another type, rank or fixed length than [`inputs`](Self::inputs) says, if the inputs of a
    /// graph that is [batchable](Self::is_batchable) have different numbers of rows, and if an operator cannot compute its outputs
    /// from these values or shapes.
    pub(crate) fn run(&self, inputs: Vec<Value>) -> Result<Vec<Value>, RunError> {
        self.check(&inputs)?;
        let mut slots = Vec::new();
        slots.resize_with(self.slots, || None);
        for (value, slot) in inputs.into_iter().zip(&self.input_slots) {
            if let Some(slot) = slot {
                slots[*slot] = Some(computed(value)?);
            }
        }
        for step in &self.steps {
            let mut inputs = Inputs {
                sources: &step.sources,
                constants: &self.constants,
                slots: &mut slots,
                refused: false,
            };
            let outputs = step.operator.run(&mut inputs).map_err(|error| RunError {
                text: format!("{}: {error}", step.place),
                is_value: inputs.refused,
            })?;
            for slot in &step.freed {
                slots[*slot] = None;
            }
            for (value, slot) in outputs.into_iter().zip(&step.outputs) {
                if let Some(slot) = slot {
                    slots[*slot] = Some(value);
                }
            }
        }
        let mut results = Inputs {
            sources: &self.output_sources,
            constants: &self.constants,
            slots: &mut slots,
            refused: false,
        };
        let outputs = self.outputs.iter().enumerate();
        let outputs: Result<_, String> = outputs
            .map(|(at, info)| declared(results.take(at)?, info.datatype))
            .collect();
        Ok(outputs?)
    }

    fn check(&self, inputs: &[Value]) -> Result<(), String> {
        if inputs.len() != self.inputs.len() {
            let (got, expected) = (inputs.len(), self.inputs.len());
            return Err(format!("got {got} inputs, expected {expected}"));
        }
        let mut rows = None;
        for (info, value) in self.inputs.iter().zip(inputs) {
            info.check(value)?;
            let length = value.shape().first();
            if self.batchable && *rows.get_or_insert(length) != length {
                return Err(format!("input {:?}: got another number of rows", info.name));
            }
        }
        Ok(())
    }
}

/// Why the outputs of a graph cannot be computed.
#[derive(Debug, thiserror::Error)]
#[error("{text}")]
pub(crate) struct RunError {
    text: String,
    is_value: bool,
}

impl RunError {
    /// Returns whether an operator refused a value of an input, such as an unknown category.
    pub(crate) fn is_value(&self) -> bool {
        self.is_value
    }
}

impl From<String> for RunError {
    fn from(text: String) -> Self {
        Self {
            text,
            is_value: false,
        }
    }
}

impl TensorInfo {
    /// Checks an input.
    fn check(&self, value: &Value) -> Result<(), String> {
        let name = &self.name;
        if value.datatype() != self.datatype {
            let (got, expected) = (value.datatype(), self.datatype);
            return Err(format!("input {name:?}: got {got}, expected {expected}"));
        }
        let Some(shape) = &self.shape else {
            return Ok(());
        };
        let got = value.shape();
        let fits = |(got, dim): (&usize, &Dim)| dim.fixed().is_none_or(|length| length == *got);
        if got.len() != shape.len() || !got.iter().zip(shape).all(fits) {
            let expected = self.shown();
            return Err(format!(
                "input {name:?}: got shape {got:?}, expected {expected}"
            ));
        }
        Ok(())
    }

    /// Returns the shape for people: `[rows, 3, height, ?]`.
    pub(crate) fn shown(&self) -> String {
        let Some(shape) = &self.shape else {
            return "any shape".to_owned();
        };
        let name = |at: usize| self.axes.get(at).cloned().flatten();
        let dims = shape.iter().enumerate().map(|(at, dim)| match dim {
            Dim::Fixed(length) => length.to_string(),
            Dim::Rows => name(at).unwrap_or_else(|| "rows".to_owned()),
            Dim::Symbol(_) | Dim::Unknown => name(at).unwrap_or_else(|| "?".to_owned()),
        });
        format!("[{}]", dims.collect::<Vec<_>>().join(", "))
    }
}

/// Converts an input to the type in which it is computed.
fn computed(value: Value) -> Result<Value, String> {
    if !matches!(value.datatype(), Datatype::Fp16 | Datatype::Bf16) {
        return Ok(value);
    }
    let (shape, data) = value.into_parts();
    let data = match data {
        TensorData::Fp16(values) => TensorData::Fp32(values.into_iter().map(f32::from).collect()),
        TensorData::Bf16(values) => TensorData::Fp32(values.into_iter().map(f32::from).collect()),
        other => other,
    };
    Value::new(shape, data)
}

/// Converts an output to the type that the file declares.
fn declared(value: Value, datatype: Datatype) -> Result<Value, String> {
    if value.datatype() == datatype {
        return Ok(value);
    }
    let (shape, data) = value.into_parts();
    let data = match (data, datatype) {
        (TensorData::Fp32(values), Datatype::Fp16) => {
            TensorData::Fp16(values.into_iter().map(f16::from_f32).collect())
        }
        (TensorData::Fp32(values), Datatype::Bf16) => {
            TensorData::Bf16(values.into_iter().map(bf16::from_f32).collect())
        }
        (data, expected) => {
            let got = data.datatype();
            return Err(format!("got an output of type {got}, expected {expected}"));
        }
    };
    Value::new(shape, data)
}
