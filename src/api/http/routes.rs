//! Every path of the HTTP door with what it takes and gives: the one table from which both the router and its description are made, so
//! that neither knows a path that the other does not.

use axum::routing::{self, MethodRouter};
use schemars::{JsonSchema, Schema, SchemaGenerator};

use super::rest::{self, InferAnswer, InferRequest, PredictAnswer, PredictBody};
use super::{HttpState, metrics, openapi, readyz};
use crate::proto::inference;
use crate::proto::inference::repository_index_response::ModelIndex;

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
    /// Whether a body may be left out.
    pub(super) optional: bool,
    pub(super) gives: Gives,
    /// Whether blocks of bytes may come after the JSON, both ways.
    pub(super) blocks: bool,
    /// Statuses of its errors.
    pub(super) refusals: &'static [u16],
    pub(super) handler: MethodRouter<HttpState>,
}

impl Route {
    /// Whether a version answers here.
    pub(super) fn predicts(&self) -> bool {
        self.takes.is_some() && self.path.contains("{model}")
    }
}

/// The form of an answer.
pub(super) enum Gives {
    Json(Describe),
    /// Lines for people or for scrapers.
    Text,
    /// Nothing but errors.
    Nothing,
}

/// Of whatever is told of a model.
const TELLING: &[u16] = &[400, 404, 503];
/// Of what a model has done.
const COUNTING: &[u16] = &[400, 404, 500, 503];
/// Of whatever is to be predicted.
const PREDICTING: &[u16] = &[400, 404, 408, 413, 415, 429, 500, 503, 504];

/// All of them.
pub(super) fn all() -> Vec<Route> {
    let mut all = vec![
        text(
            "/metrics",
            "Everything that is measured, for Prometheus",
            routing::get(metrics),
            &[500],
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
        get::<inference::ServerMetadataResponse>(
            "/v2",
            "Who answers here",
            routing::get(rest::server),
            &[],
        ),
        get::<rest::Live>(
            "/v2/health/live",
            "Whether the process is alive",
            routing::get(rest::live),
            &[],
        ),
        get::<rest::Ready>(
            "/v2/health/ready",
            "Whether every model can answer",
            routing::get(rest::ready),
            &[503],
        ),
        get::<inference::ModelStatisticsResponse>(
            "/v2/models/stats",
            "What all versions did since they were loaded",
            routing::get(rest::all_statistics),
            &[500],
        ),
        Route {
            refusals: &[400],
            optional: true,
            ..post::<rest::Index, Vec<ModelIndex>>(
                "/v2/repository/index".to_owned(),
                "Every version that is known, and how it stands",
                routing::post(rest::index),
            )
        },
        forbidden(
            "/v2/repository/models/{model}/load",
            "Refused: operators load versions on the admin port",
        ),
        forbidden(
            "/v2/repository/models/{model}/unload",
            "Refused: operators unload versions on the admin port",
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
    all.extend(both("", |path| {
        let summary = "What a version takes and gives";
        get::<inference::ModelMetadataResponse>(
            &path,
            summary,
            routing::get(rest::metadata),
            TELLING,
        )
    }));
    all.extend(both("ready", |path| {
        let summary = "Whether the model, or the version, can answer";
        get::<rest::ModelReady>(&path, summary, routing::get(rest::model_ready), TELLING)
    }));
    all.extend(both("config", |path| {
        let summary = "How a version is served";
        get::<inference::ModelConfig>(&path, summary, routing::get(rest::config), TELLING)
    }));
    all.extend(both("stats", |path| {
        let summary = "What versions did since they were loaded";
        get::<inference::ModelStatisticsResponse>(
            &path,
            summary,
            routing::get(rest::statistics),
            COUNTING,
        )
    }));
    all.extend(both("infer", |path| Route {
        blocks: true,
        ..post::<InferRequest<'_>, InferAnswer>(
            path,
            "Predicts from typed tensors, as the Open Inference Protocol has it",
            routing::post(rest::infer),
        )
    }));
    all.extend(both("predict", |path| {
        let summary = "Predicts from rows with a name for each value";
        post::<PredictBody, PredictAnswer>(path, summary, routing::post(rest::predict))
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
    handler: MethodRouter<HttpState>,
    refusals: &'static [u16],
) -> Route {
    Route {
        method: "get",
        path: path.to_owned(),
        summary,
        takes: None,
        optional: false,
        gives: Gives::Text,
        blocks: false,
        refusals,
        handler,
    }
}

fn get<G: JsonSchema>(
    path: &str,
    summary: &'static str,
    handler: MethodRouter<HttpState>,
    refusals: &'static [u16],
) -> Route {
    Route {
        gives: Gives::Json(SchemaGenerator::subschema_for::<G>),
        ..text(path, summary, handler, refusals)
    }
}

fn forbidden(path: &str, summary: &'static str) -> Route {
    Route {
        method: "post",
        gives: Gives::Nothing,
        ..text(path, summary, routing::post(rest::refused), &[400, 403])
    }
}

fn post<T: JsonSchema, G: JsonSchema>(
    path: String,
    summary: &'static str,
    handler: MethodRouter<HttpState>,
) -> Route {
    Route {
        method: "post",
        path,
        summary,
        takes: Some(SchemaGenerator::subschema_for::<T>),
        optional: false,
        gives: Gives::Json(SchemaGenerator::subschema_for::<G>),
        blocks: false,
        refusals: PREDICTING,
        handler,
    }
}
