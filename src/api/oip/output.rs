//! Which outputs a request wants, and what its answer says.

use std::collections::HashMap;

use bytes::Bytes;

use super::SHARED_MEMORY;
use super::ask::kind;
use crate::api::catalog::Catalog;
use crate::api::{read, response_headers};
use crate::error::{InputFaults, PredictError};
use crate::model::payload::Datatype;
use crate::proto::inference::InferParameter;
use crate::proto::inference::infer_parameter::ParameterChoice;
use crate::serving::{Answer, Query};

/// An output that a request asks for by its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::api) struct Wanted {
    name: String,
    /// Instead of the scores, so many classes with the highest.
    classes: Option<usize>,
}

impl Wanted {
    /// The output `name`, number `at` of those that are asked for. A parameter that makes no sense is a fault.
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

/// The one output of an answer.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::api) struct Output {
    /// Its name.
    pub(in crate::api) name: String,
    /// Length of each axis.
    pub(in crate::api) shape: [i64; 2],
    /// Its elements, row-major.
    pub(in crate::api) values: Values,
}

/// Elements of an output.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::api) enum Values {
    /// What the version gave.
    Scores(Vec<f32>),
    /// `score:index:label`, or `score:index` where classes have no labels.
    Classes(Vec<String>),
}

impl Values {
    /// The protocol's name for their type.
    pub(in crate::api) fn datatype(&self) -> Datatype {
        match self {
            Self::Scores(_) => Datatype::Fp32,
            Self::Classes(_) => Datatype::Bytes,
        }
    }

    /// As they travel in one block.
    pub(in crate::api) fn raw(&self) -> Bytes {
        match self {
            Self::Scores(scores) => read::to_raw(scores),
            Self::Classes(texts) => read::texts_to_raw(texts),
        }
    }
}

/// Refuses what the version that would answer does not give, before anything is computed. Where none would answer, the
/// prediction says why.
///
/// # Errors
/// Something is wanted that it does not give, or twice.
pub(in crate::api) fn giveable(
    catalog: &Catalog,
    query: &Query,
    wanted: &[Wanted],
) -> Result<(), InputFaults> {
    if wanted.is_empty() {
        return Ok(());
    }
    match catalog.version(&query.model, query.pin.as_ref()) {
        Ok(version) => check(wanted, &version.version.signature().output.name),
        Err(_) => Ok(()),
    }
}

/// An answer in the words of the protocol.
#[derive(Debug)]
pub(in crate::api) struct Answered {
    /// The model, as the caller spelt it.
    pub(in crate::api) model: String,
    /// Who answered; a number.
    pub(in crate::api) version: String,
    /// Who answered, and why.
    pub(in crate::api) parameters: HashMap<String, InferParameter>,
    /// What is answered.
    pub(in crate::api) output: Output,
}

/// An answer as it is wanted: as it is, where nothing is asked for by name.
///
/// # Errors
/// As [`giveable`]: another version than was thought may have answered.
pub(in crate::api) fn answered(
    answer: Answer,
    wanted: &[Wanted],
) -> Result<Answered, PredictError> {
    let signature = answer.version.signature();
    let name = &signature.output.name;
    check(wanted, name)?;
    let parameters = parameters(&answer);
    let scores = answer.scores;
    let (rows, columns) = (scores.rows().len(), scores.columns());
    let (values, columns) = match wanted.first().and_then(|wanted| wanted.classes) {
        None => (Values::Scores(scores.into_vec()), columns),
        Some(most) => {
            let (texts, each) = classes(scores.rows(), &signature.classes, most);
            (Values::Classes(texts), each)
        }
    };
    let axis = |length: usize| i64::try_from(length).unwrap_or(i64::MAX);
    let output = Output {
        name: name.clone(),
        shape: [axis(rows), axis(columns)],
        values,
    };
    Ok(Answered {
        model: answer.model,
        version: answer.version.number().to_string(),
        parameters,
        output,
    })
}

fn check(wanted: &[Wanted], name: &str) -> Result<(), InputFaults> {
    let mut faults = InputFaults::default();
    let names = wanted.iter().map(|one| one.name.as_str());
    read::outputs(names, name, |at| format!("outputs[{at}].name"), &mut faults);
    faults.into_result()
}

/// Of each row the `most` classes with the highest scores, the highest first; and how many that are. One column beside two labels
/// is the probability of the second.
fn classes<'a>(
    rows: impl Iterator<Item = &'a [f32]>,
    labels: &[String],
    most: usize,
) -> (Vec<String>, usize) {
    let (mut texts, mut each) = (Vec::new(), 0);
    for row in rows {
        let mut ranked: Vec<(usize, f32)> = match (row, labels) {
            ([p], [_, _]) => vec![(0, 1.0 - p), (1, *p)],
            _ => row.iter().copied().enumerate().collect(),
        };
        // Of equal scores the first class comes first.
        let higher = |(a, one): &(usize, f32), (b, other): &(usize, f32)| {
            other.total_cmp(one).then(a.cmp(b))
        };
        if most < ranked.len() {
            ranked.select_nth_unstable_by(most, higher);
            ranked.truncate(most);
        }
        ranked.sort_unstable_by(higher);
        each = ranked.len();
        texts.extend(ranked.into_iter().map(|(at, score)| match labels.get(at) {
            Some(label) => format!("{score}:{at}:{label}"),
            None => format!("{score}:{at}"),
        }));
    }
    (texts, each)
}

/// Who gave `answer`. Integers are signed: some clients know no others.
fn parameters(answer: &Answer) -> HashMap<String, InferParameter> {
    let text = |text: &str| ParameterChoice::StringParam(text.to_owned());
    let number = |number: u64| {
        let number = i64::try_from(number).unwrap_or(i64::MAX);
        ParameterChoice::Int64Param(number)
    };
    let failed = answer.failed.map(|version| number(version.get()));
    let told = [
        ("role", Some(text(response_headers::role(answer.role)))),
        ("response_id", Some(text(answer.response_id.as_str()))),
        ("policy_revision", Some(number(answer.revision.0))),
        ("failed_version", failed),
    ];
    let told = told.into_iter().filter_map(|(name, value)| {
        let parameter_choice = Some(value?);
        Some((name.to_owned(), InferParameter { parameter_choice }))
    });
    told.collect()
}
