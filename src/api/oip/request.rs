//! What a request asks for in addition to its tensors.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderMap;

use crate::api::{elements, read};
use crate::error::InputFaults;
use crate::model::payload::{Datatype, Payload, Tensor, TensorData};
use crate::proto::inference::InferParameter;
use crate::proto::inference::infer_parameter::ParameterChoice;
use crate::serving::Query;
use crate::serving::admission::RequestPermit;

/// A request whose tensors have been read.
#[derive(Debug)]
pub(in crate::api) struct InferenceRequest {
    /// The model. The protocol has checked that it is named.
    pub(in crate::api) model: String,
    /// A number or a label; if empty, the traffic policy decides.
    pub(in crate::api) version: String,
    /// Parameters of the whole request.
    pub(in crate::api) parameters: HashMap<String, InferParameter>,
    /// Headers of the call.
    pub(in crate::api) headers: HeaderMap,
    /// The inputs that could be read.
    pub(in crate::api) tensors: Vec<Tensor>,
    /// The permit of the request.
    pub(in crate::api) permit: Arc<RequestPermit>,
}

/// Converts a request to a query. Parameters take precedence over headers; unknown parameters are ignored.
///
/// # Errors
/// Returns `faults` with every further fault that no model could accept, if there is any.
pub(in crate::api) fn query(
    request: InferenceRequest,
    mut faults: InputFaults,
) -> Result<Query, InputFaults> {
    let InferenceRequest {
        model,
        version,
        mut parameters,
        headers,
        tensors,
        permit,
    } = request;
    if tensors.is_empty() && faults.is_empty() {
        faults.add("inputs", "none", "one tensor for each input of the model");
    }
    let key = text(&mut parameters, "routing_key", &mut faults);
    let key = key.map(|key| ("parameters[routing_key]", key));
    let routing_key = read::routing_key_of(key, &headers, &mut faults);
    let id = text(&mut parameters, "response_id", &mut faults);
    let id = id.map(|id| ("parameters[response_id]", id));
    let response_id = read::response_id_of(id, &headers, &mut faults);
    let timeout = timeout(&mut parameters, &mut faults);
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

/// Returns the datatype called `name`, of the tensor `tensor`. Returns `None` and adds a fault if no signature can have it.
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

/// Returns whether the parameter `content_type` of a tensor says that its elements are in base64, as MLServer's `Base64Codec` does.
pub(in crate::api) fn is_base64(content_type: &InferParameter) -> bool {
    matches!(&content_type.parameter_choice, Some(ParameterChoice::StringParam(text)) if text == "base64")
}

/// Decodes the elements of the tensor `name` from base64. Returns `None` and adds a fault if that is not possible.
pub(in crate::api) fn decode_base64(
    data: TensorData,
    name: &str,
    faults: &mut InputFaults,
) -> Option<TensorData> {
    let decoded = elements::decode_base64(data);
    let add_fault = |at| {
        faults.add(
            format!("inputs[{}].data[{at}]", read::cut(name)),
            "text that is not base64",
            "base64, as `parameters.content_type` says",
        );
    };
    decoded.map_err(add_fault).ok()
}

/// Takes a string from the parameters. Adds a fault if the parameter is not a string.
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

/// Takes the time that the caller waits from the parameters, in microseconds; `None` for no limit, which may be written as 0.
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

/// Names the type of a parameter, for errors.
pub(super) fn kind(value: &ParameterChoice) -> &'static str {
    match value {
        ParameterChoice::BoolParam(_) => "a bool",
        ParameterChoice::Int64Param(_) | ParameterChoice::Uint64Param(_) => "an integer",
        ParameterChoice::StringParam(_) => "a string",
        ParameterChoice::DoubleParam(_) => "a double",
    }
}
