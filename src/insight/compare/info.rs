//! What a comparison needs to know about a version.

use crate::model::Signature;

/// The inputs of one version whose values may be shown, and the number of its classes. It contains no weights.
#[derive(Debug, PartialEq, Eq)]
pub struct VersionInfo {
    /// The inputs that are not sensitive, ascending by name.
    shown: Vec<String>,
    classes: usize,
}

impl VersionInfo {
    /// Creates the information about a version with this signature.
    #[must_use]
    pub fn new(signature: &Signature) -> Self {
        let inputs = signature.inputs().iter();
        let mut shown: Vec<_> = inputs
            .filter(|input| !input.is_sensitive())
            .map(|input| input.name.clone())
            .collect();
        shown.sort_unstable();
        Self {
            shown,
            classes: signature.classes.len(),
        }
    }

    /// Returns whether the values of this input may be shown. Those of an unknown input may not.
    #[must_use]
    pub fn shows(&self, input: &str) -> bool {
        self.shown
            .binary_search_by(|shown| shown.as_str().cmp(input))
            .is_ok()
    }

    /// Returns the number of classes; 0 for a regression.
    #[must_use]
    pub fn classes(&self) -> usize {
        self.classes
    }
}
