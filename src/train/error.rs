//! Why no version came out of a training run.

use crate::faults::Faults;

/// Why `taper train` published nothing.
#[derive(Debug, thiserror::Error)]
pub enum TrainError {
    /// The spec is wrong; everything that is wrong with it.
    #[error("{0}")]
    Spec(Faults),
    /// The rows cannot be learnt from: a file is missing, columns or values are wrong, rows are too few.
    #[error("{0}")]
    Data(Faults),
    /// A setting of the run itself.
    #[error("{what}: got {got}, wants {wanted}")]
    Option {
        /// Which.
        what: &'static str,
        /// What came.
        got: String,
        /// What was wanted.
        wanted: &'static str,
    },
    /// The loss is no number any more.
    #[error(
        "the loss was no longer finite in epoch {epoch}: a smaller `training.learning_rate` may help"
    )]
    Diverged {
        /// Counted from 1.
        epoch: usize,
    },
    /// The numeric library refused.
    #[error("training failed: {0}")]
    Numeric(#[from] candle_core::Error),
    /// The version could not be published; the registry is as it was.
    #[error("nothing was published: {0}")]
    Publish(String),
}
