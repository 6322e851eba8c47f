//! The gRPC doors: the native protocol for services ([`Predictions`], behind [`Admission`]) and for operators ([`Admin`]), and the
//! Open Inference Protocol for both ([`OpenInference`]).

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

pub use admin::{Admin, AdminSettings};
pub use admission::{Admission, Admitted, Counted};
pub use health::Health;
pub use oip::{AdminPort, DataPort, OpenInference, Port};
pub use predictions::Predictions;
