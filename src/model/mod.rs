//! A version of a model: its manifest, its signature, how inputs are encoded as columns, and the network that scores them.
//!
//! [`load_with`] loads a [`Version`] once and verifies everything that can be verified without traffic: digests, tensors, shapes,
//! finite weights, golden requests. Afterwards the version never changes, and it never fails for a reason that loading could have
//! found. Each format has its own module. Only this module and [`train`](crate::train) use candle.
//! Not here: which versions exist ([`registry`](crate::registry)), and which one responds to a request
//! ([`serving`](crate::serving)).

pub mod manifest;
pub mod payload;

mod dense;
mod encode;
mod load;
mod open_file;
mod scoring;
mod sensitivity;
mod signature;

#[cfg(test)]
pub(crate) mod samples;

pub use encode::{Observe, Observed};
pub use load::{Pace, Phase, Version, load, load_with, memory_to_load};
pub use manifest::Manifest;
pub use scoring::{Model, Rows, Scores, TopClass};
pub use sensitivity::Sensitivity;
pub use signature::{Affine, Categories, Encoding, Input, Output, Range, Signature};
