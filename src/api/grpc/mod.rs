//! The gRPC doors: the native protocol for services ([`Predictions`]) and for operators ([`Admin`]), the Open Inference Protocol
//! for both ([`OpenInference`]), and TensorFlow Serving's ([`TensorFlowServing`]). What predicts stands behind [`Admission`].

mod admin;
mod admission;
mod convert;
mod deadline;
mod health;
mod oip;
mod outcomes;
mod predictions;
mod stream;
mod tensor;
mod tfs;

pub use admin::{Admin, AdminSettings};
pub use admission::{Admission, Admitted, Counted};
pub use deadline::DeadlineService;
pub use health::Health;
pub use oip::{AdminPort, DataPort, OpenInference, Port};
pub use predictions::Predictions;
pub use tfs::TensorFlowServing;
