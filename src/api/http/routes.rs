//! Every path of the HTTP door with what it takes and gives: the one table from which both the router and its description are made, so
//! that neither knows a path that the other does not.

use axum::routing::{self, MethodRouter};
use schemars::{JsonSchema, Schema, SchemaGenerator};

use super::rest::{InferAnswer, InferRequest, PredictAnswer, PredictBody, infer, predict};
use super::{Faces, metrics, openapi, readyz};

/// Makes the schema of a type, or a reference to it.
pub(super) type Describe = fn(&mut SchemaGenerator) -> Schema;

/// One path, which goes by one method.
pub(super) struct Route {
    pub(super) method: &'static str,
    pub(super) path: String,
    /// What it does, in a few words.
    pub(super) summary: &'static str,
    /// The form of what it takes.
    pub(super) takes: Option<Describe>,
    pub(super) gives: Gives,
    /// Whether blocks of bytes may come after the JSON, both ways.
    pub(super) blocks: bool,
    /// Statuses of its errors.
    pub(super) refusals: &'static [u16],
    pub(super) handler: MethodRouter<Faces>,
}

/// The form of an answer.
pub(super) enum Gives {
    Json(Describe),
    /// Lines for people or for scrapers.
    Text,
    /// Nothing but errors.
    Nothing,
}

/// Of whatever is to be predicted.
const PREDICTING: &[u16] = &[400, 404, 408, 413, 415, 429, 500, 503, 504];

/// All of them.
pub(super) fn all() -> Vec<Route> {
    let mut all = vec![
        text(
            "/metrics",
            "Everything that is measured, for Prometheus",
            routing::get(metrics),
            &[],
        ),
        text(
            "/healthz",
            "Whether the process is alive",
            routing::get(async || "alive\n"),
            &[],
        ),
        text(
            "/readyz",
            "Whether every model can answer, and why not",
            routing::get(readyz),
            &[503],
        ),
        Route {
            gives: Gives::Json(|_| {
                Schema::from(serde_json::Map::from_iter([(
                    "type".to_owned(),
                    "object".into(),
                )]))
            }),
            ..text(
                "/openapi.json",
                "This document",
                routing::get(openapi::document),
                &[],
            )
        },
    ];
    all.extend(both("infer", |path| Route {
        blocks: true,
        ..post::<InferRequest<'_>, InferAnswer>(
            path,
            "Predicts from typed tensors, as the Open Inference Protocol has it",
            routing::post(infer),
        )
    }));
    all.extend(both("predict", |path| {
        let summary = "Predicts from rows with a name for each value";
        post::<PredictBody, PredictAnswer>(path, summary, routing::post(predict))
    }));
    all
}

/// A path of a model, and the same of one of its versions.
fn both(end: &str, route: impl Fn(String) -> Route) -> [Route; 2] {
    let slash = if end.is_empty() { "" } else { "/" };
    [
        "/v2/models/{model}",
        "/v2/models/{model}/versions/{version}",
    ]
    .map(|begin| route(format!("{begin}{slash}{end}")))
}

fn text(
    path: &str,
    summary: &'static str,
    handler: MethodRouter<Faces>,
    refusals: &'static [u16],
) -> Route {
    Route {
        method: "get",
        path: path.to_owned(),
        summary,
        takes: None,
        gives: Gives::Text,
        blocks: false,
        refusals,
        handler,
    }
}

fn post<T: JsonSchema, G: JsonSchema>(
    path: String,
    summary: &'static str,
    handler: MethodRouter<Faces>,
) -> Route {
    Route {
        method: "post",
        path,
        summary,
        takes: Some(SchemaGenerator::subschema_for::<T>),
        gives: Gives::Json(SchemaGenerator::subschema_for::<G>),
        blocks: false,
        refusals: PREDICTING,
        handler,
    }
}
