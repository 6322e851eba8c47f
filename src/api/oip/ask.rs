//! What a request asks for beside its tensors.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderMap;

use crate::api::read;
use crate::error::InputFaults;
use crate::model::payload::{Datatype, Payload, Tensor};
use crate::proto::inference::InferParameter;
use crate::proto::inference::infer_parameter::ParameterChoice;
use crate::serving::Query;
use crate::serving::admission::RequestPermit;

/// A request whose tensors have been read.
#[derive(Debug)]
pub(in crate::api) struct Ask {
    /// The model; that it is named was asked before.
    pub(in crate::api) model: String,
    /// A number or a label; empty: the policy decides.
    pub(in crate::api) version: String,
    /// Those of the whole request.
    pub(in crate::api) parameters: HashMap<String, InferParameter>,
    /// Those of the call.
    pub(in crate::api) headers: HeaderMap,
    /// What could be read of its inputs.
    pub(in crate::api) tensors: Vec<Tensor>,
    /// Its place.
    pub(in crate::api) permit: Arc<RequestPermit>,
}

/// The query of a request, unless one of its fields, or what `faults` holds already, is in the way. Parameters go before headers;
/// those that nobody knows are ignored.
///
/// # Errors
/// All that no model could accept.
pub(in crate::api) fn query(ask: Ask, mut faults: InputFaults) -> Result<Query, InputFaults> {
    let Ask {
        model,
        version,
        mut parameters,
        headers,
        tensors,
        permit,
    } = ask;
    let faults_in = &mut faults;
    if tensors.is_empty() && faults_in.is_empty() {
        faults_in.add("inputs", "none", "one tensor for each input of the model");
    }
    let key = text(&mut parameters, "routing_key", faults_in);
    let key = key.map(|key| ("parameters[routing_key]", key));
    let routing_key = read::routing_key_of(key, &headers, faults_in);
    let id = text(&mut parameters, "response_id", faults_in);
    let id = id.map(|id| ("parameters[response_id]", id));
    let response_id = read::response_id_of(id, &headers, faults_in);
    let timeout = timeout(&mut parameters, faults_in);
    faults.into_result()?;
    if let Some(deadline) = timeout.and_then(|timeout| permit.arrived.checked_add(timeout)) {
        permit.set_message_deadline(deadline);
    }
    Ok(Query {
        model,
        pin: read::pin(version),
        routing_key,
        response_id,
        headers,
        payload: Payload::Tensors(tensors),
        permit,
    })
}

/// The element type that a request calls `name`, for the tensor `tensor`. `None`: no signature can name it, which is a fault.
pub(in crate::api) fn datatype(
    name: &str,
    tensor: &str,
    faults: &mut InputFaults,
) -> Option<Datatype> {
    let known = Datatype::ALL.into_iter();
    let found = known.clone().find(|datatype| datatype.as_str() == name);
    if found.is_none() {
        let words: Vec<_> = known.map(Datatype::as_str).collect();
        faults.add(
            format!("inputs[{}].datatype", read::cut(tensor)),
            match name {
                "" => "nothing".to_owned(),
                name => format!("`{}`", read::cut(name)),
            },
            format!("one of {}", words.join(", ")),
        );
    }
    found
}

/// A parameter that is a text; one that is not is a fault.
fn text(
    parameters: &mut HashMap<String, InferParameter>,
    name: &str,
    faults: &mut InputFaults,
) -> Option<String> {
    match parameters.remove(name)?.parameter_choice? {
        ParameterChoice::StringParam(text) => Some(text),
        other => {
            faults.add(format!("parameters[{name}]"), kind(&other), "a string");
            None
        }
    }
}

/// How long the caller waits, in microseconds; 0: for ever.
fn timeout(
    parameters: &mut HashMap<String, InferParameter>,
    faults: &mut InputFaults,
) -> Option<Duration> {
    const WANTED: &str = "microseconds as an integer, 0 for no limit";
    let field = "parameters[timeout]";
    match parameters.remove("timeout")?.parameter_choice? {
        ParameterChoice::Uint64Param(micros) => Some(micros),
        ParameterChoice::Int64Param(micros) => match u64::try_from(micros) {
            Ok(micros) => Some(micros),
            Err(_) => {
                faults.add(field, micros.to_string(), WANTED);
                None
            }
        },
        other => {
            faults.add(field, kind(&other), WANTED);
            None
        }
    }
    .filter(|micros| *micros > 0)
    .map(Duration::from_micros)
}

/// What a parameter is, for who sent another one than was wanted.
pub(super) fn kind(value: &ParameterChoice) -> &'static str {
    match value {
        ParameterChoice::BoolParam(_) => "a bool",
        ParameterChoice::Int64Param(_) | ParameterChoice::Uint64Param(_) => "an integer",
        ParameterChoice::StringParam(_) => "a string",
        ParameterChoice::DoubleParam(_) => "a double",
    }
}
