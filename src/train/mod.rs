//! `taper train`: a CSV file and a small spec in, a new published version out.
//!
//! Always holds: what is fitted (scales, categories, stand-ins) is fitted on the rows that are learnt from and on no
//! others; rows are encoded by the [`Signature`](crate::model::Signature) of the version itself, so that training and
//! serving cannot differ; the same spec, file and seed give the same bytes; a version becomes visible by one rename, and
//! only after it was loaded as the gateway would load it.
//! Not here: how a version is laid out and checked ([`model`](crate::model)), where it is put
//! ([`registry`](crate::registry)).

pub mod metrics;
pub mod spec;

mod error;
mod fit;
mod network;
mod numbers;
mod optimise;
mod profile;
mod quality;
mod report;
mod split;
mod table;

pub use error::TrainError;
pub use quality::Quality;
pub use report::{Part, Report};

/// How training goes, once an epoch.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Progress {
    /// The epoch that has ended, counted from 1.
    pub epoch: usize,
    /// The most epochs there can be.
    pub of: usize,
    /// Mean loss over the epoch's batches.
    pub train_loss: f64,
    /// Mean loss of the validation rows after the epoch.
    pub validation_loss: f64,
    /// Whether no epoch before was better.
    pub best: bool,
}
