//! `/openapi.json`: the table of routes and the types of requests and responses, as an OpenAPI 3.1 document.
//!
//! OpenAPI 3.1 uses the dialect of JSON Schema in which types describe themselves, here as in manifests and settings. This file only
//! combines their schemas with the routes.

use std::sync::LazyLock;

use axum::response::IntoResponse;
use bytes::Bytes;
use http::header;
use schemars::SchemaGenerator;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

use super::rest::{ErrorBody, JSON_LENGTH};
use super::routes::{self, ResponseForm, Route};
use crate::api::endpoints::Operation;
use crate::api::response_headers;

/// Where the document keeps schemas, which references to them begin with.
const SCHEMAS: &str = "/components/schemas";

/// Answers with the description of the HTTP port.
pub(super) async fn document() -> impl IntoResponse {
    static TEXT: LazyLock<Bytes> = LazyLock::new(|| make_document().to_string().into());
    let json = [(header::CONTENT_TYPE, "application/json")];
    (json, TEXT.clone())
}

fn make_document() -> Value {
    let settings =
        || SchemaSettings::draft2020_12().with(|with| with.definitions_path = SCHEMAS.into());
    // Required fields differ: a request may leave out fields that every response has.
    let mut requests = settings().for_deserialize().into_generator();
    let mut responses = settings().for_serialize().into_generator();
    let error = responses.subschema_for::<ErrorBody>();
    let mut paths = Map::new();
    for route in routes::all() {
        let operation = describe_route(&route, &mut requests, &mut responses, &json!(error));
        let method = route.method.to_lowercase();
        paths.insert(route.path, json!({ method: operation }));
    }
    let mut schemas = requests.take_definitions(true);
    schemas.extend(responses.take_definitions(true));
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "taper",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Predictions from the models of this gateway: the Open Inference Protocol under `/v2`, and `predict` with \
                named rows; the REST of TensorFlow Serving and of KServe's first protocol under `/v1`. Errors of paths under `/v1` \
                and `/v2`, of unknown paths (404) and of unknown methods (405) have the form `Error`. \
                Errors of `/metrics` and `/readyz` are lines of text. A request that is not valid HTTP is answered with a status \
                and no body.",
            "license": {"name": "MIT OR Apache-2.0", "identifier": env!("CARGO_PKG_LICENSE")},
        },
        "servers": [{"url": "/"}],
        "paths": paths,
        "components": {"schemas": schemas},
    })
}

fn describe_route(
    route: &Route,
    requests: &mut SchemaGenerator,
    responses: &mut SchemaGenerator,
    error: &Value,
) -> Value {
    let mut operation = json!({
        "summary": route.summary,
        "operationId": operation_id(route),
        "parameters": describe_parameters(route),
        "responses": describe_responses(route, responses, error),
        // The HTTP port does not authenticate its clients.
        "security": [],
    });
    if let Some(form) = route.request {
        operation["requestBody"] = json!({
            "required": !route.is_body_optional,
            "content": describe_content(route, &json!(form(requests))),
        });
    }
    operation
}

/// Returns the id of a route's operation: `post_v2_models_model_infer`.
fn operation_id(route: &Route) -> String {
    let word = |c: char| if c.is_ascii_alphanumeric() { c } else { '_' };
    let path = route.path.chars().filter(|c| !"{}".contains(*c));
    let path: String = path.map(word).collect();
    format!("{}{path}", route.method.to_lowercase())
}

fn describe_parameters(route: &Route) -> Vec<Value> {
    let string = json!({"type": "string"});
    let mut all = Vec::new();
    for (name, description) in [
        ("model", "Name of the model."),
        (
            "version",
            "A version of the model: its number, or a label. It answers regardless of the traffic policy.",
        ),
        (
            "label",
            "A label of the model. The version that it names answers regardless of the traffic policy.",
        ),
    ] {
        if route.path.contains(&format!("{{{name}}}")) {
            all.push(json!({
                "name": name, "in": "path", "required": true, "description": description, "schema": string,
            }));
        }
    }
    if route.operation == Operation::Predict {
        for (name, description) in [
            (
                "taper-routing-key",
                "Requests with equal keys get the same version. Used if the body has no routing key.",
            ),
            (
                "taper-response-id",
                "The caller's id for the answer. Used if the body has none.",
            ),
        ] {
            all.push(json!({
                "name": name, "in": "header", "description": description, "schema": string,
            }));
        }
    }
    if route.has_blocks {
        let mut length = describe_json_length();
        length["name"] = JSON_LENGTH.as_str().into();
        length["in"] = "header".into();
        all.push(length);
    }
    all
}

/// Describes the header that requests and responses have if blocks of bytes follow their JSON.
fn describe_json_length() -> Value {
    json!({
        "description": "Length of the JSON in bytes, if blocks of bytes follow it.",
        "schema": {"type": "integer", "minimum": 0},
    })
}

/// Describes the headers of a prediction.
fn describe_headers(route: &Route) -> Value {
    let mut all = Map::new();
    for (name, description, is_always_present) in response_headers::descriptions() {
        let header = json!({
            "description": description, "required": is_always_present, "schema": {"type": "string"},
        });
        all.insert(name.as_str().to_owned(), header);
    }
    if route.has_blocks {
        all.insert(JSON_LENGTH.as_str().to_owned(), describe_json_length());
    }
    Value::Object(all)
}

fn describe_responses(route: &Route, responses: &mut SchemaGenerator, error: &Value) -> Value {
    let mut all = Map::new();
    let text = || json!({"text/plain": {"schema": {"type": "string"}}});
    let success = match route.response {
        ResponseForm::Json(form) => Some(describe_content(route, &json!(form(responses)))),
        ResponseForm::Text => Some(text()),
        ResponseForm::None => None,
    };
    if let Some(content) = success {
        let mut response = json!({"description": "Success.", "content": content});
        if route.operation == Operation::Predict {
            response["headers"] = describe_headers(route);
        }
        all.insert("200".into(), response);
    }
    for status in route.errors {
        let content = match route.response {
            ResponseForm::Text => text(),
            _ => json!({"application/json": {"schema": error}}),
        };
        let mut response = json!({"description": describe_error(*status), "content": content});
        if *status == 429 {
            response["headers"] = json!({"Retry-After": {
                "description": "Seconds after which to try again.",
                "schema": {"type": "integer"},
            }});
        }
        all.insert(status.to_string(), response);
    }
    Value::Object(all)
}

fn describe_content(route: &Route, schema: &Value) -> Value {
    let mut content = json!({"application/json": {"schema": schema}});
    if route.has_blocks {
        content["application/octet-stream"] =
            json!({"schema": {"type": "string", "format": "binary"}});
    }
    content
}

/// Describes an error by its HTTP status.
fn describe_error(status: u16) -> &'static str {
    match status {
        400 => "The request is invalid; `fields` lists the faults.",
        403 => "The operation is not allowed on this port.",
        404 => "The model, version or label does not exist.",
        408 => "The body did not arrive in time.",
        413 => "The body is larger than the limit.",
        415 => "The body is compressed, and not with gzip.",
        429 => "The gateway is at a limit, or could not answer before the deadline.",
        500 => "The request failed; other requests are not affected.",
        503 => "The model or version is not ready, or the gateway is shutting down.",
        504 => "The deadline passed.",
        _ => "See `error`.",
    }
}
