//! A version of a model: its manifest, its signature, how inputs are encoded, and the model that scores them.
//!
//! [`load_with`] loads a [`Version`] once and verifies everything that can be verified without traffic: digests, tensors, shapes,
//! finite weights, golden requests. Afterwards the version never changes, and it never fails for a reason that loading could have
//! found. Each format of model files has its own module in `format`. Only this module and [`train`](crate::train) use candle.
//! Not here: which versions exist ([`registry`](crate::registry)), and which one responds to a request
//! ([`serving`](crate::serving)).

pub mod manifest;
pub mod payload;

mod batch;
mod content_stores;
mod digest;
mod encode;
pub mod format;
mod judge;
mod load;
pub mod npz;
pub(crate) mod numbers;
mod open_file;
pub(crate) mod profile;
mod scoring;
mod sensitivity;
mod signature;
pub mod trees;

#[cfg(test)]
pub(crate) mod samples;

pub use batch::{Batch, Content, Value};
pub use content_stores::ContentStores;
pub use digest::VersionDigest;
pub use encode::{Observe, Observed};
pub use format::{Description, FormatFault, Judged, describe, recognise};
pub use load::{
    LoadOptions, Pace, Phase, Version, agrees, load, load_with, memory_to_load, verify_files,
};
pub use manifest::Manifest;
pub(crate) use open_file::{folder_of, open_file, open_regular};
pub use scoring::{Model, OutputContent, OutputTensor, Outputs, Pass, Scores, TopClass};
pub use sensitivity::Sensitivity;
pub use signature::{
    Affine, Categories, Encoding, Input, Missing, Output, Outside, Prediction, PredictionKind,
    Range, Shape, Signature, Target,
};
