//! The services of the gRPC ports: the native protocol for services ([`Predictions`]) and operators ([`Admin`]), the Open Inference
//! Protocol for both ([`OpenInference`]), TensorFlow Serving's protocol ([`TensorFlowServing`]), and health. Ports serve them behind the
//! layers of [`Stack`].

mod admin;
mod admission;
mod body;
mod call_task;
mod calls;
mod convert;
mod deadline;
mod gzip;
mod health;
mod oip;
mod outcomes;
mod predictions;
mod refusals;
mod stack;
mod stream;
mod tensor;
mod tfs;
mod unary;

pub use admin::{Admin, AdminSettings};
pub use admission::{Admission, AdmissionFuture};
pub use body::RequestBody;
pub use call_task::CallTask;
pub use calls::LimitedCalls;
pub use deadline::DeadlineService;
pub use gzip::CompressionLimits;
pub use health::Health;
pub use oip::{AdminPort, DataPort, OpenInference, PortCalls};
pub use predictions::Predictions;
pub use stack::{Stack, StackBuilder, UnlistedService};
pub use tfs::TensorFlowServing;
pub use unary::{DirectUnary, UnaryMethod};
