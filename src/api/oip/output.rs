//! The outputs that a request asks for, and what its response contains.

use std::collections::{BTreeMap, HashMap};

use bytes::Bytes;

use super::SHARED_MEMORY;
use super::request::kind;
use crate::api::catalog::Catalog;
use crate::api::{elements, read, response_headers};
use crate::error::{InputFaults, PredictError};
use crate::model::payload::{Datatype, TensorData};
use crate::model::{OutputTensor, Pass, Signature};
use crate::proto::inference::InferParameter;
use crate::proto::inference::infer_parameter::ParameterChoice;
use crate::serving::{Answer, Query};

/// An output that a request asks for by name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::api) struct RequestedOutput {
    name: String,
    /// If set, return this many classes with the highest scores instead of the scores.
    classes: Option<usize>,
}

impl RequestedOutput {
    /// Reads output number `at` of a request, called `name`. Adds a fault for each invalid parameter.
    pub(in crate::api) fn new(
        at: usize,
        name: String,
        parameters: &HashMap<String, InferParameter>,
        faults: &mut InputFaults,
    ) -> Self {
        if parameters.contains_key(SHARED_MEMORY) {
            let field = format!("outputs[{at}].parameters[{SHARED_MEMORY}]");
            faults.add(field, "a region", "nothing: no memory is shared");
        }
        let value = parameters.get("classification");
        let value = value.and_then(|value| value.parameter_choice.as_ref());
        let mut refuse = |got: String| {
            let field = format!("outputs[{at}].parameters[classification]");
            faults.add(field, got, "a positive integer");
            None
        };
        let number = match value {
            None => None,
            Some(ParameterChoice::Int64Param(number)) => match usize::try_from(*number) {
                Ok(number) if number > 0 => Some(number),
                _ => refuse(number.to_string()),
            },
            Some(ParameterChoice::Uint64Param(number)) if *number > 0 => {
                Some(usize::try_from(*number).unwrap_or(usize::MAX))
            }
            Some(other) => refuse(kind(other).to_owned()),
        };
        Self {
            name,
            classes: number,
        }
    }
}

/// An output of a response.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::api) struct Output {
    /// Its name.
    pub(in crate::api) name: String,
    /// Length of each axis.
    pub(in crate::api) shape: Vec<i64>,
    /// Its elements, row-major.
    pub(in crate::api) values: Values,
}

/// Elements of an output.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::api) enum Values {
    /// The elements that the version returned.
    Data(TensorData),
    /// `score:index:label`, or `score:index` if classes have no labels.
    Classes(Vec<String>),
}

impl Values {
    /// Returns the datatype of the elements.
    pub(in crate::api) fn datatype(&self) -> Datatype {
        match self {
            Self::Data(data) => data.datatype(),
            Self::Classes(_) => Datatype::Bytes,
        }
    }

    /// Encodes the elements as a block.
    pub(in crate::api) fn raw(&self) -> Bytes {
        match self {
            Self::Data(data) => elements::to_raw(data),
            Self::Classes(texts) => elements::texts_to_raw(texts),
        }
    }
}

/// Checks before anything is computed that the version that would answer has the requested outputs. If no version would answer, the
/// prediction reports why.
///
/// # Errors
/// Returns a fault for each output that the version does not have, or that is requested twice.
pub(in crate::api) fn check_outputs(
    catalog: &Catalog,
    query: &Query,
    requested: &[RequestedOutput],
) -> Result<(), InputFaults> {
    if requested.is_empty() {
        return Ok(());
    }
    match catalog.version(&query.model, query.pin.as_ref()) {
        Ok(version) => check(requested, version.version.signature()),
        Err(_) => Ok(()),
    }
}

/// An answer in terms of the protocol.
#[derive(Debug)]
pub(in crate::api) struct InferenceAnswer {
    /// The model, as the caller wrote it.
    pub(in crate::api) model: String,
    /// The number of the version that answered.
    pub(in crate::api) version: String,
    /// Which version answered, and why.
    pub(in crate::api) parameters: BTreeMap<String, InferParameter>,
    /// The outputs that were requested, in that order.
    pub(in crate::api) outputs: Vec<Output>,
}

/// Converts an answer to the requested outputs; to all outputs if none was requested by name.
///
/// # Errors
/// As [`check_outputs`]: another version may have answered than the one that was checked. Also if classes are requested of texts.
pub(in crate::api) fn infer_answer(
    answer: Answer,
    requested: &[RequestedOutput],
) -> Result<InferenceAnswer, PredictError> {
    let signature = answer.version.signature();
    check(requested, signature)?;
    let parameters = parameters(&answer);
    let (model, version) = (answer.model, answer.version.number().to_string());
    let is_single = answer.pass.tensors.is_none() && signature.judged().datatype == Datatype::Fp32;
    let plain = requested.iter().all(|output| output.classes.is_none());
    let outputs = if is_single && plain {
        // The most frequent case: the scores are moved, not copied.
        let shape = answer.pass.outputs(signature).next();
        let shape = shape.map(|output| output.shape()).unwrap_or_default();
        vec![Output {
            name: signature.judged().name.clone(),
            shape,
            values: Values::Data(TensorData::Fp32(answer.pass.scores.into_vec())),
        }]
    } else {
        outputs(&answer.pass, signature, requested)?
    };
    Ok(InferenceAnswer {
        model,
        version,
        parameters,
        outputs,
    })
}

/// Returns the requested outputs, in that order; all of them if none is requested.
fn outputs(
    pass: &Pass,
    signature: &Signature,
    requested: &[RequestedOutput],
) -> Result<Vec<Output>, InputFaults> {
    let all: Vec<OutputTensor<'_>> = pass.outputs(signature).collect();
    let write = |tensor: &OutputTensor<'_>| Output {
        name: tensor.output.name.clone(),
        shape: tensor.shape(),
        values: Values::Data(tensor.data()),
    };
    if requested.is_empty() {
        return Ok(all.iter().map(write).collect());
    }
    let mut faults = InputFaults::default();
    let mut outputs = Vec::with_capacity(requested.len());
    for (at, wanted) in requested.iter().enumerate() {
        let Some(place) = signature.find_output(&wanted.name) else {
            continue;
        };
        let tensor = &all[place];
        let Some(most) = wanted.classes else {
            outputs.push(write(tensor));
            continue;
        };
        let is_judged = place == signature.prediction.output;
        let labels: &[String] = if is_judged { &signature.classes } else { &[] };
        match classes(tensor, labels, most) {
            Some(output) => outputs.push(output),
            None => faults.add(
                format!("outputs[{at}].parameters[classification]"),
                format!("an output of {}", tensor.output.datatype),
                "an output of numbers, with rows",
            ),
        }
    }
    faults.into_result()?;
    Ok(outputs)
}

/// Returns the classes of an output with the highest scores; `None` if it has no rows of numbers.
fn classes(tensor: &OutputTensor<'_>, labels: &[String], most: usize) -> Option<Output> {
    let scores = tensor.numbers()?;
    let rows = tensor.shape().first().copied().unwrap_or(0);
    let rows_there = usize::try_from(rows).ok().filter(|rows| *rows > 0)?;
    let columns = (scores.len() / rows_there).max(1);
    let (texts, per_row) = top_classes(scores.chunks_exact(columns), labels, most);
    Some(Output {
        name: tensor.output.name.clone(),
        shape: vec![rows, i64::try_from(per_row).unwrap_or(i64::MAX)],
        values: Values::Classes(texts),
    })
}

fn check(requested: &[RequestedOutput], signature: &Signature) -> Result<(), InputFaults> {
    let mut faults = InputFaults::default();
    let names = requested.iter().map(|output| output.name.as_str());
    let field = |at| format!("outputs[{at}].name");
    read::check_outputs(names, signature, field, &mut faults);
    faults.into_result()
}

/// Returns the `most` classes of each row with the highest scores, the highest first, and how many these are per row. With two labels and
/// one column, the column is the probability of the second class.
fn top_classes<'a>(
    rows: impl Iterator<Item = &'a [f32]>,
    labels: &[String],
    most: usize,
) -> (Vec<String>, usize) {
    let (mut texts, mut per_row) = (Vec::new(), 0);
    for row in rows {
        let mut ranked: Vec<(usize, f32)> = match (row, labels) {
            ([p], [_, _]) => vec![(0, 1.0 - p), (1, *p)],
            _ => row.iter().copied().enumerate().collect(),
        };
        // Classes with equal scores stay in order.
        let higher = |(a, one): &(usize, f32), (b, other): &(usize, f32)| {
            other.total_cmp(one).then(a.cmp(b))
        };
        if most < ranked.len() {
            ranked.select_nth_unstable_by(most, higher);
            ranked.truncate(most);
        }
        ranked.sort_unstable_by(higher);
        per_row = ranked.len();
        texts.extend(ranked.into_iter().map(|(at, score)| match labels.get(at) {
            Some(label) => format!("{score}:{at}:{label}"),
            None => format!("{score}:{at}"),
        }));
    }
    (texts, per_row)
}

/// Describes which version gave `answer`. Integers are signed, because some clients support no others.
fn parameters(answer: &Answer) -> BTreeMap<String, InferParameter> {
    let text = |text: &str| ParameterChoice::StringParam(text.to_owned());
    let number = |number: u64| {
        let number = i64::try_from(number).unwrap_or(i64::MAX);
        ParameterChoice::Int64Param(number)
    };
    let failed = answer.failed.map(|version| number(version.get()));
    let parameters = [
        ("role", Some(text(response_headers::role(answer.role)))),
        ("response_id", Some(text(answer.response_id.as_str()))),
        ("policy_revision", Some(number(answer.revision.0))),
        ("failed_version", failed),
    ];
    let present = parameters.into_iter().filter_map(|(name, value)| {
        let parameter_choice = Some(value?);
        Some((name.to_owned(), InferParameter { parameter_choice }))
    });
    present.collect()
}
