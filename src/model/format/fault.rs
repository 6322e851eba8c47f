//! What is wrong with a model file of another library.

/// One fault of a model file. A reader collects all faults that it can find, and returns them together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FormatFault {
    /// Where: a path in the document (`learner.gradient_booster.model.trees[3].split_indices[7]`), a line (`line 12`) or a node of a
    /// graph (`node "Conv_3"`). Empty for the whole file.
    pub at: String,
    /// What was found and what was expected: `got 7, expected an index below 5`.
    pub message: String,
}

impl FormatFault {
    /// Creates a fault at the place `at`.
    #[must_use]
    pub fn new(at: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            at: at.into(),
            message: message.into(),
        }
    }
}
