//! What a comparison needs to know about a version.

use crate::model::{PredictionKind, Signature};

/// The inputs of one version whose values may be shown, and what it predicts. It contains no weights.
#[derive(Debug, PartialEq)]
pub struct VersionInfo {
    /// The inputs that are not sensitive, ascending by name.
    shown: Vec<String>,
    kind: PredictionKind,
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
            kind: signature.prediction.kind,
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

    /// Returns what a comparison with `other` is about. Of embeddings, the larger one of both thresholds counts.
    #[must_use]
    pub fn kind_beside(&self, other: &Self) -> PredictionKind {
        match (self.kind, other.kind) {
            (PredictionKind::Embedding(one), PredictionKind::Embedding(two)) => {
                PredictionKind::Embedding(one.max(two))
            }
            (kind, _) => kind,
        }
    }

    /// Returns the number of classes; 0 if none are predicted.
    #[must_use]
    pub fn classes(&self) -> usize {
        self.classes
    }
}
