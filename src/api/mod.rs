//! Ports and protocols: gRPC for services and operators, HTTP for services and dashboards. A handler converts a message to a domain type,
//! calls one function, and converts the answer or the error back. Wire types end here.

use std::time::Duration;

pub mod endpoints;
pub mod grpc;
pub mod http;

mod catalog;
mod context;
mod elements;
mod error_mapping;
mod gzip;
mod lifecycle;
mod oip;
mod predictor;
mod read;
mod response_headers;
mod status;

pub use catalog::{Catalog, Readiness, ReadinessRule};
pub use context::RequestContext;
pub use error_mapping::{ErrorMapping, NATIVE, OPEN_INFERENCE, TENSORFLOW_SERVING};
pub use lifecycle::{Lifecycle, Stage, StageWatch};
pub use predictor::Predictor;

use endpoints::Endpoint;

/// How long a message, the next part of one, or a frame of HTTP/2 may take to arrive. Without this limit, a client that stops half-way would
/// keep its permit.
pub(crate) const MESSAGE_PATIENCE: Duration = Duration::from_secs(30);

/// Returns the whole endpoint table: the RPCs of both gRPC ports, then the HTTP routes.
#[must_use]
pub fn all_endpoints() -> Vec<Endpoint> {
    let mut all = endpoints::grpc();
    all.extend(http::endpoints());
    all
}
