//! What a comparison must know of a version.

use crate::model::Signature;

/// What one version shows of its inputs, and how many classes it has.
#[derive(Debug, PartialEq, Eq)]
pub struct About {
    /// Inputs that are not sensitive, ascending.
    open: Vec<String>,
    classes: usize,
}

impl About {
    /// Of a version with this signature.
    #[must_use]
    pub fn of(signature: &Signature) -> Self {
        let inputs = signature
            .inputs()
            .iter()
            .filter(|input| !input.is_sensitive());
        let mut open: Vec<_> = inputs.map(|input| input.name.clone()).collect();
        open.sort_unstable();
        Self {
            open,
            classes: signature.classes.len(),
        }
    }

    /// Whether the values of this input may leave. An unknown one's may not.
    #[must_use]
    pub fn shows(&self, input: &str) -> bool {
        self.open
            .binary_search_by(|open| open.as_str().cmp(input))
            .is_ok()
    }

    /// How many it has; 0 for a regression.
    #[must_use]
    pub fn classes(&self) -> usize {
        self.classes
    }
}
