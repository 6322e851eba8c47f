//! Errors of training.

use crate::faults::Faults;

/// Reasons why `taper train` publishes no version.
#[derive(Debug, thiserror::Error)]
pub enum TrainError {
    /// All faults of the spec.
    #[error("{0}")]
    Spec(Faults),
    /// The data are not usable: a file is missing, columns or values are invalid, or there are too few rows.
    #[error("{0}")]
    Data(Faults),
    /// An option of the run is invalid.
    #[error("{what}: got {got}, wants {wanted}")]
    Option {
        /// The option.
        what: &'static str,
        /// Its value.
        got: String,
        /// What was expected.
        wanted: &'static str,
    },
    /// The loss is no longer finite.
    #[error(
        "the loss was no longer finite in epoch {epoch}; try a smaller `training.learning_rate`"
    )]
    Diverged {
        /// The epoch, counted from 1.
        epoch: usize,
    },
    /// candle returned an error.
    #[error("training failed: {0}")]
    Numeric(#[from] candle_core::Error),
    /// The version could not be published. The registry is unchanged.
    #[error("nothing was published: {0}")]
    Publish(String),
}
