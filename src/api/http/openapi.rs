//! `/openapi.json`: the table of paths and the types of requests and answers, as OpenAPI 3.1 wants them told.
//!
//! Types describe themselves, as manifests and settings do, in the dialect of JSON Schema that OpenAPI 3.1 took over as it is. So what is
//! left is to put them beside their paths.

use std::sync::LazyLock;

use axum::response::IntoResponse;
use bytes::Bytes;
use http::header;
use schemars::SchemaGenerator;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

use super::rest::{JSON_LENGTH, Told};
use super::routes::{self, Gives, Route};
use crate::api::response_headers;

/// Where the schemas stand, and what the references to them begin with.
const SCHEMAS: &str = "/components/schemas";

/// Answers the description of this door.
pub(super) async fn document() -> impl IntoResponse {
    static TEXT: LazyLock<Bytes> = LazyLock::new(|| described().to_string().into());
    let json = [(header::CONTENT_TYPE, "application/json")];
    (json, TEXT.clone())
}

/// The whole document.
fn described() -> Value {
    let settings =
        || SchemaSettings::draft2020_12().with(|with| with.definitions_path = SCHEMAS.into());
    // What must be there differs: a request may leave out what an answer always has.
    let mut takes = settings().for_deserialize().into_generator();
    let mut gives = settings().for_serialize().into_generator();
    let error = gives.subschema_for::<Told>();
    let mut paths = Map::new();
    for route in routes::all() {
        let told = operation(&route, &mut takes, &mut gives, &json!(error));
        paths.insert(route.path, json!({ route.method: told }));
    }
    let mut schemas = takes.take_definitions(true);
    schemas.extend(gives.take_definitions(true));
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "taper",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Predictions of the models that this gateway holds: the Open Inference Protocol under `/v2`, and \
                `predict` with plain named rows. Every error of a path under `/v2`, of one that is not there (404) and of one that \
                does not go by the method (405) has the form `Error`. Those of `/metrics` and `/readyz` are lines of text, and \
                what is no request of HTTP is answered with a status alone.",
            "license": {"name": "MIT OR Apache-2.0", "identifier": env!("CARGO_PKG_LICENSE")},
        },
        "servers": [{"url": "/"}],
        "paths": paths,
        "components": {"schemas": schemas},
    })
}

fn operation(
    route: &Route,
    takes: &mut SchemaGenerator,
    gives: &mut SchemaGenerator,
    error: &Value,
) -> Value {
    let mut told = json!({
        "summary": route.summary,
        "operationId": id(route),
        "parameters": parameters(route),
        "responses": responses(route, gives, error),
        // Who may reach this port may predict.
        "security": [],
    });
    if let Some(form) = route.takes {
        told["requestBody"] = json!({
            "required": !route.optional,
            "content": content(route, &json!(form(takes))),
        });
    }
    told
}

/// `post_models_model_infer`
fn id(route: &Route) -> String {
    let word = |c: char| if c.is_ascii_alphanumeric() { c } else { '_' };
    let path: String = route
        .path
        .chars()
        .filter(|c| !"{}".contains(*c))
        .map(word)
        .collect();
    format!("{}{path}", route.method)
}

fn parameters(route: &Route) -> Vec<Value> {
    let text = json!({"type": "string"});
    let mut all = Vec::new();
    for (name, what) in [
        ("model", "Name of the model."),
        (
            "version",
            "A version of it: its number, or a label. It answers past the traffic policy.",
        ),
    ] {
        if route.path.contains(&format!("{{{name}}}")) {
            all.push(json!({
                "name": name, "in": "path", "required": true, "description": what, "schema": text,
            }));
        }
    }
    if route.predicts() {
        for (name, what) in [
            (
                "taper-routing-key",
                "Makes the choice of version sticky, where the body does not say so.",
            ),
            (
                "taper-response-id",
                "The caller's id for the answer, where the body has none.",
            ),
        ] {
            all.push(json!({"name": name, "in": "header", "description": what, "schema": text}));
        }
    }
    if route.blocks {
        let mut length = json_length();
        length["name"] = JSON_LENGTH.as_str().into();
        length["in"] = "header".into();
        all.push(length);
    }
    all
}

/// The header that comes with blocks of bytes, both ways.
fn json_length() -> Value {
    json!({
        "description": "Bytes of the JSON, when blocks of bytes come after it.",
        "schema": {"type": "integer", "minimum": 0},
    })
}

/// Headers of an answer of a version.
fn headers(route: &Route) -> Value {
    let mut all = Map::new();
    for (name, what, always) in response_headers::described() {
        let told = json!({"description": what, "required": always, "schema": {"type": "string"}});
        all.insert(name.as_str().to_owned(), told);
    }
    if route.blocks {
        all.insert(JSON_LENGTH.as_str().to_owned(), json_length());
    }
    Value::Object(all)
}

fn responses(route: &Route, gives: &mut SchemaGenerator, error: &Value) -> Value {
    let mut all = Map::new();
    let answer = match route.gives {
        Gives::Json(form) => content(route, &json!(form(gives))),
        Gives::Text | Gives::Nothing => json!({"text/plain": {"schema": {"type": "string"}}}),
    };
    if !matches!(route.gives, Gives::Nothing) {
        let mut told = json!({"description": "Answered.", "content": answer});
        if route.predicts() {
            told["headers"] = headers(route);
        }
        all.insert("200".into(), told);
    }
    for status in route.refusals {
        let content = match route.gives {
            Gives::Text => answer.clone(),
            _ => json!({"application/json": {"schema": error}}),
        };
        let mut told = json!({"description": meaning(*status), "content": content});
        if *status == 429 {
            told["headers"] = json!({"Retry-After": {
                "description": "Seconds after which to try again.",
                "schema": {"type": "integer"},
            }});
        }
        all.insert(status.to_string(), told);
    }
    Value::Object(all)
}

fn content(route: &Route, schema: &Value) -> Value {
    let mut content = json!({"application/json": {"schema": schema}});
    if route.blocks {
        content["application/octet-stream"] =
            json!({"schema": {"type": "string", "format": "binary"}});
    }
    content
}

/// What a status of an error says.
fn meaning(status: u16) -> &'static str {
    match status {
        400 => "The request is wrong; `fields` says where.",
        403 => "Not on this port.",
        404 => "There is no such model, version or label.",
        408 => "The body did not come in time.",
        413 => "The body is larger than the limit.",
        415 => "The body is compressed.",
        429 => "The gateway is full, or could not answer in time.",
        500 => "What was asked for could not be made; other requests are not affected.",
        503 => "The model or the version is not ready, or the gateway is going down.",
        504 => "The caller's time is over.",
        _ => "See `error`.",
    }
}
