//! The doors: gRPC for services and operators, HTTP for dashboards. Wire types end here: a door turns a message into a
//! domain type, calls one function, and turns the answer or the error back.

use std::time::Duration;

pub mod grpc;
pub mod http;

mod catalog;
mod error_mapping;
mod oip;
mod predictor;
mod read;
mod response_headers;
mod status;

pub use catalog::{Catalog, Stage};
pub use error_mapping::{ErrorMapping, NATIVE, OPEN_INFERENCE, TENSORFLOW_SERVING};
pub use predictor::Predictor;

/// How long a message may take to come as a whole. Without it a caller that stops half-way would keep its place.
const MESSAGE_PATIENCE: Duration = Duration::from_secs(30);
