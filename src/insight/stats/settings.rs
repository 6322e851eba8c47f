//! Settings of the statistics.

/// What is recorded of each version, and how much memory it may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Whether inputs are recorded.
    pub features: bool,
    /// The most inputs of one version whose distributions are kept: the first in the order of the signature.
    pub max_features: usize,
    /// The most bytes that all statistics of one version may take.
    pub max_bytes: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            features: true,
            max_features: 256,
            max_bytes: 64 << 20,
        }
    }
}
