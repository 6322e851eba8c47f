//! The gRPC doors: the native protocol for services ([`Predictions`], behind [`Admission`]) and for operators ([`Admin`]).

mod admin;
mod admission;
mod convert;
mod deadline;
mod health;
mod outcomes;
mod predictions;
mod stream;
mod tensor;

pub use admin::{Admin, AdminSettings};
pub use admission::{Admission, Admitted, Counted};
pub use health::Health;
pub use predictions::Predictions;
