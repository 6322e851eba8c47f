//! Converts a `PredictRequest` to a query, and an answer to a `PredictResponse`.

use std::sync::Arc;

use http::HeaderMap;
use prost_types::value::Kind;

use super::tensor;
use crate::api::read;
use crate::error::InputFaults;
use crate::ident::{Role, VersionNumber};
use crate::model::payload::{Cell, Payload, Row};
use crate::proto::v1;
use crate::serving::admission::RequestPermit;
use crate::serving::{Answer, Pin, Query};

/// Reads a request with its `headers` and its permit. Whether the model accepts its fields is checked later.
///
/// # Errors
/// Returns every fault that no model could accept.
pub(super) fn read_query(
    message: v1::PredictRequest,
    headers: HeaderMap,
    permit: Arc<RequestPermit>,
) -> Result<Query, InputFaults> {
    let mut faults = InputFaults::default();
    if message.model.is_empty() {
        faults.add("model", "nothing", "the name of a model");
    }
    let routing_key = read::routing_key(message.routing_key, "routing_key", &mut faults);
    let response_id = read::response_id(message.response_id, "response_id", &mut faults);
    let payload = read_payload(message.tensors, message.rows, &mut faults);
    faults.into_result()?;
    Ok(Query {
        model: message.model,
        pin: message.pin.map(|pin| match pin {
            v1::predict_request::Pin::Version(version) => Pin::Version(version),
            v1::predict_request::Pin::Label(label) => Pin::Label(label),
        }),
        routing_key,
        response_id,
        headers,
        payload,
        permit,
    })
}

fn read_payload(
    tensors: Vec<v1::Tensor>,
    rows: Vec<prost_types::Struct>,
    faults: &mut InputFaults,
) -> Payload {
    match (tensors.is_empty(), rows.is_empty()) {
        (true, true) => faults.add(
            "rows",
            "neither `rows` nor `tensors`",
            "one of the two, with at least one row",
        ),
        (false, false) => faults.add("rows", "both `rows` and `tensors`", "one of the two"),
        _ => {}
    }
    if tensors.is_empty() {
        Payload::Rows(rows.into_iter().map(read_row).collect())
    } else {
        let read = |tensor| tensor::read(tensor, faults);
        Payload::Tensors(tensors.into_iter().filter_map(read).collect())
    }
}

fn read_row(row: prost_types::Struct) -> Row {
    row.fields
        .into_iter()
        .map(|(name, value)| (name, read_cell(value)))
        .collect()
}

fn read_cell(value: prost_types::Value) -> Cell {
    match value.kind {
        None | Some(Kind::NullValue(_)) => Cell::Missing,
        Some(Kind::BoolValue(value)) => Cell::Bool(value),
        Some(Kind::NumberValue(value)) => Cell::Number(value),
        Some(Kind::StringValue(text)) => Cell::Text(text),
        Some(Kind::ListValue(list)) => Cell::List(list.values.into_iter().map(read_cell).collect()),
        Some(Kind::StructValue(_)) => Cell::Object,
    }
}

/// Writes the response to a request.
pub(super) fn write_response(answer: Answer) -> v1::PredictResponse {
    let signature = answer.version.signature();
    let outputs = answer.outputs().map(|output| tensor::write(&output));
    let outputs = outputs.collect();
    let top_classes = answer.top.iter().map(|top| v1::TopClass {
        label: signature
            .classes
            .get(top.index)
            .cloned()
            .unwrap_or_default(),
        probability: top.probability,
    });
    v1::PredictResponse {
        version: answer.version.number().get(),
        role: role(answer.role).into(),
        response_id: answer.response_id.into_string(),
        policy_revision: answer.revision.0,
        top_classes: top_classes.collect(),
        outputs,
        failed_version: answer.failed.map_or(0, VersionNumber::get),
        model: answer.model,
    }
}

pub(super) fn role(role: Role) -> v1::Role {
    match role {
        Role::Primary => v1::Role::Primary,
        Role::Shadow => v1::Role::Shadow,
        Role::Fallback => v1::Role::Fallback,
    }
}
