//! The REST of TensorFlow Serving and of KServe's first protocol, under `/v1`. Their paths and bodies are the same apart from the status
//! of a model, which has the fields of both.
//!
//! ```text
//! target    the path: model, version or label, and the verb after the last colon
//! body      JSON to named and bare cells: `instances`, one per row, or `inputs`, one tensor per input
//! payload   these to rows or tensors for the version that would answer, and the paths of its faults back to those of the body
//! answer    the outputs as `predictions` or `outputs`
//! describe  the models, their states and signatures
//! ```
//!
//! Permits, limits, headers and errors are those of `/v2`.

mod answer;
mod body;
mod describe;
mod payload;
mod predict;
mod target;

pub(in crate::api::http) use answer::PredictResponse;
pub(in crate::api::http) use body::PredictRequest;
pub(in crate::api::http) use describe::{
    Alive, ModelList, ModelMetadata, ModelStatus, alive, metadata, models, status,
};
pub(in crate::api::http) use predict::predict;

/// The name of a version's only signature. Requests may leave it out.
const SIGNATURE: &str = "serving_default";
