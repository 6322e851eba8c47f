//! Every route of the HTTP port, with its operation and the forms of its requests and responses. The router, the OpenAPI document and the
//! list of all [`Endpoint`](crate::api::endpoints::Endpoint)s are made from this list, so each has the same paths.

use axum::routing::{self, MethodRouter};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde_json::Map;

use super::rest::{self, InferRequest, InferResponse, PredictRequest, PredictResponse};
use super::{HttpState, metrics, openapi, readyz};
use crate::api::endpoints::Operation;
use crate::proto::inference;
use crate::proto::inference::repository_index_response::ModelIndex;

/// Makes the schema of a type, or a reference to it.
pub(super) type Describe = fn(&mut SchemaGenerator) -> Schema;

/// A path with its one method.
pub(super) struct Route {
    /// `GET` or `POST`.
    pub(super) method: &'static str,
    pub(super) path: String,
    pub(super) operation: Operation,
    /// What it does, in a few words.
    pub(super) summary: &'static str,
    /// The form of the request's body, if it has one.
    pub(super) request: Option<Describe>,
    /// Whether the request's body may be left out.
    pub(super) is_body_optional: bool,
    pub(super) response: ResponseForm,
    /// Whether blocks of bytes may follow the JSON of requests and responses.
    pub(super) has_blocks: bool,
    /// HTTP statuses of its errors.
    pub(super) errors: &'static [u16],
    pub(super) handler: MethodRouter<HttpState>,
}

/// The form of a successful response.
pub(super) enum ResponseForm {
    Json(Describe),
    /// Plain text.
    Text,
    /// There is none: the route returns errors only.
    None,
}

/// Errors of routes that describe a model.
const DESCRIBE_ERRORS: &[u16] = &[400, 404, 503];
/// Errors of routes that read the statistics of a model.
const STATISTICS_ERRORS: &[u16] = &[400, 404, 500, 503];
/// Errors of routes that predict.
const PREDICT_ERRORS: &[u16] = &[400, 404, 408, 413, 415, 429, 500, 503, 504];

impl Route {
    fn new(
        method: &'static str,
        path: impl Into<String>,
        operation: Operation,
        summary: &'static str,
        handler: MethodRouter<HttpState>,
    ) -> Self {
        Self {
            method,
            path: path.into(),
            operation,
            summary,
            request: None,
            is_body_optional: false,
            response: ResponseForm::Text,
            has_blocks: false,
            errors: &[],
            handler,
        }
    }

    /// Creates a route for `GET` with a text response and no errors.
    fn get(
        path: impl Into<String>,
        operation: Operation,
        summary: &'static str,
        handler: MethodRouter<HttpState>,
    ) -> Self {
        Self::new("GET", path, operation, summary, handler)
    }

    /// Creates a route for `POST` with a text response and no errors.
    fn post(
        path: impl Into<String>,
        operation: Operation,
        summary: &'static str,
        handler: MethodRouter<HttpState>,
    ) -> Self {
        Self::new("POST", path, operation, summary, handler)
    }

    /// Creates a route that refuses to load or unload a model.
    fn refused(path: &str, summary: &'static str) -> Self {
        let handler = routing::post(rest::refuse_load_or_unload);
        Self {
            response: ResponseForm::None,
            errors: &[400, 403],
            ..Self::post(path, Operation::Operate, summary, handler)
        }
    }

    /// Returns the path for the router, which has no text after a parameter of the same segment: the parameter includes the verb.
    pub(super) fn pattern(&self) -> &str {
        self.path.strip_suffix(":predict").unwrap_or(&self.path)
    }

    /// Sets the form of the request's body.
    fn request<T: JsonSchema>(self) -> Self {
        Self {
            request: Some(SchemaGenerator::subschema_for::<T>),
            ..self
        }
    }

    /// Sets the form of the response.
    fn response<T: JsonSchema>(self) -> Self {
        Self {
            response: ResponseForm::Json(SchemaGenerator::subschema_for::<T>),
            ..self
        }
    }

    /// Sets the HTTP statuses of its errors.
    fn errors(self, errors: &'static [u16]) -> Self {
        Self { errors, ..self }
    }
}

/// Returns every route.
pub(super) fn all() -> Vec<Route> {
    let mut all = process_routes();
    all.extend(server_routes());
    all.push(document_route());
    all.extend(model_routes());
    all.extend(predict_routes());
    all.extend(v1_routes());
    all
}

/// Routes about the process.
fn process_routes() -> Vec<Route> {
    vec![
        Route::get(
            "/metrics",
            Operation::Observe,
            "All metrics, in the text format of Prometheus",
            routing::get(metrics),
        )
        .errors(&[500]),
        Route::get(
            "/healthz",
            Operation::Health,
            "Whether the process is alive",
            routing::get(async || "alive\n"),
        ),
        Route::get(
            "/",
            Operation::Health,
            "Whether the process is alive, for clients of KServe's first protocol",
            routing::get(rest::v1::alive),
        )
        .response::<rest::v1::Alive>(),
        Route::get(
            "/readyz",
            Operation::Health,
            "Whether every model can answer; if not, why",
            routing::get(readyz),
        )
        .errors(&[503]),
    ]
}

/// Routes of the Open Inference Protocol about the server and all models.
fn server_routes() -> Vec<Route> {
    vec![
        Route::get(
            "/v2",
            Operation::Describe,
            "Name, version and extensions of this server",
            routing::get(rest::server_metadata),
        )
        .response::<inference::ServerMetadataResponse>(),
        Route::get(
            "/v2/health/live",
            Operation::Health,
            "Whether the process is alive",
            routing::get(rest::server_live),
        )
        .response::<rest::ServerLive>(),
        Route::get(
            "/v2/health/ready",
            Operation::Health,
            "Whether every model can answer",
            routing::get(rest::server_ready),
        )
        .response::<rest::ServerReady>()
        .errors(&[503]),
        Route::get(
            "/v2/models/stats",
            Operation::Observe,
            "Statistics of all versions since they were loaded",
            routing::get(rest::all_statistics),
        )
        .response::<inference::ModelStatisticsResponse>()
        .errors(&[500]),
        Route {
            is_body_optional: true,
            ..Route::post(
                "/v2/repository/index",
                Operation::Describe,
                "All known versions and their states",
                routing::post(rest::repository_index),
            )
            .request::<rest::IndexRequest>()
            .response::<Vec<ModelIndex>>()
            .errors(&[400])
        },
        Route::refused(
            "/v2/repository/models/{model}/load",
            "Refused: operators load versions on the admin port",
        ),
        Route::refused(
            "/v2/repository/models/{model}/unload",
            "Refused: operators unload versions on the admin port",
        ),
    ]
}

fn document_route() -> Route {
    let object = |_: &mut SchemaGenerator| {
        let of_type = Map::from_iter([("type".to_owned(), "object".into())]);
        Schema::from(of_type)
    };
    Route {
        response: ResponseForm::Json(object),
        ..Route::get(
            "/openapi.json",
            Operation::Describe,
            "This document",
            routing::get(openapi::document),
        )
    }
}

/// Routes that describe a model or one of its versions.
fn model_routes() -> impl Iterator<Item = Route> {
    let metadata = of_model_and_version("", |path| {
        let summary = "Inputs and outputs of a version";
        let handler = routing::get(rest::model_metadata);
        Route::get(path, Operation::Describe, summary, handler)
            .response::<inference::ModelMetadataResponse>()
            .errors(DESCRIBE_ERRORS)
    });
    let ready = of_model_and_version("ready", |path| {
        let summary = "Whether the model, or the version, can answer";
        let handler = routing::get(rest::model_ready);
        Route::get(path, Operation::Health, summary, handler)
            .response::<rest::ModelReady>()
            .errors(DESCRIBE_ERRORS)
    });
    let config = of_model_and_version("config", |path| {
        let summary = "Serving configuration of a version";
        let handler = routing::get(rest::model_config);
        Route::get(path, Operation::Describe, summary, handler)
            .response::<inference::ModelConfig>()
            .errors(DESCRIBE_ERRORS)
    });
    let statistics = of_model_and_version("stats", |path| {
        let summary = "Statistics of versions since they were loaded";
        let handler = routing::get(rest::model_statistics);
        Route::get(path, Operation::Observe, summary, handler)
            .response::<inference::ModelStatisticsResponse>()
            .errors(STATISTICS_ERRORS)
    });
    [metadata, ready, config, statistics].into_iter().flatten()
}

/// Routes that predict.
fn predict_routes() -> impl Iterator<Item = Route> {
    let infer = of_model_and_version("infer", |path| Route {
        has_blocks: true,
        ..Route::post(
            path,
            Operation::Predict,
            "Predicts from typed tensors, in the form of the Open Inference Protocol",
            routing::post(rest::infer),
        )
        .request::<InferRequest<'_>>()
        .response::<InferResponse>()
        .errors(PREDICT_ERRORS)
    });
    let predict = of_model_and_version("predict", |path| {
        let summary = "Predicts from rows with a name for each value";
        Route::post(
            path,
            Operation::Predict,
            summary,
            routing::post(rest::predict),
        )
        .request::<PredictRequest>()
        .response::<PredictResponse>()
        .errors(PREDICT_ERRORS)
    });
    [infer, predict].into_iter().flatten()
}

/// Routes of the REST of TensorFlow Serving and of KServe's first protocol.
fn v1_routes() -> impl Iterator<Item = Route> {
    let models = Route::get(
        "/v1/models",
        Operation::Describe,
        "Names of all models",
        routing::get(rest::v1::models),
    )
    .response::<rest::v1::ModelList>();
    let of_model = |end: &'static str, route: fn(String) -> Route| {
        [
            "/v1/models/{model}",
            "/v1/models/{model}/versions/{version}",
            "/v1/models/{model}/labels/{label}",
        ]
        .map(|begin| route(format!("{begin}{end}")))
    };
    let predict = of_model(":predict", |path| {
        let summary = "Predicts, in the forms of TensorFlow Serving and KServe";
        let handler = routing::post(rest::v1::predict);
        Route::post(path, Operation::Predict, summary, handler)
            .request::<rest::v1::PredictRequest>()
            .response::<rest::v1::PredictResponse>()
            .errors(PREDICT_ERRORS)
    });
    let status = of_model("", |path| {
        let summary = "Whether the model can answer, and the states of its versions";
        let handler = routing::get(rest::v1::status);
        Route::get(path, Operation::Describe, summary, handler)
            .response::<rest::v1::ModelStatus>()
            .errors(&[400, 404])
    });
    let metadata = of_model("/metadata", |path| {
        let summary = "Inputs and outputs of a version, as TensorFlow Serving describes them";
        let handler = routing::get(rest::v1::metadata);
        Route::get(path, Operation::Describe, summary, handler)
            .response::<rest::v1::ModelMetadata>()
            .errors(DESCRIBE_ERRORS)
    });
    let of_models = [predict, status, metadata].into_iter().flatten();
    [models].into_iter().chain(of_models)
}

/// Makes two routes: one for a model, and one for a version of it. Their paths end with `end`.
fn of_model_and_version(end: &str, route: impl Fn(String) -> Route) -> [Route; 2] {
    let slash = if end.is_empty() { "" } else { "/" };
    [
        "/v2/models/{model}",
        "/v2/models/{model}/versions/{version}",
    ]
    .map(|begin| route(format!("{begin}{slash}{end}")))
}
