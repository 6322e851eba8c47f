//! The gRPC doors: the native protocol for services ([`Predictions`]) and for operators ([`Admin`]).

mod admin;
mod convert;
mod deadline;
mod predictions;
mod tensor;

pub use admin::Admin;
pub use predictions::Predictions;
