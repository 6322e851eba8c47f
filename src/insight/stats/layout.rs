//! What one version counts, fixed when it is loaded.

/// The names of everything that a version counts, in the order of the tables of a [`Summary`](super::Summary).
#[derive(Clone, Debug, PartialEq)]
pub struct Layout {
    /// One per distribution of scores, named as in `taper_prediction_score`. Empty if labels are predicted.
    pub outputs: Vec<String>,
    /// The classes; empty if none are predicted.
    pub classes: Vec<String>,
    /// Whether the probabilities of the classes are predicted, so that the most probable class has one.
    pub has_confidence: bool,
    /// The inputs that are counted, in the order of the signature: those that enter the network and are not sensitive.
    pub features: Vec<Feature>,
    /// How many more such inputs there are. They are not counted because of the limits on number and memory.
    pub left_out: usize,
    /// For each input of the signature, its place in `features`.
    pub(super) places: Vec<Option<u32>>,
    /// How much memory each sketch may take.
    pub(super) budget: SketchBudget,
}

/// An input that is counted.
#[derive(Clone, Debug, PartialEq)]
pub struct Feature {
    /// The name of the input.
    pub name: String,
    /// `None` for numbers; otherwise the categories that are counted one by one, in the order of the manifest.
    pub categories: Option<Vec<String>>,
}

/// The bytes on the heap that one sketch may take, so that the sketches of all summaries in all roles stay within
/// [`max_bytes`](super::Settings::max_bytes).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct SketchBudget {
    /// For the sketch of an input.
    pub(super) input: usize,
    /// For any other sketch: of a time or a score.
    pub(super) other: usize,
}
