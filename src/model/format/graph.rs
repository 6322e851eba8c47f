//! Format `onnx`: a graph of operators.

use bytes::Bytes;

use super::onnx::{self, Chain, Dim, Graph, TensorInfo};
use super::{Format, ModelFiles};
use crate::error::ForwardError;
use crate::faults::Faults;
use crate::model::batch::{Batch, Value};
use crate::model::manifest::raw::RawManifest;
use crate::model::manifest::report::Report;
use crate::model::payload::{Datatype, TensorData};
use crate::model::scoring::{Model, Outputs};
use crate::model::signature::{Shape, Signature, Target};

/// The format.
#[derive(Debug)]
pub(super) struct OnnxFormat;

impl Format for OnnxFormat {
    fn target(&self) -> Target {
        Target::Tensors
    }

    fn understands_missing(&self) -> bool {
        true
    }

    fn default_file(&self) -> &'static str {
        "model.onnx"
    }

    fn check(&self, raw: &RawManifest, _: Option<&Signature>, report: &mut Report<'_>) {
        super::require_no_architecture(raw, report);
        let iterations = raw.format.settings().iterations;
        report.require(iterations.is_none(), "$.format.iterations", || {
            "belongs to kind xgboost only".into()
        });
        report.require(raw.matrix.is_none(), "$.matrix", || {
            "belongs to formats that compute with a matrix".into()
        });
    }

    fn memory_to_load(&self, bytes: u64) -> u64 {
        // The files, decoded tensors, and weights laid out for computing.
        bytes.saturating_mul(3)
    }

    fn load(
        &self,
        _: &RawManifest,
        signature: &Signature,
        mut files: ModelFiles<'_>,
        rest: &mut dyn FnMut(),
    ) -> Result<Box<dyn Model>, Faults> {
        let (file, bytes) = files.take_own();
        let others = files.files;
        let mut external = |path: &str, offset, length| part(&others, path, offset, length);
        let graph = onnx::read(Bytes::from(bytes), &mut external, rest);
        let graph = graph.map_err(|faults| super::to_faults(faults, &file))?;
        drop(others);
        let mut faults = Faults::default();
        let mut fault = |message| faults.add(&file, "", message);
        let inputs = inputs(&graph, signature, &mut fault);
        let outputs = outputs(&graph, signature, &mut fault);
        faults.into_result()?;
        Ok(Box::new(GraphModel {
            is_chain: is_chain(&graph, signature),
            joins: graph.is_batchable() && signature.has_rows(),
            graph,
            inputs,
            outputs,
        }))
    }
}

/// Returns a part of a file with external data.
fn part(
    files: &[(String, Vec<u8>)],
    path: &str,
    offset: u64,
    length: u64,
) -> Result<Vec<u8>, String> {
    let file = files.iter().find(|(name, _)| name == path);
    let Some((_, bytes)) = file else {
        return Err(
            "is not among the files of the format; list it in `format.external` and in `files`"
                .into(),
        );
    };
    let part = || {
        let begin = usize::try_from(offset).ok()?;
        let end = begin.checked_add(usize::try_from(length).ok()?)?;
        bytes.get(begin..end)
    };
    part().map(<[u8]>::to_vec).ok_or_else(|| {
        format!(
            "got bytes {offset} to {offset} + {length}, expected a part of its {} bytes",
            bytes.len()
        )
    })
}

/// Returns the place of each input of the graph among the inputs of the signature that are used.
fn inputs(graph: &Graph, signature: &Signature, fault: &mut dyn FnMut(String)) -> Vec<usize> {
    let used: Vec<_> = signature
        .inputs()
        .iter()
        .filter(|input| input.is_used())
        .collect();
    let place = |info: &TensorInfo| {
        let at = used.iter().position(|input| input.name == info.name);
        match at.map(|at| used[at]) {
            None => fault(format!(
                "input `{}` of the graph is not in the manifest",
                info.name
            )),
            Some(input) => compare(
                "input",
                info,
                (input.datatype, &input.shape),
                signature.max_rows,
                fault,
            ),
        }
        at.unwrap_or_default()
    };
    let places: Vec<usize> = graph.inputs().iter().map(place).collect();
    for input in used {
        if !graph.inputs().iter().any(|info| info.name == input.name) {
            fault(format!(
                "input `{}` of the manifest is not in the graph; its encoding can be `ignore`",
                input.name
            ));
        }
    }
    places
}

/// Returns the place of each output of the signature among the outputs of the graph.
fn outputs(graph: &Graph, signature: &Signature, fault: &mut dyn FnMut(String)) -> Vec<usize> {
    let place = |output: &crate::model::Output| {
        let at = graph
            .outputs()
            .iter()
            .position(|info| info.name == output.name);
        match at.map(|at| &graph.outputs()[at]) {
            None => fault(format!(
                "output `{}` of the manifest is not in the graph",
                output.name
            )),
            Some(info) => compare(
                "output",
                info,
                (output.datatype, &output.shape),
                signature.max_rows,
                fault,
            ),
        }
        at.unwrap_or_default()
    };
    signature.outputs().iter().map(place).collect()
}

/// Reports how a tensor of the graph differs from the manifest, whose requests have at most `max_rows` rows.
fn compare(
    kind: &str,
    info: &TensorInfo,
    (datatype, shape): (Datatype, &Shape),
    max_rows: usize,
    fault: &mut dyn FnMut(String),
) {
    if info.datatype != datatype {
        fault(format!(
            "{kind} `{}` is {} in the graph and {datatype} in the manifest",
            info.name, info.datatype
        ));
    }
    let Some(axes) = &info.shape else { return };
    let wire = shape.to_wire();
    let same = |(at, (axis, wire)): (usize, (&Dim, &i64))| match axis.fixed() {
        None => true,
        Some(1) if at == 0 && shape.batched && max_rows == 1 => true,
        Some(length) => i64::try_from(length) == Ok(*wire),
    };
    if axes.len() != wire.len() || !axes.iter().zip(&wire).enumerate().all(same) {
        let shown = axes.iter().map(|axis| match axis.fixed() {
            Some(length) => length.to_string(),
            None => "-1".to_owned(),
        });
        let shown: Vec<_> = shown.collect();
        fault(format!(
            "{kind} `{}` has shape [{}] in the graph and {wire:?} in the manifest",
            info.name,
            shown.join(", ")
        ));
    }
}

/// Returns whether the graph is a network over the rows of one matrix, and its output is what is judged, as in format `dense`.
fn is_chain(graph: &Graph, signature: &Signature) -> bool {
    let widths = graph.as_chain().and_then(Chain::widths);
    let (prediction, judged) = (&signature.prediction, signature.judged());
    let is_scores = |[_, columns]: [usize; 2]| {
        prediction.columns == columns && judged.shape == Shape::vectors(columns)
    };
    !prediction.kind.is_summarised()
        && judged.datatype == Datatype::Fp32
        && widths.is_some_and(is_scores)
}

/// A graph with the places of its inputs and outputs in the signature.
#[derive(Debug)]
struct GraphModel {
    /// Whether a pass needs no tensors.
    is_chain: bool,
    graph: Graph,
    inputs: Vec<usize>,
    outputs: Vec<usize>,
    joins: bool,
}

impl Model for GraphModel {
    fn cost_per_row(&self) -> usize {
        self.graph.cost_per_row()
    }

    fn weight_bytes(&self) -> Option<u64> {
        u64::try_from(self.graph.bytes()).ok()
    }

    fn joins_requests(&self) -> bool {
        self.joins
    }

    fn forward(&self, batch: &Batch) -> Result<Outputs, ForwardError> {
        let given = batch.tensors();
        if self.is_chain
            && let ([input], Some(chain)) = (given, self.graph.as_chain())
            && let (TensorData::Fp32(rows), [ins, columns]) =
                (&input.data, chain.widths().unwrap_or_default())
            && input.shape == [batch.len(), ins]
            && let Some(scores) = chain.compute(rows)
        {
            return Outputs::scores(scores, columns);
        }
        let inputs = self.inputs.iter().map(|at| {
            let value = given.get(*at).ok_or("an input is missing")?;
            onnx::Value::new(value.shape.clone(), value.data.clone())
        });
        let inputs = inputs.collect::<Result<_, String>>();
        let computed = self.graph.run(inputs.map_err(ForwardError::Failed)?);
        let computed = computed.map_err(|error| match error.is_value() {
            true => ForwardError::Unsuited(error.to_string()),
            false => ForwardError::Failed(error.to_string()),
        })?;
        let mut computed: Vec<Option<Value>> = computed
            .into_iter()
            .map(|value| {
                let (shape, data) = value.into_parts();
                Some(Value { shape, data })
            })
            .collect();
        let outputs = self
            .outputs
            .iter()
            .filter_map(|at| computed.get_mut(*at)?.take());
        Ok(Outputs::Tensors(outputs.collect()))
    }
}
